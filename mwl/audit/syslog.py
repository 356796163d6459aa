"""Syslog around a message (RFC 5424), and the frame it has on a TLS connection (RFC 5425)."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass

_FACILITY = 10  # security/authorization (PS3.15 A.6.1)
_NOTICE, _WARNING = 5, 4
_MESSAGE_ID = "DICOM+RFC3881"  # PS3.15 A.6.1
_BOM = b"\xef\xbb\xbf"  # RFC 5424 6.4: the message is UTF-8
_NIL = "-"
_NOT_PRINTABLE = re.compile("[^!-~]")  # RFC 5424 6: PRINTUSASCII
_HOST_LENGTH, _NAME_LENGTH, _PROCESS_LENGTH = 255, 48, 128  # characters (RFC 5424 6.2)

DATAGRAM = 65_507
"""Octets that a UDP datagram can carry (RFC 5426 3.2)."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends: host, application, process."""

    host: str
    application: str
    process: str


def message(payload: bytes, at: dt.datetime, sender: Sender, *, warning: bool = False) -> bytes:
    """Return a syslog message with *payload*, which is UTF-8; *at* is aware."""
    priority = _FACILITY * 8 + (_WARNING if warning else _NOTICE)
    header = " ".join((
        f"<{priority}>1",
        at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        _field(sender.host, _HOST_LENGTH),
        _field(sender.application, _NAME_LENGTH),
        _field(sender.process, _PROCESS_LENGTH),
        _MESSAGE_ID,
        _NIL,  # no structured data
    ))  # fmt: skip
    return header.encode("ascii") + b" " + _BOM + payload


def framed(messages: Iterable[bytes]) -> bytes:
    """Return messages one behind the other, each with its length in front (RFC 5425 4.3)."""
    return b"".join(b"%d %b" % (len(each), each) for each in messages)


def _field(text: str, longest: int) -> str:
    return _NOT_PRINTABLE.sub("_", text)[:longest] or _NIL
