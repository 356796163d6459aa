"""Which scheduled step an MPPS means: the ladder from a Scheduled Step Attributes item to a step.

Theory of operation
-------------------
The rungs are data (`mwl.conduct`): the broker's own, or those of the device's profile (P35).  They are
tried in turn, for each item alone, and the first that leads to exactly one step decides; so an item
links one step or none, and n items up to n steps (the group case, F-M21).

A zero-length value never matches.  Numbers as short as "1" are common, so a step that a rung finds
without its Study Instance UID and without its patient must agree in one more thing that both sides know:
study, accession, requested procedure, patient.  Agrees none of them, it is another order's step.
Several hits are narrowed by what else agrees: those four, then modality, then station.  Are there still
several, the rung does not count: a study's steps are not all performed because one of them was, and an
exam that vanishes from the worklist is worse than a step that must be closed by hand.  For the same
reason an item that names a step ID is never led by modality or station to a step with another; and a rung
that asks for no number of the order finds only steps that still wait, and none whose number differs.

A station is the device, by whichever of its AE titles (M11).

A patient who differs breaks every rung that does not ask for the step ID; those that do hold, and the
difference is reported (F-M23, F51).  A device that asked before a merge returns the ID the patient had
then, which is the same patient.  Nothing is ever copied from the MPPS to the order (B-35).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from mwl.conduct import ORDER_KEYS, Conduct, Key, Rung
from mwl.model import Document, items, text
from mwl.query import normal_time
from mwl.store import promoted
from mwl.store.promoted import column

_MODALITY, _STATION = "00080060", "00400241"
_START_DATE, _START_TIME = "00400244", "00400245"
_STEP_ATTRIBUTES = "00400270"
_REFERENCED_STUDIES, _REFERENCED_INSTANCE = "00081110", "00081155"
_DAY = 8  # characters of a start without a time


class Remark(StrEnum):
    """What a person should look at in a performed step; stored with it, and fit for a log line."""

    UNSCHEDULED = "no scheduled step is meant by it"
    PARTLY_UNSCHEDULED = "an item of it means no scheduled step"
    PROBABLE = "patient, station and time fit a step that waits"
    AMBIGUOUS = "its numbers fit several scheduled steps"
    PATIENT_DIFFERS = "its patient is not the order's"
    NUMBERS_DIFFER = "a number of it is not the order's"
    CANCELLED_ORDER = "its order was cancelled"
    WRONG_ENTRY = "the wrong worklist entry was selected"
    ORDER_AT_FAULT = "it was discontinued because of a fault in the order"
    PROCESSING = "it is processing of an exam that is completed"
    IRREGULAR = "its device left out, or changed, what the standard does not let it"
    OPEN_TOO_LONG = "it has been in progress for too long"
    UNLINKED = "a person has taken it from its scheduled step"


FROM_LINKING: Final = frozenset({
    Remark.UNSCHEDULED, Remark.PARTLY_UNSCHEDULED, Remark.PROBABLE, Remark.AMBIGUOUS,
    Remark.PATIENT_DIFFERS, Remark.NUMBERS_DIFFER, Remark.CANCELLED_ORDER, Remark.PROCESSING,
})  # fmt: skip
"""Remarks that say how it was linked: they are made anew when it is linked anew."""

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
    placer: str = ""
    placer_issuer: str = ""
    filler: str = ""
    filler_issuer: str = ""
    patient_id: str = ""
    issuer: str = ""
    modality: str = ""
    stations: frozenset[str] = frozenset()
    start: str = ""  # of the exam or as scheduled, site-local: YYYYMMDDHHMMSS.FFFFFF, or a date alone
    prior_ids: frozenset[PatientId] = frozenset()  # of the patient as stored: merged into it


@dataclass(frozen=True, slots=True)
class Candidate:
    """A stored step that an item may mean."""

    step_key: int
    numbers: Numbers
    waits: bool = True  # nothing was done of it yet


@dataclass(frozen=True, slots=True)
class Choice:
    """The step an item means, if any, and what is remarkable about it."""

    step_key: int | None = None
    rung: Rung | None = None
    remarks: tuple[Remark, ...] = ()


def wanted(document: Document, calling_ae: str, conduct: Conduct = Conduct()) -> list[Numbers]:  # noqa: B008  frozen
    """Return what each Scheduled Step Attributes item of a performed step asks for."""
    return [_stated(item, document, calling_ae, conduct) for item in items(document, _STEP_ATTRIBUTES)]


def study(document: Document) -> str:
    """Return the Study Instance UID of the first Scheduled Step Attributes item, "" without one."""
    first = next(items(document, _STEP_ATTRIBUTES), {})
    return promoted.procedure_columns(first)["study_instance_uid"]


def began(document: Document) -> str:
    """Return when a performed step says it began, as a start is written; "" where it does not."""
    date, time = (column(text(document, tag)) for tag in (_START_DATE, _START_TIME))
    return date and date + (normal_time(time) if time else "")


def _stated(item: Document, document: Document, calling_ae: str, conduct: Conduct) -> Numbers:
    numbers, patient = promoted.procedure_columns(item), promoted.patient_columns(document)
    # In the group case the item's own UID may be new and common to all (B-34).
    referenced = {column(text(other, _REFERENCED_INSTANCE)) for other in items(item, _REFERENCED_STUDIES)}
    stations = {column(text(document, _STATION)), column(calling_ae), *conduct.titles}
    return Numbers(
        step_id=promoted.step_columns(item)["step_id"],
        requested_procedure_id=numbers["requested_procedure_id"],
        accession=numbers["accession"], accession_issuer=numbers["accession_issuer"],
        studies=frozenset({numbers["study_instance_uid"], *referenced} - {""}),
        placer=numbers["placer"], placer_issuer=numbers["placer_issuer"],
        filler=numbers["filler"], filler_issuer=numbers["filler_issuer"],
        patient_id=patient["patient_id"], issuer=patient["issuer"],
        modality=column(text(document, _MODALITY)), stations=frozenset(stations - {""}),
        start=began(document),
    )  # fmt: skip


def choose(item: Numbers, candidates: Sequence[Candidate], conduct: Conduct = Conduct()) -> Choice:  # noqa: B008  frozen
    """Return the step that *item* means among *candidates*, by the ladder of the device."""
    remarks: set[Remark] = set()
    for rung in conduct.ladder:
        hits = [c for c in candidates if _leads(rung, item, c)]
        if len(hits) > 1:
            hits = _narrowed(item, hits, rung)
        if len(hits) > 1:
            remarks.add(Remark.AMBIGUOUS)
        elif hits and Key.STEP not in rung.keys and _patient(item, hits[0].numbers) is False:
            remarks.add(Remark.PATIENT_DIFFERS)
        elif hits and rung.proposes:
            remarks.add(Remark.PROBABLE)
        elif hits:
            return Choice(hits[0].step_key, rung, _differences(item, hits[0].numbers, conduct))
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


def _placer(item: Numbers, stored: Numbers) -> bool | None:
    same = _equal(item.placer, stored.placer)
    return same and _equal(item.placer_issuer, stored.placer_issuer) is not False


def _filler(item: Numbers, stored: Numbers) -> bool | None:
    same = _equal(item.filler, stored.filler)
    return same and _equal(item.filler_issuer, stored.filler_issuer) is not False


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


TRAITS: Final[Mapping[Key, _Trait]] = {
    Key.STEP: _step,
    Key.PROCEDURE: _procedure,
    Key.STUDY: _study,
    Key.ACCESSION: _accession,
    Key.PLACER: _placer,
    Key.FILLER: _filler,
    Key.PATIENT: _patient,
    Key.STATION: _station,
}
_IDENTITY = (Key.STUDY, Key.ACCESSION, Key.PROCEDURE, Key.PATIENT)
_OF_ORDER = ORDER_KEYS - {Key.STUDY}


def _leads(rung: Rung, item: Numbers, candidate: Candidate) -> bool:
    stored = candidate.numbers
    if not all(TRAITS[key](item, stored) for key in rung.keys):
        return False
    if rung.within is not None and not near(item.start, stored.start, rung.within):
        return False
    if not ORDER_KEYS.intersection(rung.keys):
        return candidate.waits and all(TRAITS[key](item, stored) is not False for key in _OF_ORDER)
    return Key.STUDY in rung.keys or Key.PATIENT in rung.keys or _supported(item, stored, rung)


def _supported(item: Numbers, stored: Numbers, rung: Rung) -> bool:
    others = [TRAITS[key](item, stored) for key in _IDENTITY if key not in rung.keys]
    return any(others) or all(verdict is None for verdict in others)


def near(start: str, other: str, within: dt.timedelta) -> bool:
    """Tell whether two starts are so close; one without a time is close to all of its day."""
    if not start or not other:
        return False
    if len(start) == _DAY or len(other) == _DAY:
        return start[:_DAY] == other[:_DAY]
    try:
        return abs(_instant(start) - _instant(other)) <= within
    except ValueError:  # what a device calls a time may be none
        return False


def _instant(start: str) -> dt.datetime:
    return dt.datetime.fromisoformat(f"{start[:8]}T{start[8:14]}")  # the site's wall clock, both


def _narrowed(item: Numbers, hits: Sequence[Candidate], rung: Rung) -> list[Candidate]:
    named = bool(item.step_id) and Key.STEP not in rung.keys
    left = list(hits)
    for trait in (*(TRAITS[key] for key in _IDENTITY), *(() if named else (_modality, _station))):
        left = [hit for hit in left if trait(item, hit.numbers)] or left
    return left


def _differences(item: Numbers, stored: Numbers, conduct: Conduct) -> tuple[Remark, ...]:
    differing = any(TRAITS[key](item, stored) is False for key in ORDER_KEYS)
    remarks = [Remark.NUMBERS_DIFFER] if differing and conduct.reports_differences else []
    if _patient(item, stored) is False:
        remarks.append(Remark.PATIENT_DIFFERS)
    return tuple(remarks)


@dataclass(frozen=True, slots=True)
class Likeness:
    """How well a step fits an item: what both say alike, and what otherwise."""

    step_key: int
    agrees: tuple[Key, ...]
    differs: tuple[Key, ...]
    near: bool = False  # in time

    @property
    def weight(self) -> tuple[int, int, bool]:
        """What candidates are ordered by: the best is the greatest."""
        return len(self.agrees) - len(self.differs), len(self.agrees), self.near


def ranked(item: Numbers, candidates: Sequence[Candidate], within: dt.timedelta) -> list[Likeness]:
    """Return candidates for a person to choose among, the best first."""
    found = []
    for candidate in candidates:
        verdicts = {key: trait(item, candidate.numbers) for key, trait in TRAITS.items()}
        found.append(Likeness(
            candidate.step_key,
            tuple(key for key, verdict in verdicts.items() if verdict),
            tuple(key for key, verdict in verdicts.items() if verdict is False),
            near(item.start, candidate.numbers.start, within),
        ))  # fmt: skip
    return sorted(found, key=lambda each: (each.weight, -each.step_key), reverse=True)
