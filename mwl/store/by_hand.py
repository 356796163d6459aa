"""What a person does with scheduled steps: the same events as ever, through the same door.

All of the steps that are named move, or none: a person who mistypes a number has changed nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mwl import lifecycle
from mwl.errors import Refusal, Refused
from mwl.lifecycle import WAITING, StepEvent, StepState
from mwl.store import telling, transitions
from mwl.store.promoted import storable
from mwl.store.telling import Told
from mwl.store.transaction import Transaction

_DONE = {
    StepEvent.ARRIVE: StepState.ARRIVED,
    StepEvent.MAKE_READY: StepState.READY,
    StepEvent.COMPLETE: StepState.COMPLETED,
    StepEvent.DISCONTINUE: StepState.DISCONTINUED,
    StepEvent.CANCEL: StepState.CANCELLED,
    StepEvent.REOPEN: StepState.SCHEDULED,
}
"""What a person can do, and what comes of it; an exam begins by a performed step alone."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A step before and after."""

    step_key: int
    before: StepState
    after: StepState


def move(
    tx: Transaction, step_keys: Sequence[int], event: StepEvent, *, by: str, reason: str, told: Told
) -> list[Moved]:
    """Let *event* happen to steps, told by *by* ("console anna") for this *reason*.

    REOPEN also puts back what is on hold.  Raises `Refused` (UNKNOWN; FINAL where the state of one of them
    does not allow it), and the caller's transaction takes back what was done before.
    """
    moved = [_moved(tx, key, event, by, storable(reason)) for key in sorted(set(step_keys))]
    changed = [each.step_key for each in moved if each.before is not each.after]
    telling.moved(tx, changed, told=told, reason=storable(reason))
    return moved


def _moved(tx: Transaction, step_key: int, event: StepEvent, by: str, reason: str) -> Moved:
    before = transitions.state(tx, step_key)
    if event is StepEvent.REOPEN and before in WAITING and transitions.is_held(tx, step_key):
        transitions.hold(tx, step_key, held=False, source=by, reason=reason)
        return Moved(step_key, before, before)
    after = transitions.advance(tx, step_key, event, source=by, reason=reason)
    if after is not _DONE[event] or after is before:
        raise Refused(Refusal.FINAL, f"step {step_key} {_objection(tx, step_key, before, event, by)}")
    return Moved(step_key, before, after)


def _objection(tx: Transaction, step_key: int, state: StepState, event: StepEvent, by: str) -> str:
    allowed = lifecycle.advance(state, event, lifecycle.actor(by))
    if allowed is not None and allowed.resting and transitions.runs(tx, step_key):
        return "has an exam that is IN PROGRESS: end or unlink that first (mwl performed)"
    possible = [each.value for each in _DONE if lifecycle.advance(state, each, lifecycle.actor(by))]
    return f"is {state}: {event} is not possible, {' or '.join(possible) or 'nothing'} is"
