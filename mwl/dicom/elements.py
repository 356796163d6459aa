"""Bytes of a data set as raw elements: tags, value representations, lengths, items (PS3.5 7).

Nothing here looks into a value.  The bytes come from a peer: each length is checked against what
encloses it, depth and number of parts are bounded, and what cannot be a data set is `Undecodable`.
Tolerated, because devices do it: elements out of order, odd lengths, an element sent twice (the
last one counts), group lengths (dropped, PS3.5 7.2), and sequences hidden in UN (PS3.5 6.2.2).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from pydicom.datadict import dictionary_has_tag, dictionary_VR

from mwl.errors import ProtocolViolation

MAX_DEPTH = 16  # the worklist's deepest sequence is at 4
MAX_PARTS = 150_000  # elements, items and values: an MPPS with 30,000 references

_UNDEFINED = 0xFFFFFFFF
_ITEM_GROUP, _ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFE, 0xE000, 0xE00D, 0xE0DD
_SHORT_LENGTH = {  # PS3.5 table 7.1-2
    *("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FL", "FD", "IS", "LO"),
    *("LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US"),
}
# Where the dictionary leaves a choice that other elements of an image would settle.
_AMBIGUOUS = {"US or SS": "US", "OB or OW": "OW", "US or OW": "US", "US or SS or OW": "US"}


class Undecodable(ProtocolViolation, ValueError):
    """Bytes that are no data set in the agreed transfer syntax, or too large a one."""


@dataclass(frozen=True, slots=True)
class Coding:
    """How elements are laid out: *order* is struct's prefix."""

    explicit: bool
    order: str


IMPLICIT_LE = Coding(explicit=False, order="<")


class RawElement(NamedTuple):
    """An element whose value is not read yet; *content* is the items of an SQ, else the value's bytes."""

    vr: str
    order: str
    content: bytes | list[RawDataSet]


RawDataSet: TypeAlias = dict[str, RawElement]


class Budget:
    """How many parts a data set may still have."""

    def __init__(self, parts: int = MAX_PARTS) -> None:
        self._left = parts

    def spend(self, parts: int = 1) -> None:
        """Count *parts*; raises `Undecodable` when there have been too many."""
        self._left -= parts
        if self._left < 0:
            raise Undecodable("a data set of too many elements")


def read_elements(raw: bytes, coding: Coding, budget: Budget) -> RawDataSet:
    """Return the elements of the data set *raw*, by tag, in the order they came."""
    return _Reader(raw, budget).data_set(0, len(raw), coding, depth=0)[0]


@lru_cache(maxsize=8192)
def vr_of(group: int, number: int) -> str:
    """Return the VR that a standard attribute has, UN for what the dictionary does not know."""
    if group & 1:
        return "LO" if 0x0010 <= number <= 0x00FF else "UN"  # PS3.5 7.8.1: private creators
    tag = (group << 16) | number
    if not dictionary_has_tag(tag):  # asking for the VR searches repeating groups as well, slowly
        return "UN"
    vr = dictionary_VR(tag)
    return _AMBIGUOUS.get(vr, vr)


class _Reader:
    """Reads one buffer; every method takes where to begin and returns where it stopped."""

    def __init__(self, raw: bytes, budget: Budget) -> None:
        self._raw = raw
        self._budget = budget

    def data_set(
        self, at: int, end: int, coding: Coding, depth: int, *, delimited: bool = False
    ) -> tuple[RawDataSet, int]:
        """Read elements up to *end*, or, *delimited*, up to the item delimiter before it."""
        if depth > MAX_DEPTH:
            raise Undecodable("sequences nested too deeply")
        found: RawDataSet = {}
        while at < end:
            self._budget.spend()
            group, number, vr, length, at = self._header(at, end, coding)
            if group == _ITEM_GROUP:
                if delimited and number == _ITEM_END:
                    return found, at
                raise Undecodable("an item where an element is due")
            element, at = self._element(group, number, vr, at, length, end, coding, depth)
            if number != 0:
                found[f"{group:04X}{number:04X}"] = element
        if delimited:
            raise Undecodable("the data set ends inside an item")
        return found, at

    def _header(self, at: int, end: int, coding: Coding) -> tuple[int, int, str, int, int]:
        """Read tag, VR and length; the VR of an item is ""."""
        if end - at < 8:
            raise Undecodable("the data set ends inside an element")
        group, number, length = struct.unpack_from(coding.order + "HHI", self._raw, at)
        if group == _ITEM_GROUP:
            return group, number, "", length, at + 8
        if not coding.explicit:
            return group, number, vr_of(group, number), length, at + 8
        vr = self._raw[at + 4 : at + 6].decode("latin-1")
        if vr in _SHORT_LENGTH:
            return group, number, vr, struct.unpack_from(coding.order + "H", self._raw, at + 6)[0], at + 8
        if not (vr.isascii() and vr.isalpha() and vr.isupper()):
            raise Undecodable(f"({group:04X},{number:04X}) has no value representation")
        if end - at < 12:
            raise Undecodable("the data set ends inside an element")
        # PS3.5 7.1.2: every later VR, known here or not, has a length of 32 bits.
        return group, number, vr, struct.unpack_from(coding.order + "I", self._raw, at + 8)[0], at + 12

    def _element(
        self, group: int, number: int, vr: str, at: int, length: int, end: int, coding: Coding, depth: int
    ) -> tuple[RawElement, int]:
        if vr == "UN" and coding.explicit:  # PS3.5 6.2.2 note 2: what is inside is implicit little endian
            coding, vr = IMPLICIT_LE, vr_of(group, number)
        if length == _UNDEFINED:
            if vr not in ("SQ", "UN"):
                raise Undecodable(f"({group:04X},{number:04X}) has no length")
            items, at = self._items(at, end, coding, depth, delimited=True)
            return RawElement("SQ", coding.order, items), at
        stop = at + length
        if stop > end:
            raise Undecodable(f"({group:04X},{number:04X}) is longer than the data set")
        if vr == "SQ":
            items, at = self._items(at, stop, coding, depth)
            return RawElement("SQ", coding.order, items), at
        return RawElement(vr, coding.order, self._raw[at:stop]), stop

    def _items(
        self, at: int, end: int, coding: Coding, depth: int, *, delimited: bool = False
    ) -> tuple[list[RawDataSet], int]:
        """Read items up to *end*, or, *delimited*, up to the sequence delimiter before it."""
        items: list[RawDataSet] = []
        while at < end:
            self._budget.spend()
            group, number, _, length, at = self._header(at, end, coding)
            if delimited and (group, number) == (_ITEM_GROUP, _SEQUENCE_END):
                return items, at
            if (group, number) != (_ITEM_GROUP, _ITEM):
                raise Undecodable("an element where an item is due")
            open_ended = length == _UNDEFINED
            stop = end if open_ended else at + length
            if stop > end:
                raise Undecodable("an item is longer than its sequence")
            item, at = self.data_set(at, stop, coding, depth + 1, delimited=open_ended)
            items.append(item)
        if delimited:
            raise Undecodable("the data set ends inside a sequence")
        return items, at
