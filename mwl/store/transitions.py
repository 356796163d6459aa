"""What happens to a scheduled step: the one door to its state, and the history of it.

HL7, MPPS and the console come through here; what may follow what is `mwl.lifecycle.STEP` and
nothing else.  The state column, (0040,0020) in the document, the revision and the history change
together or not at all.  A hold is no state: it takes a step off every worklist and leaves it the state
it has (C.4).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, bindparam, insert, select, update

from mwl import lifecycle
from mwl.errors import Refusal, Refused
from mwl.lifecycle import StepEvent, StepState
from mwl.model import Element
from mwl.store.promoted import dump, load
from mwl.store.tables import step_history, steps
from mwl.store.transaction import Transaction

STATUS = "00400020"
"""Scheduled Procedure Step Status: in the stored document always the state."""

# Lines of the history that are no events of a state: the first one, and what holds a step back.
_CREATED, _HELD, _RELEASED = "create", "hold", "release"


def status(state: StepState) -> Element:
    """Return (0040,0020) for *state*."""
    return {"vr": "CS", "Value": [state.value]}


def advance(tx: Transaction, step_key: int, event: StepEvent, *, source: str, reason: str = "") -> StepState:
    """Let *event* happen to a step and return its state after it.

    An event the table does not allow changes nothing: the state it is in comes back.  The row is
    locked until the transaction ends.  Raises `Refused` (UNKNOWN).
    """
    row = _locked(tx, step_key)
    before = StepState(row.state)
    after = lifecycle.advance(before, event)
    if after is None:
        return before
    document = {**load(row.document), STATUS: status(after)}
    _change(tx, row, {"state": after.value, "document": dump(document)})
    _remember(tx, step_key, event.value, before.value, after, source=source, reason=reason)
    return after


def hold(tx: Transaction, step_key: int, *, held: bool, source: str) -> StepState:
    """Put a step on hold, or end that, and return its state, which stays.

    What has begun or is closed cannot be put on hold: that changes nothing.  Locks and raises as
    `advance` does.
    """
    row = _locked(tx, step_key)
    state = StepState(row.state)
    if row.held is not held and (state in lifecycle.WAITING or not held):
        _change(tx, row, {"held": held})
        event = _HELD if held else _RELEASED
        _remember(tx, step_key, event, state.value, state, source=source, reason="")
    return state


def state(tx: Transaction, step_key: int) -> StepState:
    """Return a step's state and lock the row until the transaction ends; raises `Refused` (UNKNOWN)."""
    return StepState(_locked(tx, step_key).state)


def created(tx: Transaction, step_key: int, state: StepState, *, source: str) -> None:
    """Write the first line of a new step's history."""
    _remember(tx, step_key, _CREATED, "", state, source=source, reason="")


def remark(tx: Transaction, step_key: int, event: str, *, source: str, reason: str) -> None:
    """Write a line of a step's history about what left its state as it is.  Locks and raises as `advance`."""
    state = StepState(_locked(tx, step_key).state)
    _remember(tx, step_key, event, state.value, state, source=source, reason=reason)


def _locked(tx: Transaction, step_key: int) -> Row[Any]:
    row = tx.connection.execute(_STEP, {"step": step_key}).one_or_none()
    if row is None:
        raise Refused(Refusal.UNKNOWN, "no such scheduled step", step=step_key)
    return row


def _change(tx: Transaction, row: Row[Any], values: dict[str, Any]) -> None:
    changed = {**values, "revision": row.revision + 1, "updated_at": tx.stamp}
    tx.connection.execute(_CHANGE, {"step": row.key, **changed})


def _remember(
    tx: Transaction, step_key: int, event: str, before: str, after: StepState, *, source: str, reason: str
) -> None:
    line = {
        "step_key": step_key, "at": tx.stamp, "event": event, "before": before, "after": after.value,
        "source": source, "reason": reason,
    }  # fmt: skip
    tx.connection.execute(_REMEMBER, line)


# Built once: to build a statement costs more than to run it.
_STEP = select(steps).where(steps.c.key == bindparam("step")).with_for_update()
_CHANGE = update(steps).where(steps.c.key == bindparam("step"))
_REMEMBER = insert(step_history).inline()
