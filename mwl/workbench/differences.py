"""A comparison as plain data: what is printed, written as JSON, and kept of a draft in the shadow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mwl.mapping import paths
from mwl.mapping.devices.device import DeviceProfile
from mwl.model import STEP_SEQUENCE, Document, Element, WorklistItem, items, person_name, text
from mwl.store.shadows import Shadowed
from mwl.workbench.compare import Change, Comparison, Difference, Kind
from mwl.workbench.outcome import Reason
from mwl.workbench.replay import Asking

_SEPARATOR = "\\"  # PS3.5 6.4


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept of one comparison; what is more is counted. None keeps all."""

    differences: int | None = None
    changes: int | None = None  # of one entry
    characters: int | None = None  # of one value


ALL = Bounds()


def plain(comparison: Comparison, bounds: Bounds = ALL) -> dict[str, Any]:
    """Return *comparison* as JSON holds it; it may hold patient data."""
    sides = (comparison.before, comparison.after)
    found = comparison.differences[: bounds.differences]
    return {
        "differs": comparison.differs,
        "status": [f"{side.status:04X}" for side in sides],
        "comment": [side.comment for side in sides],
        "pending": [f"{side.pending:04X}" for side in sides],
        "sent": [len(side.sent) for side in sides],
        "octets": list(comparison.octets),
        "reordered": comparison.reordered,
        "same": comparison.same,
        "counts": {kind.value: count for kind in Kind if (count := comparison.count(kind))},
        "paths": dict(Counter(each.path for one in comparison.differences for each in one.changes)),
        "reports": [
            {"path": each.path, "text": each.message, "origin": each.origin, "entries": count}
            for each, count in list(comparison.reports.items())[: bounds.changes]
        ],
        "differences": [_difference(each, bounds) for each in found],
    }


def asked(asking: Asking, comparison: Comparison) -> dict[str, Any]:
    """Return what was asked as JSON holds it: which captured queries, and the keys that have a value."""
    understood = comparison.before.asked or comparison.after.asked
    return {
        "query": [each.key for each in asking.captured],
        "times": asking.times,
        "last_at": asking.captured[0].last_at,
        "dates": [list(each) for each in asking.dates],
        "asks": dict(_keys(understood.keys)) if understood else {},
    }


def remembered(row: Shadowed) -> dict[str, Any]:
    """Return what is on record of a draft in the shadow, in the form of `asked` and `plain`."""
    return {
        "query": [] if row.query is None else [row.query],
        "times": row.count,
        "last_at": row.last_at,
        **(row.differences or {"differs": False, "counts": {}, "paths": {}, "differences": []}),
    }


def _keys(document: Document, under: str = "") -> Iterator[tuple[str, str]]:
    for tag, element in document.items():
        name = f"{under}{paths.keyword(tag)}"
        if element["vr"] == "SQ":
            for item in items(document, tag):
                yield from _keys(item, "SPS." if tag == STEP_SEQUENCE and not under else f"{name}.")
        elif value := shown(element):
            yield name, value


def total(each: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return the counts of several comparisons, each as `plain` gives it, in one."""
    counted: Counter[str] = Counter()
    for comparison in each:
        counted["queries"] += 1
        counted["differ"] += comparison["differs"]
        counted.update(comparison["counts"])
        counted["values"] += sum(comparison["paths"].values())
    return dict(counted)


def profile(used: DeviceProfile) -> dict[str, str]:
    """Return which profile it is, and where it is written."""
    return {"profile": used.name, "digest": used.digest, "file": used.written.name}


def _difference(each: Difference, bounds: Bounds) -> dict[str, Any]:
    return {
        "kind": each.kind.value,
        "steps": list(each.steps),
        "item": _item(each.item),
        "reason": _reason(each.reason),
        "octets": list(each.octets),
        "changes": [_change(change, bounds) for change in each.changes[: bounds.changes]],
    }


def _item(item: WorklistItem) -> dict[str, str]:
    """Return by what a person knows a step again."""
    return {
        "accession": text(item.procedure, "00080050"),
        "patient_name": text(item.patient, "00100010"),
        "patient_id": text(item.patient, "00100020"),
        "start": f"{text(item.step, '00400002')} {text(item.step, '00400003')}".strip(),
        "modality": text(item.step, "00080060"),
    }


def _reason(reason: Reason | None) -> dict[str, str] | None:
    return {"text": reason.text, "path": reason.path, "origin": reason.origin} if reason else None


def _change(change: Change, bounds: Bounds) -> dict[str, Any]:
    return {
        "path": change.path,
        "before": shown(change.before, bounds.characters),
        "after": shown(change.after, bounds.characters),
        "operation": change.operation,
        "origin": change.origin,
        "withdrawn": change.gone,
    }


def shown(element: Element | None, most: int | None = None) -> str | None:
    """Return an element's values on one line; None where it is absent."""
    if element is None:
        return None
    whole = _text(element)
    return whole if most is None or len(whole) <= most else f"{whole[:most]}…"


def _text(element: Element) -> str:
    values: list[Any] = element.get("Value", [])
    if element.get("vr") == "SQ":
        items = (
            ", ".join(f"{paths.keyword(tag)}={_text(each)}" for tag, each in item.items()) for item in values
        )
        return "; ".join(f"{{{item}}}" for item in items)
    return _SEPARATOR.join(person_name(each) if isinstance(each, dict) else str(each) for each in values)
