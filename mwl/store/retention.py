"""What is too old is deleted: a few rows a transaction, so that nobody waits for it.

A message takes with it what it was found by, its attempts and its links; what it touched stays.
A requested procedure goes as a whole, when all of its steps are finished, or on hold, and have been for so
long: with its steps, their history and what was performed of them, and with the patient, where that was the
last there was of the patient.  What waits on a worklist, or runs, or is still to be sent on, stays however
old it is.
A row of the outbox goes when it was delivered or discarded, and what it may still be asked for is over: it
tells an earlier row of its thread that it was overtaken, and a later request that the first was sent.
A patient without procedures goes with the IDs that were merged into it, when nothing was said of any of them
for so long.

What takes long to find is found in a read, and looked at once more in the transaction that deletes it.
Several brokers on one database may delete at once: each takes rows the others do not hold.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

from sqlalchemy import ColumnElement, Text, and_, cast, delete, exists, literal, or_, select, true

from mwl.lifecycle import CLOSED, OutboxState, PerformedState
from mwl.store import allowances, onward
from mwl.store.onward import NOBODY, Onward
from mwl.store.tables import messages, outbox, patients, performed, performed_links, procedures, steps
from mwl.store.transaction import Transaction, stamp

BATCH = 500
"""Rows of one transaction: some tens of milliseconds, which an acknowledgement can wait."""

_UNSENT = [OutboxState.PENDING.value, OutboxState.PARKED.value]
_FORWARDED = literal(f"{onward.FORWARD}:") + cast(performed.c.key, Text)  # the thread of a performed step
# Of them the outbox has but the number: what is sent is the request that is kept with the performed step.
_TO_BE_SENT = select(outbox.c.thread).where(outbox.c.state.in_(_UNSENT), outbox.c.kind == onward.FORWARD)


def purge_messages(tx: Transaction, before: dt.datetime, *, most: int = BATCH) -> int:
    """Delete messages that came, for the last time, before an instant; return how many, *most* at most."""
    old = (
        select(messages.c.key)
        .where(messages.c.last_at < stamp(before))
        .order_by(messages.c.last_at)
        .limit(most)
        # Not rendered on SQLite, where a writer is alone.
        .with_for_update(skip_locked=True)
    )
    keys = tx.connection.scalars(old).all()
    if keys:
        tx.connection.execute(delete(messages).where(messages.c.key.in_(keys)))
    allowances.forget(tx, stamp(before))
    return len(keys)


PROCEDURES = 50
"""Requested procedures of one transaction; each has a few steps with their histories and exams."""


_STEPS = 10
"""Steps that are looked at to find a procedure: few have more."""


def finished(tx: Transaction, before: dt.datetime, *, most: int = PROCEDURES) -> list[int]:
    """Return the keys of procedures that were finished before an instant, oldest first, *most* at most."""
    # From the oldest start on: what is finished by now was mostly to begin before.
    oldest = (
        select(steps.c.procedure_key)
        .where(steps.c.start < f"{before:%Y%m%d}", _over(before))
        .order_by(steps.c.start)
        .limit(most * _STEPS)
    )
    return list(dict.fromkeys(tx.connection.scalars(oldest)))[:most]


def _over(before: dt.datetime) -> ColumnElement[bool]:
    """Whether a step, and all that stands and falls with it, was finished before an instant."""
    old = stamp(before)
    sibling = steps.alias("sibling")
    unfinished = exists().where(
        sibling.c.procedure_key == steps.c.procedure_key,
        or_(
            and_(sibling.c.state.not_in(sorted(CLOSED)), sibling.c.held != true()),
            sibling.c.updated_at >= old,
            exists()
            .where(performed_links.c.step_key == sibling.c.key)
            .where(performed.c.key == performed_links.c.performed_key)
            .where(
                or_(
                    performed.c.state == PerformedState.IN_PROGRESS.value,
                    performed.c.updated_at >= old,
                    _FORWARDED.in_(_TO_BE_SENT),
                )
            ),
        ),
    )
    return and_(steps.c.updated_at < old, ~unfinished)


def purge_finished(
    tx: Transaction, before: dt.datetime, keys: Collection[int], *, told: Onward = NOBODY
) -> int:
    """Delete those of these requested procedures that were finished before an instant; return how many.

    *told* is who hears of performed steps that go with them.
    """
    still = select(steps.c.procedure_key).where(steps.c.procedure_key.in_(keys), _over(before))
    locked = select(procedures.c.key, procedures.c.patient_key).where(procedures.c.key.in_(still))
    rows = tx.connection.execute(locked.with_for_update(skip_locked=True)).all()
    if rows:
        _delete_procedures(tx, [row.key for row in rows], {row.patient_key for row in rows}, told)
    return len(rows)


def _delete_procedures(
    tx: Transaction, keys: Collection[int], patient_keys: Collection[int], told: Onward
) -> None:
    linked = (
        select(performed_links.c.performed_key)
        .join(steps, steps.c.key == performed_links.c.step_key)
        .where(steps.c.procedure_key.in_(keys))
    )
    exams = tx.connection.scalars(linked).all()
    tx.connection.execute(delete(procedures).where(procedures.c.key.in_(keys)))
    left = exists().where(performed_links.c.performed_key == performed.c.key)
    _delete_performed(tx, and_(performed.c.key.in_(exams), ~left), told)
    # A prior ID leads to its patient, and a patient with prior IDs is still asked for by them.
    prior = patients.alias("prior")
    needed = or_(
        exists().where(procedures.c.patient_key == patients.c.key),
        exists().where(prior.c.merged_into == patients.c.key),
        patients.c.merged_into.is_not(None),
    )
    tx.connection.execute(delete(patients).where(patients.c.key.in_(patient_keys), ~needed))


def purge_performed(tx: Transaction, before: dt.datetime, *, most: int = BATCH, told: Onward = NOBODY) -> int:
    """Delete performed steps without an order that ended before an instant; return how many, as above."""
    final = [state.value for state in PerformedState if state is not PerformedState.IN_PROGRESS]
    linked = exists().where(performed_links.c.performed_key == performed.c.key)
    old = (
        select(performed.c.key)
        .where(performed.c.state.in_(final), performed.c.updated_at < stamp(before), ~linked)
        .where(_FORWARDED.not_in(_TO_BE_SENT))
        .order_by(performed.c.key)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    keys = tx.connection.scalars(old).all()
    if keys:
        _delete_performed(tx, performed.c.key.in_(keys), told)
    return len(keys)


def _delete_performed(tx: Transaction, which: ColumnElement[bool], told: Onward) -> None:
    gone = delete(performed).where(which).returning(performed.c.key, performed.c.sop_instance_uid)
    onward.deleted(tx, [(key, uid) for key, uid in tx.connection.execute(gone)], told)


def forgotten(tx: Transaction, before: dt.datetime, *, most: int = BATCH) -> list[int]:
    """Return the keys of patients without procedures of whom nothing was said since, *most* at most."""
    return list(tx.connection.scalars(select(patients.c.key).where(_forgotten(before)).limit(most)))


def purge_patients(tx: Transaction, before: dt.datetime, keys: Collection[int]) -> int:
    """Delete those of these patients of whom nothing was said since an instant, with their prior IDs."""
    gone = delete(patients).where(patients.c.key.in_(keys), _forgotten(before))
    return tx.connection.execute(gone).rowcount


def _forgotten(before: dt.datetime) -> ColumnElement[bool]:
    prior = patients.alias("prior")
    return and_(
        patients.c.merged_into.is_(None),
        patients.c.touched_at < stamp(before),
        ~exists().where(procedures.c.patient_key == patients.c.key),
        ~exists().where(prior.c.merged_into == patients.c.key, prior.c.touched_at >= stamp(before)),
    )


def purge_outbox(tx: Transaction, before: dt.datetime, *, most: int = BATCH) -> int:
    """Delete outbox rows that were delivered or discarded before an instant; return how many, as above."""
    earlier = outbox.alias("earlier")
    waits = exists().where(
        earlier.c.state.in_(_UNSENT),
        earlier.c.destination == outbox.c.destination,
        earlier.c.thread == outbox.c.thread,
        earlier.c.key < outbox.c.key,
    )
    # By the N-CREATE that was sent an N-SET knows where to go: `mwl.store.onward`.
    open_ = select(_FORWARDED).where(performed.c.state == PerformedState.IN_PROGRESS.value)
    old = (
        select(outbox.c.key)
        .where(outbox.c.finished_at < stamp(before), ~waits, outbox.c.thread.not_in(open_))
        .order_by(outbox.c.finished_at)
        .limit(most)
        .with_for_update(skip_locked=True, of=outbox)
    )
    keys = tx.connection.scalars(old).all()
    if keys:
        tx.connection.execute(delete(outbox).where(outbox.c.key.in_(keys)))
    return len(keys)
