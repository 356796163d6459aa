"""``mwl performed``: what devices say they did, what it is linked to, and what a person decides about it."""

from __future__ import annotations

import click

from mwl.cli import options
from mwl.cli.lazy import LazyGroup

COMMANDS = {
    "list": ("mwl.cli.performed_list:listing", "List performed steps, those a person should look at marked."),
    "show": ("mwl.cli.performed_show:show", "Show one: what it says, its links, the steps it may mean."),
    "link": ("mwl.cli.performed_decide:link", "Link one to a scheduled step, or confirm that link."),
    "unlink": ("mwl.cli.performed_decide:unlink", "Take one from its scheduled steps."),
    "close": ("mwl.cli.performed_decide:close", "End one that its device will not end."),
    "settle": ("mwl.cli.performed_decide:settle", "Say that somebody has looked, and all is well."),
}


@click.group(cls=LazyGroup, table=COMMANDS, epilog="Example: mwl performed list --unsettled")
@options.config_option
def performed() -> None:
    """Look at performed steps; link and end them by hand."""
