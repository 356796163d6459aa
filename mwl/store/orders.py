"""Order messages: what a system says is to be done, applied whole or not at all.

A message that cannot be applied raises `Unacceptable` with every reason, and the caller's savepoint
takes back what was done before (F-H57).  Applied twice, a message changes nothing the second time: no
row, no document, no revision (D-30).

How the stored procedure is found is `mwl.store.identity`; a step is found by its step ID within it.

What an action does (C.4):

* CREATE and UPDATE make what is unknown and update in place what is known; whatever the state,
  they never move it, except that CREATE puts a cancelled step back: the system orders it again.
* CANCEL, DISCONTINUE, ARRIVE and COMPLETE move the steps the message names, or all steps of the
  procedures it means if it names none.  They make nothing and change no attribute of the order.  What
  the state does not allow is reported and left: an exam that runs is not stopped by a cancellation
  (F-H09).
* NOTHING does nothing; a message of nothing else does not touch the patient either.

What is made and how it is changed is `mwl.store.placing`, the Study Instance UID included.  An order
whose numbers or UID are another patient's is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from mwl.errors import Finding, Location, Severity, Unacceptable
from mwl.lifecycle import StepEvent, StepState
from mwl.model import Document, OrderAction, OrderMessage, ProcedureChange
from mwl.store import identity, patients, performed, placing, transitions
from mwl.store.documents import without
from mwl.store.identity import Found, OrderNumbers
from mwl.store.promoted import patient_columns, procedure_columns, step_columns
from mwl.store.transaction import Transaction

# HL7 table 0357 (D-19).
REQUIRED_FIELD_MISSING, UNKNOWN_KEY, DUPLICATE_KEY, RECORD_LOCKED = 101, 204, 205, 206

_EVENTS = {
    OrderAction.CANCEL: (StepEvent.CANCEL, StepState.CANCELLED),
    OrderAction.DISCONTINUE: (StepEvent.DISCONTINUE, StepState.DISCONTINUED),
    OrderAction.ARRIVE: (StepEvent.ARRIVE, StepState.ARRIVED),
    OrderAction.COMPLETE: (StepEvent.COMPLETE, StepState.COMPLETED),
}


@dataclass(frozen=True, slots=True)
class OrderOutcome:
    """What a message was about, by key, and what is to be said of it besides (warnings)."""

    procedures: tuple[int, ...]
    steps: tuple[int, ...]
    findings: tuple[Finding, ...] = ()


def apply(
    tx: Transaction, order: OrderMessage, *, source: str, uid_root: str | None, told: Collection[str]
) -> OrderOutcome:
    """Apply *order*; *source* is what the history of its steps says.

    *uid_root* is the site's, for studies without UID.  *told* names the systems that want to hear of
    their steps, for the case that an order comes after its exam.  Raises `Unacceptable`.
    """
    application = _Application(tx, order, source, uid_root, told)
    application.run()
    if application.errors:
        raise Unacceptable(application.errors)
    return OrderOutcome(
        tuple(dict.fromkeys(application.procedures)),
        tuple(dict.fromkeys(application.steps)),
        tuple(application.warnings),
    )


@dataclass
class _Application:
    """One message being applied; *n* is the place of a change in it, from 1."""

    tx: Transaction
    order: OrderMessage
    source: str
    uid_root: str | None
    told: Collection[str]
    patient_key: int = 0
    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    procedures: list[int] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)

    def run(self) -> None:
        numbered = enumerate(self.order.procedures, 1)
        asked = [(n, change) for n, change in numbered if change.action is not OrderAction.NOTHING]
        if self.order.procedures and not asked:
            return
        if not patient_columns(self.order.patient)["patient_id"]:
            self._error(Location("PID", 1, 3), REQUIRED_FIELD_MISSING, "a patient ID is needed")
            return
        self.patient_key = patients.settle(self.tx, self.order.patient)
        for n, change in asked:
            (self._move if change.action in _EVENTS else self._put)(n, change)

    def _put(self, n: int, change: ProcedureChange) -> None:
        numbers = self._numbers(change)
        found = identity.find(self.tx, numbers)
        if objection := _objection(numbers, found):
            self._error(Location("ORC", n, 2), *objection)
            return
        if found.keys:
            procedure = placing.change(self.tx, found.keys[0], change.procedure, assumed=change.assumed)
        else:
            procedure = placing.create(
                self.tx, numbers, change.procedure, self._identity(numbers), self.uid_root
            )
        if procedure.kept_study:
            self._warn(Location("ORC", n, 2), DUPLICATE_KEY, "an exam has begun: its study stays")
        self.procedures.append(procedure.key)
        placed = [self._put_step(n, procedure.key, change, document) for document in change.steps]
        if procedure.new_study or any(placed):
            performed.adopt(self.tx, procedure.study_instance_uid, told=self.told)

    def _put_step(self, n: int, procedure_key: int, change: ProcedureChange, document: Document) -> bool:
        """Make or update a step; tell whether it was made."""
        step = placing.put_step(self.tx, procedure_key, document, source=self.source, assumed=change.assumed)
        if step is None:
            self._error(Location("OBR", n, 20), REQUIRED_FIELD_MISSING, "a step ID is needed")
            return False
        self.steps.append(step.key)
        if step.state is StepState.CANCELLED and change.action is OrderAction.CREATE:
            transitions.advance(
                self.tx, step.key, StepEvent.REOPEN, source=self.source, reason="ordered again"
            )
        return step.made

    def _move(self, n: int, change: ProcedureChange) -> None:
        found = identity.find(self.tx, self._numbers(change))
        if not found.keys:
            self._error(Location("ORC", n, 2), UNKNOWN_KEY, "this patient has no such order")
            return
        self.procedures += found.keys
        event, wanted = _EVENTS[change.action]
        for step_key in self._named(n, found.keys, change):
            self.steps.append(step_key)
            state = transitions.advance(self.tx, step_key, event, source=self.source)
            if state is not wanted:
                self._warn(Location("ORC", n, 1), RECORD_LOCKED, f"the step is {state} and stays so")

    def _named(self, n: int, procedure_keys: Sequence[int], change: ProcedureChange) -> list[int]:
        """Return the steps a message names, all of its procedures if it names none."""
        known = placing.step_ids(self.tx, procedure_keys)
        named = (without(document, change.assumed) for document in change.steps)
        ids = {step_columns(document)["step_id"] for document in named} - {""}
        if ids - set(known.values()):
            self._error(Location("OBR", n, 20), UNKNOWN_KEY, "the order has no such step")
        return [key for key, step_id in known.items() if not ids or step_id in ids]

    def _numbers(self, change: ProcedureChange) -> OrderNumbers:
        stated = without(change.procedure, change.assumed)  # what was assumed tells nothing about which order
        return OrderNumbers(self.order.system, self.patient_key, **procedure_columns(stated))

    def _identity(self, numbers: OrderNumbers) -> tuple[str, ...]:
        """Return what a Study Instance UID is derived from: nothing that the configuration or this database
        chose, so that another broker and a restored one derive the same.
        """
        patient = patient_columns(self.order.patient)
        return (patient["patient_id"], patient["issuer"], *numbers.numbers)

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
