"""``mwl support bundle``: one file to send to whoever helps."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sqlite3
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mwl import __version__
from mwl.cli import options

if TYPE_CHECKING:
    from mwl.config import Address, Configuration

LOG = 8 << 20
"""Octets of the end of a log that are taken along."""

_SECONDS = 5.0
_PACKAGES = ("pynetdicom", "pydicom", "hl7apy", "sqlalchemy", "alembic", "starlette", "uvicorn", "psycopg")
_COUNT = click.IntRange(min=0, max=10_000)


@click.command(epilog="Example: mwl support bundle mwl-support.zip --key support.key --log mwl.log")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--key", "key_file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Key of the site; without one nobody can ever read the pseudonyms.",
)  # fmt: skip
@click.option(
    "--log", "logs", metavar="FILE", multiple=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True), help="Log to take along; may be repeated.",
)  # fmt: skip
@click.option("--messages", default=100, show_default=True, type=_COUNT, help="Latest HL7 messages.")
@click.option("--queries", default=100, show_default=True, type=_COUNT, help="Latest queries of devices.")
@click.option("--performed", default=50, show_default=True, type=_COUNT, help="Latest performed steps.")
@click.option("--force", is_flag=True, help="Write over a FILE that exists.")
@options.config_option
def bundle(
    *,
    file: Path,
    key_file: Path | None,
    logs: tuple[Path, ...],
    messages: int,
    queries: int,
    performed: int,
    force: bool,
) -> None:
    """Pack into FILE (zip) what a supporter needs.

    That is settings without secrets, the site's profiles, messages, queries, performed steps, logs, metrics.
    It is de-identified (PS3.15 Annex E): names, numbers, notes and UIDs become pseudonyms, the same for the
    same; dates move by a number of weeks.  Look into it before you send it.
    """
    from mwl.workbench.bundle import Amount, Texts, entries
    from mwl.workbench.pseudonyms import Pseudonyms, new_key, read_key

    if file.exists() and not force:
        raise click.UsageError(f"{file} exists: name another file, or say --force")
    written, name = (key_file.read_text("ascii", "replace"), str(key_file)) if key_file else (new_key(), "")
    names = Pseudonyms(read_key(written, name))
    configuration, store = options.configuration(), options.opened_store()
    figures, answers = _metrics(options.connectable(configuration.web.listen))
    texts = Texts(
        plain={"versions.json": _versions(answers=answers), "check.json": _check(configuration)},
        logs={f"logs/{n}-{path.name}": _end(path) for n, path in enumerate(logs, 1)},
        figures=figures,
    )
    _write(file, entries(store, configuration, names, Amount(messages, queries, performed), texts))
    click.echo(f"{file}: {file.stat().st_size} bytes" + ("" if key_file else ", irreversible"))


def _write(file: Path, entries: Iterable[tuple[str, str]]) -> None:
    """Write the bundle beside its place, readable by its owner alone, and then put it there."""
    from mwl.workbench.deidentified import OPTIONS

    made = file.with_name(f".{file.name}.{os.getpid()}.part")
    method = {"method": "DICOM PS3.15 Annex E", "codes": [f"{code} (DCM)" for code in OPTIONS]}
    try:
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as octets, zipfile.ZipFile(octets, "w") as packed:
            for name, text in chain([("deidentification.json", json.dumps(method) + "\n")], entries):
                info = zipfile.ZipInfo(
                    name
                )  # without a date: it would tell by how much the others were moved
                info.external_attr = 0o600 << 16
                packed.writestr(info, text.encode("utf-8", "replace"), zipfile.ZIP_DEFLATED)
        os.replace(made, file)
    except OSError as error:
        raise click.UsageError(f"{file}: {error.strerror}") from None
    finally:
        made.unlink(missing_ok=True)


def _versions(*, answers: bool) -> str:
    from mwl.store.migrations import HEAD

    found = {name: _version(name) for name in _PACKAGES}
    facts = {
        "mwl": __version__, "schema": HEAD, "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}", "sqlite": sqlite3.sqlite_version,
        "packages": found, "broker_answered": answers,
    }  # fmt: skip
    return json.dumps(facts, indent=1) + "\n"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _check(configuration: Configuration) -> str:
    from dataclasses import asdict

    from mwl.cli.check import examined

    return json.dumps([asdict(each) for each in examined(configuration)], indent=1, default=str) + "\n"


def _metrics(at: Address) -> tuple[str, bool]:
    """Return the metrics of the broker at *at*, and whether it answered."""
    try:
        with urllib.request.urlopen(f"http://{at}/metrics", timeout=_SECONDS) as answer:
            return answer.read().decode("utf-8", "replace"), True
    except (OSError, ValueError):
        return "", False


def _end(path: Path) -> str:
    """Return the end of a log, from the first line that is whole."""
    with path.open("rb") as log:
        size = log.seek(0, os.SEEK_END)
        log.seek(max(0, size - LOG))
        text = log.read().decode("utf-8", "replace")
    return text if size <= LOG else text.partition("\n")[2]
