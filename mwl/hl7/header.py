"""MSH: who sends, what, under which number, and how it wants to be answered.

The fields are kept as they were written, because an answer repeats them (D-15); what decides
something here is read from them by name.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

from mwl.errors import Finding, Location, NotUnderstood
from mwl.hl7.escapes import USUAL, Delimiters, unescape

_INSTANT = re.compile(r"([0-9]{8})([0-9]{4})([0-9]{2})?(\.[0-9]{1,6})?([+-][0-9]{4})?")
_BLANK = " \t\r\n\ufeff"


@dataclass(frozen=True)
class Header:
    """The MSH segment; of a batch, the same facts from its header.  Each is worked out once."""

    fields: tuple[str, ...] = ()  # as written; fields[n] is MSH-n, fields[0] the segment's name
    delimiters: Delimiters = USUAL
    codec: str = "ascii"  # how the message's bytes became text, and an answer's text becomes bytes

    def raw(self, number: int) -> str:
        """Return MSH-*number* as written, "" where it is absent."""
        return self.fields[number] if number < len(self.fields) else ""

    def text(self, number: int, component: int = 1) -> str:
        """Return a component of the first repetition, unescaped, without blanks around it."""
        d = self.delimiters
        components = self.raw(number).split(d.repetition, 1)[0].split(d.component)
        written = components[component - 1] if component <= len(components) else ""
        return unescape(written.split(d.subcomponent, 1)[0], d, self.codec).strip()

    def require_message(self) -> None:
        """Raise `NotUnderstood` for the header of a batch, or of a file of batches (D-29)."""
        if (name := self.raw(0)) in ("BHS", "FHS"):
            text = "the header of a batch stands where one message begins"
            raise NotUnderstood([Finding(Location(name), 200, text)])

    @cached_property
    def application(self) -> str:
        """MSH-3, the sending application."""
        return self.text(3)

    @cached_property
    def facility(self) -> str:
        """MSH-4, the sending facility."""
        return self.text(4)

    @cached_property
    def message_type(self) -> str:
        """MSH-9.1, as "ORM"."""
        return self.text(9)

    @cached_property
    def trigger(self) -> str:
        """MSH-9.2, as "O01"."""
        return self.text(9, 2)

    @cached_property
    def kind(self) -> str:
        """Type and trigger, as "ORM^O01"; the type alone where there is no trigger."""
        return "^".join(filter(None, (self.message_type, self.trigger)))

    @cached_property
    def control_id(self) -> str:
        """MSH-10."""
        return self.raw(10).strip()

    @cached_property
    def processing_id(self) -> str:
        """MSH-11.1: P, T or D; "" where it is not stated."""
        return self.text(11).upper()

    @cached_property
    def version(self) -> tuple[int, ...]:
        """MSH-12.1 as numbers, (2, 3, 1); () where it is not stated."""
        return tuple(int(part) for part in re.findall(r"[0-9]{1,4}", self.text(12)[:20]))

    @cached_property
    def accept_ack(self) -> str:
        """MSH-15: AL, NE, ER, SU, or "" (D-11)."""
        return self.text(15).upper()

    @cached_property
    def application_ack(self) -> str:
        """MSH-16: AL, NE, ER, SU, or "" (D-11)."""
        return self.text(16).upper()

    def sent_at(self, zone: dt.tzinfo) -> dt.datetime | None:
        """Return MSH-7, in *zone* where it names no offset; None where it is absent or no instant (D-28)."""
        match = _INSTANT.match(self.text(7))
        if not match:
            return None
        day, clock, second, fraction, offset = match.groups()
        try:
            instant = dt.datetime.fromisoformat(f"{day}T{clock}{second or '00'}")
            zone = (_zone(offset) if offset else None) or zone
        except ValueError:
            return None
        return instant.replace(microsecond=int((fraction or ".0")[1:].ljust(6, "0")), tzinfo=zone)


@lru_cache(maxsize=32)  # a sender has one, or two when its clocks change
def _zone(offset: str) -> dt.tzinfo | None:
    return dt.datetime.strptime(offset, "%z").tzinfo


def read_header(text: str, codec: str = "utf-8") -> Header:
    """Read the first segment of a message; raise `NotUnderstood` where it is no header (D-17)."""
    line = re.split("[\r\n]", text.lstrip(_BLANK), maxsplit=1)[0]
    name, separator = line[:3], line[3:4]
    if name not in ("MSH", "BHS", "FHS") or not separator:
        raise NotUnderstood([Finding(Location("MSH"), 100, "the message does not begin with MSH")])
    _, encoding, *rest = line.split(separator)
    delimiters = Delimiters.read(separator, encoding)
    if delimiters is None:
        raise NotUnderstood([Finding(Location(name, 1, 2), 102, "MSH-1 and MSH-2 are no delimiters")])
    fields = (name, separator, encoding, *rest)
    if name != "MSH":  # a batch's sender stands where MSH has it, its control ID one field later
        fields = (*fields[:8], "", "", *fields[11:12])
    return Header(fields, delimiters, codec)
