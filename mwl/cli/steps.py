"""``mwl steps``: the scheduled steps, and what happened to each."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from mwl.cli import options
from mwl.cli.output import heading, print_json, print_table, printable
from mwl.errors import Refusal, Refused
from mwl.lifecycle import StepState
from mwl.model import Document, StepRef, WorklistItem, person_name, text

if TYPE_CHECKING:
    from mwl.store import Transaction
    from mwl.store.links import Links
    from mwl.store.steps import HistoryEntry

_STATES = [state.value for state in StepState]
_INDENT = "  "
_HELD = ", held"  # the order is on hold: the step is on no worklist
_SEPARATOR = "\\"  # PS3.5 6.4


@click.group(epilog="Example: mwl steps list --date 20260705 --state SCHEDULED")
@options.config_option
def steps() -> None:
    """Look at scheduled steps."""


@steps.command("list", epilog="Example: mwl steps list --patient PID001 --json")
@click.option("--patient", default="", metavar="ID", help="Only steps of this Patient ID.")
@click.option("--accession", default="", metavar="NUMBER", help="Only steps of this accession number.")
@click.option("--state", type=click.Choice(_STATES, case_sensitive=False), help="Only steps in this state.")
@click.option("--date", "day", default="", metavar="YYYYMMDD", help="Only steps that start on this day.")
@options.limit_option
@options.json_option
@options.config_option
def listing(patient: str, accession: str, state: str | None, day: str, limit: int, *, as_json: bool) -> None:
    """List scheduled steps in the order of their starts."""
    from mwl.store import steps as stored

    wanted = StepState(state) if state else None
    found = options.opened_store().read_now(
        lambda tx: stored.browse(
            tx,
            patient_id=patient,
            accession=accession,
            state=wanted,
            day=day.replace("-", ""),
            limit=limit,
        )
    )
    if as_json:
        print_json([_plain(item) for item in found])
        return
    print_table(
        ["STEP", "START", "STATION", "MOD", "PATIENT", "ID", "ACCESSION", "STATE", "SYSTEM"],
        [_row(item) for item in found],
    )


@steps.command(epilog="Example: mwl steps show 17")
@click.argument("step", type=int)
@options.json_option
@options.config_option
def show(step: int, *, as_json: bool) -> None:
    """Show one STEP (its number in the list): attributes by level, history, links."""

    def work(tx: Transaction) -> tuple[list[WorklistItem], list[HistoryEntry], Links]:
        from mwl.store import links
        from mwl.store import steps as stored

        found = stored.load(tx, [StepRef(step, 0, 0, 0)])
        return found, stored.history(tx, step), links.of_step(tx, step)

    found, history, linked = options.opened_store().read_now(work)
    if not found:
        raise Refused(Refusal.UNKNOWN, f"there is no step {step}")
    item = found[0]
    if as_json:
        entries = [dataclasses.asdict(entry) for entry in history]
        print_json({**_plain(item), "history": entries, "links": dataclasses.asdict(linked)})
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


def _print_links(title: str, rows: list[tuple[object, ...]]) -> None:
    if rows:
        heading(title)
    for row in rows:
        click.echo(_INDENT + printable("  ".join(map(str, row))))


def described(document: Document) -> Iterator[str]:
    """Yield one line an attribute, the items of a sequence indented below it."""
    from mwl.mapping.paths import keyword

    for tag, element in sorted(document.items()):
        name = f"({tag[:4]},{tag[4:]}) {element['vr']} {keyword(tag)}"
        values = element.get("Value", [])
        if element["vr"] == "SQ":
            yield f"{name}: {len(values)} items"
            for item in values:
                yield from (_INDENT + line for line in described(item))
        else:
            shown = (person_name(value) if isinstance(value, dict) else str(value) for value in values)
            yield f"{name}: {printable(_SEPARATOR.join(shown))}".rstrip()


def _levels(item: WorklistItem) -> dict[str, Document]:
    return {"patient": item.patient, "procedure": item.procedure, "step": item.step}


def _plain(item: WorklistItem) -> dict[str, object]:
    return {"key": item.ref.key, "system": item.system, "held": item.held, **_levels(item)}


def _row(item: WorklistItem) -> tuple[object, ...]:
    stations = _SEPARATOR.join(map(str, item.step.get("00400001", {}).get("Value", [])))
    return (
        item.ref.key,
        f"{text(item.step, '00400002')} {text(item.step, '00400003')}".strip(),
        stations,
        text(item.step, "00080060"),
        text(item.patient, "00100010"),
        text(item.patient, "00100020"),
        text(item.procedure, "00080050"),
        text(item.step, "00400020") + (_HELD if item.held else ""),
        item.system,
    )
