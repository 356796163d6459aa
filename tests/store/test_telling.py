"""What systems hear of their steps, besides what performed steps report: once, from others, as they asked."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update

from mwl.lifecycle import StepState
from mwl.model import (
    Arrival,
    OrderAction,
    OrderMessage,
    PatientChange,
    PatientMessage,
    ProcedureChange,
    ScheduleMessage,
    StatusEvent,
)
from mwl.store import Store, Transaction, effects, orders, outbox, tables, telling
from mwl.store.promoted import dump
from mwl.store.telling import REPORTED, Told

EVERYTHING: Told = frozenset((system, event) for system in ("RIS", "HIS") for event in StatusEvent)


def element(vr: str, *values: object) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)}


PATIENT = {"00100020": element("LO", "PID001")}
PROCEDURE = {
    "00080050": element("SH", "ACC1"), "00401001": element("SH", "RP1"), "0020000D": element("UI", "1.2.3"),
    "00402016": element("LO", "P1"),
}  # fmt: skip


def step(n: int) -> dict[str, Any]:
    return {"00400009": element("SH", f"S{n}"), "00400002": element("DA", "20260705")}


def message(action: OrderAction, *steps: dict[str, Any], system: str = "RIS") -> OrderMessage:
    return OrderMessage(system, PATIENT, (ProcedureChange(action, PROCEDURE, steps),))


def send(store: Store, sent: Any, told: Told = EVERYTHING) -> tuple[int, ...]:
    return store.write_now(lambda tx: effects.apply(tx, sent, source="hl7", uid_root=None, told=told)).steps


@pytest.fixture
def keys(store: Store) -> tuple[int, ...]:
    """The steps S1 and S2 of an order of the RIS."""
    return send(store, message(OrderAction.CREATE, step(1), step(2)))


def heard(store: Store) -> list[tuple[str, str, int]]:
    """Return what is to be sent, the oldest first: to whom, what, of how many steps."""
    rows = reversed(store.read_now(outbox.browse))
    return [(row.destination, row.event, len(row.facts["steps"])) for row in rows]


def put(store: Store, state: StepState, *keys: int) -> None:
    """Bring steps to a state, as if something had."""
    change = update(tables.steps).where(tables.steps.c.key.in_(keys)).values(state=state.value)
    store.write_now(lambda tx: tx.connection.execute(change))


def moved(store: Store, *keys: int, told: Told = EVERYTHING, by: str = "", reason: str = "") -> None:
    store.write_now(lambda tx: telling.moved(tx, keys, told=told, by=by, reason=reason))


def test_every_state_has_its_event():
    """Nothing that can become of a step is without a word."""
    assert REPORTED.keys() == set(StepState)
    assert set(REPORTED.values()) == set(StatusEvent)


@pytest.mark.parametrize("state", StepState)
def test_a_step_that_was_moved_is_told_by_its_state(store, keys, state):
    """With the facts as they are now, and the reason that was given."""
    put(store, state, keys[0])
    moved(store, keys[0], reason="the patient fainted")

    [row] = store.read_now(outbox.browse)
    assert (row.destination, row.event, row.about) == ("RIS", REPORTED[state].value, {keys[0]})
    assert row.facts["procedure"]["00402016"]["Value"] == ["P1"]
    assert row.facts["patient"] == PATIENT
    assert [each["00400009"]["Value"] for each in row.facts["steps"]] == [["S1"]]
    assert (row.facts["reason"], row.facts["performed"]) == ("the patient fainted", {})


def test_steps_of_one_procedure_are_told_together_by_state(store, keys):
    """One message for each state they are in (C-32)."""
    put(store, StepState.CANCELLED, *keys)
    moved(store, *keys)
    put(store, StepState.ARRIVED, keys[1])
    moved(store, *keys)

    assert heard(store) == [("RIS", "CA", 2), ("RIS", "CA", 1), ("RIS", "ARRIVED", 1)]


@pytest.mark.parametrize(
    "told", [frozenset(), frozenset({("RIS", StatusEvent.BEGUN)}), {("HIS", StatusEvent.CANCELLED)}]
)
def test_who_has_not_asked_for_it_hears_nothing(store, keys, told):
    """Of events, and of systems."""
    put(store, StepState.CANCELLED, *keys)
    moved(store, *keys, told=told)

    assert heard(store) == []


def test_c_34_who_said_so_itself_hears_nothing(store, keys):
    """The others do."""
    put(store, StepState.CANCELLED, *keys)
    moved(store, *keys, by="RIS")
    before = heard(store)
    moved(store, *keys, by="HIS")

    assert (before, heard(store)) == ([], [("RIS", "CA", 2)])


def test_what_a_device_reported_goes_along_without_its_own_reason(store, keys):
    """A person completes what a device began: the start is known, and the reason is the person's."""
    performed = {
        "00400244": element("DA", "20260705"), "00400281": element("SQ", {"00080100": element("SH", "110501")}),
    }  # fmt: skip

    def work(tx: Transaction) -> None:
        for uid, document in (("1.1", {}), ("1.2", performed)):
            made = tx.connection.execute(
                tables.performed.insert()
                .values(sop_instance_uid=uid, state="IN PROGRESS", calling_ae="CT1", created_at="", updated_at="",
                        document=dump(document))
                .returning(tables.performed.c.key)
            ).scalar_one()  # fmt: skip
            tx.connection.execute(
                tables.performed_links.insert().values(performed_key=made, step_key=keys[0], rule="x")
            )

    store.write_now(work)
    put(store, StepState.COMPLETED, *keys)
    moved(store, keys[0])

    [row] = store.read_now(outbox.browse)
    assert row.facts["performed"] == {"00400244": element("DA", "20260705")}


# --- messages that move steps --------------------------------------------------------------------


def test_an_order_of_its_own_system_is_not_echoed(store, keys):
    """The RIS cancels, completes and orders anew: it knows."""
    for action in (OrderAction.ARRIVE, OrderAction.CANCEL):
        send(store, message(action))
    send(store, message(OrderAction.CREATE, step(1), step(2)))

    assert heard(store) == []


@pytest.mark.parametrize(
    ("action", "event"),
    [
        (OrderAction.ARRIVE, "ARRIVED"), (OrderAction.CANCEL, "CA"), (OrderAction.DISCONTINUE, "DC"),
        (OrderAction.COMPLETE, "CM"),
    ],
)  # fmt: skip
def test_an_order_that_another_system_moves_is_told_to_its_own(store, keys, action, event):
    """Once: said twice, nothing moves the second time."""
    for _ in range(2):
        send(store, message(action, system="HIS"))

    assert heard(store) == [("RIS", event, 2)]


def test_an_order_that_another_system_puts_back_is_told(store, keys):
    """Cancelled by the RIS, ordered again by the HIS."""
    send(store, message(OrderAction.CANCEL))
    send(store, message(OrderAction.CREATE, step(1), step(2), system="HIS"))

    assert heard(store) == [("RIS", "SC", 2)]


@pytest.mark.parametrize(("system", "told"), [("RIS", []), ("HIS", [("RIS", "ARRIVED", 2)])])
def test_an_arrival_is_told_to_whom_it_is_news(store, keys, system, told):
    """A10 of the RIS, and of another system."""
    sent = PatientMessage(system, (PatientChange(PATIENT),), arrival=Arrival(day="20260705"))
    for _ in range(2):
        send(store, sent)

    assert heard(store) == told


@pytest.mark.parametrize(("system", "told"), [("RIS", []), ("HIS", [("RIS", "CA", 2)])])
def test_an_appointment_that_is_cancelled_is_told_to_whom_it_is_news(store, keys, system, told):
    """S15 of another system takes the order's steps off the worklist."""
    sent = ScheduleMessage(
        system, OrderAction.CANCEL, PATIENT, ({"00402016": element("LO", "P1")},), {}, ({},)
    )
    for _ in range(2):
        send(store, sent)

    assert heard(store) == told


def test_a_message_that_is_refused_tells_nobody(store, keys):
    """What is taken back is taken back whole."""
    unknown = ProcedureChange(OrderAction.CANCEL, {"00080050": element("SH", "NONE")}, ())
    known = ProcedureChange(OrderAction.CANCEL, PROCEDURE, ())

    with pytest.raises(orders.Unacceptable):
        send(store, OrderMessage("HIS", PATIENT, (known, unknown)))

    assert heard(store) == []
    states = store.read_now(lambda tx: tx.connection.execute(select(tables.steps.c.state)).scalars().all())
    assert set(states) == {"SCHEDULED"}
