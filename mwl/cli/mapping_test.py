"""``mwl mapping test``: the examples that profiles carry, run without a database and without a device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mwl.cli import options
from mwl.cli.exits import FINDINGS
from mwl.cli.output import print_json, print_table, printable
from mwl.yamldoc import suggestion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mwl.mapping.devices.device import DeviceProfiles
    from mwl.workbench.examples import Result

_HOLDS, _FAILS = "ok", "failed"


@click.command()
@click.argument("profiles", metavar="[PROFILE]...", nargs=-1)
@options.json_option
@options.config_option
def test(profiles: Sequence[str], *, as_json: bool) -> None:
    """Run the examples under `tests:` of each PROFILE: a name, or a file beside the folder; else of all.

    Every example asks its profile as a device would, on steps of its own, and holds the answer against
    what it expects.  What is not as expected is told with the line that said so.

    Ends with 1 where an example fails, with 78 where a profile is wrong.

    \b
    Examples:
      mwl mapping test
      mwl mapping test ge-ct-connectpro
      mwl mapping test drafts/our-ct.yaml --json
    """
    from mwl.workbench.examples import run

    found, names = _chosen(profiles)
    results = list(run(found, names))
    if as_json:
        print_json([_plain(each) for each in results])
    else:
        _show(results)
    failed = sum(1 for each in results if each.mistakes)
    click.echo(f"{len(results)} run, {failed} failed", err=True)
    if failed:
        raise click.exceptions.Exit(FINDINGS)


def _chosen(arguments: Sequence[str]) -> tuple[DeviceProfiles, list[str]]:
    """Return the profiles there are, and the names of those meant; none means all."""
    from mwl.config import profile_folders
    from mwl.mapping.devices.device import load_devices

    drafts = [Path(each) for each in arguments if Path(each).is_file()]
    found = load_devices(profile_folders(options.configuration().mappings), drafts)
    files = {str(path) for path in drafts}
    names = [name for name, each in found.written.items() if each.file in files]
    for each in arguments:
        if each not in files and each not in found.names:
            known = suggestion(each, found.names)
            raise click.BadParameter(f"there is no profile and no file {each!r}{known}", param_hint="PROFILE")
        if each not in files:
            names.append(each)
        elif all(found.written[name].file != each for name in names):
            raise click.BadParameter(f"{each} holds no profile", param_hint="PROFILE")
    return found, list(dict.fromkeys(names))


def _show(results: Sequence[Result]) -> None:
    print_table(
        ["PROFILE", "EXAMPLE", "RESULT"],
        [(each.profile, each.name, _FAILS if each.mistakes else _HOLDS) for each in results],
    )
    for each in results:
        if each.mistakes:
            click.echo()
            click.echo(printable(f"{each.profile}: {each.name}"))
        for mistake in each.mistakes:
            click.echo(printable(f"  {mistake.file}:{mistake.line}:{mistake.column}: {mistake.message}"))


def _plain(each: Result) -> dict[str, object]:
    return {
        "profile": each.profile,
        "example": each.name,
        "file": each.file,
        "line": each.line,
        "ok": not each.mistakes,
        "mistakes": [
            {"file": one.file, "line": one.line, "column": one.column, "message": one.message}
            for one in each.mistakes
        ],
    }
