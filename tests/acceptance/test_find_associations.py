"""Vectors F-A of the worklist, and F-C45 and F-C46: how associations begin and end, octet by octet."""

from __future__ import annotations

import sqlite3
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import UID
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from pynetdicom.sop_class import ModalityPerformedProcedureStep

from acceptance.find_orders import Step, load, report
from foreign.dicom.answer import PENDING, SUCCESS
from foreign.dicom.clients import associated, find
from foreign.dicom.device import (
    ABORT,
    ACCEPT,
    IMPLICIT,
    REJECT,
    RELEASE_RP,
    associate_rq,
    connected,
    implicit,
)
from foreign.dicom.identifier import WORKLIST, identifier

STORE = "1.2.840.10008.5.1.4.1.1.7"
EVERYTHING = implicit(x00100010=b"", x00401400=b"")
LIMITS = {"associations": 2, "artim": 1}
LONG = "x" * 10_000


@pytest.fixture(scope="module")
def broker(serving: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A broker that knows one device, holds two associations, and 300 steps of 10 kB."""
    changes = {
        "devices": {"WS": {"profile": "everything"}},
        "mappings": str(Path(__file__).parent / "mappings"),
        "dicom": {"ae_title": "MWL", "listen": "127.0.0.1:0", "limits": LIMITS},
    }
    with serving(tmp_path_factory.mktemp("associations"), **changes) as running:
        load(running, *(_hundred(number) for number in range(3)))
        yield running


def _hundred(number: int) -> str:
    segments = Step(f"B{number}", stations="CT_1\\CT_2").order().split("\r")
    ipc = segments.pop().split("|")
    segments.append(f"NTE|1||{LONG}")
    for n in range(100):
        ipc[4] = f"B{number}-{n}"
        segments.append("|".join(ipc))
    return "\r".join(segments)


def metric(broker: Any, name: str) -> float:
    """Return a figure that the broker publishes."""
    host, port = broker.addresses["web"]
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=30) as page:
        lines = page.read().decode().splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} "))


@pytest.fixture(autouse=True)
def _free(broker: Any) -> None:
    """What the test before left is gone: this broker holds two associations."""
    wait_until_free(broker)


def wait_until_free(broker: Any) -> None:
    """Wait until no association is open."""
    for _ in range(5000):  # the figure is asked for again and again: nothing tells of it
        if metric(broker, "mwl_dicom_associations_open") == 0:
            return
    pytest.fail("an association stayed open")


@pytest.mark.parametrize(
    ("titles", "reason"),
    [
        pytest.param({"calling": "STRANGER"}, (1, 1, 3), id="F-A01"),
        pytest.param({"called": "OTHER"}, (1, 1, 7), id="F-A02"),
        pytest.param({"called": "../OTHER"}, (1, 1, 7), id="F-A12 a path called"),
        pytest.param({"calling": "../OTHER"}, (1, 1, 3), id="F-A12 a path calling"),
        pytest.param({"called": "A\\B"}, (1, 1, 7), id="F-A12 a backslash called"),
        pytest.param({"calling": "A\\B"}, (1, 1, 3), id="F-A12 a backslash calling"),
        pytest.param({"calling": "WS' OR 1=1 --"}, (1, 1, 3), id="F-A12 SQL"),
        # PS3.8 has 16 octets for a title: of 17 characters the last does not travel.
        pytest.param({"called": "MWL4567890123456X"}, (1, 1, 7), id="F-A12 17 characters"),
    ],
)
def test_a_title_that_is_not_known_is_rejected(
    broker: Any, titles: dict[str, str], reason: tuple[int, int, int]
) -> None:
    """A-ASSOCIATE-RJ with result, source and reason; the file system hears nothing of it."""
    before = sorted(path.name for path in broker.folder.parent.rglob("*"))
    with connected(broker.addresses["dicom"]) as device:
        device.send(associate_rq(**titles))
        kind, body = device.receive()

    assert (kind, tuple(body[1:4])) == (REJECT, reason)
    assert sorted(path.name for path in broker.folder.parent.rglob("*")) == before


def test_f_a03_one_association_too_many_is_refused_for_now(broker: Any) -> None:
    """2/3/2, transient: when one of the others is released there is room again."""
    address = broker.addresses["dicom"]
    with connected(address) as first, connected(address) as second, connected(address) as third:
        first.associate()
        second.associate()
        third.send(associate_rq())
        refused = third.receive()
        assert first.release() == RELEASE_RP
        with connected(address) as fourth:
            fourth.send(associate_rq())
            accepted, _ = fourth.receive()
            assert fourth.release() == RELEASE_RP
        assert second.release() == RELEASE_RP

    assert (refused[0], tuple(refused[1][1:4])) == (REJECT, (2, 3, 2))
    assert accepted == ACCEPT


def test_f_a04_a_service_nobody_has_is_refused_by_its_context(broker: Any) -> None:
    """The association is accepted, its context is not (result 3), and it is released in order."""
    with connected(broker.addresses["dicom"]) as device:
        accepted = device.associate((STORE, [IMPLICIT]))
        released = device.release()

    results = accepted.to_primitive().presentation_context_definition_results_list
    assert [context.result for context in results] == [3]
    assert released == RELEASE_RP


@pytest.mark.parametrize("sent", [b"", associate_rq()[:40]], ids=["F-A05", "F-A06"])
def test_a_device_that_does_not_ask_is_closed(broker: Any, sent: bytes) -> None:
    """ARTIM ends a connection without a request, or with half of one; the next device is served."""
    with connected(broker.addresses["dicom"]) as silent:
        silent.send(sent)
        answer = b"".join(body for _, body in iter(silent.receive, (0, b"")))
        with connected(broker.addresses["dicom"]) as other:
            other.associate()
            assert other.release() == RELEASE_RP

    assert len(answer) in (0, 4)  # nothing, or an A-ABORT


@pytest.mark.parametrize("max_pdu", [0, 4096])
def test_f_a07_what_is_sent_fits_what_the_device_takes(broker: Any, max_pdu: int) -> None:
    """0 is no limit; under 4096 a response of 10 kB comes in fragments, and is whole."""
    with connected(broker.addresses["dicom"]) as device:
        device.associate(max_pdu=max_pdu)
        device.find(EVERYTHING)
        answer = device.answer()
        assert device.release() == RELEASE_RP

    assert [message.status for message in answer] == [PENDING] * 300 + [SUCCESS]
    assert all(LONG.encode() in message.data for message in answer[:-1])
    longest = max(length for message in answer for length in message.lengths)
    assert longest <= max_pdu if max_pdu else longest > 4096


def test_f_a13_worklist_and_performed_steps_share_an_association(broker: Any) -> None:
    """Each context serves its own service."""
    step = Step("A13", start="20260901080000", accession="ACC13", procedure="RP13", study="1.2.276.0.99.13")
    load(broker, step)
    with associated(broker.addresses["dicom"], WORKLIST, ModalityPerformedProcedureStep) as association:
        found = find(association, identifier("step=A13"))
        created = report(association, step, "IN PROGRESS")
        completed = report(association, step, "COMPLETED")
        after = find(association, identifier("step=A13"), message_id=9)

    assert (found.steps, after.steps) == (["A13"], [])
    assert (created, completed) == (0, 0)


def test_f_a14_an_abort_in_mid_answer_leaves_nothing_behind(broker: Any) -> None:
    """No open association, no reader on the database, no more threads or files than before."""
    process = Path(f"/proc/{broker.process.pid}")
    wait_until_free(broker)
    for _ in range(3):  # most readers of the database are there then
        _abort_in_mid_answer(broker)
    before = [len(list((process / kind).iterdir())) for kind in ("task", "fd")]
    for _ in range(10):
        _abort_in_mid_answer(broker)
    after = [len(list((process / kind).iterdir())) for kind in ("task", "fd")]
    with sqlite3.connect(broker.folder / "mwl.db") as database:
        busy, *_ = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    database.close()

    # What leaks would leak ten times; a reader that was not there before has a thread and three files.
    assert max(now - then for now, then in zip(after, before, strict=True)) < 10
    assert busy == 0  # a reader that is still there would make it 1


def _abort_in_mid_answer(broker: Any) -> None:
    with connected(broker.addresses["dicom"]) as device:
        device.associate()
        device.find(EVERYTHING)
        assert device.message().status == PENDING
        device.abort()
    wait_until_free(broker)


@pytest.mark.parametrize(
    ("offered", "answers"),
    [
        pytest.param(b"\1\1\1", (b"\1\1\1", b"\1\1\0"), id="F-C45"),
        pytest.param(b"\1\1\1\1", (b"\1\1\0", b"\1\1\1", *(bytes((1, 1, f, z)) for f in (0, 1) for z in (0, 1))),
                     id="F-C46 four"),
        pytest.param(None, (None,), id="F-C46 none"),
    ],
)  # fmt: skip
def test_extended_negotiation_is_answered_in_kind(
    broker: Any, offered: bytes | None, answers: tuple[Any, ...]
) -> None:
    """A-05: as many bytes as were offered at most, the first two 1; nothing offered, nothing answered."""
    extra = []
    if offered is not None:
        item = SOPClassExtendedNegotiation()
        item.sop_class_uid = UID(WORKLIST)
        item.service_class_application_information = offered
        extra.append(item)
    with connected(broker.addresses["dicom"]) as device:
        accepted = device.associate(extra=extra)
        assert device.release() == RELEASE_RP

    granted = [
        item.service_class_application_information
        for item in accepted.to_primitive().user_information
        if isinstance(item, SOPClassExtendedNegotiation)
    ]
    assert (granted[0] if granted else None) in answers


def test_an_answer_after_a_violation_is_an_abort(broker: Any) -> None:
    """Data on a context that was never accepted ends this association and no other."""
    with connected(broker.addresses["dicom"]) as device:
        device.associate()
        device.find(EVERYTHING, context=7)
        kind, _ = device.receive()

    assert kind == ABORT
