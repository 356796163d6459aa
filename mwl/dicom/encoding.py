"""Data sets: bytes in a transfer syntax on one side, documents on the other.

Reading is for bytes from a peer: it takes what devices send, and raises only `Undecodable`.  Text
is read in the character set the data set states in (0008,0005), items may state their own; under
a label nobody knows the ASCII part is read and the rest becomes U+FFFD (A-50), never a failure.

Writing takes a document as it is: no element is added, left out or changed.  Who declares a
character set puts (0008,0005) into the document and passes the `CharacterSet` it names.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import TypeAlias

from mwl.dicom.elements import IMPLICIT_LE, MAX_DEPTH, Budget, Coding, RawDataSet, Undecodable, read_elements
from mwl.dicom.values import is_coded, read_value, write_value
from mwl.errors import MwlError
from mwl.mapping.text.charset import DEFAULT, CharacterSet, Unfit, UnknownCharacterSet, parse_terms
from mwl.model import Document, Element

__all__ = ["Undecodable", "Unencodable", "decode_dataset", "deflate", "encode_dataset", "inflate"]

MAX_BYTES = 4 << 20  # octets: an MPPS with 30,000 references

_CHARACTER_SET = "00080005"
# PS3.5 table 7.1-1
_LONG_LENGTH = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}
_ITEM = b"\xfe\xff\x00\xe0"
_ITEM_BIG_ENDIAN = b"\xff\xfe\xe0\x00"
_ITEM_END, _SEQUENCE_END = 0xE00D, 0xE0DD  # element numbers of the delimiters, in group FFFE
_UNDEFINED = 0xFFFFFFFF


Relabel: TypeAlias = Callable[[str, bytes], CharacterSet | None]
"""From the label of a data set and its text to the character set it is in; None: the label's (F43)."""


@dataclass(frozen=True, slots=True)
class Syntax:
    """How a transfer syntax lays elements out."""

    coding: Coding
    deflated: bool = False


SYNTAXES = {
    "1.2.840.10008.1.2": Syntax(IMPLICIT_LE),
    "1.2.840.10008.1.2.1": Syntax(Coding(explicit=True, order="<")),
    "1.2.840.10008.1.2.2": Syntax(Coding(explicit=True, order=">")),
    "1.2.840.10008.1.2.1.99": Syntax(Coding(explicit=True, order="<"), deflated=True),
}


@dataclass(frozen=True, slots=True)
class Framing:
    """How the parts of a data set say where they end (P32)."""

    undefined: bool = False  # sequences and items end with a delimiter instead of stating their length
    group_lengths: bool = False  # each group begins with its length, retired since 2008


class Unencodable(MwlError, ValueError):
    """A document that is no data set; the message names the tag and quotes no value."""


def decode_dataset(raw: bytes, transfer_syntax_uid: str, relabel: Relabel | None = None) -> Document:
    """Return the document that *raw* holds, elements in the order they came.

    *relabel* may know better than the label which character set it is in.  Raises `Undecodable`, also
    for a transfer syntax that no worklist uses.
    """
    syntax = SYNTAXES.get(transfer_syntax_uid)
    if syntax is None:
        raise Undecodable("transfer syntax not supported", transfer_syntax=transfer_syntax_uid)
    if syntax.deflated:
        raw = inflate(raw)
    if len(raw) > MAX_BYTES:
        raise Undecodable("a data set of too many bytes")
    budget = Budget()
    elements = read_elements(raw, syntax.coding, budget)
    known = relabel(_label(elements), b"\n".join(_coded(elements))) if relabel else None
    return _document(elements, DEFAULT, budget, known)


def encode_dataset(
    document: Document, transfer_syntax_uid: str, charset: CharacterSet, framing: Framing | None = None
) -> bytes:
    """Return *document* as bytes: tags ascending, values padded to even length, lengths as *framing* says.

    Raises `Unfit` for text that *charset* lacks, `Unencodable` for anything else that cannot be
    written as it stands; both are ValueErrors whose message begins with the tag.
    """
    syntax = SYNTAXES.get(transfer_syntax_uid)
    if syntax is None:
        raise Unencodable("transfer syntax not supported", transfer_syntax=transfer_syntax_uid)
    raw = _Writer(syntax.coding, charset, framing or Framing()).document(document, depth=0)
    return deflate(raw) if syntax.deflated else raw


def inflate(raw: bytes) -> bytes:
    """Return the data set that *raw* holds compressed (PS3.5 A.5); raise `Undecodable`."""
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(raw, MAX_BYTES + 1)
    except zlib.error:
        raise Undecodable("not a deflated data set") from None
    if not inflater.eof and len(inflated) <= MAX_BYTES:
        raise Undecodable("a deflated data set without its end")
    return inflated


def deflate(raw: bytes) -> bytes:
    """Return a data set compressed (PS3.5 A.5)."""
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = deflater.compress(raw) + deflater.flush()
    return deflated + b"\0" if len(deflated) & 1 else deflated  # PS3.5 A.5


def _document(
    elements: RawDataSet, inherited: CharacterSet, budget: Budget, known: CharacterSet | None = None
) -> Document:
    charset = known or _stated(elements) or inherited
    document: Document = {}
    for tag, (vr, order, content) in elements.items():
        if isinstance(content, bytes):
            document[tag] = read_value(vr, content, order, charset, budget)
        elif content:
            items = [_document(item, charset, budget) for item in content]
            document[tag] = {"vr": "SQ", "Value": items}
        else:
            document[tag] = {"vr": "SQ"}
    return document


def _stated(elements: RawDataSet) -> CharacterSet | None:
    """Return the character set a data set states; a zero-length statement is none (F-X20)."""
    label = _label(elements)
    if not label:
        return None
    try:
        return parse_terms(label)
    except UnknownCharacterSet:
        return DEFAULT  # F-X19


def _label(elements: RawDataSet) -> str:
    stated = elements.get(_CHARACTER_SET)
    if stated is None or not isinstance(stated.content, bytes):
        return ""
    return stated.content.decode("ascii", "replace").strip(" \0")


def _coded(elements: RawDataSet) -> Iterator[bytes]:
    """Yield the values, at any depth, that the character set matters to."""
    for vr, _, content in elements.values():
        if not isinstance(content, bytes):
            for item in content:
                yield from _coded(item)
        elif is_coded(vr):
            yield content


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes data sets of one kind."""

    coding: Coding
    charset: CharacterSet
    framing: Framing

    def document(self, document: Document, depth: int) -> bytes:
        if depth > MAX_DEPTH:
            raise Unencodable("sequences nested too deeply")
        tags = sorted(document)
        if not self.framing.group_lengths:
            return b"".join([self._element(tag, document[tag], depth) for tag in tags])
        groups = [
            (group, b"".join([self._element(tag, document[tag], depth) for tag in in_group]))
            for group, in_group in groupby(
                (tag for tag in tags if tag[4:] != "0000"), key=lambda tag: tag[:4]
            )
        ]
        return b"".join(
            [framed(f"{group}0000", "UL", self._number(len(raw)), self.coding) + raw for group, raw in groups]
        )

    def _element(self, tag: str, element: Element, depth: int) -> bytes:
        vr = element.get("vr", "")
        if vr == "SQ":
            raw = self._items(tag, element, depth)
            if self.framing.undefined and raw:
                raw += self._delimiter(_SEQUENCE_END)
                return framed(tag, vr, raw, self.coding, undefined=True)
        else:
            raw = _write_element(tag, element, self.coding.order, self.charset)
        return framed(tag, vr, raw, self.coding)

    def _items(self, tag: str, element: Element, depth: int) -> bytes:
        parts: list[bytes] = []
        for item in element.get("Value") or ():
            if not isinstance(item, dict):
                raise Unencodable(f"{_named(tag)} SQ: not an item")
            raw = self.document(item, depth + 1)
            parts.append(_ITEM if self.coding.order == "<" else _ITEM_BIG_ENDIAN)
            parts.append(self._number(_UNDEFINED if self.framing.undefined else len(raw)))
            parts.append(raw)
            if self.framing.undefined:
                parts.append(self._delimiter(_ITEM_END))
        return b"".join(parts)

    def _delimiter(self, number: int) -> bytes:
        return struct.pack(self.coding.order + "HHI", 0xFFFE, number, 0)

    def _number(self, number: int) -> bytes:
        return struct.pack(self.coding.order + "I", number)


def framed(tag: str, vr: str, raw: bytes, coding: Coding, *, undefined: bool = False) -> bytes:
    """Return an element of this encoded value; *undefined* says that it ends with a delimiter."""
    order, length = coding.order, _UNDEFINED if undefined else len(raw)
    if not coding.explicit:
        return _tag(tag, order) + struct.pack(order + "I", length) + raw
    if vr in _LONG_LENGTH:
        return _tag(tag, order) + struct.pack(order + "2sHI", vr.encode(), 0, length) + raw
    if length <= 0xFFFF:
        return _tag(tag, order) + struct.pack(order + "2sH", vr.encode(), length) + raw
    raise Unencodable(f"{_named(tag)}: too long for {vr}")


def framed_item(raw: bytes, coding: Coding) -> bytes:
    """Return an item of this encoded data set, with its length."""
    head = _ITEM if coding.order == "<" else _ITEM_BIG_ENDIAN
    return head + struct.pack(coding.order + "I", len(raw)) + raw


def _write_element(tag: str, element: Element, order: str, charset: CharacterSet) -> bytes:
    try:
        return write_value(element, order, charset)
    except Unfit as error:
        raise Unfit(f"{_named(tag)}: {error}") from None
    except (ValueError, KeyError) as error:
        reason = "no value representation" if isinstance(error, KeyError) else str(error)
        raise Unencodable(f"{_named(tag)} {element.get('vr', '')}: {reason}") from None


@lru_cache(maxsize=4096)
def _tag(tag: str, order: str) -> bytes:
    if len(tag) != 8 or not set(tag) <= set("0123456789ABCDEF") or tag.startswith("FFFE"):
        raise Unencodable("not a tag")
    return struct.pack(order + "HH", int(tag[:4], 16), int(tag[4:], 16))


def _named(tag: str) -> str:
    return f"({tag[:4]},{tag[4:]})"
