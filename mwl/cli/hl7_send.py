"""``mwl hl7 send``: files to a listener, acknowledgements to stdout.

A file holds one message or several, each beginning with MSH; line ends of any kind are taken for
the segment separator, MLLP's frame characters around them are left out.  The bytes between are sent
as they are: their character set is the matter of MSH-18.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from mwl.cli import options
from mwl.cli.exits import FINDINGS
from mwl.config import Address

_ACCEPTED = frozenset({b"AA", b"CA"})  # HL7 table 0008
_LINE_END = re.compile(rb"\r\n|\n|\r")
_MLLP = b"\x0b\x1c"


@click.command(epilog="Example: mwl hl7 send order.hl7 cancel.hl7 --to 127.0.0.1:2575")
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
)
@click.option("--to", "at", metavar="HOST:PORT", callback=options.address, help="Else the configured broker.")
@options.timeout_option
@options.config_option
def send(files: Sequence[Path], at: Address | None, timeout: float) -> None:
    """Send the messages of each FILE ("-": stdin) in order, and print each acknowledgement.

    Ends with 1 when any was not accepted.
    """
    at = at or options.connectable(options.configuration().hl7.listen)
    found = [message for path in files for message in messages(_bytes(path))]
    if not found:
        raise click.UsageError("no message begins with MSH there")
    answers = asyncio.run(_exchange(at, found, timeout))
    if not all(_accepted(answer) for answer in answers):
        raise click.exceptions.Exit(FINDINGS)


def messages(raw: bytes) -> list[bytes]:
    """Return the messages in *raw*, their segments separated by CR as on the wire (D-23)."""
    segments = [line.strip(_MLLP) for line in _LINE_END.split(raw.removeprefix(b"\xef\xbb\xbf"))]
    found: list[list[bytes]] = []
    for segment in segments:
        if segment.startswith(b"MSH"):
            found.append([])
        if segment and found:
            found[-1].append(segment)
    return [b"".join(segment + b"\r" for segment in message) for message in found]


async def _exchange(at: Address, found: Sequence[bytes], timeout: float) -> list[bytes]:
    from mwl.hl7.sender import Connection

    answers = []
    async with Connection(at.host, at.port, timeout=timeout) as connection:
        for message in found:
            answers.append(await connection.request(message))
            _print(answers[-1])
    return answers


def _print(answer: bytes) -> None:
    """Print an acknowledgement, a segment a line."""
    for segment in filter(None, answer.split(b"\r")):
        click.echo(segment.decode("utf-8", "replace"))


def _accepted(answer: bytes) -> bool:
    """Tell whether MSA-1 says so; delimiters are those of its MSH (D-15)."""
    for segment in answer.split(b"\r"):
        if segment.startswith(b"MSA") and len(segment) > 4:
            return segment[4:].split(segment[3:4])[0] in _ACCEPTED
    return False


def _bytes(path: Path) -> bytes:
    return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
