"""``mwl outbox``: what must leave the house, and what a person decides about it."""

from __future__ import annotations

import click

from mwl.cli import options
from mwl.cli.lazy import LazyGroup

COMMANDS = {
    "list": ("mwl.cli.outbox_list:listing", "List what was or is to be sent."),
    "show": ("mwl.cli.outbox_show:show", "Show one row: what it tells, in which message, how it fared."),
    "retry": ("mwl.cli.outbox_decide:retry", "Send parked rows again."),
    "discard": ("mwl.cli.outbox_decide:discard", "Decide that rows will not be sent."),
}


@click.group(cls=LazyGroup, table=COMMANDS, epilog="Example: mwl outbox list --state parked")
@options.config_option
def outbox() -> None:
    """Look at what must be sent, send it again or discard it."""
