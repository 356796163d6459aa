"""One audit message as DICOM's schema has it (PS3.15 A.5.1): values in, XML out.

The order of elements, and which of them must be there, is the schema's.  What comes from a peer may hold
characters that no XML can: they are replaced, so that nobody makes his own trace unreadable.  A message is
one line: there are collectors that keep lines.
"""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from xml.etree import ElementTree as ET

from mwl.audit.codes import Code

_DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>'
_WHITE = str.maketrans("\t\n\r", "   ")  # what the schema's tokens make of it
_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2
_SOURCE_TYPE = "4"  # A.5.1.2.1: application server
_MACHINE_NAME, _IP_ADDRESS = "1", "2"


class Action(StrEnum):
    """Event Action Code."""

    CREATE = "C"
    READ = "R"
    UPDATE = "U"
    DELETE = "D"
    EXECUTE = "E"


class Outcome(StrEnum):
    """Event Outcome Indicator; of a security alert, how grave it is."""

    SUCCESS = "0"
    MINOR_FAILURE = "4"
    SERIOUS_FAILURE = "8"
    MAJOR_FAILURE = "12"


@dataclass(frozen=True, slots=True)
class Source:
    """Who reports: the audit source, and the part of the enterprise it stands in."""

    id: str
    site: str = ""


@dataclass(frozen=True, slots=True)
class Participant:
    """A person, process or node that had a part in the event; *address* is an IP address, or a name."""

    user_id: str
    requestor: bool
    roles: tuple[Code, ...] = ()
    alternative: str = ""
    address: str = ""


class ObjectType(StrEnum):
    """Participant Object Type Code."""

    PERSON = "1"
    SYSTEM = "2"


class ObjectRole(StrEnum):
    """Participant Object Type Code Role (A.5.1.2.2)."""

    PATIENT = "1"
    REPORT = "3"
    SECURITY_RESOURCE = "13"


@dataclass(frozen=True, slots=True)
class Subject:
    """A participant object: what the event is about.

    It has a *name* or a *query*; the schema wants one of them.  *details* are pairs of a type and a value.
    """

    id: str
    id_type: Code
    type: ObjectType
    role: ObjectRole
    name: str = ""
    query: bytes | None = None
    details: tuple[tuple[str, bytes], ...] = ()
    performed: tuple[str, ...] = ()  # SOP Instance UIDs of performed steps
    accessions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """What happened; *at* is aware."""

    id: Code
    action: Action
    at: dt.datetime
    participants: tuple[Participant, ...]
    subjects: tuple[Subject, ...] = ()
    types: tuple[Code, ...] = ()
    outcome: Outcome = Outcome.SUCCESS

    @property
    def is_alert(self) -> bool:
        """Whether syslog is to carry it as a warning."""
        return self.outcome is not Outcome.SUCCESS


def encoded(event: Event, source: Source) -> bytes:
    """Return the message in UTF-8, in one line."""
    message = ET.Element("AuditMessage")
    message.append(_identification(event))
    for participant in event.participants:
        message.append(_participant(participant))
    message.append(_source(source))
    for subject in event.subjects:
        message.append(_subject(subject))
    return _DECLARATION + ET.tostring(message, encoding="unicode").encode()


def _identification(event: Event) -> ET.Element:
    found = _element(
        "EventIdentification",
        EventActionCode=event.action,
        # A.5.2.5: without doubt as to the zone.
        EventDateTime=event.at.astimezone(dt.UTC).isoformat(timespec="milliseconds"),
        EventOutcomeIndicator=event.outcome,
    )
    found.append(_coded("EventID", event.id))
    found.extend(_coded("EventTypeCode", each) for each in event.types)
    return found


def _participant(participant: Participant) -> ET.Element:
    found = _element(
        "ActiveParticipant",
        UserID=participant.user_id,
        AlternativeUserID=participant.alternative or None,
        UserIsRequestor="true" if participant.requestor else "false",
        NetworkAccessPointID=participant.address or None,
        NetworkAccessPointTypeCode=_kind(participant.address) if participant.address else None,
    )
    found.extend(_coded("RoleIDCode", each) for each in participant.roles)
    return found


def _source(source: Source) -> ET.Element:
    found = _element(
        "AuditSourceIdentification", AuditEnterpriseSiteID=source.site or None, AuditSourceID=source.id
    )
    found.append(ET.Element("AuditSourceTypeCode", {"csd-code": _SOURCE_TYPE}))
    return found


def _subject(subject: Subject) -> ET.Element:
    found = _element(
        "ParticipantObjectIdentification",
        ParticipantObjectID=subject.id,
        ParticipantObjectTypeCode=subject.type,
        ParticipantObjectTypeCodeRole=subject.role,
    )
    found.append(_coded("ParticipantObjectIDTypeCode", subject.id_type))
    if subject.query is None:
        found.append(_text("ParticipantObjectName", subject.name))
    else:
        found.append(_text("ParticipantObjectQuery", _base64(subject.query)))
    for kind, value in subject.details:
        found.append(_element("ParticipantObjectDetail", type=kind, value=_base64(value)))
    if subject.performed or subject.accessions:
        found.append(_contents(subject.performed, subject.accessions))
    return found


def _contents(performed: Sequence[str], accessions: Sequence[str]) -> ET.Element:
    found = ET.Element("ParticipantObjectDescription")
    found.extend(_element("MPPS", UID=each) for each in performed)
    found.extend(_element("Accession", Number=each) for each in accessions)
    return found


def _coded(name: str, code: Code) -> ET.Element:
    attributes = {"csd-code": code.value, "codeSystemName": code.system, "originalText": code.meaning}
    return ET.Element(name, attributes)


def _element(name: str, **attributes: str | None) -> ET.Element:
    return ET.Element(name, {key: _legal(value) for key, value in attributes.items() if value is not None})


def _text(name: str, text: str) -> ET.Element:
    found = ET.Element(name)
    found.text = _legal(text)
    return found


def _legal(text: str) -> str:
    return _NOT_IN_XML.sub("\ufffd", text).translate(_WHITE)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _kind(address: str) -> str:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return _MACHINE_NAME
    return _IP_ADDRESS
