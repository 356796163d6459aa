"""What a status message may speak of: what happened, to what, and how a profile names it.

A reference is a fact (``event``) or an attribute of a document (``patient.PatientID``).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mwl.mapping import paths
from mwl.mapping.elements import texts
from mwl.model import Document, items
from mwl.query import Path
from mwl.yamldoc import suggestion


@dataclass(frozen=True, slots=True)
class StatusFacts:
    """What happened to a step, and who tells whom."""

    event: str  # IP, CM, DC or SC (C.6): what ORC-5 says
    control_id: str  # MSH-10
    at: dt.datetime  # aware
    patient: Document = field(default_factory=dict)
    procedure: Document = field(default_factory=dict)
    step: Document = field(default_factory=dict)
    performed: Document = field(default_factory=dict)
    sender: tuple[str, str] = ("", "")  # application, facility
    receiver: tuple[str, str] = ("", "")

    @classmethod
    def of(
        cls,
        facts: Mapping[str, Any],
        *,
        control_id: str,
        sender: tuple[str, str] = ("", ""),
        receiver: tuple[str, str] = ("", ""),
    ) -> StatusFacts:
        """Return the facts that an outbox row holds."""
        documents = {name: facts.get(name) or {} for name in DOCUMENTS}
        at = dt.datetime.fromisoformat(facts["at"])
        return cls(facts["event"], control_id, at, **documents, sender=sender, receiver=receiver)


DOCUMENTS: Final = ("patient", "procedure", "step", "performed")
"""Documents a reference may name: ``{patient.PatientID}``."""

_SERIES = "00400340"
_INSTANCES: Final = ("00081140", "00400220")  # images, and other composite instances


def _images(facts: StatusFacts) -> str:
    made = any(items(series, tag) for series in items(facts.performed, _SERIES) for tag in _INSTANCES)
    return "some" if made else "none"


def _at(facts: StatusFacts) -> str:
    return f"{facts.at:%Y%m%d%H%M%S%z}"


FACTS: Final[Mapping[str, Callable[[StatusFacts], str]]] = {
    "event": lambda facts: facts.event,
    "images": _images,  # "some" or "none": whether the performed step made any instance
    "at": _at,
    "control_id": lambda facts: facts.control_id,
    "sending_application": lambda facts: facts.sender[0],
    "sending_facility": lambda facts: facts.sender[1],
    "receiving_application": lambda facts: facts.receiver[0],
    "receiving_facility": lambda facts: facts.receiver[1],
}
"""References that name no document."""


class BadReference(ValueError):
    """A text that names neither a fact nor an attribute; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A fact, or an attribute of a document."""

    name: str  # of the fact, or of the document
    path: Path = ()

    def text(self, facts: StatusFacts) -> str:
        """Return what it refers to as text, "" where there is none."""
        if not self.path:
            return FACTS[self.name](facts)
        return next(iter(texts(paths.get(getattr(facts, self.name), self.path))), "")

    def values(self, facts: StatusFacts) -> Sequence[Any]:
        """Return the values of the attribute."""
        element = paths.get(getattr(facts, self.name), self.path) if self.path else None
        return [] if element is None else element.get("Value", [])


def parse_reference(written: str) -> Reference:
    """Parse ``event`` or ``patient.PatientID``; raise `BadReference`."""
    name, dot, path = written.strip().partition(".")
    if not dot and name in FACTS:
        return Reference(name)
    if name not in DOCUMENTS or not dot:
        known = [*FACTS, *(f"{document}." for document in DOCUMENTS)]
        hint = suggestion(name + dot, known) or f": it is one of {', '.join(known)}"
        raise BadReference(f"unknown reference {written!r}{hint}")
    try:
        return Reference(name, paths.parse_path(path))
    except ValueError as error:
        raise BadReference(str(error)) from None
