"""The canonical worklist item, in DICOM's own terms.

A level (patient, requested procedure with its imaging service request, scheduled step) is one
*document* in the DICOM JSON model (PS3.18 Annex F), always Unicode.  Tags are eight upper-case
hexadecimal digits.  Values of DS and IS are strings: the written form is kept.  An element without
"Value" is empty; an absent element is absent, and nothing here invents one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, TypeAlias

from mwl.errors import Finding, Location

Element: TypeAlias = dict[str, Any]
Document: TypeAlias = dict[str, Element]

STEP_SEQUENCE = "00400100"
"""Scheduled Procedure Step Sequence: its one item is the step's document."""

_UNSTATED = Location("MSH")


class Level(StrEnum):
    """The three levels of a worklist item."""

    PATIENT = "patient"
    PROCEDURE = "procedure"
    STEP = "step"


@dataclass(frozen=True, slots=True)
class StepRef:
    """A stored step and the revision of each of its levels: what a cached response is keyed by."""

    key: int
    patient_revision: int
    procedure_revision: int
    step_revision: int


@dataclass(frozen=True, slots=True)
class WorklistItem:
    """One scheduled step with the levels above it, as stored."""

    ref: StepRef
    patient: Document
    procedure: Document
    step: Document  # holds (0040,0020) with the current state
    system: str  # the configured system that ordered it
    held: bool = False  # the order is on hold: the step is on no worklist

    def merged(self) -> Document:
        """Return the item as one data set: patient and procedure at the root, the step in its sequence."""
        return {**self.patient, **self.procedure, STEP_SEQUENCE: {"vr": "SQ", "Value": [self.step]}}


class OrderAction(StrEnum):
    """What an order asks for, whatever its message called it (C.4)."""

    CREATE = "create"  # a known order is updated: sending twice makes nothing twice
    UPDATE = "update"
    CANCEL = "cancel"
    DISCONTINUE = "discontinue"
    ARRIVE = "arrive"
    READY = "ready"
    COMPLETE = "complete"
    REPLACE = "replace"  # cancel what another order of the message takes the place of
    HOLD = "hold"  # off every worklist; the state stays
    RELEASE = "release"  # an update, and back on the worklist
    NOTHING = "nothing"


class StatusEvent(StrEnum):
    """What a system is told of the steps it ordered: HL7 table 0038's code (ORC-5) where it has one (C.6)."""

    BEGUN = "IP"
    COMPLETED = "CM"
    DISCONTINUED = "DC"
    REOPENED = "SC"  # back on the worklist
    CANCELLED = "CA"
    ARRIVED = "ARRIVED"  # the patient has come
    READY = "READY"


@dataclass(frozen=True, slots=True)
class OrderPolicies:
    """What becomes of orders on which systems differ; a system profile says it (`order.policies`)."""

    new_again: Literal["update", "refuse"] = "update"  # a new order that is known and says something else
    change_of_unknown: Literal["create", "refuse"] = "create"
    cancel_of_unknown: Literal["refuse", "accept"] = "refuse"  # and whatever else moves steps
    late: Literal["fill", "apply"] = "fill"  # a message older than the last: fills gaps, or counts as any
    change_of_begun: Literal["update", "keep", "refuse"] = "update"  # of a step whose exam has begun
    cancel_of_begun: Literal["keep", "discontinue", "refuse"] = "keep"
    other_study: Literal["take", "keep", "refuse"] = "take"  # of a known order; taken until an exam has begun
    other_spelling: Literal["take", "refuse"] = "take"  # of a number that is known in other capitals (F50)


@dataclass(frozen=True, slots=True)
class ProcedureChange:
    """One requested procedure of an order message.

    The documents hold what the message holds: an absent attribute keeps its stored value, an
    element without "Value" empties it (D-25).  The identity is read from the documents: placer
    (0040,2016) with (0040,0026), filler (0040,2017) with (0040,0027), accession (0008,0050) with
    (0008,0051), (0040,1001), (0020,000D).
    """

    action: OrderAction
    procedure: Document
    steps: tuple[Document, ...]
    # Tags whose values the profile put in place of what the message does not hold: they fill a gap
    # in what is stored, and say nothing about which order is meant.
    assumed: frozenset[str] = frozenset()
    effective_at: dt.datetime | None = None  # ORC-9, aware: when what the order says came to be
    group: int = 0  # which order of the message said it first, from 1, for a finding; 0: unknown


@dataclass(frozen=True, slots=True)
class OrderMessage:
    """An order message as the system profile read it; applied whole or not at all."""

    system: str
    patient: Document
    procedures: tuple[ProcedureChange, ...]
    sent_at: dt.datetime | None = None  # MSH-7, aware
    findings: tuple[Finding, ...] = field(default=())  # warnings: what was cut, converted, assumed
    policies: OrderPolicies = OrderPolicies()


@dataclass(frozen=True, slots=True)
class PatientChange:
    """What a message says of one patient.

    *patient* is as in an order.  *visit* holds attributes of the procedure level: where the patient
    is treated now.  *prior* are the identities that are this patient's from now on, each a document
    of patient ID and issuer.
    """

    patient: Document
    visit: Document = field(default_factory=dict)
    prior: tuple[Document, ...] = ()
    at: Location = _UNSTATED  # where the patient is identified, for a finding
    prior_at: Location = _UNSTATED


@dataclass(frozen=True, slots=True)
class Arrival:
    """Which open steps the patient has come for."""

    day: str = ""  # those that start on this day, YYYYMMDD on the site's wall clock; "": on any
    same_visit: bool = False  # of the very visit alone; otherwise also those of no known visit


@dataclass(frozen=True, slots=True)
class PatientMessage:
    """A message on patients (ADT) as the system profile read it; applied whole or not at all."""

    system: str
    changes: tuple[PatientChange, ...]
    arrival: Arrival | None = None
    keeps_unknown: bool = False  # whether a patient nobody has ordered anything for is stored
    sent_at: dt.datetime | None = None  # MSH-7, aware
    findings: tuple[Finding, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class ScheduleMessage:
    """An appointment (SIU) as the system profile read it; applied whole or not at all.

    Of an order that is known the *moves* alone change, those of its steps that the services are.
    Of one that is not, a new one is made where nothing is *lacking*.
    """

    system: str
    action: OrderAction
    patient: Document
    links: tuple[Document, ...]  # what the order is known by; asked in turn
    procedure: Document  # what a new order is made of
    services: tuple[Document, ...]  # what its steps are made of, and what moves those of a known order
    moves: frozenset[str] = frozenset()  # tags that an appointment changes in a known step
    assumed: frozenset[str] = frozenset()  # as in `ProcedureChange`
    lacking: tuple[Finding, ...] = ()
    other_spelling: Literal["take", "refuse"] = "take"  # as in `OrderPolicies`
    at: Location = _UNSTATED  # where the appointment is identified, for a finding
    sent_at: dt.datetime | None = None  # MSH-7, aware
    findings: tuple[Finding, ...] = field(default=())


Incoming: TypeAlias = OrderMessage | PatientMessage | ScheduleMessage
"""What a message asks for."""


def values(document: Mapping[str, Element], tag: str) -> list[Any]:
    """Return the values of *tag*; an absent or empty element has none."""
    element = document.get(tag)
    return [] if element is None else list(element.get("Value", ()))


def text(document: Mapping[str, Element], tag: str) -> str:
    """Return the first value of *tag* as text, "" where there is none; a name in its one-line form."""
    element = document.get(tag)
    found = element.get("Value") if element else None
    first = found[0] if found else None
    if first is None:
        return ""
    return person_name(first) if isinstance(first, dict) else str(first)


def person_name(value: Mapping[str, str]) -> str:
    """Return a JSON-model person name in the form ``alphabetic=ideographic=phonetic``."""
    groups = [value.get(g, "") for g in ("Alphabetic", "Ideographic", "Phonetic")]
    return "=".join(groups).rstrip("=")


def name_value(text_form: str) -> dict[str, str]:
    """Return ``alphabetic=ideographic=phonetic`` as a JSON-model person name, without empty groups."""
    groups = zip(("Alphabetic", "Ideographic", "Phonetic"), text_form.split("="), strict=False)
    return {group: part for group, part in groups if part}


def items(document: Mapping[str, Element], tag: str) -> Iterator[Document]:
    """Yield the items of the sequence *tag*."""
    for item in values(document, tag):
        if isinstance(item, dict):
            yield item
