"""What came of a query, and of a report: values, for people and for tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mwl.dicom import status
from mwl.dicom.emulators.description import Performing
from mwl.model import Document


@dataclass(slots=True)
class Seen:
    """What came of one query, as the operator and the service engineer see it."""

    device: str
    query: str
    asked: Document
    received: list[Document] = field(default_factory=list)  # every match; {} where it could not be read
    raw: list[bytes] = field(default_factory=list)  # the same as octets
    shown: list[Document] = field(default_factory=list)
    not_shown: list[tuple[Document, str]] = field(default_factory=list)  # and why
    remarks: list[tuple[Document, str]] = field(default_factory=list)  # what it does to one that is shown
    statuses: list[int] = field(default_factory=list)  # of every response
    error: str = ""  # what the console says went wrong; "" where nothing did
    log: list[str] = field(default_factory=list)

    @property
    def status(self) -> int | None:
        """The final DIMSE status; None where none came."""
        return self.statuses[-1] if self.statuses and not status.is_pending(self.statuses[-1]) else None

    @property
    def content(self) -> bool:
        """Whether the console shows all it was sent, and no error."""
        return not self.error and not self.not_shown


@dataclass(frozen=True, slots=True)
class Report:
    """One MPPS message and its answer; *status* is None where none came, and *error* says why."""

    operation: str
    state: str
    calling_ae: str
    uid: str
    attributes: Document
    status: int | None = None
    comment: str = ""
    error: str = ""

    @property
    def taken(self) -> bool:
        """Whether it was answered with success."""
        return self.status == status.SUCCESS


@dataclass(frozen=True, slots=True)
class Exam:
    """A performed step that was begun, and the answer to its N-CREATE."""

    uid: str
    performing: Performing
    items: tuple[Document, ...]
    facts: Mapping[str, str]
    report: Report
