"""Old messages go, a few at a time, with what belongs to them alone."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from sqlalchemy import func, select
from store.exams import U1, U2, House, began, item, merge, order, unscheduled

from mwl.errors import Refused
from mwl.lifecycle import OutboxState
from mwl.model import OrderAction, OrderMessage, ProcedureChange, WorklistItem
from mwl.store import Store, Transaction, journal, messages, orders, outbox, retention, tables, transitions
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


# ── what is finished ──


def keep(house: House, days: float) -> tuple[int, int]:
    """Delete what was finished so many days ago; return how many procedures and exams without one."""
    before = house.now - dt.timedelta(days=days)
    exams = house.store.write_now(lambda tx: retention.purge_performed(tx, before))
    found = house.store.read_now(lambda tx: retention.finished(tx, before))
    return house.store.write_now(lambda tx: retention.purge_finished(tx, before, found)), exams


def counts(house: House, *tables_: Any) -> list[int]:
    return [len(house.rows(table)) for table in tables_]


ALL_OF_IT = (
    tables.patients, tables.procedures, tables.steps, tables.step_history, tables.step_stations,
    tables.performed, tables.performed_links,
)  # fmt: skip


def test_a_finished_procedure_goes_as_a_whole(house: House) -> None:
    """Steps, history, stations, exams and the patient, of whom nothing else is known."""
    house.send(order("1001", "S1", "S2"))
    house.create(U1, began(item("1001", "S1"), item("1001", "S2")))
    house.update()
    house.now += dt.timedelta(days=400)

    early, late = keep(house, 401), keep(house, 399)

    assert (early, late) == ((0, 0), (1, 0))
    assert counts(house, *ALL_OF_IT) == [0] * len(ALL_OF_IT)


def test_what_waits_or_runs_stays_however_old_it_is(house: House) -> None:
    """A sibling that was never done, an exam that was never ended, a step on the worklist."""
    house.send(order("1001", "S1", "S2"))
    house.create(U1)
    house.update(U1)
    house.send(order("1002", "S3"))
    house.create(U2, began(item("1002", "S3")))
    house.send(order("1003", "S4"))
    house.now += dt.timedelta(days=400)

    assert keep(house, 1) == (0, 0)
    assert counts(house, tables.procedures, tables.steps, tables.performed) == [3, 4, 2]


def test_what_was_heard_of_lately_stays(house: House) -> None:
    """An old step that was completed yesterday; an exam that was appended."""
    house.send(order("1001", "S1"))
    house.now += dt.timedelta(days=400)
    house.create()
    house.update()

    house.now += dt.timedelta(days=1)

    assert keep(house, 2) == (0, 0)


def test_what_the_clock_took_off_goes_too(house: House) -> None:
    """Nobody reported it, and nobody will."""
    [key] = house.send(order("1001", "S1"))
    house.store.write_now(lambda tx: transitions.hold(tx, key, held=True, source="clock", reason="idle"))
    house.now += dt.timedelta(days=400)

    assert keep(house, 399) == (1, 0)


def test_a_patient_with_other_orders_or_other_ids_stays(house: House) -> None:
    """A prior ID must go on leading somewhere."""
    house.send(order("1001", "S1", action=OrderAction.CREATE))
    house.send(order("1001", action=OrderAction.CANCEL))
    house.send(order("1002", "S2", patient="PID002"))
    house.send(order("1002", action=OrderAction.CANCEL, patient="PID002"))
    house.send(merge("PID002", "PID555"))
    house.now += dt.timedelta(days=400)
    house.send(order("1003", "S3"))

    assert keep(house, 399) == (2, 0)
    assert {row.patient_id for row in house.rows(tables.patients)} == {"PID001", "PID002", "PID555"}


def test_an_exam_without_an_order_goes_by_its_end(house: House) -> None:
    """One that runs stays; one of an order goes with the order."""
    house.create(U1, began(unscheduled()))
    house.update(U1)
    house.create(U2, began(unscheduled("1.2.3.4.6")))
    house.now += dt.timedelta(days=400)

    assert keep(house, 399) == (0, 1)
    assert [row.sop_instance_uid for row in house.rows(tables.performed)] == [U2]


def test_finished_procedures_go_a_few_at_a_time(house: House) -> None:
    """The oldest first; steps of one procedure count once."""
    for n in range(5):
        house.send(order(str(n), f"A{n}", f"B{n}", start=f"2026070{n + 1} 090000"))
        house.send(order(str(n), action=OrderAction.CANCEL))
    house.now += dt.timedelta(days=400)
    before = house.now - dt.timedelta(days=100)

    def purge() -> int:
        found = house.store.read_now(lambda tx: retention.finished(tx, before, most=2))
        return house.store.write_now(lambda tx: retention.purge_finished(tx, before, found))

    assert [purge() for _ in range(4)] == [2, 2, 1, 0]


def test_what_went_on_after_it_was_found_stays(house: House) -> None:
    """Between the look and the deletion somebody appended to the exam."""
    house.send(order("1001", "S1"))
    house.create()
    house.update()
    house.now += dt.timedelta(days=400)
    before = house.now - dt.timedelta(days=100)

    found = house.store.read_now(lambda tx: retention.finished(tx, before))
    house.create(U2, began(item("1001", "S1")))

    assert len(found) == 1
    assert house.store.write_now(lambda tx: retention.purge_finished(tx, before, found)) == 0
    assert counts(house, tables.procedures, tables.performed) == [1, 2]


# ── patients without procedures ──


def forget(house: House, days: float) -> int:
    """Delete the patients of whom nothing was said for so many days; return how many."""
    before = house.now - dt.timedelta(days=days)
    found = house.store.read_now(lambda tx: retention.forgotten(tx, before))
    return house.store.write_now(lambda tx: retention.purge_patients(tx, before, found))


def test_a_patient_goes_with_the_ids_merged_into_it_when_nothing_is_left_of_it(house: House) -> None:
    """While a procedure is on record all of its IDs stay."""
    house.send(order("1001", "S1"))
    house.send(order("1001", action=OrderAction.CANCEL))
    house.send(merge("PID001", "PID555"))
    house.now += dt.timedelta(days=400)

    with_procedure = forget(house, 399)
    keep(house, 399)

    assert (with_procedure, forget(house, 401), forget(house, 399)) == (0, 0, 1)
    assert counts(house, tables.patients) == [0]


def test_a_patient_whose_ids_were_merged_lately_stays(house: House) -> None:
    """What comes tomorrow under the prior ID must find the one who is left."""
    house.send(order("1001", "S1"))
    house.send(order("1001", action=OrderAction.CANCEL))
    house.now += dt.timedelta(days=400)
    keep(house, 399)
    house.send(merge("PID007", "PID555"))

    house.now += dt.timedelta(days=10)

    assert forget(house, 11) == 0
    assert {row.patient_id for row in house.rows(tables.patients)} == {"PID007", "PID555"}
    assert forget(house, 9) == 1


# ── what was sent ──


def sent(house: House, *threads: str, kind: str = outbox.STATUS) -> list[int]:
    """Write a row for each of these threads; return their keys."""

    def work(tx: Transaction) -> list[int]:
        for thread in threads:
            outbox.enqueue(tx, destination="RIS", thread=thread, facts={"about": [1]}, kind=kind)
        return outbox.keys(tx, OutboxState.PENDING)[-len(threads) :]

    return house.store.write_now(work)


def clear(house: House, days: float, most: int = retention.BATCH) -> int:
    """Delete outbox rows that ended so many days ago; return how many."""
    before = house.now - dt.timedelta(days=days)
    return house.store.write_now(lambda tx: retention.purge_outbox(tx, before, most=most))


def test_what_was_sent_goes_and_what_was_not_stays(house: House) -> None:
    """Delivered and discarded rows by their end; pending and parked ones however old."""
    done, given_up, refused, waiting = sent(house, "a", "b", "c", "d")
    house.store.write_now(lambda tx: outbox.delivered(tx, done))
    house.store.write_now(lambda tx: outbox.discard(tx, given_up))
    house.store.write_now(lambda tx: outbox.parked(tx, refused, "AE"))
    house.now += dt.timedelta(days=400)

    assert [clear(house, 401), clear(house, 399, most=1), clear(house, 399), clear(house, 399)] == [
        0,
        1,
        1,
        0,
    ]
    assert [row.key for row in house.rows(tables.outbox)] == [refused, waiting]


def test_what_overtook_a_parked_row_stays_with_it(house: House) -> None:
    """Sent again a year later, the parked row would be a lie all the same (C-33)."""
    first, second = sent(house, "a", "a")
    house.store.write_now(lambda tx: outbox.parked(tx, first, "AE"))
    house.store.write_now(lambda tx: outbox.delivered(tx, second))
    house.now += dt.timedelta(days=400)

    assert clear(house, 1) == 0
    with pytest.raises(Refused, match="overtaken"):
        house.store.write_now(lambda tx: outbox.retry(tx, first))


@pytest.mark.parametrize("state", [OutboxState.PENDING, OutboxState.PARKED])
def test_an_exam_that_is_still_to_be_sent_on_stays(house: House, state: OutboxState) -> None:
    """With its order or without: the request that is sent is kept with it, however long the archive is away."""
    house.send(order("1001", "S1"))
    house.create(U1)
    house.update(U1)
    house.create(U2, began(unscheduled()))
    house.update(U2)
    rows = sent(house, *(f"forward:{exam.key}" for exam in house.rows(tables.performed)), kind="forward")
    if state is OutboxState.PARKED:
        house.store.write_now(lambda tx: [outbox.parked(tx, row, "refused") for row in rows] and None)
    house.now += dt.timedelta(days=400)

    waiting = keep(house, 100), len(house.rows(tables.performed))
    for row in rows:
        house.store.write_now(lambda tx, row=row: outbox.discard(tx, row))

    assert waiting == ((0, 0), 2)
    assert keep(house, 100) == (1, 1)


def test_the_first_request_of_an_exam_that_runs_stays(house: House) -> None:
    """By it the next one knows that the peer was sent the first."""
    house.create()
    key = house.exam().key
    (begun,) = sent(house, f"forward:{key}")
    house.store.write_now(lambda tx: outbox.delivered(tx, begun))
    house.now += dt.timedelta(days=400)

    running = clear(house, 1)
    house.update()

    assert (running, clear(house, 1)) == (0, 1)
