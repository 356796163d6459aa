"""Captured queries asked again: as the device would now, or as they came."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from workbench.at_hand import ELE, bound, step

from mwl import config
from mwl.dicom.emulators.keys import data_set, encoded
from mwl.dicom.encoding import decode_dataset
from mwl.mapping import paths
from mwl.store.queries import CapturedQuery
from mwl.workbench.bench import Bench
from mwl.workbench.in_memory import AtHand
from mwl.workbench.replay import Asking, askings, compared

NOW = dt.datetime(2026, 7, 5, 22, 30, tzinfo=dt.UTC)  # already the 6th in Berlin
DATE = paths.parse_path("SPS.ScheduledProcedureStepStartDate")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A site in Berlin that takes anyone."""
    path = tmp_path / "mwl.yaml"
    path.write_text(f"site: {{timezone: Europe/Berlin}}\nmappings: {tmp_path}/mappings\n")
    return Bench.open(config.load(path, {}))


def captured(key: int, at: str, *lines: str, syntax: str = ELE, **more) -> CapturedQuery:
    """Return a query on record."""
    return CapturedQuery("CT1", encoded(data_set(lines, {}), syntax), syntax, at, "0000", key=key, **more)


def start_of(asking: Asking) -> str:
    """Return the start date that is asked for."""
    found = paths.get(decode_dataset(asking.question.identifier, asking.question.transfer_syntax), DATE)
    return found["Value"][0] if found else ""


def test_a_query_asks_for_the_day_on_which_it_is_asked_again(bench):
    """The days that have passed are the site's days, not those of UTC."""
    query = captured(
        1, "2026-07-03T06:00:00+00:00", "PatientName", "SPS.ScheduledProcedureStepStartDate=20260703-20260704"
    )

    (asking,) = askings(bench, [query], NOW)

    assert start_of(asking) == "20260706-20260707"
    assert asking.dates == (("20260703-20260704", "20260706-20260707"),)
    assert f"{asking.facts.now:%Y%m%d%H%M}" == "202607060030"


def test_without_moved_dates_it_is_asked_as_it_came_and_when_it_came(bench):
    """So `$today` of a profile is the day of the query, too."""
    query = captured(
        1, "2026-07-02T23:30:00+00:00", "PatientName", "SPS.ScheduledProcedureStepStartDate=20260703"
    )

    (asking,) = askings(bench, [query], NOW, shifted=False)

    assert (start_of(asking), asking.dates) == ("20260703", ())
    assert f"{asking.facts.now:%Y%m%d%H%M}" == "202607030130"


def test_queries_that_are_the_same_today_are_asked_once(bench):
    """A console asks for its own day every morning: a month of that is one question."""
    days = [
        captured(
            day,
            f"2026-07-{day:02}T06:00:00+00:00",
            f"SPS.ScheduledProcedureStepStartDate=202607{day:02}",
            count=3,
        )
        for day in (5, 4, 3)
    ]
    other = captured(9, "2026-07-03T06:00:00+00:00", "SPS.Modality=MR")

    found = list(askings(bench, [*days, other], NOW))

    assert [[each.key for each in asking.captured] for asking in found] == [[5, 4, 3], [9]]
    assert [asking.times for asking in found] == [9, 1]


def test_the_caller_is_the_one_who_asked(bench):
    """Address and implementation are part of the question: a profile may read them."""
    query = captured(
        1, "2026-07-05T06:00:00+00:00", "PatientName", address="10.1.2.3", implementation_uid="1.2.3"
    )

    (asking,) = askings(bench, [query], NOW)

    assert (asking.facts.calling_ae, asking.facts.address, asking.facts.implementation_uid) == (
        "CT1", "10.1.2.3", "1.2.3",
    )  # fmt: skip


def test_bytes_that_are_no_data_set_are_asked_as_they_are(bench, tmp_path):
    """The outcome says what the device would be told."""
    query = CapturedQuery(
        "CT1", b"\x00\x01rubbish", "1.2.840.10008.1.2.1.99", "2026-07-03T06:00:00+00:00", "C002"
    )

    (asking,) = askings(bench, [query], NOW)
    profile = bound(tmp_path)
    found = compared(AtHand([step(1)]), asking, profile, profile, bench.zone)

    assert (found.before.status, found.after.status, found.differs) == (0xC002, 0xC002, False)
