"""The value of one element: bytes on one side, the JSON model on the other (PS3.5 6.2, PS3.18 F.2).

Reading never fails: what a device wrote is kept as it is meant, without padding, and not judged;
"*" and ranges stay literal whatever the VR.  A number whose bytes do not add up is kept as UN.
Writing does fail: with `Unfit` for text the character set lacks, with `ValueError` for a value that
its VR cannot hold.  Nothing is cut, converted or replaced, and no message quotes a value.
"""

from __future__ import annotations

import base64
import struct
from array import array
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from mwl.dicom.elements import Budget
from mwl.mapping.text.charset import DEFAULT, CharacterSet
from mwl.model import Element, name_value, person_name

_NUMBERS = {
    "US": ("H", 2), "SS": ("h", 2), "UL": ("I", 4), "SL": ("i", 4), "FL": ("f", 4), "FD": ("d", 8),
    "UV": ("Q", 8), "SV": ("q", 8),
}  # fmt: skip
_FLOATS = ("FL", "FD")
_WORD = {"OB": 1, "UN": 1, "OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}
_ARRAY = {2: "H", 4: "I", 8: "Q"}
_NAMED_FLOATS = {"nan": "NaN", "inf": "inf", "-inf": "-inf"}  # PS3.18 F.2.3: JSON has no numbers for them

_Writer: TypeAlias = Callable[[Sequence[Any], str, CharacterSet], bytes]


def is_coded(vr: str) -> bool:
    """Tell whether values of *vr* are written in the data set's character set (A-57)."""
    return vr in _TEXT and _TEXT[vr][1]


def read_value(vr: str, raw: bytes, order: str, cs: CharacterSet, budget: Budget) -> Element:
    """Return the element that *raw* is the value of; an empty one has no "Value"."""
    if vr in _NUMBERS or vr == "AT":
        size = 4 if vr == "AT" else _NUMBERS[vr][1]
        if len(raw) % size:
            return _binary("UN", raw)
        budget.spend(len(raw) // size)
        values = _read_tags(raw, order) if vr == "AT" else _read_numbers(vr, raw, order)
        return {"vr": vr, "Value": values} if values else {"vr": vr}
    if vr not in _TEXT:
        size = _WORD.get(vr, 1)
        if order == ">" and size > 1 and len(raw) % size == 0:
            raw = _swapped(raw, size)
        return _binary(vr if vr in _WORD else "UN", raw)
    texts = _read_texts(vr, raw, cs, budget)
    return {"vr": vr, "Value": texts} if any(texts) else {"vr": vr}


def in_order(vr: str, raw: bytes, order: str, wanted: str) -> bytes:
    """Return the bytes of a value in the other byte order, where its VR has one."""
    size = 2 if vr == "AT" else _NUMBERS[vr][1] if vr in _NUMBERS else _WORD.get(vr, 1)
    return raw if order == wanted or size == 1 or len(raw) % size else _swapped(raw, size)


def write_value(element: Element, order: str, cs: CharacterSet) -> bytes:
    """Return the value of *element*, which is no sequence, padded to even length."""
    values = element.get("Value")
    vr = element["vr"]
    if vr in _WORD:
        return _write_binary(element, order)
    writer = _WRITERS.get(vr)
    if writer is None:
        raise ValueError("unknown value representation")
    if not values:
        if "InlineBinary" in element or "BulkDataURI" in element:
            raise ValueError("binary data under a VR that has none")
        return b""
    if not isinstance(values, list | tuple):
        raise ValueError("values not in a list")  # noqa: TRY004 - the contract is ValueError throughout
    return writer(values, order, cs)


def _read_texts(vr: str, raw: bytes, cs: CharacterSet, budget: Budget) -> list[Any]:
    many, coded = _TEXT[vr]
    cs = cs if coded else DEFAULT
    raw = raw.rstrip(b" \0")
    if not many:
        return [cs.decode(raw.lstrip(b" ") if vr == "UR" else raw)]
    parts = cs.split(raw)
    budget.spend(len(parts))
    if vr == "PN":
        return [name_value(cs.decode(part.strip(b" \0"), name=True)) or None for part in parts]
    return [cs.decode(part.strip(b" \0")) or None for part in parts]


def _read_numbers(vr: str, raw: bytes, order: str) -> list[Any]:
    code, size = _NUMBERS[vr]
    numbers = struct.unpack(f"{order}{len(raw) // size}{code}", raw)
    if vr not in _FLOATS:
        return list(numbers)
    return [_NAMED_FLOATS.get(str(number), number) for number in numbers]


def _read_tags(raw: bytes, order: str) -> list[str]:
    halves = struct.unpack(f"{order}{len(raw) // 2}H", raw)
    return [f"{group:04X}{number:04X}" for group, number in zip(halves[::2], halves[1::2], strict=True)]


def _binary(vr: str, raw: bytes) -> Element:
    return {"vr": vr, "InlineBinary": base64.b64encode(raw).decode("ascii")} if raw else {"vr": vr}


def _swapped(raw: bytes, size: int) -> bytes:
    words = array(_ARRAY[size], raw)
    words.byteswap()
    return words.tobytes()


def _write_texts(values: Sequence[Any], order: str, cs: CharacterSet) -> bytes:  # noqa: ARG001
    return _even(b"\\".join([_write_text(value, cs) for value in values]))


def _write_text(value: Any, cs: CharacterSet) -> bytes:
    if value is None:
        return b""
    if not isinstance(value, str):
        raise ValueError("not text")  # noqa: TRY004
    if "\\" in value:
        raise ValueError("a backslash inside a value")
    return cs.encode(value)


def _write_ascii(values: Sequence[Any], order: str, cs: CharacterSet) -> bytes:  # noqa: ARG001
    return _write_texts(values, order, DEFAULT)


def _write_uids(values: Sequence[Any], order: str, cs: CharacterSet) -> bytes:  # noqa: ARG001
    return _even(b"\\".join([_write_text(value, DEFAULT) for value in values]), b"\0")


def _write_long_text(values: Sequence[Any], order: str, cs: CharacterSet) -> bytes:  # noqa: ARG001
    value, *others = values  # one value, in which the backslash is a character
    if others or not isinstance(value, str):
        raise ValueError("not text")
    return _even(cs.encode(value))


def _write_uri(values: Sequence[Any], order: str, cs: CharacterSet) -> bytes:  # noqa: ARG001
    return _write_long_text(values, order, DEFAULT)


def _write_names(values: Sequence[Any], order: str, cs: CharacterSet) -> bytes:  # noqa: ARG001
    return _even(b"\\".join([_write_name(value, cs) for value in values]))


def _write_name(value: Any, cs: CharacterSet) -> bytes:
    if value is None:
        return b""
    if not isinstance(value, dict):
        raise ValueError("not a person name")  # noqa: TRY004
    for group in value.values():
        if not isinstance(group, str) or "\\" in group or "=" in group:
            raise ValueError("no text, or a delimiter, inside a name")
    return cs.encode(person_name(value), name=True)


def _number_writer(vr: str) -> _Writer:
    code = _NUMBERS[vr][0]
    floats = vr in _FLOATS

    def write(values: Sequence[Any], order: str, cs: CharacterSet) -> bytes:  # noqa: ARG001
        if floats:
            values = [float(v) if v in _NAMED_FLOATS.values() else v for v in values]
        if not all(type(v) is int or (floats and type(v) is float) for v in values):
            raise ValueError("not a number")
        try:
            return struct.pack(f"{order}{len(values)}{code}", *values)
        except (struct.error, OverflowError):
            raise ValueError("a number out of range") from None

    return write


def _write_tags(values: Sequence[Any], order: str, cs: CharacterSet) -> bytes:  # noqa: ARG001
    if not all(isinstance(value, str) and len(value) == 8 for value in values):
        raise ValueError("not a tag")
    try:
        tags = [int(value, 16) for value in values]
    except ValueError:
        raise ValueError("not a tag") from None
    return b"".join(struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF) for tag in tags)


def _write_binary(element: Element, order: str) -> bytes:
    if element.get("Value") or "BulkDataURI" in element:
        raise ValueError("binary data not inline")
    try:
        raw = base64.b64decode(element.get("InlineBinary", ""), validate=True)
    except (ValueError, TypeError):
        raise ValueError("not base64") from None
    size = _WORD[element["vr"]]
    if len(raw) % size:
        raise ValueError("binary data of odd length")
    return _even(_swapped(raw, size) if order == ">" and size > 1 else raw, b"\0")


def _even(raw: bytes, padding: bytes = b" ") -> bytes:
    return raw + padding if len(raw) & 1 else raw


# VR → may have several values, is coded in the data set's character set
_TEXT = {
    **dict.fromkeys(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI"), (True, False)),
    **dict.fromkeys(("LO", "PN", "SH", "UC"), (True, True)),
    **dict.fromkeys(("LT", "ST", "UT"), (False, True)),
    "UR": (False, False),
}
_WRITERS: dict[str, _Writer] = {
    **dict.fromkeys(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM"), _write_ascii),
    **dict.fromkeys(("LO", "SH", "UC"), _write_texts),
    **dict.fromkeys(("LT", "ST", "UT"), _write_long_text),
    **{vr: _number_writer(vr) for vr in _NUMBERS},
    "UI": _write_uids,
    "UR": _write_uri,
    "PN": _write_names,
    "AT": _write_tags,
}
