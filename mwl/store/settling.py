"""What a person, or the clock, decides about a performed step: link it, take it away, end it, let it be.

The scheduled steps move by the same table as ever (`mwl.lifecycle`) and their systems are told; who it was
and why stands in the history of each step and with the performed step.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import delete, insert, update

from mwl import lifecycle
from mwl.errors import Refusal, Refused
from mwl.lifecycle import PerformedState
from mwl.store import attaching, instances, onward, progress, telling, transitions
from mwl.store.attaching import Situation
from mwl.store.instances import STATUS, PerformedStep
from mwl.store.linking import FROM_LINKING, Remark
from mwl.store.progress import Followed
from mwl.store.promoted import storable
from mwl.store.tables import performed_links
from mwl.store.telling import Told
from mwl.store.transaction import Transaction

BY_HAND = "by hand"
"""The rule of a link that a person made, or confirmed."""

_GONE = frozenset({Remark.UNLINKED, *FROM_LINKING}) - {Remark.NUMBERS_DIFFER, Remark.CANCELLED_ORDER}
"""What nobody need be told any more once a person has linked it."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Who decided, and why."""

    by: str  # as in the history of a step: "console anna", "clock"
    reason: str

    def note(self, what: str) -> str:
        """Return the line that is kept with the performed step."""
        return storable(f"{self.by}: {what}" + (f": {self.reason}" if self.reason else ""))


def link(
    tx: Transaction, key: int, step_key: int, decision: Decision, under: Situation
) -> tuple[PerformedStep, Followed]:
    """Link a performed step to a scheduled one, or confirm that link; raises `Refused` (UNKNOWN)."""
    step = instances.numbered(tx, key, lock=True)
    transitions.state(tx, step_key)
    known = instances.links(tx, key)
    same = (performed_links.c.performed_key == key) & (performed_links.c.step_key == step_key)
    if step_key in known:
        tx.connection.execute(update(performed_links).where(same).values(rule=BY_HAND))
    else:
        tx.connection.execute(
            insert(performed_links).values(performed_key=key, step_key=step_key, rule=BY_HAND)
        )
    new = step_key not in known
    followed = attaching.follow(
        tx, step, [step_key], under, source=decision.by, reason=decision.reason, begins=new
    )
    if new:
        attaching.tell_begun(tx, step, followed, under)
    if step.state is not PerformedState.IN_PROGRESS:
        attaching.tell_ended(tx, step, followed, under)
    step = instances.remarked(tx, step, {*step.remarks} - _GONE)
    return _settled(tx, step, decision, f"linked to step {step_key}"), followed[step_key]


def unlink(
    tx: Transaction, key: int, decision: Decision, under: Situation, *, step_key: int | None = None
) -> Mapping[int, Followed]:
    """Take a performed step from one of its scheduled steps, or from all; it will not be linked by itself.

    A step that was where this performed step had brought it goes where the others leave it.  Raises
    `Refused` (UNKNOWN for a performed step that is not linked so).
    """
    step = instances.numbered(tx, key, lock=True)
    taken = [each for each in instances.links(tx, key) if step_key in (None, each)]
    if not taken:
        of = "a scheduled step" if step_key is None else f"step {step_key}"
        raise Refused(Refusal.UNKNOWN, f"performed step {key} is not linked to {of}")
    followed = {each: _taken_away(tx, step, each, decision, under) for each in taken}
    _tell(tx, followed, decision, under.told)
    step = instances.remarked(tx, step, {*step.remarks, Remark.UNLINKED})
    named = ", ".join(f"step {each}" for each in taken)
    _settled(tx, step, decision, f"unlinked from {named}")
    return followed


def _taken_away(
    tx: Transaction, step: PerformedStep, step_key: int, decision: Decision, under: Situation
) -> Followed:
    given = progress.given(tx, step_key, under.conducts)
    tx.connection.execute(
        delete(performed_links).where(
            performed_links.c.performed_key == step.key, performed_links.c.step_key == step_key
        )
    )
    before = transitions.state(tx, step_key)
    if before is not given:  # its order, or a person, brought it where it is: that stands
        return Followed(before, before, {})
    return progress.follow(
        tx, step_key, source=decision.by, conducts=under.conducts, reason=decision.reason, undoing=given
    )


def close(
    tx: Transaction, key: int, state: PerformedState, decision: Decision, under: Situation
) -> tuple[PerformedStep, Mapping[int, Followed]]:
    """End a performed step that its device will not end (B-08): what it says later is refused.

    Raises `Refused` (UNKNOWN, FINAL).
    """
    stored = instances.numbered(tx, key, lock=True)
    if state not in lifecycle.PERFORMED[stored.state]:
        raise Refused(Refusal.FINAL, f"performed step {key} is {stored.state} and stays so")
    document = {**stored.document, STATUS: {"vr": "CS", "Value": [state.value]}}
    step = instances.changed(tx, stored, state, document)
    linked = instances.links(tx, key)
    followed = attaching.follow(tx, step, linked, under, source=decision.by, reason=decision.reason)
    onward.closed(tx, step, under.onward)
    _tell(tx, followed, decision, under.told)
    return instances.noted(tx, step, decision.note(f"ended as {state}")), followed


def settle(tx: Transaction, key: int, decision: Decision) -> PerformedStep:
    """Remember that a person has looked at what is remarkable; raises `Refused` (UNKNOWN)."""
    return _settled(tx, instances.numbered(tx, key, lock=True), decision, "looked at")


def _settled(tx: Transaction, step: PerformedStep, decision: Decision, what: str) -> PerformedStep:
    return instances.settled(tx, instances.noted(tx, step, decision.note(what)), decision.by)


def _tell(tx: Transaction, followed: Mapping[int, Followed], decision: Decision, told: Told) -> None:
    moved: Collection[int] = [key for key, each in followed.items() if each.moved]
    telling.moved(tx, moved, told=told, reason=decision.reason)
