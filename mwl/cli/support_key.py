"""``mwl support key`` and ``reveal``: the site alone reads what its bundles say of whom."""

from __future__ import annotations

import os
from pathlib import Path

import click

from mwl.cli import options
from mwl.cli.output import print_table


@click.command(epilog="Example: mwl support key /etc/mwl/support.key")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@options.config_option
def key(*, file: Path) -> None:
    """Make a key in FILE, which must not exist; readable by its owner alone.

    It never leaves the site: who has it reads every bundle that was made with it.
    """
    from mwl.workbench.pseudonyms import new_key

    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise click.BadParameter(f"{file}: {error.strerror}") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as written:
        written.write(new_key())
    click.echo(f"{file}: keep it at the site")


@click.command(epilog="Example: mwl support reveal --key /etc/mwl/support.key 'QRTSV^UMA'")
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True)
@click.option(
    "--key",
    "file",
    required=True,
    metavar="FILE",
    help="Key the bundle was made with.",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
)
@options.config_option
def reveal(*, texts: tuple[str, ...], file: Path) -> None:
    """Say what stands behind each TEXT of a bundle: as words, numbers and UIDs, and as a date."""
    from mwl.workbench.pseudonyms import Pseudonyms, read_key

    names = Pseudonyms(read_key(file.read_text("ascii", "replace"), str(file)))
    rows = [(text, names.original(text), names.day(text), names.day(text, birth=True)) for text in texts]
    print_table(["TEXT", "STANDS FOR", "AS A DATE", "AS A DATE OF BIRTH"], rows)
