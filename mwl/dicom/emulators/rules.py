"""What a console makes of one worklist item: reasons to refuse it, and what it does to one it shows.

A rule takes an item and yields sentences about it, none where it has nothing to say.  The same rule
may be a reason to refuse for one device and a remark for another; its description says which.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

from mwl.dicom.uids import is_uid
from mwl.mapping import paths
from mwl.mapping.elements import has_value, texts
from mwl.model import Document, items
from mwl.query import Path

Rule: TypeAlias = Callable[[Document], Iterator[str]]

_CHARACTER_SET = "00080005"
_CODE = {"value": "00080100", "scheme": "00080102", "meaning": "00080104"}
_CODE_NAMES = {"value": "Code Value", "scheme": "Coding Scheme Designator", "meaning": "Code Meaning"}
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


def with_value(*names: str) -> Rule:
    """Refuse an item in which one of these is absent or empty: type 1 (PS3.5 7.4.1)."""
    parsed = _parsed(names)

    def judge(item: Document) -> Iterator[str]:
        for name, path in parsed:
            element = paths.get(item, path)
            if not has_value(element):
                yield f"{name} is {'absent' if element is None else 'empty'}"

    return judge


def present(*names: str) -> Rule:
    """Refuse an item in which one of these is absent; it may be empty: type 2 (PS3.5 7.4.3)."""
    parsed = _parsed(names)

    def judge(item: Document) -> Iterator[str]:
        for name, path in parsed:
            if paths.get(item, path) is None:
                yield f"{name} is absent"

    return judge


def formed(name: str, pattern: str, form: str) -> Rule:
    """Refuse an item whose value of *name* is not *form*, which the regular expression says exactly."""
    ((_, path),), expression = _parsed((name,)), re.compile(pattern)

    def judge(item: Document) -> Iterator[str]:
        for value in texts(paths.get(item, path)):
            if not expression.fullmatch(value):
                yield f"{name} {value!r} is not {form}"

    return judge


def cut(name: str, most: int) -> Rule:
    """Remark that the console shows fewer characters than *name* has; of each group in a name."""
    ((_, path),) = _parsed((name,))

    def judge(item: Document) -> Iterator[str]:
        longest = max(
            (len(part) for each in texts(paths.get(item, path)) for part in each.split("=")), default=0
        )
        if longest > most:
            yield f"{name} is cut to {most} of {longest} characters"

    return judge


def at_most(name: str, most: int) -> Rule:
    """Remark that the console uses the first *most* items of a sequence."""
    ((_, path),) = _parsed((name,))

    def judge(item: Document) -> Iterator[str]:
        element = paths.get(item, path) or {}
        if (count := len(element.get("Value", ()))) > most:
            yield f"{name}: {most} of {count} items are used"

    return judge


def codes_with(*parts: str, of: tuple[str, ...], then: str = "") -> Rule:
    """Object to an item of the code sequences *of* that lacks one of "value", "scheme", "meaning".

    *then* says what becomes of it.
    """
    parsed, consequence = _parsed(of), f": {then}" if then else ""

    def judge(item: Document) -> Iterator[str]:
        for name, path in parsed:
            for code in _items(item, path):
                for part in parts:
                    if not has_value(code.get(_CODE[part])):
                        yield f"{name} has an item without {_CODE_NAMES[part]}{consequence}"

    return judge


def labelled(label: str) -> Rule:
    """Refuse an item in another character set than *label*; ASCII needs none."""

    def judge(item: Document) -> Iterator[str]:
        found = "\\".join(texts(item.get(_CHARACTER_SET)))
        if found and found != label:
            yield f"SpecificCharacterSet is {found}, not {label}"
        elif not found and not all(text.isascii() for _, _, text in _values(item, ())):
            yield f"SpecificCharacterSet is absent, and not all is ASCII; {label} is expected"

    return judge


def legible(item: Document) -> Iterator[str]:
    """Remark on text that is not what its label says: it reads as replacement characters."""
    for path, _, text in _values(item, ()):
        if "\N{REPLACEMENT CHARACTER}" in text:
            yield f"{paths.show(path)} cannot be read under its character set"


def value_representations(*only: str) -> Rule:
    """Refuse a value that its VR does not allow (PS3.5 Table 6.2-1); of the VRs *only*, or of all."""
    wanted = only or tuple(_FORMS)

    def judge(item: Document) -> Iterator[str]:
        for path, vr, text in _values(item, ()):
            if vr in wanted and not _FORMS[vr](text):
                yield f"{paths.show(path)} is no value of {vr}"

    return judge


def _parsed(names: tuple[str, ...]) -> list[tuple[str, Path]]:
    return [(name, paths.parse_path(name)) for name in names]


def _items(item: Document, path: Path) -> Iterator[Document]:
    parents = [item]
    for sequence in path[:-1]:
        parents = [each for parent in parents for each in items(parent, sequence)]
    for parent in parents:
        yield from items(parent, path[-1])


def _values(document: Document, at: Path) -> Iterator[tuple[Path, str, str]]:
    """Yield path, VR and text of every value, at any depth; a name group by group."""
    for tag, element in document.items():
        for value in element.get("Value", ()):
            if element["vr"] == "SQ" and isinstance(value, dict):
                yield from _values(value, (*at, tag))
            elif isinstance(value, dict):
                for group in _GROUPS:
                    if text := value.get(group):
                        yield (*at, tag), element["vr"], text
            elif value is not None:
                yield (*at, tag), element["vr"], str(value)


def _date(text: str) -> bool:
    try:
        dt.datetime.strptime(text, "%Y%m%d").replace(tzinfo=dt.UTC)
    except ValueError:
        return False
    return len(text) == 8


def _matches(pattern: str) -> Callable[[str], bool]:
    expression = re.compile(pattern, re.DOTALL)
    return lambda text: expression.fullmatch(text) is not None


_FORMS: dict[str, Callable[[str], bool]] = {
    "AE": _matches(r"[^\\\x00-\x1f]{1,16}"),
    "CS": _matches(r"[A-Z0-9 _]{1,16}"),
    "DA": _date,
    "DS": _matches(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?"),
    "IS": _matches(r"[+-]?\d{1,12}"),
    "LO": _matches(r"[^\\\x00-\x1f]{1,64}"),
    "PN": _matches(r"[^\\\x00-\x1f]{1,64}"),
    "SH": _matches(r"[^\\\x00-\x1f]{1,16}"),
    "TM": _matches(r"([01]\d|2[0-3])([0-5]\d([0-5]\d|60)?(\.\d{1,6})?)?"),
    "UI": is_uid,
}
