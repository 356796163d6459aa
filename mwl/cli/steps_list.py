"""``mwl steps list``: the scheduled steps, by their starts."""

from __future__ import annotations

import click

from mwl.cli import options
from mwl.cli.output import print_json, print_table
from mwl.cli.steps_show import plain
from mwl.lifecycle import StepState
from mwl.model import WorklistItem, text

_STATES = [state.value for state in StepState]
_HELD = ", held"  # by its order, or for having been idle: the step is on no worklist
_SEPARATOR = "\\"  # PS3.5 6.4


@click.command(epilog="Example: mwl steps list --patient PID001 --json")
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
        print_json([plain(item) for item in found])
        return
    print_table(
        ["STEP", "START", "STATION", "MOD", "PATIENT", "ID", "ACCESSION", "STATE", "SYSTEM"],
        [_row(item) for item in found],
    )


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
