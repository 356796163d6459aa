"""Paths into an HL7 message: ``PID-5``, ``PID-3.4.1``, ``OBX[3.1=29463-7]-5``, ``NTE[*]-3``.

    SEG [ "[" which "]" ] "-" FIELD [ "[" which "]" ] [ "." COMPONENT [ "." SUBCOMPONENT | "-" COMPONENT ] ]

Everything counts from 1.  *which*, behind a segment or a field, is a number, ``*`` for all, or
``place=text`` for the first that holds that text there; behind a field also ``rest``, the repetitions
that were not picked.  Nothing behind a segment means the first, nothing behind a field the repetition
that the profile picks (the first, unless it says otherwise).  ``OBR-4.4-6`` is a run of components, read
as if it stood alone.  Inside ``each`` a path begins with the dot: ``.4.1``.

A path is parsed once, when a profile is bound; finding is all that happens per message.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, TypeAlias

from mwl.errors import Location
from mwl.mapping.systems.source import Component, FieldKey, Repetition, Source

DELETE: Final = '""'
"""A field or part that holds this wishes its value to be removed (D-25)."""

_WHICH = r"(?:\[(?P<{0}>[^\]]*)\])?"
_PATH = re.compile(
    rf"(?P<segment>[A-Z][A-Z0-9]{{2}}){_WHICH.format('occurrence')}"
    rf"-(?P<field>[1-9][0-9]{{0,2}}){_WHICH.format('repetition')}(?P<tail>(?:\..*)?)"
)
_TAIL = re.compile(r"\.(?P<first>[1-9][0-9]?)(?:\.(?P<sub>[1-9][0-9]?)|-(?P<last>[1-9][0-9]?))?")
_CONDITION = re.compile(r"(?P<place>[1-9][0-9]{0,2}(?:\.[1-9][0-9]?){0,2})\s*=\s*(?P<text>.*)", re.DOTALL)

_DELETED: Final = ((DELETE,),)

Numbers: TypeAlias = tuple[int, ...]


PartPlace: TypeAlias = tuple[str, int, int, int, int]
"""Segment, occurrence, field; component and sub-component in the first repetition, these from 0."""


class BadPath(ValueError):
    """A text that is not a path; the message says what is wrong with it."""


class Found(NamedTuple):
    """What a path found: components of sub-components, and where they stand."""

    parts: tuple[Component, ...]
    separator: str  # what stood between the parts
    source: Source
    segment: str
    occurrence: int  # in *source*
    field: int
    repetition: int

    @property
    def deleted(self) -> bool:
        """Whether the sender asks for removal here."""
        return self.parts == _DELETED

    @property
    def location(self) -> Location:
        """The field this stands in, for an ERR segment; the repetition only where it is not the first."""
        segment, occurrence = self.source.location(self.segment, self.occurrence)
        return Location(segment, occurrence, self.field, self.repetition if self.repetition > 1 else 0)

    def part(self, number: int) -> str:
        """Return the first sub-component of part *number* (from 1), without outer blanks."""
        if number > len(self.parts) or not self.parts[number - 1]:
            return ""
        text = self.parts[number - 1][0].strip()
        return "" if text == DELETE else text

    def whole(self, number: int) -> str:
        """Return part *number* with all it holds: many senders forget to escape ``&`` in a text."""
        if number > len(self.parts):
            return ""
        text = "&".join(self.parts[number - 1]).rstrip("&").strip()
        return "" if text == DELETE else text

    def text(self) -> str:
        """Return everything found as the text it was before it was split (a forgotten escape again)."""
        joined = self.separator.join(["&".join(part).rstrip("&") for part in self.parts])
        return joined.rstrip(self.separator).strip()


@dataclass(frozen=True, slots=True)
class Condition:
    """That a certain text stands at a place; letter case and outer blanks do not count."""

    place: Numbers
    text: str

    def holds(self, repetition: Repetition) -> bool:
        """Tell whether *repetition* has the text at component and sub-component *place*."""
        component = self.place[0] if self.place else 1
        sub = self.place[1] if len(self.place) > 1 else 1
        if component > len(repetition) or sub > len(repetition[component - 1]):
            return not self.text
        return repetition[component - 1][sub - 1].strip().casefold() == self.text

    def within(self, source: Source, segment: str, occurrence: int) -> bool:
        """Tell whether any repetition of the field that *place* begins with has the text."""
        inner = Condition(self.place[1:], self.text)
        return any(inner.holds(each) for each in source.field(segment, occurrence, self.place[0]))


Which: TypeAlias = int | str | Condition
"""A number, "*", "rest" or a condition."""


_FIRST: Final = (1,)


@dataclass(frozen=True, slots=True)
class Hl7Path:
    """A parsed path; *picks* is the profile's choice among the field's repetitions, most wanted first."""

    text: str
    segment: str
    occurrence: Which
    field: int
    repetition: Which | None
    first: int = 0  # 0: the whole repetition
    sub: int = 0
    last: int = 0
    picks: tuple[Which, ...] = _FIRST
    direct: bool = dataclasses.field(init=False, repr=False, compare=False)
    """Whether it leads to the first repetition of one segment's field, as most paths do."""

    def __post_init__(self) -> None:
        direct = isinstance(self.occurrence, int) and self.repetition is None and self.picks == _FIRST
        object.__setattr__(self, "direct", direct)

    @property
    def first_part(self) -> PartPlace | None:
        """Where the first part of what it finds stands; None where it is not `direct`."""
        if not self.direct or not isinstance(self.occurrence, int):
            return None
        return self.segment, self.occurrence, self.field, max(self.first, 1) - 1, max(self.sub, 1) - 1

    @property
    def key(self) -> FieldKey:
        """The field it leads into."""
        return self.segment, self.field

    def find(self, source: Source, anchor: Found | None = None) -> Sequence[Found]:
        """Return what stands at this path, in order, without what is absent; *anchor* is not used."""
        del anchor
        which = self.occurrence
        if isinstance(which, int):
            repetitions = source.field(self.segment, which, self.field)
            if not repetitions:  # of most paths: no message has all the fields a profile reads
                return ()
            if not self.direct:
                return self._within(source, which, repetitions)
            parts, separator = _extract(repetitions[0], self.first, self.sub, self.last)
            if not _any(parts):
                return ()
            return (Found(parts, separator, source, self.segment, which, self.field, 1),)
        return [
            found
            for occurrence in self._occurrences(source, which)
            if (repetitions := source.field(self.segment, occurrence, self.field))
            for found in self._within(source, occurrence, repetitions)
        ]

    def _within(self, source: Source, occurrence: int, repetitions: Sequence[Repetition]) -> list[Found]:
        """Return what stands at this path in one segment."""
        found: list[Found] = []
        for number in self._repetitions(repetitions):
            parts, separator = _extract(repetitions[number - 1], self.first, self.sub, self.last)
            if _any(parts):
                place = self.segment, occurrence, self.field, number
                found.append(Found(parts, separator, source, *place))
        return found

    def beside(self, other: Found) -> Sequence[Found]:
        """Return what this path finds in the very segment where *other* stands."""
        return replace(self, segment=other.segment, occurrence=other.occurrence).find(other.source)

    def location(self, source: Source) -> Location:
        """Return where the field would stand, for a finding that it is missing."""
        if source.count(self.segment):
            segment, occurrence = source.location(self.segment, 1)
            return Location(segment, occurrence, self.field)
        return Location(self.segment, 1, self.field)

    def bound(self, picks: Mapping[FieldKey, tuple[Which, ...]]) -> Hl7Path:
        """Return the path with the profile's choice for its field."""
        return replace(self, picks=picks.get((self.segment, self.field), _FIRST))

    def _occurrences(self, source: Source, which: str | Condition) -> Iterable[int]:
        every = range(1, source.count(self.segment) + 1)
        if isinstance(which, Condition):
            return [number for number in every if which.within(source, self.segment, number)][:1]
        return every

    def _repetitions(self, repetitions: Sequence[Repetition]) -> Iterable[int]:
        which = self.repetition
        if which is None:
            return _FIRST if self.picks == _FIRST else _choose(repetitions, self.picks)
        if which == "*":
            return range(1, len(repetitions) + 1)
        if which == "rest":
            picked = _choose(repetitions, self.picks)
            return [number for number in range(1, len(repetitions) + 1) if number not in picked]
        return _choose(repetitions, (which,))


@dataclass(frozen=True, slots=True)
class RelativePath:
    """A path inside ``each``: parts of the repetition at hand."""

    text: str
    first: int
    sub: int = 0
    last: int = 0

    def find(self, source: Source, anchor: Found | None = None) -> list[Found]:
        """Return the parts of *anchor*; nothing without one."""
        del source
        if anchor is None:
            return []
        parts, separator = _extract(anchor.parts, self.first, self.sub, self.last)
        return [anchor._replace(parts=parts, separator=separator)] if _any(parts) else []


AnyPath: TypeAlias = Hl7Path | RelativePath


def parse_path(text: str) -> AnyPath:
    """Parse *text*; raise `BadPath` where it is no path."""
    if text.startswith("."):
        return RelativePath(text, *_tail(text, text))
    match = _PATH.fullmatch(text)
    if match is None:
        raise BadPath(f"{text!r} is not an HL7 path such as PID-5, PID-3.4.1 or OBX[3.1=29463-7]-5")
    occurrence = 1 if match["occurrence"] is None else _which(match["occurrence"], text, {"*"})
    repetition = None if match["repetition"] is None else _which(match["repetition"], text, {"*", "rest"})
    return Hl7Path(
        text, match["segment"], occurrence, int(match["field"]), repetition, *_tail(match["tail"], text)
    )


def looks_like_path(text: str) -> bool:
    """Tell an attempt at an HL7 path from a DICOM keyword."""
    return text.startswith(".") or bool(re.match(r"[A-Z][A-Z0-9]{2}(\[|-)", text))


def parse_choice(text: str) -> Which:
    """Parse what may stand between brackets behind a field: ``2``, ``4.1=HOSP``."""
    return _which(text, text, {"*"})


def _which(text: str, path: str, words: set[str]) -> Which:
    if text in words:
        return text
    if text.isascii() and text.isdigit() and 0 < int(text) < 1000:
        return int(text)
    if match := _CONDITION.fullmatch(text.strip()):
        place = tuple(int(number) for number in match["place"].split("."))
        return Condition(place, match["text"].strip().casefold())
    allowed = " or ".join(sorted([*words, "a number", "place=text"]))
    raise BadPath(f"{path!r}: between the brackets stands {allowed}, not {text!r}")


def _tail(text: str, path: str) -> tuple[int, int, int]:
    if not text:
        return 0, 0, 0
    match = _TAIL.fullmatch(text)
    if match is None:
        raise BadPath(f"{path!r}: behind the field stands .component, .component.sub or .first-last")
    first, sub, last = (int(match[name] or 0) for name in ("first", "sub", "last"))
    if last and last <= first:
        raise BadPath(f"{path!r}: the run of components ends before it begins")
    return first, sub, last


def _choose(repetitions: Sequence[Repetition], picks: Sequence[Which]) -> tuple[int, ...]:
    for pick in picks:
        if isinstance(pick, Condition):
            chosen = next((n for n, each in enumerate(repetitions, 1) if pick.holds(each)), 0)
            if chosen:
                return (chosen,)
        elif isinstance(pick, int) and pick <= len(repetitions):
            return (pick,)
    return ()


def _extract(
    repetition: tuple[Component, ...], first: int, sub: int, last: int
) -> tuple[tuple[Component, ...], str]:
    if not first or repetition == _DELETED:  # a field that is to be removed is so in all its parts
        return repetition, "^"
    if last:
        return repetition[first - 1 : last], "^"
    component = repetition[first - 1] if first <= len(repetition) else ()
    if sub:
        return ((component[sub - 1],) if sub <= len(component) else (),), "&"
    return (component,) if len(component) == 1 else tuple(zip(component)), "&"


def _any(parts: tuple[Component, ...]) -> bool:
    """Tell whether anything stands in *parts*."""
    return bool(parts and parts[0] and parts[0][0]) or any(map(any, parts))
