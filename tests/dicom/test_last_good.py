"""Lists kept for when no new one can be made: by device and query, bounded, and never too old."""

from __future__ import annotations

import datetime as dt

import pytest

from mwl.dicom.last_good import LastGood

PENDING = 0xFF00
MINUTE = dt.timedelta(minutes=1)


class Clock:
    """Seconds as a test says."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """It stands still until it is moved."""
    return Clock()


def test_a_list_is_found_by_device_and_query(clock: Clock) -> None:
    """The latest of the same words; nobody else's."""
    lists = LastGood(clock=clock)
    lists.keep("CT1", b"q", [b"old"], PENDING)
    lists.keep("CT1", b"q", [b"a", b"b"], PENDING)

    kept = lists.get("CT1", b"q", MINUTE)

    assert kept is not None
    assert (kept.responses, kept.pending) == ((b"a", b"b"), PENDING)
    assert lists.get("CT1", b"r", MINUTE) is None
    assert lists.get("CT2", b"q", MINUTE) is None


def test_a_list_that_is_too_old_is_none(clock: Clock) -> None:
    """Its age is told; without a bound no list is good enough."""
    lists = LastGood(clock=clock)
    lists.keep("CT1", b"q", [], PENDING)
    clock.now = 60

    kept = lists.get("CT1", b"q", MINUTE)

    assert kept is not None
    assert (kept.responses, lists.age(kept)) == ((), 60)
    assert lists.get("CT1", b"q", dt.timedelta(seconds=59)) is None
    assert lists.get("CT1", b"q", None) is None


def test_a_device_has_so_many_lists(clock: Clock) -> None:
    """Its oldest goes; another's stay."""
    lists = LastGood(lists=2, clock=clock)
    lists.keep("MR1", b"q", [b"x"], PENDING)
    for query in (b"1", b"2", b"1", b"3"):
        lists.keep("CT1", query, [query], PENDING)

    assert [bool(lists.get("CT1", query, MINUTE)) for query in (b"1", b"2", b"3")] == [True, False, True]
    assert lists.get("MR1", b"q", MINUTE)


def test_all_lists_together_have_so_many_bytes(clock: Clock) -> None:
    """The oldest of all go; one that is larger than all is not kept."""
    lists = LastGood(capacity=1000, clock=clock)
    for device in ("CT1", "CT2", "CT3"):
        lists.keep(device, b"q", [bytes(300)], PENDING)

    assert [bool(lists.get(device, b"q", MINUTE)) for device in ("CT1", "CT2", "CT3")] == [False, True, True]
    assert lists.size <= 1000

    lists.keep("CT4", b"q", [bytes(2000)], PENDING)

    assert lists.get("CT4", b"q", MINUTE) is None
    assert lists.size == 0
