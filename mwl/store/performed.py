"""Performed steps: what devices say they did (PS3.4 Annex F).

N-CREATE and N-SET are applied here, each in one transaction with the link to the scheduled steps,
the states that follow from it and the status rows for the systems that ordered them (B-18).  Which
attributes a request may carry is the DICOM side's affair; what the stored instance allows is decided
here, where the row is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from sqlalchemy import Row, Select, bindparam, exists, insert, select
from sqlalchemy import update as change

from mwl import lifecycle
from mwl.errors import Refusal, Refused
from mwl.lifecycle import PerformedState, StepState
from mwl.model import Document, text
from mwl.store import documents, linking, progress, transitions
from mwl.store.linking import Remark
from mwl.store.promoted import dump, load
from mwl.store.tables import performed, performed_links
from mwl.store.transaction import Transaction

STATUS = "00400252"
"""Performed Procedure Step Status."""


@dataclass(frozen=True, slots=True)
class PerformedStep:
    """A performed step as stored."""

    key: int
    uid: str
    state: PerformedState
    calling_ae: str  # of the N-CREATE
    document: Document
    revision: int

    @property
    def source(self) -> str:
        """How the history of a scheduled step names it."""
        return f"mpps {self.uid} {self.calling_ae}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request: the performed step, the scheduled steps it is linked to, the remarks."""

    step: PerformedStep
    linked: tuple[int, ...]
    findings: tuple[Remark, ...] = ()


Work: TypeAlias = Callable[[Transaction], Outcome]


def get(tx: Transaction, uid: str) -> PerformedStep | None:
    """Return the performed step of this SOP Instance UID, None if there is none."""
    row = tx.connection.execute(_by_uid(uid)).one_or_none()
    return None if row is None else _step(row)


def create(
    tx: Transaction, uid: str, document: Document, *, calling_ae: str, told: Collection[str]
) -> Outcome:
    """Store a new performed step, link it and let the scheduled steps follow (N-CREATE).

    Accepted whatever the linking finds: the exam has happened (B-17, B-36).  Raises `Refused`
    (DUPLICATE); two at once are decided by the unique constraint (B-04).
    """
    if get(tx, uid) is not None:
        raise Refused(Refusal.DUPLICATE, "the performed step exists already", uid=uid)
    document = documents.merged({}, document)
    state = _stated(document)
    key = tx.connection.execute(
        insert(performed)
        .values(
            sop_instance_uid=uid, state=state.value, calling_ae=calling_ae,
            study_instance_uid=linking.study(document), document=dump(document),
            created_at=tx.stamp, updated_at=tx.stamp,
        )
        .returning(performed.c.key)
    ).scalar_one()  # fmt: skip
    return _link(tx, PerformedStep(key, uid, state, calling_ae, document, revision=1), told)


def update(
    tx: Transaction, uid: str, document: Document, *, calling_ae: str, told: Collection[str]
) -> Outcome:
    """Change a performed step and let the scheduled steps follow (N-SET).

    Attributes are replaced, sequences whole (B-09); what is absent stays.  The links stay as they
    were made.  Raises `Refused` (UNKNOWN; FINAL for one that has ended, B-03).
    """
    row = tx.connection.execute(_by_uid(uid).with_for_update()).one_or_none()
    if row is None:
        raise Refused(Refusal.UNKNOWN, "no such performed step", uid=uid)
    stored = _step(row)
    state = _stated(document) if STATUS in document else stored.state
    if state not in lifecycle.PERFORMED[stored.state]:
        raise Refused(Refusal.FINAL, "the performed step may no longer be updated", uid=uid)
    step = _changed(tx, stored, state, documents.merged(stored.document, document))
    linked = _linked(tx, step.key)
    if step.state is not PerformedState.IN_PROGRESS:
        _follow(tx, linked, source=f"mpps {uid} {calling_ae}")
        progress.report_ended(tx, linked, step.document, told=told)
    wrong = progress.withdrawn(step.state, step.document)
    return Outcome(step, linked, (Remark.WRONG_ENTRY,) if wrong else ())


def adopt(tx: Transaction, study_instance_uid: str, *, told: Collection[str]) -> list[Outcome]:
    """Link the unscheduled performed steps of a study whose order has come, and let its steps follow (F-M19).

    Only the exact Study Instance UID finds one; which step it means is decided by the usual ladder.
    """
    found = [_step(row) for row in tx.connection.execute(_UNLINKED, {"study": study_instance_uid})]
    return [_link(tx, step, told) for step in found if not progress.withdrawn(step.state, step.document)]


# Built once: every new order asks.
_UNLINKED = (
    select(performed)
    .where(performed.c.study_instance_uid == bindparam("study"))
    .where(~exists().where(performed_links.c.performed_key == performed.c.key))
    .order_by(performed.c.key)
    .with_for_update()
)


def _link(tx: Transaction, step: PerformedStep, told: Collection[str]) -> Outcome:
    wanted = linking.wanted(step.document, step.calling_ae)
    choices = [linking.choose(item, linking.candidates(tx, item)) for item in wanted]
    rungs = {c.step_key: c.rung for c in choices if c.step_key is not None and c.rung is not None}
    linked = tuple(sorted(rungs))
    remarks = {remark for choice in choices for remark in choice.remarks}
    if len(rungs) == 0:
        remarks.add(Remark.UNSCHEDULED)
    elif any(choice.step_key is None for choice in choices):
        remarks.add(Remark.PARTLY_UNSCHEDULED)
    for step_key, rung in rungs.items():
        tx.connection.execute(
            insert(performed_links).values(performed_key=step.key, step_key=step_key, rule=rung.value)
        )
    if _follow(tx, linked, source=step.source):
        remarks.add(Remark.CANCELLED_ORDER)
    progress.report_begun(tx, linked, step.document, told=told)
    if step.state is not PerformedState.IN_PROGRESS:
        progress.report_ended(tx, linked, step.document, told=told)
    return Outcome(step, linked, tuple(sorted(remarks)))


def _follow(tx: Transaction, linked: tuple[int, ...], *, source: str) -> bool:
    """Let the scheduled steps follow; tell whether one of them had been cancelled."""
    # In the order of their keys, like everybody: two transactions cannot wait for each other.
    before = [transitions.state(tx, key) for key in linked]
    for key in linked:
        progress.follow(tx, key, source=source)
    return StepState.CANCELLED in before


def _changed(
    tx: Transaction, stored: PerformedStep, state: PerformedState, document: Document
) -> PerformedStep:
    if (state, document) == (stored.state, stored.document):
        return stored
    step = replace(stored, state=state, document=document, revision=stored.revision + 1)
    tx.connection.execute(
        change(performed).where(performed.c.key == step.key).values(
            state=state.value, document=dump(document), revision=step.revision,
            updated_at=tx.stamp,
        )
    )  # fmt: skip
    return step


def _linked(tx: Transaction, key: int) -> tuple[int, ...]:
    links = select(performed_links.c.step_key).where(performed_links.c.performed_key == key)
    return tuple(sorted(tx.connection.execute(links).scalars()))


def _by_uid(uid: str) -> Select[Any]:
    return select(performed).where(performed.c.sop_instance_uid == uid)


def _stated(document: Document) -> PerformedState:
    return PerformedState(text(document, STATUS).strip())  # a trailing pad is not part of it (F-M30)


def _step(row: Row[Any]) -> PerformedStep:
    return PerformedStep(
        key=row.key, uid=row.sop_instance_uid, state=PerformedState(row.state), calling_ae=row.calling_ae,
        document=load(row.document), revision=row.revision,
    )  # fmt: skip
