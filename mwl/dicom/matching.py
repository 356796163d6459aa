"""From the identifier of a C-FIND request to criteria (PS3.4 C.2.2.2, K.2.2.2).

Theory of operation
-------------------
`understand` walks the keys once.  A zero-length value is universal and adds nothing.  The VR
decides how a value matches: names by component group (A-25), text and codes by value or wildcard
(A-22, A-27), UIDs by list (A-29), dates and times by meaning or range (A-32 to A-35).  Two range
keys on start date and start time are one interval (A-40).  A sequence other than the scheduled
step's is one criterion whose parts must hold in the same item (A-43).  A key that this worklist
does not match on is listed as unsupported, never guessed at (A-20).

A device's profile may have left marks on keys (`mwl.mapping.devices.operations.request`): by which
operation one is matched, what does not count in comparing, whether the items of the step's sequence
are alternatives.

A key that breaks its own form raises `BadIdentifier` (A900 with Offending Element); a lenient
caller gets a criterion that nothing satisfies instead, so that a typing mistake never widens a list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from mwl import names
from mwl.dicom.keys import MATCHING, UNMATCHED
from mwl.errors import MwlError
from mwl.mapping import paths
from mwl.mapping.devices.operations.request import (
    asks_either,
    folds_of,
    how,
    meant,
    stands_apart,
    steps_of,
)
from mwl.model import STEP_SEQUENCE, Document, Element, person_name
from mwl.query import START_DATE, START_TIME, Criterion, Fold, Op, Path, normal_time

_WILDCARD_VRS = frozenset({"AE", "CS", "LO", "LT", "SH", "ST", "UC", "UR", "UT"})
_EXACT_VRS = frozenset({"UI", "IS", "DS", "US", "SS", "UL", "SL", "AT", "AS"})
_DATE = re.compile(r"(\d{4})\.?(0[1-9]|1[0-2])\.?(0[1-9]|[12]\d|3[01])")  # the dotted form is ACR-NEMA's
_TIME = re.compile(r"([01]\d|2[0-3])(:?[0-5]\d(:?([0-5]\d|60)(\.\d{1,6})?)?)?")
_MOST_VALUES = 1000  # of one key: a list of UIDs has some ten, and a database takes 30,000 parameters
_LONGEST = 1024  # characters of one value: five times what PN admits
_LATEST = "235959.999999"  # the end of the unit a reduced precision leaves open


class BadIdentifier(MwlError):
    """A key of the identifier is not of a form its attribute allows (A900)."""

    def __init__(self, tag: str, comment: str) -> None:
        super().__init__(comment)
        self.tag = tag


@dataclass(frozen=True, slots=True)
class Understood:
    """What an identifier asks: criteria that must all hold, and the keys that could not be used."""

    criteria: tuple[Criterion, ...]
    unsupported: tuple[Path, ...]


@dataclass(slots=True)
class _Reading:
    lenient: bool
    fuzzy: bool
    criteria: list[Criterion] = field(default_factory=list)
    unsupported: list[Path] = field(default_factory=list)


def understand(keys: Document, *, lenient: bool = False, fuzzy: bool = False) -> Understood:
    """Return the criteria of an identifier; raise `BadIdentifier` for an illegal key unless *lenient*.

    With *fuzzy*, person names are matched by how they sound, in any order of their words (A-26).
    """
    reading = _Reading(lenient, fuzzy)
    if asks_either(keys.get(STEP_SEQUENCE, {})):
        _read_alternatives(reading, keys)
    else:
        _read_all(reading, keys)
    return Understood(tuple(reading.criteria), tuple(reading.unsupported))


def _read_all(reading: _Reading, keys: Document) -> None:
    for path, element in _keys(keys):
        _read(reading, path, element)
    if not stands_apart(paths.get(keys, START_TIME)):
        reading.criteria = _combined(reading.criteria)


def _read_alternatives(reading: _Reading, keys: Document) -> None:
    """Read a step's sequence of several items, of which one must hold beside what all of them share."""
    _read_all(reading, {tag: element for tag, element in keys.items() if tag != STEP_SEQUENCE})
    found: list[Criterion] = []
    for each in steps_of(keys):
        inner = _Reading(reading.lenient, reading.fuzzy)
        step = {STEP_SEQUENCE: each[STEP_SEQUENCE]}
        _read_all(inner, step)
        found.append(Criterion((), Op.ALL, within=(*inner.criteria, *meant(step))))
        reading.unsupported += [path for path in inner.unsupported if path not in reading.unsupported]
    if all(each.within for each in found):  # an item that asks for nothing is satisfied by every step
        reading.criteria.append(Criterion((), Op.ANY, within=tuple(found)))


def _keys(keys: Document) -> Iterator[tuple[Path, Element]]:
    """Yield every key with its path; the scheduled step's one item is opened."""
    for tag, element in keys.items():
        if tag in UNMATCHED or _is_group_length(tag):
            continue
        if tag == STEP_SEQUENCE:
            step = _one_item(tag, element)
            yield from (((tag, inner), child) for inner, child in step.items() if not _is_group_length(inner))
        else:
            yield (tag,), element


def _is_group_length(tag: str) -> bool:
    return tag.endswith("0000")


def _one_item(tag: str, element: Element) -> Document:
    if element["vr"] != "SQ" and _asks(element):
        raise BadIdentifier(tag, "the key is not a sequence")
    found = element.get("Value", ())
    if len(found) > 1:  # A-43; a profile that tolerates this has reduced it before (P4)
        raise BadIdentifier(tag, "a sequence key has one item")
    return found[0] if found else {}


def _asks(element: Element) -> bool:
    """Tell whether a key, or one inside it, has a value: without one it is universal."""
    if element["vr"] == "SQ":
        return any(_asks(key) for item in element.get("Value", ()) for key in item.values())
    return "InlineBinary" in element or any(value not in (None, "") for value in element.get("Value", ()))


def _read(reading: _Reading, path: Path, element: Element) -> None:
    if path not in MATCHING:
        # One that asks for nothing is only returned; that can be done for what the dictionary knows.
        if _asks(element) or not paths.known(path[-1]):
            reading.unsupported.append(path)
        return
    try:
        if paths.vr(path[-1]) == "SQ":
            _read_sequence(reading, path, element)
        elif _asks(element) or how(element) is not None:
            reading.criteria.extend(_criteria(path, element, fuzzy=reading.fuzzy))
    except BadIdentifier:
        if not reading.lenient:
            raise
        reading.criteria.append(Criterion(path, Op.IN, ()))  # nothing satisfies it


def _read_sequence(reading: _Reading, path: Path, element: Element) -> None:
    inner = _Reading(reading.lenient, reading.fuzzy)
    for tag, child in _one_item(path[-1], element).items():
        if not _is_group_length(tag):
            _read(inner, (*path, tag), child)
    reading.unsupported.extend(inner.unsupported)
    if inner.criteria:
        within = tuple(replace(c, path=c.path[-1:]) for c in inner.criteria)
        reading.criteria.append(Criterion(path, Op.ITEM, within=within))


def _criteria(path: Path, element: Element, *, fuzzy: bool) -> list[Criterion]:
    vr, stated, folds = paths.vr(path[-1]), how(element), folds_of(element)
    if stated is not None and not _asks(element):
        return [Criterion(path, stated)]  # nothing satisfies it
    texts = _texts(path[-1], element)  # a device's own idea of the VR says nothing
    if stated is not None and texts != ("*",):
        return [_as_stated(path, vr, stated, texts, folds)]
    if vr in ("DA", "TM"):
        return _dates(path, vr, texts)
    if "*" in texts:  # alone it is universal, and matches the empty too
        return []
    if vr == "PN":
        words = names.asked(texts[0]) if fuzzy and len(texts) == 1 else ()
        named = Criterion(path, Op.NAME, texts, folds=_of_names(folds))
        return [Criterion(path, Op.SOUNDS, word) for word in words] or [named]
    if vr in _WILDCARD_VRS and any("*" in text or "?" in text for text in texts):
        return [Criterion(path, Op.WILDCARD, texts, folds=folds)]
    if vr in _WILDCARD_VRS or vr in _EXACT_VRS:
        return [Criterion(path, Op.IN, texts, folds=folds)]  # several values: any of them
    raise BadIdentifier(path[-1], "a key of this kind cannot be matched")


def _as_stated(path: Path, vr: str, stated: Op, texts: tuple[str, ...], folds: tuple[Fold, ...]) -> Criterion:
    if vr == "PN" and stated is Op.IN:  # * and ? are characters, which no name has
        plain = tuple(text for text in texts if "*" not in text and "?" not in text)
        return Criterion(path, Op.NAME, plain, folds=_of_names(folds))
    return Criterion(path, stated, texts, folds=folds)


def _of_names(folds: tuple[Fold, ...]) -> tuple[Fold, ...]:
    """Return what does not count in a name besides case, which never does (A-23)."""
    return tuple(fold for fold in folds if fold is not Fold.CASE)


def _texts(tag: str, element: Element) -> tuple[str, ...]:
    found = [value for value in element.get("Value", ()) if value not in (None, "")]
    if element["vr"] == "SQ" or not found:  # no value, but bytes
        raise BadIdentifier(tag, "the key is no text and no number")
    texts = tuple(person_name(v) if isinstance(v, dict) else str(v).strip() for v in found)
    if len(texts) > _MOST_VALUES or any(len(text) > _LONGEST for text in texts):
        raise BadIdentifier(tag, "the key is longer than any value")
    return texts


def _dates(path: Path, vr: str, texts: tuple[str, ...]) -> list[Criterion]:
    if len(texts) > 1:
        raise BadIdentifier(path[-1], "a date or time key has one value")
    low, high = _bounds(path[-1], vr, texts[0])
    if low and high and low > high:  # A-32; across midnight is not defined either
        raise BadIdentifier(path[-1], "the range ends before it begins")
    return [Criterion(path, Op.RANGE, (low, high))]


def _bounds(tag: str, vr: str, text: str) -> tuple[str, str]:
    low, dash, high = (part.strip() for part in text.partition("-"))
    if not low and not high:
        raise BadIdentifier(tag, "the range has neither beginning nor end")
    if not dash:
        exact = _start(tag, vr, low)
        return exact, exact
    return (low and _start(tag, vr, low)), (high and _end(tag, vr, high))


def _start(tag: str, vr: str, text: str) -> str:
    if vr == "DA":
        if match := _DATE.fullmatch(text):
            return "".join(match.groups())
        raise BadIdentifier(tag, "the key is not a date")
    if _TIME.fullmatch(text):
        return normal_time(text)
    raise BadIdentifier(tag, "the key is not a time")


def _end(tag: str, vr: str, text: str) -> str:
    start = _start(tag, vr, text)
    if vr == "DA":
        return start
    digits, dot, fraction = text.replace(":", "").partition(".")
    return f"{digits}.{fraction}{_LATEST[7 + len(fraction) :]}" if dot else digits + _LATEST[len(digits) :]


def _combined(criteria: list[Criterion]) -> list[Criterion]:
    """Join start date and start time into one interval where both are ranges of one form (A-40)."""
    by_path = {c.path: c for c in criteria if c.op is Op.RANGE}
    date, time = by_path.get(START_DATE), by_path.get(START_TIME)
    if date is None or time is None:
        return criteria
    (day, last_day), (clock, last_clock) = date.values, time.values
    single = day == last_day or clock == last_clock
    if single or bool(day) != bool(clock) or bool(last_day) != bool(last_clock):
        return criteria  # not of one form: each alone
    span = Criterion(START_DATE, Op.SPAN, (day and day + clock, last_day and last_day + last_clock))
    return [c for c in criteria if c not in (date, time)] + [span]
