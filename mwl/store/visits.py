"""Messages on patients: what they say reaches the person, the open orders of the visit, and who has come.

* Demographics are the patient's: every item of theirs shows them at once.  The same ID of another issuer
  is another patient (C-44, F-H14).
* What belongs to the visit stands with the requested procedure.  It reaches a procedure while a step of
  it is open, whether or not that has begun, if the procedure is not of another visit: both sides know a
  number, and they differ.  What is finished keeps what it had.
* Who has come makes the steps ARRIVED that are SCHEDULED, of these procedures, on the day the profile
  tells (F-H64).  Nothing is ever removed, moved back or cancelled: a discharged outpatient is examined,
  and an admission that is taken back leaves the order where it was (C-42).
* Merges are `mwl.store.merging`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, select

from mwl.conduct import STANDARD, Conducts
from mwl.errors import Finding, Severity, Unacceptable
from mwl.lifecycle import CLOSED, StepEvent, StepState
from mwl.model import Arrival, PatientChange, PatientMessage
from mwl.store import merging, patients, placing, telling, transitions
from mwl.store.outcome import Outcome
from mwl.store.promoted import admission, load, patient_columns
from mwl.store.tables import procedures, steps
from mwl.store.telling import Told
from mwl.store.transaction import Transaction

# HL7 table 0357 (D-19).
REQUIRED_FIELD_MISSING, UNKNOWN_KEY = 101, 204


@dataclass(frozen=True, slots=True)
class _Step:
    """An open step, with the visit of its procedure."""

    key: int
    procedure: int
    state: StepState
    day: str  # YYYYMMDD; "" without a start
    visit: tuple[str, str]


def apply(
    tx: Transaction, message: PatientMessage, *, source: str, told: Told, conducts: Conducts = STANDARD
) -> Outcome:
    """Apply *message*; see `mwl.store.orders.apply` for what the others are.  Raises `Unacceptable`."""
    done: list[Outcome] = []
    for change in message.changes:
        if not patient_columns(change.patient)["patient_id"]:
            raise Unacceptable([Finding(change.at, REQUIRED_FIELD_MISSING, "a patient ID is needed")])
        if change.prior:
            done.append(merging.merge(tx, change, source=source, told=told, conducts=conducts))
        else:
            done.append(_update(tx, message, change, source, told))
    return Outcome(
        procedures=tuple(dict.fromkeys(key for each in done for key in each.procedures)),
        steps=tuple(dict.fromkeys(key for each in done for key in each.steps)),
        findings=tuple(finding for each in done for finding in each.findings),
        patients=tuple(dict.fromkeys(key for each in done for key in each.patients)),
        made=tuple(key for each in done for key in each.made),
    )


def _update(
    tx: Transaction, message: PatientMessage, change: PatientChange, source: str, told: Told
) -> Outcome:
    patient = patients.find(tx, change.patient)
    if patient is None:
        made = (patients.create(tx, change.patient),) if message.keeps_unknown else ()
        return Outcome(findings=_nobody_waits(message, change), patients=made, made=made)
    patients.change(tx, patient, change.patient)
    visit = admission(change.visit)
    waiting = [step for step in _open_steps(tx, patient.key) if not _another(visit, step.visit)]
    reached = tuple(dict.fromkeys(step.procedure for step in waiting))
    for key in reached if change.visit else ():
        placing.change(tx, key, change.visit)
    arrived = [step.key for step in waiting if message.arrival and _comes(message.arrival, visit, step)]
    for key in arrived:
        transitions.advance(tx, key, StepEvent.ARRIVE, source=source)
    telling.moved(tx, arrived, told=told, by=message.system)
    findings = () if arrived else _nobody_waits(message, change)
    return Outcome(reached, tuple(arrived), findings, patients=(patient.key,))


def _another(visit: tuple[str, str], other: tuple[str, str]) -> bool:
    """Tell whether two visits are known not to be the same; numbers of different issuers are different."""
    (number, issuer), (known, by) = visit, other
    return bool(number and known) and (number != known or bool(issuer and by and issuer != by))


def _comes(arrival: Arrival, visit: tuple[str, str], step: _Step) -> bool:
    if step.state is not StepState.SCHEDULED or (arrival.day and arrival.day != step.day):
        return False
    return not arrival.same_visit or bool(visit[0] and step.visit[0])


def _nobody_waits(message: PatientMessage, change: PatientChange) -> tuple[Finding, ...]:
    if message.arrival is None:
        return ()
    text = "no scheduled step of the day and the visit waits for this patient"
    return (Finding(change.at, UNKNOWN_KEY, text, Severity.WARNING),)


def _open_steps(tx: Transaction, patient_key: int) -> list[_Step]:
    rows = tx.connection.execute(_OPEN, {"patient": patient_key}).all()
    visits = {row.procedure_key: row.document for row in rows}
    known = {key: admission(load(document)) for key, document in visits.items()}
    return [_step(row, known[row.procedure_key]) for row in rows]


def _step(row: Any, visit: tuple[str, str]) -> _Step:
    return _Step(row.key, row.procedure_key, StepState(row.state), row.start[:8], visit)


_OPEN = (
    select(steps.c.key, steps.c.procedure_key, steps.c.state, steps.c.start, procedures.c.document)
    .select_from(steps.join(procedures))
    .where(procedures.c.patient_key == bindparam("patient"), steps.c.state.not_in(sorted(CLOSED)))
    .order_by(steps.c.key)
)
