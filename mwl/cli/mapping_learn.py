"""``mwl mapping learn``: a profile drafted from what a device asks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mwl.cli import options
from mwl.errors import Refusal, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mwl.store.queries import CapturedQuery
    from mwl.workbench.bench import Bench
    from mwl.workbench.learn import Draft
    from mwl.workbench.samples import Sample


@click.command()
@click.argument("ae", metavar="AE", callback=options.ae_title)
@click.option(
    "--query", "numbers", type=int, multiple=True, metavar="N", help="From this query; may be repeated."
)
@click.option(
    "--file",
    "files",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    metavar="FILE",
    help="From an identifier in a file: DICOM, DICOM JSON, or a dump as dcmdump prints it.",
)
@click.option("--all", "everything", is_flag=True, help="From every query of this device on record.")
@click.option(
    "--output", "-o", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write it there."
)
@options.config_option
def learn(
    ae: str, numbers: Sequence[int], files: Sequence[Path], output: Path | None, *, everything: bool
) -> None:
    """Draft a profile for the device AE from what it asks: its last query, unless told otherwise.

    What is drafted is a guess, and says so; every line says on what it rests.  It loads, and what
    it changes it names.

    \b
    Examples:
      mwl mapping learn CT9 --all
      mwl mapping learn CT9 --file query.dcm -o mappings/devices/ct9.yaml
    """
    if sum(map(bool, (numbers, files, everything))) > 1:
        raise click.UsageError("--query, --file and --all exclude each other")
    from mwl.workbench import samples
    from mwl.workbench.bench import Bench

    bench = Bench.open(options.configuration())
    if files:
        found = [samples.read(path, ae) for path in files]
    else:
        found = samples_of(_captured(ae, numbers, everything=everything), bench)
    draft = drafted(ae, found, bench)
    if output is None:
        click.echo(draft.text, nl=False)
        return
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(draft.text)
    except FileExistsError:
        raise Refused(Refusal.DUPLICATE, f"{output} exists: remove it, or name another file") from None
    except OSError as error:
        raise Refused(Refusal.UNKNOWN, f"{output} cannot be written: {error.strerror}") from None
    click.echo(f"{output}: the profile {draft.name}, from {len(found)} queries", err=True)


def samples_of(queries: Sequence[CapturedQuery], bench: Bench) -> list[Sample]:
    """Return captured queries to learn from; those that are no data set are named and left out."""
    from mwl.dicom.encoding import Undecodable
    from mwl.workbench import samples

    found: list[Sample] = []
    for query in queries:
        try:
            found.append(samples.of(query, bench.zone))
        except Undecodable as error:
            click.echo(f"query {query.key} is left out: {error}", err=True)
    if not found:
        raise Refused(Refusal.UNKNOWN, "none of these queries can be read: there is nothing to learn from")
    return found


def drafted(ae: str, samples: Sequence[Sample], bench: Bench) -> Draft:
    """Return the draft for a device, once it has been loaded as the broker would load it."""
    from mwl.config import profile_folders
    from mwl.workbench import learn as drafting

    device = bench.configuration.devices.get(ae)
    draft = drafting.draft(ae, samples, bench.profiles, bench.site, device.profile if device else "")
    drafting.load(draft.text, draft.name, profile_folders(bench.configuration.mappings), bench.site)
    return draft


def _captured(ae: str, numbers: Sequence[int], *, everything: bool) -> list[CapturedQuery]:
    from mwl.store import queries

    store = options.opened_store()
    if not numbers:
        most = queries.KEPT if everything else 1
        found = store.read_now(lambda tx: queries.browse(tx, calling_ae=ae, limit=most))
        if not found:
            raise Refused(
                Refusal.UNKNOWN, f"no query of {ae} is on record: mwl queries list shows those that are"
            )
        return found
    chosen: list[CapturedQuery] = []
    for number in numbers:
        query = store.read_now(lambda tx, number=number: queries.get(tx, number))  # type: ignore[misc]
        if query is None or query.calling_ae != ae:
            raise Refused(
                Refusal.UNKNOWN, f"{ae} has no query {number}: mwl queries list shows those on record"
            )
        chosen.append(query)
    return chosen
