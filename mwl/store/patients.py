"""Patients: an ID and its issuer, what messages say of the person, and the IDs the person had before.

An ID that was merged into another patient's keeps its row, which names that patient: so no message can
make a second patient of it, and whatever still comes under it finds the one who is left.  What such a
message says of the person fills gaps and replaces nothing: its sender has not heard of the merge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import bindparam, delete, select, update

from mwl.model import Document
from mwl.store import handles
from mwl.store.documents import merged, without
from mwl.store.prepared import Prepared, new
from mwl.store.prepared import change as write
from mwl.store.promoted import dump, key_rows, load, name_rows, patient_columns
from mwl.store.tables import name_keys, patient_names, patients
from mwl.store.transaction import Transaction

IDENTITY: Final = frozenset({"00100020", "00100021", "00100024"})
"""Patient ID, its issuer, and the issuer's universal ID."""


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient as stored."""

    key: int
    document: Document
    revision: int
    by_prior_id: bool = False  # found under an ID that was merged into this patient's


def find(tx: Transaction, sent: Document) -> Patient | None:
    """Return the patient *sent* names, and lock the row until the transaction ends.

    *sent* holds a patient ID; the same ID of another issuer is another patient (C-44).  By the lock two
    brokers cannot work on one patient's orders at a time, so none of them overlooks the order the other
    is about to make (F-H67).
    """
    row = _HELD_BY_ID.first(tx.connection, patient_columns(sent))
    if row is None or row.merged_into is None:
        return None if row is None else _patient(row)
    # One step leads to the end: a merge takes along what was merged before.  Yet that may have been a
    # moment ago, on another broker.
    while row.merged_into is not None:
        row = tx.connection.execute(_BY_KEY, {"patient": row.merged_into}).one()
    return _patient(row, by_prior_id=True)


def create(tx: Transaction, sent: Document) -> int:
    """Make a patient and return the key."""
    # Made by another broker a moment ago?  The unique constraint says so, and the writer tries again.
    document = merged({}, sent)
    values = {**patient_columns(document), "document": dump(document), "touched_at": tx.stamp}
    handles.keep(tx, document)
    key: int = _NEW.scalar(tx.connection, values)
    _name(tx, key, document)
    return key


def change(tx: Transaction, patient: Patient, sent: Document, *, late: bool = False) -> bool:
    """Merge the demographics of *sent* into *patient* (D-25); tell whether anything became other than it was.

    What a *late* message says fills gaps only.
    """
    if patient.by_prior_id:
        sent = without(sent, IDENTITY)
    document = merged(patient.document, sent, assumed=sent.keys() if late or patient.by_prior_id else ())
    if document == patient.document:
        return False
    handles.keep(tx, document)
    changed = {"document": dump(document), "revision": patient.revision + 1, "touched_at": tx.stamp}
    write(patients, tuple(changed)).run(tx.connection, {"row": patient.key, **changed})
    for clearing in (_CLEAR_NAMES, _CLEAR_KEYS):
        clearing.run(tx.connection, {"patient": patient.key})
    _name(tx, patient.key, document)
    return True


def create_prior(tx: Transaction, sent: Document, *, into: int) -> None:
    """Make the ID *sent* holds, which nobody has, one that was merged into the patient *into*."""
    document = _identity(sent)
    values = {**patient_columns(document), "document": dump(document), "touched_at": tx.stamp}
    handles.keep(tx, document)
    _NEW.scalar(tx.connection, {**values, "merged_into": into})


def become_prior(tx: Transaction, patient: Patient, *, into: int) -> None:
    """Let a patient, and whatever was merged into it, be an ID that was merged into the patient *into*."""
    tx.connection.execute(_MERGE_ON, {"patient": patient.key, "merged_into": into})
    document = _identity(patient.document)
    changed = {"document": dump(document), "revision": patient.revision + 1, "touched_at": tx.stamp}
    changed["merged_into"] = into
    write(patients, tuple(changed)).run(tx.connection, {"row": patient.key, **changed})
    for clearing in (_CLEAR_NAMES, _CLEAR_KEYS):
        clearing.run(tx.connection, {"patient": patient.key})


def _identity(document: Document) -> Document:
    return merged({}, {tag: element for tag, element in document.items() if tag in IDENTITY})


def _patient(row: Any, *, by_prior_id: bool = False) -> Patient:
    return Patient(row.key, load(row.document), row.revision, by_prior_id)


def _name(tx: Transaction, key: int, document: Document) -> None:
    for insertion, rows in ((_NEW_NAMES, name_rows(document)), (_NEW_KEYS, key_rows(document))):
        insertion.run_all(tx.connection, [{"patient_key": key, **row} for row in rows])


# Built once: to build a statement costs more than to run it.
_ROW = select(patients.c.key, patients.c.document, patients.c.revision, patients.c.merged_into)
_BY_ID = _ROW.where(
    patients.c.patient_id == bindparam("patient_id"), patients.c.issuer == bindparam("issuer")
)
_HELD_BY_ID = Prepared(_BY_ID.with_for_update())
_BY_KEY = _ROW.where(patients.c.key == bindparam("patient")).with_for_update()
_NEW = new(patients, key=True)
_MERGE_ON = update(patients).where(patients.c.merged_into == bindparam("patient"))
_NEW_NAMES = new(patient_names)
_CLEAR_NAMES = Prepared(delete(patient_names).where(patient_names.c.patient_key == bindparam("patient")))
_NEW_KEYS = new(name_keys)
_CLEAR_KEYS = Prepared(delete(name_keys).where(name_keys.c.patient_key == bindparam("patient")))
