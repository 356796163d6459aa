"""``mwl devices admit``: an unknown caller becomes a device, with a profile to begin with."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mwl.cli import options
from mwl.cli.output import heading
from mwl.errors import Refusal, Refused

if TYPE_CHECKING:
    from mwl.config import Configuration
    from mwl.store import Transaction
    from mwl.store.callers import Caller
    from mwl.store.queries import CapturedQuery
    from mwl.workbench.bench import Bench
    from mwl.workbench.learn import Draft


@click.command(epilog="Example: mwl devices admit CT9 --draft --write")
@click.argument("ae", metavar="AE", callback=options.ae_title)
@click.option("--profile", default="", metavar="NAME", help="The profile it gets; else the suggested one.")
@click.option("--draft", is_flag=True, help="Draft a profile of its own from what it asked in quarantine.")
@click.option("--write", is_flag=True, help="Write the files, instead of printing what belongs into them.")
@options.config_option
def admit(ae: str, profile: str, *, draft: bool, write: bool) -> None:
    """Make the caller AE a device: its line for mwl.yaml, and with --draft a profile for it.

    Without --profile and --draft it gets the profile whose `match` names it, or generic.  With
    --write the line goes behind the last entry of `devices`, and no other line of the file changes.
    """
    if profile and draft:
        raise click.UsageError("--profile and --draft exclude each other")
    from mwl.workbench.bench import Bench

    configuration = options.configuration()
    _new(ae, configuration)
    bench = Bench.open(configuration)
    callers, queries = options.opened_store().read_now(lambda tx: _known(tx, ae))
    if not callers and not queries:
        click.echo(f"note: no caller {ae} is on record: compare with mwl devices list", err=True)
    drafted = _drafted(ae, queries, bench) if draft else None
    name = drafted.name if drafted else profile or _suggested(callers, configuration)
    if not drafted and name not in bench.profiles.names:
        from mwl.yamldoc import suggestion

        raise Refused(
            Refusal.UNKNOWN, f"there is no profile {name!r}{suggestion(name, bench.profiles.names)}"
        )
    if write:
        _write(ae, name, drafted, configuration)
    else:
        _show(ae, name, drafted, configuration)


def _new(ae: str, configuration: Configuration) -> None:
    from mwl.config import ANYONE

    if ae == ANYONE:
        message = f"{ANYONE} under devices means anybody: give the device another AE title"
        raise Refused(Refusal.NOT_TAKEN, message)
    if (title := configuration.titles.get(ae)) is not None:
        raise Refused(
            Refusal.DUPLICATE,
            f"{ae} is a device already, by {configuration.origin(('devices', title))}: edit it there",
        )


def _known(tx: Transaction, ae: str) -> tuple[list[Caller], list[CapturedQuery]]:
    from mwl.store import callers, queries

    found = [each for each in callers.browse(tx, limit=callers.KEPT) if each.calling_ae == ae]
    return found, queries.browse(tx, calling_ae=ae, limit=queries.KEPT)


def _suggested(callers: list[Caller], configuration: Configuration) -> str:
    from mwl.cli.devices_list import suggestions
    from mwl.mapping.loader import BASE

    return next(filter(None, suggestions(configuration, callers)), BASE)


def _drafted(ae: str, queries: list[CapturedQuery], bench: Bench) -> Draft:
    from mwl.cli.mapping_learn import drafted, samples_of

    if not queries:
        raise Refused(
            Refusal.UNKNOWN,
            f"nothing that {ae} asked is on record: set capture.unknown to hold and let it ask,"
            " or name a profile with --profile",
        )
    return drafted(ae, samples_of(queries, bench), bench)


def _show(ae: str, name: str, drafted: Draft | None, configuration: Configuration) -> None:
    from mwl.config import entry

    heading(f"# {configuration.path or 'mwl.yaml'}")
    click.echo(f"devices:\n  {entry.written(ae, name)}")
    if drafted:
        click.echo()
        heading(f"# {_file(configuration, name)}")
        click.echo(drafted.text, nl=False)
    _next(ae, "put these lines where they belong, or let --write do it; then", configuration)


def _write(ae: str, name: str, drafted: Draft | None, configuration: Configuration) -> None:
    from mwl.config import entry

    path = configuration.path
    if path is None:
        raise Refused(Refusal.UNKNOWN, "there is no configuration file to write to: make mwl.yaml first")
    if (origin := configuration.origin(("devices",))).startswith("$"):
        raise Refused(Refusal.UNKNOWN, f"{origin} stands for what {path} says of devices: add it there")
    text = path.read_bytes().decode("utf-8")
    try:
        changed = entry.with_device(text, ae, name, str(path))
    except Refused as refused:
        raise Refused(Refusal.UNKNOWN, f"{path}: {refused}; add by hand: {entry.written(ae, name)}") from None
    try:
        if drafted:
            _keep(_file(configuration, name), drafted.text)
        entry.replace(path, changed)
    except OSError as error:
        raise Refused(
            Refusal.UNKNOWN, f"{error.filename or path} cannot be written: {error.strerror}"
        ) from None
    click.echo(f"{path}: {entry.written(ae, name)}")
    _next(ae, "next:", configuration)


def _keep(path: Path, text: str) -> None:
    """Write a profile's file, where there is none of that name; raise `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    click.echo(f"{path}: written")


def _file(configuration: Configuration, name: str) -> Path:
    return configuration.mappings / "devices" / f"{name}.yaml"


def _next(ae: str, first: str, configuration: Configuration) -> None:
    """Say what is left to do, on stderr: it is no data."""
    reload = "a running broker takes it over by itself" if configuration.reload.watch else "SIGHUP reloads"
    click.echo(
        f"{first} mwl check; {reload}; mwl queries list --device {shlex.quote(ae)} shows how it fares",
        err=True,
    )
