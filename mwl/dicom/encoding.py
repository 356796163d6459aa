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
from dataclasses import dataclass
from functools import lru_cache

from mwl.dicom.elements import IMPLICIT_LE, MAX_DEPTH, Budget, Coding, RawDataSet, Undecodable, read_elements
from mwl.dicom.values import read_value, write_value
from mwl.errors import MwlError
from mwl.mapping.text.charset import DEFAULT, CharacterSet, Unfit, UnknownCharacterSet, parse_terms
from mwl.model import Document, Element

__all__ = ["Undecodable", "Unencodable", "decode_dataset", "encode_dataset"]

MAX_BYTES = 4 << 20  # octets: an MPPS with 30,000 references

_CHARACTER_SET = "00080005"
# PS3.5 table 7.1-1
_LONG_LENGTH = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}
_ITEM = b"\xfe\xff\x00\xe0"
_ITEM_BIG_ENDIAN = b"\xff\xfe\xe0\x00"


@dataclass(frozen=True, slots=True)
class _Syntax:
    coding: Coding
    deflated: bool = False


_SYNTAXES = {
    "1.2.840.10008.1.2": _Syntax(IMPLICIT_LE),
    "1.2.840.10008.1.2.1": _Syntax(Coding(explicit=True, order="<")),
    "1.2.840.10008.1.2.2": _Syntax(Coding(explicit=True, order=">")),
    "1.2.840.10008.1.2.1.99": _Syntax(Coding(explicit=True, order="<"), deflated=True),
}


class Unencodable(MwlError, ValueError):
    """A document that is no data set; the message names the tag and quotes no value."""


def decode_dataset(raw: bytes, transfer_syntax_uid: str) -> Document:
    """Return the document that *raw* holds, elements in the order they came.

    Raises `Undecodable`, also for a transfer syntax that no worklist uses.
    """
    syntax = _SYNTAXES.get(transfer_syntax_uid)
    if syntax is None:
        raise Undecodable("transfer syntax not supported", transfer_syntax=transfer_syntax_uid)
    if syntax.deflated:
        raw = _inflate(raw)
    if len(raw) > MAX_BYTES:
        raise Undecodable("a data set of too many bytes")
    budget = Budget()
    return _document(read_elements(raw, syntax.coding, budget), DEFAULT, budget)


def encode_dataset(document: Document, transfer_syntax_uid: str, charset: CharacterSet) -> bytes:
    """Return *document* as bytes: tags ascending, lengths explicit, values padded to even length.

    Raises `Unfit` for text that *charset* lacks, `Unencodable` for anything else that cannot be
    written as it stands; both are ValueErrors whose message begins with the tag.
    """
    syntax = _SYNTAXES.get(transfer_syntax_uid)
    if syntax is None:
        raise Unencodable("transfer syntax not supported", transfer_syntax=transfer_syntax_uid)
    raw = _write_document(document, syntax.coding, charset, depth=0)
    return _deflate(raw) if syntax.deflated else raw


def _inflate(raw: bytes) -> bytes:
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(raw, MAX_BYTES + 1)
    except zlib.error:
        raise Undecodable("not a deflated data set") from None
    if not inflater.eof and len(inflated) <= MAX_BYTES:
        raise Undecodable("a deflated data set without its end")
    return inflated


def _deflate(raw: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = deflater.compress(raw) + deflater.flush()
    return deflated + b"\0" if len(deflated) & 1 else deflated  # PS3.5 A.5


def _document(elements: RawDataSet, inherited: CharacterSet, budget: Budget) -> Document:
    charset = _stated(elements) or inherited
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
    stated = elements.get(_CHARACTER_SET)
    if stated is None or not isinstance(stated.content, bytes):
        return None
    label = stated.content.decode("ascii", "replace").strip(" \0")
    if not label:
        return None
    try:
        return parse_terms(label)
    except UnknownCharacterSet:
        return DEFAULT  # F-X19


def _write_document(document: Document, coding: Coding, charset: CharacterSet, depth: int) -> bytes:
    if depth > MAX_DEPTH:
        raise Unencodable("sequences nested too deeply")
    parts: list[bytes] = []
    order = coding.order
    for tag in sorted(document):
        element = document[tag]
        vr = element.get("vr", "")
        if vr == "SQ":
            raw = _write_items(tag, element, coding, charset, depth)
        else:
            raw = _write_element(tag, element, order, charset)
        parts.append(_tag(tag, order))
        if not coding.explicit:
            parts.append(struct.pack(order + "I", len(raw)))
        elif vr in _LONG_LENGTH:
            parts.append(struct.pack(order + "2sHI", vr.encode(), 0, len(raw)))
        elif len(raw) <= 0xFFFF:
            parts.append(struct.pack(order + "2sH", vr.encode(), len(raw)))
        else:
            raise Unencodable(f"{_named(tag)}: too long for {vr}")
        parts.append(raw)
    return b"".join(parts)


def _write_element(tag: str, element: Element, order: str, charset: CharacterSet) -> bytes:
    try:
        return write_value(element, order, charset)
    except Unfit as error:
        raise Unfit(f"{_named(tag)}: {error}") from None
    except (ValueError, KeyError) as error:
        reason = "no value representation" if isinstance(error, KeyError) else str(error)
        raise Unencodable(f"{_named(tag)} {element.get('vr', '')}: {reason}") from None


def _write_items(tag: str, element: Element, coding: Coding, charset: CharacterSet, depth: int) -> bytes:
    parts: list[bytes] = []
    for item in element.get("Value") or ():
        if not isinstance(item, dict):
            raise Unencodable(f"{_named(tag)} SQ: not an item")
        raw = _write_document(item, coding, charset, depth + 1)
        parts.append(_ITEM if coding.order == "<" else _ITEM_BIG_ENDIAN)
        parts.append(struct.pack(coding.order + "I", len(raw)))
        parts.append(raw)
    return b"".join(parts)


@lru_cache(maxsize=4096)
def _tag(tag: str, order: str) -> bytes:
    if len(tag) != 8 or not set(tag) <= set("0123456789ABCDEF") or tag.startswith("FFFE"):
        raise Unencodable("not a tag")
    return struct.pack(order + "HH", int(tag[:4], 16), int(tag[4:], 16))


def _named(tag: str) -> str:
    return f"({tag[:4]},{tag[4:]})"
