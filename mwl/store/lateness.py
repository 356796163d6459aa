"""Which message about an order came late.

Two stamps tell: when the message was sent (MSH-7), and when what it says came to be (ORC-9), which
survives an interface engine that sends again under a new MSH-7.  A message is late when one of them is
older than that of the last message that was applied in time, and the other is not newer.  Equal stamps,
and such as are not stated on both sides, say nothing; so a message that comes twice is late twice or
never.  Neither do those of two systems, whose clocks differ: a change must not get lost for that.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from mwl.store.transaction import stamp


@dataclass(frozen=True, slots=True)
class Stamps:
    """Of the last message that was applied to an order in time, as its columns hold them; "" is unknown."""

    sent_at: str = ""
    effective_at: str = ""
    sent_by: str = ""  # the system whose clock they are of


@dataclass(frozen=True, slots=True)
class Moment:
    """When a message was sent, and when what it says of an order came to be; aware."""

    sent_at: dt.datetime | None = None
    effective_at: dt.datetime | None = None
    system: str = ""

    def is_late(self, last: Stamps) -> bool:
        """Tell whether something later was applied before."""
        if self.system != last.sent_by:
            return False
        compared = {_compared(self.sent_at, last.sent_at), _compared(self.effective_at, last.effective_at)}
        return -1 in compared and 1 not in compared

    def after(self, last: Stamps) -> Stamps:
        """Return the stamps to keep once this message is applied; those of a late one are not."""
        if self.is_late(last) or (self.sent_at is None and self.effective_at is None):
            return last
        known = last if self.system == last.sent_by else Stamps()
        return Stamps(
            _kept(self.sent_at, known.sent_at), _kept(self.effective_at, known.effective_at), self.system
        )


UNSTATED = Moment()
"""A message that does not say when it is from: it is never late."""


def _compared(at: dt.datetime | None, known: str) -> int:
    if at is None or not known:
        return 0
    first, second = _readings(at)
    return -1 if second < known else int(first > known)


def _kept(at: dt.datetime | None, known: str) -> str:
    return known if at is None else _readings(at)[0]


def _readings(at: dt.datetime) -> tuple[str, str]:
    """Return the first and the last instant that a wall clock may mean (F-T04: an hour comes twice)."""
    if at.utcoffset() == at.replace(fold=1).utcoffset():
        return (stamp(at),) * 2
    first, second = sorted(stamp(at.replace(fold=fold)) for fold in (0, 1))
    return first, second
