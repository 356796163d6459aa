"""``mwl outbox retry`` and ``discard``: what a person decides about rows, one by one or all at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import click

from mwl.cli import options
from mwl.cli.exits import FINDINGS
from mwl.cli.outbox_list import require_known, to_option
from mwl.cli.output import print_json
from mwl.errors import Refused
from mwl.lifecycle import OutboxState

if TYPE_CHECKING:
    from mwl.store import Transaction

_PARKED, _PENDING = OutboxState.PARKED.value, OutboxState.PENDING.value

_rows_argument = click.argument("rows", metavar="[ROW]...", nargs=-1, type=int)


@dataclass
class Decision:
    """What became of each row."""

    done: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)


@click.command(epilog="Examples: mwl outbox retry 17 18; mwl outbox retry --all --to RIS")
@_rows_argument
@click.option("--all", "every", is_flag=True, help="All parked rows.")
@to_option
@click.option("--state", type=click.Choice([_PARKED]), help="With --all; what is pending is sent anyway.")
@options.json_option
@options.config_option
def retry(
    rows: tuple[int, ...], destination: str | None, state: str | None, *, every: bool, as_json: bool
) -> None:
    """Send parked rows again, each under its old control ID.

    They are worded anew, by the profile as it stands now.  Of ROWs that are named all are sent or none.
    With --all those are left that were overtaken: a later message about the same step has arrived, or may
    have.
    """
    from mwl.store import outbox as stored

    _decide(stored.retry, rows, _wanted(rows, destination, state, every=every), destination, "is due again",
            as_json=as_json)  # fmt: skip


@click.command(epilog="Examples: mwl outbox discard 17; mwl outbox discard --all --to OLD --state pending")
@_rows_argument
@click.option("--all", "every", is_flag=True, help="All parked rows, or all in the state that is named.")
@to_option
@click.option("--state", type=click.Choice([_PARKED, _PENDING]), help="With --all: rows in this state.")
@options.json_option
@options.config_option
def discard(
    rows: tuple[int, ...], destination: str | None, state: str | None, *, every: bool, as_json: bool
) -> None:
    """Decide that rows will not be sent.  That is final."""
    from mwl.store import outbox as stored

    _decide(stored.discard, rows, _wanted(rows, destination, state, every=every), destination,
            "is discarded", as_json=as_json)  # fmt: skip


def _wanted(
    rows: Sequence[int], destination: str | None, state: str | None, *, every: bool
) -> OutboxState | None:
    """Return the state of which all rows are meant, None where they are named; raise wrong usage."""
    if every and rows:
        raise click.UsageError("name rows, or say --all: not both")
    if not every and not rows:
        raise click.UsageError("name rows, as mwl outbox list shows them, or say --all")
    if not every and (destination or state):
        raise click.UsageError("--to and --state go with --all; rows that are named are meant as they are")
    return OutboxState(state or _PARKED) if every else None


def _decide(
    change: Callable[[Transaction, int], None],
    rows: Sequence[int],
    state: OutboxState | None,
    destination: str | None,
    what: str,
    *,
    as_json: bool,
) -> None:
    store = options.opened_store()
    require_known(store, destination)
    decision = store.write_now(lambda tx: _changed(tx, change, rows, state, destination))
    if as_json:
        print_json(asdict(decision))
    for row in () if as_json else decision.done:
        click.echo(f"{row} {what}")
    if not as_json and state and not (decision.done or decision.refused):
        click.echo(f"nothing is {state}{f' for {destination}' if destination else ''}")
    for reason in () if as_json else decision.refused.values():
        click.echo(f"mwl: {reason}", err=True)
    if decision.refused:
        raise click.exceptions.Exit(FINDINGS)


def _changed(
    tx: Transaction,
    change: Callable[[Transaction, int], None],
    rows: Sequence[int],
    state: OutboxState | None,
    destination: str | None,
) -> Decision:
    """Change all rows in a state that may be; of rows that are named all or, where one may not be, none."""
    from mwl.store import outbox as stored

    decision = Decision()
    for row in rows if state is None else stored.keys(tx, state, destination):
        try:
            change(tx, row)
        except Refused as refusal:
            if state is None:
                raise
            decision.refused[row] = str(refusal)
        else:
            decision.done.append(row)
    return decision
