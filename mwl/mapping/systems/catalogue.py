"""The procedure catalogue at work: what a code means that the order does not say itself.

A line of a profile names a column where it could name a path: ``from: [OBR-24, catalogue.modality]``.
So its place in the list says whether the catalogue fills in for the message or goes before it, and its
value is read like any other.  A code with several rows is a procedure of several steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from mwl.mapping.systems.catalogue_file import CatalogueRow
from mwl.mapping.systems.hl7paths import Found, Hl7Path
from mwl.mapping.systems.lookup import Table
from mwl.mapping.systems.reading import Reading
from mwl.mapping.systems.source import Source

TABLE_VALUE: Final = 103  # HL7 table 0357 (D-19)

PREFIX: Final = "catalogue."
"""What a column's name begins with where a path could stand."""


class Given(NamedTuple):
    """What a profile knows by itself: values as if they had been found, and where they are written."""

    found: list[Found]
    origin: str  # what gave it, file:line


class Giver(Protocol):
    """Gives a value that the message does not hold; stands where a path could stand."""

    def given(self, source: Source, reading: Reading) -> Given | None:
        """Return what it knows of the order at hand, None where that is nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Catalogue:
    """A catalogue, and where the code stands in a message: the first path at which a known one does."""

    code: tuple[Hl7Path, ...]
    rows: Mapping[str, tuple[CatalogueRow, ...]]  # by code, as it is written first
    codes: Table  # what a message says to the code that is written
    refuses: bool = False  # whether a code that is not known is a mistake; it is reported anyway

    def find(self, source: Source, reading: Reading) -> tuple[Found, tuple[CatalogueRow, ...]] | None:
        """Return the rows of the code of *source*, and where the code stands."""
        missed: Found | None = None
        for path in self.code:
            for found in path.find(source):
                text = found.part(1)
                if text and (code := self.codes.get(text)) is not None:
                    return found, self.rows[code]
                missed = missed or (found if text else None)
        if missed is None:
            return None
        text = "is a code that stands in no row of the procedure catalogue"
        if self.refuses:
            reading.error(missed.location, text, TABLE_VALUE)
        else:
            reading.warn(missed, text, TABLE_VALUE)
        return None

    def steps(self, source: Source, reading: Reading) -> tuple[CatalogueRow, ...]:
        """Return a row for each step that the code of *source* means, () where it is not known."""
        found = self.find(source, reading)
        return found[1] if found else ()


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the catalogue."""

    name: str
    catalogue: Catalogue

    def given(self, source: Source, reading: Reading) -> Given | None:
        """See `Giver`; of a code with several rows the one of the step at hand, before any step the first."""
        known = self.catalogue.find(source, reading)
        if known is None or reading.step is None:
            return None
        found, rows = known
        row = rows[reading.step]
        values = row.cells.get(self.name)
        return Given(in_cell(values, found), f"{PREFIX}{self.name} {row.origin}") if values else None


def in_cell(values: tuple[str, ...], place: Found) -> list[Found]:
    """Return the values of a cell as if they stood at *place*, where the code does."""
    return [
        place._replace(parts=tuple((part.strip(),) for part in value.split("^")), separator="^")
        for value in values
    ]
