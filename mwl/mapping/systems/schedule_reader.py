"""From an appointment (SIU) to when and where the steps of which order are.

The message has one appointment with its services; a message without any service segment is one service
by itself.  It is read by lines of its own (section ``schedule``), because what the worklist shows stands
elsewhere in it than in an order.  What a new order would need and the message lacks is no mistake yet:
only the store knows whether a new order is needed.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from mwl.errors import Finding, Location, Unacceptable
from mwl.mapping.facts import SiteFacts
from mwl.mapping.systems.hl7paths import Hl7Path
from mwl.mapping.systems.order_control import OrderControl
from mwl.mapping.systems.order_structure import SEQUENCE_ERROR, exactly_one
from mwl.mapping.systems.reading import Reading
from mwl.mapping.systems.rules import REQUIRED_MISSING, Level, When
from mwl.mapping.systems.source import Source
from mwl.mapping.trace import Trace
from mwl.model import Document, OrderAction, ScheduleMessage

MOST: Final = 500
"""Services of one appointment; each is a step, and usually there is one."""

_MAKING = frozenset({OrderAction.CREATE, OrderAction.UPDATE})


@dataclass(frozen=True, slots=True)
class ScheduleReader:
    """A profile's way to take an appointment apart."""

    patient: Level
    order: tuple[Level, ...]  # what the order is known by; asked in turn
    procedure: Level
    step: Level
    control: OrderControl
    exactly_one: tuple[str, ...] = ()  # segments
    services: tuple[str, ...] = ()  # segments that begin a service
    when: tuple[When, ...] = ()  # which appointments are for the worklist
    withdrawn: tuple[When, ...] = ()  # which services have been taken out of the appointment
    moves: frozenset[str] = frozenset()  # tags
    offset: Hl7Path | None = None
    other_spelling: Literal["take", "refuse"] = "take"

    def read(
        self,
        source: Source,
        system: str,
        site: SiteFacts,
        sent_at: dt.datetime | None,
        trace: Trace | None = None,
    ) -> ScheduleMessage:
        """Return what the message asks for; raise `Unacceptable` with every mistake of it."""
        reading = Reading.of(source, site.timezone, self.offset, trace)
        for segment in self.exactly_one:
            exactly_one(source, segment, Location(segment), reading)
        action = self.control.action(source, reading) or OrderAction.NOTHING
        if any(source.count(segment) > MOST for segment in self.services):
            reading.error(self._place(source), f"more than {MOST} services", SEQUENCE_ERROR)
        reading.check()
        message = ScheduleMessage(
            system, action, {}, (), {}, (), moves=self.moves, at=self._place(source), sent_at=sent_at,
            other_spelling=self.other_spelling,
        )  # fmt: skip
        if action is OrderAction.NOTHING or not all(each.holds(source, None) for each in self.when):
            return dataclasses.replace(message, action=OrderAction.NOTHING)
        reading.new, reading.fills = False, action in _MAKING
        patient, _ = self.patient.read(source, reading)
        links = self._links(source, reading)
        reading.check()
        # What is known of the order may stand in for what a new one needs besides.
        reading.new, reading.known = action in _MAKING, {**patient, **(links[0] if links else {})}
        message = self._filled(message, source, reading)
        return dataclasses.replace(message, patient=patient, links=tuple(links), findings=reading.warnings)

    def _links(self, source: Source, reading: Reading) -> list[Document]:
        read = (level.read(source, reading)[0] for level in self.order)
        stated = ({tag: each for tag, each in document.items() if "Value" in each} for document in read)
        return [document for document in stated if document]

    def _filled(self, message: ScheduleMessage, source: Source, reading: Reading) -> ScheduleMessage:
        procedure, assumed = self.procedure.read(source, reading)
        known, unmade = reading.known, reading.errors
        services: list[Document] = []
        for view in self._services(source):
            reading.known = dict(known)
            service, stands_in = self.step.read(view, reading)
            services.append(service)
            assumed |= stands_in
        return dataclasses.replace(
            message, procedure=procedure, services=tuple(services), assumed=assumed,
            lacking=_lacking(reading.errors, unmade),
        )  # fmt: skip

    def _services(self, source: Source) -> Sequence[Source]:
        services = source.groups(self.services) if self.services else ()
        if not services:
            return (source,)
        return [each for each in services if not self._is_withdrawn(each)]

    def _is_withdrawn(self, service: Source) -> bool:
        return bool(self.withdrawn) and all(each.holds(service, None) for each in self.withdrawn)

    def _place(self, source: Source) -> Location:
        segment = self.exactly_one[0] if self.exactly_one else "MSH"
        return Location(*source.location(segment, 1))


def _lacking(errors: Sequence[Finding], unmade: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return why no new order could be made; raise `Unacceptable` for what is wrong with the services.

    *unmade* are the errors of the lines that only a new order is made of.
    """
    wrong = [each for each in errors if each not in unmade and each.code != REQUIRED_MISSING]
    if wrong:
        raise Unacceptable(wrong)
    return tuple(errors)
