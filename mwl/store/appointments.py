"""Appointments: when and where the steps of an order are (C.8).

Theory of operation
-------------------
The order is looked for by what the message says of it, one entry of the profile after the other: by
numbers through the same ladder as an order message (`mwl.store.identity`), else as the only open order
of the patient that agrees.  A cancelled one comes last, and only where a booking may put it back.

Of an order that is known an appointment moves steps, and changes nothing else: what the exam is, the
order says.  A service is the step that has its step ID or shares a protocol code with it.  The first
service that is no step in particular stands for all steps that no service names, so an appointment
without codes moves, or cancels, the whole order.

A step that has begun, or is closed, is left as it is, and that is reported (C-52); a booking puts a
cancelled step back.  An order nobody has heard of is made by an appointment that says enough, and
waits for the order message to take its place (`mwl.store.bookings`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import bindparam, select

from mwl import lifecycle
from mwl.conduct import STANDARD, Conducts
from mwl.errors import Finding, Severity, Unacceptable
from mwl.lifecycle import CLOSED, StepEvent, StepState
from mwl.model import Document, OrderAction, ScheduleMessage, values
from mwl.store import (
    adopting,
    bookings,
    handles,
    identity,
    patients,
    placing,
    showing,
    telling,
    transitions,
)
from mwl.store.attaching import Situation
from mwl.store.codes import agree, codes
from mwl.store.documents import without
from mwl.store.identity import OrderNumbers
from mwl.store.lateness import Moment
from mwl.store.outcome import Outcome
from mwl.store.placing import Step
from mwl.store.promoted import load, patient_columns, procedure_columns, step_columns
from mwl.store.tables import procedures, steps
from mwl.store.telling import Told
from mwl.store.transaction import Transaction

# HL7 table 0357 (D-19).
REQUIRED_FIELD_MISSING, UNKNOWN_KEY, DUPLICATE_KEY, RECORD_LOCKED = 101, 204, 205, 206

_STEP_ID, _PROTOCOL_CODES = "00400009", "00400008"
_BEGIN, _END = ("00400002", "00400003"), {"00400004": "DA", "00400005": "TM"}  # of the scheduled step
_MAKING: Final = frozenset({OrderAction.CREATE, OrderAction.UPDATE})
_EVENTS: Final = {
    OrderAction.CANCEL: (StepEvent.CANCEL, StepState.CANCELLED),
    OrderAction.DISCONTINUE: (StepEvent.DISCONTINUE, StepState.DISCONTINUED),
    OrderAction.ARRIVE: (StepEvent.ARRIVE, StepState.ARRIVED),
    OrderAction.READY: (StepEvent.MAKE_READY, StepState.READY),
    OrderAction.COMPLETE: (StepEvent.COMPLETE, StepState.COMPLETED),
}
_MOVED, _BY_APPOINTMENT, _BOOKED_AGAIN = "move", "by its appointment", "booked again"


def apply(
    tx: Transaction,
    message: ScheduleMessage,
    *,
    source: str,
    uid_root: str | None,
    told: Told,
    conducts: Conducts = STANDARD,
) -> Outcome:
    """Apply *message*; see `mwl.store.orders.apply` for what the others are.  Raises `Unacceptable`."""
    if message.action is OrderAction.NOTHING:
        return Outcome()
    application = _Application(tx, message, source, uid_root, told, conducts)
    application.run()
    return Outcome(
        tuple(application.procedures),
        tuple(application.steps),
        tuple(application.warnings),
        patients=(application.patient_key,),
    )


@dataclass
class _Application:
    """One message being applied."""

    tx: Transaction
    message: ScheduleMessage
    source: str
    uid_root: str | None
    told: Told
    conducts: Conducts
    patient_key: int = 0
    warnings: list[Finding] = field(default_factory=list)
    procedures: list[int] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    moved: list[int] = field(default_factory=list)  # steps whose state changed
    touched: list[Document] = field(default_factory=list)  # open steps that were made or changed

    def run(self) -> None:
        message = self.message
        if not patient_columns(message.patient)["patient_id"]:
            raise self._refusal(REQUIRED_FIELD_MISSING, "a patient ID is needed")
        patient = patients.find(self.tx, message.patient)
        if patient is not None:
            self.patient_key = patient.key
        elif message.action in _MAKING:
            self.patient_key = patients.create(self.tx, message.patient)
        self.procedures += self._find()
        late = [self._apply(key) for key in self.procedures]
        telling.moved(self.tx, self.moved, told=self.told, by=message.system)
        if not self.procedures and message.action not in _MAKING:
            raise self._refusal(UNKNOWN_KEY, "this patient has no such order")
        if not self.procedures:
            self._make()
        if patient is not None:
            patients.change(self.tx, patient, message.patient, late=bool(late) and all(late))
        touched = ((message.at, step) for step in self.touched)
        self.warnings += showing.unshown(self.tx, message.patient, touched)

    # ── which order ──

    def _find(self) -> Sequence[int]:
        for link in self.message.links:
            numbers = self._numbers(link)
            found = identity.find(self.tx, numbers).keys if numbers.any else self._agreeing(link)
            if found:
                return found
        return ()

    def _agreeing(self, link: Document) -> Sequence[int]:
        """Return the patient's only open order that agrees; of a booking else the only cancelled one."""
        known = [row for row in self.tx.connection.execute(_ORDERS, {"patient": self.patient_key})
                 if agree(link, load(row.document))]  # fmt: skip
        wanted = [frozenset(StepState) - CLOSED]
        if self.message.action is OrderAction.CREATE:
            wanted.append(frozenset({StepState.CANCELLED}))
        for states in wanted:
            keys = dict.fromkeys(row.key for row in known if StepState(row.state) in states)
            if keys:
                return tuple(keys) if len(keys) == 1 else ()
        return ()

    def _numbers(self, document: Document) -> OrderNumbers:
        columns = procedure_columns(document)
        return OrderNumbers(self.message.system, self.patient_key, **columns, step_ids=frozenset())

    # ── an order that is known ──

    def _apply(self, key: int) -> bool:
        """Do with the steps of an order what is asked; tell whether the message came late for it."""
        moment = Moment(self.message.sent_at, system=self.message.system)
        late = placing.change(self.tx, key, {}, moment=moment).late
        known = placing.known_steps(self.tx, key)
        for step, service in _meant(known, self.message):
            self.steps.append(step.key)
            if self.message.action in _EVENTS:
                self._end(step)
            elif step.state in lifecycle.WAITING or self._is_booked_again(step):
                self._move(key, step, service, known, late=late)
            else:
                if self.message.action is OrderAction.CREATE:
                    transitions.ordered_again(self.tx, step.key, source=self.source)
                self._warn(f"the step is {step.state} and keeps its schedule")  # C-52
        if late and self.message.action in _MAKING:
            self._warn("something later is known of this order: this message fills gaps and replaces nothing")
        return late

    def _is_booked_again(self, step: Step) -> bool:
        return step.state is StepState.CANCELLED and self.message.action is OrderAction.CREATE

    def _move(self, key: int, step: Step, service: Document, known: list[Step], *, late: bool) -> None:
        message = self.message
        moves = message.moves - message.assumed
        said = {tag: each for tag, each in service.items() if tag in moves}
        if said.keys() & set(_BEGIN):  # whoever tells a new begin and no end does not mean the old one
            stale = {tag for tag in _END if values(step.document, tag)} & moves - said.keys()
            said |= {tag: {"vr": _END[tag]} for tag in stale}
        named = {**said, _STEP_ID: step.document[_STEP_ID]}
        moved = placing.put_step(self.tx, key, named, source=self.source, late=late, known=known)
        if moved is not None and moved.changed:
            reason = f"{_start(step.document)} to {_start(moved.document)}"
            transitions.remark(self.tx, step.key, _MOVED, source=self.source, reason=reason)
        if moved is not None and (moved.changed or self._is_booked_again(step)):
            self.touched.append(moved.document)
        if self._is_booked_again(step):
            transitions.advance(self.tx, step.key, StepEvent.REOPEN, source=self.source, reason=_BOOKED_AGAIN)
            self.moved.append(step.key)

    def _end(self, step: Step) -> None:
        event, wanted = _EVENTS[self.message.action]
        state = transitions.advance(self.tx, step.key, event, source=self.source, reason=_BY_APPOINTMENT)
        if state is not step.state:
            self.moved.append(step.key)
        if state is not wanted:
            self._warn(f"the step is {state} and stays so")

    # ── an order that is not ──

    def _make(self) -> None:
        message, tx = self.message, self.tx
        if message.lacking:
            raise Unacceptable(message.lacking)
        if not message.services:  # all were taken out again
            return
        document = {**(message.links[0] if message.links else {}), **message.procedure}
        numbers = self._numbers(document)
        if not numbers.any:
            raise self._refusal(REQUIRED_FIELD_MISSING, "an order needs a number")
        if identity.find(tx, numbers).other_patient:
            raise self._refusal(DUPLICATE_KEY, "the numbers are of another patient's order")
        if message.other_spelling == "refuse" and (
            name := handles.spelled_otherwise(tx, message.patient, document)
        ):
            raise self._refusal(DUPLICATE_KEY, f"the {name} differs from a known one in capitals alone")
        patient = patient_columns(message.patient)
        procedure = placing.create(
            tx, numbers, document, (patient["patient_id"], patient["issuer"], *numbers.numbers),
            self.uid_root, moment=Moment(message.sent_at, system=message.system),
        )  # fmt: skip
        bookings.mark(tx, procedure.key, message.assumed)
        self.procedures.append(procedure.key)
        known: list[Step] = []
        for service in message.services:
            step = placing.put_step(tx, procedure.key, service, source=self.source, known=known)
            if step is None:
                raise self._refusal(REQUIRED_FIELD_MISSING, "a step ID is needed")
        self.steps += [step.key for step in known]
        self.touched += [step.document for step in known]
        adopting.adopt(tx, [procedure.key], Situation(self.conducts, self.told))

    def _refusal(self, code: int, text: str) -> Unacceptable:
        return Unacceptable([Finding(self.message.at, code, text)])

    def _warn(self, text: str) -> None:
        self.warnings.append(Finding(self.message.at, RECORD_LOCKED, text, Severity.WARNING))


def _meant(known: Sequence[Step], message: ScheduleMessage) -> list[tuple[Step, Document]]:
    """Return the steps that an appointment is for, each with the service that it is."""
    services = [without(service, message.assumed) for service in message.services]
    named: dict[int, Document] = {}
    for service in reversed(services):
        named |= {step.key: service for step in known if _is(step, service)}
    others = [service for service in services if not any(_is(step, service) for step in known)]
    left = [step for step in known if step.key not in named] if others else []
    # What is closed was another appointment's, as long as anything is not.
    left = [step for step in left if step.state not in CLOSED] or left
    pairs = {**dict.fromkeys((step.key for step in left), others[0] if others else {}), **named}
    return [(step, pairs[step.key]) for step in known if step.key in pairs]


def _is(step: Step, service: Document) -> bool:
    if step_id := step_columns(service)["step_id"]:
        return step.step_id == step_id
    return bool(codes(service, _PROTOCOL_CODES) & codes(step.document, _PROTOCOL_CODES))


def _start(document: Document) -> str:
    return step_columns(document)["start"][:14] or "no start"


_ORDERS = (
    select(procedures.c.key, procedures.c.document, steps.c.state)
    .select_from(steps.join(procedures))
    .where(procedures.c.patient_key == bindparam("patient"))
    .order_by(procedures.c.key)
)
