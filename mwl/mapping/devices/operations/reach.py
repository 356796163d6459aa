"""Paths that say which items of a sequence are meant: ``X[0]``, ``X[2]``, ``X[last]``, ``X[*]``.

Without brackets the first item is meant, as everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from mwl.mapping import paths
from mwl.model import Document
from mwl.query import Path

_INDEX = re.compile(r"\[([^\]]*)\]")

Index: TypeAlias = int | Literal["*", "last"]


@dataclass(frozen=True, slots=True)
class Reach:
    """An attribute, in which items of the sequences on the way."""

    path: Path
    items: tuple[Index, ...]  # for each sequence on the way

    @property
    def shown(self) -> str:
        """The path as reports name it, without the items."""
        return paths.show(self.path)

    def edited(self, document: Document, change: Callable[[Document], Document | None]) -> Document:
        """Return *document* with *change* made to whatever holds the attribute; None drops that item."""
        return _edited(document, self.path[:-1], self.items, change) or document


def parse_reach(text: str) -> Reach:
    """Return what *text* names; raise `ValueError` where it names nothing."""
    parts = text.split(".")
    path = paths.parse_path(".".join(_INDEX.sub("", part) for part in parts))
    if "[" in _INDEX.sub("", parts[-1]) or _INDEX.search(parts[-1]):
        raise ValueError(f"{text!r} ends in an item: name an attribute in it")
    return Reach(path, tuple(_index(part, text) for part in parts[:-1]))


def _index(part: str, text: str) -> Index:
    match = _INDEX.search(part)
    if match is None:
        return 0
    if match[1] == "*" or match[1] == "last":
        return match[1]  # type: ignore[return-value]  # one of the two words
    if not match[1].isdecimal():
        raise ValueError(f"[{match[1]}] in {text!r} is none of [0], [1], [last] and [*]")
    return int(match[1])


def _edited(
    document: Document,
    path: Path,
    items: tuple[Index, ...],
    change: Callable[[Document], Document | None],
) -> Document | None:
    if not path:
        return change(document)
    sequence = document.get(path[0])
    before = sequence.get("Value", []) if sequence else []
    after = []
    for number, item in enumerate(before):
        if isinstance(item, dict) and _is_meant(number, len(before), items[0]):
            item = _edited(item, path[1:], items[1:], change)  # noqa: PLW2901 - what becomes of the item
        if item is not None:
            after.append(item)
    if len(after) == len(before) and all(new is old for new, old in zip(after, before, strict=True)):
        return document
    return {**document, path[0]: {"vr": "SQ", "Value": after} if after else {"vr": "SQ"}}


def _is_meant(number: int, length: int, index: Index) -> bool:
    if index == "*":
        return True
    return number == (length - 1 if index == "last" else index)


def _checked(text: str) -> str:
    try:
        parse_reach(text)
    except ValueError as error:
        raise PydanticCustomError("L1", "{reason}", {"reason": str(error)}) from None
    return text


ReachText: TypeAlias = Annotated[str, AfterValidator(_checked)]
"""A path that may say which items are meant."""
