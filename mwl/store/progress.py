"""What performed steps do to scheduled steps.

A scheduled step's state follows from all performed steps that are linked to it, not from the last
message (B-32).  Each counts as its device's profile says (`mwl.conduct`); where none says anything the
step is STARTED while any of them is IN PROGRESS, else COMPLETED when one is, else DISCONTINUED.  A device
may be known for exams that one COMPLETED performed step completes, whatever else still runs.

What counts as if it had never been: an exam for which the wrong worklist entry had been selected (B-33),
or whose end, by the profile, puts the step back.  If nothing else is left, the step goes back on the
worklist; one whose order was cancelled is CANCELED again.  What does not count at all: processing that a
profile attaches (M09).  And an exam of a patient who is not the order's does not close it (F51): it counts
as one that runs until a person has decided.

MPPS is the truth of what happened (B-36): it moves a step on even if its order was cancelled or closed by
hand meanwhile.  But a step that is closed begins again by a further exam only, never by the end of one; and
the way back is open to a step that runs, and to no other, unless a person unlinks what had brought it where
it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import bindparam, select

from mwl import lifecycle
from mwl.conduct import Conducts
from mwl.discontinuation import REASONS, WRONG_ENTRY, reasons
from mwl.lifecycle import CLOSED, PerformedState, StepEvent, StepState
from mwl.model import Document, values
from mwl.store import linking, transitions
from mwl.store.prepared import Prepared
from mwl.store.promoted import load
from mwl.store.tables import performed, performed_links
from mwl.store.transaction import Transaction

CONFLICT: Final = "; patient differs"
"""Ends the rule of a link while nobody has decided whether exam and order are one patient's (F51)."""

_CODES = ("00081032", "00400260")  # procedure codes and protocol codes performed

_LEADS_TO = {
    StepState.STARTED: StepEvent.BEGIN,
    StepState.COMPLETED: StepEvent.COMPLETE,
    StepState.DISCONTINUED: StepEvent.DISCONTINUE,
}


@dataclass(frozen=True, slots=True)
class Exam:
    """A performed step, as it is linked to a scheduled one."""

    key: int
    state: PerformedState
    document: Document
    calling_ae: str
    rule: str  # what linked them


@dataclass(frozen=True, slots=True)
class Effect:
    """How an exam counts for its scheduled step."""

    state: StepState | None
    """The state it gives; SCHEDULED: as if it had never been; None: it gives none."""
    decides: bool = False
    """Whether COMPLETED counts though other exams still run."""
    attached: bool = False
    """Whether it is processing that goes with an exam, and no exam by itself."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Followed:
    """A scheduled step after it followed, and how each of its exams counts, by key."""

    before: StepState
    after: StepState
    effects: Mapping[int, Effect]

    @property
    def moved(self) -> bool:
        """Whether it is in another state now."""
        return self.after is not self.before


def withdrawn(state: PerformedState, document: Document) -> bool:
    """Tell whether a performed step was discontinued for the wrong worklist entry (B-33)."""
    return state is PerformedState.DISCONTINUED and WRONG_ENTRY in reasons(document)


def effects(exams: Sequence[Exam], conducts: Conducts) -> dict[int, Effect]:
    """Return how each of the exams of one scheduled step counts, by key; they come in that order."""
    return {exam.key: _effect(exam, exams[:at], conducts) for at, exam in enumerate(exams)}


def _effect(exam: Exam, earlier: Sequence[Exam], conducts: Conducts) -> Effect:
    conduct = conducts.of(exam.calling_ae)
    if conduct.processing == "attach" and any(_processed(exam, each) for each in earlier):
        return Effect(None, attached=True)
    if exam.state is PerformedState.IN_PROGRESS:
        return Effect(conduct.begun)
    if exam.state is PerformedState.COMPLETED:
        effect = Effect(conduct.completed, conduct.exams == "any")
    else:
        codes = reasons(exam.document)
        effect = Effect(conduct.discontinuation(codes), why=", ".join(REASONS[code] for code in codes))
    if exam.rule.endswith(CONFLICT) and effect.state is not StepState.SCHEDULED:
        return Effect(conduct.begun)
    return effect


def _processed(exam: Exam, earlier: Exam) -> bool:
    """Tell whether *exam* is processing of an *earlier* one: begun when that began, and of no procedure."""
    if earlier.state is not PerformedState.COMPLETED or exam.calling_ae != earlier.calling_ae:
        return False
    began = linking.began(exam.document)
    named = any(values(exam.document, tag) for tag in _CODES)
    return bool(began) and began == linking.began(earlier.document) and not named


def goal(counted: Collection[Effect]) -> StepState:
    """Return the state that the exams of a scheduled step give it together."""
    given = {effect.state for effect in counted}
    if any(effect.decides and effect.state is StepState.COMPLETED for effect in counted):
        return StepState.COMPLETED
    order = (StepState.STARTED, StepState.COMPLETED, StepState.DISCONTINUED)
    return next((state for state in order if state in given), StepState.SCHEDULED)


def given(tx: Transaction, step_key: int, conducts: Conducts) -> StepState:
    """Return the state that a scheduled step has of its exams, if they alone decide; the row is locked."""
    transitions.state(tx, step_key)
    return goal(effects(_exams(tx, step_key), conducts).values())


def follow(
    tx: Transaction,
    step_key: int,
    *,
    source: str,
    conducts: Conducts,
    exam: int | None = None,
    reason: str = "",
    begins: bool = False,
    undoing: StepState | None = None,
) -> Followed:
    """Bring a scheduled step to the state its exams give it.

    *exam* is the key of the one that something was heard of, whose reason counts where *reason*, a person's
    or the clock's, says nothing.  *begins* is whether an exam is new to the step.  *undoing* is the
    state that an exam had brought it to that is no longer linked: from there, too, the way back is open.
    """
    # The lock first: what another broker has committed to this step's performed steps is seen after it.
    before = transitions.state(tx, step_key)
    found = effects(_exams(tx, step_key), conducts)
    wanted, why = goal(found.values()), reason or (found[exam].why if exam in found else "")
    stands = wanted is StepState.STARTED and before in CLOSED and not begins and before is not undoing
    if wanted is before or stands:
        after = before
    elif wanted is StepState.SCHEDULED:
        after = _reopen(tx, step_key, before, source, why, undoing)
    else:
        after = _advance(tx, step_key, before, wanted, source, why)
    return Followed(before, after, found)


def _advance(
    tx: Transaction, step_key: int, before: StepState, wanted: StepState, source: str, reason: str
) -> StepState:
    event = _LEADS_TO[wanted]
    if lifecycle.advance(before, event, lifecycle.actor(source)) is None:
        transitions.advance(tx, step_key, StepEvent.BEGIN, source=source, reason=reason)
    if before is StepState.CANCELLED:
        reason = reason or "the order was cancelled"
    return transitions.advance(tx, step_key, event, source=source, reason=reason)


def _reopen(
    tx: Transaction, step_key: int, before: StepState, source: str, reason: str, undoing: StepState | None
) -> StepState:
    if before not in (StepState.STARTED, undoing):  # closed by its order meanwhile: that stands
        return before
    event = StepEvent.WITHDRAW if transitions.is_cancelled(tx, step_key) else StepEvent.REOPEN
    return transitions.advance(tx, step_key, event, source=source, reason=reason)


def _exams(tx: Transaction, step_key: int) -> list[Exam]:
    return [
        Exam(row.key, PerformedState(row.state), load(row.document), row.calling_ae, row.rule)
        for row in _LINKED.all(tx.connection, {"step": step_key})
    ]


_LINKED = Prepared(
    select(
        performed.c.key, performed.c.state, performed.c.document, performed.c.calling_ae,
        performed_links.c.rule,
    )
    .select_from(performed.join(performed_links))
    .where(performed_links.c.step_key == bindparam("step"))
    .order_by(performed.c.key)
)  # fmt: skip
