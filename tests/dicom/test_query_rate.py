"""How much one device may ask."""

from __future__ import annotations

import pytest

from mwl.dicom.query_rate import QueryRate


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Time, in seconds."""
    return Clock()


def test_a_device_may_ask_so_often_and_then_as_time_goes(clock):
    """60 a minute: as many at once, then one a second."""
    rate = QueryRate(60, clock=clock)
    at_once = [rate.allows("CT1") for _ in range(61)]
    clock.now = 1.0
    later = [rate.allows("CT1") for _ in range(2)]

    assert at_once == [True] * 60 + [False]
    assert later == [True, False]


def test_what_was_saved_is_bounded(clock):
    """A device that was silent for a day may ask as much as in one minute."""
    rate = QueryRate(2, clock=clock)
    rate.allows("CT1")
    clock.now = 86_400.0

    assert [rate.allows("CT1") for _ in range(3)] == [True, True, False]


def test_long_answers_count_more(clock):
    """Everything, every second: an answer of 5000 items counts as 50 queries."""
    rate = QueryRate(60, clock=clock)
    allowed = 0
    for second in range(60):
        clock.now = float(second)
        if rate.allows("CT1"):
            allowed += 1
            rate.answered("CT1", 5000)

    assert allowed == 3


def test_one_device_does_not_take_from_another(clock):
    """Each has its own allowance."""
    rate = QueryRate(1, clock=clock)
    rate.allows("CT1")

    assert not rate.allows("CT1")
    assert rate.allows("CT2")


def test_without_a_bound_nobody_is_counted(clock):
    """An empty setting."""
    rate = QueryRate(None, clock=clock)

    assert all(rate.allows("CT1") for _ in range(10_000))
