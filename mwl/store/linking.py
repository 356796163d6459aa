"""Which scheduled step an MPPS means: the ladder from a Scheduled Step Attributes item to a step.

Theory of operation
-------------------
Devices return what they were given, more or less: numbers are edited by operators, left out, or made
anew (B-30, P35).  The ladder is tried from the surest rung to the weakest, for each item alone, and
the first rung that leads to exactly one step decides; so an item links one step or none, and n items
up to n steps (the group case, F-M21).

1. step ID + requested procedure ID
2. step ID + accession number
3. step ID + Study Instance UID
4. Study Instance UID
5. accession number + station

A zero-length value never matches.  Numbers as short as "1" are common, so a step found without its
Study Instance UID (1, 2, 5) must agree in one more thing that both sides know: study, accession,
requested procedure, patient.  Agrees none of them, it is another order's step.  Several hits are
narrowed by what else agrees: those four, then modality, then station.  Are there still several, the
rung does not count: a study's steps are not all performed because one of them was, and an exam that
vanishes from the worklist is worse than a step that must be closed by hand.  For the same reason an
item that names a step ID is never led by modality or station to a step with another.

A patient who differs breaks the rungs 4 and 5; the rungs 1 to 3 hold, and the difference is reported
(F-M23, F51).  A device that asked before a merge returns the ID the patient had then, which is the same
patient.  Nothing is ever copied from the MPPS to the order (B-35).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from sqlalchemy import or_, select

from mwl.model import Document, items, text
from mwl.store import promoted
from mwl.store.promoted import column
from mwl.store.tables import patients, procedures, step_stations, steps
from mwl.store.transaction import Transaction

_MODALITY, _STATION = "00080060", "00400241"
_STEP_ATTRIBUTES = "00400270"
_REFERENCED_STUDIES, _REFERENCED_INSTANCE = "00081110", "00081155"


class Rung(StrEnum):
    """What linked a performed step to a scheduled one; stored with the link."""

    STEP_AND_PROCEDURE = "step ID + requested procedure ID"
    STEP_AND_ACCESSION = "step ID + accession number"
    STEP_AND_STUDY = "step ID + Study Instance UID"
    STUDY = "Study Instance UID"
    ACCESSION_AND_STATION = "accession number + station"


class Remark(StrEnum):
    """What a person should look at after a performed step was stored; fit for a log line."""

    UNSCHEDULED = "no scheduled step is meant by it"
    PARTLY_UNSCHEDULED = "an item of it means no scheduled step"
    AMBIGUOUS = "its numbers fit several scheduled steps"
    PATIENT_DIFFERS = "its patient is not the order's"
    NUMBERS_DIFFER = "a number of it is not the order's"
    CANCELLED_ORDER = "its order was cancelled"
    WRONG_ENTRY = "the wrong worklist entry was selected"


PatientId: TypeAlias = tuple[str, str]
"""A patient's ID and its issuer."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """What identifies a step: as an MPPS item states it, or as it is stored; "" is unknown."""

    step_id: str = ""
    requested_procedure_id: str = ""
    accession: str = ""
    accession_issuer: str = ""
    studies: frozenset[str] = frozenset()
    patient_id: str = ""
    issuer: str = ""
    modality: str = ""
    stations: frozenset[str] = frozenset()
    prior_ids: frozenset[PatientId] = frozenset()  # of the patient as stored: merged into it


@dataclass(frozen=True, slots=True)
class Candidate:
    """A stored step that shares a number with an item."""

    step_key: int
    numbers: Numbers


@dataclass(frozen=True, slots=True)
class Choice:
    """The step an item means, if any, and what is remarkable about it."""

    step_key: int | None = None
    rung: Rung | None = None
    remarks: tuple[Remark, ...] = ()


def wanted(document: Document, calling_ae: str) -> list[Numbers]:
    """Return what each Scheduled Step Attributes item of a performed step asks for."""
    patient = promoted.patient_columns(document)
    stations = frozenset({column(text(document, _STATION)), column(calling_ae)} - {""})
    return [
        _stated(item, patient_id=patient["patient_id"], issuer=patient["issuer"],
                modality=column(text(document, _MODALITY)), stations=stations)
        for item in items(document, _STEP_ATTRIBUTES)
    ]  # fmt: skip


def study(document: Document) -> str:
    """Return the Study Instance UID of the first Scheduled Step Attributes item, "" without one."""
    first = next(items(document, _STEP_ATTRIBUTES), {})
    return promoted.procedure_columns(first)["study_instance_uid"]


def _stated(
    item: Document, *, patient_id: str, issuer: str, modality: str, stations: frozenset[str]
) -> Numbers:
    numbers = promoted.procedure_columns(item)
    # In the group case the item's own UID may be new and common to all (B-34).
    referenced = {column(text(other, _REFERENCED_INSTANCE)) for other in items(item, _REFERENCED_STUDIES)}
    return Numbers(
        step_id=promoted.step_columns(item)["step_id"],
        requested_procedure_id=numbers["requested_procedure_id"],
        accession=numbers["accession"], accession_issuer=numbers["accession_issuer"],
        studies=frozenset({numbers["study_instance_uid"], *referenced} - {""}),
        patient_id=patient_id, issuer=issuer, modality=modality, stations=stations,
    )  # fmt: skip


def choose(item: Numbers, candidates: Sequence[Candidate]) -> Choice:
    """Return the step that *item* means among *candidates*, by the ladder above."""
    remarks: set[Remark] = set()
    for rung, traits in _LADDER.items():
        hits = [c for c in candidates if all(trait(item, c.numbers) for trait in traits)]
        if rung not in _BY_STUDY:
            hits = [c for c in hits if _supported(item, c.numbers, traits)]
        if len(hits) > 1:
            hits = _narrowed(item, hits, rung)
        if len(hits) > 1:
            remarks.add(Remark.AMBIGUOUS)
        elif hits and rung in _WEAK and _patient(item, hits[0].numbers) is False:
            remarks.add(Remark.PATIENT_DIFFERS)
        elif hits:
            return Choice(hits[0].step_key, rung, _differences(item, hits[0].numbers))
    return Choice(remarks=tuple(sorted(remarks)))


_Trait: TypeAlias = Callable[[Numbers, Numbers], bool | None]
"""Tells whether an item and a step agree in something, None when one of them does not know it."""


def _step(item: Numbers, stored: Numbers) -> bool | None:
    return _equal(item.step_id, stored.step_id)


def _procedure(item: Numbers, stored: Numbers) -> bool | None:
    return _equal(item.requested_procedure_id, stored.requested_procedure_id)


def _accession(item: Numbers, stored: Numbers) -> bool | None:
    same = _equal(item.accession, stored.accession)
    return same and _equal(item.accession_issuer, stored.accession_issuer) is not False


def _study(item: Numbers, stored: Numbers) -> bool | None:
    return _overlap(item.studies, stored.studies)


def _patient(item: Numbers, stored: Numbers) -> bool | None:
    if not item.patient_id or not stored.patient_id:
        return None
    return any(
        item.patient_id == patient_id and _equal(item.issuer, issuer) is not False
        for patient_id, issuer in ((stored.patient_id, stored.issuer), *stored.prior_ids)
    )


def _modality(item: Numbers, stored: Numbers) -> bool | None:
    return _equal(item.modality, stored.modality)


def _station(item: Numbers, stored: Numbers) -> bool | None:
    return _overlap(item.stations, stored.stations)


def _equal(one: str, other: str) -> bool | None:
    return one == other if one and other else None


def _overlap(one: frozenset[str], other: frozenset[str]) -> bool | None:
    return bool(one & other) if one and other else None


_LADDER: dict[Rung, tuple[_Trait, ...]] = {
    Rung.STEP_AND_PROCEDURE: (_step, _procedure),
    Rung.STEP_AND_ACCESSION: (_step, _accession),
    Rung.STEP_AND_STUDY: (_step, _study),
    Rung.STUDY: (_study,),
    Rung.ACCESSION_AND_STATION: (_accession, _station),
}
_BY_STUDY = frozenset({Rung.STEP_AND_STUDY, Rung.STUDY})
_WEAK = frozenset({Rung.STUDY, Rung.ACCESSION_AND_STATION})
_IDENTITY: tuple[_Trait, ...] = (_study, _accession, _procedure, _patient)


def _supported(item: Numbers, stored: Numbers, traits: Sequence[_Trait]) -> bool:
    others = [trait(item, stored) for trait in _IDENTITY if trait not in traits]
    return any(others) or all(verdict is None for verdict in others)


def _narrowed(item: Numbers, hits: Sequence[Candidate], rung: Rung) -> list[Candidate]:
    named = bool(item.step_id) and rung in _WEAK
    left = list(hits)
    for trait in _IDENTITY if named else (*_IDENTITY, _modality, _station):
        left = [hit for hit in left if trait(item, hit.numbers)] or left
    return left


def _differences(item: Numbers, stored: Numbers) -> tuple[Remark, ...]:
    numbers = (_step, _procedure, _accession, _study)
    differing = any(trait(item, stored) is False for trait in numbers)
    remarks = [Remark.NUMBERS_DIFFER] if differing else []
    if _patient(item, stored) is False:
        remarks.append(Remark.PATIENT_DIFFERS)
    return tuple(remarks)


def candidates(tx: Transaction, item: Numbers) -> list[Candidate]:
    """Return every stored step that some rung could lead *item* to."""
    joined = select(steps.c.key).select_from(steps.join(procedures).join(patients))
    # One SELECT a number: an OR across three tables would read them whole.
    sharing = []
    if item.studies:
        sharing.append(joined.where(procedures.c.study_instance_uid.in_(item.studies)))
    if item.accession:
        sharing.append(joined.where(procedures.c.accession == item.accession))
    if item.step_id and item.requested_procedure_id:
        numbered = joined.where(
            steps.c.step_id == item.step_id,
            procedures.c.requested_procedure_id == item.requested_procedure_id,
        )
        # Study and accession have SELECTs of their own: the patient is the support that is left.
        if item.patient_id:
            merged = select(_PRIOR.c.merged_into).where(_PRIOR.c.patient_id == item.patient_id)
            same = or_(patients.c.patient_id == item.patient_id, patients.c.key.in_(merged))
            numbered = numbered.where(same)
        sharing.append(numbered)
    keys: set[int] = set()
    for wanted_steps in sharing:
        found = tx.connection.execute(wanted_steps.limit(_MOST + 1)).scalars().all()
        keys.update(found if len(found) <= _MOST else ())
    return _load(tx, keys)


_PRIOR = patients.alias("prior")

_MOST = 500
"""Steps that may share a number: what more of them share ("0", "1") is a constant and tells nothing."""


def _load(tx: Transaction, keys: Collection[int]) -> list[Candidate]:
    stations: dict[int, set[str]] = {}
    for station in tx.connection.execute(select(step_stations).where(step_stations.c.step_key.in_(keys))):
        stations.setdefault(station.step_key, set()).add(station.ae_title)
    numbers = (
        select(
            steps.c.key, steps.c.step_id, steps.c.modality,
            procedures.c.requested_procedure_id, procedures.c.accession, procedures.c.accession_issuer,
            procedures.c.study_instance_uid, procedures.c.patient_key, patients.c.patient_id,
            patients.c.issuer,
        )
        .select_from(steps.join(procedures).join(patients))
        .where(steps.c.key.in_(keys))
        .order_by(steps.c.key)
    )  # fmt: skip
    rows = tx.connection.execute(numbers).all()
    prior: dict[int, set[PatientId]] = {}
    merged = _PRIOR.c.merged_into.in_({row.patient_key for row in rows})
    for each in tx.connection.execute(select(_PRIOR).where(merged)):
        prior.setdefault(each.merged_into, set()).add((each.patient_id, each.issuer))
    return [
        Candidate(row.key, Numbers(
            step_id=row.step_id, requested_procedure_id=row.requested_procedure_id,
            accession=row.accession, accession_issuer=row.accession_issuer,
            studies=frozenset({row.study_instance_uid}), patient_id=row.patient_id, issuer=row.issuer,
            modality=row.modality, stations=frozenset(stations.get(row.key, ())),
            prior_ids=frozenset(prior.get(row.patient_key, ())),
        ))
        for row in rows
    ]  # fmt: skip
