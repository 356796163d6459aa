"""Encoded responses, kept until they are wrong or there is no room.

An entry is keyed by everything it was made from: the step and the revision of each of its levels,
the profile's digest and what it reads of the association and the day, the transfer syntax, the
character set asked for and the attributes requested.  An update changes a revision, so an old entry
is never found again; nothing has to be invalidated, on this broker or on another that shares the
database.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

MEBIBYTE = 2**20  # bytes
_OVERHEAD = 400  # bytes of key and bookkeeping an entry costs beside its data, measured with CPython 3.11


@dataclass(frozen=True, slots=True)
class Encoded:
    """One response's data set; without one the step is not sent to this device.

    *withheld* is why, where somebody has to know: a profile's filter leaves steps out on purpose.
    """

    data: bytes = b""
    withheld: str = ""


class ResponseCache:
    """Least recently used entries leave first once *capacity* (bytes) is reached.

    Keys are of bounded size: what a peer chooses in them is hashed before.
    """

    def __init__(self, capacity: int = 64 * MEBIBYTE) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[Hashable, Encoded] = OrderedDict()
        self.size = 0

    def get(self, key: Hashable) -> Encoded | None:
        """Return the entry of *key* and mark it used."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def put(self, key: Hashable, entry: Encoded) -> None:
        """Keep *entry*; make room for it."""
        if (old := self._entries.pop(key, None)) is not None:
            self.size -= len(old.data) + _OVERHEAD
        self._entries[key] = entry
        self.size += len(entry.data) + _OVERHEAD
        while self.size > self._capacity:
            _, gone = self._entries.popitem(last=False)
            self.size -= len(gone.data) + _OVERHEAD
