"""From what a device was given in place of an identity back to the identity (`mwl.handles`).

A handle is kept when an order brings the identity it stands for, in the same transaction: answering a query
writes nothing, and whatever was sent can be led back, whichever profile sent it.  Two values never share a
handle: a second one that is too long is refused.  One that differs from a known one in capitals alone is
no mistake by itself; its handle stays the first one's, and leads to nobody while somebody is called so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from sqlalchemy import bindparam, func, select

from mwl.errors import Refusal, Refused
from mwl.handles import LONGEST, Known, Lookups, is_step_study, stands_for, step_key
from mwl.model import Document, text, values
from mwl.store.prepared import Prepared, new
from mwl.store.promoted import column
from mwl.store.tables import handles, patients, procedures, steps
from mwl.store.transaction import Transaction

PATIENT_ID: Final = "00100020"
ACCESSION: Final = "00080050"
_KEPT: Final = (PATIENT_ID, ACCESSION, "00401001", "00400009")  # and the IDs of procedure and step


def keep(tx: Transaction, document: Document) -> None:
    """Keep the handles of the identities in a level's *document*; raise `Refused` (DUPLICATE)."""
    for tag in _KEPT:
        for value in (column(str(each)) for each in values(document, tag) if each):
            if handle := stands_for(value):
                _keep(tx, tag, handle, value)


def _keep(tx: Transaction, tag: str, handle: str, value: str) -> None:
    known = _VALUE.scalar(tx.connection, {"tag": tag, "handle": handle})
    if known is None:
        # Another broker may do the same now: the unique constraint says so, and the writer tries again.
        _NEW.run(tx.connection, {"tag": tag, "handle": handle, "value": value})
    elif known != value and len(value) > LONGEST:
        raise Refused(Refusal.DUPLICATE, "another number has the same handle")


def is_spelled_otherwise(tx: Transaction, tag: str, value: str) -> bool:
    """Tell whether another patient ID, or accession number, differs from *value* in capitals alone."""
    value = column(value)
    capitals = value.upper() if value.isascii() else value
    known = _VALUE.scalar(tx.connection, {"tag": tag, "handle": capitals})
    others = {each for each in (known, capitals) if each is not None and each != value}
    if tag == PATIENT_ID:
        # Two spellings that were merged are one patient.
        return any(not _persons(tx, each) <= _persons(tx, value) for each in others)
    return any(_is_stored(tx, tag, each) for each in others)


def _persons(tx: Transaction, patient_id: str) -> set[int]:
    return set(tx.connection.scalars(_PERSONS, {"value": patient_id}))


def spelled_otherwise(tx: Transaction, patient: Document, procedure: Document) -> str:
    """Return which number of an order is known in other capitals, "" where none is (F50)."""
    for document, tag, name in (
        (patient, PATIENT_ID, "patient ID"),
        (procedure, ACCESSION, "accession number"),
    ):
        if (value := text(document, tag)) and is_spelled_otherwise(tx, tag, value):
            return name
    return ""


def meant(tx: Transaction, tag: str, texts: Collection[str]) -> list[str]:
    """Return the values that *texts* are or stand for."""
    found = (_VALUE.scalar(tx.connection, {"tag": tag, "handle": column(each)}) for each in texts)
    return [*texts, *(value for value in found if value is not None)]


def step_of(tx: Transaction, uid: str) -> tuple[str, str] | None:
    """Return study and step ID of the step that a Study Instance UID was made for; None for any other."""
    key = step_key(uid)
    row = None if key is None else tx.connection.execute(_STEP, {"step": key}).one_or_none()
    if row is None or not is_step_study(uid, row.study_instance_uid, row.step_id, row.key):
        return None
    return row.study_instance_uid, row.step_id


def known(tx: Transaction, wanted: Lookups) -> Known:
    """Return what is known of *wanted*."""
    steps_found = {uid: step for uid in wanted.studies if (step := step_of(tx, uid)) is not None}
    return Known(dict(_values(tx, wanted)), steps_found)


def _values(tx: Transaction, wanted: Lookups) -> Iterator[tuple[tuple[str, str], str]]:
    for tag, said in wanted.handles:
        value = _VALUE.scalar(tx.connection, {"tag": tag, "handle": column(said)})
        if value is not None and not _is_stored(tx, tag, said):
            yield (tag, said), value


def _is_stored(tx: Transaction, tag: str, value: str) -> bool:
    """Tell whether *value* itself is the identity of somebody, or of something."""
    counted = _STORED.get(tag)
    return counted is not None and bool(tx.connection.scalar(counted, {"value": column(value)}))


# Built once: to build a statement costs more than to run it.
_NEW = new(handles)
_VALUE = Prepared(
    select(handles.c.value).where(handles.c.tag == bindparam("tag"), handles.c.handle == bindparam("handle"))
)
_STEP = (
    select(steps.c.key, steps.c.step_id, procedures.c.study_instance_uid)
    .select_from(steps.join(procedures))
    .where(steps.c.key == bindparam("step"))
)
_PERSONS = select(func.coalesce(patients.c.merged_into, patients.c.key)).where(
    patients.c.patient_id == bindparam("value")
)
_STORED = {
    PATIENT_ID: select(func.count()).select_from(patients).where(patients.c.patient_id == bindparam("value")),
    ACCESSION: select(func.count())
    .select_from(procedures)
    .where(procedures.c.accession == bindparam("value")),
}
