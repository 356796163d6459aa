"""Whether a message's segments belong together the way an order needs (D-33).

An order that lost its detail segment, a detail segment that belongs to no order, a second patient: none
of these may be guessed at or passed over, for each would put an exam on the wrong list or on none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mwl.errors import Location
from mwl.mapping.systems.reading import Reading
from mwl.mapping.systems.source import Source

SEQUENCE_ERROR = 100  # HL7 table 0357 (D-19)


@dataclass(frozen=True, slots=True)
class Structure:
    """Segments that begin an order, and those there must be one of."""

    starts: tuple[str, ...]
    one_in_message: tuple[str, ...] = ()
    one_in_group: tuple[str, ...] = ()

    def place(self, group: Source) -> Location:
        """Return where an order begins."""
        start = next((each for each in self.starts if group.count(each)), self.starts[0])
        return Location(*group.location(start, 1))

    def check_message(self, source: Source, groups: Sequence[Source], reading: Reading) -> None:
        """Report what the whole message lacks, has too often, or has outside of its orders."""
        for segment in self.one_in_message:
            exactly_one(source, segment, Location(segment), reading)
        if not groups and not any(source.count(segment) for segment in self.one_in_group):
            reading.error(Location(self.starts[0]), "the message has no order", SEQUENCE_ERROR)
        for segment in self.one_in_group:
            inside = {
                group.location(segment, number)
                for group in groups
                for number in range(1, group.count(segment) + 1)
            }
            if source.count(segment) > len(inside):
                starts = " or ".join(self.starts)
                reading.error(Location(segment), f"{segment} stands without {starts}", SEQUENCE_ERROR)

    def check_groups(self, groups: Sequence[Source], reading: Reading) -> None:
        """Report what orders lack, have too often, or share."""
        for segment in self.one_in_group:
            for group in groups:
                if group.count(segment) != 1:
                    exactly_one(group, segment, self.place(group), reading)
            if len(groups) == 1:
                continue
            held = Counter(group.location(segment, 1) for group in groups if group.count(segment))
            for location, orders in held.items():
                if orders > 1:
                    reading.error(Location(*location), f"orders share one {segment}", SEQUENCE_ERROR)


def exactly_one(source: Source, segment: str, otherwise: Location, reading: Reading) -> None:
    """Report where *source* has no such segment, or a further one; *otherwise* is where one is missing."""
    count = source.count(segment)
    if count == 0:
        reading.error(otherwise, f"{segment} is missing here", SEQUENCE_ERROR)
    elif count > 1:
        further = Location(*source.location(segment, 2))
        reading.error(further, f"a further {segment} stands where one is expected", SEQUENCE_ERROR)
