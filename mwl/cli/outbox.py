"""``mwl outbox``: what must leave the house, and what a person decides about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from mwl.cli import options
from mwl.cli.output import print_json, print_table
from mwl.lifecycle import OutboxState

if TYPE_CHECKING:
    from mwl.store import Transaction
    from mwl.store.outbox import OutboxRow

_STATES = [state.value for state in OutboxState]


@click.group(epilog="Example: mwl outbox list --state parked")
@options.config_option
def outbox() -> None:
    """Look at what must be sent, send it again or discard it."""


@outbox.command("list", epilog="Example: mwl outbox list --state pending --to RIS --json")
@click.option("--state", type=click.Choice(_STATES), help="Only rows in this state.")
@click.option("--to", "destination", metavar="SYSTEM", help="Only rows for this system.")
@options.limit_option
@options.json_option
@options.config_option
def listing(state: str | None, destination: str | None, limit: int, *, as_json: bool) -> None:
    """List what was or is to be sent, newest first."""
    from mwl.store import outbox as stored

    wanted = OutboxState(state) if state else None
    rows = options.opened_store().read_now(
        lambda tx: stored.browse(tx, state=wanted, destination=destination, limit=limit)
    )
    if as_json:
        print_json([_plain(row) for row in rows])
        return
    print_table(
        ["ROW", "TO", "ABOUT", "STATE", "TRIES", "DUE", "CONTROL ID", "LAST ERROR"],
        [
            (row.key, row.destination, _about(row), row.state, row.attempts,
             f"{row.due_at:%Y-%m-%d %H:%M:%SZ}", row.control_id, row.last_error)
            for row in rows
        ],
    )  # fmt: skip


@outbox.command(epilog="Example: mwl outbox retry 17 18")
@click.argument("rows", metavar="ROW...", nargs=-1, required=True, type=int)
@options.config_option
def retry(rows: tuple[int, ...]) -> None:
    """Send parked rows again, each under its old control ID."""
    from mwl.store import outbox as stored

    _decide(rows, stored.retry, "is due again")


@outbox.command(epilog="Example: mwl outbox discard 17")
@click.argument("rows", metavar="ROW...", nargs=-1, required=True, type=int)
@options.config_option
def discard(rows: tuple[int, ...]) -> None:
    """Decide that rows will not be sent."""
    from mwl.store import outbox as stored

    _decide(rows, stored.discard, "is discarded")


def _decide(rows: tuple[int, ...], change: Callable[[Transaction, int], None], what: str) -> None:
    """Change all rows or, where one may not be changed, none."""

    def work(tx: Transaction) -> None:
        for row in rows:
            change(tx, row)

    options.opened_store().write_now(work)
    for row in rows:
        click.echo(f"{row} {what}")


def _about(row: OutboxRow) -> str:
    """Say what a row tells: the event and whose step it is, without the patient."""
    return f"{row.facts.get('event', '?')} {row.thread}"


def _plain(row: OutboxRow) -> dict[str, object]:
    payload = None if row.payload is None else row.payload.decode("utf-8", "replace")
    return {**dataclasses.asdict(row), "payload": payload}
