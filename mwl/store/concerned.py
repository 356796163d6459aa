"""Whom and what a change was about, as it stands now: for whoever has to report it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from sqlalchemy import bindparam, select

from mwl.model import Document
from mwl.store.prepared import Prepared
from mwl.store.promoted import load
from mwl.store.tables import patients, procedures
from mwl.store.tables import steps as step_table
from mwl.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Concerned:
    """A requested procedure and its patient."""

    patient: Document = field(repr=False)
    procedure: Document = field(repr=False)


def procedures_of(tx: Transaction, keys: Iterable[int]) -> list[Concerned]:
    """Return the requested procedures of these keys, in this order."""
    found = (_PROCEDURE.first(tx.connection, {"key": key}) for key in keys)
    return [Concerned(load(row.patient), load(row.procedure)) for row in found if row is not None]


def procedures_with(tx: Transaction, steps: Collection[int]) -> list[tuple[int, Concerned]]:
    """Return the requested procedures of these steps, each with the key of its patient."""
    chosen = (
        select(
            procedures.c.patient_key,
            patients.c.document.label("patient"),
            procedures.c.document.label("procedure"),
        )
        .select_from(procedures.join(patients))
        .where(procedures.c.key.in_(select(step_table.c.procedure_key).where(step_table.c.key.in_(steps))))
        .order_by(procedures.c.key)
    )
    rows = tx.connection.execute(chosen) if steps else ()
    return [(row.patient_key, Concerned(load(row.patient), load(row.procedure))) for row in rows]


def patients_of(tx: Transaction, keys: Iterable[int]) -> dict[int, Document]:
    """Return the patients of these keys, by key."""
    found = {key: _PATIENT.scalar(tx.connection, {"key": key}) for key in keys}
    return {key: load(document) for key, document in found.items() if document is not None}


# Built once: every order asks.
_PROCEDURE = Prepared(
    select(patients.c.document.label("patient"), procedures.c.document.label("procedure"))
    .select_from(procedures.join(patients))
    .where(procedures.c.key == bindparam("key"))
)
_PATIENT = Prepared(select(patients.c.document).where(patients.c.key == bindparam("key")))
