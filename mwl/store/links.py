"""What belongs together: a scheduled step and its messages and performed steps; a message and its effects.

For people who ask why a step is as it is, or what a message did; nothing is decided by it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, select

from mwl.store.promoted import column
from mwl.store.tables import (
    message_links,
    messages,
    patients,
    performed,
    performed_links,
    procedures,
    steps,
)
from mwl.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class MessageLink:
    """A message that touched the step."""

    key: int
    received_at: str  # UTC, as the tables hold instants
    system: str
    kind: str  # "ORM^O01"
    control_id: str
    outcome: str  # MSA-1 of the answer


@dataclass(frozen=True, slots=True)
class PerformedLink:
    """A performed step that is linked to the step."""

    created_at: str
    sop_instance_uid: str
    calling_ae: str
    state: str
    rule: str  # the rung of the ladder that linked them


@dataclass(frozen=True, slots=True)
class Links:
    """Everything a step is linked to, the oldest first."""

    messages: tuple[MessageLink, ...]
    performed: tuple[PerformedLink, ...]


def of_step(tx: Transaction, step_key: int) -> Links:
    """Return what the step is linked to."""
    wanted = {"step": step_key}
    return Links(
        tuple(MessageLink(*row) for row in tx.connection.execute(_MESSAGES, wanted)),
        tuple(PerformedLink(*row) for row in tx.connection.execute(_PERFORMED, wanted)),
    )


@dataclass(frozen=True, slots=True)
class PatientEffect:
    """A patient the message touched."""

    key: int
    patient_id: str
    issuer: str


@dataclass(frozen=True, slots=True)
class ProcedureEffect:
    """A requested procedure the message touched."""

    key: int
    accession: str
    requested_procedure_id: str
    study_instance_uid: str


@dataclass(frozen=True, slots=True)
class StepEffect:
    """A scheduled step the message touched, as it is now."""

    key: int
    step_id: str
    modality: str
    start: str  # site-local, YYYYMMDDHHMMSS.FFFFFF
    state: str


@dataclass(frozen=True, slots=True)
class Effects:
    """What a message touched and is still there."""

    patients: tuple[PatientEffect, ...]
    procedures: tuple[ProcedureEffect, ...]
    steps: tuple[StepEffect, ...]


def of_message(tx: Transaction, message_key: int) -> Effects:
    """Return what the message touched."""
    wanted = {"message": message_key}
    return Effects(
        tuple(PatientEffect(*row) for row in tx.connection.execute(_PATIENTS, wanted)),
        tuple(ProcedureEffect(*row) for row in tx.connection.execute(_PROCEDURES, wanted)),
        tuple(StepEffect(*row) for row in tx.connection.execute(_STEPS, wanted)),
    )


@dataclass(frozen=True, slots=True)
class KnownPatient:
    """A patient on record under an ID, and the patient it was merged into."""

    patient_id: str
    issuer: str
    merged_into: PatientEffect | None


def of_patient_id(tx: Transaction, patient_id: str) -> list[KnownPatient]:
    """Return the patients on record under *patient_id*, whoever issued it, merged ones too."""
    return [
        KnownPatient(
            row.patient_id,
            row.issuer,
            None if row.key is None else PatientEffect(row.key, row.other_id, row.other_issuer),
        )
        for row in tx.connection.execute(_KNOWN, {"patient": column(patient_id)})
    ]


_SURVIVOR = patients.alias()
_KNOWN = (
    select(
        patients.c.patient_id,
        patients.c.issuer,
        _SURVIVOR.c.key,
        _SURVIVOR.c.patient_id.label("other_id"),
        _SURVIVOR.c.issuer.label("other_issuer"),
    )
    .select_from(patients.outerjoin(_SURVIVOR, patients.c.merged_into == _SURVIVOR.c.key))
    .where(patients.c.patient_id == bindparam("patient"))
    .order_by(patients.c.key)
)

_TOUCHED = message_links.c.message_key == bindparam("message")

_PATIENTS = (
    select(patients.c.key, patients.c.patient_id, patients.c.issuer)
    .join(message_links)
    .where(_TOUCHED)
    .order_by(patients.c.key)
)

_PROCEDURES = (
    select(
        procedures.c.key,
        procedures.c.accession,
        procedures.c.requested_procedure_id,
        procedures.c.study_instance_uid,
    )
    .join(message_links)
    .where(_TOUCHED)
    .order_by(procedures.c.key)
)

_STEPS = (
    select(steps.c.key, steps.c.step_id, steps.c.modality, steps.c.start, steps.c.state)
    .join(message_links)
    .where(_TOUCHED)
    .order_by(steps.c.key)
)

_MESSAGES = (
    select(
        messages.c.key,
        messages.c.received_at,
        messages.c.system,
        messages.c.kind,
        messages.c.control_id,
        messages.c.outcome,
    )
    .join(message_links)
    .where(message_links.c.step_key == bindparam("step"))
    .order_by(messages.c.key)
)

_PERFORMED = (
    select(
        performed.c.created_at,
        performed.c.sop_instance_uid,
        performed.c.calling_ae,
        performed.c.state,
        performed_links.c.rule,
    )
    .join(performed_links)
    .where(performed_links.c.step_key == bindparam("step"))
    .order_by(performed.c.key)
)
