"""What is on record of patients, and who changed it: audit messages made in the transaction of the change.

So the report of an order that was acknowledged, or of a performed step, is as safe as they are; what is
taken back was never reported.  A defect here costs the report, is counted and logged, and never costs the
order.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import socket
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from mwl import metrics
from mwl.audit import codes, events, syslog
from mwl.audit.codes import Code
from mwl.audit.events import Asker, Exam, Here
from mwl.audit.message import Action, Event, Source, encoded
from mwl.config import Configuration
from mwl.dicom.service import N_CREATE_RQ, AssociationFacts, Request
from mwl.hl7.envelope import Envelope
from mwl.lifecycle import PerformedState
from mwl.logs import event
from mwl.model import (
    Document,
    Incoming,
    OrderAction,
    OrderMessage,
    PatientMessage,
    ScheduleMessage,
    items,
    text,
)
from mwl.store import Transaction, concerned, spool
from mwl.store.concerned import Concerned
from mwl.store.outcome import Outcome
from mwl.store.performed import PerformedStep

logger = logging.getLogger(__name__)

APPLICATION = "mwl"
"""APP-NAME of syslog."""

FULL = "spool full"

_A = OrderAction
_ACTIONS: Final = {
    _A.CREATE: Action.CREATE,
    _A.UPDATE: Action.UPDATE,
    _A.HOLD: Action.UPDATE,
    _A.RELEASE: Action.UPDATE,
    _A.ARRIVE: Action.UPDATE,
    _A.READY: Action.UPDATE,
    _A.COMPLETE: Action.UPDATE,
    _A.CANCEL: Action.DELETE,
    _A.REPLACE: Action.DELETE,
    _A.DISCONTINUE: Action.DELETE,
}
"""What an order's action is in the words of an audit message; NOTHING is none."""

_NUMBERS = ("0020000D", "00080050", "00401001", "00402016", "00402017")
"""What a requested procedure is known by."""

_SCHEDULED_STEPS = "00400270"  # Scheduled Step Attributes Sequence


@dataclass(frozen=True, slots=True)
class Records:
    """Reports changes, as one configuration has it."""

    kinds: frozenset[str]
    source: Source
    here: Here
    sender: syslog.Sender
    limit: int  # messages in the spool

    @classmethod
    def of(cls, configuration: Configuration) -> Records | None:
        """Return what a configuration wants reported; None where that is nothing."""
        audit, title = configuration.audit, configuration.dicom.ae_title
        if audit is None:
            return None
        host, process = socket.gethostname(), str(os.getpid())
        return cls(
            frozenset(audit.events),
            Source(audit.source or title, audit.site or configuration.site.name),
            Here(process, title, host),
            syslog.Sender(host, APPLICATION, process),
            audit.spool,
        )

    def composed(self, found: Sequence[Event]) -> list[bytes]:
        """Return events as they are sent."""
        return [
            syslog.message(encoded(each, self.source), each.at, self.sender, warning=each.is_alert)
            for each in found
        ]

    def put(self, tx: Transaction, messages: Sequence[bytes]) -> None:
        """Have *messages* sent, as far as there is room."""
        if dropped := spool.put(tx, messages, limit=self.limit):
            metrics.audit_dropped.labels(FULL).inc(dropped)
            event(logger, logging.ERROR, "audit messages dropped", reason=FULL, messages=dropped,
                  setting="audit.spool")  # fmt: skip

    def applied(self, tx: Transaction, envelope: Envelope, incoming: Incoming, done: Outcome) -> None:
        """Report what an HL7 message did (`Intake.on_effect`); one of the broker's own is about nobody."""
        if envelope.system is not None and envelope.system.own is not None:
            return
        self._report(tx, lambda: self._of_message(tx, envelope, incoming, done))

    def performed(self, tx: Transaction, request: Request, step: PerformedStep) -> None:
        """Report what a device did to a performed step (`Changes.on_changed`)."""
        if "procedure" in self.kinds:
            self._report(tx, lambda: iter((self._of_step(tx.now, request, step),)))

    def decided(self, tx: Transaction, person: str, steps: Collection[int], performed: str = "") -> None:
        """Report that a person changed *steps*, or what a *performed* step (UID) is linked to."""
        if "procedure" in self.kinds:
            self._report(tx, lambda: self._of_decision(tx, person, steps, performed))

    def _report(self, tx: Transaction, found: Callable[[], Iterator[Event]]) -> None:
        try:
            messages = self.composed(list(found()))
        except (TypeError, ValueError, LookupError, AttributeError):  # a document of a shape nobody expected
            metrics.audit_dropped.labels("defect").inc()
            logger.exception("audit message not made")
            return
        if messages:
            self.put(tx, messages)

    def _of_message(
        self, tx: Transaction, envelope: Envelope, incoming: Incoming, done: Outcome
    ) -> Iterator[Event]:
        header = envelope.header
        host = envelope.peer.rpartition(":")[0].strip("[]")
        asker = Asker.system(header.application, header.facility, host)
        match incoming:
            case OrderMessage() if "order" in self.kinds:
                yield from self._of_order(tx, asker, incoming, done)
            case ScheduleMessage() if "procedure" in self.kinds:
                yield from self._of_appointment(tx, asker, incoming, done)
            case PatientMessage() if "patient" in self.kinds:
                yield from self._of_patients(tx, asker, incoming, done)

    def _of_order(
        self, tx: Transaction, asker: Asker, message: OrderMessage, done: Outcome
    ) -> Iterator[Event]:
        found = concerned.procedures_of(tx, done.procedures)
        asked = [(_ACTIONS[each.action], each) for each in message.procedures if each.action in _ACTIONS]
        actions = list(dict.fromkeys(action for action, _ in asked))
        for action in actions if found else ():
            meant = [change.procedure for each, change in asked if each is action]
            chosen = found if len(actions) == 1 else [each for each in found if _is_one_of(each, meant)]
            patient, exams = found[0].patient, [Exam(each.procedure) for each in chosen]
            yield events.order(self.here, tx.now, asker, action, patient, exams)

    def _of_appointment(
        self, tx: Transaction, asker: Asker, message: ScheduleMessage, done: Outcome
    ) -> Iterator[Event]:
        action, found = _ACTIONS.get(message.action), concerned.procedures_of(tx, done.procedures)
        if action and found:
            exams = [Exam(each.procedure) for each in found]
            yield events.procedure(self.here, tx.now, asker, action, found[0].patient, exams)

    def _of_patients(
        self, tx: Transaction, asker: Asker, message: PatientMessage, done: Outcome
    ) -> Iterator[Event]:
        for key, document in concerned.patients_of(tx, done.patients).items():
            action = Action.CREATE if key in done.made else Action.UPDATE
            yield events.patient(self.here, tx.now, asker, action, document)
        for change in message.changes:
            for prior in change.prior:
                yield events.patient(self.here, tx.now, asker, Action.DELETE, prior)

    def _of_decision(
        self, tx: Transaction, person: str, steps: Collection[int], performed: str
    ) -> Iterator[Event]:
        by_patient: dict[int, list[Concerned]] = {}
        for patient, each in concerned.procedures_with(tx, steps):
            by_patient.setdefault(patient, []).append(each)
        asker = Asker(person, address=self.here.host)
        for found in by_patient.values():
            exams = [Exam(each.procedure, performed) for each in found]
            yield events.procedure(self.here, tx.now, asker, Action.UPDATE, found[0].patient, exams)

    def _of_step(self, at: dt.datetime, request: Request, step: PerformedStep) -> Event:
        creates = request.command.field == N_CREATE_RQ
        running = step.state is PerformedState.IN_PROGRESS
        kind = codes.STEP_IN_PROGRESS if running else codes.STEP_ENDED
        action = Action.CREATE if creates else Action.UPDATE
        return self._of_exam(at, request.association, action, step, (kind,))

    def retrieved(self, at: dt.datetime, association: AssociationFacts, step: PerformedStep) -> Event:
        """Return what is reported of a device that was given a performed step (N-GET)."""
        return self._of_exam(at, association, Action.READ, step, ())

    def _of_exam(
        self,
        at: dt.datetime,
        association: AssociationFacts,
        action: Action,
        step: PerformedStep,
        types: tuple[Code, ...],
    ) -> Event:
        asker = Asker.device(association.calling_ae, association.address, association.user)
        exams = [Exam(item, step.uid) for item in items(step.document, _SCHEDULED_STEPS)]
        return events.procedure(self.here, at, asker, action, step.document, exams, types=types)


def _is_one_of(found: Concerned, meant: Sequence[Document]) -> bool:
    """Tell whether a stored procedure is one that a message speaks of: they share a number."""
    known = {(tag, text(found.procedure, tag)) for tag in _NUMBERS if text(found.procedure, tag)}
    return any((tag, text(each, tag)) in known for each in meant for tag in _NUMBERS)
