"""From the identifier of a C-FIND request to criteria (PS3.4 C.2.2.2, K.2.2.2).

Theory of operation
-------------------
`understand` walks the keys once.  A zero-length value is universal and adds nothing.  The VR
decides how a value matches: names by component group (A-25), text and codes by value or wildcard
(A-22, A-27), UIDs by list (A-29), dates and times by meaning or range (A-32 to A-35).  Two range
keys on start date and start time are one interval (A-40).  A sequence other than the scheduled
step's is one criterion whose parts must hold in the same item (A-43).  A key that this worklist
does not match on is listed as unsupported, never guessed at (A-20).

A key that breaks its own form raises `BadIdentifier` (A900 with Offending Element); a lenient
caller gets a criterion that nothing satisfies instead, so that a typing mistake never widens a list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from mwl.dicom.keys import MATCHING, UNMATCHED
from mwl.errors import MwlError
from mwl.model import STEP_SEQUENCE, Document, Element, person_name
from mwl.query import START_DATE, START_TIME, Criterion, Op, Path, normal_time

_WILDCARD_VRS = frozenset({"AE", "CS", "LO", "LT", "SH", "ST", "UC", "UR", "UT"})
_EXACT_VRS = frozenset({"UI", "IS", "DS", "US", "SS", "UL", "SL", "AT", "AS"})
_DATE = re.compile(r"(\d{4})\.?(0[1-9]|1[0-2])\.?(0[1-9]|[12]\d|3[01])")  # the dotted form is ACR-NEMA's
_TIME = re.compile(r"([01]\d|2[0-3])(:?[0-5]\d(:?([0-5]\d|60)(\.\d{1,6})?)?)?")
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
    criteria: list[Criterion] = field(default_factory=list)
    unsupported: list[Path] = field(default_factory=list)


def understand(keys: Document, *, lenient: bool = False) -> Understood:
    """Return the criteria of an identifier; raise `BadIdentifier` for an illegal key unless *lenient*."""
    reading = _Reading(lenient)
    for path, element in _keys(keys):
        _read(reading, path, element)
    return Understood(tuple(_combined(reading.criteria)), tuple(reading.unsupported))


def _keys(keys: Document) -> Iterator[tuple[Path, Element]]:
    """Yield every key with its path; the scheduled step's one item is opened."""
    for tag, element in keys.items():
        if tag in UNMATCHED or tag.endswith("0000"):
            continue
        if tag == STEP_SEQUENCE:
            step = _one_item(tag, element)
            yield from (((tag, inner), child) for inner, child in step.items() if not inner.endswith("0000"))
        else:
            yield (tag,), element


def _one_item(tag: str, element: Element) -> Document:
    found = element.get("Value", ())
    if len(found) > 1:  # A-43; a profile that tolerates this has reduced it before (P4)
        raise BadIdentifier(tag, "a sequence key has one item")
    return found[0] if found else {}


def _read(reading: _Reading, path: Path, element: Element) -> None:
    if path not in MATCHING:
        reading.unsupported.append(path)
    elif element["vr"] == "SQ":
        _read_sequence(reading, path, element)
    elif any(value not in (None, "") for value in element.get("Value", ())):
        try:
            reading.criteria.extend(_criteria(path, element))
        except BadIdentifier:
            if not reading.lenient:
                raise
            reading.criteria.append(Criterion(path, Op.IN, ()))  # nothing satisfies it


def _read_sequence(reading: _Reading, path: Path, element: Element) -> None:
    inner = _Reading(reading.lenient)
    for tag, child in _one_item(path[-1], element).items():
        _read(inner, (*path, tag), child)
    reading.unsupported.extend(inner.unsupported)
    if inner.criteria:
        within = tuple(Criterion(c.path[-1:], c.op, c.values, c.negate, c.within) for c in inner.criteria)
        reading.criteria.append(Criterion(path, Op.ITEM, within=within))


def _criteria(path: Path, element: Element) -> list[Criterion]:
    vr, found = element["vr"], [v for v in element["Value"] if v not in (None, "")]
    texts = tuple(person_name(v) if isinstance(v, dict) else str(v).strip() for v in found)
    if vr in ("DA", "TM"):
        return _dates(path, vr, texts)
    if "*" in texts:  # alone it is universal, and matches the empty too
        return []
    if vr == "PN":
        return [Criterion(path, Op.NAME, texts)]
    if vr in _WILDCARD_VRS and any("*" in text or "?" in text for text in texts):
        return [Criterion(path, Op.WILDCARD, texts)]
    if vr in _WILDCARD_VRS or vr in _EXACT_VRS:
        return [Criterion(path, Op.IN, texts)]  # several values: any of them
    raise BadIdentifier(path[-1], "a key of this kind cannot be matched")


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
