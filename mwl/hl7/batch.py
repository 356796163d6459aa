"""Batches: several messages in one block, between FHS, BHS and BTS, FTS (D-29).

Theory of operation.  Every message of a batch is a message: taken in by itself, in the order of the
batch, kept and answered by itself, in a transaction of its own.  One that is refused takes none of the
others with it.  The answers go back as one batch in one block, the first of the three ways HL7 knows
(2.10.3.3 a): who sends one block waits for one, and would take a second for the answer to what it
sends next.

    FHS|..  BHS|..                  BHS|..                BHS-12 is the sender's BHS-11
      MSH  ...         ──▶            MSH  MSA|AA|1
      MSH  ...                        MSH  MSA|AE|2   ERR
    BTS|2   FTS|1                   BTS|2

A file of several batches is answered by as many, still in one block and without FHS: there are
senders that look for BHS or MSH at its beginning.

A trailer that states another number than there are is answered by one acknowledgement more, AE to the
batch's own number: what is there was whole and was taken, the sender learns that something is not.

The frame is found in the bytes, before any character set is known; each message has its own.  That is
safe for the same reason as MLLP: a CR is no part of a character in any set that is taken.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from mwl.errors import Finding, Location, NotUnderstood
from mwl.hl7.ack import new_control_id
from mwl.hl7.escapes import USUAL
from mwl.hl7.header import Header, read_header

MAX_PARTS: Final = 10_000  # messages, headers and trailers; a block of 4 MiB holds as many small orders

_BEGINS = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?P<name>[FB]HS)(?![A-Za-z0-9])")
_NAME = rb"(?P<name>FHS|BHS|MSH|BTS|FTS)(?![A-Za-z0-9])"
_AFTER_CR = re.compile(rb"(?:\A|\r\n?)" + _NAME)
_AFTER_LF = re.compile(rb"(?:\A|[\r\n])" + _NAME)
_NAMELESS = Header(("BHS", "|", USUAL.declared))
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Part:
    """The messages between one BHS and its BTS, either of which may be missing."""

    header: Header | None
    messages: tuple[bytes, ...] = ()
    count: str | None = None  # BTS-1 as written; None: there is no BTS


@dataclass(frozen=True, slots=True)
class Batch:
    """A block that holds a batch, or a file of batches."""

    header: Header | None  # FHS
    parts: tuple[Part, ...]
    count: str | None = None  # FTS-1
    frame: bytes = b""  # its headers and trailers, without the messages

    @classmethod
    def open(cls, raw: bytes) -> Batch | None:
        """Take a block apart; None where it is no batch.  Raises `NotUnderstood` for too many parts."""
        return _Opening().run(raw[begin.start("name") :]) if (begin := _BEGINS.match(raw)) else None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with the frame: the numbers its trailers state."""
        counted = [_count("BTS", n, part.count, len(part.messages)) for n, part in enumerate(self.parts, 1)]
        # A file without batches has some senders count the messages instead.
        bare = sum(len(part.messages) for part in self.parts if part.header is None)
        found = (*counted, _count("FTS", 1, self.count, len(self.parts), bare))
        return tuple(each for each in found if each is not None)

    @property
    def named(self) -> Header:
        """The header whose number an answer to the frame refers to: of the last batch, else of the file."""
        headers = [part.header for part in reversed(self.parts) if part.header]
        return headers[0] if headers else self.header or _NAMELESS

    def answer(
        self,
        answers: Sequence[Sequence[bytes]],
        more: Sequence[bytes] = (),
        *,
        now: dt.datetime,
        new_id: Callable[[], str] = new_control_id,
    ) -> bytes | None:
        """Return the block that answers: *answers* to each message in turn, *more* to the frame.

        None where nobody wants an answer to anything.  *now* is aware.
        """
        if answers and not (any(answers) or more):
            return None
        given = iter(answers)
        pieces: list[bytes] = []
        for n, part in enumerate(self.parts, 1):
            told = [each for _ in part.messages for each in next(given)]
            told += more if n == len(self.parts) else ()
            header = part.header or self.header or _NAMELESS
            pieces += [_opened(header, now, new_id), *told, _closed(header, len(told))]
        return b"".join(pieces)


class _Opening:
    """One block being taken apart, segment by segment of its frame."""

    def __init__(self) -> None:
        self._parts: list[Part] = []
        self._open = False  # whether the last part takes further messages
        self._messages: list[bytes] = []
        self._header: Header | None = None
        self._count: str | None = None
        self._frame: list[bytes] = []

    def run(self, raw: bytes) -> Batch:
        for count, (name, segment) in enumerate(_segments(raw), 1):
            if count > MAX_PARTS:
                text = f"the batch has more than {MAX_PARTS} messages, headers and trailers"
                raise NotUnderstood([Finding(Location("BHS"), 207, text)])
            if name == b"MSH":
                self._message(segment)
            else:
                self._frame.append(segment.strip() + b"\r")
                self._mark(name, segment)
        self._end(None)
        if not self._parts:  # a file of nothing
            self._parts.append(Part(None))
        return Batch(self._header, tuple(self._parts), self._count, b"".join(self._frame))

    def _mark(self, name: bytes, segment: bytes) -> None:
        if name == b"FHS":
            self._header = _header(segment)
        elif name == b"BHS":
            self._end(None)
            self._begin(_header(segment))
        elif name == b"BTS":
            self._begin(None)
            self._end(_first_field(segment))
        else:
            self._end(None)
            self._count = _first_field(segment)

    def _begin(self, header: Header | None) -> None:
        if not self._open:
            self._parts.append(Part(header))
            self._open = True

    def _message(self, segment: bytes) -> None:
        self._begin(None)
        self._messages.append(segment)

    def _end(self, count: str | None) -> None:
        if self._open:
            self._parts[-1] = replace(self._parts[-1], messages=tuple(self._messages), count=count)
            self._messages, self._open = [], False


def _segments(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the segments of the frame, and each message whole, by name.

    An LF begins a line only where the header itself ends with one: in text of a message that ends its
    segments with CR it does not (D-23).
    """
    first = re.search(rb"[\r\n]", raw)
    pattern = _AFTER_LF if first and first[0] == b"\n" else _AFTER_CR
    before: re.Match[bytes] | None = None
    for found in pattern.finditer(raw):
        if before is not None:
            yield before["name"], raw[before.start("name") : found.start("name")]
        before = found
    if before is not None:
        yield before["name"], raw[before.start("name") :]


def _header(segment: bytes) -> Header:
    """Return BHS or FHS; what cannot be read is a header that says nothing."""
    text = segment.decode("latin-1")
    try:
        return read_header(text, "latin-1")
    except NotUnderstood:
        return Header((text[:3], "|", USUAL.declared))


def _first_field(segment: bytes) -> str:
    """Return BTS-1 or FTS-1; its separator is whatever follows the name."""
    separator = segment[3:4].decode("latin-1")
    fields = segment.decode("latin-1").strip().split(separator) if separator.strip() else []
    return fields[1].strip() if len(fields) > 1 else ""


def _count(name: str, occurrence: int, stated: str | None, found: int, or_else: int = 0) -> Finding | None:
    """Return what is wrong with a trailer's number; one that states none is right."""
    if not stated or (stated.isdecimal() and len(stated) < 10 and int(stated) in (found, or_else or found)):
        return None
    what = "messages" if name == "BTS" else "batches"
    text = f"the number stated is not that of the {what}, {found} came"
    return Finding(Location(name, occurrence, 1), 100 if stated.isdecimal() else 102, text)


def _opened(header: Header, now: dt.datetime, new_id: Callable[[], str]) -> bytes:
    d = header.delimiters
    fields = {
        2: d.declared,
        3: header.raw(5) or "MWL",
        4: header.raw(6),
        5: header.raw(3),
        6: header.raw(4),
        7: now.strftime("%Y%m%d%H%M%S%z"),
        11: new_id(),
        12: header.raw(10),  # where `read_header` puts the control ID of a batch
    }
    line = d.field.join(["BHS", *(fields.get(number, "") for number in range(2, 13))])
    return f"{_CONTROLS.sub('', line).rstrip(d.field)}\r".encode("latin-1", "replace")


def _closed(header: Header, count: int) -> bytes:
    return f"BTS{header.delimiters.field}{count}\r".encode("latin-1", "replace")
