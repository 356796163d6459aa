"""What happens to a scheduled step: the one door to its state, and the history of it.

HL7, MPPS, the console and the clock come through here; what may follow what, and by whom, is
`mwl.lifecycle.STEP` and nothing else.  A *source* says who it is in its first word ("hl7 RIS 12345",
"mpps 1.2.3 CT1", "console anna", "clock").  The state column, (0040,0020) in the document, the revision
and the history change together or not at all.

A cancellation that comes when the exam has begun does not stop it (F-H09), and is remembered: what comes
back because the exam counts as if it had never been is then no worklist's, but CANCELED.

A hold is no state: it takes a step off every worklist and leaves it the state it has (C.4).  The clock
holds what has been idle for too long (M12); such a step is back as soon as it is scheduled anew.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, exists, select, update

from mwl import lifecycle
from mwl.errors import Refusal, Refused
from mwl.lifecycle import Actor, PerformedState, StepEvent, StepState
from mwl.model import Element
from mwl.store.prepared import Prepared, change, new
from mwl.store.promoted import dump, load
from mwl.store.tables import performed, performed_links, step_history, step_stations, steps
from mwl.store.transaction import Transaction

STATUS = "00400020"
"""Scheduled Procedure Step Status: in the stored document always the state."""

# Lines of the history that are no events of a state: the first one, and what holds a step back.
_CREATED, _HELD, _RELEASED = "create", "hold", "release"
# What an order asks for when the exam has begun: it moves nothing then.
_CANCELLED_LATE, _ORDERED_AGAIN = "asked to cancel", "ordered again"

_NEW_START, _BEGUN = "it has a new start", "its exam has begun"


def status(state: StepState) -> Element:
    """Return (0040,0020) for *state*."""
    return {"vr": "CS", "Value": [state.value]}


def advance(tx: Transaction, step_key: int, event: StepEvent, *, source: str, reason: str = "") -> StepState:
    """Let *event* happen to a step and return its state after it.

    An event the table does not allow changes nothing: the state it is in comes back; that its order was
    cancelled is remembered all the same.  The row is locked until the transaction ends.  Raises `Refused`
    (UNKNOWN).
    """
    row = _locked(tx, step_key)
    before = StepState(row.state)
    move = lifecycle.advance(before, event, lifecycle.actor(source))
    if move is None or (move.resting and runs(tx, step_key)):
        if event is StepEvent.CANCEL and _comes_late(before, source) and not is_cancelled(tx, step_key):
            _remember(tx, step_key, _CANCELLED_LATE, before.value, before, source=source, reason=_BEGUN)
        return before
    after = move.after
    document = {**load(row.document), STATUS: status(after)}
    _change(tx, row, {"state": after.value, "document": dump(document)})
    if (before in lifecycle.CLOSED) is not (after in lifecycle.CLOSED):
        _CLOSE.run(tx.connection, {"step": step_key, "closed": after in lifecycle.CLOSED})
    _remember(tx, step_key, event.value, before.value, after, source=source, reason=reason)
    return after


def _comes_late(before: StepState, source: str) -> bool:
    """Tell whether a cancellation found an exam that had begun; device and clock cancel no orders."""
    begun = before not in lifecycle.WAITING | {StepState.CANCELLED}
    return begun and lifecycle.actor(source) in {Actor.ORDER, Actor.PERSON}


def runs(tx: Transaction, step_key: int) -> bool:
    """Tell whether a performed step of a step is IN PROGRESS."""
    return bool(_RUNNING.scalar(tx.connection, {"step": step_key}))


def is_cancelled(tx: Transaction, step_key: int) -> bool:
    """Tell whether the order of a step was cancelled and not ordered again, whatever was performed of it."""
    return tx.connection.scalar(_LAST_OF_ORDER, {"step": step_key}) in (StepEvent.CANCEL, _CANCELLED_LATE)


def ordered_again(tx: Transaction, step_key: int, *, source: str) -> None:
    """Remember that the order of a step that has begun is cancelled no more."""
    if is_cancelled(tx, step_key):
        remark(tx, step_key, _ORDERED_AGAIN, source=source, reason=_BEGUN)


def is_held(tx: Transaction, step_key: int) -> bool:
    """Tell whether a step is on hold; locks and raises as `advance`."""
    return bool(_locked(tx, step_key).held)


def hold(tx: Transaction, step_key: int, *, held: bool, source: str, reason: str = "") -> StepState:
    """Put a step on hold, or end that, and return its state, which stays.

    What has begun or is closed cannot be put on hold: that changes nothing.  Locks and raises as
    `advance` does.
    """
    row = _locked(tx, step_key)
    state = StepState(row.state)
    if row.held is not held and (state in lifecycle.WAITING or not held):
        _change(tx, row, {"held": held})
        event = _HELD if held else _RELEASED
        _remember(tx, step_key, event, state.value, state, source=source, reason=reason)
    return state


def rescheduled(tx: Transaction, step_key: int, *, source: str) -> bool:
    """Put back on the worklist what the clock took off it, for it starts later now; tell whether it did."""
    last = tx.connection.scalar(_LAST_HOLD, {"step": step_key})
    if last is None or last.partition(" ")[0] != Actor.CLOCK:
        return False
    hold(tx, step_key, held=False, source=source, reason=_NEW_START)
    return True


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


def _locked(tx: Transaction, step_key: int) -> Any:
    row = _STEP.first(tx.connection, {"step": step_key})
    if row is None:
        raise Refused(Refusal.UNKNOWN, "no such scheduled step", step=step_key)
    return row


def _change(tx: Transaction, row: Any, values: dict[str, Any]) -> None:
    changed = {**values, "revision": row.revision + 1, "updated_at": tx.stamp}
    change(steps, tuple(changed)).run(tx.connection, {"row": row.key, **changed})


def _remember(
    tx: Transaction, step_key: int, event: str, before: str, after: StepState, *, source: str, reason: str
) -> None:
    line = {
        "step_key": step_key, "at": tx.stamp, "event": event, "before": before, "after": after.value,
        "source": source, "reason": reason,
    }  # fmt: skip
    _REMEMBER.run(tx.connection, line)


# Built once: to build a statement costs more than to run it.
_STEP = Prepared(select(steps).where(steps.c.key == bindparam("step")).with_for_update())
_CLOSE = Prepared(
    update(step_stations)
    .where(step_stations.c.step_key == bindparam("step"))
    .values(closed=bindparam("closed"))
)
_REMEMBER = new(step_history)
_RUNNING = Prepared(
    select(
        exists()
        .select_from(performed.join(performed_links))
        .where(
            performed_links.c.step_key == bindparam("step"),
            performed.c.state == PerformedState.IN_PROGRESS.value,
        )
        .label("runs")
    )
)
_LAST_OF_ORDER = (
    select(step_history.c.event)
    .where(
        step_history.c.step_key == bindparam("step"),
        step_history.c.event.in_(
            [
                StepEvent.CANCEL.value,
                _CANCELLED_LATE,
                StepEvent.REOPEN.value,
                _ORDERED_AGAIN,
            ]
        ),
    )
    .order_by(step_history.c.key.desc())
    .limit(1)
)
_LAST_HOLD = (
    select(step_history.c.source)
    .where(step_history.c.step_key == bindparam("step"), step_history.c.event == _HELD)
    .order_by(step_history.c.key.desc())
    .limit(1)
)
