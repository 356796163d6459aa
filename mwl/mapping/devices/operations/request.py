"""Marks that one stage leaves in an identifier for a later one.

They look like keys that ask for nothing in particular, so whoever does not know them loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from mwl.mapping.elements import texts
from mwl.model import STEP_SEQUENCE, Document, Element, name_value
from mwl.query import Criterion, Fold, Op, Path

WHOLE = "FFFE0000"
"""A key in the item of a sequence key: all that the stored item holds is asked for, beside what the key's
item names (A-44).  It has the form of a group length, of a group that has no attributes (PS3.5 7.5)."""

_ONE_OF, _ORIGIN = "oneOf", "origin"
_HOW, _FOLDS, _APART, _EITHER = "how", "folds", "apart", "either"


def any_of(key: Element, origin: str) -> Element:
    """Return *key* so that any of its values is meant: it matches everything, and carries a mark.

    A key of several values has no meaning of its own in DICOM (A-31); `DeviceProfile.filters` makes a
    criterion of the mark.  *origin* is the profile's line that meant it.
    """
    values = key.get("Value", [])
    if len(values) < 2:
        return key
    marks = {mark: key[mark] for mark in (_HOW, _FOLDS) if mark in key}
    return {"vr": key["vr"], **marks, _ONE_OF: texts(key), _ORIGIN: origin}


def alternatives(key: Element | None) -> tuple[list[str], str]:
    """Return the values of which any is meant and who meant them; none for a key without that mark."""
    return ([], "") if key is None else (list(key.get(_ONE_OF, ())), str(key.get(_ORIGIN, "")))


def matched_by(key: Element, op: Op) -> Element:
    """Return *key* so that its values are matched by *op*, whatever its VR would say."""
    return {**key, _HOW: op.value}


def how(key: Element) -> Op | None:
    """Return by which operation a key is matched; None: by its VR."""
    return Op(key[_HOW]) if _HOW in key else None


def matching_nothing(key: Element) -> Element:
    """Return *key* so that nothing matches it: nothing of what is asked may be answered."""
    return matched_by({"vr": key["vr"]}, Op.IN)


def folding(key: Element, folds: Iterable[Fold]) -> Element:
    """Return *key* so that its values are compared without what *folds* say does not count (P7)."""
    return {**key, _FOLDS: [fold.value for fold in folds]}


def folds_of(key: Element) -> tuple[Fold, ...]:
    """Return what does not count when a key is compared."""
    return tuple(Fold(fold) for fold in key.get(_FOLDS, ()))


def standing_apart(key: Element) -> Element:
    """Return a key of times so that it is matched day by day, and makes no interval with the dates (P8)."""
    return {**key, _APART: True}


def stands_apart(key: Element | None) -> bool:
    """Tell whether times are matched day by day."""
    return key is not None and _APART in key


def single(key: Element) -> Element:
    """Return *key* without its values, whether they were one or several; other marks stay."""
    return {mark: part for mark, part in key.items() if mark not in ("Value", _ONE_OF, _ORIGIN)}


def asked_texts(key: Element | None) -> list[str]:
    """Return the values of a key, also those of which any is meant."""
    return texts(key) or alternatives(key)[0]


def asking(key: Element, values: Sequence[str]) -> Element:
    """Return *key* with these *values*, several of which only where several were meant before; marks stay."""
    if alternatives(key)[0]:
        return {**key, _ONE_OF: list(values)}
    return {**key, "Value": [name_value(value) if key["vr"] == "PN" else value for value in values]}


def rewritten(key: Element, change: Callable[[str], str]) -> Element:
    """Return *key* with *change* made to each of its values; ``*`` asks for everything and stays."""
    before = asked_texts(key)
    after = [value if value == "*" else change(value) for value in before]
    return key if after == before else asking(key, after)


def either(key: Element) -> Element:
    """Return a sequence key of several items so that what any of them asks for is meant (P4, F07)."""
    return {**key, _EITHER: True}


def asks_either(key: Element) -> bool:
    """Tell whether the items of a sequence key are alternatives."""
    return _EITHER in key


def steps_of(keys: Document) -> list[Document]:
    """Return *keys* once for each item of the step's sequence: several are alternatives (P4, F07)."""
    asked = keys.get(STEP_SEQUENCE, {"vr": "SQ"})
    if asked["vr"] != "SQ" or len(asked.get("Value", ())) < 2:
        return [keys]
    return [{**keys, STEP_SEQUENCE: {**asked, "Value": [item]}} for item in asked["Value"]]


def in_each_step(keys: Document, change: Callable[[Document], Document]) -> Document:
    """Return *keys* with *change* made once for each item of the step's sequence, as if there were no other.

    What stands beside the steps is as the first change left it.
    """
    changed = [change(each) for each in steps_of(keys)]
    if len(changed) == 1:
        return changed[0]
    found = [item for each in changed for item in each[STEP_SEQUENCE]["Value"]]
    return {**changed[0], STEP_SEQUENCE: {**keys[STEP_SEQUENCE], "Value": found}}


def meant(keys: Document, under: Path = ()) -> Iterator[Criterion]:
    """Yield a criterion for every key in *keys* of which any of several values is meant."""
    for tag, key in keys.items():
        path = (*under, tag)
        values, origin = alternatives(key)
        if values:
            yield Criterion(path, _op(key, values), tuple(values), origin=origin, folds=folds_of(key))
        elif key["vr"] == "SQ" and len(key.get("Value", ())) < 2:  # of several, each has its own (`steps_of`)
            yield from meant(item_of(key), path)


def _op(key: Element, values: list[str]) -> Op:
    if (stated := how(key)) is not None:
        return stated
    if key["vr"] == "PN":
        return Op.NAME
    return Op.WILDCARD if any("*" in value or "?" in value for value in values) else Op.IN


def asked_values(key: Element | None) -> list[str]:
    """Return the values a key asks for; none where it matches everything (A-21)."""
    found = texts(key) or alternatives(key)[0]
    return [] if found == ["*"] else found


def item_of(key: Element) -> Document:
    """Return the item of a sequence key; one that names nothing, or is no sequence, says `WHOLE` (A-44)."""
    items: list[Document] = (key["vr"] == "SQ" and key.get("Value")) or [{}]
    return items[0] or {WHOLE: {"vr": "UL"}}
