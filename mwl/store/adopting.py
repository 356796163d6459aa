"""Exams that came before their orders: when an order comes, what waits for it is linked (F-M19).

A Study Instance UID finds its exam however long ago that was.  By accession, placer and filler number, by
step ID with requested procedure ID, and by patient where a profile links by that, it is looked for among the
exams of the last days: an order that is written afterwards comes soon.  Which step is meant, if any, is
decided by the usual ladder.  What a person has unlinked stays so.

A merge may also show that an exam and its order were one patient's all the time (F51): then the link is as
good as any.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Row, bindparam, exists, or_, select, update

from mwl.conduct import Key
from mwl.lifecycle import PerformedState
from mwl.store import attaching, instances, linking, progress, unlinked
from mwl.store.attaching import Outcome, Situation
from mwl.store.candidates import candidates
from mwl.store.instances import PerformedStep
from mwl.store.linking import TRAITS, Remark
from mwl.store.prepared import Prepared
from mwl.store.progress import CONFLICT
from mwl.store.tables import patients, performed, performed_links, procedures, steps
from mwl.store.transaction import Transaction, stamp

RECENT: Final = dt.timedelta(days=3)
"""How long ago an exam may have been heard of last that is found by anything but its study."""


def adopt(tx: Transaction, procedure_keys: Collection[int], under: Situation) -> list[Outcome]:
    """Link the performed steps that have waited for these requested procedures, and let the steps follow."""
    found = {step.key: step for key in procedure_keys for step in _waiting(tx, key, under)}
    waiting = [step for _, step in sorted(found.items()) if _may_be_linked(step)]
    claimed = _claimed(tx, waiting, under)
    linked = []
    for step in waiting:
        if claimed[step.key]:
            instances.remarked(tx, step, {*step.remarks, Remark.AMBIGUOUS})
        else:
            linked.append(attaching.attach(tx, step, under))
    return linked


def _claimed(tx: Transaction, waiting: Sequence[PerformedStep], under: Situation) -> dict[int, bool]:
    """Tell of each whether another one means the same step, and no number of the order says which it is."""
    if not under.conducts.by_patient or len(waiting) < 2:
        return dict.fromkeys((step.key for step in waiting), False)
    meant = {
        step.key: attaching.chosen(tx, step, under.conducts.of(step.calling_ae)).unnumbered
        for step in waiting
    }
    counted = Counter(key for keys in meant.values() for key in keys)
    return {step_key: any(counted[each] > 1 for each in keys) for step_key, keys in meant.items()}


def _may_be_linked(step: PerformedStep) -> bool:
    # What was begun by mistake starts nothing.
    return Remark.UNLINKED not in step.remarks and not progress.withdrawn(step.state, step.document)


def _waiting(tx: Transaction, procedure_key: int, under: Situation) -> Iterator[PerformedStep]:
    named = _NUMBERS.all(tx.connection, {"procedure": procedure_key})  # a row for each of its steps
    numbers = named[0]
    rows = _OF_STUDY.all(tx.connection, {"study": numbers.study_instance_uid})
    wanted = [each for each in (numbers.accession, numbers.placer, numbers.filler) if each]
    pairs = (unlinked.pair(row.step_id or "", row.requested_procedure_id) for row in named)
    wanted += filter(None, pairs)
    if under.conducts.by_patient:
        wanted += tx.connection.scalars(_PATIENT_IDS, {"patient": numbers.patient_key}).all()
    if wanted:
        rows += _recent(tx, wanted)
    yield from map(instances.step, rows)


def _recent(tx: Transaction, wanted: Sequence[str]) -> Sequence[Row[Any]]:
    """Return what is not linked and says one of the *wanted* texts: the ladder sees where."""
    keys = unlinked.of(tx).find(tx, wanted, stamp(tx.now - RECENT))
    return tx.connection.execute(_WAITING, {"keys": keys}).all() if keys else ()


def reconcile(tx: Transaction, procedure_keys: Collection[int], under: Situation) -> None:
    """Let links count in full whose performed step and order turn out to be one patient's."""
    rows = tx.connection.execute(_CONFLICTS, {"procedures": list(procedure_keys)}).all()
    for performed_key in dict.fromkeys(row.performed_key for row in rows):
        step = instances.numbered(tx, performed_key, lock=True)
        keys = [row.step_key for row in rows if row.performed_key == performed_key]
        agreed = [key for key in keys if not _differs(tx, step, key, under)]
        for key in agreed:
            _settle(tx, performed_key, key)
        followed = attaching.follow(tx, step, agreed, under, source=step.source)
        if step.state is not PerformedState.IN_PROGRESS:
            attaching.tell_ended(tx, step, followed, under)
        if len(agreed) == len(keys):
            instances.remarked(tx, step, {*step.remarks} - {Remark.PATIENT_DIFFERS})


def _differs(tx: Transaction, step: PerformedStep, step_key: int, under: Situation) -> bool:
    conduct = under.conducts.of(step.calling_ae)
    same = TRAITS[Key.PATIENT]
    return any(
        same(item, found.numbers) is False
        for item in linking.wanted(step.document, step.calling_ae, conduct)
        for found in candidates(tx, item, conduct)
        if found.step_key == step_key
    )


def _settle(tx: Transaction, performed_key: int, step_key: int) -> None:
    link = (performed_links.c.performed_key == performed_key) & (performed_links.c.step_key == step_key)
    rule = tx.connection.scalar(select(performed_links.c.rule).where(link))
    tx.connection.execute(update(performed_links).where(link).values(rule=str(rule).removesuffix(CONFLICT)))


# Built once: every new order asks.
_NUMBERS = Prepared(
    select(
        procedures.c.study_instance_uid, procedures.c.accession, procedures.c.placer, procedures.c.filler,
        procedures.c.requested_procedure_id, procedures.c.patient_key, steps.c.step_id,
    )
    .select_from(procedures.outerjoin(steps))
    .where(procedures.c.key == bindparam("procedure"))
)  # fmt: skip
_PATIENT_IDS = select(patients.c.patient_id).where(
    or_(patients.c.key == bindparam("patient"), patients.c.merged_into == bindparam("patient"))
)
_LINKED = exists().where(performed_links.c.performed_key == performed.c.key)
_OF_STUDY = Prepared(
    select(performed)
    .where(performed.c.study_instance_uid == bindparam("study"), ~_LINKED)
    .order_by(performed.c.key)
    .with_for_update()
)
_WAITING = (
    select(performed)
    .where(performed.c.key.in_(bindparam("keys", expanding=True)), ~_LINKED)
    .order_by(performed.c.key)
    .with_for_update()
)
_CONFLICTS = (
    select(performed_links.c.performed_key, performed_links.c.step_key)
    .select_from(performed_links.join(steps))
    .where(
        steps.c.procedure_key.in_(bindparam("procedures", expanding=True)),
        performed_links.c.rule.endswith(CONFLICT, autoescape=True),
    )
    .order_by(performed_links.c.performed_key, performed_links.c.step_key)
)
