"""``mwl steps show``: one scheduled step, what happened to it, and what it is linked to."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from mwl.cli import options
from mwl.cli.described import described
from mwl.cli.doubt_view import plain_doubts, print_doubts
from mwl.cli.output import heading, print_json, print_table, printable
from mwl.errors import Refusal, Refused
from mwl.model import Document, StepRef, WorklistItem

if TYPE_CHECKING:
    from mwl.store import Transaction
    from mwl.store.doubts import Doubt
    from mwl.store.links import Links
    from mwl.store.steps import HistoryEntry

_INDENT = "  "


@click.command(epilog="Example: mwl steps show 17")
@click.argument("step", type=int)
@options.json_option
@options.config_option
def show(step: int, *, as_json: bool) -> None:
    """Show one STEP (its number in the list): attributes by level, history, links, doubts of devices."""

    def work(
        tx: Transaction,
    ) -> tuple[list[WorklistItem], list[HistoryEntry], Links, dict[int, list[Doubt]]]:
        from mwl.store import doubts, links
        from mwl.store import steps as stored

        found = stored.load(tx, [StepRef(step, 0, 0, 0)])
        return found, stored.history(tx, step), links.of_step(tx, step), doubts.of_steps(tx, [step])

    found, history, linked, doubtful = options.opened_store().read_now(work)
    if not found:
        raise Refused(Refusal.UNKNOWN, f"there is no step {step}")
    item = found[0]
    if as_json:
        entries = [dataclasses.asdict(entry) for entry in history]
        doubts = plain_doubts(doubtful.get(step, ()))
        print_json({**plain(item), "history": entries, "links": dataclasses.asdict(linked), "doubts": doubts})
        return
    for title, document in _levels(item).items():
        heading(title)
        for line in described(document):
            click.echo(_INDENT + line)
    heading("history")
    print_table(
        ["AT", "EVENT", "FROM", "TO", "BY", "WHY"],
        [(each.at, each.event, each.before, each.after, each.source, each.reason) for each in history],
    )
    _print_links("messages", [dataclasses.astuple(each) for each in linked.messages])
    _print_links("performed", [dataclasses.astuple(each) for each in linked.performed])
    print_doubts(doubtful)


def _print_links(title: str, rows: list[tuple[object, ...]]) -> None:
    if rows:
        heading(title)
    for row in rows:
        click.echo(_INDENT + printable("  ".join(map(str, row))))


def _levels(item: WorklistItem) -> dict[str, Document]:
    return {"patient": item.patient, "procedure": item.procedure, "step": item.step}


def plain(item: WorklistItem) -> dict[str, object]:
    """Return a step as JSON prints it."""
    return {"key": item.ref.key, "system": item.system, "held": item.held, **_levels(item)}
