"""The audit messages of this broker, one function for each kind (PS3.15 A.5.3).

A device is known by its AE title, a system by MSH-4 and MSH-3 as IHE joins them, the broker by its process,
a patient by ID and issuer as HL7 would write them.  One message is about one patient at most (A.5.3.13).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from mwl.audit import codes
from mwl.audit.codes import Code
from mwl.audit.message import (
    Action,
    Event,
    ObjectRole,
    ObjectType,
    Outcome,
    Participant,
    Subject,
)
from mwl.model import Document, text

QUERY_KEPT = 32 * 1024
"""Bytes of an identifier that are reported; a longer one is no device's, and only its length is told."""

_PATIENT_ID, _ISSUER, _PATIENT_NAME = "00100020", "00100021", "00100010"
_ACCESSION, _STUDY_UID, _DESCRIPTION = "00080050", "0020000D", "00321060"


@dataclass(frozen=True, slots=True)
class Here:
    """The broker: its process, its AE title, the name of its host."""

    process: str
    ae_title: str
    host: str

    def taking_part(self, *roles: Code) -> Participant:
        """Return the broker as one that did not ask for what happened."""
        return Participant(
            self.process, requestor=False, roles=roles, alternative=_ae_titles(self.ae_title),
            address=self.host,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asker:
    """Who wants something of the broker; *user* is whom a device proved to act for (E-06)."""

    id: str
    ae_title: str = ""
    address: str = ""
    user: str = ""

    @classmethod
    def device(cls, ae_title: str, address: str, user: str = "") -> Asker:
        """Return a device."""
        return cls(ae_title, ae_title, address, user)

    @classmethod
    def system(cls, application: str, facility: str, address: str) -> Asker:
        """Return a system by MSH-3 and MSH-4 of its message."""
        return cls(f"{facility}|{application}", address=address)

    def taking_part(self, *roles: Code) -> tuple[Participant, ...]:
        """Return it, and the person behind it where one is known: of them one is the requestor."""
        alternative = _ae_titles(self.ae_title) if self.ae_title else ""
        own = Participant(self.id, not self.user, roles, alternative, address=self.address)
        if not self.user:
            return (own,)
        return own, Participant(self.user, requestor=True, address=self.address)


@dataclass(frozen=True, slots=True)
class Exam:
    """A requested procedure that is concerned, with the performed step where there is one."""

    procedure: Document
    performed: str = ""  # SOP Instance UID


def started(here: Here, at: dt.datetime) -> Event:
    """Report that the broker has started (A.5.3.1)."""
    return _activity(here, at, codes.APPLICATION_START)


def stopped(here: Here, at: dt.datetime) -> Event:
    """Report that the broker ends (A.5.3.1)."""
    return _activity(here, at, codes.APPLICATION_STOP)


def _activity(here: Here, at: dt.datetime, kind: Code) -> Event:
    participants = (here.taking_part(codes.APPLICATION),)
    return Event(codes.APPLICATION_ACTIVITY, Action.EXECUTE, at, participants, types=(kind,))


def query(
    here: Here,
    at: dt.datetime,
    asker: Asker,
    *,
    sop_class: str,
    transfer_syntax: str,
    identifier: bytes,
    succeeded: bool,
) -> Event:
    """Report what a device asked; what it was answered is not part of it (A.5.3.10)."""
    details = [("TransferSyntax", transfer_syntax.encode())]
    if len(identifier) > QUERY_KEPT:
        details.append(("Length", str(len(identifier)).encode()))
        identifier = b""
    asked = Subject(
        sop_class, codes.SOP_CLASS_UID, ObjectType.SYSTEM, ObjectRole.REPORT,
        query=identifier, details=tuple(details),
    )  # fmt: skip
    return Event(
        codes.QUERY, Action.EXECUTE, at,
        (*asker.taking_part(codes.SOURCE), here.taking_part(codes.DESTINATION)), (asked,),
        (codes.QUERY_WORKLIST,), _outcome(succeeded),
    )  # fmt: skip


def order(
    here: Here, at: dt.datetime, asker: Asker, action: Action, patient: Document, exams: Sequence[Exam]
) -> Event:
    """Report that a system ordered, changed or cancelled exams of a patient (A.5.3.13)."""
    return _record(codes.ORDER_RECORD, here, at, asker, action, patient, exams)


def procedure(
    here: Here,
    at: dt.datetime,
    asker: Asker,
    action: Action,
    patient: Document,
    exams: Sequence[Exam],
    *,
    types: tuple[Code, ...] = (),
) -> Event:
    """Report that exams of a patient were scheduled or performed (A.5.3.15)."""
    return _record(codes.PROCEDURE_RECORD, here, at, asker, action, patient, exams, types)


def patient(here: Here, at: dt.datetime, asker: Asker, action: Action, document: Document) -> Event:
    """Report that a patient was made known, changed, or (as a prior identity) came to an end (A.5.3.14)."""
    return _record(codes.PATIENT_RECORD, here, at, asker, action, document, (), (codes.PATIENT_UPDATE,))


def _record(
    kind: Code,
    here: Here,
    at: dt.datetime,
    asker: Asker,
    action: Action,
    document: Document,
    exams: Sequence[Exam],
    types: tuple[Code, ...] = (),
) -> Event:
    participants = (*asker.taking_part(), here.taking_part())
    return Event(kind, action, at, participants, (*map(_study, exams), _patient(document)), types)


def alert(
    here: Here, at: dt.datetime, kind: Code, subject: str, description: str, *, outcome: Outcome
) -> Event:
    """Report an attack, or what may be one: *subject* is the node it came from (A.5.3.11)."""
    node = Subject(
        subject or "unknown", codes.NODE_ID, ObjectType.SYSTEM, ObjectRole.SECURITY_RESOURCE, name=subject,
        details=(("Alert Description", description.encode(errors="replace")),),
    )  # fmt: skip
    participants = (here.taking_part(),)
    return Event(codes.SECURITY_ALERT, Action.EXECUTE, at, participants, (node,), (kind,), outcome)


def login(here: Here, at: dt.datetime, user: str, address: str, *, succeeded: bool) -> Event:
    """Report that somebody proved, or did not prove, who he is (A.5.3.16)."""
    person = Participant(user, requestor=True, address=address)
    participants = (person, here.taking_part())
    return Event(
        codes.USER_AUTHENTICATION, Action.EXECUTE, at, participants, types=(codes.LOGIN,),
        outcome=_outcome(succeeded),
    )  # fmt: skip


def _patient(document: Document) -> Subject:
    number, issuer = text(document, _PATIENT_ID), text(document, _ISSUER)
    return Subject(
        f"{number}^^^{issuer}" if issuer else number, codes.PATIENT_NUMBER,
        ObjectType.PERSON, ObjectRole.PATIENT, name=text(document, _PATIENT_NAME),
    )  # fmt: skip


def _study(exam: Exam) -> Subject:
    accession = text(exam.procedure, _ACCESSION)
    return Subject(
        text(exam.procedure, _STUDY_UID), codes.STUDY_INSTANCE_UID, ObjectType.SYSTEM, ObjectRole.REPORT,
        name=text(exam.procedure, _DESCRIPTION), performed=(exam.performed,) if exam.performed else (),
        accessions=(accession,) if accession else (),
    )  # fmt: skip


def _ae_titles(title: str) -> str:
    return f"AETITLES={title}"  # A.5.2.2


def _outcome(succeeded: bool) -> Outcome:
    return Outcome.SUCCESS if succeeded else Outcome.MINOR_FAILURE
