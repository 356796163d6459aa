"""``mwl queries show``: one query, as it came, and all that became of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from mwl.cli import options, times
from mwl.cli.output import aligned, heading, print_json, print_table, printable
from mwl.cli.queries_list import keys, plain
from mwl.errors import Refusal, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

    from mwl.store.queries import CapturedQuery

_INDENT = "  "
_MEANINGS = {
    "": "the association ended before the final response",
    "0000": "a list",
    "FE00": "the device cancelled",
    "A700": "more matches than the device's limit",
    "A900": "a key that cannot be read",
    "C001": "the database did not answer",
    "C002": "the identifier is no data set",
    "C003": "a defect of the broker",
    "0124": "not a configured device",
}


@click.command(epilog="Example: mwl queries show 17")
@click.argument("query", type=int)
@click.option("--raw", is_flag=True, help="Write the identifier's bytes as they came, and nothing else.")
@options.json_option
@options.config_option
def show(query: int, *, raw: bool, as_json: bool) -> None:
    """Show one QUERY (its number in the list): its keys, who asked, what became of it."""
    from mwl.cli.hl7_selection import site_zone
    from mwl.store import queries

    zone = site_zone()
    found = options.opened_store().read_now(lambda tx: queries.get(tx, query))
    if found is None:
        raise Refused(Refusal.UNKNOWN, f"there is no query {query}: mwl queries list shows those on record")
    if raw:
        sys.stdout.buffer.write(found.identifier)
    elif as_json:
        print_json(plain(found))
    else:
        _print(found, zone)


def _print(query: CapturedQuery, zone: ZoneInfo) -> None:
    for title, rows in (("association", _association(query)), ("answer", _answer(query, zone))):
        heading(title)
        for line in aligned(rows):
            click.echo(_INDENT + line)
    heading("identifier")
    for line in _identifier(query):
        click.echo(_INDENT + printable(line))
    if query.left_out_count:
        heading("left out")
        print_table(
            ["STEP", "WHY", "ATTRIBUTE", "LINE", ""],
            [
                (each.step, each.reason, each.path, each.origin, "on purpose" if each.intended else "")
                for each in query.left_out
            ],
        )
        if more := query.left_out_count - len(query.left_out):
            click.echo(f"{_INDENT}and {more} more")


def _association(query: CapturedQuery) -> Iterator[tuple[str, str]]:
    from mwl.dicom.uids import named

    yield "device", f"{query.calling_ae} at {query.address}, calling {query.called_ae}"
    yield "implementation", f"{query.implementation_version} {query.implementation_uid}".strip()
    for context in query.association.contexts:
        yield "proposed", named(context.abstract_syntax)
        yield from (("", f"{_INDENT}{named(uid)}") for uid in context.transfer_syntaxes)
    if query.association.more:
        yield "", f"and {query.association.more} more"
    yield "transfer syntax", named(query.transfer_syntax)
    yield "longest PDU", str(query.association.max_pdu or "without limit")
    negotiated = {"fuzzy names": query.fuzzy, "time zone": query.timezone}
    if any(negotiated.values()):
        yield "negotiated", ", ".join(name for name, is_so in negotiated.items() if is_so)
    if query.association.missing_message_id:
        yield "request", "without Message ID"


def _answer(query: CapturedQuery, zone: ZoneInfo) -> Iterator[tuple[str, str]]:
    last = times.shown(query.last_at, zone)
    first = f", first at {times.shown(query.first_at, zone)}" if query.count > 1 else ""
    yield "asked", f"{last}, {query.count} times{first}" if query.count > 1 else last
    yield "profile", "none: held in quarantine" if query.held else f"{query.profile} ({query.profile_digest})"
    yield "status", f"{query.status} {_MEANINGS.get(query.status, '')}".strip()
    yield "steps", f"{query.matched} matched, {query.sent} sent, {query.left_out_count} left out"
    yield "took", f"{query.microseconds / 1000:.2f} ms"


def _identifier(query: CapturedQuery) -> Iterator[str]:
    from mwl.workbench import dcmdump

    identifier = keys(query)
    if identifier is None:
        yield f"cannot be read ({len(query.identifier)} bytes): --raw writes them"
    else:
        yield from dcmdump.lines(identifier)
