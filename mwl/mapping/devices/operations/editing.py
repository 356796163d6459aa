"""Steps that work on whatever a selector names: one attribute, or all whose keyword matches."""

from __future__ import annotations

from collections.abc import Callable

from mwl.mapping import paths
from mwl.mapping.devices.operations.notation import glob_tags
from mwl.mapping.devices.operations.operation import Apply, Run
from mwl.mapping.elements import edit_matching
from mwl.model import Document, Element
from mwl.query import Path


def editing(selector: str, change: Callable[[Element], Element], *, vr: str = "") -> Apply:
    """Return a step that makes *change* to each element *selector* names (with *vr*: of that VR alone)."""
    before, _, last = selector.rpartition(".")
    if "*" not in last and "?" not in last:
        return _one(paths.parse_path(selector), change)
    tags = frozenset(tag for tag in glob_tags(last) if not vr or paths.vr(tag) == vr)
    if not before:
        return lambda document, _run: edit_matching(document, tags, change)
    return _inside(paths.parse_path(before), tags, change)


def _one(path: Path, change: Callable[[Element], Element]) -> Apply:
    def apply(document: Document, _run: Run) -> Document:
        element = paths.get(document, path)
        if element is None:
            return document
        changed = change(element)
        return document if changed is element else paths.put(document, path, changed)

    return apply


def _inside(path: Path, tags: frozenset[str], change: Callable[[Element], Element]) -> Apply:
    def inner(sequence: Element) -> Element:
        items = sequence.get("Value") or []
        changed = [edit_matching(item, tags, change) for item in items]
        if all(new is old for new, old in zip(changed, items, strict=True)):
            return sequence
        return {"vr": "SQ", "Value": changed}

    return _one(path, inner)
