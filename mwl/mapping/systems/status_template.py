"""What a system is told of a step, as its profile words it.

A template is a kind of message: segments in their order, each field a text with HL7's own delimiters and
``{references}``.  The text is split at its delimiters once, before anything is filled in, so no value can
ever become a component of its own; values leave here unescaped and whoever composes the message escapes
them.  A field all of whose references are empty is left out, and so is a segment without fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from mwl.mapping.systems.lookup import Table
from mwl.mapping.systems.names import write_xpn
from mwl.mapping.systems.source import Repetition
from mwl.mapping.systems.status_facts import BadReference, Reference, StatusFacts, parse_reference

__all__ = ["OutgoingMessage", "StatusFacts", "StatusTemplate", "Value", "parse_field"]

Value: TypeAlias = str | tuple[Repetition, ...]
"""A field: a text, or repetitions of components of sub-components; all text is unescaped."""


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

    def fill(self, facts: StatusFacts) -> Value:
        """Return the field's value, "" or () where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Written:
    """A field given as text, already split: repetitions of components of sub-components."""

    repetitions: tuple[tuple[tuple[Leaf, ...], ...], ...]
    table: Table | None = None

    def fill(self, facts: StatusFacts) -> Value:
        """See `FieldTemplate`."""
        texts_found: list[str] = []
        filled = tuple(
            _shorn(
                tuple(
                    _shorn(tuple(_filled(leaf, facts, texts_found) for leaf in part)) for part in repetition
                )
            )
            for repetition in self.repetitions
        )
        if texts_found and not any(texts_found):
            return ()
        kept = tuple(repetition for repetition in filled if repetition)
        if self.table is None:
            return kept
        return (self.table.get(kept[0][0][0]) or "") if kept else ""


def _filled(leaf: Leaf, facts: StatusFacts, found: list[str]) -> str:
    parts = []
    for piece in leaf:
        if isinstance(piece, str):
            parts.append(piece)
        else:
            parts.append(next(filter(None, (each.text(facts) for each in piece)), ""))
            found.append(parts[-1])
    return "".join(parts)


def _shorn(parts: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return *parts* without the empty ones at the end."""
    while parts and not parts[-1]:
        parts = parts[:-1]
    return parts


@dataclass(frozen=True, slots=True)
class Computed:
    """A field that a function makes of attributes."""

    function: Callable[[Sequence[Reference], StatusFacts], Value]
    references: tuple[Reference, ...]

    def fill(self, facts: StatusFacts) -> Value:
        """See `FieldTemplate`."""
        return self.function(self.references, facts)


def _xpn(references: Sequence[Reference], facts: StatusFacts) -> Value:
    found = (name for each in references if (name := write_xpn(each.values(facts))))
    return next(found, ())


def _ts(references: Sequence[Reference], facts: StatusFacts) -> Value:
    """A date, and a time behind it: to the second, for 2.3.1 knows no finer and receivers seldom do."""
    date, *time = (each.text(facts) for each in references)
    digits = time[0].replace(":", "").partition(".")[0] if time else ""
    return f"{date}{digits}" if date else ""


FUNCTIONS: Final[Mapping[str, Callable[[Sequence[Reference], StatusFacts], Value]]] = {
    "xpn": _xpn,
    "ts": _ts,
}

_PIECE = re.compile(r"\{([^{}]*)\}|[^{}]+|.")


def parse_field(written: str, table: Table | None = None) -> Written:
    """Parse a field's text; raise `BadReference`."""
    return Written(
        tuple(
            tuple(tuple(_parse_leaf(leaf) for leaf in _split(part, "&")) for part in _split(repetition, "^"))
            for repetition in _split(written, "~")
        ),
        table,
    )


def _split(written: str, delimiter: str) -> list[str]:
    """Split outside of braces: an alternative in them may hold any character."""
    return re.split(rf"{re.escape(delimiter)}(?![^{{}}]*\}})", written)


def _parse_leaf(written: str) -> Leaf:
    pieces: list[str | Choice] = []
    for match in _PIECE.finditer(written):
        if match[0] in "{}":
            raise BadReference(f"a brace without its partner in {written!r}")
        if match[1] is None:
            pieces.append(match[0])
        else:
            pieces.append(tuple(parse_reference(each) for each in match[1].split("|")))
    return tuple(pieces)


@dataclass(frozen=True, slots=True)
class StatusTemplate:
    """One kind of message, compiled."""

    kind: str
    version: str
    segments: tuple[tuple[str, tuple[tuple[int, FieldTemplate], ...]], ...]

    def fill(self, facts: StatusFacts) -> OutgoingMessage:
        """Return the message that tells *facts*."""
        segments = []
        for name, fields in self.segments:
            filled = {number: value for number, each in fields if (value := each.fill(facts))}
            if filled:
                segments.append((name, filled))
        return OutgoingMessage(self.kind, self.version, tuple(segments))
