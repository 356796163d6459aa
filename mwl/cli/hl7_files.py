"""Messages in files: one or several in each, with line ends of any kind, framed or not."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

_BEGIN = re.compile(rb"(?:\A|(?<=[\r\n\x0b]))(?=(?:MSH|FHS|BHS|BTS|FTS)(?![A-Za-z0-9]))")
_BLANK = b"\x0b\x1c\r\n"  # MLLP's frame characters, and ends of lines

files_argument = click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
)


def messages(raw: bytes) -> list[bytes]:
    """Return the messages in *raw*, their segments separated by CR as on the wire (D-23).

    A message that holds a CR ends its segments with it: an LF inside is text.  The bytes between are
    left as they are: their character set is the matter of MSH-18.  Of a batch the messages are returned.
    """
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    return [_on_the_wire(each) for each in _BEGIN.split(raw) if each.startswith(b"MSH")]


def _on_the_wire(message: bytes) -> bytes:
    message = message.strip(_BLANK)
    separator = b"\r" if b"\r" in message else b"\n"
    segments = (segment.strip(_BLANK) for segment in message.split(separator))
    return b"".join(segment + b"\r" for segment in segments if segment)


def read(path: Path) -> bytes:
    """Return the bytes of a file; "-" is stdin."""
    return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
