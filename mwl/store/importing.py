"""Steps from another worklist: what is not there yet is added, what is known is left as it is.

A step is known by its patient, its own ID, and the accession number or the ID of the requested procedure.
Whatever has become of it here is newer than a file: it is not changed, moved, or put back on a worklist, and
neither is what is known of the person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import or_, select

from mwl.errors import Refusal, Refused
from mwl.model import Document, OrderMessage, ProcedureChange, text
from mwl.store import orders, patients
from mwl.store.promoted import column, step_id_of
from mwl.store.tables import procedures, steps
from mwl.store.transaction import Transaction

_ACCESSION, _PROCEDURE_ID = "00080050", "00401001"

_NUMBERS = frozenset(
    {_ACCESSION, "00080051", _PROCEDURE_ID, "0020000D", "00402016", "00400026", "00402017", "00400027"}
)
"""What tells which order is meant; see `ProcedureChange`."""


@dataclass(frozen=True, slots=True)
class Added:
    """How many steps of a file are new, and how many were known."""

    new: int = 0
    known: int = 0


class _TakenBack(Exception):
    """Ends the savepoint of a rehearsal."""


def add(
    tx: Transaction, order: OrderMessage, *, source: str, uid_root: str | None, rehearsed: bool = False
) -> Added:
    """Add the steps of *order* that are not known; with *rehearsed* nothing stays.  Raises `Unacceptable`."""
    patient = patients.find(tx, order.patient)
    if patient is not None:
        order = replace(order, patient=_only(order.patient, patients.IDENTITY))
    changes, added = [], Added()
    for change in order.procedures:
        known = _known(tx, patient.key, change) if patient is not None else frozenset()
        new = tuple(step for step in change.steps if step_id_of(step) not in known)
        added = Added(added.new + len(new), added.known + len(change.steps) - len(new))
        if new:
            # Of a procedure that is known, with other steps, a file fills gaps.
            assumed = frozenset(change.procedure) - _NUMBERS
            changes.append(replace(change, steps=new, assumed=assumed if patient else frozenset()))
    if changes:
        _apply(tx, replace(order, procedures=tuple(changes)), source, uid_root, rehearsed=rehearsed)
    return added


def _apply(
    tx: Transaction, order: OrderMessage, source: str, uid_root: str | None, *, rehearsed: bool
) -> None:
    try:
        with tx.connection.begin_nested():
            orders.apply(tx, order, source=source, uid_root=uid_root, told=())
            if rehearsed:
                raise _TakenBack
    except _TakenBack:
        return


def _only(document: Document, tags: frozenset[str]) -> Document:
    return {tag: element for tag, element in document.items() if tag in tags}


def _known(tx: Transaction, patient_key: int, change: ProcedureChange) -> frozenset[str]:
    """Return which of the steps of *change* this patient has already, by their IDs."""
    numbers = [
        known_by == column(number)
        for known_by, tag in (
            (procedures.c.accession, _ACCESSION),
            (procedures.c.requested_procedure_id, _PROCEDURE_ID),
        )
        if (number := text(change.procedure, tag))
    ]
    if not numbers:
        raise Refused(Refusal.NOT_TAKEN, "neither an accession number nor a requested procedure ID")
    chosen = (
        select(steps.c.step_id)
        .join(procedures, procedures.c.key == steps.c.procedure_key)
        .where(procedures.c.patient_key == patient_key, or_(*numbers), steps.c.step_id.in_(_ids(change)))
    )
    return frozenset(tx.connection.scalars(chosen))


def _ids(change: ProcedureChange) -> Sequence[str]:
    return [step_id_of(step) for step in change.steps]
