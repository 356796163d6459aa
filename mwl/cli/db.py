"""``mwl db``: the database's schema, a copy of the database, and its way back."""

from __future__ import annotations

from pathlib import Path

import click

from mwl.cli import options
from mwl.cli.exits import FINDINGS
from mwl.cli.output import print_json


@click.group(epilog="Example: mwl db current --config mwl.yaml")
@options.config_option
def db() -> None:
    """Look at the database's schema, bring it up to date; back the database up and restore it."""


@db.command(epilog="Example: mwl db upgrade --config mwl.yaml")
@options.config_option
def upgrade() -> None:
    """Create the schema, or bring it up to date; "mwl serve" does so too when it starts."""
    from mwl.store import engine, migrations

    migrations.upgrade(engine.create(options.configuration().database))
    click.echo(f"the database is at {migrations.HEAD}")


@db.command(epilog="Example: mwl db current --json")
@options.json_option
@options.config_option
def current(*, as_json: bool) -> None:
    """Show the revision of the database and the one this program needs; 1 where they differ."""
    from mwl.store import engine, migrations

    found = migrations.current(engine.create(options.configuration().database))
    if as_json:
        print_json({"database": found, "program": migrations.HEAD})
    else:
        click.echo(f"database {found or 'without schema'}, program {migrations.HEAD}")
    if found != migrations.HEAD:
        raise click.exceptions.Exit(FINDINGS)


@db.command(epilog="Example: mwl db backup /var/backups/mwl-monday.db")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Write over a FILE that exists.")
@options.config_option
def backup(*, file: Path, force: bool) -> None:
    """Copy the database to FILE, while the broker runs: SQLite by itself, PostgreSQL by pg_dump.

    FILE holds patient data; it is readable by its owner alone, and whole where it exists.
    """
    from mwl.cli.progress import Progress
    from mwl.store import engine
    from mwl.store.backup import backup as copy

    if file.exists() and not force:
        raise click.UsageError(f"{file} exists: name another file, or say --force")
    with Progress("pages", 0) as progress:
        made = copy(engine.create(options.configuration().database), file, advance=progress.at)
    click.echo(f"{file}: schema {made.revision}, {made.octets} bytes")


@db.command(epilog="Example: mwl db restore /var/backups/mwl-monday.db --force")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--force", is_flag=True, help="Replace a database that is not empty; what it holds is lost.")
@options.config_option
def restore(*, file: Path, force: bool) -> None:
    """Put a backup in the place of the database; the broker must not run.

    FILE is checked first: that it is whole, a backup of this program, and of no later version.  What was
    acknowledged after it was made has to be sent again.
    """
    from mwl.store import engine, migrations
    from mwl.store.backup import restore as put_back

    restored = put_back(engine.create(options.configuration().database), file, force=force)
    old = "" if restored.revision == migrations.HEAD else '; "mwl serve" brings it up to date when it starts'
    click.echo(f"the database is that of {file}, schema {restored.revision}{old}")
