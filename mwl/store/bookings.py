"""Orders that an appointment made, until the order itself comes.

An appointment without an order has few numbers; others are made up, because a device needs them.  The
order that comes later is found by what it shares: its numbers, as far as they were stated, else the
service, on the same day.  It then takes the place of everything made up, so that one exam stands on the
worklist once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sqlalchemy import bindparam, select, update

from mwl.model import Document, OrderAction, ProcedureChange, values
from mwl.store.codes import codes
from mwl.store.documents import without
from mwl.store.identity import Found, OrderNumbers
from mwl.store.placing import known_steps
from mwl.store.prepared import Prepared
from mwl.store.promoted import column, dump, load, procedure_columns, step_columns
from mwl.store.tables import procedures, steps
from mwl.store.transaction import Transaction

_STEP_ID, _PROCEDURE_CODES = "00400009", "00321064"
_MAKING = frozenset({OrderAction.CREATE, OrderAction.UPDATE, OrderAction.HOLD, OrderAction.RELEASE})


def mark(tx: Transaction, key: int, made_up: Iterable[str]) -> None:
    """Note that an appointment made the procedure *key*, and which tags of it are made up."""
    tx.connection.execute(_MARK, {"procedure": key, "booked": " ".join(sorted(made_up))})


def adopt(tx: Transaction, found: Found, sent: OrderNumbers, change: ProcedureChange) -> Found:
    """Return what *change* of an order means, *found* by its numbers or the one an appointment made for it.

    What is made up in it gives way: numbers once the order is made or changed, step IDs always, because
    the order is about to name them.
    """
    if not found.keys and not found.other_patient and change.action in _MAKING:
        booked = _of_the_service(tx, sent.patient_key, change)
        found = replace(found, keys=booked, booked=booked)
    for key in found.booked:
        row = tx.connection.execute(_PROCEDURE, {"procedure": key}).one()
        made_up = row.booked.split()
        if _STEP_ID in made_up:
            _name_steps(tx, key, change)
        if change.action in _MAKING:
            document = without(load(row.document), made_up)
            changed = {"document": dump(document), "revision": row.revision + 1, "system": sent.system}
            columns = {**procedure_columns(document), "study_instance_uid": row.study_instance_uid}
            tx.connection.execute(_CHANGE, {"procedure": key, "booked": "", **changed, **columns})
    return found


def _of_the_service(tx: Transaction, patient_key: int, change: ProcedureChange) -> tuple[int, ...]:
    """Return the only procedure an appointment made that may be the order's, if there is one."""
    wanted = codes(change.procedure, _PROCEDURE_CODES)
    if not wanted:
        return ()
    days = _days(change.steps)
    hits = {
        row.key
        for row in _BOOKED.all(tx.connection, {"patient": patient_key})
        if wanted & codes(load(row.document), _PROCEDURE_CODES) and (not days or row.start[:8] in days)
    }
    return tuple(hits) if len(hits) == 1 else ()


def _days(documents: Iterable[Document]) -> set[str]:
    return {step_columns(document)["start"][:8] for document in documents} - {""}


def _name_steps(tx: Transaction, key: int, change: ProcedureChange) -> None:
    """Give the steps, as they come, the IDs by which the order calls its own."""
    if _STEP_ID in change.assumed and len(change.steps) == 1:
        return
    named = (each for each in change.steps if values(each, _STEP_ID))
    called = {step_columns(each)["step_id"]: each[_STEP_ID] for each in named}
    known = known_steps(tx, key)
    present = {step.step_id for step in known}
    new = [element for step_id, element in called.items() if step_id not in present]
    spare = [step for step in known if step.step_id not in called]
    for step, element in zip(spare, new, strict=False):
        changed = {
            "document": dump({**step.document, _STEP_ID: element}),
            "step_id": column(str(element["Value"][0])),
            "revision": step.revision + 1,
            "updated_at": tx.stamp,
        }
        tx.connection.execute(_NAME_STEP, {"step": step.key, **changed})


_MARK = update(procedures).where(procedures.c.key == bindparam("procedure"))
_CHANGE = _MARK
_PROCEDURE = select(procedures).where(procedures.c.key == bindparam("procedure"))
_BOOKED = Prepared(
    select(procedures.c.key, procedures.c.document, steps.c.start)
    .select_from(steps.join(procedures))
    .where(procedures.c.patient_key == bindparam("patient"), procedures.c.booked != "")
)
_NAME_STEP = update(steps).where(steps.c.key == bindparam("step"))
