"""What a status message may speak of: what happened, to what, and how a profile names it.

A reference is a fact (``event``), an attribute of a document (``patient.PatientID``), or an attribute of
the item that a repeated segment is filled from (``.ProtocolName``).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mwl.mapping import paths
from mwl.mapping.elements import gather, texts
from mwl.model import Document, Element, items
from mwl.query import Path
from mwl.yamldoc import suggestion


@dataclass(frozen=True, slots=True)
class StatusFacts:
    """What happened to the steps of a requested procedure, and who tells whom."""

    event: str  # a value of `mwl.model.StatusEvent`
    control_id: str  # MSH-10
    at: dt.datetime  # aware
    patient: Document = field(default_factory=dict)
    procedure: Document = field(default_factory=dict)
    steps: tuple[Document, ...] = ()
    performed: Document = field(default_factory=dict)
    reason: str = ""  # a person's, or the clock's
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
        return cls(
            facts["event"],
            control_id,
            dt.datetime.fromisoformat(facts["at"]),
            facts.get("patient") or {},
            facts.get("procedure") or {},
            tuple(facts.get("steps") or ()),
            facts.get("performed") or {},
            facts.get("reason") or "",
            sender,
            receiver,
        )

    @property
    def step(self) -> Document:
        """The first of the steps."""
        return self.steps[0] if self.steps else {}


@dataclass(slots=True)
class Scope:
    """What one segment is filled from; *heard* is what its references gave, "" where there was nothing."""

    facts: StatusFacts
    item: Document | None = None  # of a segment that is repeated
    place: int = 1  # of that item among the others
    number: int = 1  # of the segment among those of its name
    heard: list[str] = field(default_factory=list)

    @property
    def silent(self) -> bool:
        """Whether there were references and none had a value."""
        return bool(self.heard) and not any(self.heard)


DOCUMENTS: Final = ("patient", "procedure", "step", "performed")
"""Documents a reference may name: ``{patient.PatientID}``."""

STEPS: Final = "steps"
"""What a segment may be repeated for, beside the items of a sequence."""

ITEM: Final = ""
"""Name of the item that a repeated segment is filled from: ``{.ProtocolName}``."""

_SERIES = "00400340"
_INSTANCES: Final = ("00081140", "00400220")  # images, and other composite instances
_STUDIES: Final = ("00400270", "0020000D")  # of the Scheduled Step Attributes items


def _images(facts: StatusFacts) -> str:
    made = any(items(series, tag) for series in items(facts.performed, _SERIES) for tag in _INSTANCES)
    return "some" if made else "none"


def _at(facts: StatusFacts) -> str:
    return f"{facts.at:%Y%m%d%H%M%S%z}"


def _study(facts: StatusFacts) -> str:
    """Return the study the images are in: the device's, where it knows one only (B-34), else the order's."""
    made = dict.fromkeys(gather(facts.performed, _STUDIES))
    ordered = texts(facts.procedure.get(_STUDIES[1]))
    return next(iter(made if len(made) == 1 else ordered), "")


FACTS: Final[Mapping[str, Callable[[StatusFacts], str]]] = {
    "event": lambda facts: facts.event,
    "images": _images,  # "some" or "none": whether the performed step made any instance
    "study": _study,
    "reason": lambda facts: facts.reason,
    "at": _at,
    "control_id": lambda facts: facts.control_id,
    "sending_application": lambda facts: facts.sender[0],
    "sending_facility": lambda facts: facts.sender[1],
    "receiving_application": lambda facts: facts.receiver[0],
    "receiving_facility": lambda facts: facts.receiver[1],
}
"""References that name no document."""

COUNTERS: Final[Mapping[str, Callable[[Scope], str]]] = {
    "number": lambda scope: str(scope.number),
    "item": lambda scope: str(scope.place),
}
"""References that count: the segment among those of its name, the item among those it is repeated for."""


class BadReference(ValueError):
    """A text that names neither a fact nor an attribute; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A fact, a counter, or an attribute of a document or of the item."""

    name: str  # of the fact, of the counter, or of the document
    path: Path = ()

    @property
    def counts(self) -> bool:
        """Whether it is a counter: it says nothing about what happened."""
        return not self.path and self.name in COUNTERS

    def text(self, scope: Scope) -> str:
        """Return what it refers to as text, "" where there is none; of several values the first."""
        if self.path:
            return next(iter(texts(paths.get(self._document(scope), self.path))), "")
        return COUNTERS[self.name](scope) if self.counts else FACTS[self.name](scope.facts)

    def elements(self, scope: Scope) -> list[Element]:
        """Return the attribute in all items of the sequences on the way; a fact is none."""
        if not self.path:
            return []
        inner = self.scopes(scope)
        return [each[self.path[-1]] for each in inner if self.path[-1] in each]

    def texts(self, scope: Scope) -> list[str]:
        """Return all values of the attribute as text, in all items; of a fact the one it has."""
        if not self.path:
            return [found] if (found := self.text(scope)) else []
        return [text for element in self.elements(scope) for text in texts(element)]

    def known(self, scope: Scope) -> bool:
        """Tell whether the document says anything about it, if only that there is none."""
        return not self.path or self.path[0] in self._document(scope)

    def scopes(self, scope: Scope) -> Sequence[Document]:
        """Return the documents that the attribute may stand in: the items of the sequence it is in."""
        found: Iterable[Document] = [self._document(scope)]
        for sequence in self.path[:-1]:
            found = [item for each in found for item in items(each, sequence)]
        return list(found)

    def _document(self, scope: Scope) -> Document:
        if self.name == ITEM:
            return scope.item or {}
        document: Document = getattr(scope.facts, self.name)
        return document


def parse_reference(written: str, *, in_item: bool = False) -> Reference:
    """Parse ``event``, ``patient.PatientID`` or, *in_item*, ``.ProtocolName``; raise `BadReference`."""
    name, dot, path = written.strip().partition(".")
    if not dot and (name in FACTS or name in COUNTERS):
        return Reference(name)
    if not dot or not (name in DOCUMENTS or (name == ITEM and in_item)):
        if name == ITEM and dot:
            raise BadReference(f"{written!r} begins with a dot: that has a meaning only beside 'each'")
        known = [*FACTS, *COUNTERS, *(f"{document}." for document in DOCUMENTS)]
        hint = suggestion(name + dot, known) or f": it is one of {', '.join(known)}"
        raise BadReference(f"unknown reference {written!r}{hint}")
    try:
        return Reference(name, paths.parse_path(path))
    except ValueError as error:
        raise BadReference(str(error)) from None


def parse_each(written: str) -> Reference:
    """Parse what a segment is repeated for: ``steps``, or a sequence of a document; raise `BadReference`."""
    if written.strip() == STEPS:
        return Reference(STEPS)
    found = parse_reference(written)
    if not found.path or paths.vr(found.path[-1]) != "SQ":
        raise BadReference(f"{written!r} is neither {STEPS!r} nor a sequence of a document")
    return found
