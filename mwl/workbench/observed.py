"""What a device's queries show of its habits: keys, forms of values, character sets, how often it asks.

Every finding counts the samples it was seen in.  Values are named where they say something of the
device (its AE title, modality, room); those of keys that are about a patient never are.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mwl.mapping import paths
from mwl.mapping.devices.operations.accept import STEP_KEYS
from mwl.mapping.elements import has_value, texts
from mwl.model import STEP_SEQUENCE, Document, Element
from mwl.query import Path
from mwl.workbench.samples import Sample

_WORKLIST = "1.2.840.10008.5.1.4.31"
_CHARACTER_SET = "00080005"
_LEVEL = "00080052"
_STATION = "00400001"
_SYNTAXES = {"1.2.840.10008.1.2": "ILE", "1.2.840.10008.1.2.1": "ELE", "1.2.840.10008.1.2.2": "EBE"}
_OF_THE_DEVICE = frozenset(
    paths.tag(name)
    for name in (
        "ScheduledStationAETitle",
        "ScheduledStationName",
        "ScheduledProcedureStepLocation",
        "ScheduledProcedureStepStatus",
        "Modality",
    )
)
"""Keys whose values say nothing of a patient."""

_SCHEDULED = frozenset({"00400002", "00400004"})
"""Start and end of the step: the dates that a device's window is made of."""


@dataclass(frozen=True, slots=True)
class KeyUse:
    """How a key is used; *form* is "" where it has no value."""

    path: str
    form: str
    seen: int


@dataclass(frozen=True, slots=True)
class Poll:
    """How often the same query comes again."""

    seconds: float
    count: int
    span: dt.timedelta


def keys(samples: Sequence[Sample]) -> list[KeyUse]:
    """Return the keys of *samples*, those with a value first, each form of a value by itself."""
    found: Counter[tuple[str, str]] = Counter()
    for sample in samples:
        found.update({(paths.show(path), _form(path, key, sample)) for path, key in _leaves(sample.keys)})
    uses = [KeyUse(path, form, seen) for (path, form), seen in found.items()]
    return sorted(uses, key=lambda use: (not use.form, -use.seen, use.path))


def charsets(samples: Sequence[Sample]) -> list[tuple[str, int]]:
    """Return the character sets that *samples* declare ("" for none), the most usual first."""
    return Counter(label(sample.keys) for sample in samples).most_common()


def label(keys: Document) -> str:
    """Return the character set that an identifier declares, "" for none."""
    return "\\".join(texts(keys.get(_CHARACTER_SET)))


def transfer_syntaxes(samples: Sequence[Sample]) -> list[tuple[tuple[str, ...], int]]:
    """Return the transfer syntaxes proposed for the worklist, each order by itself, the most usual first.

    Those without a name in a profile are left out; so are samples of which no proposal is known.
    """
    found: Counter[tuple[str, ...]] = Counter()
    for sample in samples:
        proposed = (each for each in sample.association.contexts if each.abstract_syntax == _WORKLIST)
        uids = dict.fromkeys(uid for context in proposed for uid in context.transfer_syntaxes)
        if uids:
            found[tuple(_SYNTAXES[uid] for uid in uids if uid in _SYNTAXES)] += 1
    return found.most_common()


def poll(samples: Sequence[Sample]) -> Poll | None:
    """Return how often the most frequent query comes again; None where none came thrice."""
    most = max(samples, key=lambda sample: sample.count, default=None)
    if most is None or most.count < 3 or most.first is None or most.last is None:
        return None
    span = most.last - most.first
    return Poll(span.total_seconds() / (most.count - 1), most.count, span)


def asks_for_station(samples: Sequence[Sample]) -> int:
    """Return how many *samples* have a value for the station's AE title."""
    return sum(
        any(path[-1] == _STATION and has_value(key) for path, key in _leaves(sample.keys))
        for sample in samples
    )


def _leaves(keys: Document) -> Iterator[tuple[Path, Element]]:
    """Yield every key with its path; those of the step count as such wherever they stand (F06)."""
    for tag, key in keys.items():
        if tag in (_CHARACTER_SET, _LEVEL) or tag.endswith("0000"):
            continue
        path = (STEP_SEQUENCE, tag) if tag in STEP_KEYS else (tag,)
        yield from _opened(path, key)


def _opened(path: Path, key: Element) -> Iterator[tuple[Path, Element]]:
    items = [item for item in key.get("Value", ()) if item] if key["vr"] == "SQ" else []
    if not items:
        yield path, key
    for item in items[:1]:
        for tag, inner in item.items():
            if not tag.endswith("0000"):
                yield from _opened((*path, tag), inner)


def _form(path: Path, key: Element, sample: Sample) -> str:
    values = texts(key)
    if not values:
        return "bytes" if "InlineBinary" in key else ""
    vr = paths.vr(path[-1])
    if vr == "DA" and len(values) == 1:
        # A date of birth, told by its distance from today, would be told.
        day = sample.first.date() if sample.first and path[-1] in _SCHEDULED else None
        return _date_form(values[0], day)
    if vr == "TM" and len(values) == 1:
        return _range_form(values[0], "one time", "times")
    if path[-1] == _STATION and values == [sample.calling_ae]:
        return "its own AE title"
    if path[-1] in _OF_THE_DEVICE:
        return "\\".join(values)
    return _text_form(values)


def _text_form(values: Sequence[str]) -> str:
    if len(values) > 1:
        return "several values"
    value = values[0]
    if not value.strip("*"):
        return "* alone"
    inner = value.strip("*")
    if "*" in inner or "?" in value:
        return "a value with wildcards inside"
    if value.startswith("*"):
        return "a value between two *" if value.endswith("*") else "a value behind a *"
    return "a value before a *" if value.endswith("*") else "a whole value"


def _range_form(value: str, single: str, several: str) -> str:
    low, dash, high = (part.strip() for part in value.partition("-"))
    if not value.strip("*"):
        return "* alone"
    if not dash:
        return single
    if bool(low) is bool(high):
        return f"a range of {several}" if low else "a range without ends"
    return f"a range of {several} with an open {'end' if low else 'beginning'}"


def _date_form(value: str, day: dt.date | None) -> str:
    plain = _range_form(value, "one day", "days")
    low, _, high = (_date(part) for part in value.partition("-"))
    if day is None or not (low or high):
        return plain
    if "-" not in value:
        return f"one day, {_distance(low, day)}"
    ends = (f"from {_distance(low, day)}" if low else "", f"to {_distance(high, day)}" if high else "")
    return f"{plain}, {' '.join(each for each in ends if each)}"


def _date(text: str) -> dt.date | None:
    try:
        return dt.datetime.strptime(text.strip().replace(".", ""), "%Y%m%d").date()  # noqa: DTZ007  a day
    except ValueError:
        return None


def _distance(date: dt.date | None, day: dt.date) -> str:
    """Return where *date* lies, seen from the day on which it was asked for."""
    days = (date - day).days if date else 0
    if not days:
        return "the day it asks"
    number = f"{abs(days)} day{'s' if abs(days) > 1 else ''}"
    return f"{number} {'before' if days < 0 else 'after'} the day it asks"
