"""The lines of a system profile at work: which of its sources gives an attribute its value.

Theory of operation.  A level of a profile is a list of nodes, compiled once.  A leaf gives one attribute:
its paths are asked in turn, and the first that *has a value* gives it; a column of the catalogue or the
station rules may stand among them.  What stands at a path can be a value, nothing, a wish to delete (an
empty element, D-25, unless a later path has a value) or a mistake (reported; the attribute counts as not
sent).  Only then comes what stands in for it, and last a constant.  Targets inside a sequence grow into
one item of it; an item without a value is never made (A-19).

What stands in is told apart from what was sent: it may fill a gap in what is stored, no more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol, TypeAlias

from mwl.errors import Location
from mwl.expressions import Expression
from mwl.mapping.systems.catalogue import Giver
from mwl.mapping.systems.conversion import Conversion, Mistake
from mwl.mapping.systems.hl7paths import DELETE, AnyPath, Found, Hl7Path, PartPlace, RelativePath
from mwl.mapping.systems.hl7template import Template
from mwl.mapping.systems.lookup import Table
from mwl.mapping.systems.reading import Reading
from mwl.mapping.systems.source import FieldKey, Source
from mwl.model import Document, Element
from mwl.model import text as text_of
from mwl.model import values as values_of

REQUIRED_MISSING = 101  # HL7 table 0357 (D-19)


class Outcome(NamedTuple):
    """An attribute as a node read it."""

    element: Element
    sent: bool = True  # it comes from the message, or the message deletes it
    assumed: bool = False  # it stands in for what the order does not say

    @property
    def has_value(self) -> bool:
        """Whether there is a value, not a wish to delete one."""
        return "Value" in self.element


class Node(Protocol):
    """One attribute of a level, or of an item."""

    @property
    def tag(self) -> str:
        """The attribute's tag."""
        ...

    @property
    def fields(self) -> frozenset[FieldKey] | None:
        """The fields without which the message does not speak of it; None where it may without any."""
        ...

    def read(self, source: Source, reading: Reading, anchor: Found | None = None) -> Outcome | None:
        """Return the attribute, or None where the message does not speak of it."""
        ...


@dataclass(frozen=True, slots=True)
class When:
    """A condition on a message: on what stands at a path, or on an attribute that was read before."""

    path: AnyPath | str  # a tag
    texts: Table | None
    present: bool | None
    regex: Expression | None = None

    def holds(self, source: Source, anchor: Found | None, known: Document | None = None) -> bool:
        """Tell whether it holds; *known* are the attributes that were read before."""
        if isinstance(self.path, str):
            found = [str(value) for value in values_of(known or {}, self.path)]
        else:
            found = [each.part(1) for each in self.path.find(source, anchor) if not each.deleted]
        if self.present is not None and bool(found) is not self.present:
            return False
        if self.texts and not any(self.texts.get(text) is not None for text in found):
            return False
        return self.regex is None or any(self.regex.found_in(text) for text in found)


@dataclass(frozen=True, slots=True)
class Line:
    """What a profile's line is about, and where it stands."""

    level: str  # a section: patient, procedure, step
    target: str  # as written
    origin: str  # file:line


Origin: TypeAlias = AnyPath | Giver
"""Where a value can come from: a path, or what the profile knows by itself."""

StandIn: TypeAlias = Origin | str
"""The same, or the tag of an attribute that was read before."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One attribute with a value of its own."""

    tag: str
    vr: str
    line: Line
    conversion: Conversion
    paths: tuple[Origin, ...] = ()
    template: Template | None = None
    stand_ins: tuple[StandIn, ...] = ()
    default: Element | None = None
    when: tuple[When, ...] = ()
    required: bool = False
    fields: frozenset[FieldKey] | None = field(init=False, repr=False, compare=False)
    first_parts: tuple[PartPlace, ...] = field(init=False, repr=False, compare=False)
    """Where the first of its paths lead, none where what stands there is not the value as a rule."""

    def __post_init__(self) -> None:
        at_once = self.conversion.bare and not self.when
        object.__setattr__(self, "first_parts", tuple(_first_parts(self.paths)) if at_once else ())
        composed = self.template.paths if self.template else ()
        fields = _fields((*self.paths, *composed, *self.stand_ins))
        object.__setattr__(self, "fields", None if self.required or self.default is not None else fields)

    def read(self, source: Source, reading: Reading, anchor: Found | None = None) -> Outcome | None:
        """See `Node`."""
        if reading.refused:
            reading.refused.discard(self.tag)
        if reading.trace is None and (plain := self._at_once(source)):
            return plain
        try:
            outcome = self._sent(source, reading, anchor) or self._otherwise(source, reading, anchor)
        except Mistake as mistake:
            self._report(mistake, reading)
            reading.refused.add(self.tag)
            return None
        if outcome and "Value" in outcome.element:
            return outcome
        if reading.refused and any(
            isinstance(each, str) and each in reading.refused for each in self.stand_ins
        ):
            reading.refused.add(self.tag)  # one mistake, told once: what would stand in was sent
        elif self.required and self._needed(reading):
            missing = f"{self.line.target} is required"
            self._fail(reading, self._place(source), missing)
            reading.error(self._place(source), missing, REQUIRED_MISSING)
        return outcome

    def _at_once(self, source: Source) -> Outcome | None:
        """Return the attribute where its first path that leads to anything leads to the value as it is.

        So it is as a rule; None is no answer.
        """
        for segment, occurrence, number, component, sub in self.first_parts:
            repetitions = source.field(segment, occurrence, number)
            if not repetitions:
                continue
            components = repetitions[0]
            if component >= len(components) or sub >= len(components[component]):
                return None
            text = components[component][sub].strip()
            if text and text != DELETE and self.conversion.takes(text):
                return Outcome({"vr": self.vr, "Value": [text]})
            return None
        return None

    def _sent(self, source: Source, reading: Reading, anchor: Found | None) -> Outcome | None:
        for condition in self.when:
            if not condition.holds(source, anchor, reading.known):
                return None
        removed: Outcome | None = None
        for path in self.paths:
            where: AnyPath | str
            if isinstance(path, Hl7Path):  # as most are
                found, where = path.find(source), path
            else:
                found, where = _find(path, source, reading, anchor)
            if found:
                outcome = self._outcome(found, reading, where)
                if self.conversion.settles or (outcome and outcome.has_value):
                    return outcome
                removed = removed or outcome
        if self.template and (filled := self.template.fill(source, anchor)):
            return self._outcome([filled], reading, self._composed(source, reading, anchor))
        return removed

    def _otherwise(self, source: Source, reading: Reading, anchor: Found | None) -> Outcome | None:
        for stand_in in self.stand_ins if reading.fills else ():
            if isinstance(stand_in, str):
                outcome = self._copied(stand_in, reading)
            else:
                found, where = _find(stand_in, source, reading, anchor)
                outcome = self._outcome(found, reading, where) if found else None
            if outcome and outcome.has_value:
                return outcome._replace(assumed=True)
        if self.default is None:
            return None
        self._note(reading, self.default, "default")
        return Outcome(self.default, sent=False)

    def _copied(self, tag: str, reading: Reading) -> Outcome | None:
        value = text_of(reading.known, tag)
        if not value:
            return None
        element: Element = {"vr": self.vr, "Value": [value]}
        self._note(reading, element, "else")
        return Outcome(element)

    def _outcome(self, found: Sequence[Found], reading: Reading, where: AnyPath | str) -> Outcome | None:
        sent = found
        if found[0].deleted or len(found) > 1:
            sent = [each for each in found if not each.deleted]
        values = self.conversion.values(sent, reading) if sent else None
        if values is not None and not values:
            return None
        element: Element = {"vr": self.vr, "Value": values} if values else {"vr": self.vr}
        if reading.trace is not None:
            places = (str(_exact(each, where)) for each in found if not isinstance(where, str))
            self._note(reading, element, where if isinstance(where, str) else ", ".join(places))
        return Outcome(element)

    def _composed(self, source: Source, reading: Reading, anchor: Found | None) -> str:
        """Say of what a template was filled."""
        if reading.trace is None or self.template is None:
            return "template"
        paths = self.template.paths
        places = [str(_exact(found[0], path)) for path in paths if (found := path.find(source, anchor))]
        return f"template {', '.join(places)}"

    def _report(self, mistake: Mistake, reading: Reading) -> None:
        self._fail(reading, mistake.found.location, mistake.text)
        # To cancel an exam its identifiers are enough: a wrong start must not keep it on the list.
        if reading.fills or self.conversion.name == "identifier":
            reading.error(mistake.found.location, mistake.text, mistake.code)
        else:
            reading.warn(mistake.found, mistake.text, mistake.code)

    def _fail(self, reading: Reading, location: Location, text: str) -> None:
        """Let the trace know which line found a mistake."""
        if reading.trace is not None:
            line = self.line
            reading.trace.note(
                line.level, line.origin, line.target, None, None, f"{location}: {text}", self.conversion.name
            )

    def _needed(self, reading: Reading) -> bool:
        return self.line.level == "patient" or reading.new

    def _place(self, source: Source) -> Location:
        absolute = [path for path in self.paths if isinstance(path, Hl7Path)]
        present = [path for path in absolute if source.count(path.segment)]
        return (present or absolute)[0].location(source) if absolute else Location("MSH")

    def _note(self, reading: Reading, element: Element, where: str) -> None:
        if reading.trace is not None:
            line = self.line
            reading.trace.note(
                line.level, line.origin, line.target, None, element, where, self.conversion.name
            )


def _first_parts(paths: Iterable[Origin]) -> Iterator[PartPlace]:
    for path in paths:
        place = path.first_part if isinstance(path, Hl7Path) else None
        if place is None:
            return
        yield place


def _find(
    path: Origin, source: Source, reading: Reading, anchor: Found | None
) -> tuple[Sequence[Found], AnyPath | str]:
    """Return what stands at *path*, and where that is."""
    if isinstance(path, (Hl7Path, RelativePath)):
        return path.find(source, anchor), path
    # An order that is only to be cancelled is what its message says.
    given = path.given(source, reading) if reading.fills else None
    return (given.found, given.origin) if given else ((), "")


def _exact(found: Found, path: AnyPath) -> Location:
    return replace(found.location, component=path.first, subcomponent=path.sub)


@dataclass(frozen=True, slots=True)
class Nested:
    """A sequence of one item that several lines fill, each one attribute."""

    tag: str
    nodes: tuple[Node, ...]

    @property
    def fields(self) -> frozenset[FieldKey] | None:
        """See `Node`."""
        return _all_fields(node.fields for node in self.nodes)

    def read(self, source: Source, reading: Reading, anchor: Found | None = None) -> Outcome | None:
        """See `Node`."""
        outcomes = _read_all(self.nodes, source, reading, anchor)
        item = {tag: outcome.element for tag, outcome in outcomes.items() if outcome.has_value}
        if not item:  # deleted in all its parts, or not spoken of
            return Outcome({"vr": "SQ"}) if outcomes else None
        spoken = list(outcomes.values())
        return Outcome(
            {"vr": "SQ", "Value": [item]},
            sent=any(each.sent for each in spoken),
            assumed=all(each.assumed for each in spoken),
        )


@dataclass(frozen=True, slots=True)
class Each:
    """A sequence with an item for each place a path finds."""

    tag: str
    path: AnyPath
    nodes: tuple[Node, ...]
    needed: frozenset[str] = frozenset()  # tags without which an item is not made

    @property
    def fields(self) -> frozenset[FieldKey] | None:
        """See `Node`."""
        return _fields((self.path,))

    def read(self, source: Source, reading: Reading, anchor: Found | None = None) -> Outcome | None:
        """See `Node`."""
        found = self.path.find(source, anchor)
        if not found:
            return None
        items = [item for each in found if not each.deleted and (item := self._item(source, reading, each))]
        if items:
            return Outcome({"vr": "SQ", "Value": items})
        return Outcome({"vr": "SQ"}) if found[0].deleted else None

    def _item(self, source: Source, reading: Reading, anchor: Found) -> Document:
        outcomes = _read_all(self.nodes, source, reading, anchor)
        item = {tag: outcome.element for tag, outcome in outcomes.items() if outcome.has_value}
        # Constants alone say nothing: an item holds at least one value of the message.
        spoken = any(outcomes[tag].sent for tag in item)
        return item if spoken and self.needed <= item.keys() else {}


def _fields(origins: Iterable[StandIn]) -> frozenset[FieldKey] | None:
    """Return the fields that a value can come from; None where it can come from elsewhere."""
    return _all_fields(frozenset((each.key,)) if isinstance(each, Hl7Path) else None for each in origins)


def _all_fields(each: Iterable[frozenset[FieldKey] | None]) -> frozenset[FieldKey] | None:
    every = tuple(each)
    known = [fields for fields in every if fields is not None]
    return frozenset[FieldKey]().union(*known) if len(known) == len(every) else None


def _read_all(
    nodes: Sequence[Node], source: Source, reading: Reading, anchor: Found | None
) -> dict[str, Outcome]:
    outcomes = ((node.tag, node.read(source, reading, anchor)) for node in nodes)
    return {tag: outcome for tag, outcome in outcomes if outcome is not None}


@dataclass(frozen=True, slots=True)
class Level:
    """A section of a profile: the attributes of a patient, a procedure or a step."""

    nodes: tuple[Node, ...]
    by_fields: tuple[tuple[Node, frozenset[FieldKey] | None], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_fields", tuple((node, node.fields) for node in self.nodes))

    def read(self, source: Source, reading: Reading) -> tuple[Document, frozenset[str]]:
        """Return the attributes the message speaks of, and the tags of those that stand in for others."""
        document: Document = {}
        assumed: set[str] = set()
        filled = source.filled
        for node, fields in self.by_fields:
            # Of most fields a message says nothing, and a line that reads no others has nothing to say.
            if fields is not None and fields.isdisjoint(filled) and not reading.refused:
                continue
            outcome: Any = node.read(source, reading)
            if outcome is not None:
                document[node.tag] = reading.known[node.tag] = outcome.element
                if outcome.assumed:
                    assumed.add(node.tag)
        return document, frozenset(assumed)

    def leaves(self, tags: Collection[str]) -> list[Leaf]:
        """Return the nodes that give the attributes *tags*, outside of sequences."""
        return [node for node in self.nodes if isinstance(node, Leaf) and node.tag in tags]
