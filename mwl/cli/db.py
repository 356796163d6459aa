"""``mwl db``: the database's schema."""

from __future__ import annotations

import click

from mwl.cli import options
from mwl.cli.exits import FINDINGS
from mwl.cli.output import print_json


@click.group(epilog="Example: mwl db current --config mwl.yaml")
@options.config_option
def db() -> None:
    """Look at the database's schema, or bring it up to date."""


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
