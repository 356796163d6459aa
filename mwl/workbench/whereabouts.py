"""Where an order is that somebody misses: its steps, the messages that speak of it, and whose patient it is.

A patient ID that was merged into another leads on to the patient it belongs to now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mwl.model import StepRef, WorklistItem
from mwl.query import Criterion, Op
from mwl.store import Transaction, conditions, funnel, journal, links, steps
from mwl.store.journal import Entry, Wanted
from mwl.store.links import KnownPatient
from mwl.store.messages import KeyKind, SearchKey

MOST = 20
"""Steps, and messages, that are looked at: those nearest to now, and the latest."""


@dataclass(frozen=True, slots=True)
class Sought:
    """What somebody misses; an empty value says nothing, and all that is stated must hold."""

    patient: str = ""
    accession: str = ""
    step: int | None = None

    def __bool__(self) -> bool:
        return bool(self.patient or self.accession or self.step is not None)


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What is on record of it."""

    sought: Sought
    items: tuple[WorklistItem, ...]  # on hold or not, those nearest to now first
    more: bool  # there are more steps than these
    messages: tuple[Entry, ...]  # that hold the number, the latest first
    patients: tuple[KnownPatient, ...]  # on record under the patient ID


def locate(tx: Transaction, sought: Sought, instant: str) -> Whereabouts:
    """Return what is on record of *sought*; *instant* is now (YYYYMMDDHHMMSS, the site's time)."""
    patients = tuple(links.of_patient_id(tx, sought.patient)) if sought.patient else ()
    refs = _steps(tx, sought, patients, instant)
    items = steps.load(tx, refs[:MOST])
    keys = _search_keys(sought)
    messages = journal.search(tx, Wanted(keys=keys), limit=MOST) if keys else []
    return Whereabouts(sought, tuple(items), len(refs) > MOST, tuple(messages), patients)


def _steps(
    tx: Transaction, sought: Sought, patients: Sequence[KnownPatient], instant: str
) -> Sequence[StepRef]:
    if sought.step is not None:
        return [StepRef(sought.step, 0, 0, 0)]
    criteria = []
    if sought.accession:
        criteria.append(Criterion(conditions.ACCESSION, Op.IN, (sought.accession,)))
    if sought.patient:
        criteria.append(Criterion(conditions.PATIENT_ID, Op.IN, tuple(_names(sought.patient, patients))))
    return funnel.nearest(tx, criteria, instant, MOST + 1, held=True)


def _names(patient: str, patients: Iterable[KnownPatient]) -> list[str]:
    """Return the patient IDs to look for: the one named, and those it was merged into."""
    survivors = (each.merged_into.patient_id for each in patients if each.merged_into)
    return list(dict.fromkeys([patient, *survivors]))


def _search_keys(sought: Sought) -> tuple[SearchKey, ...]:
    """Return what messages are found by; an accession number says more than a patient."""
    if sought.accession:
        return (SearchKey(KeyKind.ACCESSION, sought.accession),)
    return (SearchKey(KeyKind.PATIENT, sought.patient),) if sought.patient else ()
