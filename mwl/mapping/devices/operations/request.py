"""Marks that one stage leaves in an identifier for a later one.

They look like keys that ask for nothing in particular, so whoever does not know them loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from mwl.mapping.elements import texts
from mwl.model import Document, Element
from mwl.query import Criterion, Op, Path

WHOLE = "FFFE0000"
"""A key in the item of a sequence key: all that the stored item holds is asked for, beside what the key's
item names (A-44).  It has the form of a group length, of a group that has no attributes (PS3.5 7.5)."""

_ONE_OF, _ORIGIN = "oneOf", "origin"


def any_of(key: Element, origin: str) -> Element:
    """Return *key* so that any of its values is meant: it matches everything, and carries a mark.

    A key of several values has no meaning of its own in DICOM (A-31); `DeviceProfile.filters` makes a
    criterion of the mark.  *origin* is the profile's line that meant it.
    """
    values = key.get("Value", [])
    return key if len(values) < 2 else {"vr": key["vr"], _ONE_OF: texts(key), _ORIGIN: origin}


def alternatives(key: Element | None) -> tuple[list[str], str]:
    """Return the values of which any is meant and who meant them; none for a key without that mark."""
    return ([], "") if key is None else (list(key.get(_ONE_OF, ())), str(key.get(_ORIGIN, "")))


def meant(keys: Document, under: Path = ()) -> Iterator[Criterion]:
    """Yield a criterion for every key in *keys* of which any of several values is meant."""
    for tag, key in keys.items():
        path = (*under, tag)
        values, origin = alternatives(key)
        if values:
            yield Criterion(path, _op(key["vr"], values), tuple(values), origin=origin)
        elif key["vr"] == "SQ":
            yield from meant(item_of(key), path)


def _op(vr: str, values: list[str]) -> Op:
    if vr == "PN":
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
