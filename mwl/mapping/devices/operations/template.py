"""P18 `template`: a text composed of other attributes.

``{Keyword}`` stands for an attribute's first value and ``{$calling_ae}`` for a variable.  A part in
square brackets is left out when an attribute named inside it is empty.  A delimiter written twice
stands for itself.

A person name is composed group by group, so that what stands beside it is in each of them, unless the
template writes its own ``=``; what another attribute brings along there that would part a name is a blank.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from pydantic import AfterValidator

from mwl.mapping import paths
from mwl.mapping.devices.operations.lint import Lint, constant_lint, identity_lint, invention_lint
from mwl.mapping.devices.operations.notation import Flag, PathText, checked_path
from mwl.mapping.devices.operations.operation import Apply, Binding, Lines, Run, Stage, Step
from mwl.mapping.devices.operations.values import text_value
from mwl.mapping.elements import PERSON_GROUPS, in_line, make, texts
from mwl.model import Document, name_value, person_name
from mwl.query import Path

_TOKEN = re.compile(r"\{\{|\}\}|\[\[|\]\]|\{([^{}\[\]]*)\}|[{}\[\]]|[^{}\[\]]+")
DELIMITERS = re.compile(r"[\^=\\\x00-\x1f\x7f]+")
"""What parts a person name, or has no place in one."""

_DOUBLED = {"{{": "{", "}}": "}", "[[": "[", "]]": "]"}


@dataclass(frozen=True, slots=True)
class Part:
    """A run of literal texts and named values; an optional one goes when a name in it is empty."""

    pieces: tuple[tuple[bool, str], ...]  # (is a name, text)
    optional: bool = False


def parse(text: str) -> tuple[Part, ...]:
    """Return the parts of a template; raise `ValueError` where brackets do not pair."""
    parts: list[Part] = []
    pieces: list[tuple[bool, str]] = []
    inside = False
    for match in _TOKEN.finditer(text):
        lexeme, name = match[0], match[1]
        if name is not None:
            pieces.append((True, name.strip() if name.startswith("$") else checked_path(name.strip())))
        elif lexeme in ("[", "]") and inside == (lexeme == "]"):
            parts.append(Part(tuple(pieces), optional=inside))
            pieces, inside = [], not inside
        elif lexeme in "{}[]":
            raise ValueError(f"{lexeme!r} at character {match.start() + 1} has no partner")
        else:
            pieces.append((False, _DOUBLED.get(lexeme, lexeme)))
    if inside:
        raise ValueError("'[' is not closed")
    return (*parts, Part(tuple(pieces)))


def _checked(text: str) -> str:
    parse(text)
    return text


Piece: TypeAlias = Callable[[Document, Run], str]
TemplateText: TypeAlias = Annotated[str, AfterValidator(_checked)]


class Template(Lines):
    """A text composed of other attributes; parts in square brackets go when a value inside is empty (P18)."""

    key = "template"
    stage = Stage.RESPOND
    number = 18
    __pydantic_extra__: dict[PathText, TemplateText]

    unsafe: Flag = False
    """The lines beside this one may name identities, which come back in MPPS and images (L2), and may
    invent what the order does not say."""

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield a step for each line."""
        for text, written in self.lines.items():
            path = paths.parse_path(text)
            if make(vr := paths.vr(path[-1]), []) is None:
                binding.problem(f"{text} has VR {vr}, which holds no text", text)
            yield binding.step(_composing(path, _piece_for(vr, written, binding, text)), text)

    def fills(self) -> Iterator[str]:
        """Yield every line's attribute."""
        yield from self.lines

    def lint(self) -> Iterator[Lint]:
        """Refuse an identity, and what is made up, unless the same profile says `unsafe`."""
        for text, written in self.lines.items():
            if not self.unsafe:
                yield from identity_lint(text, (text,))
                if not _rests_on(paths.parse_path(text), parse(written)):
                    lint = invention_lint if _named(parse(written)) else constant_lint
                    yield from lint(text, (text,))


def _rests_on(target: Path, parts: tuple[Part, ...]) -> bool:
    """Tell whether a text is the value that *target* has, with more around it, and not made of others."""

    def named(part: Part) -> bool:
        own = (text for name, text in part.pieces if name and not text.startswith("$"))
        return target in map(paths.parse_path, own)

    required = [part for part in parts if not part.optional]
    says_something = any(text.strip() for part in required for _, text in part.pieces)
    return any(map(named, required if says_something else parts))


def _named(parts: tuple[Part, ...]) -> list[Path]:
    pieces = (piece for part in parts for piece in part.pieces)
    return [paths.parse_path(text) for name, text in pieces if name and not text.startswith("$")]


def _writes_groups(parts: tuple[Part, ...]) -> bool:
    return any("=" in text for part in parts for name, text in part.pieces if not name)


def _piece_for(vr: str, written: str, binding: Binding, text: str) -> Piece:
    parts = parse(written)
    names = [path for path in _named(parts) if paths.vr(path[-1]) == "PN"]
    if vr != "PN" or not names or _writes_groups(parts):
        return composed(written, binding, text)
    return _group_by_group(composed(written, binding, text, in_name=True), names)


def composed(written: str, binding: Binding, *keys: str | int, in_name: bool = False) -> Piece:
    """Return a template as a function of the item: the text it makes, or a group of a name (*in_name*)."""
    parts = [_Compiled(part, binding, *keys, in_name=in_name) for part in parse(written)]
    return lambda document, run: "".join(part.text(document, run) for part in parts)


class _Compiled:
    """A part whose names are worked out."""

    def __init__(self, part: Part, binding: Binding, *keys: str | int, in_name: bool) -> None:
        self._optional = part.optional
        self._pieces = [
            (named, _piece(named, text, binding, *keys, in_name=in_name)) for named, text in part.pieces
        ]

    def text(self, document: Document, run: Run) -> str:
        """Return what the part says of an item."""
        found = [(named, piece(document, run)) for named, piece in self._pieces]
        if self._optional and any(named and not text for named, text in found):
            return ""
        return "".join(text for _, text in found)


def _piece(named: bool, text: str, binding: Binding, *keys: str | int, in_name: bool) -> Piece:
    if not named:
        return lambda _document, _run: text
    if text.startswith("$"):
        fill = text_value(text, binding, *keys)
        return lambda _document, run: fill(run.facts)
    path = paths.parse_path(text)
    if in_name and paths.vr(path[-1]) != "PN":
        return lambda document, _run: DELIMITERS.sub(" ", _first(document, path))
    return lambda document, _run: _first(document, path)


def _first(document: Document, path: Path) -> str:
    found = texts(paths.get(document, path))
    return found[0] if found else ""


def _group_by_group(compose: Piece, names: list[Path]) -> Piece:
    def apply(document: Document, run: Run) -> str:
        found = {path: name_value(_first(document, path)) for path in names}
        has = [group for group in PERSON_GROUPS if any(name.get(group) for name in found.values())]
        made = {}
        for group in has or PERSON_GROUPS[:1]:
            of_group = document
            for path, name in found.items():
                only = {PERSON_GROUPS[0]: name[group]} if group in name else {}
                of_group = paths.put(of_group, path, {"vr": "PN", "Value": [only]})
            made[group] = compose(of_group, run).strip()
        return person_name(made)

    return apply


def _composing(path: Path, compose: Piece) -> Apply:
    vr, shown = paths.vr(path[-1]), paths.show(path)

    def apply(document: Document, run: Run) -> Document:
        made = make(vr, [in_line(compose(document, run), vr).strip()])
        if made is None:
            run.report(shown, f"the text composed for it is no value of VR {vr}")
            return document
        return paths.put(document, path, made)

    return apply
