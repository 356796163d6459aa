"""Every error the broker raises on purpose, and whose fault it is.

Each adapter owns one table from these kinds to its own status: acknowledgement code,
DIMSE status, HTTP status, exit code.  An exception that is not an `MwlError` is a defect:
the adapter answers with its protocol's "internal error" and logs the traceback once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class MwlError(Exception):
    """Base of every error this package raises on purpose.

    *fields* go to the log line, never to the peer: they may hold patient data.
    The message itself is fit for a peer and holds none.
    """

    temporary = False

    def __init__(self, message: str, **fields: object) -> None:
        super().__init__(message)
        self.fields = fields


class Unavailable(MwlError):
    """The store, or a peer the broker depends on, cannot answer now."""

    temporary = True


class SchemaTooNew(MwlError):
    """The database was written by a later version of the broker."""


class ProtocolViolation(MwlError):
    """Bytes from a peer that its protocol does not allow."""


class Severity(StrEnum):
    """How much a finding weighs: an error stops the message or the profile, a warning is reported."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a file an engineer wrote, at its place (line and column count from 1)."""

    file: str
    line: int
    column: int
    message: str
    severity: Severity = Severity.ERROR
    code: str = ""

    def __str__(self) -> str:
        code = f" [{self.code}]" if self.code else ""
        return f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message}{code}"


class BadDocument(MwlError):
    """A configuration or profile that cannot be used; holds every problem found, not the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Location:
    """Where in an HL7 message something stands (HL7 2.5 ERL); numbers count from 1, 0 is "not stated"."""

    segment: str
    occurrence: int = 1
    field: int = 0
    repetition: int = 0
    component: int = 0
    subcomponent: int = 0

    def __str__(self) -> str:
        text = self.segment if self.occurrence <= 1 else f"{self.segment}[{self.occurrence}]"
        if self.field:
            text += f"-{self.field}" + (f"[{self.repetition}]" if self.repetition > 1 else "")
        if self.component:
            text += f".{self.component}" + (f".{self.subcomponent}" if self.subcomponent else "")
        return text


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with, or done to, a message.

    *code* is from HL7 table 0357 (D-19).  *text* holds no patient data: it goes to the peer.
    """

    location: Location
    code: int
    text: str
    severity: Severity = Severity.ERROR


class Unacceptable(MwlError):
    """A message whose content cannot be applied (HL7: AE); nothing of it was."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("; ".join(f"{f.location}: {f.text}" for f in findings))
        self.findings = tuple(findings)


class NotUnderstood(Unacceptable):
    """A message of a kind, event, version or form the broker does not take (HL7: AR)."""


class Refusal(StrEnum):
    """Why the store refused a change that its caller may well have meant."""

    DUPLICATE = "duplicate"  # the instance exists already (DIMSE 0111)
    UNKNOWN = "unknown"  # no such instance or row (DIMSE 0112)
    FINAL = "final"  # it may no longer be updated (DIMSE 0110, Error ID A710)
    NOT_TAKEN = "not taken"  # the device's profile, or what it is about, does not allow it (DIMSE 0110)


class Refused(MwlError):
    """A change that the state of the stored object does not allow."""

    def __init__(self, reason: Refusal, message: str, **fields: object) -> None:
        super().__init__(message, **fields)
        self.reason = reason
