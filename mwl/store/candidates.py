"""The stored steps that a Scheduled Step Attributes item may mean: what the ladder chooses among.

A rung that asks for a number of the order finds its steps by that number's index.  One that asks for
step ID and requested procedure ID, which are as short as "1", or for no number at all, finds them by
everything it asks for, and by the patient.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

from sqlalchemy import ColumnElement, bindparam, exists, select

from mwl.conduct import Conduct, Key, Rung
from mwl.lifecycle import WAITING, StepState
from mwl.store.linking import Candidate, Numbers, PatientId
from mwl.store.prepared import Prepared
from mwl.store.tables import patients, procedures, step_stations, steps
from mwl.store.transaction import Transaction

_BY_NUMBER: Final = {
    Key.STUDY: procedures.c.study_instance_uid,
    Key.ACCESSION: procedures.c.accession,
    Key.PLACER: procedures.c.placer,
    Key.FILLER: procedures.c.filler,
}
_PRIOR = patients.alias("prior")
_SAME = patients.alias("same")

_MOST = 500
"""Steps that may share a number: what more of them share ("0", "1") is a constant and tells nothing."""

DAYS_AROUND: Final = dt.timedelta(days=2)
"""Between exam and scheduled start: what a person is shown of the patient's other steps."""


def candidates(tx: Transaction, item: Numbers, conduct: Conduct = Conduct()) -> list[Candidate]:  # noqa: B008  frozen
    """Return every stored step that some rung could lead *item* to."""
    # One SELECT a number: an OR across three tables would read them whole.
    return _load(tx, _keys(tx, item, _sharing(item, conduct.ladder)))


def around(tx: Transaction, item: Numbers, conduct: Conduct = Conduct()) -> list[Candidate]:  # noqa: B008  frozen
    """Return the candidates and, for a person to choose, what else the patient has in those days."""
    wanted = list(_sharing(item, conduct.ladder))
    if item.patient_id and item.start:
        wanted.append((_statement(frozenset({Key.PATIENT}), timed=True), DAYS_AROUND))
    return _load(tx, _keys(tx, item, wanted))


_Wanted: TypeAlias = tuple[Prepared, dt.timedelta]


def _sharing(item: Numbers, ladder: Iterable[Rung]) -> Iterator[_Wanted]:
    asked: set[Key] = set()
    for rung in ladder:
        within = rung.within or dt.timedelta()
        numbers = set(rung.keys) & set(_BY_NUMBER)
        if not numbers and all(_knows(item, key) for key in rung.keys) and (item.start or not rung.within):
            # The support that is left: study and accession have SELECTs of their own.
            patient = {Key.PATIENT} if item.patient_id else set()
            yield _statement(frozenset({*rung.keys, *patient}), timed=rung.within is not None), within
        elif not numbers & asked:
            asked |= numbers
            yield from ((_statement(frozenset({key})), within) for key in numbers if _knows(item, key))


def _knows(item: Numbers, key: Key) -> bool:
    return bool(_values(item)[key])


def _values(item: Numbers) -> Mapping[Key, Any]:
    return {
        Key.STEP: item.step_id, Key.PROCEDURE: item.requested_procedure_id,
        Key.STUDY: sorted(item.studies), Key.ACCESSION: [item.accession] if item.accession else [],
        Key.PLACER: [item.placer] if item.placer else [], Key.FILLER: [item.filler] if item.filler else [],
        Key.PATIENT: item.patient_id, Key.STATION: sorted(item.stations),
    }  # fmt: skip


@lru_cache(maxsize=200)
def _statement(keys: frozenset[Key], *, timed: bool = False) -> Prepared:
    """Return the SELECT of steps that agree in all of *keys*, and start in some days where that is asked."""
    found = select(steps.c.key).select_from(steps.join(procedures).join(patients))
    for key in sorted(keys):
        found = found.where(_agrees(key))
    if timed:
        found = found.where(steps.c.start >= bindparam("first"), steps.c.start < bindparam("last"))
    return Prepared(found.limit(_MOST + 1))


def _agrees(key: Key) -> ColumnElement[bool]:
    if key in _BY_NUMBER:
        return _BY_NUMBER[key].in_(bindparam(key.name, expanding=True))
    if key is Key.STATION:
        there = step_stations.c.ae_title.in_(bindparam(key.name, expanding=True))
        return exists().where(step_stations.c.step_key == steps.c.key, there)
    if key is Key.PATIENT:
        # One IN: of a disjunction of two PostgreSQL finds no index, and walks all steps.
        own, merged = (
            select(column).where(column.table.c.patient_id == bindparam(key.name))
            for column in (_SAME.c.key, _PRIOR.c.merged_into)
        )
        return patients.c.key.in_(own.union_all(merged))
    one = steps.c.step_id if key is Key.STEP else procedures.c.requested_procedure_id
    return one == bindparam(key.name)


def _days(start: str, within: dt.timedelta) -> tuple[str, str]:
    """Return between which starts a step must be; what is within the day is the ladder's affair."""
    reach = dt.timedelta(days=within.days + 1)
    try:
        day = dt.date.fromisoformat(start[:8])
        return f"{day - reach:%Y%m%d}", f"{day + reach + dt.timedelta(days=1):%Y%m%d}"
    except (ValueError, OverflowError):  # what a device calls a date may be none
        return "", ""


def _keys(tx: Transaction, item: Numbers, wanted: Iterable[_Wanted]) -> set[int]:
    keys: set[int] = set()
    values = {key.name: value for key, value in _values(item).items()}
    for statement, within in wanted:
        first, last = _days(item.start, within)
        found = statement.scalars(tx.connection, {**values, "first": first, "last": last})
        keys.update(found if len(found) <= _MOST else ())
    return keys


def _load(tx: Transaction, keys: Collection[int]) -> list[Candidate]:
    if not keys:
        return []
    stations: dict[int, set[str]] = {}
    for station in _STATIONS.all(tx.connection, {"steps": list(keys)}):
        stations.setdefault(station.step_key, set()).add(station.ae_title)
    rows = _NUMBERS.all(tx.connection, {"steps": list(keys)})
    prior: dict[int, set[PatientId]] = {}
    for each in _PRIOR_IDS.all(tx.connection, {"patients": list({row.patient_key for row in rows})}):
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


_NUMBERS = Prepared(
    select(
        steps.c.key, steps.c.step_id, steps.c.modality, steps.c.state, steps.c.start, steps.c.start_time,
        procedures.c.requested_procedure_id, procedures.c.accession, procedures.c.accession_issuer,
        procedures.c.placer, procedures.c.placer_issuer, procedures.c.filler, procedures.c.filler_issuer,
        procedures.c.study_instance_uid, procedures.c.patient_key, patients.c.patient_id, patients.c.issuer,
    )
    .select_from(steps.join(procedures).join(patients))
    .where(steps.c.key.in_(bindparam("steps", expanding=True)))
    .order_by(steps.c.key)
)  # fmt: skip
_STATIONS = Prepared(
    select(step_stations.c.step_key, step_stations.c.ae_title).where(
        step_stations.c.step_key.in_(bindparam("steps", expanding=True))
    )
)
_PRIOR_IDS = Prepared(
    select(_PRIOR.c.merged_into, _PRIOR.c.patient_id, _PRIOR.c.issuer).where(
        _PRIOR.c.merged_into.in_(bindparam("patients", expanding=True))
    )
)
