"""``mwl hl7 send``: files to a listener, acknowledgements to stdout."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from mwl.cli import options
from mwl.cli.exits import FINDINGS
from mwl.cli.hl7_files import files_argument, messages, read
from mwl.cli.progress import Progress
from mwl.config import Address

_ACCEPTED = frozenset({b"AA", b"CA"})  # HL7 table 0008


@click.command()
@files_argument
@click.option("--to", "at", metavar="HOST:PORT", callback=options.address, help="Else the configured broker.")
@options.timeout_option
@options.config_option
def send(files: Sequence[Path], at: Address | None, timeout: float) -> None:
    """Send the messages of each FILE ("-": stdin) in order, and print each acknowledgement.

    A file may hold several messages; all leave on one connection, each after the answer to the one
    before.  Ends with 1 when any was not accepted.

    \b
    Examples:
      mwl hl7 send order.hl7 cancel.hl7
      mwl hl7 send orders-of-a-day.hl7 --to 10.1.1.7:2575 --timeout 30 > answers.txt
    """
    at = at or options.connectable(options.configuration().hl7.listen)
    found = [message for path in files for message in messages(read(path))]
    if not found:
        raise click.UsageError("no message begins with MSH there")
    answers = asyncio.run(_exchange(at, found, timeout))
    if not all(_accepted(answer) for answer in answers):
        raise click.exceptions.Exit(FINDINGS)


async def _exchange(at: Address, found: Sequence[bytes], timeout: float) -> list[bytes]:
    from mwl.hl7.sender import Connection

    answers = []
    with Progress("messages sent", len(found), active=not sys.stdout.isatty()) as progress:
        async with Connection(at.host, at.port, timeout=timeout) as connection:
            for message in found:
                answers.append(await connection.request(message))
                _print(answers[-1])
                progress.advance()
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
