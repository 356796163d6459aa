"""The ER7 reader: a message's text split by the sender's own delimiters, nothing lost.

Theory of operation.  A message is split into segments at once and no further; a segment is split
into fields when one of them is first read, and a field into repetitions, components and
sub-components when it is.  Escapes are decoded last, once, in what can no longer be split (D-27).
Every segment is kept, known or not (D-24).  Refused is only what no finer answer fits: no MSH or
two of them, a batch, a continued message, an absurd number of parts.

A CR ends a segment.  LF and CRLF are read too, yet an LF inside the text of a CR-terminated message
must not begin a segment (D-23): see `split`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Final, NoReturn

from mwl.errors import Finding, Location, NotUnderstood
from mwl.hl7.escapes import USUAL, Delimiters, escape, unescape
from mwl.hl7.header import Header, read_header
from mwl.mapping.systems.source import Component, FieldKey, Repetition

__all__ = [
    "USUAL",
    "Delimiters",
    "Header",
    "Message",
    "Segment",
    "escape",
    "parse",
    "read_header",
    "unescape",
]

MAX_SEGMENTS: Final = 10_000  # an order has tens, a long report hundreds
MAX_PARTS: Final = 10_000  # repetitions, components and sub-components of one field

_TOO_MANY = f"the message has more than {MAX_SEGMENTS} segments"
_BLANK = " \t\n"
# What may begin a segment after a lone LF in a message that ends segments with CR: the segments that
# are read.  A line of text does not hold one of these names alone before a delimiter.
_KNOWN = (
    "MSH|EVN|PID|PD1|PV1|PV2|NK1|MRG|ORC|TQ1|TQ2|OBR|OBX|NTE|IPC|DG1|AL1|GT1|IN1|IN2|ROL|CTI|BLG|SPM|PR1"
    "|SCH|RGS|AIS|AIG|AIL|AIP|MSA|ERR|DSC|Z[A-Z0-9]{2}"
)


class Segment:
    """One segment: its name, its occurrence in the whole message, its fields when asked for."""

    __slots__ = ("_codec", "_delimiters", "_filled", "_written", "name", "occurrence", "read", "text")

    def __init__(self, name: str, occurrence: int, text: str, delimiters: Delimiters, codec: str) -> None:
        self.name, self.occurrence, self.text = name, occurrence, text
        self._delimiters, self._codec = delimiters, codec
        self._written: list[str] | None = None
        self._filled: frozenset[FieldKey] | None = None
        self.read: dict[int, tuple[Repetition, ...]] = {}  # fields that were asked for

    def raw(self, number: int) -> str:
        """Return a field as written, "" where it is absent; MSH-1 is the separator itself (D-22)."""
        written = self._split()
        return written[number] if 0 < number < len(written) else ""

    def field(self, number: int) -> tuple[Repetition, ...]:
        """Return the repetitions of a field, () where it is absent or has no content."""
        if (known := self.read.get(number)) is None:
            known = self.read[number] = self._repetitions(number)
        return known

    @property
    def filled(self) -> frozenset[FieldKey]:
        """The fields in which anything is written."""
        if self._filled is None:
            name = self.name
            filled = [(name, number) for number, written in enumerate(self._split()) if written]
            self._filled = frozenset(filled)
        return self._filled

    def _split(self) -> list[str]:
        if self._written is None:
            self._written = self.text.split(self._delimiters.field)
            if self.name == "MSH":
                self._written.insert(1, self._delimiters.field)
        return self._written

    def _repetitions(self, number: int) -> tuple[Repetition, ...]:
        written = self.raw(number)
        if not written:
            return ()
        if written.isalnum() or (self.name == "MSH" and number <= 2):  # no delimiter is a letter or a digit
            return (((written,),),)
        d = self._delimiters
        if not written.strip(d.hollow):
            return ()
        if len(written) > MAX_PARTS:
            self._bound(written, number)
        if d.subcomponent in written or (d.escape and d.escape in written):
            every = written.split(d.repetition)
            return tuple([tuple(map(self._component, each.split(d.component))) for each in every])
        # Most fields have neither; zip() makes each part a tuple of itself.
        if d.repetition not in written:
            return (tuple(zip(written.split(d.component))),)
        return tuple([tuple(zip(each.split(d.component))) for each in written.split(d.repetition)])

    def _component(self, written: str) -> Component:
        d = self._delimiters
        parts = written.split(d.subcomponent)
        if d.escape and d.escape in written:
            return tuple(unescape(part, d, self._codec) for part in parts)
        return tuple(parts)

    def _bound(self, written: str, number: int) -> None:
        d = self._delimiters
        if sum(map(written.count, (d.repetition, d.component, d.subcomponent))) > MAX_PARTS:
            place = Location(self.name, self.occurrence, number)
            raise NotUnderstood([Finding(place, 102, f"the field has more than {MAX_PARTS} parts")])


class Message:
    """A message, or the view of one group of it; a `mwl.mapping.systems.source.Source`."""

    def __init__(
        self,
        header: Header,
        segments: Sequence[Segment],
        around: Mapping[str, Sequence[Segment]] | None = None,
    ) -> None:
        """*around* holds what a view shows beside its own segments, by name."""
        self.header = header
        self.segments = tuple(segments)
        self._is_view = around is not None
        self._visible: dict[str, Sequence[Segment]] = {**(around or {}), **_by_name(segments)}

    def count(self, segment: str) -> int:
        """Return how many segments of this name are visible here."""
        return len(self._visible.get(segment, ()))

    def field(self, segment: str, occurrence: int, field: int) -> tuple[Repetition, ...]:
        """Return the repetitions of a field; () when the segment or field is absent or empty (D-25)."""
        found = self._visible.get(segment)
        if not found or not 0 < occurrence <= len(found):
            return ()
        read = found[occurrence - 1].read.get(field)
        return found[occurrence - 1].field(field) if read is None else read

    @cached_property
    def filled(self) -> frozenset[FieldKey]:
        """The fields in which anything is written, in any segment of the name."""
        return frozenset[FieldKey]().union(*[each.filled for same in self._visible.values() for each in same])

    def location(self, segment: str, occurrence: int) -> tuple[str, int]:
        """Return the segment's name and its occurrence in the whole message."""
        found = self._visible.get(segment, ())
        return segment, found[occurrence - 1].occurrence if 0 < occurrence <= len(found) else occurrence

    def groups(self, starts: Sequence[str]) -> list[Message]:
        """Return one view for each group that begins with a segment named in *starts*.

        Of several starts each stands once in a group, in the order given: ``("ORC", "OBR")`` keeps an
        OBR with the ORC before it, and begins a group with an OBR that has none.  What follows the last
        group in the grammar cannot be told from the group itself, except a Z segment: one that only
        the last group holds stands alone, and every view shows it (C-01: ZDS).  An NTE belongs to what it
        follows: a note on the patient is in no view of an order, one on an order in every view of its steps.
        """
        ranks = {name: rank for rank, name in enumerate(starts)}
        before: list[Segment] = []
        groups: list[list[Segment]] = []
        last = len(starts)
        for segment in self.segments:
            rank = ranks.get(segment.name)
            if rank is not None:
                if rank <= last:
                    groups.append([])
                last = rank
            (groups[-1] if groups else before).append(segment)
        around = {
            **self._visible,
            **dict.fromkeys((*_names(groups), "NTE"), ()),
            **_by_name(each for each in before if each.name != "NTE" or self._is_view),
            **_alone(groups),
        }
        return [Message(self.header, group, around) for group in groups]


def parse(text: str, codec: str = "utf-8") -> Message:
    r"""Split *text* into segments; *codec* reads the bytes written as ``\Xhh\``.

    Raises `NotUnderstood` (answered AR) for what is no single, whole message.
    """
    header = read_header(text, codec)
    header.require_message()
    separator = header.delimiters.field
    seen: dict[str, int] = {}
    segments = []
    for line in split(text, separator):
        name = line.partition(separator)[0]
        seen[name] = seen.get(name, 0) + 1
        segments.append(Segment(name, seen[name], line, header.delimiters, codec))
    if seen["MSH"] > 1:  # the second message would be acknowledged and lost
        _refuse("MSH", 100, "the block holds more than one message", occurrence=2)
    if "DSC" in seen:
        _refuse("DSC", 100, "continued messages are not taken")  # D-32
    return Message(header, segments)


def split(text: str, separator: str) -> list[str]:
    """Return the lines of the segments (D-23).

    CR ends a segment.  LF does so where MSH itself ends with one, or there is no CR at all: before
    anything that looks like a segment.  In a message that ends MSH with CR an LF begins only a
    segment of a known name; any other is part of the text around it.
    """
    if text.count("\r") > MAX_SEGMENTS:
        _refuse("MSH", 100, _TOO_MANY)
    chunks = text.lstrip("\ufeff\r" + _BLANK).split("\r")
    if "\n" in text:
        begins = _begins(separator, "[A-Z][A-Z0-9]{2}")
        if not begins.search(chunks[0].rstrip()):
            begins = _begins(separator, _KNOWN)
        chunks = [part for chunk in chunks for part in begins.split(chunk)]
        if len(chunks) > MAX_SEGMENTS:
            _refuse("MSH", 100, _TOO_MANY)
    return [line for chunk in chunks if (line := chunk.strip(_BLANK))]


@lru_cache(maxsize=64)
def _begins(separator: str, names: str) -> re.Pattern[str]:
    return re.compile(rf"\n(?=(?:{names}){re.escape(separator)})")


def _by_name(segments: Iterable[Segment]) -> dict[str, list[Segment]]:
    found: dict[str, list[Segment]] = {}
    for segment in segments:
        found.setdefault(segment.name, []).append(segment)
    return found


def _names(groups: Iterable[Iterable[Segment]]) -> set[str]:
    return {segment.name for group in groups for segment in group}


def _alone(groups: Sequence[Sequence[Segment]]) -> dict[str, list[Segment]]:
    """Return the Z segments that only the last group holds."""
    if not groups:
        return {}
    elsewhere = _names(groups[:-1])
    own = [each for each in groups[-1] if each.name.startswith("Z") and each.name not in elsewhere]
    return _by_name(own)


def _refuse(segment: str, code: int, text: str, *, occurrence: int = 1) -> NoReturn:
    raise NotUnderstood([Finding(Location(segment, occurrence), code, text)])
