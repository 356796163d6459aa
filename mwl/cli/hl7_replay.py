"""``mwl hl7 replay``: messages on record applied again, after a profile was mended."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
from collections import Counter
from typing import TYPE_CHECKING, Unpack

import click

from mwl.cli import options, times
from mwl.cli.exits import FINDINGS
from mwl.cli.hl7_selection import REFUSED, Selection, anything, selection_options, site_zone, wanted
from mwl.cli.output import print_json, print_table, printable
from mwl.cli.progress import Progress
from mwl.errors import Refusal, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from mwl.broker.preflight import Preflight
    from mwl.hl7.intake import Intake
    from mwl.hl7.replay import Replayed
    from mwl.store import Store, Transaction
    from mwl.store.journal import Wanted


@click.command()
@click.argument("names", metavar="[MESSAGE]...", nargs=-1)
@selection_options
@click.option("--dry-run", is_flag=True, help="Show what each would come to, and change nothing.")
@click.option("--stop", is_flag=True, help="Stop at the first that is refused; otherwise go on.")
@click.option("--again", is_flag=True, help="Apply those too that were accepted before.")
@options.json_option
@options.config_option
def replay(
    names: Sequence[str],
    *,
    dry_run: bool,
    stop: bool,
    again: bool,
    as_json: bool,
    **chosen: Unpack[Selection],
) -> None:
    """Apply messages on record again, with the profiles as they stand in the files now.

    MESSAGE is a number of the list or a control ID; otherwise the filters choose, and of what they
    choose only what was refused, unless --outcome or --again say otherwise.  Messages are applied in the
    order in which they first came, each by itself, as if it came now; the sender hears nothing of it.
    The broker may be running; it takes a mended profile over by itself, for the messages that follow.

    Ends with 1 where a message was refused again.

    \b
    Examples:
      mwl hl7 replay 17 18
      mwl hl7 replay --outcome AE --since today --dry-run
      mwl hl7 replay --system RIS --since 2026-07-05 --stop
      mwl hl7 replay --accession ACC1001 --again
    """
    if bool(names) == anything(chosen):
        raise click.UsageError("name messages, or choose them by filters (--outcome refused: all refused)")
    zone = site_zone()
    query = wanted(chosen, zone)
    if not (query.outcomes or again):
        query = dataclasses.replace(query, outcomes=REFUSED)
    store = options.opened_store()
    keys = store.read_now(lambda tx: _keys(tx, names, query))
    (intake, preflight), done = intake_and_preflight(store), list["Replayed"]()
    try:
        asyncio.run(_replay(store, intake, keys, done, again=again, rehearsed=dry_run, stop=stop))
        if not dry_run:
            asyncio.run(_look_at(preflight, done))
    finally:
        _show(done, zone, as_json=as_json, dry_run=dry_run)
    if any(each.refused for each in done):
        raise click.exceptions.Exit(FINDINGS)


def _keys(tx: Transaction, names: Sequence[str], query: Wanted) -> list[int]:
    from mwl.store import journal

    if not names:
        return journal.in_order(tx, query)
    found = {name: journal.named(tx, name) for name in names}
    if missing := [name for name, key in found.items() if key is None]:
        shown = printable(", ".join(missing))
        raise Refused(Refusal.UNKNOWN, f"no message has the number or control ID {shown}")
    return [key for key in found.values() if key is not None]


def intake_and_preflight(store: Store) -> tuple[Intake, Preflight]:
    """Return what takes messages in, and looks at orders, as the configured broker; raise `BadDocument`."""
    from mwl.broker import bind, systems
    from mwl.broker.audit_records import Records
    from mwl.broker.conducts import conducts
    from mwl.broker.preflight import Preflight, View
    from mwl.hl7.intake import Intake

    configuration = options.configuration()
    profiles = bind(configuration)
    view = View(profiles.devices, configuration.dicom.ae_title, profiles.zone, profiles.shared_by)
    intake = Intake(
        store,
        systems.configured(configuration, profiles.systems),
        profiles.site,
        configuration.told,
        lambda: dt.datetime.now(dt.UTC),
        allowances=systems.allowances(configuration),
        conducts=conducts(configuration, profiles),
    )
    if records := Records.of(configuration):
        intake.on_effect = records.applied
    return intake, Preflight(store, view)


async def _look_at(preflight: Preflight, done: Sequence[Replayed]) -> None:
    """Hold what was ordered against the devices: a broker that runs hears nothing of a replay."""
    for each in done:
        if each.verdict.done:
            preflight.note(each.verdict.key, each.verdict.done)
    await preflight.finish()


async def _replay(
    store: Store,
    intake: Intake,
    keys: Sequence[int],
    done: list[Replayed],
    *,
    again: bool,
    rehearsed: bool,
    stop: bool,
) -> None:
    """Replay, noting in *done* what is done: that stands, whatever comes after it."""
    from mwl.hl7.replay import replay

    steps = replay(store, intake, keys, again=again, rehearsed=rehearsed)
    with Progress("messages replayed", len(keys)) as progress:
        async with contextlib.aclosing(steps):
            async for each in steps:
                done.append(each)
                progress.advance()
                if stop and each.refused:
                    break


def _show(done: Sequence[Replayed], zone: ZoneInfo, *, as_json: bool, dry_run: bool) -> None:
    from mwl.cli.hl7_view import plain_findings

    if as_json:
        print_json(
            [
                {
                    "message": each.entry.key,
                    "control_id": each.entry.control_id,
                    "type": each.entry.kind,
                    "was": each.entry.outcome,
                    "now": each.verdict.outcome,
                    "findings": plain_findings(each.verdict.findings),
                }
                for each in done
            ]
        )
    elif done:
        print_table(
            ["MESSAGE", "CAME", "TYPE", "CONTROL ID", "WAS", "NOW", "WHY"],
            [_row(each, zone) for each in done],
        )
    counted = Counter(each.verdict.outcome for each in done)
    summary = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counted.items())) or "none"
    click.echo(f"{len(done)} replayed: {summary}{'; nothing was changed' if dry_run else ''}", err=True)


def _row(each: Replayed, zone: ZoneInfo) -> tuple[object, ...]:
    from mwl.cli.hl7_view import finding_lines

    entry, verdict = each.entry, each.verdict
    why = next(finding_lines(sorted(verdict.findings, key=lambda finding: finding.severity)), "")
    return (
        entry.key,
        times.shown(entry.received_at, zone),
        entry.kind,
        entry.control_id,
        entry.outcome,
        verdict.outcome,
        " ".join(why.split()) if verdict.outcome != "duplicate" else "had its effect before: see --again",
    )
