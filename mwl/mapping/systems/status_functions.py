"""Functions that make a field of a status message from attributes: names, codes, times, numbers.

Whatever stands in several items of a sequence (a series, an exposure) is told once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from mwl.mapping.elements import texts
from mwl.mapping.systems.names import write_xpn
from mwl.mapping.systems.source import Repetition
from mwl.mapping.systems.status_facts import Reference, Scope
from mwl.model import Document

StatusFunction: TypeAlias = Callable[[Sequence[Reference], Scope], str | tuple[Repetition, ...]]

_CODES: Final = ("00080100", "00080119", "00080120")  # Code Value, Long Code Value, URN Code Value
_MEANING, _SCHEME = "00080104", "00080102"
_NAME_PARTS = 5  # family, given, middle, suffix, prefix


def _xpn(references: Sequence[Reference], scope: Scope) -> tuple[Repetition, ...]:
    """The first name that there is."""
    elements = (element for each in references for element in each.elements(scope))
    return next(filter(None, (write_xpn(element.get("Value", ())) for element in elements)), ())


def _xcn(references: Sequence[Reference], scope: Scope) -> tuple[Repetition, ...]:
    """All names, each in its first representation; the ID in front of it is not known."""
    return tuple((("",), *((part,) for part in name)) for name in _names(references, scope))


def _ndl(references: Sequence[Reference], scope: Scope) -> tuple[Repetition, ...]:
    """All names as sub-components of a first component."""
    return tuple((("", *name),) for name in _names(references, scope))


def _names(references: Sequence[Reference], scope: Scope) -> list[tuple[str, ...]]:
    found = (
        write_xpn([value])[0]
        for each in references
        for element in each.elements(scope)
        for value in element.get("Value", ())
        if isinstance(value, dict) and any(value.values())
    )
    return list(dict.fromkeys(tuple(part[0] for part in name[:_NAME_PARTS]) for name in found))


def _ts(references: Sequence[Reference], scope: Scope) -> str:
    """A date, and a time behind it: to the second, for 2.3.1 knows no finer and receivers seldom do."""
    date, *time = (each.text(scope) for each in references)
    digits = time[0].replace(":", "").partition(".")[0] if time else ""
    return f"{date}{digits}" if date else ""


def _codes(references: Sequence[Reference], scope: Scope) -> tuple[Repetition, ...]:
    """All codes of sequences: value, meaning, scheme."""
    elements = (element for each in references for element in each.elements(scope))
    found = (_code(item) for element in elements for item in element.get("Value", ()))
    return tuple(dict.fromkeys(filter(None, found)))


def _code(item: Any) -> Repetition:
    value = next(filter(None, (_first(item, tag) for tag in _CODES)), "")
    parts = (value, _first(item, _MEANING), _first(item, _SCHEME))
    return tuple((part,) for part in parts) if any(parts) else ()


def _first(item: Document, tag: str) -> str:
    return next(iter(texts(item.get(tag))), "")


def _all(references: Sequence[Reference], scope: Scope) -> tuple[Repetition, ...]:
    """All texts, a repetition each."""
    return tuple(dict.fromkeys(((text,),) for each in references for text in each.texts(scope)))


def _count(references: Sequence[Reference], scope: Scope) -> str:
    """How many values or items there are altogether; nothing where the document does not speak of them."""
    known = [each for each in references if each.known(scope)]
    return str(sum(_sizes(known, scope))) if known else ""


def _sizes(references: Sequence[Reference], scope: Scope) -> Iterator[int]:
    for each in references:
        yield from (len(element.get("Value", ())) for element in each.elements(scope))


FUNCTIONS: Final[Mapping[str, StatusFunction]] = {
    "all": _all,
    "codes": _codes,
    "count": _count,
    "ndl": _ndl,
    "ts": _ts,
    "xcn": _xcn,
    "xpn": _xpn,
}
