"""``mwl performed link|unlink|close|settle``: what a person decides about a performed step.

The scheduled steps follow by the same rules as ever, and their systems are told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from mwl.cli import options
from mwl.cli.by_hand import by_option, optional_reason, person, reason_option, reporting, situation
from mwl.lifecycle import PerformedState

if TYPE_CHECKING:
    from mwl.store import Transaction
    from mwl.store.instances import PerformedStep
    from mwl.store.progress import Followed
    from mwl.store.settling import Decision

_performed = click.argument("performed", metavar="PERFORMED")


def _decision(by: str | None, reason: str) -> Decision:
    from mwl.store.settling import Decision

    return Decision(person(by), reason)


@click.command(epilog='Example: mwl performed link 17 42 --reason "emergency, ordered afterwards"')
@_performed
@click.argument("step", metavar="STEP", type=int)
@optional_reason
@by_option
@options.config_option
def link(performed: str, step: int, reason: str, by: str | None) -> None:
    """Link a PERFORMED step (its number, or its UID) to a scheduled STEP.

    A link that is there already is confirmed: a patient who differs holds it up no longer.
    """
    from mwl.store import performed_view, settling

    decision, under = _decision(by, reason), situation()
    report = reporting(decision.by)

    def work(tx: Transaction) -> tuple[PerformedStep, Followed]:
        found = performed_view.named(tx, performed)
        linked = settling.link(tx, found.key, step, decision, under)
        report(tx, [step], found.uid)
        return linked

    found, followed = options.opened_store().write_now(work)
    click.echo(f"performed step {found.key} is linked to step {step}, which is {followed.after}")


@click.command(epilog="Example: mwl performed unlink 17 42")
@_performed
@click.argument("step", metavar="[STEP]", type=int, required=False)
@optional_reason
@by_option
@options.config_option
def unlink(performed: str, step: int | None, reason: str, by: str | None) -> None:
    """Take a PERFORMED step (its number, or its UID) from a scheduled STEP, or from all of its steps.

    A step goes back to where its other performed steps leave it.  What was unlinked is not linked again
    by itself.
    """
    from mwl.store import performed_view, settling

    decision, under = _decision(by, reason), situation()
    report = reporting(decision.by)

    def work(tx: Transaction) -> tuple[int, Mapping[int, Followed]]:
        found = performed_view.named(tx, performed)
        followed = settling.unlink(tx, found.key, decision, under, step_key=step)
        report(tx, followed, found.uid)
        return found.key, followed

    key, followed = options.opened_store().write_now(work)
    for step_key, each in followed.items():
        click.echo(f"performed step {key} is unlinked from step {step_key}, which is {each.after}")


@click.command(epilog='Example: mwl performed close 17 --discontinued --reason "device was switched off"')
@_performed
@click.option("--discontinued", is_flag=True, help="The exam was broken off; else it is COMPLETED.")
@reason_option
@by_option
@options.config_option
def close(performed: str, *, discontinued: bool, reason: str, by: str | None) -> None:
    """End a PERFORMED step (its number, or its UID) that its device will not end.

    What the device sends of it later is refused (0110, Error ID A710).
    """
    from mwl.store import performed_view, settling

    decision, under = _decision(by, reason), situation()
    state = PerformedState.DISCONTINUED if discontinued else PerformedState.COMPLETED
    report = reporting(decision.by)

    def work(tx: Transaction) -> tuple[PerformedStep, Mapping[int, Followed]]:
        found, followed = settling.close(tx, performed_view.named(tx, performed).key, state, decision, under)
        report(tx, followed, found.uid)
        return found, followed

    found, followed = options.opened_store().write_now(work)
    click.echo(f"performed step {found.key} is {found.state}")
    for step_key, each in followed.items():
        click.echo(f"step {step_key} is {each.after}")


@click.command(epilog='Example: mwl performed settle 17 --reason "phantom, for quality assurance"')
@click.argument("performed", metavar="PERFORMED...", nargs=-1, required=True)
@optional_reason
@by_option
@options.config_option
def settle(performed: tuple[str, ...], reason: str, by: str | None) -> None:
    """Say that somebody has looked at PERFORMED steps (numbers, or UIDs), and nothing is to be done."""
    from mwl.store import performed_view, settling

    decision = _decision(by, reason)

    def work(tx: Transaction) -> list[PerformedStep]:
        keys = [performed_view.named(tx, name).key for name in performed]
        return [settling.settle(tx, key, decision) for key in keys]

    for each in options.opened_store().write_now(work):
        click.echo(f"performed step {each.key} is settled")
