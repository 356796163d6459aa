"""Where a performed step says what its worklist item said: at the root, and in its scheduled step attributes.

A device returns what it was given (PS3.17 J.1): so what was shown to it in other words is led back here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mwl.mapping import paths
from mwl.model import Document, Element, items
from mwl.query import Path

SCHEDULED = paths.tag("ScheduledStepAttributesSequence")

_OTHERWISE = {
    paths.tag(scheduled): paths.tag(performed)
    for scheduled, performed in (
        ("ScheduledStationAETitle", "PerformedStationAETitle"),
        ("ScheduledStationName", "PerformedStationName"),
        ("ScheduledProcedureStepLocation", "PerformedLocation"),
    )
}
"""What has another name once it is done."""


def tag_of(path: Path) -> str:
    """Return under which tag a performed step says what stands at *path* of a worklist item."""
    return _OTHERWISE.get(path[-1], path[-1])


def elements(performed: Document, path: Path) -> Iterator[Element]:
    """Yield what a performed step says of *path*."""
    for scope in (performed, *items(performed, SCHEDULED)):
        if (element := scope.get(tag_of(path))) is not None:
            yield element


def edited(performed: Document, path: Path, change: Callable[[Element], Element]) -> Document:
    """Return *performed* with *change* made to what it says of *path*."""
    return in_each_scope(performed, lambda scope: _changed(scope, tag_of(path), change))


def in_each_scope(performed: Document, change: Callable[[Document], Document]) -> Document:
    """Return *performed* with *change* made to itself and to each of its scheduled step attributes."""
    changed = change(performed)
    before = list(items(performed, SCHEDULED))
    after = [change(item) for item in before]
    if all(new is old for new, old in zip(after, before, strict=True)):
        return changed
    return {**changed, SCHEDULED: {"vr": "SQ", "Value": after}}


def _changed(scope: Document, tag: str, change: Callable[[Element], Element]) -> Document:
    if tag not in scope:
        return scope
    new = change(scope[tag])
    return scope if new is scope[tag] else {**scope, tag: new}
