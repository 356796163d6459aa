"""Station rules: which station an order goes to that names none.

A rule has conditions on the order and the AE titles of the stations that then serve it.  The rule with
the highest priority whose conditions all hold is the one, of equals the one written first.  Where the
word ``stations`` stands in the list of a line decides whether a station that the message names counts
more, or less.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mwl.mapping.systems.catalogue import Given
from mwl.mapping.systems.hl7paths import Found
from mwl.mapping.systems.reading import Reading
from mwl.mapping.systems.rules import When
from mwl.mapping.systems.source import Source

WORD: Final = "stations"
"""What stands for the rules where a path could stand."""


@dataclass(frozen=True, slots=True)
class StationRule:
    """One rule."""

    name: str
    when: tuple[When, ...]
    titles: tuple[str, ...]
    origin: str  # file:line


@dataclass(frozen=True, slots=True)
class StationRules:
    """The rules of a profile, the first to be asked first."""

    rules: tuple[StationRule, ...]

    def given(self, source: Source, reading: Reading) -> Given | None:
        """See `mwl.mapping.systems.catalogue.Giver`."""
        for rule in self.rules:
            if all(condition.holds(source, None, reading.known) for condition in rule.when):
                found = [Found(((title,),), "^", source, "MSH", 1, 0, 1) for title in rule.titles]
                return Given(found, f"{WORD}.{rule.name} {rule.origin}")
        return None
