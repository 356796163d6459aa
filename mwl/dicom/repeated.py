"""Questions that were asked before: a device asks the same, to the octet, every minute of its life.

What a question means follows from its octets, the profile and what the profile knows of the
association; so it is worked out once.  The clock is not among these: a profile that looked at it while
the question was read (the window of a day, an age) has it read anew each time.  Only where the limit
starts from may change in what is remembered, which is set each time.

Beside it stands how long the database took: what is quick is read in the event loop the next time.
"""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, fields, replace

from mwl.dicom import answering
from mwl.dicom.answering import Asked, Question
from mwl.mapping.devices.device import DeviceProfile, Facts

_KEPT = 500  # questions; with their documents some 20 KiB each
_LONGEST = 8 * 1024  # octets of an identifier; those that devices send have some hundred
_QUICK = 0.001  # seconds; the loop has other associations to serve


@dataclass(slots=True)
class Pace:
    """How the database took a question the last time."""

    quick: bool = False

    def took(self, seconds: float) -> None:
        """Learn how long it took this time."""
        self.quick = seconds < _QUICK


class _Clocked(Facts):
    """The facts of an association, and whether anybody looked at the clock."""

    __slots__ = ("_at", "looked")
    _at: dt.datetime
    looked: bool

    def __init__(self, facts: Facts) -> None:
        for each in fields(Facts):
            if each.name != "now":
                object.__setattr__(self, each.name, getattr(facts, each.name))
        object.__setattr__(self, "_at", facts.now)
        object.__setattr__(self, "looked", False)

    @property
    def now(self) -> dt.datetime:
        object.__setattr__(self, "looked", True)
        return self._at


class Repeated:
    """The latest questions, and what they mean; those of one configuration."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, tuple[Asked, Pace]] = OrderedDict()

    def read(
        self, question: Question, profile: DeviceProfile, facts: Facts, zone: dt.tzinfo
    ) -> tuple[Asked, Pace]:
        """Do as `answering.read`, which is only asked where it must be; tell how the database takes it."""
        key = (question, profile.digest, replace(facts, now=_NEVER))
        if (known := self._known.get(key)) is not None:
            self._known.move_to_end(key)
        else:
            clocked = _Clocked(facts)
            known = answering.meaning(question, profile, clocked, zone), Pace()
            if not clocked.looked and len(question.identifier) <= _LONGEST:
                self._known[key] = known
                if len(self._known) > _KEPT:
                    self._known.popitem(last=False)
        asked, pace = known
        return answering.at(asked, facts), pace


_NEVER = dt.datetime.min.replace(tzinfo=dt.UTC)
