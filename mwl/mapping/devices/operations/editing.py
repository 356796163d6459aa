"""Steps that work on whatever a selector names: one attribute, or all whose keyword matches.

A change that cannot handle an element raises `Unhandled`: the element stays as it was, or becomes what
the change says, and is reported with its path; the others are changed all the same (R7).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from mwl.errors import MwlError
from mwl.mapping import paths
from mwl.mapping.devices.operations.notation import glob_tags
from mwl.mapping.devices.operations.operation import Apply, Run
from mwl.mapping.elements import edit_named
from mwl.model import Document, Element
from mwl.query import Path


class Unhandled(MwlError):
    """A value that an operation can do nothing with; the message holds no patient data."""

    def __init__(self, message: str, instead: Element | None = None) -> None:
        """*instead* is what the element becomes; None: it stays."""
        super().__init__(message)
        self.instead = instead


Change: TypeAlias = Callable[[Element, Run], Element]
"""Returns an element changed, or the same; raises `Unhandled`."""


def editing(selector: str, change: Change, *, vr: str = "") -> Apply:
    """Return a step that makes *change* to each element *selector* names (with *vr*: of that VR alone)."""
    before, _, last = selector.rpartition(".")
    if "*" not in last and "?" not in last:
        return _one(paths.parse_path(selector), change)
    tags = frozenset(tag for tag in glob_tags(last) if not vr or paths.vr(tag) == vr)
    if not before:
        return _matching(tags, change)
    return _inside(paths.parse_path(before), tags, change)


def guarded(change: Change, path: Path, element: Element, run: Run) -> Element:
    """Return *element*, which stands at *path*, changed; what cannot be done is reported."""
    try:
        return change(element, run)
    except Unhandled as reason:
        run.report(paths.show(path), str(reason))
        return element if reason.instead is None else reason.instead


def _one(path: Path, change: Change) -> Apply:
    def apply(document: Document, run: Run) -> Document:
        element = paths.get(document, path)
        if element is None:
            return document
        changed = guarded(change, path, element, run)
        return document if changed is element else paths.put(document, path, changed)

    return apply


def _matching(tags: frozenset[str], change: Change, under: Path = ()) -> Apply:
    def apply(document: Document, run: Run) -> Document:
        return edit_named(document, tags, lambda path, element: guarded(change, path, element, run), under)

    return apply


def _inside(path: Path, tags: frozenset[str], change: Change) -> Apply:
    edit = _matching(tags, change, path)

    def inner(sequence: Element, run: Run) -> Element:
        items = sequence.get("Value") or []
        changed = [edit(item, run) if isinstance(item, dict) else item for item in items]
        if all(new is old for new, old in zip(changed, items, strict=True)):
            return sequence
        return {"vr": "SQ", "Value": changed}

    return _one(path, inner)
