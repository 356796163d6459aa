"""``mwl outbox list``: what was or is to be sent; and how the outbox commands name rows and systems."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mwl.cli import options
from mwl.cli.output import print_json, print_table
from mwl.lifecycle import OutboxState
from mwl.model import text
from mwl.yamldoc import suggestion

if TYPE_CHECKING:
    from mwl.store import Store
    from mwl.store.outbox import OutboxRow

F = TypeVar("F", bound=Callable[..., Any])

STATES = [state.value for state in OutboxState]
_ACCESSION = "00080050"

to_option: Callable[[F], F] = click.option(
    "--to", "--destination", "destination", metavar="SYSTEM", help="Only rows for this system."
)


@click.command(epilog="Example: mwl outbox list --state pending --to RIS --json")
@click.option("--state", type=click.Choice(STATES), help="Only rows in this state.")
@to_option
@options.limit_option
@options.json_option
@options.config_option
def listing(state: str | None, destination: str | None, limit: int, *, as_json: bool) -> None:
    """List what was or is to be sent, newest first.

    ABOUT is the event (as ORC-5 says it) and the accession number; of what leaves by DICOM, the operation
    or the state, and the SOP Instance UID of the performed step.
    """
    from mwl.store import outbox as stored

    wanted = OutboxState(state) if state else None
    store = options.opened_store()
    require_known(store, destination)
    rows = store.read_now(lambda tx: stored.browse(tx, state=wanted, destination=destination, limit=limit))
    if as_json:
        print_json([plain(row) for row in rows])
        return
    print_table(
        ["ROW", "TO", "ABOUT", "STATE", "TRIES", "DUE", "CONTROL ID", "LAST ERROR"],
        [
            (row.key, row.destination, about(row), row.state, row.attempts,
             f"{row.due_at:%Y-%m-%d %H:%M:%SZ}", row.control_id, row.last_error)
            for row in rows
        ],
    )  # fmt: skip


def require_known(store: Store, destination: str | None) -> None:
    """Raise wrong usage for a system that is neither configured nor in the outbox: it is misspelt."""
    from mwl.store import outbox as stored

    if destination is None:
        return
    configuration = options.configuration()
    known = {*configuration.systems, *configuration.receivers, *store.read_now(stored.destinations)}
    if destination not in known:
        hint = suggestion(destination, known) or f"; there are {', '.join(sorted(known))}"
        raise click.UsageError(f"nothing is sent to {destination!r}{hint}")


def about(row: OutboxRow) -> str:
    """Say what a row tells: the event and whose step it is, without the patient."""
    number = text(row.facts.get("procedure") or {}, _ACCESSION) or row.facts.get("uid", "")
    return f"{row.event} {number or row.thread}".strip()


def plain(row: OutboxRow) -> dict[str, object]:
    """Return a row as JSON holds it."""
    payload = None if row.payload is None else row.payload.decode("utf-8", "replace")
    return {**dataclasses.asdict(row), "payload": payload}
