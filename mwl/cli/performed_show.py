"""``mwl performed show``: one performed step, its links, and the scheduled steps it may mean."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from mwl.cli import options, times
from mwl.cli.by_hand import situation
from mwl.cli.described import described
from mwl.cli.hl7_selection import site_zone
from mwl.cli.output import heading, print_json, print_table, printable
from mwl.cli.performed_list import plain
from mwl.model import WorklistItem, text

if TYPE_CHECKING:
    from mwl.store.performed_view import Detail, Possible

_INDENT = "  "


@click.command(epilog="Example: mwl performed show 17")
@click.argument("performed", metavar="PERFORMED")
@options.json_option
@options.config_option
def show(performed: str, *, as_json: bool) -> None:
    """Show one PERFORMED step: its number in the list, or its SOP Instance UID.

    What the device said, what is remarkable, what was decided by hand, the scheduled steps it is linked
    to, and those it may mean, the most alike first.
    """
    from mwl.store import performed_view

    conducts = situation().conducts
    found = options.opened_store().read_now(lambda tx: performed_view.detail(tx, performed, conducts))
    if as_json:
        print_json(_plain(found))
        return
    _print_state(found)
    heading("as the device said it")
    for line in described(found.step.document):
        click.echo(_INDENT + line)
    if found.linked:
        heading("linked to")
        print_table([*_HEADERS, "BY"], [(*_row(each), found.links[each.ref.key]) for each in found.linked])
    if found.possible:
        heading("may mean")
        print_table([*_HEADERS, "AGREES", "DIFFERS"], [_possible(each) for each in found.possible])


def _print_state(found: Detail) -> None:
    step, zone = found.step, site_zone()
    heading(f"performed step {step.key}")
    click.echo(f"{_INDENT}{printable(step.uid)} of {printable(step.calling_ae)}, {step.state}")
    click.echo(
        f"{_INDENT}came {times.shown(step.created_at, zone)}, changed {times.shown(step.updated_at, zone)}"
    )
    for remark in step.remarks:
        click.echo(f"{_INDENT}{'! ' if step.unsettled else ''}{remark}")
    for note in step.notes:
        click.echo(_INDENT + printable(note))


_HEADERS = ["STEP", "START", "STATION", "MOD", "PATIENT", "ID", "ACCESSION", "STATE"]


def _row(item: WorklistItem) -> tuple[object, ...]:
    return (
        item.ref.key,
        f"{text(item.step, '00400002')} {text(item.step, '00400003')}".strip(),
        text(item.step, "00400001"),
        text(item.step, "00080060"),
        text(item.patient, "00100010"),
        text(item.patient, "00100020"),
        text(item.procedure, "00080050"),
        text(item.step, "00400020"),
    )


def _possible(each: Possible) -> tuple[object, ...]:
    agrees = [*each.likeness.agrees, *(["time"] if each.likeness.near else [])]
    return (*_row(each.item), " ".join(agrees), " ".join(each.likeness.differs) or "-")


def _plain(found: Detail) -> dict[str, object]:
    possible = [{**dataclasses.asdict(each.likeness), "item": each.item.merged()} for each in found.possible]
    return {**plain(found.step, found.links), "possible": possible}
