"""Refused messages are kept up to so many octets a day; what comes above is counted."""

from __future__ import annotations

import datetime as dt

import pytest

from mwl.store import Store, Transaction, allowances
from mwl.store.allowances import Allowance, Allowances, Limit, RefusedDay

DAY = dt.datetime(2026, 7, 5, 23, 59, tzinfo=dt.UTC)


@pytest.fixture
def clock(store: Store) -> list[dt.datetime]:
    """The store's time: the last of the list."""
    times = [DAY]
    store._writer._clock = lambda: times[-1]
    return times


def take(store: Store, octets: int, limit: Limit) -> bool:
    return store.write_now(lambda tx: allowances.take(tx, limit, octets))


def days(store: Store, since: str = "") -> list[RefusedDay]:
    return store.read_now(lambda tx: allowances.days(tx, since=since))


def test_room_is_taken_until_none_is_left(store: Store, clock: list[dt.datetime]) -> None:
    """A message that does not fit is left out, one that does is kept."""
    limit = Limit(Allowance.UNKNOWN, 100)

    kept = [take(store, octets, limit) for octets in (60, 50, 40, 1)]

    assert kept == [True, False, True, False]
    assert days(store) == [RefusedDay("2026-07-05", Allowance.UNKNOWN, kept=2, octets=100, left_out=2)]


def test_rubbish_does_not_take_the_room_of_orders(store: Store, clock: list[dt.datetime]) -> None:
    """Each allowance is its own."""
    assert not take(store, 1000, Limit(Allowance.UNKNOWN, 100))

    assert take(store, 1000, Limit(Allowance.REFUSED, 1000))


def test_every_day_has_its_room(store: Store, clock: list[dt.datetime]) -> None:
    """The day is UTC's."""
    limit = Limit(Allowance.REFUSED, 100)
    take(store, 100, limit)
    clock.append(DAY + dt.timedelta(minutes=2))

    assert take(store, 100, limit)
    assert [day.day for day in days(store)] == ["2026-07-05", "2026-07-06"]
    assert [day.day for day in days(store, since="2026-07-06")] == ["2026-07-06"]


def test_counts_are_forgotten_with_the_messages(store: Store, clock: list[dt.datetime]) -> None:
    """The day of the instant itself stays."""
    take(store, 1, Limit(Allowance.REFUSED, 100))
    clock.append(DAY + dt.timedelta(days=1))
    take(store, 1, Limit(Allowance.REFUSED, 100))

    def forget(tx: Transaction) -> None:
        allowances.forget(tx, tx.stamp)

    store.write_now(forget)

    assert [day.day for day in days(store)] == ["2026-07-06"]


def test_each_allowance_has_its_limit() -> None:
    """What the configuration says of one does not count for the other."""
    both = Allowances(refused=7, unknown=3)

    assert both.limit(Allowance.REFUSED) == Limit(Allowance.REFUSED, 7)
    assert both.limit(Allowance.UNKNOWN) == Limit(Allowance.UNKNOWN, 3)
