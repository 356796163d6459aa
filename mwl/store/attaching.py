"""Linking a performed step: to which scheduled steps, what becomes of them, and what is remarked on.

The same for an N-CREATE, for an order that comes after its exam, and for a merge that makes two patients
one: the ladder of the device chooses for each item (`mwl.store.linking`), the steps that are one line to
the device come along (`mwl.store.companions`), and all of them follow (`mwl.store.progress`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mwl.conduct import ORDER_KEYS, Conduct, Conducts
from mwl.discontinuation import ORDER_AT_FAULT, reasons
from mwl.errors import Refusal, Refused
from mwl.lifecycle import PerformedState, StepState
from mwl.store import conflicts, instances, linking, progress, telling, transitions
from mwl.store.candidates import candidates
from mwl.store.companions import companions
from mwl.store.instances import PerformedStep
from mwl.store.linking import FROM_LINKING, Choice, Remark
from mwl.store.onward import NOBODY, Onward
from mwl.store.prepared import new
from mwl.store.progress import CONFLICT, Followed
from mwl.store.tables import performed_links
from mwl.store.telling import Told
from mwl.store.transaction import Transaction

_ONE_LINE = "one line with step"  # the rule of a step that came along, with the key of the one that was named


_LINK = new(performed_links)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request: the performed step, the scheduled steps it is linked to, what is new."""

    step: PerformedStep
    linked: tuple[int, ...]
    findings: tuple[Remark, ...] = ()


@dataclass(frozen=True, slots=True)
class Situation:
    """Under what configuration something happens: how each device's exams count, and who is told."""

    conducts: Conducts
    told: Told
    onward: Onward = NOBODY


def attach(tx: Transaction, step: PerformedStep, under: Situation, *, refusing: bool = False) -> Outcome:
    """Link a performed step that is not linked, let the scheduled steps follow, and tell.

    *refusing* is whether the profile may refuse it: what was accepted stays.  Raises `Refused`
    (NOT_TAKEN).
    """
    conduct = under.conducts.of(step.calling_ae)
    meant = chosen(tx, step, conduct)
    rules, remarks = meant.rules, set(meant.remarks)
    # In the order of their keys, like everybody: two transactions cannot wait for each other.
    cancelled = [key for key in rules if transitions.state(tx, key) is StepState.CANCELLED]
    if refusing:
        _object(conduct, rules, cancelled)
    for step_key, rule in rules.items():
        _LINK.run(tx.connection, {"performed_key": step.key, "step_key": step_key, "rule": rule})
    followed = follow(tx, step, rules, under, source=step.source, begins=True)
    if cancelled:
        remarks.add(Remark.CANCELLED_ORDER)
    if any(_is_attached(each, step) for each in followed.values()):
        remarks.add(Remark.PROCESSING)
    tell_begun(tx, step, followed, under)
    if step.state is not PerformedState.IN_PROGRESS:
        tell_ended(tx, step, followed, under)
    kept = set(step.remarks) - FROM_LINKING
    after = instances.remarked(tx, step, kept | remarks | at_its_end(step))
    return Outcome(after, tuple(rules), tuple(sorted(set(after.remarks) - set(step.remarks))))


@dataclass(frozen=True, slots=True)
class Chosen:
    """The scheduled steps a performed one means, by key with the rule, and what is remarkable."""

    rules: Mapping[int, str]
    remarks: frozenset[Remark]
    unnumbered: frozenset[int] = frozenset()
    """Those among them that no number of the order leads to: another exam may mean them as well."""


def chosen(tx: Transaction, step: PerformedStep, conduct: Conduct) -> Chosen:
    """Return what a performed step means, by the ladder of its device."""
    wanted = linking.wanted(step.document, step.calling_ae, conduct)
    choices = [linking.choose(item, candidates(tx, item, conduct), conduct) for item in wanted]
    remarks = {remark for choice in choices for remark in choice.remarks}
    rules = _rules(choices)
    if not rules:
        remarks.add(Remark.UNSCHEDULED)
    elif any(choice.step_key is None for choice in choices):
        remarks.add(Remark.PARTLY_UNSCHEDULED)
    if conduct.steps == "first":
        rules = dict(list(rules.items())[:1])
    if conduct.together is not None:
        for named in list(rules):
            for other in companions(tx, named, conduct.together):
                rules.setdefault(other, f"{_ONE_LINE} {named}")
    unnumbered = {
        choice.step_key
        for choice in choices
        if choice.step_key is not None and choice.rung and not ORDER_KEYS.intersection(choice.rung.keys)
    }
    return Chosen(dict(sorted(rules.items())), frozenset(remarks), frozenset(unnumbered))


def _rules(choices: Sequence[Choice]) -> dict[int, str]:
    """Return the steps in the order of the items that name them."""
    found: dict[int, str] = {}
    for choice in choices:
        if choice.step_key is not None and choice.rung is not None:
            conflict = CONFLICT if Remark.PATIENT_DIFFERS in choice.remarks else ""
            found.setdefault(choice.step_key, choice.rung.name + conflict)
    return found


def _object(conduct: Conduct, linked: Mapping[int, str], cancelled: Sequence[int]) -> None:
    if conduct.unscheduled == "refuse" and not linked:
        raise Refused(Refusal.NOT_TAKEN, "no scheduled step is meant by it")
    if conduct.cancelled == "refuse" and cancelled:
        raise Refused(Refusal.NOT_TAKEN, "its order was cancelled")


def follow(
    tx: Transaction,
    step: PerformedStep,
    step_keys: Iterable[int],
    under: Situation,
    *,
    source: str,
    reason: str = "",
    begins: bool = False,
) -> dict[int, Followed]:
    """Let scheduled steps follow a performed one that something was heard of, in the order of their keys."""
    return {
        key: progress.follow(
            tx, key, source=source, conducts=under.conducts, exam=step.key, reason=reason, begins=begins
        )
        for key in sorted(step_keys)
    }


def tell_begun(
    tx: Transaction, step: PerformedStep, followed: Mapping[int, Followed], under: Situation
) -> None:
    """Tell of steps that an exam has begun, where it counts for them."""
    runs = step.state is PerformedState.IN_PROGRESS
    keys = [
        key
        for key, each in followed.items()
        if _state(each, step) not in (None, StepState.SCHEDULED)
        and (not runs or each.after is StepState.STARTED)
    ]
    telling.begun(tx, keys, conflicts.agreed(tx, step, under.conducts), told=under.told)


def tell_ended(
    tx: Transaction, step: PerformedStep, followed: Mapping[int, Followed], under: Situation
) -> None:
    """Tell what has become of steps now that an exam has ended, where it counts for them."""
    keys = [key for key, each in followed.items() if _state(each, step) is not None]
    telling.ended(tx, keys, conflicts.agreed(tx, step, under.conducts), told=under.told)


def at_its_end(step: PerformedStep) -> set[Remark]:
    """Return what the reason of a discontinuation makes remarkable."""
    if step.state is not PerformedState.DISCONTINUED:
        return set()
    found = {Remark.WRONG_ENTRY} if progress.withdrawn(step.state, step.document) else set()
    return found | ({Remark.ORDER_AT_FAULT} if ORDER_AT_FAULT.intersection(reasons(step.document)) else set())


def _state(followed: Followed, step: PerformedStep) -> StepState | None:
    """Return the state that an exam gives a step, None where it gives none."""
    effect = followed.effects.get(step.key)
    return None if effect is None else effect.state


def _is_attached(followed: Followed, step: PerformedStep) -> bool:
    effect = followed.effects.get(step.key)
    return effect is not None and effect.attached
