"""``mwl import``: worklists and orders from files, when a site moves from another broker to this one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mwl.cli import options
from mwl.cli.exits import FINDINGS
from mwl.cli.output import print_json, print_table
from mwl.cli.progress import Progress
from mwl.errors import MwlError, Refusal, Refused

if TYPE_CHECKING:
    from mwl.broker.preflight import Preflight
    from mwl.hl7.intake import Intake
    from mwl.store import Store
    from mwl.store.importing import Added

_HL7 = (b"MSH", b"FHS", b"BHS")
_LOCK = "lockfile"  # wlmscpfs has one in each folder
_PEER = "import"

LONGEST = 64 << 20
"""Octets of a file that is read: some ten thousand messages."""


@dataclass(frozen=True, slots=True)
class File:
    """What became of a file: steps, or messages, that are new, were known, and were refused."""

    file: str
    new: int = 0
    known: int = 0
    refused: int = 0
    reason: str = ""


@click.command("import")
@click.argument(
    "paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path)
)
@click.option(
    "--system", metavar="NAME", help="System whose orders data sets are; else the only one there is."
)
@click.option("--dry-run", is_flag=True, help="Show what would be taken, and change nothing.")
@options.json_option
@options.config_option
def import_files(paths: tuple[Path, ...], *, system: str | None, dry_run: bool, as_json: bool) -> None:
    """Take in the worklist items and orders in each PATH: files, or folders with all that is below them.

    A file holds HL7 messages, each taken as if its system sent it now; or a worklist item: a DICOM file
    (wlmscpfs, dump2dcm), a bare data set, a dump of dcmdump, or JSON.  Steps that are known stay as they are,
    and messages that were accepted before have no effect, so an import may be repeated.  The broker may run.

    Ends with 1 where a file, or a message in one, was refused: the others are taken all the same.

    \b
    Examples:
      mwl import /var/lib/wlmscpfs/OFFIS --system RIS --dry-run
      mwl import orders-of-july.hl7 worklist/
    """
    files = list(_files(paths))
    if not files:
        raise click.UsageError("there is no file in what is named")
    named = _system(system)
    store = options.opened_store()
    done: list[File] = []
    try:
        asyncio.run(_take(store, files, named, done, dry_run=dry_run))
    finally:
        _show(done, as_json=as_json, dry_run=dry_run)
    if any(each.reason for each in done):
        raise click.exceptions.Exit(FINDINGS)


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (each for each in found if each.is_file() and _counts(each))


def _counts(path: Path) -> bool:
    return path.name != _LOCK and not path.name.startswith(".")


def _system(name: str | None) -> str | None:
    """Return the configured system that data sets are taken for; None where several could be meant."""
    systems = options.configuration().systems
    if name is not None and name not in systems:
        raise click.BadParameter(f"no system {name!r} is configured", param_hint="--system")
    return name or (next(iter(systems)) if len(systems) == 1 else None)


async def _take(
    store: Store, files: Sequence[Path], system: str | None, done: list[File], *, dry_run: bool
) -> None:
    """Take one file after the other, noting in *done* what is done: that stands, whatever comes after it."""
    from mwl.cli.hl7_replay import intake_and_preflight

    intake, preflight = intake_and_preflight(store)
    with Progress("files", len(files)) as progress:
        for path in files:
            done.append(await _file(store, intake, preflight, path, system, dry_run=dry_run))
            progress.advance()
    if not dry_run:
        await preflight.finish()


async def _file(
    store: Store, intake: Intake, preflight: Preflight, path: Path, system: str | None, *, dry_run: bool
) -> File:
    try:
        raw = _read(path)
        if raw.removeprefix(b"\xef\xbb\xbf").lstrip(b"\x0b\r\n \t").startswith(_HL7):
            return await _messages(intake, preflight, path, raw, dry_run=dry_run)
        added = await _data_set(store, path, raw, system, dry_run=dry_run)
    except OSError as error:
        return File(str(path), refused=1, reason=str(error.strerror))
    except MwlError as error:
        if error.temporary:
            raise
        return File(str(path), refused=1, reason=str(error))
    return File(str(path), added.new, added.known)


def _read(path: Path) -> bytes:
    if path.stat().st_size > LONGEST:
        raise Refused(Refusal.NOT_TAKEN, f"longer than {LONGEST >> 20} MiB")
    return path.read_bytes()


async def _messages(intake: Intake, preflight: Preflight, path: Path, raw: bytes, *, dry_run: bool) -> File:
    from mwl.cli.hl7_files import messages
    from mwl.cli.hl7_view import finding_lines
    from mwl.hl7.intake import DUPLICATE
    from mwl.hl7.replay import REFUSED

    verdicts = [await intake.take(each, _PEER, rehearsed=dry_run) for each in messages(raw)]
    for each in verdicts:
        if each.done and not dry_run:
            preflight.note(each.key, each.done)
    known = [each for each in verdicts if each.outcome == DUPLICATE]
    refused = [each for each in verdicts if each.outcome in REFUSED]
    why = next((line for each in refused for line in finding_lines(each.findings)), "")
    new = len(verdicts) - len(known) - len(refused)
    return File(str(path), new, len(known), len(refused), " ".join(why.split()))


async def _data_set(store: Store, path: Path, raw: bytes, system: str | None, *, dry_run: bool) -> Added:
    from mwl.store import importing
    from mwl.workbench.importing import order

    if system is None:
        raise Refused(Refusal.NOT_TAKEN, "of several systems: say with --system whose orders data sets are")
    found = order(raw, str(path), system)
    root = options.configuration().site.uid_root
    return await store.write(
        partial(importing.add, order=found, source=_PEER, uid_root=root, rehearsed=dry_run)
    )


def _show(done: Sequence[File], *, as_json: bool, dry_run: bool) -> None:
    if as_json:
        print_json([asdict(each) for each in done])
    else:
        told = [each for each in done if each.reason]
        if told:
            print_table(["FILE", "REFUSED", "WHY"], [(each.file, each.refused, each.reason) for each in told])
    new, known = sum(each.new for each in done), sum(each.known for each in done)
    refused = sum(each.refused for each in done)
    end = "; nothing was changed" if dry_run else ""
    click.echo(f"{len(done)} files: {new} new, {known} known, {refused} refused{end}", err=True)
