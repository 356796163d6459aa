"""DIMSE messages: the command set's codec, fragments to messages, messages to fragments.

Theory of operation
-------------------
A message is a command set (group 0000, always implicit little endian, PS3.7 6.3.1) and, where the
command announces one, a data set; both travel as fragments, each in a PDV of the message's
presentation context (PS3.8 Annex E).  `Assembler` takes PDVs and gives whole messages; what breaks
these rules raises `Malformed`, and the association is aborted for it.  What it holds is bounded: a
longer command set is malformed; a longer data set is read to its end, thrown away, and the message
says so, so that the request is refused in its own protocol.

The codec is the broker's own because a command set that lacks an attribute must be seen as such and
answered (F52); values it cannot know are kept as bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from struct import Struct

from mwl.dicom.pdu import (
    COMMAND_FRAGMENT,
    KIBIBYTE,
    LAST_FRAGMENT,
    MEBIBYTE,
    PDV,
    PDV_OVERHEAD,
    Malformed,
    TooLong,
    data_header,
)
from mwl.dicom.service import (
    AFFECTED_SOP_CLASS_UID,
    AFFECTED_SOP_INSTANCE_UID,
    ATTRIBUTE_IDENTIFIER_LIST,
    C_FIND_RQ,
    COMMAND_FIELD,
    DATA_SET_TYPE,
    ERROR_COMMENT,
    ERROR_ID,
    MESSAGE_ID,
    MESSAGE_ID_RESPONDED_TO,
    OFFENDING_ELEMENT,
    PRIORITY,
    REQUESTED_SOP_CLASS_UID,
    REQUESTED_SOP_INSTANCE_UID,
    STATUS,
    Command,
    Context,
    Value,
)

_GROUP_LENGTH = 0x00000000
_VR: dict[int, str] = {  # PS3.7 Annex E.1
    _GROUP_LENGTH: "UL",
    AFFECTED_SOP_CLASS_UID: "UI",
    REQUESTED_SOP_CLASS_UID: "UI",
    COMMAND_FIELD: "US",
    MESSAGE_ID: "US",
    MESSAGE_ID_RESPONDED_TO: "US",
    0x00000600: "AE",  # Move Destination
    PRIORITY: "US",
    DATA_SET_TYPE: "US",
    STATUS: "US",
    OFFENDING_ELEMENT: "AT",
    ERROR_COMMENT: "LO",
    ERROR_ID: "US",
    AFFECTED_SOP_INSTANCE_UID: "UI",
    REQUESTED_SOP_INSTANCE_UID: "UI",
    0x00001002: "US",  # Event Type ID
    ATTRIBUTE_IDENTIFIER_LIST: "AT",
    0x00001008: "US",  # Action Type ID
}
_COMMENT_LENGTH = 64  # characters of LO

_HEADER = Struct("<HHI")  # group, element, length
_US, _UL, _AT = Struct("<H"), Struct("<I"), Struct("<HH")


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message; *data* is None where there was none, or it was longer than allowed (*oversize*)."""

    context: Context
    command: Command
    data: bytes | None
    oversize: bool = False


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """The largest message taken.

    An identifier has about 1 KiB; an N-SET names every image of its step, some 120 bytes each, so
    that the default is enough for 30,000 of them.
    """

    command_set: int = 16 * KIBIBYTE
    data_set: int = 4 * MEBIBYTE
    identifier: int = 256 * KIBIBYTE


def decode_command(raw: bytes) -> Command:
    """Return the command set encoded in *raw*; raise `Malformed`.

    Padding is removed; an empty number is absent; group length is not believed.
    """
    elements: dict[int, Value] = {}
    offset, end = 0, len(raw)
    while offset < end:
        if end - offset < _HEADER.size:
            raise Malformed("the command set ends within an element")
        group, number, length = _HEADER.unpack_from(raw, offset)
        offset += _HEADER.size
        if group != 0 or length > end - offset:
            raise Malformed("the command set has an element that cannot be there")
        value = _decode(_VR.get(number), raw[offset : offset + length])
        offset += length
        if value is not None and number != _GROUP_LENGTH:
            elements[number] = value
    if not isinstance(elements.get(COMMAND_FIELD), int) or DATA_SET_TYPE not in elements:
        raise Malformed("the command set does not say what it is")
    return Command(elements)


def _decode(vr: str | None, raw: bytes) -> Value | None:
    if vr is None:
        return raw
    if vr in ("US", "UL"):
        number = _US if vr == "US" else _UL
        if raw and len(raw) != number.size:
            raise Malformed("a number of the command set has the wrong length")
        return int(number.unpack(raw)[0]) if raw else None
    if vr == "AT":
        if len(raw) % _AT.size:
            raise Malformed("a tag of the command set has the wrong length")
        return tuple(group << 16 | element for group, element in _AT.iter_unpack(raw))
    return raw.decode("latin-1").strip("\0 ")  # latin-1: what came back is what was sent


def encode_command(elements: Mapping[int, object]) -> bytes:
    """Return *elements* as a command set with its group length; a comment is cut to 64 characters."""
    body = b"".join(_encode(tag, elements[tag]) for tag in sorted(elements))
    return _HEADER.pack(0, 0, _UL.size) + _UL.pack(len(body)) + body


def _encode(tag: int, value: object) -> bytes:
    vr = _VR.get(tag)
    if isinstance(value, bytes):
        raw = value
    elif isinstance(value, int):
        raw = (_AT.pack(value >> 16, value & 0xFFFF)) if vr == "AT" else _US.pack(value)
    elif isinstance(value, str):
        text = value[:_COMMENT_LENGTH] if vr == "LO" else value
        raw = text.encode("latin-1", "replace")
        raw += (b"\0" if vr == "UI" else b" ") * (len(raw) % 2)
    elif isinstance(value, list | tuple):
        raw = b"".join(_AT.pack(entry >> 16, entry & 0xFFFF) for entry in value)
    else:
        raise TypeError(f"no value of a command set: {type(value).__name__}")
    return _HEADER.pack(0, tag, len(raw)) + raw


class Assembler:
    """Joins the PDVs of one association into messages."""

    __slots__ = ("_command", "_context", "_contexts", "_held", "_limits", "_oversize")

    def __init__(self, contexts: Mapping[int, Context], limits: MessageLimits) -> None:
        self._contexts = contexts
        self._limits = limits
        self._reset()

    def _reset(self) -> None:
        self._context: Context | None = None
        self._command: Command | None = None
        self._held = bytearray()
        self._oversize = False

    @property
    def waiting(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._context is not None

    def add(self, pdv: PDV) -> Message | None:
        """Take one PDV; return the message it completes.  Raise `Malformed` for what may not follow."""
        context = self._contexts.get(pdv.context_id)
        if context is None or self._context not in (None, context):
            raise Malformed("a PDV belongs to no accepted context, or to another than the message it is in")
        self._context = context
        command = bool(pdv.control & COMMAND_FRAGMENT)
        if command is not (self._command is None):
            raise Malformed("a command fragment where data is due, or data without a command")
        self._keep(pdv.fragment, command=command)
        if not pdv.control & LAST_FRAGMENT:
            return None
        raw, self._held = bytes(self._held), bytearray()
        if command:
            self._command = decode_command(raw)
            return None if self._command.has_data else self._complete(context, self._command, None)
        assert self._command is not None  # noqa: S101 - data is taken only after a command, see above
        return self._complete(context, self._command, raw)

    def _keep(self, fragment: bytes, *, command: bool) -> None:
        if self._oversize:
            return
        self._held += fragment
        if command and len(self._held) > self._limits.command_set:
            raise TooLong("the command set is longer than allowed")
        if not command and len(self._held) > self._longest:
            self._oversize, self._held = True, bytearray()

    @property
    def _longest(self) -> int:
        asked = self._command is not None and self._command.field == C_FIND_RQ
        return self._limits.identifier if asked else self._limits.data_set

    def _complete(self, context: Context, command: Command, data: bytes | None) -> Message:
        oversize = self._oversize
        self._reset()
        return Message(context, command, None if oversize else data, oversize)


class Fragmenter:
    """Cuts what is sent in one context into PDUs that the peer takes: one PDV a PDU."""

    __slots__ = ("_context_id", "_room")

    def __init__(self, context_id: int, max_pdu: int) -> None:
        """*max_pdu* counts as PS3.8 D.1 does, without the PDU's header; at least `pdu.SMALLEST_PDU`."""
        self._context_id = context_id
        self._room = (max_pdu - PDV_OVERHEAD) & ~1  # PS3.8 E.2: fragments of even length

    def command(self, raw: bytes) -> bytes:
        """Return the PDUs of an encoded command set."""
        return self._cut(raw, COMMAND_FRAGMENT)

    def data(self, raw: bytes) -> bytes:
        """Return the PDUs of an encoded data set."""
        return self._cut(raw, 0)

    def pendings(self, command: bytes, data: Iterable[bytes], batch: int) -> Iterator[tuple[bytes, int]]:
        """Yield what to write next and how many messages it holds, about *batch* bytes at a time.

        Each message is *command* (as PDUs) followed by one data set of *data*.
        """
        parts: list[bytes] = []
        size = 0
        for raw in data:
            pdus = self._cut(raw, 0)
            parts += (command, pdus)
            size += len(command) + len(pdus)
            if size >= batch:
                yield b"".join(parts), len(parts) // 2
                parts, size = [], 0
        if parts:
            yield b"".join(parts), len(parts) // 2

    def _cut(self, raw: bytes, kind: int) -> bytes:
        size, room = len(raw), self._room
        if size <= room:
            return data_header(self._context_id, kind | LAST_FRAGMENT, size) + raw
        parts: list[bytes] = []
        for offset in range(0, size, room):
            fragment = raw[offset : offset + room]
            last = LAST_FRAGMENT if offset + room >= size else 0
            parts += (data_header(self._context_id, kind | last, len(fragment)), fragment)
        return b"".join(parts)
