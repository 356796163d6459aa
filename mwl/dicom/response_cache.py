"""Encoded responses, kept until they are wrong or there is no room.

An entry is keyed by everything it was made from: the steps it stands for and the revision of each of
their levels, the profile's digest and what it reads of the association and the day, the transfer syntax, the
character set asked for and the attributes requested.  An update changes a revision, so an old entry
is never found again; nothing has to be invalidated, on this broker or on another that shares the
database.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from mwl.dicom.last_good import LastGood
from mwl.store.queries import LeftOut

MEBIBYTE = 2**20  # bytes
_OVERHEAD = 400  # bytes of key and bookkeeping an entry costs beside its data, measured with CPython 3.11


@dataclass(frozen=True, slots=True)
class Encoded:
    """One response's data set; without one the step is not sent to this device, for the reason beside it."""

    data: bytes = b""
    left_out: LeftOut | None = None
    marks: tuple[tuple[str, ...], ...] = ()  # values that no other response of a list should have

    @property
    def withheld(self) -> bool:
        """Whether somebody has to know that it is not sent: a filter leaves steps out on purpose."""
        return self.left_out is not None and not self.left_out.intended


def _size(entry: Encoded) -> int:
    return len(entry.data) + _OVERHEAD + sum(len(text) for mark in entry.marks for text in mark)


class ResponseCache:
    """Least recently used entries leave first once *capacity* (bytes) is reached.

    Keys are of bounded size: what a peer chooses in them is hashed before.
    """

    def __init__(self, capacity: int = 64 * MEBIBYTE) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[Hashable, Encoded] = OrderedDict()
        self.size = 0
        self.lists = LastGood()
        """Whole lists, for when no new one can be made; like the responses they outlive a reload."""

    def get(self, key: Hashable) -> Encoded | None:
        """Return the entry of *key* and mark it used."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def put(self, key: Hashable, entry: Encoded) -> None:
        """Keep *entry*; make room for it."""
        if (old := self._entries.pop(key, None)) is not None:
            self.size -= _size(old)
        self._entries[key] = entry
        self.size += _size(entry)
        while self.size > self._capacity:
            _, gone = self._entries.popitem(last=False)
            self.size -= _size(gone)
