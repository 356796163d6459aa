"""What a worklist query asks, once it is understood: criteria on canonical items.

The same `Criterion` serves a device's matching key (PS3.4 C.2.2.2) and a profile's filter.  The
store turns criteria on promoted columns into SQL; `holds` decides the others, and is the oracle
that the SQL is tested against.  Nothing here reads bytes or knows a database.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeAlias

from mwl import handles, names
from mwl.expressions import expression
from mwl.model import STEP_SEQUENCE, Document, WorklistItem, items, text, values

Path: TypeAlias = tuple[str, ...]
"""Tags from the root of the response: ("00100020",) or (STEP_SEQUENCE, "00080060")."""

START_DATE = (STEP_SEQUENCE, "00400002")
START_TIME = (STEP_SEQUENCE, "00400003")
_STUDY, _STEP_ID = "0020000D", "00400009"
_KEY = "key"  # of the step, where `holds` puts it

SOURCE: Path = ("source",)
"""The system that ordered a step (`WorklistItem.system`): no attribute, yet items are chosen by it (P11)."""


class Op(StrEnum):
    """How a criterion decides."""

    IN = "in"  # any stored value equals any of values (padding ignored)
    WILDCARD = "wildcard"  # any stored value matches any of the patterns with * and ?
    NAME = "name"  # person name patterns, group by group, case folded
    SOUNDS = "sounds"  # person name: one of its keys in `mwl.names` matches one of values
    RANGE = "range"  # values = (low, high), inclusive, "" is open; DA as YYYYMMDD, TM as HHMMSS.FFFFFF
    SPAN = "span"  # on START_DATE: date and time combined, YYYYMMDDHHMMSS.FFFFFF
    PRESENT = "present"  # has a non-empty value
    ITEM = "item"  # one item of the sequence satisfies all of *within* (A-43)
    REGEX = "regex"  # one of values, a regular expression, is found in a stored value
    LONGER = "longer"  # a stored value has more characters than values[0]
    ANY = "any"  # one of *within* holds; the path is ()
    ALL = "all"  # each of *within* holds; the path is ()
    HANDLE = "handle"  # any stored value is one of values, or stands for it (F48, F50; `mwl.handles`)
    STEP_STUDY = "step_study"  # on the study: one of values was made for the step alone (F28)


class Fold(StrEnum):
    """What two texts may differ in and be the same (P7)."""

    CASE = "case"  # capitals and small letters
    DIACRITICS = "diacritics"  # accents, and letters with a stroke: Ø is O
    KANA = "kana"  # hiragana and katakana, whatever their width


@dataclass(frozen=True, slots=True)
class Criterion:
    """One condition on an item.  *origin* names who set it ("key", or file:line) for `explain`."""

    path: Path
    op: Op
    values: tuple[str, ...] = ()
    negate: bool = False
    within: tuple[Criterion, ...] = ()
    origin: str = "key"
    folds: tuple[Fold, ...] = ()  # of IN, WILDCARD and NAME: what does not count (names: case never does)


@dataclass(frozen=True, slots=True)
class WorklistQuery:
    """Criteria that must all hold; results are ordered by start, then key (A-47)."""

    criteria: tuple[Criterion, ...] = ()
    limit: int | None = None  # how many references at most, plus one that tells of overflow
    nearest: str | None = None  # with *limit*: keep the nearest to this instant, YYYYMMDDHHMMSS
    held: bool = False  # whether steps of orders on hold count too: for people, never for a device


def fold(written: str) -> str:
    """Return *written* as names are compared: compatibility forms unified, case folded, width ignored."""
    return unicodedata.normalize("NFKC", written).casefold()


def folded(written: str, folds: Iterable[Fold]) -> str:
    """Return *written* without what *folds* say does not count."""
    for each in sorted(folds):  # kana after diacritics: their voice marks are none
        written = _FOLDING[each](written)
    return written


def _without_accents(written: str) -> str:
    apart = unicodedata.normalize("NFD", written)
    return unicodedata.normalize("NFC", _ACCENTS.sub("", apart)).translate(_STROKES)


def _in_hiragana(written: str) -> str:
    return unicodedata.normalize("NFKC", written).translate(_HIRAGANA)


_ACCENTS = re.compile("[\u0300-\u036f]")  # combining marks of alphabets; the voice marks of kana are others
_STROKES = str.maketrans(
    {"Ø": "O", "ø": "o", "Ł": "L", "ł": "l", "Đ": "D", "đ": "d", "Ħ": "H", "ħ": "h", "ı": "i",
     "Æ": "AE", "æ": "ae", "Œ": "OE", "œ": "oe", "ß": "ss", "ẞ": "SS", "Þ": "TH", "þ": "th",
     "ð": "d", "Ð": "D"}
)  # fmt: skip
_HIRAGANA = {katakana: katakana - 0x60 for katakana in range(0x30A1, 0x30F7)}
_FOLDING = {Fold.CASE: fold, Fold.DIACRITICS: _without_accents, Fold.KANA: _in_hiragana}


def name_groups(written: str) -> tuple[str, ...]:
    """Return the folded component groups of a person name, each without its empty tail (A-24)."""
    return tuple(fold(group).strip().rstrip("^ ") for group in written.split("="))


@lru_cache(maxsize=4096)
def name_patterns(wanted: str) -> tuple[tuple[str, ...], ...]:
    """Return, for each component group of a key, the folded patterns of which one must match.

    A component that is not there is an empty one (A-24), and ``*`` matches it: ``DOE^JOHN^*`` asks
    for DOE^JOHN too.  A group that asks for nothing has one pattern, ``""``.
    """
    return tuple(_shortened(group) for group in name_groups(wanted))


def _shortened(group: str) -> tuple[str, ...]:
    """Cut components of ``*`` alone off the end; of each pattern and the one cut from it both count."""
    longer = end = len(group)
    while (start := _start_of_star(group, end)) > 0:
        longer, end = end, start
    shortest = group[:end].rstrip("^ ")
    if not shortest or end == longer:
        return (group,)
    # What ends in * matches whatever the longer ones do.
    return (shortest,) if shortest.endswith("*") else (group[:longer], shortest)


def _start_of_star(group: str, end: int) -> int:
    """Return where the ``^*`` begins that *group* ends with at *end*, 0 where it does not."""
    stars = end
    while stars and group[stars - 1] == "*":
        stars -= 1
    caret = stars
    while caret and group[caret - 1] == "^":
        caret -= 1
    return caret if caret < stars < end else 0


@lru_cache(maxsize=4096)
def pattern(wildcard: str) -> re.Pattern[str]:
    """Return ``*`` and ``?`` as a regular expression; everything else is literal (A-27)."""
    first, *rest = (
        "".join("." if c == "?" else re.escape(c) for c in part) for part in _STARS.split(wildcard)
    )
    if not rest:
        return re.compile(first, re.DOTALL)
    # Atomic groups: a peer's "*a*a*a*a*b" must not try every way to share out a long value.
    inner = "".join(f"(?>.*?{part})" for part in rest[:-1])
    return re.compile(f"{first}{inner}.*{rest[-1]}", re.DOTALL)


_STARS = re.compile(r"\*+")


def normal_time(value: str) -> str:
    """Return a TM value as HHMMSS.FFFFFF (its start), so that times compare as text (A-34)."""
    digits, _, fraction = value.replace(":", "").strip().partition(".")
    return f"{digits.ljust(6, '0')}.{fraction.ljust(6, '0')[:6]}"


def holds(criterion: Criterion, item: WorklistItem) -> bool:
    """Tell whether *item* satisfies *criterion*."""
    beside: Document = {
        SOURCE[0]: {"vr": "LO", "Value": [item.system]},
        _KEY: {"vr": "SV", "Value": [item.ref.key]},
    }
    return _holds(criterion, {**item.merged(), **beside})


def _holds(criterion: Criterion, document: Document) -> bool:
    if criterion.op in (Op.ANY, Op.ALL):
        decide = any if criterion.op is Op.ANY else all
        return decide(_holds(each, document) for each in criterion.within) != criterion.negate
    *sequences, tag = criterion.path
    scopes: list[Document] = [document]
    for sequence in sequences:
        scopes = [inner for scope in scopes for inner in values(scope, sequence) if isinstance(inner, dict)]
    return any(_decide(criterion, scope, tag) for scope in scopes) != criterion.negate


def _decide(criterion: Criterion, scope: Document, tag: str) -> bool:
    found = [value for value in values(scope, tag) if value not in (None, "")]
    match criterion.op:
        case Op.PRESENT:
            return bool(found)
        case Op.IN:
            wanted = {folded(value.strip(), criterion.folds) for value in criterion.values}
            return any(folded(_plain(value), criterion.folds) in wanted for value in found)
        case Op.WILDCARD:
            return any(
                pattern(folded(p, criterion.folds)).fullmatch(folded(_plain(value), criterion.folds))
                for value in found
                for p in criterion.values
            )
        case Op.NAME:
            return any(
                name_matches(folded(p, criterion.folds), folded(_plain(value), criterion.folds))
                for value in found
                for p in criterion.values
            )
        case Op.HANDLE:
            known = {_plain(value) for value in found}
            known |= {handles.stands_for(value) for value in known} - {""}
            return not known.isdisjoint(value.strip() for value in criterion.values)
        case Op.SOUNDS:
            sounds = {key for value in found for key in names.keys(_plain(value))}
            return any(pattern(p).fullmatch(sound) for p in criterion.values for sound in sounds)
        case Op.RANGE:
            times = scope[tag]["vr"] == "TM" if found else False
            return any(
                _between(normal_time(_plain(v)) if times else _plain(v), criterion.values) for v in found
            )
        case Op.SPAN:
            clock = values(scope, START_TIME[-1])
            start = f"{_plain(found[0])}{normal_time(str(clock[0]) if clock else '')}" if found else ""
            return bool(start) and _between(start, criterion.values)
        case Op.ITEM:
            inner = [value for value in found if isinstance(value, dict)]
            return any(all(_holds(part, entry) for part in criterion.within) for entry in inner)
        case Op.STEP_STUDY:
            return any(_is_of_step(uid, scope) for uid in criterion.values)
        case Op.REGEX:
            return any(
                expression(each).found_in(_plain(value)) for each in criterion.values for value in found
            )
        case Op.LONGER:
            return any(len(_plain(value)) > int(criterion.values[0]) for value in found)
    return False  # ANY and ALL are about no attribute: `_holds` has decided them


def _is_of_step(uid: str, scope: Document) -> bool:
    study, key = text(scope, _STUDY), values(scope, _KEY)[0]
    step_id = next((text(step, _STEP_ID) for step in items(scope, STEP_SEQUENCE)), "")
    return handles.is_step_study(uid, study, step_id, key)


def name_matches(wanted: str, stored: str) -> bool:
    """Match person names group by group: a key without "=" may match any group (A-25)."""
    keys, groups = name_patterns(wanted), name_groups(stored)
    if len(keys) == 1:
        return any(_matches(keys[0], group) for group in groups if group)
    padded = (*groups, "", "")
    return all(key == ("",) or _matches(key, group) for key, group in zip(keys, padded, strict=False))


def _matches(patterns: tuple[str, ...], group: str) -> bool:
    return any(pattern(each).fullmatch(group) for each in patterns)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "=".join(value.get(g, "") for g in ("Alphabetic", "Ideographic", "Phonetic")).rstrip("=")
    return str(value).strip()


def _between(value: str, bounds: Iterable[str]) -> bool:
    low, high = bounds
    return (not low or value >= low) and (not high or value <= high)
