"""Elements of a document: what counts as a value, values as text, and text as values of a VR."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import Any

from mwl.model import Document, Element, items, name_value, person_name
from mwl.query import Path

ABSENT: Element = {"vr": "UN", "absent": True}
"""Stands where an operation took an attribute out, so that nothing puts it back as zero-length."""

PERSON_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")

_INTEGERS = frozenset({"US", "SS", "UL", "SL", "UV", "SV"})
_FLOATS = frozenset({"FL", "FD"})
_DECIMALS = frozenset({"DS", "IS"})  # text in the document, but only of a number
_PARAGRAPHS = frozenset({"LT", "ST", "UT"})
_NO_LINE = re.compile(r"[\\\x00-\x1f\x7f]+")
_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "AT"})


def has_value(element: Element | None) -> bool:
    """Tell whether *element* holds a value that says something; an empty item or name does not."""
    if element is None:
        return False
    for value in element.get("Value", ()):
        if isinstance(value, dict):
            if element["vr"] == "SQ":
                if holds_value(value):
                    return True
            elif any(value.values()):
                return True
        elif value not in (None, ""):
            return True
    return False


def holds_value(document: Document) -> bool:
    """Tell whether any attribute of *document*, at any depth, has a value."""
    return any(has_value(element) for element in document.values())


def is_document(document: Any) -> bool:
    """Tell whether *document* has the form that every operation relies on, at any depth."""
    return isinstance(document, dict) and all(
        isinstance(element, dict)
        and isinstance(vr := element.get("vr"), str)
        and isinstance(found := element.get("Value", []), list)
        and all(_is_value(vr, value) for value in found)
        for element in document.values()
    )


def _is_value(vr: str, value: Any) -> bool:
    if vr == "SQ":
        return is_document(value)
    if isinstance(value, dict):
        return all(isinstance(text, str) for text in value.values())
    return not isinstance(value, list)


def texts(element: Element | None) -> list[str]:
    """Return the values of *element* as text, names in their one-line form, without the empty ones."""
    if element is None:
        return []
    values = (_text(value) for value in element.get("Value", ()))
    return [value for value in values if value]


def gather(document: Document, path: Path) -> list[str]:
    """Return the texts at *path* in all items of the sequences on the way."""
    scopes = [document]
    for sequence in path[:-1]:
        scopes = [item for scope in scopes for item in items(scope, sequence)]
    if len(scopes) == 1:
        return texts(scopes[0].get(path[-1]))
    return [text for scope in scopes for text in texts(scope.get(path[-1]))]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return person_name(value)
    return "" if value is None else str(value).strip()


def make(vr: str, values: Iterable[str]) -> Element | None:
    """Return the texts *values* as an element of *vr*; None where they are no values of that VR."""
    kept = [value for value in values if value]
    vr = "LO" if vr == "UN" else vr  # a private attribute that no dictionary describes
    if vr in _BINARY:
        return None
    try:
        converted = [_value(vr, value) for value in kept]
    except ValueError:
        return None
    return {"vr": vr, "Value": converted} if converted else {"vr": vr}


def _value(vr: str, text: str) -> Any:
    if vr == "PN":
        return name_value(text)
    if vr in _INTEGERS:
        return int(text)
    if vr in _FLOATS:
        return float(text)
    if vr in _DECIMALS:
        float(text)
    return text


def in_line(text: str, vr: str) -> str:
    """Return *text* for a value of *vr*: what a line may not have is a blank where it is one (PS3.5 6.2)."""
    return text if vr in _PARAGRAPHS else _NO_LINE.sub(" ", text)


def edit_texts(element: Element, change: Callable[[str], str]) -> Element:
    """Return *element* with *change* made to each text value, group by group in a person name.

    Values that become empty are kept as empty ones, so that the others keep their positions;
    an element none of whose values is left is zero-length.
    """
    return edit_values(element, lambda value: _edit(value, change))


def edit_values(element: Element, change: Callable[[Any], Any]) -> Element:
    """Return *element* with *change* made to each value, empty ones kept as `edit_texts` does."""
    before = element.get("Value", ())
    after = [change(value) for value in before]
    if after == list(before):
        return element
    return {"vr": element["vr"], "Value": after} if any(after) else {"vr": element["vr"]}


def _edit(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        groups = ((group, change(value[group])) for group in PERSON_GROUPS if value.get(group))
        return {group: text for group, text in groups if text}
    return value


def edit_matching(
    document: Document, tags: Collection[str], change: Callable[[Element], Element]
) -> Document:
    """Return *document* with *change* made to every attribute in *tags*, at any depth."""
    return edit_named(document, tags, lambda _path, element: change(element))


def edit_named(
    document: Document, tags: Collection[str], change: Callable[[Path, Element], Element], under: Path = ()
) -> Document:
    """As `edit_matching`, and *change* is told where the element stands."""
    changed: Document = {}
    for tag, element in document.items():
        if element["vr"] == "SQ":
            new = _edit_items(element, tags, change, (*under, tag))
            if tag in tags:
                new = change((*under, tag), new)
        elif tag in tags:
            new = change((*under, tag), element)
        else:
            continue
        if new is not element:
            changed[tag] = new
    return {**document, **changed} if changed else document


def _edit_items(
    element: Element, tags: Collection[str], change: Callable[[Path, Element], Element], path: Path
) -> Element:
    before = element.get("Value")
    if not before:
        return element
    after = [edit_named(item, tags, change, path) if isinstance(item, dict) else item for item in before]
    if all(new is old for new, old in zip(after, before, strict=True)):
        return element
    return {"vr": "SQ", "Value": after}
