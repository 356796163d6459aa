"""``mwl users``: passwords of the users that devices act for."""

from __future__ import annotations

import sys

import click

from mwl.cli.exits import USAGE


@click.group(epilog="Example: mwl users password")
def users() -> None:
    """Make passwords for `dicom.users`."""


@users.command(epilog="Example: mwl users password --ask")
@click.option("--ask", is_flag=True, help="Take a password from the terminal, or from stdin.")
def password(*, ask: bool) -> None:
    """Make a new password, or take one; print it with the hash for the configuration."""
    from mwl.config.passwords import hashed, new_password

    if not ask:
        made = new_password()
        click.echo(f"password       {made}")
    elif sys.stdin.isatty():
        made = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        made = sys.stdin.readline().rstrip("\r\n")
    if not made:
        click.echo("mwl: there is no password on stdin", err=True)
        raise click.exceptions.Exit(USAGE)
    click.echo(f"password_hash  {hashed(made)}")
