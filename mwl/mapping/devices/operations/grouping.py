"""Entries that belong together (P13, P14), and one document made of several.

Two patients never share a line, whatever else is equal: accession numbers of two systems may be (12.3 a).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from mwl.mapping import paths
from mwl.mapping.devices.operations.operation import Entry, Predicate, Run
from mwl.mapping.elements import gather, has_value
from mwl.model import STEP_SEQUENCE, Document, Element, StepRef, WorklistItem
from mwl.query import Path

_PATIENT = paths.parse_path("PatientID")
_CODE = ("00080100", "00080119", "00080120")  # Code Value, Long Code Value, URN Code Value
_SCHEME = "00080102"


def grouped(
    entries: Sequence[Entry], by: Sequence[Path], guard: Predicate, run: Run
) -> Iterator[list[Entry]]:
    """Yield *entries* in groups of equal values at *by*, each where its first member stands.

    One that lacks a value, or that *guard* does not hold for, is a group of its own.
    """
    groups: dict[object, list[Entry]] = {}
    for number, entry in enumerate(entries):
        groups.setdefault(_key(entry, by, guard, run) or number, []).append(entry)
    yield from groups.values()


def _key(entry: Entry, by: Sequence[Path], guard: Predicate, run: Run) -> tuple[object, ...] | None:
    document = entry.item.merged()
    run.source = entry.item.system
    found = [tuple(sorted(set(gather(document, path)))) for path in by]
    if not all(found) or not guard(document, run):
        return None
    return (tuple(gather(document, _PATIENT)), *found)


def joined(leading: Entry, document: Document, members: Sequence[Entry]) -> Entry:
    """Return the line that shows *document*, and stands for all of *members*."""
    refs: dict[StepRef, None] = dict.fromkeys(leading.refs)
    for member in members:
        refs |= dict.fromkeys(member.refs)
    return Entry(leveled(leading.item, document), tuple(refs), _part(leading, members))


def _part(leading: Entry, members: Sequence[Entry]) -> int:
    """Return what tells lines of the same steps apart: equal members give an equal number, on any day."""
    parts = [(ref, member.part) for member in (leading, *members) for ref in member.refs]
    if not any(part for _, part in parts):
        return 0
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "big")


def leveled(item: WorklistItem, document: Document) -> WorklistItem:
    """Return *item* saying *document*, each attribute at the level where it stood."""
    steps = document.get(STEP_SEQUENCE, {}).get("Value") or [{}]
    patient = {tag: element for tag, element in document.items() if tag in item.patient}
    procedure = {
        tag: element for tag, element in document.items() if tag not in item.patient and tag != STEP_SEQUENCE
    }
    return replace(item, patient=patient, procedure=procedure, step=steps[0])


def union_of_codes(documents: Sequence[Document], path: Path) -> Element | None:
    """Return all code items at *path*, each code once; None where there are none."""
    found: dict[object, Document] = {}
    for document in documents:
        for item in (paths.get(document, path) or {}).get("Value", ()):
            if isinstance(item, dict):
                found.setdefault(_code(item), item)
    return {"vr": "SQ", "Value": list(found.values())} if found else None


def _code(item: Mapping[str, Element]) -> object:
    """Return what a code item says, as something that compares."""
    code = next((repr(item[tag].get("Value")) for tag in _CODE if has_value(item.get(tag))), repr(item))
    return code, repr(item.get(_SCHEME, {}).get("Value"))
