"""The stored steps that a Scheduled Step Attributes item may mean: what the ladder chooses among.

A rung that asks for a number of the order finds its steps by that number's index.  One that asks for
step ID and requested procedure ID, which are as short as "1", or for no number at all, finds them by
everything it asks for, and by the patient.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, exists, or_, select

from mwl.conduct import Conduct, Key, Rung
from mwl.lifecycle import WAITING, StepState
from mwl.store.linking import Candidate, Numbers, PatientId
from mwl.store.tables import patients, procedures, step_stations, steps
from mwl.store.transaction import Transaction

_BY_NUMBER: Final = {
    Key.STUDY: procedures.c.study_instance_uid,
    Key.ACCESSION: procedures.c.accession,
    Key.PLACER: procedures.c.placer,
    Key.FILLER: procedures.c.filler,
}
_PRIOR = patients.alias("prior")

_MOST = 500
"""Steps that may share a number: what more of them share ("0", "1") is a constant and tells nothing."""

DAYS_AROUND: Final = dt.timedelta(days=2)
"""Between exam and scheduled start: what a person is shown of the patient's other steps."""


def candidates(tx: Transaction, item: Numbers, conduct: Conduct = Conduct()) -> list[Candidate]:  # noqa: B008  frozen
    """Return every stored step that some rung could lead *item* to."""
    # One SELECT a number: an OR across three tables would read them whole.
    return _load(tx, _keys(tx, _sharing(item, conduct.ladder)))


def around(tx: Transaction, item: Numbers, conduct: Conduct = Conduct()) -> list[Candidate]:  # noqa: B008  frozen
    """Return the candidates and, for a person to choose, what else the patient has in those days."""
    wanted = list(_sharing(item, conduct.ladder))
    if item.patient_id:
        wanted.append(_select(and_(_same_patient(item), _starts(item.start, DAYS_AROUND))))
    return _load(tx, _keys(tx, wanted))


def _sharing(item: Numbers, ladder: Iterable[Rung]) -> Iterator[Select[Any]]:
    asked: set[Key] = set()
    for rung in ladder:
        numbers = set(rung.keys) & set(_BY_NUMBER)
        if not numbers:
            conditions = _conditions(item, rung)
            if conditions is not None:
                yield _select(conditions)
        elif not numbers & asked:
            asked |= numbers
            yield from (_select(_by_number(item, key)) for key in numbers if _values(item, key))


def _values(item: Numbers, key: Key) -> list[str]:
    found = {
        Key.STUDY: sorted(item.studies), Key.ACCESSION: [item.accession], Key.PLACER: [item.placer],
        Key.FILLER: [item.filler],
    }[key]  # fmt: skip
    return [each for each in found if each]


def _by_number(item: Numbers, key: Key) -> ColumnElement[bool]:
    return _BY_NUMBER[key].in_(_values(item, key))


def _conditions(item: Numbers, rung: Rung) -> ColumnElement[bool] | None:
    """Return what a step must be that *rung* leads to; None where the item does not know enough."""
    known = {
        Key.STEP: (item.step_id, steps.c.step_id == item.step_id),
        Key.PROCEDURE: (
            item.requested_procedure_id,
            procedures.c.requested_procedure_id == item.requested_procedure_id,
        ),
        Key.PATIENT: (item.patient_id, _same_patient(item)),
        Key.STATION: (item.stations, _at_station(item)),
    }
    if not all(known[key][0] for key in rung.keys) or (rung.within and not item.start):
        return None
    wanted = [known[key][1] for key in rung.keys]
    if item.patient_id:  # the support that is left: study and accession have SELECTs of their own
        wanted.append(_same_patient(item))
    if rung.within:
        wanted.append(_starts(item.start, rung.within))
    return and_(*wanted)


def _same_patient(item: Numbers) -> ColumnElement[bool]:
    merged = select(_PRIOR.c.merged_into).where(_PRIOR.c.patient_id == item.patient_id)
    return or_(patients.c.patient_id == item.patient_id, patients.c.key.in_(merged))


def _at_station(item: Numbers) -> ColumnElement[bool]:
    return exists().where(
        step_stations.c.step_key == steps.c.key, step_stations.c.ae_title.in_(sorted(item.stations))
    )


def _starts(start: str, within: dt.timedelta) -> ColumnElement[bool]:
    """Return the days on which a step must start; what is within the day is the ladder's affair."""
    try:
        day = dt.date.fromisoformat(start[:8])
    except ValueError:
        return steps.c.start == start
    reach = dt.timedelta(days=within.days + 1)
    try:
        first, last = (f"{each:%Y%m%d}" for each in (day - reach, day + reach + dt.timedelta(days=1)))
    except OverflowError:
        return steps.c.start == start
    return and_(steps.c.start >= first, steps.c.start < last)


def _select(condition: ColumnElement[bool]) -> Select[Any]:
    return select(steps.c.key).select_from(steps.join(procedures).join(patients)).where(condition)


def _keys(tx: Transaction, wanted: Iterable[Select[Any]]) -> set[int]:
    keys: set[int] = set()
    for each in wanted:
        found = tx.connection.execute(each.limit(_MOST + 1)).scalars().all()
        keys.update(found if len(found) <= _MOST else ())
    return keys


def _load(tx: Transaction, keys: Collection[int]) -> list[Candidate]:
    if not keys:
        return []
    stations: dict[int, set[str]] = {}
    for station in tx.connection.execute(select(step_stations).where(step_stations.c.step_key.in_(keys))):
        stations.setdefault(station.step_key, set()).add(station.ae_title)
    rows = tx.connection.execute(_NUMBERS.where(steps.c.key.in_(keys)).order_by(steps.c.key)).all()
    prior: dict[int, set[PatientId]] = {}
    merged = _PRIOR.c.merged_into.in_({row.patient_key for row in rows})
    for each in tx.connection.execute(select(_PRIOR).where(merged)):
        prior.setdefault(each.merged_into, set()).add((each.patient_id, each.issuer))
    return [
        Candidate(row.key, Numbers(
            step_id=row.step_id, requested_procedure_id=row.requested_procedure_id,
            accession=row.accession, accession_issuer=row.accession_issuer,
            studies=frozenset({row.study_instance_uid} - {""}),
            placer=row.placer, placer_issuer=row.placer_issuer,
            filler=row.filler, filler_issuer=row.filler_issuer,
            patient_id=row.patient_id, issuer=row.issuer,
            modality=row.modality, stations=frozenset(stations.get(row.key, ())),
            start=row.start if row.start_time else row.start[:8],
            prior_ids=frozenset(prior.get(row.patient_key, ())),
        ), waits=StepState(row.state) in WAITING)
        for row in rows
    ]  # fmt: skip


_NUMBERS = select(
    steps.c.key, steps.c.step_id, steps.c.modality, steps.c.state, steps.c.start, steps.c.start_time,
    procedures.c.requested_procedure_id, procedures.c.accession, procedures.c.accession_issuer,
    procedures.c.placer, procedures.c.placer_issuer, procedures.c.filler, procedures.c.filler_issuer,
    procedures.c.study_instance_uid, procedures.c.patient_key, patients.c.patient_id, patients.c.issuer,
).select_from(steps.join(procedures).join(patients))  # fmt: skip
