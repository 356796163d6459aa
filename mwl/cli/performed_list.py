"""``mwl performed list``: what devices say they did."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from mwl.cli import options, times
from mwl.cli.hl7_selection import site_zone
from mwl.cli.output import print_json, print_table
from mwl.model import items, text

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from mwl.store.instances import PerformedStep
    from mwl.store.performed_view import Listed


@click.command(epilog="Example: mwl performed list --unlinked --json")
@click.option("--unlinked", is_flag=True, help="Only what is linked to no scheduled step.")
@click.option("--open", "is_open", is_flag=True, help="Only what is IN PROGRESS.")
@click.option("--unsettled", is_flag=True, help="Only what a person should look at.")
@click.option("--device", metavar="AE", default="", help="Only of this device, by its key in `devices`.")
@options.limit_option
@options.json_option
@options.config_option
def listing(
    *, unlinked: bool, is_open: bool, unsettled: bool, device: str, limit: int, as_json: bool
) -> None:
    """List performed steps, the newest first.

    What is remarkable in one stands at the end of its line, behind "!" until somebody has looked.
    """
    from mwl.store import performed_view
    from mwl.store.performed_view import Wanted

    wanted = Wanted(unlinked, is_open, unsettled, device)
    found = options.opened_store().read_now(lambda tx: performed_view.browse(tx, wanted, limit))
    if as_json:
        print_json([plain(each.step, each.links) for each in found])
        return
    zone = site_zone()
    print_table(
        ["NO", "CAME", "DEVICE", "MOD", "PATIENT", "ID", "ACCESSION", "STATE", "STEPS", ""],
        [_row(each, zone) for each in found],
    )


def plain(step: PerformedStep, links: Mapping[int, str]) -> dict[str, object]:
    """Return a performed step as JSON prints it."""
    found = dataclasses.asdict(step)
    return {**found, "links": [{"step": key, "rule": rule} for key, rule in links.items()]}


def _row(each: Listed, zone: ZoneInfo) -> tuple[object, ...]:
    step = each.step
    scheduled = next(items(step.document, "00400270"), {})
    remarks = "; ".join(step.remarks)
    return (
        step.key,
        times.shown(step.created_at, zone),
        step.calling_ae,
        text(step.document, "00080060"),
        text(step.document, "00100010"),
        text(step.document, "00100020"),
        text(scheduled, "00080050"),
        step.state,
        " ".join(map(str, each.links)) or "-",
        f"! {remarks}" if step.unsettled else remarks,
    )
