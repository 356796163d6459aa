"""``mwl hl7 list``: the journal, searched."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Unpack

import click

from mwl.cli import options, times
from mwl.cli.hl7_selection import Selection, selection_options, site_zone, wanted
from mwl.cli.output import print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from mwl.store import Transaction
    from mwl.store.allowances import RefusedDay
    from mwl.store.journal import Entry
    from mwl.store.messages import SearchKey

_ERROR = 80  # characters of an error in the table; `mwl hl7 show` has all of it
_WEEK = "7d"


@click.command("list")
@selection_options
@options.limit_option
@options.json_option
@options.config_option
def listing(limit: int, *, as_json: bool, **chosen: Unpack[Selection]) -> None:
    """List HL7 messages, accepted or not, those that came last first.

    Every filter that is given must hold.  A message that came several times is one line; its
    outcome is that of the newest attempt, a replay included.

    \b
    Examples:
      mwl hl7 list --outcome refused --since today
      mwl hl7 list --accession ACC1001
      mwl hl7 list --patient PID001 --type ORM --json
      mwl hl7 list --doubtful
    """
    zone = site_zone()
    query = wanted(chosen, zone)
    since = query.since or times.option(_WEEK, "since", zone)

    def work(tx: Transaction) -> tuple[list[Entry], dict[int, list[SearchKey]], list[RefusedDay]]:
        from mwl.store import allowances, journal

        found = journal.search(tx, query, limit=limit)
        numbers = journal.numbers(tx, [entry.key for entry in found])
        return found, numbers, allowances.days(tx, since=f"{since:%Y-%m-%d}")

    found, numbers, days = options.opened_store().read_now(work)
    if as_json:
        print_json([plain(entry, numbers.get(entry.key, ())) for entry in found])
    else:
        print_table(
            ["MESSAGE", "CAME", "SYSTEM", "TYPE", "CONTROL ID", "PATIENT", "ACCESSION", "OUTCOME", "WHY"],
            [_row(entry, numbers.get(entry.key, ()), zone) for entry in found],
        )
    if left_out := sum(day.left_out for day in days):
        click.echo(
            f"{left_out} refused messages were answered and not kept (retention.refused, .unknown)", err=True
        )


def plain(entry: Entry, numbers: Sequence[SearchKey]) -> dict[str, object]:
    """Return a message as JSON holds it."""
    return {**dataclasses.asdict(entry), "numbers": [dataclasses.asdict(number) for number in numbers]}


def outcome(entry: Entry) -> str:
    """Return the outcome as a person reads it."""
    return f"{entry.outcome} replayed" if entry.replayed else entry.outcome


def _row(entry: Entry, numbers: Sequence[SearchKey], zone: ZoneInfo) -> tuple[object, ...]:
    came = times.shown(entry.last_at, zone)
    return (
        entry.key,
        f"{came} ({entry.receipts}x)" if entry.receipts > 1 else came,
        entry.system,
        entry.kind,
        entry.control_id,
        _of("patient", numbers),
        _of("accession", numbers),
        outcome(entry),
        _why(entry.error),
    )


def _of(kind: str, numbers: Sequence[SearchKey]) -> str:
    return " ".join(number.value for number in numbers if number.kind == kind)


def _why(error: str) -> str:
    """Return the first error, or where there is none the first remark."""
    lines = error.splitlines()
    first = next((line for line in lines if line.startswith("error: ")), lines[0] if lines else "")
    text = first.removeprefix("error: ")
    return text if len(text) <= _ERROR else f"{text[: _ERROR - 1]}…"
