"""What a query asks of a step, in words: each key with what it wants and who set it.

A key is the device's own, or one that a line of its profile rewrote or added.  The criteria are those
that the store decides; nothing here matches anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mwl.dicom.answering import Asked
from mwl.mapping import paths
from mwl.mapping.devices.operations.operation import Stage
from mwl.mapping.devices.operations.request import alternatives
from mwl.mapping.elements import gather, texts
from mwl.mapping.trace import Note
from mwl.model import Document, Element, WorklistItem
from mwl.query import SOURCE, START_DATE, START_TIME, Criterion, Op, holds
from mwl.workbench.provenance import values

DEVICE = "device"
"""The origin of a key that the device itself sent."""

_UNSTATED = "key"  # of a criterion: it was made of the identifier


@dataclass(frozen=True, slots=True)
class Key:
    """One thing that is asked of a step: all criteria on an attribute that one hand wrote."""

    name: str  # SPS.Modality
    wanted: str  # "CT or CR", "20260705-20260706", "not COMPLETED"
    origin: str  # DEVICE, or file:line of the profile
    operation: str  # of the profile that set it; "" where it is the device's, or a filter of the profile
    criteria: tuple[Criterion, ...]

    def fits(self, item: WorklistItem) -> bool:
        """Tell whether *item* has what is wanted."""
        return all(holds(criterion, item) for criterion in self.criteria)

    def found(self, item: WorklistItem) -> str:
        """Return what *item* has in its place; "" for nothing."""
        return " ".join(filter(None, dict.fromkeys(_found(self.criteria[0], item))))


def asked_keys(asked: Asked, notes: Sequence[Note]) -> list[Key]:
    """Return what *asked* asks, in the order of the identifier; *notes* tell what the profile rewrote."""
    rewritten = {note.path: note for note in notes if note.stage == Stage.QUERY and note.after is not None}
    grouped: dict[tuple[object, ...], list[Criterion]] = {}
    for criterion in asked.query.criteria:
        grouped.setdefault((criterion.path, criterion.origin, criterion.negate), []).append(criterion)
    return [_key(tuple(criteria), rewritten) for criteria in grouped.values()]


def _key(criteria: tuple[Criterion, ...], rewritten: dict[str, Note]) -> Key:
    first = criteria[0]
    origin, operation = first.origin, ""
    note = rewritten.get(_name(first) if first.op is not Op.SPAN else paths.show(first.path))
    if note is None and first.op is Op.SPAN:
        note = rewritten.get(paths.show(START_TIME))
    if note is not None and origin in (_UNSTATED, note.origin):
        origin, operation = note.origin, note.operation
    elif origin == _UNSTATED:
        origin = DEVICE
    return Key(_name(first), _wanted(criteria), origin, operation, criteria)


def _found(criterion: Criterion, item: WorklistItem) -> Iterator[str]:
    path = criterion.path
    if criterion.op in (Op.ANY, Op.ALL):
        for each in criterion.within:
            yield from _found(each, item)
        return
    if path == SOURCE:
        yield item.system
        return
    if criterion.op is Op.ITEM:
        path = (*path, criterion.within[0].path[-1])
    yield "\\".join(gather(item.merged(), path))
    if criterion.op is Op.SPAN:
        yield from gather(item.merged(), START_TIME)


def _name(criterion: Criterion) -> str:
    if criterion.op in (Op.ANY, Op.ALL):
        return " / ".join(dict.fromkeys(_name(each) for each in criterion.within)) or "every step"
    if criterion.path == SOURCE:
        return "the sending system"
    name = paths.show(criterion.path)
    return f"{name} and Time" if criterion.op is Op.SPAN else name


def _wanted(criteria: Iterable[Criterion]) -> str:
    return " and ".join(dict.fromkeys(_in_words(criterion) for criterion in criteria))


def _in_words(criterion: Criterion) -> str:
    folds = f" (whatever the {' and '.join(criterion.folds)})" if criterion.folds else ""
    return _plainly(criterion) + folds


def _plainly(criterion: Criterion) -> str:
    negated = "not " if criterion.negate else ""
    match criterion.op:
        case Op.PRESENT:
            return "no value" if criterion.negate else "any value"
        case Op.ITEM:
            inner = (f"{paths.keyword(part.path[-1])} {_in_words(part)}" for part in criterion.within)
            return negated + ", ".join(inner)
        case Op.RANGE | Op.SPAN:
            return negated + _range(*criterion.values)
        case Op.ANY | Op.ALL:
            word = " or " if criterion.op is Op.ANY else " and "
            if not criterion.within:  # decided by who asks, or by what is asked for
                return "nothing"
            return negated + word.join(f"{_name(each)} {_in_words(each)}" for each in criterion.within)
        case Op.REGEX:
            return f"{negated}what matches {' or '.join(criterion.values)}"
        case Op.LONGER:
            return f"{negated}more than {criterion.values[0]} characters"
        case Op.SOUNDS:
            return f"{negated}what sounds like it"
    if criterion.negate and len(criterion.values) > 1:
        return f"none of {', '.join(criterion.values)}"
    return negated + (" or ".join(criterion.values) or "a value that can be matched")


def _range(low: str, high: str) -> str:
    """Return bounds as a device writes them; the instant a day or a second ends at is left out."""
    low = low.removesuffix(".000000")
    high = high.removesuffix(".999999").removesuffix(".000000")
    return low if low == high else f"{low}-{high}"


def on_start(key: Key) -> bool:
    """Tell whether the key is about the day a step starts."""
    return key.criteria[0].path == START_DATE and key.criteria[0].op in (Op.RANGE, Op.SPAN)


def asked_values(keys: Document) -> dict[str, str]:
    """Return the values of an identifier by name; of a key that the profile set to several, any is meant."""
    found = {name: _stated(element) for name, _, element in values(keys)}
    return {name: stated for name, stated in found.items() if stated}


def _stated(element: Element) -> str:
    if "InlineBinary" in element:
        return "bytes"
    return "\\".join(texts(element)) or " or ".join(alternatives(element)[0])
