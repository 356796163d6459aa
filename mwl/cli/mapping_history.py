"""``mwl mapping history`` and ``rollback``: which sets of profiles were in use, and back to one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from mwl.cli import options, times
from mwl.cli.exits import FINDINGS
from mwl.cli.hl7_selection import site_zone
from mwl.cli.output import heading, print_json, print_table, printable
from mwl.errors import Refusal, Refused, Severity

if TYPE_CHECKING:
    from mwl.broker.profiles import Profiles
    from mwl.broker.rollback import Plan
    from mwl.config import Configuration
    from mwl.store import Store, Transaction
    from mwl.store.profile_sets import ProfileSet, SetEntry, SiteFile

_NAMED = 3  # files in a line of the list; of more their number is told


@click.command()
@click.argument("number", metavar="[SET]", type=int, required=False)
@options.limit_option
@options.json_option
@options.config_option
def history(number: int | None, limit: int, *, as_json: bool) -> None:
    """List the sets of profiles that were in use, the newest first; of one SET show what it changed.

    A broker records a set when it starts with it, or takes it over, unless it is the one in use already;
    a rollback records what it put aside.

    \b
    Examples:
      mwl mapping history
      mwl mapping history 2
      mwl mapping history --json
    """
    store, zone = options.opened_store(), site_zone()
    if number is not None:
        found, earlier = store.read_now(lambda tx: _with_earlier(tx, number))
        _show_set(found, earlier, times.shown(found.entry.at, zone), as_json=as_json)
        return
    sets = store.read_now(lambda tx: _listed(tx, limit))
    if as_json:
        print_json([{**_plain(entry), "changed": changed} for entry, changed in sets])
    else:
        print_table(
            ["SET", "AT", "BY", "WHY", "CHANGED"],
            [(e.key, times.shown(e.at, zone), e.who, e.reason, _few(changed)) for e, changed in sets],
        )


@click.command()
@click.argument("number", metavar="[SET]", type=int, required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.config_option
def rollback(number: int | None, *, yes: bool) -> None:
    """Write the files of the site's folder back to a SET of the history; by default to the one before.

    That is the last set that was in use and is not what the files say now: after a change that the
    broker refused, the set it still uses.  The files are shown as they would change, and checked with the
    configuration of now; where they do not fit, nothing is written.  What the files say now is kept in
    the history.  A broker that runs takes the set over by itself (`reload.watch`), or at SIGHUP.

    Ends with 1 where the set does not fit.

    \b
    Examples:
      mwl mapping rollback
      mwl mapping rollback 2 --yes
    """
    from mwl.broker.history import set_digest, site_files
    from mwl.broker.rollback import carry_out, plan

    configuration, store = options.configuration(), options.opened_store()
    folder = configuration.mappings
    present = site_files(folder)
    wanted = store.read_now(lambda tx: _wanted(tx, number, present))
    planned = plan(folder, present, wanted.files)
    for name in planned.left:
        click.echo(f"{folder / name} stays as it is: its text was not kept", err=True)
    if not planned:
        click.echo(f"the files of {folder} are those of set {wanted.entry.key} already", err=True)
        return
    profiles = _bound(configuration, planned, wanted.entry.key)
    _print_changes(present, wanted.files)
    if not yes:
        click.confirm(f"Write {folder} back to set {wanted.entry.key}?", abort=True, err=True)
    _put_aside(store, present, wanted.entry.key)
    carry_out(planned)
    files = site_files(folder)
    _record(store, set_digest(profiles, files), files, f"rollback to {wanted.entry.key}")
    for name in (*planned.written, *planned.removed):
        click.echo(f"{'removed' if name in planned.removed else 'written'}: {folder / name}", err=True)


# ── history ──


def _with_earlier(tx: Transaction, number: int) -> tuple[ProfileSet, ProfileSet | None]:
    from mwl.store import profile_sets

    return _existing(tx, number), profile_sets.before(tx, number)


def _existing(tx: Transaction, number: int) -> ProfileSet:
    from mwl.store import profile_sets

    found = profile_sets.get(tx, number)
    if found is None:
        raise Refused(Refusal.UNKNOWN, f"there is no set {number}: see mwl mapping history")
    return found


def _listed(tx: Transaction, limit: int) -> list[tuple[SetEntry, list[str]]]:
    """Return sets with the names of the files in which each differs from the one before."""
    from mwl.broker.rollback import changes
    from mwl.store import profile_sets

    listed = []
    for entry in profile_sets.browse(tx, limit=limit):
        found, earlier = _with_earlier(tx, entry.key)
        listed.append((entry, changes(earlier.files if earlier else {}, found.files)))
    return listed


def _few(changed: Sequence[str]) -> str:
    if not changed:
        return "no file of the site"
    return " ".join(changed) if len(changed) <= _NAMED else f"{len(changed)} files"


def _show_set(found: ProfileSet, earlier: ProfileSet | None, at: str, *, as_json: bool) -> None:
    from mwl.broker.rollback import unified

    before: Mapping[str, SiteFile] = earlier.files if earlier else {}
    if as_json:
        files = {name: file.text for name, file in found.files.items()}
        print_json({**_plain(found.entry), "files": files, "diff": list(unified(before, found.files))})
        return
    against = f"against set {earlier.entry.key}" if earlier else "the first on record"
    heading(f"set {found.entry.key}, {at}, {found.entry.reason}, by {found.entry.who}: {against}")
    _print_changes(before, found.files)


def _print_changes(before: Mapping[str, SiteFile], after: Mapping[str, SiteFile]) -> None:
    from mwl.broker.rollback import unified

    lines = list(unified(before, after))
    for line in lines:
        click.echo(printable(line))
    if not lines:
        click.echo("no file of the site differs: the profiles that ship do")


def _plain(entry: SetEntry) -> dict[str, object]:
    return {
        "set": entry.key, "at": entry.at, "digest": entry.digest, "by": entry.who, "why": entry.reason,
        "used": entry.used,
    }  # fmt: skip


# ── rollback ──


def _wanted(tx: Transaction, number: int | None, present: Mapping[str, SiteFile]) -> ProfileSet:
    """Return the set named, or the last that was in use and differs from the files."""
    from mwl.broker.rollback import changes
    from mwl.store import profile_sets

    if number is not None:
        return _existing(tx, number)
    for entry in profile_sets.browse(tx):
        if entry.used and changes(present, (found := _existing(tx, entry.key)).files):
            return found
    raise Refused(Refusal.UNKNOWN, "no other set was in use: see mwl mapping history")


def _bound(configuration: Configuration, planned: Plan, number: int) -> Profiles:
    """Return the set as it will be; end the command where it does not fit."""
    from mwl.broker.rollback import judged

    checked = judged(configuration, planned)
    if checked.profiles is None:
        for problem in checked.problems:
            if problem.severity is Severity.ERROR:
                click.echo(printable(problem), err=True)
        click.echo(f"nothing was written: set {number} does not fit any more", err=True)
        raise click.exceptions.Exit(FINDINGS)
    return checked.profiles


def _put_aside(store: Store, present: Mapping[str, SiteFile], number: int) -> None:
    """Keep what the files say now, unless it is on record as the newest set."""
    from mwl.broker.history import files_digest
    from mwl.broker.rollback import changes
    from mwl.store import profile_sets
    from mwl.store.profile_sets import ASIDE

    def newest(tx: Transaction) -> ProfileSet | None:
        latest = profile_sets.browse(tx, limit=1)
        return _existing(tx, latest[0].key) if latest else None

    known = store.read_now(newest)
    if known is None or changes(known.files, present):
        _record(store, files_digest(present), present, f"{ASIDE} before rollback to {number}")


def _record(store: Store, digest: str, files: Mapping[str, SiteFile], reason: str) -> None:
    from mwl.broker.history import whoever
    from mwl.store import profile_sets

    who = whoever()
    store.write_now(lambda tx: profile_sets.record(tx, digest, files, who=who, reason=reason))
