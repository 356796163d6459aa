"""What commands that decide by hand have in common: who it is, why, and who is told."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, TypeAlias

import click

from mwl.cli import options
from mwl.lifecycle import Actor

if TYPE_CHECKING:
    from mwl.store import Transaction
    from mwl.store.attaching import Situation

Report: TypeAlias = "Callable[[Transaction, Collection[int], str], None]"
"""Writes into a transaction that steps were changed, by the UID of a performed step or by none."""

reason_option = click.option(
    "--reason", required=True, metavar="TEXT", help="Why; it is kept with what happened."
)
optional_reason = click.option(
    "--reason", default="", metavar="TEXT", help="Why; it is kept with what happened."
)
by_option = click.option("--by", metavar="NAME", help="Who decides; else the user of this computer.")


def person(name: str | None) -> str:
    """Return who decides, as the history of a step names a person."""
    return f"{Actor.PERSON} {' '.join((name or _user()).split())}".strip()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "unknown"


def situation() -> Situation:
    """Return how exams count and who is told, by the configuration and the profiles as they stand now."""
    from mwl.broker import bind
    from mwl.broker.conducts import conducts
    from mwl.broker.onward import onward
    from mwl.store.attaching import Situation

    configuration = options.configuration()
    counted = conducts(configuration, bind(configuration))
    return Situation(counted, configuration.told, onward(configuration))


def reporting(by: str) -> Report:
    """Return what reports to the audit what *by* decides, where the configuration wants that."""
    configuration, name = options.configuration(), by.removeprefix(f"{Actor.PERSON} ")
    if configuration.audit is None:  # whoever is not audited waits for nothing that audits
        return lambda _tx, _steps, _performed: None
    from mwl.broker.audit_records import Records

    records = Records.of(configuration)

    def report(tx: Transaction, steps: Collection[int], performed: str) -> None:
        if records is not None:
            records.decided(tx, name, steps, performed)

    return report
