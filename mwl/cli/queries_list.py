"""``mwl queries list``: the queries on record, filtered as an engineer asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mwl.cli import options, times
from mwl.cli.output import print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from mwl.model import Document
    from mwl.store.queries import CapturedQuery

_KEYS = 60  # characters of the keys in the table; `mwl queries show` has all of them
_STATUS_DIGITS = 4
_CHARACTER_SET = "00080005"
_SEPARATOR = "\\"  # PS3.5 6.4


def _status(_ctx: click.Context, _parameter: click.Parameter, texts: Sequence[str]) -> list[str]:
    """Check statuses: four hexadecimal digits each."""
    found = [text.strip().upper().removeprefix("0X") for text in texts]
    for text in found:
        if len(text) != _STATUS_DIGITS or set(text) - set("0123456789ABCDEF"):
            raise click.BadParameter("write four hexadecimal digits, for example A900")
    return found


@click.command("list")
@click.option("--device", default="", metavar="AE", help="Only of this calling AE title.")
@click.option("--empty", is_flag=True, help="Only those to which nothing was sent, whatever the status.")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    metavar="STATUS",
    callback=_status,
    help="Only with this final status, such as A900; may be given several times.",
)
@click.option("--held", is_flag=True, help="Only of unknown callers, held in quarantine (capture.unknown).")
@click.option("--since", metavar="WHEN", help=f"Only what was asked then or later: {times.FORMS}.")
@options.limit_option
@options.json_option
@options.config_option
def listing(
    device: str,
    statuses: Sequence[str],
    since: str | None,
    limit: int,
    *,
    empty: bool,
    held: bool,
    as_json: bool,
) -> None:
    """List the queries that devices made, those asked last first.

    A query that a device repeats is one line, counted, with its latest answer.  Every filter that is
    given must hold.

    \b
    Examples:
      mwl queries list --device CT1 --empty
      mwl queries list --status A900 --since today
    """
    from mwl.cli.hl7_selection import site_zone
    from mwl.store import queries

    zone = site_zone()
    after = times.option(since, "since", zone)
    found = options.opened_store().read_now(
        lambda tx: queries.browse(
            tx, calling_ae=device, statuses=statuses, empty=empty, held=held, since=after, limit=limit
        )
    )
    if as_json:
        print_json([plain(query) for query in found])
        return
    print_table(
        ["QUERY", "ASKED", "DEVICE", "PROFILE", "STATUS", "MATCHED", "SENT", "LEFT OUT", "KEYS"],
        [_row(query, zone) for query in found],
    )


def plain(query: CapturedQuery) -> dict[str, Any]:
    """Return a query as JSON holds it: its identifier in the DICOM JSON model, null where it is none."""
    import dataclasses

    found = {**dataclasses.asdict(query), "held": query.held, "digest": query.digest}
    return {**found, "identifier": keys(query)}


def keys(query: CapturedQuery) -> Document | None:
    """Return the identifier; None where it cannot be read."""
    from mwl.dicom.encoding import Undecodable, decode_dataset

    try:
        return decode_dataset(query.identifier, query.transfer_syntax)
    except Undecodable:
        return None


def _row(query: CapturedQuery, zone: ZoneInfo) -> tuple[object, ...]:
    asked = times.shown(query.last_at, zone)
    return (
        query.key,
        f"{asked} ({query.count}x)" if query.count > 1 else asked,
        query.calling_ae,
        "held" if query.held else query.profile,
        query.status or "ended",
        query.matched,
        query.sent,
        query.left_out_count or "",
        _summary(keys(query)),
    )


def _summary(identifier: Document | None) -> str:
    """Return the keys that have a value, cut to a line."""
    if identifier is None:
        return "cannot be read"
    text = " ".join(_valued(identifier))
    return text if len(text) <= _KEYS else f"{text[: _KEYS - 1]}…"


def _valued(document: Document) -> list[str]:
    from mwl.mapping.elements import texts
    from mwl.mapping.paths import keyword

    found: list[str] = []
    # What the device is to do comes before whom it is for: keys of the step say why a list is empty.
    for tag, element in sorted(document.items(), reverse=True):
        if element["vr"] == "SQ":
            for item in element.get("Value", ()):
                found += _valued(item)
        elif tag != _CHARACTER_SET and (values := texts(element)):
            found.append(f"{keyword(tag)}={_SEPARATOR.join(values)}")
    return found
