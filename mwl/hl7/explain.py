"""What a message asks for, and where each of its values goes: the intake's own reading, with a trace.

Nothing here reads a message a second way.  The envelope is understood as the intake does it, and the
profile's lines take notes; this module arranges the notes by field and by attribute.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mwl.errors import Finding, Location, NotUnderstood, Severity, Unacceptable
from mwl.hl7.ack import ACCEPTED, ERROR, REJECTED
from mwl.hl7.envelope import Envelope
from mwl.hl7.message import Message
from mwl.hl7.occasion import IGNORED
from mwl.mapping import paths
from mwl.mapping.trace import Note, Recorder
from mwl.model import Document, Element, Incoming, OrderAction, OrderMessage, PatientMessage, ScheduleMessage
from mwl.query import Path
from mwl.store.showing import missing

_PLACE: Final = re.compile(
    r"(?P<segment>[A-Z][A-Z0-9]{2})(\[(?P<occurrence>\d+)\])?-(?P<field>\d+)(\[(?P<repetition>\d+)\])?"
    r"(\.(?P<component>\d+)(\.(?P<subcomponent>\d+))?)?"
)

_REQUIRED_MISSING: Final = 101  # HL7 table 0357 (D-19)
_SHOWN: Final = frozenset({OrderAction.CREATE, OrderAction.UPDATE})
"""Actions that may put a new step on a worklist."""

HEADER: Final[Mapping[int, str]] = {
    1: "delimiters",
    2: "delimiters",
    3: "which system it is",
    4: "which system it is",
    5: "sender of the answer",
    6: "sender of the answer",
    7: "when it was sent",
    9: "what is done with it",
    10: "repeated in the answer",
    11: "whether it is taken",
    12: "form of the answer",
    15: "which answers are sent",
    16: "which answers are sent",
    18: "character set",
}
"""What the broker itself reads in MSH."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value that a line of the profile gave an attribute."""

    section: str  # of the profile: patient, procedure, step
    target: str  # as the profile writes it, "IssuerOfAccessionNumberSequence.LocalNamespaceEntityID"
    element: Element | None  # None: a mistake, which *source* tells
    places: tuple[Location, ...]  # where it stands in the message; () for what the profile put there
    source: str  # the places as text, or "template" and its places, "default", "else"
    origin: str  # the line, file:line
    function: str

    @property
    def tags(self) -> Path:
        """The target's tags, from the root of its level."""
        try:
            return paths.parse_path(self.target)
        except ValueError:
            return ()


@dataclass(frozen=True, slots=True)
class Part:
    """Attributes a message speaks of, at one level."""

    title: str  # "procedure 1: create"
    document: Document
    below: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """A message as the intake would take it now, before anything stored is looked at."""

    envelope: Envelope
    message: Message | None  # None: it cannot be split into segments
    outcome: str  # AA, AE, AR or "ignored"
    findings: tuple[Finding, ...]
    incoming: Incoming | None
    values: tuple[Value, ...]

    def at(self, segment: str, occurrence: int, number: int) -> list[Value]:
        """Return what a field gave, each once: a field before the orders gives the same to all of them."""
        found: list[Value] = []
        for value in self.values:
            here = ((each.segment, each.occurrence, each.field) for each in value.places)
            if (segment, occurrence, number) in here and value not in found:
                found.append(value)
        return found

    def line(self, finding: Finding) -> str:
        """Return the profile's line that made a finding, file:line; "" where none did."""
        told = f"{finding.location}: {finding.text}"
        behind = (each.origin for each in self.values if each.element is None and each.source == told)
        return next(behind, "")

    def use(self, segment: str, number: int) -> str:
        """Return what a field is read for that becomes no attribute, "" where nothing is known."""
        if segment == "MSH":
            return HEADER.get(number, "")
        system = self.envelope.system
        control = system.profile.reader.control if system else None
        read = (control.code, control.status) if control else ()
        asks = any(path and (path.segment, path.field) == (segment, number) for path in read)
        return "what is asked for" if asks else ""


def explain(envelope: Envelope) -> Explanation:
    """Return what the intake would make of a message; nothing is changed, and nothing raised."""
    recorder = Recorder()
    incoming, outcome, findings = _understood(envelope, recorder)
    return Explanation(
        envelope, _split(envelope), outcome, findings, incoming, tuple(map(_value, recorder.notes))
    )


def behind(tags: Path, element: Element, values: Sequence[Value]) -> list[Value]:
    """Return the values that may have given an attribute: of its target, or of a sequence around it.

    *tags* lead to it from the root of its level.
    """
    same = [value for value in values if value.tags == tags and value.element is not None]
    around = [value for value in values if value.tags and value.tags == tags[: len(value.tags)]]
    holding = [value for value in around if _holds(value.element, tags[len(value.tags) :], element)]
    return holding or same


def _holds(outer: Element | None, path: Path, element: Element) -> bool:
    if not path:
        return outer == element
    items = outer.get("Value", []) if outer and outer.get("vr") == "SQ" else []
    return any(path[0] in item and _holds(item[path[0]], path[1:], element) for item in items)


def parts(incoming: Incoming) -> Iterator[Part]:
    """Yield the attributes a message speaks of, by patient, procedure and step."""
    if isinstance(incoming, OrderMessage):
        yield Part("patient", incoming.patient)
        for number, change in enumerate(incoming.procedures, 1):
            steps = (Part(f"step {n}", document) for n, document in enumerate(change.steps, 1))
            yield Part(f"procedure {number}: {change.action}", change.procedure, tuple(steps))
    elif isinstance(incoming, PatientMessage):
        for number, each in enumerate(incoming.changes, 1):
            prior = [Part(f"known before as {n}", document) for n, document in enumerate(each.prior, 1)]
            visit = [Part("visit", each.visit)] if each.visit else []
            yield Part(f"patient {number}", each.patient, (*visit, *prior))
    else:
        yield from _schedule(incoming)


def _schedule(incoming: ScheduleMessage) -> Iterator[Part]:
    yield Part("patient", incoming.patient)
    links = (Part(f"known as {n}", document) for n, document in enumerate(incoming.links, 1))
    steps = (Part(f"step {n}", document) for n, document in enumerate(incoming.services, 1))
    yield Part(f"appointment: {incoming.action}", incoming.procedure, (*links, *steps))


def _understood(envelope: Envelope, recorder: Recorder) -> tuple[Incoming | None, str, tuple[Finding, ...]]:
    if envelope.acknowledges:
        return None, IGNORED, ()
    try:
        incoming = envelope.understand(recorder)
    except NotUnderstood as refusal:
        return None, REJECTED, tuple(refusal.findings)
    except Unacceptable as refusal:
        return None, ERROR, tuple(refusal.findings)
    if incoming is None:
        return None, IGNORED, ()
    return incoming, ACCEPTED, (*incoming.findings, *_unshown(incoming))


def _unshown(incoming: Incoming) -> Iterator[Finding]:
    """Yield what the steps of an order lack to be shown; what is stored may have it."""
    if not isinstance(incoming, OrderMessage):
        return
    asked = [
        (each.group or n, each) for n, each in enumerate(incoming.procedures, 1) if each.action in _SHOWN
    ]
    steps = [(n, step) for n, change in asked for step in change.steps]
    lacks = ((n, keyword) for n, step in steps for keyword in missing(incoming.patient, step))
    for n, keyword in dict.fromkeys(lacks):
        text = f"no device can be shown a new step: {keyword} is missing in this message"
        yield Finding(Location("ORC", n), _REQUIRED_MISSING, text, Severity.WARNING)


def _split(envelope: Envelope) -> Message | None:
    try:
        return envelope.message
    except NotUnderstood:
        return None


def _value(note: Note) -> Value:
    places = tuple(_location(match) for match in _PLACE.finditer(note.text))
    return Value(
        note.stage, note.path, note.after, places, note.text, note.origin, note.operation
    )  # fmt: skip


def _location(match: re.Match[str]) -> Location:
    numbers = (match[name] for name in ("field", "repetition", "component", "subcomponent"))
    return Location(match["segment"], int(match["occurrence"] or 1), *(int(each or 0) for each in numbers))
