"""MLLP framing: where a message begins and ends in a stream of bytes.  No sockets, no clock.

Theory of operation.  A block is VT, the message, FS CR (D-01).  The stream is cut into tokens (VT,
FS, runs of anything else) and each token moves one small machine:

    between ──VT──▶ inside ──FS──▶ closing ──CR──▶ between        (a `Frame`)
                     ▲  └VT: the partial is dropped (`Cut`)   closing ──VT──▶ inside (a `Frame`)
                     └────────anything else: the FS was content──────┘

What comes out depends on the bytes alone, never on how the network cut them.  That is why an FS
at the end of what has arrived is not yet the end of a block: the owner of the socket calls `flush`
when the CR does not come (D-02).  Deciding on the FS alone would cut a message that holds a stray
FS in two, and the half would be acknowledged.

VT, FS and CR are no trail bytes in any character set admitted on the wire (D-04).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

VT: Final = b"\x0b"
FS: Final = b"\x1c"
CR: Final = b"\x0d"

DEFAULT_LIMIT: Final = 4 * 1024 * 1024  # octets; orders stay below 100 KiB (D-03: 1 to 4 MiB)
HEAD: Final = 4096  # octets kept of a message that is too large: its MSH, for the answer

_TOKEN = re.compile(rb"\x0b|\x1c|[^\x0b\x1c]+")


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole block; *payload* is what stood between VT and FS."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Noise:
    """*count* octets before a block that belong to none; line ends are not counted."""

    count: int


@dataclass(frozen=True, slots=True)
class Cut:
    """A block of *count* octets that never ended: another began inside it.  It is not answered (D-02)."""

    count: int


@dataclass(frozen=True, slots=True)
class Oversize:
    """A block that passed the limit.  Only its *head* was kept; what passed the limit counts as noise."""

    head: bytes


Event: TypeAlias = Frame | Noise | Cut | Oversize


def frame(payload: bytes) -> bytes:
    """Return *payload* as one block."""
    return VT + payload + FS + CR


def join(payloads: list[bytes]) -> bytes:
    """Return several messages as one payload that `frame` turns into as many blocks."""
    return (FS + CR + VT).join(payloads)


def parts(payload: bytes | None) -> list[bytes]:
    """Return the messages that `join` made one payload of; none of none."""
    return [] if payload is None else payload.split(FS + CR + VT)


class Deframer:
    """Finds the blocks of one connection's stream; holds *limit* octets and one feed at most."""

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self._limit = limit
        self.noise = 0
        """Octets outside of blocks since the last block began; line ends are not counted."""
        self._partial = bytearray()
        self.inside = False
        """A block has begun and is not complete: the peer owes the rest of it soon."""
        self.closing = False
        """The block is complete but for the CR after its FS."""

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes of the stream, cut anywhere; return what they complete."""
        events: list[Event] = []
        for token in _TOKEN.findall(data):
            if token == VT:
                self._begin(events)
            elif self.closing and token.startswith(CR):
                events.append(self._end())
                self._stray(token)
            elif not self.inside:
                self._stray(token)
            else:
                self._content(token, events)
        return events

    def flush(self) -> list[Event]:
        """Return the block that lacks only its CR, where there is one: no more is coming now."""
        return [self._end()] if self.closing else []

    def _begin(self, events: list[Event]) -> None:
        if self.closing:
            events.append(self._end())
        elif self._partial:
            events.append(Cut(len(self._partial)))
        elif self.noise:
            events.append(Noise(self.noise))
        self.noise = 0
        self._partial.clear()
        self.inside = True

    def _end(self) -> Frame:
        found = Frame(bytes(self._partial))
        self._partial.clear()
        self.inside = self.closing = False
        return found

    def _stray(self, token: bytes | bytearray) -> None:
        # Senders that end blocks with FS CR LF, or blank lines between them, are no news.
        self.noise += len(token) - token.count(b"\r") - token.count(b"\n")

    def _content(self, token: bytes, events: list[Event]) -> None:
        if self.closing:  # the FS before this token was content
            self._partial += FS
        self.closing = token == FS
        if not self.closing:
            self._partial += token
        if len(self._partial) > self._limit:
            events.append(Oversize(bytes(self._partial[: min(HEAD, self._limit)])))
            self._stray(self._partial[self._limit :])
            self._partial.clear()
            self.inside = self.closing = False
