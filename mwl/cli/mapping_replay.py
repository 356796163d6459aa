"""``mwl mapping replay``: what a device would notice of another profile, on the queries it made."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from mwl.cli import options
from mwl.cli.exits import FINDINGS
from mwl.cli.hl7_selection import site_zone
from mwl.cli.output import print_json
from mwl.cli.progress import Progress
from mwl.errors import Refusal, Refused
from mwl.yamldoc import suggestion

if TYPE_CHECKING:
    from mwl.config import Configuration
    from mwl.mapping.devices.device import DeviceProfile
    from mwl.store import Store, Transaction
    from mwl.store.profile_sets import ProfileSet
    from mwl.store.queries import CapturedQuery
    from mwl.workbench.bench import Bench
    from mwl.workbench.replay import Asking


@click.command()
@click.argument("ae", callback=options.ae_title)
@click.option("--with", "draft", metavar="DRAFT", help="A profile of the set, or a file beside it.")
@click.option(
    "--query",
    "numbers",
    type=int,
    multiple=True,
    metavar="NUMBER",
    help="Only this query (see mwl queries list).",
)
@click.option(
    "--last", default=50, show_default=True, type=click.IntRange(min=1), help="Queries at most, the latest."
)
@click.option(
    "--shift-dates/--no-shift-dates",
    "shifted",
    default=True,
    help="Ask as the device would now (default), or as it did then, on its day.",
)
@click.option(
    "--against", type=int, metavar="SET", help="Compare with an earlier set (see mwl mapping history)."
)
@click.option(
    "--shadow", is_flag=True, help="Show what the draft under devices.AE.shadow would have changed."
)
@click.option("--all", "whole", is_flag=True, help="Show every step that changes, not the first ones.")
@options.json_option
@options.config_option
def replay(
    ae: str,
    draft: str | None,
    numbers: Sequence[int],
    last: int,
    against: int | None,
    *,
    shifted: bool,
    shadow: bool,
    whole: bool,
    as_json: bool,
) -> None:
    """Ask the captured queries of the device AE again, by its profile and by DRAFT, on the steps of now.

    For each query: which steps appear and vanish, and why; which values change, and by which line; what
    becomes of status, order and size.  Nothing is sent to the device, and nothing is changed.

    A query asks for the day on which it was made: its start dates are moved by the days since, so that it
    asks as it would now.  With --no-shift-dates it is asked as it came, at the time when it came.

    Ends with 1 where anything changes, 0 where nothing does, 78 where DRAFT is wrong.

    \b
    Examples:
      mwl mapping replay CT1 --with drafts/our-ct.yaml
      mwl mapping replay CT1 --with our-ct --query 12 --all
      mwl mapping replay CT1 --with our-ct --against 7
      mwl mapping replay CT1 --shadow
    """
    from mwl.cli import mapping_replay_view as view

    if shadow == bool(draft):
        raise click.UsageError("say with which draft: --with DRAFT, or --shadow")
    found = (
        _shadowed(ae, last) if shadow else _replayed(ae, str(draft), numbers, last, against, shifted=shifted)
    )
    if as_json:
        print_json(found)
    else:
        view.show(found, site_zone(), whole=whole)
    if found["total"].get("differ"):
        raise click.exceptions.Exit(FINDINGS)


def _replayed(
    ae: str, draft: str, numbers: Sequence[int], last: int, against: int | None, *, shifted: bool
) -> dict[str, Any]:
    from mwl.workbench import differences
    from mwl.workbench.replay import askings

    configuration, store = options.configuration(), options.opened_store()
    bench = _bench(configuration)
    after = _draft(bench, draft, ae)
    with _in_use(store, configuration, bench, ae, against) as (used, where):
        captured = store.read_now(lambda tx: _captured(tx, ae, numbers, last))
        now = dt.datetime.now(dt.UTC)
        asked = list(askings(bench, captured, now, shifted=shifted))
        served = [used.serving(ae, each.facts, each.question).profile for each in asked]
        queries = list(_compared(store, bench, asked, served, after))
        found = {
            "device": ae,
            "before": {**differences.profile(served[0]), "where": where},
            "after": {**differences.profile(after), "where": "draft"},
            "shifted": shifted,
            "queries": queries,
            "total": differences.total(queries),
        }
        return found if used is bench else _renamed(found, str(used.configuration.mappings), where)


def _bench(configuration: Configuration) -> Bench:
    from mwl.workbench.bench import Bench

    return Bench.open(configuration)


def _draft(bench: Bench, draft: str, ae: str) -> DeviceProfile:
    try:
        bench.entry(ae)
        return bench.draft(draft, ae)
    except Refused as refused:
        raise click.UsageError(str(refused)) from None


def _configured(bench: Bench, ae: str) -> DeviceProfile:
    return bench.profile(ae)[1]


@contextmanager
def _in_use(
    store: Store, configuration: Configuration, bench: Bench, ae: str, against: int | None
) -> Iterator[tuple[Bench, str]]:
    """Yield the profiles to compare with, and which they are.

    They are those of the files, unless a set is named, or the set in use is not what the files say.
    """
    from mwl.broker.history import site_files
    from mwl.workbench.in_use import laid_out

    kept = store.read_now(lambda tx: _set(tx, against))
    if kept is None or (against is None and kept.files == site_files(configuration.mappings)):
        yield bench, "in use"
        return
    with laid_out(kept) as folder:
        used = _bench(configuration.model_copy(update={"mappings": folder}))
        device = bench.entry(ae)[1]
        named = {device.profile, *(each.profile for each in device.shared_by)}
        if against is None and not named.issubset(used.profiles.names):
            yield bench, "not in use yet"
        else:
            yield used, f"set {kept.entry.key}"


def _set(tx: Transaction, against: int | None) -> ProfileSet | None:
    """Return the set of that number, else the one that went into use last; None where none is on record."""
    from mwl.store import profile_sets

    if against is None:
        latest = next((each.key for each in profile_sets.browse(tx) if each.used), None)
        return None if latest is None else profile_sets.get(tx, latest)
    found = profile_sets.get(tx, against)
    if found is None:
        raise Refused(Refusal.UNKNOWN, f"no set of profiles has the number {against}")
    return found


def _captured(tx: Transaction, ae: str, numbers: Sequence[int], last: int) -> list[CapturedQuery]:
    from mwl.store import queries

    if not numbers:
        found = queries.browse(tx, calling_ae=ae, limit=last)
        if not found:
            raise Refused(Refusal.UNKNOWN, f"no query of {ae} is on record{_others(tx, ae)}")
        return found
    named = [queries.get(tx, number) for number in numbers]
    for number, each in zip(numbers, named, strict=True):
        if each is None or each.calling_ae != ae:
            raise Refused(Refusal.UNKNOWN, f"{ae} has no query {number} on record")
    return [each for each in named if each]


def _others(tx: Transaction, ae: str) -> str:
    from mwl.store import queries

    return suggestion(ae, [each.latest.calling_ae for each in queries.askers(tx)])


def _compared(
    store: Store, bench: Bench, asked: Sequence[Asking], served: Sequence[DeviceProfile], after: DeviceProfile
) -> Iterator[dict[str, Any]]:
    from mwl.workbench import differences
    from mwl.workbench.outcome import Stored
    from mwl.workbench.replay import compared

    with Progress("queries replayed", len(asked)) as progress:
        for each, profile in zip(asked, served, strict=True):

            def work(
                tx: Transaction, asking: Asking = each, before: DeviceProfile = profile
            ) -> dict[str, Any]:
                comparison = compared(Stored(tx), asking, before, after, bench.zone)
                return {**differences.asked(asking, comparison), **differences.plain(comparison)}

            yield store.read_now(work)
            progress.advance()


def _shadowed(ae: str, last: int) -> dict[str, Any]:
    """Return what is on record of the draft that runs in the shadow of a device."""
    from mwl.store import shadows
    from mwl.workbench import differences

    configuration = options.configuration()
    bench = _bench(configuration)
    try:
        label, device = bench.entry(ae)
    except Refused as refused:
        raise click.UsageError(str(refused)) from None
    if device.shadow is None:
        raise click.UsageError(f"devices.{label}.shadow names no draft")
    before, after = _configured(bench, ae), _draft(bench, device.shadow, ae)
    rows = options.opened_store().read_now(
        lambda tx: shadows.browse(tx, calling_ae=ae, profile_digest=after.digest, limit=last)
    )
    queries = [differences.remembered(row) for row in rows]
    return {
        "device": ae,
        "before": {**differences.profile(before), "where": "in use"},
        "after": {**differences.profile(after), "where": "shadow"},
        "queries": queries,
        "total": differences.total(queries),
    }


def _renamed(found: Any, folder: str, name: str) -> Any:
    """Return *found* with the lines of a set that was laid out in *folder* under the set's own *name*."""
    if isinstance(found, dict):
        return {key: _renamed(value, folder, name) for key, value in found.items()}
    if isinstance(found, list):
        return [_renamed(value, folder, name) for value in found]
    return found.replace(f"{folder}/", f"{name}: ") if isinstance(found, str) else found
