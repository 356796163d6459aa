"""Merges: from now on a patient has the ID that was another's, and everything that was the other's.

Theory of operation
-------------------
Requested procedures, and with them their steps and the performed steps linked to these, move to the
surviving patient; no number of theirs changes, the Study Instance UIDs least of all.  The prior ID
stays behind and names the survivor (`mwl.store.patients`), whether it was ever heard of or not: the
order that comes under it tomorrow is the survivor's.  A merge takes along the IDs that were merged
into the prior patient, so a chain of merges ends at one patient in one step, in whatever order its
messages come.

A survivor nobody has heard of is made.  Its message says of the person what a merge says, which is
little; what was known of the prior patient fills the gaps.  A survivor who is known keeps what is known.

Saying the same twice changes nothing.  What would take a merge back is refused, because which orders
came with whom is not known any more: the survivor merged into its own prior ID, or a prior ID that is
a third patient's.  So no circle of IDs can come about.

Performed steps without an order may have waited for an order of "another" patient: they are tried again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import bindparam, exists, select, update

from mwl.conduct import STANDARD, Conducts
from mwl.errors import Finding, Unacceptable
from mwl.lifecycle import WAITING
from mwl.model import Document, PatientChange
from mwl.store import adopting, patients, transitions
from mwl.store.attaching import Situation
from mwl.store.documents import merged, without
from mwl.store.outcome import Outcome
from mwl.store.patients import IDENTITY, Patient
from mwl.store.promoted import patient_columns
from mwl.store.tables import procedures, steps
from mwl.store.telling import Told
from mwl.store.transaction import Transaction

DUPLICATE_KEY = 205  # HL7 table 0357 (D-19)

_MERGED = "merge"  # in a step's history
_REASON = "its patient was merged into another"


def merge(
    tx: Transaction, change: PatientChange, *, source: str, told: Told, conducts: Conducts = STANDARD
) -> Outcome:
    """Let *change.prior* be *change.patient* from now on; both hold patient IDs.

    *source* is what the history of the steps says; *told* is who wants to hear of steps, and *conducts* how
    exams count, for the case that a performed step finds its order.  Raises `Unacceptable`.
    """
    own = _id(change.patient)
    prior = {_id(each): each for each in change.prior if _id(each) != own}
    if not prior:
        raise _refusal(change, "the patient and the prior one have the same ID")  # F-H16
    survivor = patients.find(tx, change.patient)
    found = {each: patients.find(tx, document) for each, document in prior.items()}
    absorbed = {each.key: each for each in found.values() if each is not None and not each.by_prior_id}
    if _contradicts(survivor, absorbed.keys(), found.values()):
        raise _refusal(change, "an earlier merge says otherwise")
    key = _settled(tx, survivor, change.patient, list(absorbed.values()))
    for each, document in prior.items():
        if found[each] is None:
            patients.create_prior(tx, document, into=key)
    moved = [procedure for patient in absorbed.values() for procedure in _absorb(tx, patient, into=key)]
    touched = _remember(tx, moved, source)
    _heard_again(tx, moved, key, Situation(conducts, told))
    return Outcome(tuple(moved), touched, patients=(key,))


def _heard_again(tx: Transaction, moved: Sequence[int], patient_key: int, under: Situation) -> None:
    """Look again at exams whose patient was another one until now."""
    theirs = tx.connection.execute(_THEIRS, {"patient": patient_key}).all()
    adopting.reconcile(tx, [row.key for row in theirs], under)
    adopting.adopt(tx, [row.key for row in theirs if row.waits or row.key in moved], under)


def _id(document: Document) -> tuple[str, str]:
    columns = patient_columns(document)
    return columns["patient_id"], columns["issuer"]


def _contradicts(
    survivor: Patient | None, absorbed: Collection[int], prior: Iterable[Patient | None]
) -> bool:
    """Tell whether a prior ID is the survivor, or was merged into somebody who is not part of this merge."""
    left = None if survivor is None else survivor.key
    elsewhere = (each for each in prior if each is not None and each.by_prior_id)
    return left in absorbed or any(each.key != left and each.key not in absorbed for each in elsewhere)


def _settled(tx: Transaction, survivor: Patient | None, sent: Document, absorbed: Sequence[Patient]) -> int:
    if survivor is None:
        known = without(absorbed[0].document, IDENTITY) if absorbed else {}
        return patients.create(tx, merged(known, sent))
    patients.change(tx, survivor, sent)
    return survivor.key


def _absorb(tx: Transaction, patient: Patient, *, into: int) -> Sequence[int]:
    """Move what a patient has and return the procedures; the patient is a prior ID from now on."""
    moved = tx.connection.scalars(_PROCEDURES, {"patient": patient.key}).all()
    # The revision is what makes every query see it: the one of the patient may be the same (design 3).
    tx.connection.execute(_MOVE, {"patient": patient.key, "patient_key": into})
    patients.become_prior(tx, patient, into=into)
    return moved


def _remember(tx: Transaction, moved: Sequence[int], source: str) -> tuple[int, ...]:
    touched = tuple(tx.connection.scalars(_STEPS, {"procedures": moved}))
    for step_key in touched:
        transitions.remark(tx, step_key, _MERGED, source=source, reason=_REASON)
    return touched


def _refusal(change: PatientChange, text: str) -> Unacceptable:
    return Unacceptable([Finding(change.prior_at, DUPLICATE_KEY, text)])


_PROCEDURES = (
    select(procedures.c.key)
    .where(procedures.c.patient_key == bindparam("patient"))
    .order_by(procedures.c.key)
)
_THEIRS = (
    select(
        procedures.c.key,
        exists()
        .where(steps.c.procedure_key == procedures.c.key, steps.c.state.in_(sorted(WAITING)))
        .label("waits"),
    )
    .where(procedures.c.patient_key == bindparam("patient"))
    .order_by(procedures.c.key)
)
_MOVE = (
    update(procedures)
    .where(procedures.c.patient_key == bindparam("patient"))
    .values(patient_key=bindparam("patient_key"), revision=procedures.c.revision + 1)
)
_STEPS = (
    select(steps.c.key)
    .where(steps.c.procedure_key.in_(bindparam("procedures", expanding=True)))
    .order_by(steps.c.key)
)
