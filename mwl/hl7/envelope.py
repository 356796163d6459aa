"""A raw message before anything is done because of it: who sends it, and what it asks for.

No store, no clock: what is refused here was never begun.  The first line is read alone and leniently,
because even a message that cannot be understood is answered to its sender, under its own number.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from mwl.errors import Finding, Location, NotUnderstood, Unacceptable
from mwl.hl7.ack import CONDITIONS
from mwl.hl7.header import Header, read_header
from mwl.hl7.message import Message, parse
from mwl.hl7.text import Decoded, decode, wide_codec
from mwl.mapping.facts import SiteFacts
from mwl.mapping.systems.system import SystemProfile
from mwl.mapping.systems.system_form import CharsetForm, Kind
from mwl.mapping.trace import Trace
from mwl.model import Incoming

ANYONE: Final = "*"

_ACKNOWLEDGEMENTS = frozenset({"ACK", "ORR", "ORI", "ORG", "ORL", "RRE", "MCF"})


@dataclass(frozen=True, slots=True)
class System:
    """A configured system: how its messages are known, and the profile that reads them."""

    name: str
    profile: SystemProfile
    application: str = ANYONE  # MSH-3
    facility: str = ANYONE  # MSH-4
    own: Callable[[str], bool] | None = None
    """Of the broker itself: whether an address is one that it calls from; nobody else is taken for it."""

    def sends(self, application: str, facility: str, peer: str) -> bool:
        """Tell whether a message by MSH-3 and MSH-4, from a *peer* (address and port), is this system's."""
        named = self.application in (ANYONE, application) and self.facility in (ANYONE, facility)
        return named and (self.own is None or self.own(peer.rpartition(":")[0].strip("[]")))


def sender(systems: Iterable[System], application: str, facility: str, peer: str = "") -> System | None:
    """Return the system that says most about this sender; one that names the application says more."""
    fitting = [each for each in systems if each.sends(application, facility, peer)]
    return max(fitting, key=lambda each: (each.application != ANYONE, each.facility != ANYONE), default=None)


@dataclass(frozen=True)
class Envelope:
    """A message as it arrived, and what its first line says; what is read of it further is read once."""

    raw: bytes
    peer: str
    site: SiteFacts
    header: Header
    system: System | None  # None: nobody configured sends so
    refusal: Unacceptable | None = None  # the first line is no header, or the frame of a batch is wrong

    @classmethod
    def open(cls, raw: bytes, peer: str, systems: Iterable[System], site: SiteFacts) -> Envelope:
        """Read the first line of *raw*; never raises."""
        # In UTF-16 the octets of a CR end no line.
        first = raw if wide_codec(raw) else re.split(rb"[\r\n]", raw.lstrip(), maxsplit=1)[0]
        decoded = decode(first, site.charset or "")
        try:
            header = read_header(decoded.text, decoded.codec)
        except NotUnderstood as refusal:
            return cls(raw, peer, site, Header(), None, refusal)
        return cls(raw, peer, site, header, sender(systems, header.application, header.facility, peer))

    @property
    def acknowledges(self) -> bool:
        """Whether it is an acknowledgement: that is never acknowledged, two would do so for ever (D-16)."""
        separator = self.header.delimiters.field.encode(self.header.codec, "replace")
        msa = re.search(rb"[\r\n]MSA" + re.escape(separator), self.raw)
        return self.header.message_type in _ACKNOWLEDGEMENTS or msa is not None

    def understand(self, trace: Trace | None = None) -> Incoming | None:
        """Return what the message asks for, None where the profile ignores its kind.

        A *trace* hears which line of the profile gave which value.  Raises `NotUnderstood` and
        `Unacceptable`.  MSH-12 refuses nothing: a later version reads the same (C-04).
        """
        if self.refusal:
            raise self.refusal
        header, system = self.header, self.system
        header.require_message()
        if system is None:
            raise Unacceptable([Finding(Location("MSH", 1, 3), 103, "this sender is not configured")])
        if header.processing_id and header.processing_id not in system.profile.accept.processing:
            raise NotUnderstood([Finding(Location("MSH", 1, 11), 202, "this processing ID is not taken")])
        kind = system.profile.kind(header.kind)
        if kind is None:
            code = system.profile.refusal_code(header.kind)
            raise NotUnderstood([Finding(Location("MSH", 1, 9), code, CONDITIONS[code].lower())])
        return None if kind == "ignore" else self._read(system, kind, trace)

    @cached_property
    def decoded(self) -> Decoded:
        """The message as text, read as its system's profile says."""
        charset = self.system.profile.accept.charset if self.system else CharsetForm()
        return decode(
            self.raw,
            charset.default or self.site.charset or "",
            aliases=charset.aliases,
            trust_label=charset.trust_label,
            utf_16=charset.utf_16,
        )

    @cached_property
    def message(self) -> Message:
        """The message as segments; raises `NotUnderstood` where it cannot be split."""
        return parse(self.decoded.text, self.decoded.codec)

    def _read(self, system: System, kind: Kind, trace: Trace | None) -> Incoming | None:
        decoded = self.decoded
        if not decoded.readable:
            raise (NotUnderstood if wide_codec(self.raw) else Unacceptable)(decoded.findings)
        sent_at = self.message.header.sent_at(self.site.timezone)
        incoming = system.profile.read(kind, self.message, system.name, self.site, sent_at, trace)
        if incoming is None:
            return None
        return dataclasses.replace(incoming, findings=(*decoded.findings, *incoming.findings))
