"""Patients: an ID and its issuer, and what orders say of the person."""

from __future__ import annotations

from sqlalchemy import delete, insert, select, update

from mwl.model import Document
from mwl.store.documents import merged
from mwl.store.promoted import dump, load, name_rows, patient_columns
from mwl.store.tables import patient_names, patients
from mwl.store.transaction import Transaction


def settle(tx: Transaction, sent: Document) -> int:
    """Return the key of the patient *sent* names, made or with the demographics of *sent* merged (D-25).

    *sent* holds a patient ID; the same ID of another issuer is another patient (C-44).  The row is
    locked until the transaction ends: two brokers cannot work on one patient's orders at a time, so
    none of them overlooks the order the other is about to make (F-H67).
    """
    identity = patient_columns(sent)
    row = tx.connection.execute(
        select(patients.c.key, patients.c.document, patients.c.revision)
        .where(patients.c.patient_id == identity["patient_id"], patients.c.issuer == identity["issuer"])
        .with_for_update()
    ).one_or_none()
    if row is None:
        return _create(tx, merged({}, sent))
    stored = load(row.document)
    document = merged(stored, sent)
    if document != stored:
        changed = {"document": dump(document), "revision": row.revision + 1}
        tx.connection.execute(update(patients).where(patients.c.key == row.key).values(changed))
        tx.connection.execute(delete(patient_names).where(patient_names.c.patient_key == row.key))
        _name(tx, row.key, document)
    key: int = row.key
    return key


def _create(tx: Transaction, document: Document) -> int:
    # Made by another broker a moment ago?  The unique constraint says so, and the writer tries again.
    values = {**patient_columns(document), "document": dump(document)}
    key: int = tx.connection.execute(insert(patients).values(values).returning(patients.c.key)).scalar_one()
    _name(tx, key, document)
    return key


def _name(tx: Transaction, key: int, document: Document) -> None:
    rows = [{"patient_key": key, **row} for row in name_rows(document)]
    if rows:
        tx.connection.execute(insert(patient_names), rows)
