"""``mwl outbox show``: one row, what it tells, the message that tells it, and how it fared."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from mwl.cli import options
from mwl.cli.described import described
from mwl.cli.hl7_selection import site_zone
from mwl.cli.hl7_systems import configured_systems
from mwl.cli.outbox_list import about, plain
from mwl.cli.output import aligned, heading, print_json, printable
from mwl.errors import BadDocument, Refusal, Refused

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from mwl.hl7.destination import Destination
    from mwl.model import Document
    from mwl.store.outbox import OutboxRow

_INDENT = "  "
NOWHERE = "which is told nothing now"
_LEVELS = ("patient", "procedure", "performed")


@click.command()
@click.argument("row", metavar="ROW")
@click.option("--raw", is_flag=True, help="Write the message's bytes, and nothing else.")
@options.json_option
@options.config_option
def show(row: str, *, raw: bool, as_json: bool) -> None:
    """Show one ROW: its number in the list, or its control ID (MSH-10).

    What it tells, in which message, how often it was tried, and what went wrong at last.  A row that was
    never tried shows the message that the profile, as it stands in the files now, would make of it.  One
    that leaves by DICOM shows the request of the device that it repeats.

    \b
    Examples:
      mwl outbox show 17
      mwl outbox show 17 --raw > message.hl7
    """
    from mwl.store import outbox as stored

    zone = site_zone()
    found = options.opened_store().read_now(lambda tx: stored.named(tx, row))
    if found is None:
        text = f"no row of the outbox has the number or control ID {printable(row)}: see mwl outbox list"
        raise Refused(Refusal.UNKNOWN, text)
    if found.kind != stored.STATUS:
        show_dicom(found, raw=raw, as_json=as_json, zone=zone)
        return
    destination = _destination(found)
    message = found.payload or _worded(found, destination)
    if raw:
        sys.stdout.buffer.write(message)
    elif as_json:
        text = message.decode("utf-8", "replace")
        print_json({**plain(found), "message": text, "composed": found.payload is not None})
    else:
        _print(found, destination, message, zone)


def _destination(row: OutboxRow) -> Destination | None:
    """Return where the row goes by the configuration as it is now; None where nobody has that name."""
    from mwl.broker import systems

    try:
        profiles = {each.name: each.profile for each in configured_systems()}
        known = systems.destinations(options.configuration(), profiles)
    except BadDocument:  # what is wrong is told by mwl check; the row can be looked at all the same
        return None
    return next((each for each in known if each.name == row.destination), None)


def _worded(row: OutboxRow, destination: Destination | None) -> bytes:
    try:
        return destination.worded(row) if destination else b""
    except Exception:  # noqa: BLE001  what the courier will say of it is on record once it has tried
        return b""


def _print(row: OutboxRow, destination: Destination | None, message: bytes, zone: ZoneInfo) -> None:
    heading(f"row {row.key}")
    at = f"{destination.host}:{destination.port}" if destination else NOWHERE
    for line in aligned(delivery(row, at, zone)):
        click.echo(_INDENT + line)
    for level, document in _documents(row):
        heading(level)
        for line in described(document):
            click.echo(_INDENT + line)
    if message:
        heading("message" if row.payload else "message, as it would be worded now")
    for line in _segments(message):
        click.echo(_INDENT + printable(line))


def delivery(row: OutboxRow, at: str, zone: ZoneInfo) -> Iterator[tuple[str, str]]:
    """Yield how a row fared, what it tells, and where it goes."""
    yield "to", f"{row.destination}, {at}"
    yield "tells", about(row)
    if row.about:
        yield "of", f"step {', '.join(map(str, sorted(row.about)))}"
    if reason := row.facts.get("reason"):
        yield "because", str(reason)
    yield "control ID", row.control_id
    yield "written", _at(row.created_at, zone)
    yield "state", row.state.value
    yield "tried", "once" if row.attempts == 1 else f"{row.attempts} times"
    if row.lease_until is not None:
        yield "under way", f"by {row.lease_owner}, until {_at(row.lease_until, zone)} at most"
    elif row.finished_at is not None:
        yield "settled", _at(row.finished_at, zone)
    elif row.state.value == "pending":
        yield "next", f"from {_at(row.due_at, zone)} on"
    if row.last_error:
        yield "last error", row.last_error


def show_dicom(row: OutboxRow, *, raw: bool, as_json: bool, zone: ZoneInfo) -> None:
    """Show a row that leaves by DICOM: the request it repeats, or what it notifies of."""
    data, document = _request(row)
    receiver = options.configuration().receivers.get(row.destination)
    if raw:
        sys.stdout.buffer.write(data)
    elif as_json:
        print_json({**plain(row), "document": document})
    else:
        heading(f"row {row.key}")
        for line in aligned(
            delivery(row, f"{receiver.ae_title} at {receiver.to}" if receiver else NOWHERE, zone)
        ):
            click.echo(_INDENT + line)
        if document:
            heading("request")
        for line in described(document):
            click.echo(_INDENT + line)


def _request(row: OutboxRow) -> tuple[bytes, Document]:
    """Return the bytes of the request a row repeats, none where it holds values, and what they say."""
    from mwl.dicom.encoding import Undecodable, decode_dataset
    from mwl.store import requests

    if (key := row.facts.get("request")) is None:
        return b"", row.facts.get("document") or {}
    kept = options.opened_store().read_now(lambda tx: requests.get(tx, key))
    if kept is None or kept.data is None:
        return b"", {}
    try:
        return kept.data, decode_dataset(kept.data, kept.transfer_syntax)
    except Undecodable:
        return kept.data, {}


def _documents(row: OutboxRow) -> Iterator[tuple[str, Document]]:
    for level in _LEVELS:
        if document := row.facts.get(level):
            yield level, document
    for step in row.facts.get("steps") or ():
        yield "step", step


def _at(instant: dt.datetime, zone: dt.tzinfo) -> str:
    return f"{instant.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def _segments(message: bytes) -> list[str]:
    from mwl.hl7.text import decode

    return decode(message).text.splitlines() if message else []
