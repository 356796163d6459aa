"""Requested procedures and scheduled steps: how orders make them and change them.

What a message does not mention stays, what it empties is emptied (D-25), what its profile assumed for
want of it fills a gap and replaces nothing; and nothing that a late message says replaces anything.
What is the same already is not written: the revision counts changes, and a cached response is good for
as long as it stands.

The Study Instance UID of a procedure is the one that was sent, else the stored one, else it is derived
(`mwl.store.study_uid`), once.  A message that leaves it out or empties it changes nothing; one that
sends another gets its way only while no performed step refers to the procedure, and only where the
system's profile lets it.  From then on images carry the stored one, and it stays.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Insert, bindparam, delete, exists, insert, select, update

from mwl.lifecycle import StepState
from mwl.model import Document
from mwl.store import study_uid, transitions
from mwl.store.documents import merged, without
from mwl.store.identity import OrderNumbers
from mwl.store.lateness import UNSTATED, Moment, Stamps
from mwl.store.promoted import dump, load, procedure_columns, station_rows, step_columns
from mwl.store.tables import performed_links, procedures, step_stations, steps
from mwl.store.transaction import Transaction

_STEP_ID = "00400009"


@dataclass(frozen=True, slots=True)
class Procedure:
    """A requested procedure after a message."""

    key: int
    study_instance_uid: str
    made: bool = False
    changed: bool = False  # its document is not what it was before
    new_study: bool = False  # the UID is not what it was before
    kept_study: bool = False  # the message had another UID and did not get its way
    late: bool = False  # something later was applied before: the message filled gaps


@dataclass(frozen=True, slots=True)
class Step:
    """A scheduled step, as stored; after a message, what the message did to it."""

    key: int
    step_id: str
    state: StepState
    held: bool
    document: Document
    revision: int
    made: bool = False
    changed: bool = False
    kept: bool = False  # the message would have changed it and may not


def create(
    tx: Transaction,
    numbers: OrderNumbers,
    sent: Document,
    identity: Sequence[str],
    uid_root: str | None,
    *,
    moment: Moment = UNSTATED,
) -> Procedure:
    """Make a requested procedure; *identity* is what its UID is derived from if it was sent without."""
    uid = procedure_columns(sent)["study_instance_uid"] or study_uid.derive(identity, uid_root)
    document = merged({}, {**sent, **_study(uid)})
    values = {
        "patient_key": numbers.patient_key,
        "system": numbers.system,
        "document": dump(document),
        **procedure_columns(document),
        **_stamps(moment.after(Stamps())),
    }
    return Procedure(_inserted(tx, _NEW_PROCEDURE, values), uid, made=True, new_study=True)


def change(
    tx: Transaction,
    key: int,
    sent: Document,
    *,
    assumed: Collection[str] = (),
    moment: Moment = UNSTATED,
    fill_late: bool = True,
    take_study: bool = True,
) -> Procedure:
    """Merge *sent* into a requested procedure; its *assumed* attributes fill gaps only.

    So do all of them where *moment* is before what was applied last, unless *fill_late* is false.
    *take_study* is whether another Study Instance UID may take the place of the stored one.
    """
    row = tx.connection.execute(_PROCEDURE, {"procedure": key}).one()
    stored, old = load(row.document), row.study_instance_uid
    last = Stamps(row.sent_at, row.effective_at, row.sent_by)
    late = fill_late and moment.is_late(last)
    assumed = sent.keys() if late else assumed
    new = procedure_columns(without(sent, assumed))["study_instance_uid"] or old
    kept = new != old and (not take_study or _has_performed(tx, key))
    uid = old if kept else new
    document = {**merged(stored, sent, assumed=assumed), **_study(uid)}
    changed: dict[str, Any] = {}
    if document != stored:
        changed = {"document": dump(document), "revision": row.revision + 1, **procedure_columns(document)}
    # A stamp is no revision: what devices get is the same.
    if (stamps := moment.after(last)) != last:
        changed |= _stamps(stamps)
    if changed:
        tx.connection.execute(_CHANGE_PROCEDURE, {"procedure": key, **changed})
    return Procedure(key, uid, changed=document != stored, new_study=uid != old, kept_study=kept, late=late)


def _study(uid: str) -> Document:
    return {"0020000D": {"vr": "UI", "Value": [uid]}}


def _stamps(stamps: Stamps) -> dict[str, str]:
    return {"sent_at": stamps.sent_at, "effective_at": stamps.effective_at, "sent_by": stamps.sent_by}


def step_ids(tx: Transaction, procedure_keys: Sequence[int]) -> dict[int, str]:
    """Return the step ID of each step of these procedures, by key, in the order of the keys."""
    found = select(steps.c.key, steps.c.step_id).where(steps.c.procedure_key.in_(procedure_keys))
    return {row.key: row.step_id for row in tx.connection.execute(found.order_by(steps.c.key))}


def known_steps(tx: Transaction, procedure_key: int) -> list[Step]:
    """Return the steps of a procedure by key, and lock their rows until the transaction ends."""
    rows = tx.connection.execute(_STEPS, {"procedure": procedure_key})
    return [
        Step(row.key, row.step_id, StepState(row.state), row.held, load(row.document), row.revision)
        for row in rows
    ]


def _meant(known: Sequence[Step], sent: Document, assumed: Collection[str] = ()) -> Step | None:
    """Return which of the *known* steps of a procedure *sent* means.

    A message that sends no step ID, or only an *assumed* one, means the only step there is, if there
    is one.
    """
    step_id = step_columns(sent)["step_id"]
    named = [step for step in known if step.step_id == step_id != ""]
    if not named and (not step_id or _STEP_ID in assumed):
        named = list(known)
    return named[0] if len(named) == 1 else None


def put_step(
    tx: Transaction,
    procedure_key: int,
    sent: Document,
    *,
    source: str,
    assumed: Collection[str] = (),
    late: bool = False,
    known: list[Step] | None = None,
    keep: Collection[StepState] = (),
) -> Step | None:
    """Make or change the step of this step ID; its state is no matter of the document.

    *known* are the steps of the procedure, if they were read before; it is brought up to date.  Of a
    *late* message everything fills gaps only; a step in a state to *keep* stays as it is.  Returns None
    when it cannot be told which step is meant.
    """
    known = known_steps(tx, procedure_key) if known is None else known
    step_id = step_columns(sent)["step_id"]
    stored = _meant(known, sent, assumed)
    sent = without(sent, {transitions.STATUS} if step_id else {transitions.STATUS, _STEP_ID})
    if stored is not None:
        step = _change_step(tx, stored, sent, sent.keys() if late else assumed, keep)
        known[known.index(stored)] = step
        return step
    if not step_id or (known and _STEP_ID in assumed):
        return None
    step = _create_step(tx, procedure_key, sent, source)
    known.append(step)
    return step


def _create_step(tx: Transaction, procedure_key: int, sent: Document, source: str) -> Step:
    state = StepState.SCHEDULED
    document = merged({}, {**sent, transitions.STATUS: transitions.status(state)})
    columns = step_columns(document)
    values = {
        "procedure_key": procedure_key,
        "state": state.value,
        "document": dump(document),
        "created_at": tx.stamp,
        "updated_at": tx.stamp,
        **columns,
    }
    key = _inserted(tx, _NEW_STEP, values)
    _place(tx, key, document)
    transitions.created(tx, key, state, source=source)
    return Step(key, columns["step_id"], state, held=False, document=document, revision=1, made=True)


def _change_step(
    tx: Transaction, stored: Step, sent: Document, assumed: Collection[str], keep: Collection[StepState]
) -> Step:
    document = merged(stored.document, sent, assumed=assumed)
    if document == stored.document:
        return stored
    if stored.state in keep:
        return replace(stored, kept=True)
    columns = step_columns(document)
    changed = {
        "document": dump(document),
        "revision": stored.revision + 1,
        "updated_at": tx.stamp,
        **columns,
    }
    tx.connection.execute(_CHANGE_STEP, {"step": stored.key, **changed})
    tx.connection.execute(_CLEAR_STATIONS, {"step": stored.key})
    _place(tx, stored.key, document)
    return replace(
        stored, step_id=columns["step_id"], document=document, revision=stored.revision + 1, changed=True
    )


def _place(tx: Transaction, key: int, document: Document) -> None:
    rows = [{"step_key": key, **row} for row in station_rows(document)]
    if rows:
        tx.connection.execute(_STATION, rows)


def _has_performed(tx: Transaction, procedure_key: int) -> bool:
    return bool(tx.connection.scalar(_PERFORMED, {"procedure": procedure_key}))


def _inserted(tx: Transaction, statement: Insert, values: dict[str, Any]) -> int:
    key: int = tx.connection.execute(statement, values).inserted_primary_key[0]  # type: ignore[index]
    return key


# Built once: to build a statement costs more than to run it.
_NEW_PROCEDURE = insert(procedures)
_PROCEDURE = select(procedures).where(procedures.c.key == bindparam("procedure"))
_CHANGE_PROCEDURE = update(procedures).where(procedures.c.key == bindparam("procedure"))
_NEW_STEP = insert(steps)
_STEPS = (
    select(steps)
    .where(steps.c.procedure_key == bindparam("procedure"))
    .order_by(steps.c.key)
    .with_for_update()
)
_CHANGE_STEP = update(steps).where(steps.c.key == bindparam("step"))
_STATION = insert(step_stations).inline()
_CLEAR_STATIONS = delete(step_stations).where(step_stations.c.step_key == bindparam("step"))
_PERFORMED = select(
    exists().select_from(steps.join(performed_links)).where(steps.c.procedure_key == bindparam("procedure"))
)
