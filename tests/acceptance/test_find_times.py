"""Vectors F-T that a device sees: dates and times with offsets, at the gaps of summer time, in other zones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import UID
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation

from acceptance.find_orders import Step, load, load_f0
from foreign.dicom.answer import SUCCESS, Answer
from foreign.dicom.clients import Findscu, associated, find
from foreign.dicom.identifier import WORKLIST, identifier

STEPS = (
    Step("T01", start="20260715233000-0500"),
    Step("T02", start="20260715080000", sent_at="20260714120000+0000"),
    Step("T03", start="20260329023000"),  # between 02:00 and 03:00 there is no time in Berlin
    Step("T04A", start="20261025023000+0200"),  # and here there is every time twice
    Step("T04B", start="20261025023000+0100"),
    Step("T12", start="20260716"),
)


@pytest.fixture(scope="module")
def broker(serving: Any, fixtures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A broker in Berlin with F.0 and the steps above."""
    with serving(tmp_path_factory.mktemp("times"), devices={"*": {"profile": "generic"}}) as running:
        load_f0(running, fixtures)
        load(running, *STEPS)
        yield running


def ask(broker: Any, *keys: str) -> Answer:
    """Query with findscu for date and time of each step."""
    named = {key.partition("=")[0] for key in keys}
    return Findscu().find(
        broker.addresses["dicom"],
        [identifier("step", *keys, *(word for word in ("date", "time") if word not in named))],
    )[0]


def starts(answer: Answer) -> dict[str, tuple[str, str]]:
    """Return date and time by step."""
    items = [item.ScheduledProcedureStepSequence[0] for item in answer]
    return {
        item.ScheduledProcedureStepID: (
            item.ScheduledProcedureStepStartDate,
            item.ScheduledProcedureStepStartTime,
        )
        for item in items
    }


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        pytest.param(("date=20260716", "time=06-07"), {"T01": ("20260716", "063000")}, id="F-T01"),
        # D-28: where MSH-7 states an offset it holds for every time stamp without one.
        pytest.param(("date=20260715",), {"T02": ("20260715", "100000")}, id="F-T02"),
        pytest.param(("date=20260329",), {"T03": ("20260329", "023000")}, id="F-T03"),
        pytest.param(
            ("date=20261025",),
            {"T04A": ("20261025", "023000"), "T04B": ("20261025", "023000")},
            id="F-T04",
        ),
        pytest.param(
            ("date=20261025", "time=0200-0300"),
            {"T04A": ("20261025", "023000"), "T04B": ("20261025", "023000")},
            id="F-T05",
        ),
        # not negotiated, (0008,0201) is ignored; S1 begins at 0900 local time.
        pytest.param(("date=20260705", "time=0700-0830", "TimezoneOffsetFromUTC=+0000"), {}, id="F-T07"),
        pytest.param(("date=20260708",), {"S9": ("20260708", "000000")}, id="F-T09 its day"),
        pytest.param(("date=20260707", "time=1831-"), {}, id="F-T09 the day before"),
        pytest.param(("date=20260716", "time=-0100"), {"T12": ("20260716", "000000")}, id="F-T12"),
    ],
)
def test_a_day_is_the_day_of_the_site(broker: Any, keys: tuple[str, ...], expected: dict[str, Any]) -> None:
    """What a device asks for and gets is the wall clock of the house."""
    answer = ask(broker, *keys)

    assert starts(answer) == expected
    assert answer.final == SUCCESS


def test_f_t06_a_negotiated_zone_is_the_zone_of_query_and_response(broker: Any) -> None:
    """07:00 to 08:30 UTC are S1 and S2, and the response speaks UTC and says so."""
    offer = SOPClassExtendedNegotiation()
    offer.sop_class_uid = UID(WORKLIST)
    offer.service_class_application_information = b"\1\1\0\1"
    keys = identifier("step", "date=20260705", "time=0700-0830", "TimezoneOffsetFromUTC=+0000")
    with associated(broker.addresses["dicom"], ext_neg=[offer]) as association:
        granted = association.acceptor.sop_class_extended.get(UID(WORKLIST))
        answer = find(association, keys)

    assert granted == b"\1\1\0\1"
    assert starts(answer) == {"S1": ("20260705", "070000"), "S2": ("20260705", "083000")}
    assert {item.TimezoneOffsetFromUTC for item in answer} == {"+0000"}


@pytest.mark.parametrize("key", ["TimezoneOffsetFromUTC", "TimezoneOffsetFromUTC=+0200"])
def test_f_t08_no_offset_is_returned(broker: Any, key: str) -> None:
    """Asked for or not, (0008,0201) is not there; it may never be zero-length."""
    answer = ask(broker, "date=20260707", key)

    assert answer.steps == ["S6", "S7", "S8"]
    assert all("TimezoneOffsetFromUTC" not in item for item in answer)


def test_f_t10_another_site_has_its_own_wall_clock(
    serving: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """New York, in the hour that comes twice: what was ordered is what is shown, also after a restart."""
    folder = tmp_path_factory.mktemp("newyork")
    changes = {"devices": {"*": {"profile": "generic"}}, "site": {"timezone": "America/New_York"}}
    with serving(folder, **changes) as running:
        load(running, Step("T10", start="20261101013000"), Step("T10Z", start="20261101053000+0000"))
        before = starts(ask(running, "date=20261101"))
        running.stop()
        running.start()
        after = starts(ask(running, "date=20261101"))

    assert before == after == {"T10": ("20261101", "013000"), "T10Z": ("20261101", "013000")}
