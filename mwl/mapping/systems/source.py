"""What a system profile reads from: an HL7 v2 message, as far as mapping needs to know it.

The reader of the wire (`mwl.hl7.message`) implements `Source`; mapping never sees bytes,
delimiters or escapes.  Segments, fields, repetitions, components and sub-components count from 1,
as HL7 does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

Component: TypeAlias = tuple[str, ...]
"""Sub-components in order, unescaped text; an absent one is ""."""

Repetition: TypeAlias = tuple[Component, ...]
"""Components in order; an absent one is () or ("",)."""

FieldKey: TypeAlias = tuple[str, int]
"""A segment's name and the number of a field in it."""


class Source(Protocol):
    """A message, or a view of one group of it."""

    @property
    def filled(self) -> frozenset[FieldKey]:
        """The fields in which anything is written, in any segment of the name; others give ()."""
        ...

    def count(self, segment: str) -> int:
        """Return how many segments of this name are visible here."""
        ...

    def field(self, segment: str, occurrence: int, field: int) -> tuple[Repetition, ...]:
        """Return the repetitions of a field; () when the segment or field is absent or the field is empty.

        A field that holds two double quotes is ``(((\'""\',),),)``: a wish to delete, not a text (D-25).
        """
        ...

    def groups(self, starts: Sequence[str]) -> Sequence[Source]:
        """Return one view for each group that begins with a segment named in *starts*.

        In a view the group's own segments shadow those of the other groups; segments before the
        first group (MSH, PID, PV1) and a segment that stands alone after the last (ZDS) stay
        visible.  Groups never overlap and keep the message's order.
        """
        ...

    def location(self, segment: str, occurrence: int) -> tuple[str, int]:
        """Return the segment's name and its occurrence in the whole message, for an ERR segment."""
        ...
