"""What is on record of who people are, page by page: to know a name again where none should stand."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from mwl.store.tables import patients, performed, procedures
from mwl.store.transaction import Transaction

PAGE = 2000
"""Rows of one read."""


def of_patients(tx: Transaction, behind: int) -> tuple[list[str], int | None]:
    """Return what is known of the patients behind a key, as text, and where to go on; None at the end."""
    chosen = select(patients.c.key, patients.c.document).where(patients.c.key > behind)
    rows = tx.connection.execute(chosen.order_by(patients.c.key).limit(PAGE)).all()
    return [row.document for row in rows], _last([row.key for row in rows])


def of_orders(tx: Transaction, behind: int) -> tuple[list[str], int | None]:
    """Return the numbers and the UIDs of the requested procedures behind a key, the same way."""
    numbers = (
        procedures.c.placer, procedures.c.filler, procedures.c.accession,
        procedures.c.requested_procedure_id, procedures.c.study_instance_uid,
    )  # fmt: skip
    chosen = select(procedures.c.key, *numbers).where(procedures.c.key > behind)
    rows = tx.connection.execute(chosen.order_by(procedures.c.key).limit(PAGE)).all()
    return [number for row in rows for number in row[1:]], _last([row.key for row in rows])


def of_exams(tx: Transaction, behind: int) -> tuple[list[str], int | None]:
    """Return the UIDs of the performed steps behind a key, the same way."""
    chosen = select(performed.c.key, performed.c.sop_instance_uid).where(performed.c.key > behind)
    rows = tx.connection.execute(chosen.order_by(performed.c.key).limit(PAGE)).all()
    return [row.sop_instance_uid for row in rows], _last([row.key for row in rows])


def _last(keys: Sequence[int]) -> int | None:
    return keys[-1] if len(keys) == PAGE else None
