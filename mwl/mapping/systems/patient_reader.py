"""From a message on patients (ADT) to what it says of them: who they are, where, and who they were.

A message speaks of one patient, a merge of one in each of its groups.  The patient is read by the very
lines that read the patient of an order, the visit by some of an order's lines for the procedure: a
field that is moved in the profile is moved for both.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from mwl.errors import Finding, Location, Severity
from mwl.mapping.facts import SiteFacts
from mwl.mapping.systems.hl7paths import Hl7Path
from mwl.mapping.systems.order_structure import SEQUENCE_ERROR, exactly_one
from mwl.mapping.systems.reading import Reading
from mwl.mapping.systems.rules import REQUIRED_MISSING, Each, Level
from mwl.mapping.systems.source import Source
from mwl.mapping.systems.timestamps import BadStamp, read_stamp
from mwl.mapping.trace import Trace
from mwl.model import Arrival, Document, PatientChange, PatientMessage

MOST: Final = 1000
"""Identities in one message; a merge has two, and each costs a look into the database."""

PatientKind: TypeAlias = Literal["patient", "arrival", "merge"]
"""What a message on patients is: what they are like and where; that one has come; that two are one."""


@dataclass(frozen=True, slots=True)
class ArrivalRule:
    """Which steps a patient comes for: those of the day that the first of the paths tells."""

    day: tuple[Hl7Path, ...] = ()  # none: of any day
    same_visit: bool = False

    def read(self, source: Source, reading: Reading) -> Arrival | None:
        """Return it, None where the message tells no day."""
        if not self.day:
            return Arrival(same_visit=self.same_visit)
        for path in self.day:
            for found in path.find(source)[:1]:
                try:
                    stamp = read_stamp(found.part(1), reading.zone, reading.offset)
                except BadStamp as error:
                    reading.warn(found, f"the time of the arrival {error}")
                else:
                    return Arrival(stamp.date, self.same_visit)
        return None


@dataclass(frozen=True, slots=True)
class PatientReader:
    """A profile's way to take a message on patients apart."""

    patient: Level
    visit: Level
    groups: tuple[str, ...]  # segments that begin a patient
    prior: Each | None = None  # a sequence: the identities that are no more
    prior_at: Hl7Path | None = None
    arrival: ArrivalRule = ArrivalRule()
    keeps_unknown: bool = False
    offset: Hl7Path | None = None

    def read(
        self,
        kind: PatientKind,
        source: Source,
        system: str,
        site: SiteFacts,
        sent_at: dt.datetime | None,
        trace: Trace | None = None,
    ) -> PatientMessage:
        """Return what the message says; raise `Unacceptable` with every mistake of it."""
        reading = Reading.of(source, site.timezone, self.offset, trace)
        groups = self._groups(kind, source, reading)
        changes = tuple(self._change(kind, group, reading) for group in groups)
        arrival = self.arrival.read(groups[0], reading) if kind == "arrival" else None
        if sum(1 + len(change.prior) for change in changes) > MOST:
            place = Location(self.groups[0])
            reading.error(place, f"the message is of more than {MOST} patients", SEQUENCE_ERROR)
        reading.check()
        findings = reading.warnings
        if kind == "arrival" and arrival is None:
            place = self.arrival.day[0].location(source)
            findings += (Finding(place, REQUIRED_MISSING, "tells no day of arrival", Severity.WARNING),)
        return PatientMessage(system, changes, arrival, self.keeps_unknown, sent_at, findings)

    def _groups(self, kind: PatientKind, source: Source, reading: Reading) -> Sequence[Source]:
        groups = source.groups(self.groups)
        if not groups or kind != "merge":  # a second patient is nobody's (D-33)
            exactly_one(source, self.groups[0], Location(self.groups[0]), reading)
        reading.check()
        return groups

    def _change(self, kind: PatientKind, group: Source, reading: Reading) -> PatientChange:
        reading.known = {}
        patient, _ = self.patient.read(group, reading)
        at = Location(*group.location(self.groups[0], 1))
        if kind != "merge":
            visit, _ = self.visit.read(group, reading)
            return PatientChange(patient, visit, at=at)
        prior, prior_at = self._prior(group, reading)
        return PatientChange(patient, prior=prior, at=at, prior_at=prior_at)

    def _prior(self, group: Source, reading: Reading) -> tuple[tuple[Document, ...], Location]:
        place = self.prior_at.location(group) if self.prior_at else Location(self.groups[0])
        outcome = self.prior.read(group, reading) if self.prior else None
        prior: tuple[Document, ...] = tuple(outcome.element.get("Value", ())) if outcome else ()
        if not prior:
            reading.error(place, "who was merged is required", REQUIRED_MISSING)  # C-43
        return prior, place
