"""Where each value of a response comes from: what is stored, and every line of the profile that touched it.

Nothing is worked out a second time: the notes are those that the answering itself took.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mwl.mapping import paths
from mwl.mapping.devices.operations.operation import Stage
from mwl.mapping.devices.operations.shape import Return
from mwl.mapping.trace import Note
from mwl.model import STEP_SEQUENCE, Document, Element, WorklistItem
from mwl.query import Path

LABEL = paths.show(("00080005",))

_ITEM_NUMBER = re.compile(r"\[[0-9]+\]")


@dataclass(frozen=True, slots=True)
class Returned:
    """A value of a response, and how it came to be."""

    name: str  # as notes write it: SPS.Modality, ScheduledProtocolCodeSequence[1].CodeValue
    path: Path
    element: Element
    stored: Element | None  # in the item; None where it holds none
    changes: tuple[Note, ...]  # in the order in which they were made

    @property
    def source(self) -> str:
        """``order`` as stored, ``profile`` where its lines made or changed it, ``broker`` for the rest."""
        if self.changes:
            return "profile"
        return "order" if self.stored is not None else "broker"


@dataclass(frozen=True, slots=True)
class Dropped:
    """A value that is stored, asked for, and not sent."""

    name: str
    stored: Element
    change: Note


def returned(item: WorklistItem, response: Document, notes: Sequence[Note]) -> list[Returned]:
    """Return the values of *response* with what set each; *notes* are those of this item alone."""
    whole = item.merged()
    made = [note for note in notes if note.operation != Return.key or note.after is not None]
    return [
        Returned(name, path, element, _at(whole, path), tuple(_touching(made, name)))
        for name, path, element in values(response)
    ]


def dropped(notes: Sequence[Note]) -> list[Dropped]:
    """Return what the profile took out of what would have been sent; what was not asked for is no loss."""
    gone: dict[str, Dropped] = {}
    for note in notes:
        if note.after is not None:
            gone.pop(note.path, None)
        elif note.before is not None and note.operation != Return.key and "Value" in note.before:
            gone[note.path] = Dropped(note.path, note.before, note)
    return list(gone.values())


def changing(notes: Sequence[Note]) -> list[Note]:
    """Return the notes on values that became other ones; cutting to the request and labels are no such."""
    return [
        note
        for note in notes
        if note.operation != Return.key and note.path != LABEL and _says_something(note)
    ]


def _says_something(note: Note) -> bool:
    return any(element is not None and "Value" in element for element in (note.before, note.after))


def concerning(notes: Sequence[Note], sent: Document, asked: Document | None) -> list[Note]:
    """Return the notes on what is in *sent*, and on what was taken out of it though *asked* for.

    Lines work on the whole order before it is cut to the request: what they did to the rest of it never
    reached the device.  With None all that the order holds was to be sent.
    """
    there = {name for name, _, _ in values(sent)}
    wanted = None if asked is None else {name for name, _, _ in values(asked)}
    return [
        note
        for note in notes
        if note.stage == Stage.ENCODE
        or _is_in(there, note.path)
        or (note.after is None and (wanted is None or _is_in(wanted, _ITEM_NUMBER.sub("", note.path))))
    ]


def _is_in(names: set[str], path: str) -> bool:
    """Tell whether one of *names* is *path*, around it or inside it; or was before flattening."""
    if any(_holds(name, path) or _holds(path, name) for name in names):
        return True
    parts = path.split(".")
    around = (".".join(parts[:at]) for at in range(1, len(parts)))
    return any(
        ".".join((*parts[:at], *parts[at + 1 :])) in names
        for at, sequence in enumerate(around)
        if not any(_holds(sequence, name) for name in names)
    )


def _holds(around: str, name: str) -> bool:
    return name == around or name.startswith((f"{around}.", f"{around}["))


def charset(notes: Sequence[Note]) -> tuple[str, str]:
    """Return why a response is in its character set with what was done for it, and the line that says so."""
    for note in notes:
        if note.stage == Stage.ENCODE:
            return note.text, note.origin
    return "", ""


def values(document: Document, under: str = "", before: Path = ()) -> Iterator[tuple[str, Path, Element]]:
    """Yield name, path and element of every value, those inside sequences one by one."""
    for tag, element in sorted(document.items()):
        items = element.get("Value", []) if element["vr"] == "SQ" else []
        path = (*before, tag)
        if not items:
            yield f"{under}{paths.keyword(tag)}", path, element
        for index, item in enumerate(items):
            yield from values(item, inside(under, tag, index), path)


def inside(under: str, tag: str, index: int) -> str:
    """Return what names of values in an item of the sequence *tag* begin with, as notes write it."""
    name = "SPS" if tag == STEP_SEQUENCE and not under else paths.keyword(tag)
    return f"{under}{name}." if index == 0 else f"{under}{name}[{index}]."


def _touching(notes: Sequence[Note], name: str) -> Iterator[Note]:
    """Yield the notes about a value, or about a sequence around it."""
    for note in notes:
        if _holds(note.path, name):
            yield note


def _at(whole: Document, path: Path) -> Element | None:
    found = paths.get(whole, path)
    return found if found is not None and ("Value" in found or "InlineBinary" in found) else None
