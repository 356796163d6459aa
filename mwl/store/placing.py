"""Requested procedures and scheduled steps: how orders make them and change them.

What a message does not mention stays, what it empties is emptied (D-25), what its profile assumed for
want of it fills a gap and replaces nothing; and nothing that a late message says replaces anything.
What is the same already is not written: the revision counts changes, and a cached response is good for
as long as it stands.

The Study Instance UID of a procedure is the one that was sent, else the stored one, else it is derived
(`mwl.store.study_uid`), once.  A message that leaves it out or empties it changes nothing; one that
sends another gets its way only while no performed step refers to the procedure, and only where the
system's profile lets it.  From then on images carry the stored one, and it stays.  Orders of one requested
procedure (C-05, `mwl.store.identity`) have one study: it is changed for all of them, or kept.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row, and_, bindparam, delete, exists, or_, select

from mwl.lifecycle import StepState
from mwl.model import Document
from mwl.store import handles, study_uid, transitions
from mwl.store.documents import merged, without
from mwl.store.identity import OrderNumbers
from mwl.store.lateness import UNSTATED, Moment, Stamps
from mwl.store.prepared import Prepared, new
from mwl.store.prepared import change as write
from mwl.store.promoted import (
    dump,
    load,
    procedure_columns,
    station_rows,
    step_columns,
    step_id_of,
    study_of,
)
from mwl.store.tables import performed_links, procedures, step_stations, steps
from mwl.store.transaction import Transaction

_STEP_ID = "00400009"
_LONGEST = 16  # characters of a step ID (SH, PS3.5 6.2)


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
    shared_study: str = "",
    moment: Moment = UNSTATED,
) -> Procedure:
    """Make a requested procedure.

    One that was sent without a UID has the *shared_study*, else one that is derived from its *identity*.
    """
    uid = study_of(sent) or shared_study
    uid = uid or study_uid.derive(identity, uid_root)
    document = merged({}, {**sent, **_study(uid)})
    values = {
        "patient_key": numbers.patient_key,
        "system": numbers.system,
        "document": dump(document),
        **procedure_columns(document),
        **_stamps(moment.after(Stamps())),
    }
    handles.keep(tx, document)
    key = _NEW_PROCEDURE.scalar(tx.connection, values)
    return Procedure(key, uid, made=True, new_study=True)


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
    row = _PROCEDURE.first(tx.connection, {"procedure": key})
    stored, old = load(row.document), row.study_instance_uid
    last = Stamps(row.sent_at, row.effective_at, row.sent_by)
    late = fill_late and moment.is_late(last)
    assumed = sent.keys() if late else assumed
    new = study_of(without(sent, assumed)) or old
    others = _of_one_procedure(tx, row) if new != old else []
    performed = new != old and _has_performed(tx, [key, *(other.key for other in others)])
    kept = new != old and (performed or not take_study)
    uid = old if kept else new
    document = {**merged(stored, sent, assumed=assumed), **_study(uid)}
    changed: dict[str, Any] = {}
    if document != stored:
        changed = {"document": dump(document), "revision": row.revision + 1, **procedure_columns(document)}
    # A stamp is no revision: what devices get is the same.
    if (stamps := moment.after(last)) != last:
        changed |= _stamps(stamps)
    if document != stored:
        handles.keep(tx, document)
    if changed:
        write(procedures, tuple(changed)).run(tx.connection, {"row": key, **changed})
    for other in others if uid != old else ():
        _change_study(tx, other, uid)
    return Procedure(key, uid, changed=document != stored, new_study=uid != old, kept_study=kept, late=late)


def _of_one_procedure(tx: Transaction, row: Row[Any]) -> Sequence[Row[Any]]:
    """Return what the other orders of one requested procedure ask for, in the order of the keys."""
    if not row.accession or not row.requested_procedure_id:
        return []
    return _SAME_PROCEDURE.all(tx.connection, {"procedure": row.key})


def _change_study(tx: Transaction, row: Row[Any], uid: str) -> None:
    changed = {
        "document": dump({**load(row.document), **_study(uid)}),
        "study_instance_uid": uid,
        "revision": row.revision + 1,
    }
    write(procedures, tuple(changed)).run(tx.connection, {"row": row.key, **changed})


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
    rows = _STEPS.all(tx.connection, {"procedure": procedure_key})
    return [
        Step(row.key, row.step_id, StepState(row.state), row.held, load(row.document), row.revision)
        for row in rows
    ]


def told_apart(
    tx: Transaction,
    procedure_key: int,
    sent: Sequence[Document],
    numbers: OrderNumbers,
    *,
    assumed: Collection[str],
    known: Sequence[Step],
) -> Sequence[Document]:
    """Return the steps of an order; where their IDs are *assumed*, with such as are no other order's.

    What stands in for a step ID, the requested procedure ID perhaps, may stand in for that of another
    order as well.  The first one keeps it; of any other its own number is the ID, or makes one of it.
    """
    if _STEP_ID not in assumed or (known and len(sent) == 1):  # the step there is, whatever it is called
        return sent
    own = {step.step_id for step in known}
    taken = set(_OTHER_STEP_IDS.scalars(tx.connection, {"procedure": procedure_key})) - own
    apart = []
    for document in sent:
        step_id = step_id_of(document)
        possible = list(_stand_ins(step_id, numbers, alone=len(sent) == 1)) if step_id in taken else []
        free = [each for each in possible if each in own] or [each for each in possible if each not in taken]
        apart.append({**document, _STEP_ID: {"vr": "SH", "Value": free[:1]}} if free else document)
    return apart


def _stand_ins(step_id: str, numbers: OrderNumbers, *, alone: bool) -> Iterator[str]:
    """Yield what may be the ID of an order's step in place of *step_id*: always the same for one order."""
    own = [each for each in (numbers.filler, numbers.placer) if each]
    if not own and numbers.accession:
        own = [numbers.accession]
    if alone:
        yield from (each for each in own if len(each) <= _LONGEST)
    for each in own:
        digest = hashlib.sha256(f"{len(step_id)}:{step_id}{each}".encode()).digest()
        ending = "-" + base64.b32encode(digest).decode("ascii")[:6]  # 30 bits, among the steps of one study
        yield step_id[: _LONGEST - len(ending)] + ending


def _meant(known: Sequence[Step], sent: Document, assumed: Collection[str], *, alone: bool) -> Step | None:
    """Return which of the *known* steps of a procedure *sent* means.

    A message that sends no step ID, or only an *assumed* one for its one step, means the only step
    there is, if there is one.
    """
    step_id = step_id_of(sent)
    named = [step for step in known if step.step_id == step_id != ""]
    if not named and (not step_id or (alone and _STEP_ID in assumed)):
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
    alone: bool = True,
    keep: Collection[StepState] = (),
) -> Step | None:
    """Make or change the step of this step ID; its state is no matter of the document.

    *known* are the steps of the procedure, if they were read before; it is brought up to date.  *alone*
    is whether the message speaks of no other step of it.  Of a *late* message everything fills gaps
    only; a step in a state to *keep* stays as it is.  Returns None when it cannot be told which step is
    meant.
    """
    known = known_steps(tx, procedure_key) if known is None else known
    step_id = step_id_of(sent)
    stored = _meant(known, sent, assumed, alone=alone)
    sent = without(sent, {transitions.STATUS} if step_id else {transitions.STATUS, _STEP_ID})
    if stored is not None:
        step = _change_step(tx, stored, sent, sent.keys() if late else assumed, keep)
        if step.held and _starts_later(step, stored) and transitions.rescheduled(tx, step.key, source=source):
            step = replace(step, held=False, revision=step.revision + 1)
        known[known.index(stored)] = step
        return step
    if not step_id or (known and alone and _STEP_ID in assumed):
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
    handles.keep(tx, document)
    key = _NEW_STEP.scalar(tx.connection, values)
    _place(tx, key, document, state)
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
    handles.keep(tx, document)
    write(steps, tuple(changed)).run(tx.connection, {"row": stored.key, **changed})
    _CLEAR_STATIONS.run(tx.connection, {"step": stored.key})
    _place(tx, stored.key, document, stored.state)
    return replace(
        stored, step_id=columns["step_id"], document=document, revision=stored.revision + 1, changed=True
    )


def _starts_later(step: Step, before: Step) -> bool:
    return step_columns(step.document)["start"] > step_columns(before.document)["start"]


def _place(tx: Transaction, key: int, document: Document, state: StepState) -> None:
    _STATION.run_all(tx.connection, [{"step_key": key, **row} for row in station_rows(document, state)])


def _has_performed(tx: Transaction, procedure_keys: Sequence[int]) -> bool:
    return bool(_PERFORMED.scalar(tx.connection, {"procedures": procedure_keys}))


# Built once: to build a statement costs more than to run it.
_NEW_PROCEDURE = new(procedures, key=True)
_PROCEDURE = Prepared(select(procedures).where(procedures.c.key == bindparam("procedure")))
_NEW_STEP = new(steps, key=True)
_STEPS = Prepared(
    select(steps)
    .where(steps.c.procedure_key == bindparam("procedure"))
    .order_by(steps.c.key)
    .with_for_update()
)
_STATION = new(step_stations)
_CLEAR_STATIONS = Prepared(delete(step_stations).where(step_stations.c.step_key == bindparam("step")))
_PERFORMED = Prepared(
    select(
        exists()
        .select_from(steps.join(performed_links))
        .where(steps.c.procedure_key.in_(bindparam("procedures", expanding=True)))
        .label("performed")
    )
)
_OTHER = procedures.alias("other")
_OTHERS = and_(
    procedures.c.key == bindparam("procedure"),
    _OTHER.c.key != procedures.c.key,
    _OTHER.c.patient_key == procedures.c.patient_key,
)
_SAME_ACCESSION = and_(
    procedures.c.accession != "",
    _OTHER.c.accession == procedures.c.accession,
    _OTHER.c.accession_issuer == procedures.c.accession_issuer,
)
_SAME_STUDY = _OTHER.c.study_instance_uid == procedures.c.study_instance_uid
_SAME_PROCEDURE = Prepared(
    select(_OTHER)
    .join(procedures, _OTHERS)
    .where(
        _SAME_ACCESSION, _SAME_STUDY, _OTHER.c.requested_procedure_id == procedures.c.requested_procedure_id
    )
    .order_by(_OTHER.c.key)
)
# Devices tell the steps of a study by their IDs, and show those of an accession number as one list.
_OTHER_STEP_IDS = Prepared(
    select(steps.c.step_id)
    .join(_OTHER, _OTHER.c.key == steps.c.procedure_key)
    .join(procedures, _OTHERS)
    .where(or_(_SAME_STUDY, _SAME_ACCESSION))
)
