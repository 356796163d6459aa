"""How much one device may ask: a device that asks for everything every second is held back.

Theory of operation
-------------------
Each device has an allowance of queries that grows with time, up to what a minute allows.  A query takes
one, and one more for each hundred items that its answer had: those are counted when they are known, and
may leave the allowance in debt.  Who has less than one is refused (A700), a second later: the pause
costs the broker nothing, and holds back who would only ask the faster.

A device is its key in the configuration; of those that no key names, each address is one, for anybody
can make up AE titles.  What is remembered is bounded.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

PAUSE = 1.0
"""Seconds before a refusal leaves."""

ITEMS = 100
"""So many items of an answer count as a query."""

_MINUTE = 60.0  # seconds
_REMEMBERED = 2000  # devices; those that asked least recently are forgotten


@dataclass(slots=True)
class _Allowance:
    left: float
    at: float


class QueryRate:
    """The allowances of all devices; one serves a broker for as long as it runs."""

    def __init__(
        self,
        per_minute: int | None = None,
        pause: float = PAUSE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*per_minute* is how many queries a device may make; None: any number."""
        self.per_minute = per_minute
        self.pause = pause
        self._clock = clock
        self._allowances: OrderedDict[str, _Allowance] = OrderedDict()

    def allows(self, device: str) -> bool:
        """Tell whether *device* may ask once more now, and count it."""
        if self.per_minute is None:
            return True
        allowance = self._of(device, self.per_minute)
        if allowance.left < 1:
            return False
        allowance.left -= 1
        return True

    def answered(self, device: str, items: int) -> None:
        """Count what an answer held."""
        if self.per_minute is not None and items >= ITEMS:
            self._of(device, self.per_minute).left -= items / ITEMS

    def _of(self, device: str, most: int) -> _Allowance:
        now = self._clock()
        found = self._allowances.pop(device, None) or _Allowance(most, now)
        found.left, found.at = min(most, found.left + (now - found.at) * most / _MINUTE), now
        self._allowances[device] = found
        while len(self._allowances) > _REMEMBERED:
            self._allowances.popitem(last=False)
        return found
