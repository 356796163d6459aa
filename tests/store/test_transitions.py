"""The one door to a step's state."""

from __future__ import annotations

import itertools

import pytest
from sqlalchemy import select

from mwl import lifecycle
from mwl.errors import Refusal, Refused
from mwl.lifecycle import Actor, StepEvent, StepState
from mwl.model import OrderAction, OrderMessage, ProcedureChange, text
from mwl.store import Store, Transaction, orders, transitions
from mwl.store.promoted import load
from mwl.store.tables import step_history, steps

STEP = {"00400009": {"vr": "SH", "Value": ["S1"]}}
ORDER = OrderMessage(
    "RIS",
    {"00100020": {"vr": "LO", "Value": ["PID001"]}},
    (ProcedureChange(OrderAction.CREATE, {"00080050": {"vr": "SH", "Value": ["ACC1"]}}, (STEP,)),),
)


@pytest.fixture
def key(store: Store) -> int:
    """The key of a scheduled step, the only one."""
    made = store.write_now(lambda tx: orders.apply(tx, ORDER, source="hl7", uid_root=None, told=()))
    return made.steps[0]


def put(store: Store, key: int, state: StepState) -> None:
    store.write_now(lambda tx: tx.connection.execute(steps.update().values(state=state.value)))


def stored(tx: Transaction) -> tuple:
    row = tx.connection.execute(select(steps)).one()
    lines = [tuple(line) for line in tx.connection.execute(select(step_history).order_by(step_history.c.key))]
    return row.state, text(load(row.document), transitions.STATUS), row.revision, lines


PAIRS = list(itertools.product(StepState, StepEvent))


def test_every_transition_of_the_table_is_made(store, key):
    """State, document, revision and history change together."""
    for state, event in PAIRS:
        if (move := lifecycle.advance(state, event, Actor.PERSON)) is None:
            continue
        after = move.after
        put(store, key, state)
        _, _, revision, _ = store.read_now(stored)

        returned = store.write_now(advance(key, event, source="console anna", reason="by hand"))

        *now, lines = store.read_now(stored)
        assert (returned, *now) == (after, after, after, revision + 1)
        assert lines[-1][3:] == (event, state, after, "console anna", "by hand")


def test_what_the_table_does_not_allow_changes_nothing(store, key):
    """The state stays, no revision is spent and no history is written, save of a cancellation that came late."""
    for state, event in PAIRS:
        for by in Actor:
            if lifecycle.advance(state, event, by) is not None or comes_late(state, event, by):
                continue
            put(store, key, state)
            before = store.read_now(stored)

            returned = store.write_now(advance(key, event, source=f"{by} somebody"))

            assert returned is state
            assert store.read_now(stored) == before


def comes_late(state, event, by):
    """Tell whether an order, or a person, asks to cancel an exam that has begun."""
    begun = state in {StepState.STARTED, StepState.COMPLETED, StepState.DISCONTINUED}
    return event is StepEvent.CANCEL and begun and by in {Actor.ORDER, Actor.PERSON}


def test_a_cancellation_that_comes_late_is_remembered_once(store, key):
    """It moves nothing, and counts when the exam is taken back."""
    for state, by in itertools.product(StepState, Actor):
        if not comes_late(state, StepEvent.CANCEL, by):
            continue
        put(store, key, state)
        *before, _ = store.read_now(stored)

        for _ in range(2):
            assert store.write_now(advance(key, StepEvent.CANCEL, source=f"{by} somebody")) is state
        *now, lines = store.read_now(stored)

        assert now == before
        assert [line[3] for line in lines].count("asked to cancel") == 1
        assert store.read_now(lambda tx: transitions.is_cancelled(tx, key))


def test_a_hold_changes_no_state(store, key):
    """What waits is held and released: flag, revision and history change, the state does not."""
    for state in lifecycle.WAITING:
        put(store, key, state)
        _, _, revision, _ = store.read_now(stored)

        for held in (True, True, False, False):
            assert store.write_now(hold(key, held=held)) is state
            assert store.read_now(lambda tx: tx.connection.scalar(select(steps.c.held))) is held

        now, _, after, lines = store.read_now(stored)
        assert (now, after) == (state, revision + 2)
        assert [line[3:6] for line in lines[-2:]] == [("hold", state, state), ("release", state, state)]


def test_what_has_begun_or_is_closed_is_not_held(store, key):
    """Nothing changes; what was held before is released all the same."""
    for state in set(StepState) - lifecycle.WAITING:
        put(store, key, state)
        before = store.read_now(stored)

        assert store.write_now(hold(key, held=True)) is state

        assert store.read_now(stored) == before


def hold(key: int, *, held: bool):
    return lambda tx: transitions.hold(tx, key, held=held, source="hl7")


def advance(key: int, event: StepEvent, **more: str):
    return lambda tx: transitions.advance(tx, key, event, **more)


def test_an_unknown_step_is_refused(store):
    """Moving a step that does not exist says so."""
    with pytest.raises(Refused) as caught:
        store.write_now(lambda tx: transitions.advance(tx, 404, StepEvent.BEGIN, source="mpps 1.2 CT1"))

    assert caught.value.reason is Refusal.UNKNOWN


def test_history_carries_the_time_of_the_transaction(store, key):
    """The history's time is the step's own time of change."""
    store.write_now(lambda tx: transitions.advance(tx, key, StepEvent.ARRIVE, source="hl7"))

    updated_at, at = store.read_now(
        lambda tx: (
            tx.connection.scalar(select(steps.c.updated_at)),
            tx.connection.scalars(select(step_history.c.at).order_by(step_history.c.key)).all()[-1],
        )
    )
    assert updated_at == at
