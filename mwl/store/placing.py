"""Requested procedures and scheduled steps: how orders make them and change them.

What a message does not mention stays, what it empties is emptied (D-25), what its profile assumed for
want of it fills a gap and replaces nothing.  What is the same already is not written: the revision
counts changes, and a cached response is good for as long as it stands.

The Study Instance UID of a procedure is the one that was sent, else the stored one, else it is derived
(`mwl.store.study_uid`), once.  A message that leaves it out or empties it changes nothing; one that
sends another gets its way only while no performed step refers to the procedure.  From then on images
carry the stored one, and it stays.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, exists, insert, select, update

from mwl.lifecycle import StepState
from mwl.model import Document
from mwl.store import study_uid, transitions
from mwl.store.documents import merged, without
from mwl.store.identity import OrderNumbers
from mwl.store.promoted import dump, load, procedure_columns, station_rows, step_columns
from mwl.store.tables import performed_links, procedures, step_stations, steps
from mwl.store.transaction import Transaction

_STEP_ID = "00400009"


@dataclass(frozen=True, slots=True)
class Procedure:
    """A requested procedure after a message."""

    key: int
    study_instance_uid: str
    new_study: bool = False  # the UID is not what it was before
    kept_study: bool = False  # the message had another UID and did not get its way


@dataclass(frozen=True, slots=True)
class Step:
    """A scheduled step after a message."""

    key: int
    state: StepState
    made: bool = False


def create(
    tx: Transaction, numbers: OrderNumbers, sent: Document, identity: Sequence[str], uid_root: str | None
) -> Procedure:
    """Make a requested procedure; *identity* is what its UID is derived from if it was sent without."""
    uid = procedure_columns(sent)["study_instance_uid"] or study_uid.derive(identity, uid_root)
    document = merged({}, {**sent, **_study(uid)})
    values = {
        "patient_key": numbers.patient_key,
        "system": numbers.system,
        "document": dump(document),
        **procedure_columns(document),
    }
    key = tx.connection.execute(insert(procedures).values(values).returning(procedures.c.key)).scalar_one()
    return Procedure(key, uid, new_study=True)


def change(tx: Transaction, key: int, sent: Document, *, assumed: Collection[str] = ()) -> Procedure:
    """Merge *sent* into a requested procedure; its *assumed* attributes fill gaps only."""
    row = tx.connection.execute(select(procedures).where(procedures.c.key == key)).one()
    stored, old = load(row.document), row.study_instance_uid
    new = procedure_columns(without(sent, assumed))["study_instance_uid"] or old
    kept = new != old and _has_performed(tx, key)
    uid = old if kept else new
    document = {**merged(stored, sent, assumed=assumed), **_study(uid)}
    if document != stored:
        changed = {"document": dump(document), "revision": row.revision + 1, **procedure_columns(document)}
        tx.connection.execute(update(procedures).where(procedures.c.key == key).values(changed))
    return Procedure(key, uid, new_study=uid != old, kept_study=kept)


def _study(uid: str) -> Document:
    return {"0020000D": {"vr": "UI", "Value": [uid]}}


def step_ids(tx: Transaction, procedure_keys: Sequence[int]) -> dict[int, str]:
    """Return the step ID of each step of these procedures, by key, in the order of the keys."""
    found = select(steps.c.key, steps.c.step_id).where(steps.c.procedure_key.in_(procedure_keys))
    return {row.key: row.step_id for row in tx.connection.execute(found.order_by(steps.c.key))}


def put_step(
    tx: Transaction, procedure_key: int, sent: Document, *, source: str, assumed: Collection[str] = ()
) -> Step | None:
    """Make or change the step of this step ID; its state is no matter of the document.

    A message that sends no step ID, or only an *assumed* one, means the only step there is, if there
    is one.  Returns None when it cannot be told which step is meant.
    """
    step_id = step_columns(sent)["step_id"]
    sent = without(sent, {transitions.STATUS} if step_id else {transitions.STATUS, _STEP_ID})
    known = select(steps).where(steps.c.procedure_key == procedure_key).order_by(steps.c.key)
    rows = tx.connection.execute(known.with_for_update()).all()
    meant = [row for row in rows if row.step_id == step_id != ""]
    if not meant and (not step_id or _STEP_ID in assumed):
        meant = list(rows)
    if len(meant) == 1:
        return _change_step(tx, meant[0], sent, assumed)
    return _create_step(tx, procedure_key, sent, source) if step_id and not meant else None


def _create_step(tx: Transaction, procedure_key: int, sent: Document, source: str) -> Step:
    state = StepState.SCHEDULED
    document = merged({}, {**sent, transitions.STATUS: transitions.status(state)})
    values = {
        "procedure_key": procedure_key,
        "state": state.value,
        "document": dump(document),
        "created_at": tx.stamp,
        "updated_at": tx.stamp,
        **step_columns(document),
    }
    key = tx.connection.execute(insert(steps).values(values).returning(steps.c.key)).scalar_one()
    _place(tx, key, document)
    transitions.created(tx, key, state, source=source)
    return Step(key, state, made=True)


def _change_step(tx: Transaction, row: Row[Any], sent: Document, assumed: Collection[str]) -> Step:
    stored = load(row.document)
    document = merged(stored, sent, assumed=assumed)
    if document != stored:
        changed = {
            "document": dump(document),
            "revision": row.revision + 1,
            "updated_at": tx.stamp,
            **step_columns(document),
        }
        tx.connection.execute(update(steps).where(steps.c.key == row.key).values(changed))
        tx.connection.execute(delete(step_stations).where(step_stations.c.step_key == row.key))
        _place(tx, row.key, document)
    return Step(row.key, StepState(row.state))


def _place(tx: Transaction, key: int, document: Document) -> None:
    rows = [{"step_key": key, **row} for row in station_rows(document)]
    if rows:
        tx.connection.execute(insert(step_stations), rows)


def _has_performed(tx: Transaction, procedure_key: int) -> bool:
    linked = steps.join(performed_links)
    found = exists().select_from(linked).where(steps.c.procedure_key == procedure_key)
    return bool(tx.connection.scalar(select(found)))
