"""The reasons behind an answer: what changed, by which line of which profile.

Steps are functions from document to document and know nothing of tracing; whoever runs them with a
trace compares what went in with what came out.  So no operation can forget to explain itself, and a
run without a trace costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from mwl.mapping import paths
from mwl.mapping.elements import ABSENT
from mwl.model import STEP_SEQUENCE, Document, Element


class Trace(Protocol):
    """Takes notes while a query is answered."""

    def note(
        self,
        stage: str,
        origin: str,
        path: str,
        before: Element | None,
        after: Element | None,
        text: str = "",
        operation: str = "",
    ) -> None:
        """Note that *operation*, written at *origin* (file:line), turned *before* into *after* at *path*."""
        ...


@dataclass(frozen=True, slots=True)
class Note:
    """One change, or one remark where nothing changed."""

    stage: str
    operation: str
    origin: str
    path: str
    before: Element | None
    after: Element | None
    text: str = ""


@dataclass(slots=True)
class Recorder:
    """A trace that keeps its notes, in order."""

    notes: list[Note] = field(default_factory=list)

    def note(
        self,
        stage: str,
        origin: str,
        path: str,
        before: Element | None,
        after: Element | None,
        text: str = "",
        operation: str = "",
    ) -> None:
        """Keep the note."""
        self.notes.append(Note(stage, operation, origin, path, before, after, text))


def changes(
    before: Document, after: Document, under: str = ""
) -> Iterator[tuple[str, Element | None, Element | None]]:
    """Yield (path, old, new) for every attribute in which two documents differ.

    A sequence whose number of items stayed is compared item by item; otherwise it is one change.
    """
    for tag in {**before, **after}:
        old, new = before.get(tag), after.get(tag)
        if new is old or new == old:
            continue
        if pairs := _item_pairs(old, new):
            for index, (old_item, new_item) in enumerate(pairs):
                yield from changes(old_item, new_item, _step_into(under, tag, index))
        else:
            yield f"{under}{paths.keyword(tag)}", old, None if new is ABSENT else new


def _item_pairs(old: Element | None, new: Element | None) -> list[tuple[Any, Any]]:
    if old is None or new is None or old["vr"] != "SQ" or new["vr"] != "SQ":
        return []
    items, others = old.get("Value", []), new.get("Value", [])
    return list(zip(items, others, strict=True)) if len(items) == len(others) else []


def _step_into(under: str, tag: str, index: int) -> str:
    name = "SPS" if tag == STEP_SEQUENCE and not under else paths.keyword(tag)
    return f"{under}{name}." if index == 0 else f"{under}{name}[{index}]."
