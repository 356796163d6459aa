"""What commands that decide by hand have in common: who it is, why, and who is told."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

import click

from mwl.cli import options
from mwl.lifecycle import Actor

if TYPE_CHECKING:
    from mwl.store.attaching import Situation

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
    from mwl.broker import bind, systems
    from mwl.broker.conducts import conducts
    from mwl.broker.onward import onward
    from mwl.store.attaching import Situation

    configuration = options.configuration()
    counted, told = conducts(configuration, bind(configuration)), systems.told(configuration)
    return Situation(counted, told, onward(configuration))
