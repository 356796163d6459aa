"""The lists that devices were sent last, in memory, for when the broker cannot make a new one (P33).

A list is kept for the query that was asked, word for word, and told with its age; what is too old is
never sent.  The responses are the very bytes the response cache holds, so a list costs little more than
its references.  Both bounds are on what devices choose: how many queries, and how long the lists are.
"""

from __future__ import annotations

import datetime as dt
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

LISTS = 8
"""Lists kept of one device: a console asks two or three questions in turn."""

CAPACITY = 32 << 20
"""Bytes kept of all devices together; a list of 200 steps has some 200 KiB."""

_OVERHEAD = 100  # bytes a response costs beside its data


@dataclass(frozen=True, slots=True)
class Kept:
    """A list as it was sent."""

    responses: tuple[bytes, ...]
    pending: int  # the status of each
    at: float  # seconds on the clock that the keeper was given

    @property
    def size(self) -> int:
        """What it costs, in bytes."""
        return sum(len(data) for data in self.responses) + _OVERHEAD * (len(self.responses) + 1)


class LastGood:
    """The last good lists, by device and query; the oldest leave first."""

    def __init__(
        self, lists: int = LISTS, capacity: int = CAPACITY, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._lists, self._capacity, self._clock = lists, capacity, clock
        self._kept: OrderedDict[tuple[str, bytes], Kept] = OrderedDict()  # the latest sent is last
        self.size = 0

    def keep(self, device: str, query: bytes, responses: Sequence[bytes], pending: int) -> None:
        """Keep what *device* was just sent in answer to *query*."""
        self._forget((device, query))
        kept = Kept(tuple(responses), pending, self._clock())
        self._kept[device, query] = kept
        self.size += kept.size
        own = [key for key in self._kept if key[0] == device]
        for key in own[: len(own) - self._lists]:
            self._forget(key)
        while self.size > self._capacity:
            self._forget(next(iter(self._kept)))

    def get(self, device: str, query: bytes, within: dt.timedelta | None) -> Kept | None:
        """Return the list, if it is no older than *within*; None forbids any."""
        kept = self._kept.get((device, query))
        if kept is None or within is None or self.age(kept) > within.total_seconds():
            return None
        return kept

    def age(self, kept: Kept) -> float:
        """Return how old a list is, in seconds."""
        return self._clock() - kept.at

    def _forget(self, key: tuple[str, bytes]) -> None:
        if (gone := self._kept.pop(key, None)) is not None:
            self.size -= gone.size
