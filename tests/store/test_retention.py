"""Old messages go, a few at a time, with what belongs to them alone."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import func, select

from mwl.model import OrderAction, OrderMessage, ProcedureChange, WorklistItem
from mwl.store import Store, Transaction, journal, messages, orders, retention
from mwl.store.journal import Wanted
from mwl.store.messages import KeyKind, MessageRecord, SearchKey
from mwl.store.tables import message_attempts, message_keys, message_links, steps

BEGAN = dt.datetime(2026, 7, 5, 8, 0, tzinfo=dt.UTC)


def at(store: Store, days: float) -> None:
    """Set the store's clock to so many days after the beginning."""
    store._writer._clock = lambda: BEGAN + dt.timedelta(days=days)


def come(store: Store, n: int, outcome: str = "AA") -> None:
    record = MessageRecord("x", f"MSH|{n}".encode(), keys=(SearchKey(KeyKind.PATIENT, "P1"),))

    def work(tx: Transaction) -> None:
        messages.answered(tx, messages.arrived(tx, record), outcome, None)

    store.write_now(work)


def purge(store: Store, days: float, most: int = retention.BATCH) -> int:
    before = BEGAN + dt.timedelta(days=days)
    return store.write_now(lambda tx: retention.purge_messages(tx, before, most=most))


def left(store: Store) -> list[int]:
    return store.read_now(lambda tx: journal.in_order(tx, Wanted()))


def test_what_is_older_goes_and_what_is_younger_stays(store: Store) -> None:
    """The age counts from when a message came last."""
    for n in (1, 2, 3):
        at(store, n)
        come(store, n)
    at(store, 4)
    come(store, 1)

    assert purge(store, 2.5) == 1
    assert left(store) == [1, 3]


def test_a_purge_takes_a_few_at_a_time(store: Store) -> None:
    """The oldest first, until none is left."""
    for n in range(5):
        at(store, n)
        come(store, n)

    assert [purge(store, 99, most=2) for _ in range(4)] == [2, 2, 1, 0]
    assert left(store) == []


def test_what_belongs_to_a_message_goes_with_it_and_what_it_touched_stays(
    store: Store, f0_items: dict[str, WorklistItem]
) -> None:
    """Numbers, attempts and links are the message's; steps are not."""
    item = f0_items["S2"]
    change = ProcedureChange(OrderAction.CREATE, item.procedure, (item.step,))
    at(store, 0)
    come(store, 1, "AE")
    come(store, 1)

    def work(tx: Transaction) -> None:
        done = orders.apply(
            tx, OrderMessage("RIS", item.patient, (change,)), source="x", uid_root=None, told=()
        )
        messages.link(tx, 1, procedures=done.procedures, steps=done.steps)

    store.write_now(work)
    purge(store, 1)

    def rows(tx: Transaction) -> list[int | None]:
        tables = (message_keys, message_attempts, message_links, steps)
        return [tx.connection.scalar(select(func.count()).select_from(each)) for each in tables]

    assert store.read_now(rows) == [0, 0, 0, 1]
