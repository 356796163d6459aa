"""What happens to a scheduled step: the one door to its state, and the history of it.

HL7, MPPS and the console come through here; what may follow what is `mwl.lifecycle.STEP` and
nothing else.  The state column, (0040,0020) in the document, the revision and the history change
together or not at all.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, insert, select, update

from mwl import lifecycle
from mwl.errors import Refusal, Refused
from mwl.lifecycle import StepEvent, StepState
from mwl.model import Element
from mwl.store.promoted import dump, load
from mwl.store.tables import step_history, steps
from mwl.store.transaction import Transaction

STATUS = "00400020"
"""Scheduled Procedure Step Status: in the stored document always the state."""

_CREATED = "create"  # the first line of a step's history; not an event, for nothing precedes it


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
    tx.connection.execute(
        update(steps).where(steps.c.key == step_key).values(
            state=after.value, document=dump(document),
            revision=row.revision + 1, updated_at=tx.stamp,
        )
    )  # fmt: skip
    _remember(tx, step_key, event.value, before.value, after, source=source, reason=reason)
    return after


def state(tx: Transaction, step_key: int) -> StepState:
    """Return a step's state and lock the row until the transaction ends; raises `Refused` (UNKNOWN)."""
    return StepState(_locked(tx, step_key).state)


def created(tx: Transaction, step_key: int, state: StepState, *, source: str) -> None:
    """Write the first line of a new step's history."""
    _remember(tx, step_key, _CREATED, "", state, source=source, reason="")


def _locked(tx: Transaction, step_key: int) -> Row[Any]:
    found = select(steps).where(steps.c.key == step_key).with_for_update()
    row = tx.connection.execute(found).one_or_none()
    if row is None:
        raise Refused(Refusal.UNKNOWN, "no such scheduled step", step=step_key)
    return row


def _remember(
    tx: Transaction, step_key: int, event: str, before: str, after: StepState, *, source: str, reason: str
) -> None:
    tx.connection.execute(
        insert(step_history).values(
            step_key=step_key, at=tx.stamp, event=event, before=before, after=after.value,
            source=source, reason=reason,
        )
    )  # fmt: skip
