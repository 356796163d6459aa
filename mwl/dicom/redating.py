"""An identifier asked on another day: its start dates moved by a number of days, all else as it came.

A captured query asks for the day it was made.  Its dates are moved in the bytes themselves: decoding and
encoding it anew would lose the very faults (labels that lie, broken forms) that a profile is to cope with.
A moved date is as long as the one it takes the place of, so no length changes.
"""

from __future__ import annotations

import datetime as dt
import re
import struct
from dataclasses import dataclass

from mwl.dicom.encoding import deflate, inflate

_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_DATES = (
    (0x0040, 0x0002),
    (0x0040, 0x0004),
)  # Scheduled Procedure Step Start Date and End Date, at any level
_VALUE = re.compile(rb"[0-9.\- ]+\0?")
_DATE = re.compile(rb"([0-9]{4})(\.?)([0-9]{2})\2([0-9]{2})")  # the dotted form is ACR-NEMA's
_LONGEST = 64  # octets; a range in the dotted form has 22


@dataclass(frozen=True, slots=True)
class Redated:
    """An identifier with its dates moved, and which became which."""

    identifier: bytes
    dates: tuple[tuple[str, str], ...] = ()


def redate(identifier: bytes, transfer_syntax: str, days: int) -> Redated:
    """Return *identifier* as it would be asked *days* later; raise `Undecodable` for one not inflated."""
    if not days:
        return Redated(identifier)
    deflated = transfer_syntax == _DEFLATED
    raw = bytearray(inflate(identifier) if deflated else identifier)
    order = ">" if transfer_syntax == _BIG_ENDIAN else "<"
    moved: list[tuple[str, str]] = []
    for group, number in _DATES:
        tag = struct.pack(f"{order}HH", group, number)
        for header in re.finditer(re.escape(tag), bytes(raw)):
            begin, end = _value(raw, header.end(), order)
            raw[begin:end] = _moved(bytes(raw[begin:end]), days, moved)
    if not moved:
        return Redated(identifier)
    return Redated(deflate(bytes(raw)) if deflated else bytes(raw), tuple(moved))


def _value(raw: bytearray, at: int, order: str) -> tuple[int, int]:
    """Return where the value stands whose VR or length begins at *at*; an empty one for what is no date."""
    begin = at + 4
    if len(raw) < begin:
        return at, at
    explicit = raw[at : at + 2] == b"DA"
    length = struct.unpack_from(f"{order}H", raw, at + 2)[0] if explicit else _long(raw, at, order)
    end = begin + length
    if length > _LONGEST or end > len(raw) or not _VALUE.fullmatch(raw, begin, end):
        return at, at
    return begin, end


def _long(raw: bytearray, at: int, order: str) -> int:
    return int(struct.unpack_from(f"{order}I", raw, at)[0])


def _moved(value: bytes, days: int, moved: list[tuple[str, str]]) -> bytes:
    after = _DATE.sub(lambda match: _later(match, days), value)
    if after != value:
        moved.append((_text(value), _text(after)))
    return after


def _later(match: re.Match[bytes], days: int) -> bytes:
    year, dot, month, day = match.groups()
    try:
        date = dt.date(int(year), int(month), int(day)) + dt.timedelta(days)
    except (ValueError, OverflowError):  # no day of the calendar: it stays as the device wrote it
        return match[0]
    separator = dot.decode()
    return date.strftime(f"%Y{separator}%m{separator}%d").zfill(len(match[0])).encode()


def _text(value: bytes) -> str:
    return value.decode("ascii").strip(" \0")
