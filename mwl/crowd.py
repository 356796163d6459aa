"""How many connections a listener has, and from where; and how seldom a crowd is told of.

Every listener counts with it, so that no address has more than its share, whatever protocol it speaks.
What is remembered is what is open: an address without a connection is forgotten.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from enum import Enum

EVERY = 60.0
"""Seconds between two lines of the log that say the same."""

_REMEMBERED = 1000  # things that were told; those told longest ago are forgotten


class Full(Enum):
    """Of what there is too much."""

    TOTAL = "all together"
    ADDRESS = "from one address"


class Crowd:
    """The connections of one listener."""

    def __init__(self) -> None:
        self._from: Counter[str] = Counter()
        self.total = 0

    def of(self, address: str) -> int:
        """Return how many are open from *address*."""
        return self._from[address]

    def full(self, address: str, most: int, per_address: int) -> Full | None:
        """Return why one more from *address* is too much, or None."""
        if self.total >= most:
            return Full.TOTAL
        return Full.ADDRESS if self._from[address] >= per_address else None

    def enter(self, address: str) -> None:
        """Count a connection."""
        self._from[address] += 1
        self.total += 1

    def leave(self, address: str) -> None:
        """Forget a connection that `enter` counted."""
        self.total -= 1
        self._from[address] -= 1
        if self._from[address] <= 0:
            del self._from[address]


class Seldom:
    """Whether something is to be told again: a flood of lines helps nobody."""

    def __init__(self, every: float = EVERY, clock: Callable[[], float] = time.monotonic) -> None:
        self._every, self._clock = every, clock
        self._told: OrderedDict[object, tuple[float, int]] = OrderedDict()  # when, and how often since

    def due(self, what: object) -> int:
        """Return how often *what* has happened since it was told, this time included; 0: not to be told."""
        now = self._clock()
        at, count = self._told.pop(what, (None, 0))
        due = at is None or now - at >= self._every
        self._told[what] = (now, 0) if due or at is None else (at, count + 1)
        while len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        return count + 1 if due else 0
