"""Callers that are not configured, let in so that an engineer can see what they ask.

They may verify (C-ECHO) and ask; what they ask is kept, and refused (0124).  Anybody on the network is
such a caller, so few of them are in at a time, from one address and from all together, and few of
their queries are kept.  Who finds no room is rejected, as everybody is who is not configured where
nobody is held.

One quarantine serves a broker for as long as it runs: a reload neither empties it nor lets more in.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from mwl.dicom.service import AssociationFacts

PER_ADDRESS = 4
"""Associations from one address at a time: a workstation with several applications opens two or three."""

QUERIES = 30
"""Queries kept of one address at once, and in each minute after that; a device polls once a minute or so."""

_MINUTE = 60.0  # seconds
_ADDRESSES = 1000  # whose queries are counted; those seen least recently are forgotten


@dataclass(slots=True)
class _Allowance:
    """How many queries of an address may be kept now, and since when that has been so."""

    left: float
    at: float


class Quarantine:
    """Who is in it, and how much of what they ask is kept."""

    def __init__(
        self,
        associations: int,
        on_entered: Callable[[AssociationFacts], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*associations* is how many may be held at a time; *on_entered* hears of each that is."""
        self._associations = associations
        self._on_entered = on_entered
        self._clock = clock
        self._held: Counter[str] = Counter()
        self._allowances: OrderedDict[str, _Allowance] = OrderedDict()

    def room(self, address: str) -> bool:
        """Tell whether one more association from *address* can be held."""
        return self._held[address] < PER_ADDRESS and self._held.total() < self._associations

    def enter(self, association: AssociationFacts) -> None:
        """Take in an association."""
        self._held[association.address] += 1
        self._on_entered(association)

    def leave(self, association: AssociationFacts) -> None:
        """Forget an association that `enter` took in."""
        self._held[association.address] -= 1
        if not self._held[association.address]:
            del self._held[association.address]

    def keeps(self, address: str) -> bool:
        """Tell whether one more query from *address* is kept, and count it."""
        now = self._clock()
        found = self._allowances.pop(address, None) or _Allowance(QUERIES, now)
        left = min(QUERIES, found.left + (now - found.at) * QUERIES / _MINUTE)
        self._allowances[address] = _Allowance(left - 1 if left >= 1 else left, now)
        while len(self._allowances) > _ADDRESSES:
            self._allowances.popitem(last=False)
        return left >= 1
