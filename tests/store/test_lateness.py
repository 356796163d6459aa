"""Which message came late."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwl.store.lateness import UNSTATED, Moment, Stamps

BERLIN = ZoneInfo("Europe/Berlin")


def at(hour: int) -> dt.datetime:
    return dt.datetime(2026, 7, 1, hour, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("first", "second", "late"),
    [
        ((10, None), (9, None), True),
        ((10, None), (10, None), False),
        ((10, None), (11, None), False),
        ((None, 10), (None, 9), True),
        ((10, 10), (9, 9), True),
        ((10, 10), (9, 10), True),
        ((10, 10), (9, 11), False),
        ((10, 10), (11, 9), False),
        ((10, None), (9, 8), True),
        ((10, 8), (9, None), True),
        ((None, 10), (9, None), False),
        ((None, None), (9, 9), False),
    ],
)
def test_a_message_is_late_when_a_stamp_is_older_and_none_is_newer(
    first: tuple[int | None, int | None], second: tuple[int | None, int | None], late: bool
) -> None:
    """Each case: MSH-7 and ORC-9 of what was applied, and of what comes after it."""
    one, other = (Moment(*(at(hour) if hour else None for hour in each)) for each in (first, second))

    assert other.is_late(one.after(Stamps())) is late


def test_the_hour_that_comes_twice_makes_nothing_late() -> None:
    """Between two and three on the night the clocks go back a wall clock may mean either hour (F-T04)."""
    first, later = (Moment(dt.datetime(2026, 10, 25, 2, minute, tzinfo=BERLIN)) for minute in (50, 10))

    assert not later.is_late(first.after(Stamps()))
    assert Moment(dt.datetime(2026, 10, 25, 1, 50, tzinfo=BERLIN)).is_late(first.after(Stamps()))


AROUND = st.integers(0, 2880).map(
    lambda minutes: dt.datetime(2026, 10, 24, tzinfo=dt.UTC) + dt.timedelta(minutes=minutes)
)
MOMENTS = st.builds(Moment, st.none() | AROUND.map(lambda each: each.astimezone(BERLIN)), st.none() | AROUND)


@given(st.lists(MOMENTS, max_size=5), MOMENTS)
def test_a_message_that_comes_twice_is_late_twice_or_never(before: list[Moment], message: Moment) -> None:
    """Whatever was applied before, the second time is like the first."""
    last = Stamps()
    for each in before:
        last = each.after(last)

    after = message.after(last)

    assert message.is_late(after) is message.is_late(last)
    assert message.after(after) == after


def test_the_clocks_of_two_systems_are_not_compared() -> None:
    """What another system said an hour ahead makes nothing late; from then on its stamps count."""
    ris, his = Moment(at(10), system="RIS"), Moment(at(11), system="HIS")
    last = his.after(ris.after(Stamps()))

    assert not Moment(at(10), system="RIS").is_late(last)
    assert Moment(at(10), system="HIS").is_late(last)


def test_what_is_not_stated_is_never_late() -> None:
    """A message without stamps counts like the last one."""
    assert not UNSTATED.is_late(Moment(at(10), at(10)).after(Stamps()))
    assert UNSTATED.after(Stamps("a", "b")) == Stamps("a", "b")
