"""Performed steps: what devices say they did (PS3.4 Annex F).

N-CREATE and N-SET are applied here, each in one transaction with the link to the scheduled steps,
the states that follow from it and the status rows for the systems that ordered them (B-18).  Which
attributes a request may carry is the DICOM side's affair; what the stored instance allows is decided
here, where the row is.  What a person does is `mwl.store.settling`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeAlias

from mwl import lifecycle
from mwl.conduct import STANDARD, Conducts
from mwl.errors import Refusal, Refused
from mwl.lifecycle import PerformedState
from mwl.model import Document
from mwl.store import attaching, documents, instances, linking
from mwl.store.attaching import Outcome, Situation
from mwl.store.instances import STATUS, PerformedStep, get
from mwl.store.linking import Remark
from mwl.store.prepared import new
from mwl.store.promoted import dump
from mwl.store.tables import performed
from mwl.store.telling import Told
from mwl.store.transaction import Transaction

__all__ = ["STATUS", "Outcome", "PerformedStep", "create", "get", "remark", "update"]

_NEW = new(performed, key=True)

Work: TypeAlias = Callable[[Transaction], Outcome]


def create(
    tx: Transaction,
    uid: str,
    document: Document,
    *,
    calling_ae: str,
    told: Told,
    conducts: Conducts = STANDARD,
    remarks: Collection[Remark] = (),
) -> Outcome:
    """Store a new performed step, link it and let the scheduled steps follow (N-CREATE).

    *remarks* are the caller's own.  Accepted whatever the linking finds, unless the device's profile
    says otherwise: the exam has happened (B-17, B-36).  Raises `Refused` (DUPLICATE, NOT_TAKEN); two at
    once are decided by the unique constraint (B-04).
    """
    if get(tx, uid) is not None:
        raise Refused(Refusal.DUPLICATE, "the performed step exists already", uid=uid)
    document = documents.merged({}, document)
    state = instances.stated(document)
    row = {
        "sop_instance_uid": uid, "state": state.value, "calling_ae": calling_ae,
        "study_instance_uid": linking.study(document), "document": dump(document),
        "created_at": tx.stamp, "updated_at": tx.stamp,
    }  # fmt: skip
    key = _NEW.scalar(tx.connection, row)
    step = PerformedStep(
        key, uid, state, calling_ae, document, revision=1, created_at=tx.stamp, updated_at=tx.stamp
    )
    step = instances.remarked(tx, step, remarks)
    return attaching.attach(tx, step, Situation(conducts, told), refusing=True)


def update(
    tx: Transaction,
    uid: str,
    document: Document,
    *,
    calling_ae: str,
    told: Told,
    conducts: Conducts = STANDARD,
) -> Outcome:
    """Change a performed step and let the scheduled steps follow (N-SET).

    Attributes are replaced, sequences whole (B-09); what is absent stays.  The links stay as they
    were made.  Raises `Refused` (UNKNOWN; FINAL for one that has ended, B-03; NOT_TAKEN).
    """
    stored, under = instances.held(tx, uid), Situation(conducts, told)
    state = instances.stated(document) if STATUS in document else stored.state
    if state not in lifecycle.PERFORMED[stored.state]:
        raise Refused(Refusal.FINAL, "the performed step may no longer be updated", uid=uid)
    ends = state is not PerformedState.IN_PROGRESS
    own = conducts.of(stored.calling_ae).closed_by == "same_device"
    if ends and own and calling_ae != stored.calling_ae:
        raise Refused(Refusal.NOT_TAKEN, "another device began it")
    step = instances.changed(tx, stored, state, documents.merged(stored.document, document))
    linked = instances.links(tx, step.key)
    if ends:
        followed = attaching.follow(tx, step, linked, under, source=f"mpps {uid} {calling_ae}")
        attaching.tell_ended(tx, step, followed, under)
    remarks = {*step.remarks, *attaching.at_its_end(step)} - ({Remark.OPEN_TOO_LONG} if ends else set())
    after = instances.remarked(tx, step, remarks)
    return Outcome(after, tuple(linked), tuple(sorted(set(after.remarks) - set(stored.remarks))))


def remark(tx: Transaction, step: PerformedStep, remarks: Collection[Remark]) -> PerformedStep:
    """Add what a person should look at in a performed step."""
    return instances.remarked(tx, step, {*step.remarks, *remarks})
