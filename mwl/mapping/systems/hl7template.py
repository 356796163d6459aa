"""Texts composed of HL7 fields: ``{PV1-3.1}[ {PV1-3.2}]``.

A brace names a path and is replaced by what stands there.  Brackets hold a part that is left out where
none of its paths has a value; they do not nest.  A doubled brace or bracket stands for itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from mwl.mapping.systems.hl7paths import AnyPath, BadPath, Found, parse_path
from mwl.mapping.systems.source import Source

_MARK = re.compile(r"\{\{|\}\}|\[\[|\]\]|\{[^{}]*\}|[\[\]{}]|[^\[\]{}]+")

Piece: TypeAlias = str | AnyPath


@dataclass(frozen=True, slots=True)
class Part:
    """A run of the template, and whether it may be left out."""

    pieces: tuple[Piece, ...]
    optional: bool


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template."""

    parts: tuple[Part, ...]

    @property
    def paths(self) -> tuple[AnyPath, ...]:
        """The paths it is composed of."""
        return tuple(piece for part in self.parts for piece in part.pieces if not isinstance(piece, str))

    def fill(self, source: Source, anchor: Found | None = None) -> Found | None:
        """Return the text as if it had been found where its first value stands; None where none has a value.

        Where the only thing found is a wish to delete, that is what is found.
        """
        text, found, deleted = "", None, None
        for part in self.parts:
            filled, values = "", 0
            for piece in part.pieces:
                if isinstance(piece, str):
                    filled += piece
                    continue
                here = piece.find(source, anchor)
                if here and here[0].deleted:
                    deleted = deleted or here[0]
                elif here:
                    found, values = found or here[0], values + 1
                    filled += here[0].text()
            text += filled if values or not part.optional else ""
        return found._replace(parts=((text,),)) if found else deleted


def parse_template(text: str) -> Template:
    """Parse *text*; raise `BadPath` for a wrong path or a bracket without its partner."""
    parts: list[Part] = []
    pieces: list[Piece] = []
    optional = False
    for mark in _MARK.findall(text):
        if mark in ("[", "]"):
            if optional is (mark == "["):
                raise BadPath(f"a bracket without its partner in {text!r}; a plain one is doubled")
            parts.append(Part(tuple(pieces), optional))
            pieces, optional = [], mark == "["
        elif mark in ("{", "}"):
            raise BadPath(f"a brace without its partner in {text!r}; a plain one is doubled")
        elif mark in _DOUBLED:
            pieces.append(mark[0])
        else:
            pieces.append(parse_path(mark[1:-1].strip()) if mark[0] == "{" else mark)
    if optional:
        raise BadPath(f"a bracket without its partner in {text!r}; a plain one is doubled")
    return Template((*parts, Part(tuple(pieces), optional=False)))


_DOUBLED = frozenset({"{{", "}}", "[[", "]]"})
