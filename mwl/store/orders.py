"""Order messages: what a system says is to be done, applied whole or not at all.

A message that cannot be applied raises `Unacceptable` with every reason, and the caller's savepoint
takes back what was done before (F-H57).  Applied twice, a message changes nothing the second time: no
row, no document, no revision (D-30).

How the stored procedure is found is `mwl.store.identity`, which message is the later one is
`mwl.store.lateness`; a step is found by its step ID within its procedure, and where the message names
none it is the only one there is.

What an action does (C.4):

* CREATE, UPDATE, HOLD and RELEASE make what is unknown and update in place what is known; whatever the
  state, they never move it, except that CREATE puts a cancelled step back: the system orders it again.
  HOLD takes what has not begun off every worklist, RELEASE puts it back.
* CANCEL, REPLACE, DISCONTINUE, ARRIVE, READY and COMPLETE move the steps the message names, or all steps of
  the procedures it means if it names none.  They make nothing and change no attribute of the order,
  and they count however late they come.
* NOTHING does nothing; a message of nothing else does not touch the patient either.

Where systems differ their profile decides (`mwl.model.OrderPolicies`).  No policy lets an order take
back an exam that has begun: that state comes from the device (peers 7, F-H09).

What is made and how it is changed is `mwl.store.placing`, the Study Instance UID included.  An order
whose numbers or UID are another patient's is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from mwl import lifecycle
from mwl.conduct import STANDARD, Conducts
from mwl.errors import Finding, Location, Severity, Unacceptable
from mwl.lifecycle import StepEvent, StepState
from mwl.model import Document, OrderAction, OrderMessage, OrderPolicies, ProcedureChange
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
from mwl.store.documents import without
from mwl.store.identity import Found, OrderNumbers
from mwl.store.lateness import Moment
from mwl.store.outcome import Outcome
from mwl.store.placing import Procedure, Step
from mwl.store.promoted import patient_columns, procedure_columns, step_id_of
from mwl.store.telling import Told
from mwl.store.transaction import Transaction

# HL7 table 0357 (D-19).
REQUIRED_FIELD_MISSING, UNKNOWN_KEY, DUPLICATE_KEY, RECORD_LOCKED = 101, 204, 205, 206

_EVENTS: Final = {
    OrderAction.CANCEL: (StepEvent.CANCEL, StepState.CANCELLED),
    OrderAction.REPLACE: (StepEvent.CANCEL, StepState.CANCELLED),
    OrderAction.DISCONTINUE: (StepEvent.DISCONTINUE, StepState.DISCONTINUED),
    OrderAction.ARRIVE: (StepEvent.ARRIVE, StepState.ARRIVED),
    OrderAction.READY: (StepEvent.MAKE_READY, StepState.READY),
    OrderAction.COMPLETE: (StepEvent.COMPLETE, StepState.COMPLETED),
}
_BEGUN: Final = frozenset(StepState) - lifecycle.WAITING - {StepState.CANCELLED}


OrderOutcome: TypeAlias = Outcome


def apply(
    tx: Transaction,
    order: OrderMessage,
    *,
    source: str,
    uid_root: str | None,
    told: Told,
    conducts: Conducts = STANDARD,
) -> OrderOutcome:
    """Apply *order*; *source* is what the history of its steps says.

    *uid_root* is the site's, for studies without UID.  *told* is who wants to hear of steps
    that another system moved, or whose exam came before the order; *conducts* is how such exams count.
    Raises `Unacceptable`.
    """
    application = _Application(tx, order, source, uid_root, told, conducts)
    application.run()
    if application.errors:
        raise Unacceptable(application.errors)
    return OrderOutcome(
        tuple(dict.fromkeys(application.procedures)),
        tuple(dict.fromkeys(application.steps)),
        tuple(application.warnings),
        patients=(application.patient_key,) if application.procedures else (),
    )


@dataclass
class _Application:
    """One message being applied; *n* is the number of an order in it, from 1."""

    tx: Transaction
    order: OrderMessage
    source: str
    uid_root: str | None
    told: Told
    conducts: Conducts
    patient_key: int = 0
    patient_made: bool = False  # nobody knew the patient before
    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    procedures: list[int] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    touched: dict[int, tuple[Location, Document]] = field(
        default_factory=dict
    )  # open steps made or changed, by key
    moved: list[int] = field(default_factory=list)  # steps whose state changed
    awaited: list[int] = field(default_factory=list)  # procedures that exams may have been waiting for

    @property
    def policies(self) -> OrderPolicies:
        return self.order.policies

    def run(self) -> None:
        numbered = enumerate(self.order.procedures, 1)
        asked = [(c.group or n, c) for n, c in numbered if c.action is not OrderAction.NOTHING]
        if self.order.procedures and not asked:
            return
        if not patient_columns(self.order.patient)["patient_id"]:
            self._error(Location("PID", 1, 3), REQUIRED_FIELD_MISSING, "a patient ID is needed")
            return
        patient = patients.find(self.tx, self.order.patient)
        if patient is not None:
            self.patient_key = patient.key
        elif not asked or any(change.action not in _EVENTS for _, change in asked):
            self.patient_key, self.patient_made = patients.create(self.tx, self.order.patient), True
        late = [(self._move if each.action in _EVENTS else self._put)(n, each) for n, each in asked]
        if patient is not None:
            # A message that is late for all its orders knows the patient no better.
            patients.change(self.tx, patient, self.order.patient, late=bool(late) and all(late))
        self.warnings += showing.unshown(self.tx, self.order.patient, self.touched.values())
        telling.moved(self.tx, self.moved, told=self.told, by=self.order.system)
        adopting.adopt(self.tx, self.awaited, Situation(self.conducts, self.told))

    # ── orders that are made or changed ──

    def _put(self, n: int, change: ProcedureChange) -> bool:
        """Make or change an order; tell whether the message came late for it."""
        numbers = self._numbers(change)
        found = identity.find(self.tx, numbers)
        if not self.patient_made:  # else there is no appointment
            found = bookings.adopt(self.tx, found, numbers, change)
        if objection := _objection(numbers, found):
            self._error(Location("ORC", n, 2), *objection)
        elif found.keys:
            return self._change(n, change, numbers, found.keys[0], booked=bool(found.booked))
        elif change.action is not OrderAction.CREATE and self.policies.change_of_unknown == "refuse":
            self._error(Location("ORC", n, 2), UNKNOWN_KEY, "this patient has no such order")
        else:
            self._make(n, change, numbers, found.shared_study)
        return False

    def _make(self, n: int, change: ProcedureChange, numbers: OrderNumbers, shared_study: str) -> None:
        if self.policies.other_spelling == "refuse" and (
            name := handles.spelled_otherwise(self.tx, self.order.patient, change.procedure)
        ):
            text = f"the {name} differs from a known one in capitals alone"
            self._error(Location("ORC", n, 2), DUPLICATE_KEY, text)
        procedure = placing.create(
            self.tx, numbers, change.procedure, self._identity(numbers), self.uid_root,
            shared_study=shared_study, moment=self._moment(change),
        )  # fmt: skip
        self._put_steps(n, change, numbers, procedure, [])

    def _change(
        self, n: int, change: ProcedureChange, numbers: OrderNumbers, key: int, *, booked: bool
    ) -> bool:
        policies = self.policies
        procedure = placing.change(
            self.tx, key, change.procedure, assumed=change.assumed, moment=self._moment(change),
            fill_late=policies.late == "fill", take_study=booked or policies.other_study == "take",
        )  # fmt: skip
        if procedure.late:
            text = "something later is known of this order: this message fills gaps and replaces nothing"
            self._warn(Location("ORC", n, 9), RECORD_LOCKED, text)
        if procedure.kept_study and policies.other_study == "refuse" and not booked:
            text = "the order is known under another Study Instance UID"
            self._error(Location("ORC", n, 2), DUPLICATE_KEY, text)
        elif procedure.kept_study:
            self._warn(Location("ORC", n, 2), DUPLICATE_KEY, "the order keeps its Study Instance UID")
        changed = self._put_steps(n, change, numbers, procedure, placing.known_steps(self.tx, key))
        again = change.action is OrderAction.CREATE and not booked and (procedure.changed or changed)
        if again and policies.new_again == "refuse":
            text = "an order with these numbers is known, and says something else"
            self._error(Location("ORC", n, 2), DUPLICATE_KEY, text)
        return procedure.late

    def _put_steps(
        self, n: int, change: ProcedureChange, numbers: OrderNumbers, procedure: Procedure, known: list[Step]
    ) -> bool:
        """Make or update the steps; tell whether anything became other than it was."""
        self.procedures.append(procedure.key)
        documents = placing.told_apart(
            self.tx, procedure.key, change.steps, numbers, assumed=change.assumed, known=known
        )
        put = [
            step
            for document in documents
            if (step := self._put_step(n, change, procedure, document, known)) is not None
        ]
        self.steps += [step.key for step in put]
        moved = [not procedure.late and self._follow(n, change, step) for step in put]
        for step, reopened in zip(put, moved, strict=True):
            if reopened or ((step.made or step.changed) and step.state not in lifecycle.CLOSED):
                self.touched[step.key] = Location("ORC", n), step.document
        if procedure.changed or procedure.new_study or any(step.made for step in put):
            self.awaited.append(procedure.key)
        return any(moved) or any(step.made or step.changed for step in put)

    def _put_step(
        self, n: int, change: ProcedureChange, procedure: Procedure, document: Document, known: list[Step]
    ) -> Step | None:
        policy = self.policies.change_of_begun
        step = placing.put_step(
            self.tx, procedure.key, document, source=self.source, assumed=change.assumed,
            late=procedure.late, known=known, alone=len(change.steps) == 1,
            keep=_BEGUN if policy == "keep" else (),
        )  # fmt: skip
        if step is None:
            self._error(Location("OBR", n, 20), REQUIRED_FIELD_MISSING, "a step ID is needed")
        elif step.kept:
            self._warn(Location("ORC", n, 1), RECORD_LOCKED, f"the step is {step.state} and stays as it is")
        elif policy == "refuse" and step.changed and step.state in _BEGUN:
            self._error(Location("ORC", n, 1), RECORD_LOCKED, f"the step is {step.state}")
        return step

    def _follow(self, n: int, change: ProcedureChange, step: Step) -> bool:
        """Put a step back on the worklist or take it off, as asked; tell whether that reopened it."""
        match change.action:
            case OrderAction.CREATE if step.state is StepState.CANCELLED:
                transitions.advance(
                    self.tx, step.key, StepEvent.REOPEN, source=self.source, reason="ordered again"
                )
                transitions.hold(self.tx, step.key, held=False, source=self.source)
                self.moved.append(step.key)
                return True
            case OrderAction.CREATE if step.state in _BEGUN:
                transitions.ordered_again(self.tx, step.key, source=self.source)
            case OrderAction.RELEASE if step.held:
                transitions.hold(self.tx, step.key, held=False, source=self.source)
            case OrderAction.HOLD if not step.held:
                state = transitions.hold(self.tx, step.key, held=True, source=self.source)
                if state not in lifecycle.WAITING:
                    self._warn(Location("ORC", n, 1), RECORD_LOCKED, f"the step is {state} and is not held")
        return False

    # ── orders whose steps move ──

    def _move(self, n: int, change: ProcedureChange) -> bool:
        """Move the steps of an order; tell whether the message came late for it."""
        numbers = self._numbers(change)
        found = bookings.adopt(self.tx, identity.find(self.tx, numbers), numbers, change)
        if not found.keys:
            self._unknown(n, change, found)
            return False
        self.procedures += found.keys
        moment, fill = self._moment(change), self.policies.late == "fill"
        met = [placing.change(self.tx, key, {}, moment=moment, fill_late=fill) for key in found.keys]
        for step_key in self._named(n, found.keys, numbers.step_ids):
            self.steps.append(step_key)
            self._move_step(n, step_key, change.action)
        return all(each.late for each in met)

    def _move_step(self, n: int, step_key: int, action: OrderAction) -> None:
        event, wanted = _EVENTS[action]
        before = transitions.state(self.tx, step_key)
        state = transitions.advance(self.tx, step_key, event, source=self.source)
        policy = self.policies.cancel_of_begun if event is StepEvent.CANCEL and state in _BEGUN else "keep"
        if policy == "discontinue":
            state = transitions.advance(self.tx, step_key, StepEvent.DISCONTINUE, source=self.source)
        if state is not before:
            self.moved.append(step_key)
        if state is wanted:
            return
        if policy == "refuse":
            self._error(Location("ORC", n, 1), RECORD_LOCKED, f"the step is {state}")
        elif policy == "keep" or state is not StepState.DISCONTINUED:
            self._warn(Location("ORC", n, 1), RECORD_LOCKED, f"the step is {state} and stays so")

    def _unknown(self, n: int, change: ProcedureChange, found: Found) -> None:
        """Say that there is no such order: an error, unless that is what the profile takes."""
        changes = self.order.procedures
        replaced = change.action is OrderAction.REPLACE and any(
            each.action is OrderAction.CREATE for each in changes
        )
        accepted = replaced or self.policies.cancel_of_unknown == "accept"
        if accepted and not found.other_patient:
            self._warn(Location("ORC", n, 2), UNKNOWN_KEY, "no such order is known: nothing was done")
        else:
            self._error(Location("ORC", n, 2), UNKNOWN_KEY, "this patient has no such order")

    def _named(self, n: int, procedure_keys: Sequence[int], ids: Collection[str]) -> list[int]:
        """Return the steps of these *ids*, that a message names; all of its procedures if it names none."""
        known = placing.step_ids(self.tx, procedure_keys)
        if set(ids) - set(known.values()):
            self._error(Location("OBR", n, 20), UNKNOWN_KEY, "the order has no such step")
        return [key for key, step_id in known.items() if not ids or step_id in ids]

    # ── what both need ──

    def _numbers(self, change: ProcedureChange) -> OrderNumbers:
        # What was assumed tells nothing about which order is meant, and which step.
        stated, *named = (without(each, change.assumed) for each in (change.procedure, *change.steps))
        step_ids = frozenset(step_id_of(step) for step in named) - {""}
        columns = procedure_columns(stated)
        return OrderNumbers(self.order.system, self.patient_key, **columns, step_ids=step_ids)

    def _identity(self, numbers: OrderNumbers) -> tuple[str, ...]:
        """Return what a Study Instance UID is derived from: nothing that the configuration or this database
        chose, so that another broker and a restored one derive the same.
        """
        patient = patient_columns(self.order.patient)
        return (patient["patient_id"], patient["issuer"], *numbers.numbers)

    def _moment(self, change: ProcedureChange) -> Moment:
        return Moment(self.order.sent_at, change.effective_at, self.order.system)

    def _error(self, location: Location, code: int, text: str) -> None:
        self.errors.append(Finding(location, code, text))

    def _warn(self, location: Location, code: int, text: str) -> None:
        self.warnings.append(Finding(location, code, text, Severity.WARNING))


def _objection(numbers: OrderNumbers, found: Found) -> tuple[int, str] | None:
    """Return why an order cannot be made or changed, with its code."""
    if not numbers.any and not numbers.study_instance_uid:
        return REQUIRED_FIELD_MISSING, "an order needs a number"
    if found.other_patient:
        return DUPLICATE_KEY, "the numbers are of another patient's order"
    if found.study_of_other_patient:
        return DUPLICATE_KEY, "the Study Instance UID is of another patient's order"
    if len(found.keys) > 1:
        return DUPLICATE_KEY, "the numbers fit several orders"
    return None
