"""What a system is told of a step, as its profile words it.

A template is a kind of message: segments in their order, each field a text with HL7's own delimiters and
``{references}``.  The text is split at its delimiters once, before anything is filled in, so no value can
ever become a component of its own; values leave here unescaped and whoever composes the message escapes
them.  A field all of whose references are empty is left out, and so is a segment without fields, or one
all of whose references are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from mwl.mapping.systems.lookup import Table
from mwl.mapping.systems.source import Repetition
from mwl.mapping.systems.status_facts import (
    STEPS,
    BadReference,
    Reference,
    Scope,
    StatusFacts,
    parse_reference,
)
from mwl.mapping.systems.status_functions import StatusFunction
from mwl.model import Document, items

__all__ = ["OutgoingMessage", "StatusFacts", "StatusTemplate", "Value", "parse_field"]

Value: TypeAlias = str | tuple[Repetition, ...]
"""A field: a text, or repetitions of components of sub-components; all text is unescaped."""

MOST_REPEATED: Final = 500
"""Items a segment is repeated for at most: a device decides how many there are."""


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message to be composed."""

    kind: str  # MSH-9 of the template: "ORM^O01"
    version: str
    segments: tuple[tuple[str, Mapping[int, Value]], ...]  # MSH among them, without MSH-1 and MSH-2

    @property
    def structure(self) -> str:
        """The name of the message's structure: ``ORM_O01``."""
        return self.kind.replace("^", "_")


Choice: TypeAlias = tuple[Reference, ...]
"""References of which the first that has a value counts."""

Leaf: TypeAlias = tuple[str | Choice, ...]
"""One sub-component: what is written, and what is filled in."""


class FieldTemplate(Protocol):
    """Fills one field."""

    def fill(self, scope: Scope) -> Value:
        """Return the field's value, "" or () where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Written:
    """A field given as text, already split: repetitions of components of sub-components."""

    repetitions: tuple[tuple[tuple[Leaf, ...], ...], ...]
    table: Table | None = None

    def fill(self, scope: Scope) -> Value:
        """See `FieldTemplate`."""
        found: list[str] = []
        filled = tuple(
            _shorn(tuple(_shorn(tuple(_filled(leaf, scope, found) for leaf in part)) for part in repetition))
            for repetition in self.repetitions
        )
        if found and not any(found):
            return ()
        kept = tuple(repetition for repetition in filled if repetition)
        if self.table is None:
            return kept
        return (self.table.get(kept[0][0][0]) or "") if kept else ""


def _filled(leaf: Leaf, scope: Scope, found: list[str]) -> str:
    parts = []
    for piece in leaf:
        if isinstance(piece, str):
            parts.append(piece)
            continue
        parts.append(next(filter(None, (each.text(scope) for each in piece)), ""))
        found.append(parts[-1])
        if not all(each.counts for each in piece):
            scope.heard.append(parts[-1])
    return "".join(parts)


def _shorn(parts: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return *parts* without the empty ones at the end."""
    while parts and not parts[-1]:
        parts = parts[:-1]
    return parts


@dataclass(frozen=True, slots=True)
class Computed:
    """A field that a function makes of attributes."""

    function: StatusFunction
    references: tuple[Reference, ...]

    def fill(self, scope: Scope) -> Value:
        """See `FieldTemplate`."""
        value = self.function(self.references, scope)
        scope.heard.append("some" if value else "")
        return value


@dataclass(frozen=True, slots=True)
class Field:
    """A field, what stands there where nothing else does, and the events it is told at (none: all)."""

    number: int
    template: FieldTemplate
    default: str = ""
    events: frozenset[str] = frozenset()

    def fill(self, scope: Scope) -> Value:
        """Return the field's value, "" or () where there is none."""
        if self.events and scope.facts.event not in self.events:
            return ""
        return self.template.fill(scope) or self.default


@dataclass(frozen=True, slots=True)
class SegmentTemplate:
    """A segment, what it is repeated for, and the events it is told at (none: all)."""

    name: str
    fields: tuple[Field, ...]
    each: Reference | None = None
    events: frozenset[str] = frozenset()

    def fill(self, facts: StatusFacts, written: Counter[str]) -> Iterator[Mapping[int, Value]]:
        """Yield the fields of each segment there is; *written* counts the segments by their names."""
        if self.events and facts.event not in self.events:
            return
        for place, item in enumerate(self._items(facts), 1):
            scope = Scope(facts, item, place, written[self.name] + 1)
            filled = {each.number: value for each in self.fields if (value := each.fill(scope))}
            if filled and not scope.silent:
                written[self.name] += 1
                yield filled

    def _items(self, facts: StatusFacts) -> Sequence[Document | None]:
        if self.each is None:
            return (None,)
        if self.each.name == STEPS:
            return facts.steps[:MOST_REPEATED]
        inner, sequence = self.each.scopes(Scope(facts)), self.each.path[-1]
        return [item for each in inner for item in items(each, sequence)][:MOST_REPEATED]


_PIECE = re.compile(r"\{([^{}]*)\}|[^{}]+|.")


def parse_field(written: str, table: Table | None = None, *, in_item: bool = False) -> Written:
    """Parse a field's text; raise `BadReference`.  *in_item*: its segment is repeated."""
    return Written(
        tuple(
            tuple(
                tuple(_parse_leaf(leaf, in_item=in_item) for leaf in _split(part, "&"))
                for part in _split(repetition, "^")
            )
            for repetition in _split(written, "~")
        ),
        table,
    )


def _split(written: str, delimiter: str) -> list[str]:
    """Split outside of braces: an alternative in them may hold any character."""
    return re.split(rf"{re.escape(delimiter)}(?![^{{}}]*\}})", written)


def _parse_leaf(written: str, *, in_item: bool) -> Leaf:
    pieces: list[str | Choice] = []
    for match in _PIECE.finditer(written):
        if match[0] in "{}":
            raise BadReference(f"a brace without its partner in {written!r}")
        if match[1] is None:
            pieces.append(match[0])
        else:
            pieces.append(tuple(parse_reference(each, in_item=in_item) for each in match[1].split("|")))
    return tuple(pieces)


@dataclass(frozen=True, slots=True)
class StatusTemplate:
    """One kind of message, compiled."""

    kind: str
    version: str
    segments: tuple[SegmentTemplate, ...]

    def fill(self, facts: StatusFacts) -> OutgoingMessage:
        """Return the message that tells *facts*."""
        written: Counter[str] = Counter()
        segments = [(each.name, found) for each in self.segments for found in each.fill(facts, written)]
        return OutgoingMessage(self.kind, self.version, tuple(segments))
