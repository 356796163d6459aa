"""``mwl queries``: what devices asked, as it came, and what became of it."""

from __future__ import annotations

import click

from mwl.cli import options
from mwl.cli.lazy import LazyGroup

COMMANDS = {
    "list": ("mwl.cli.queries_list:listing", "List the queries that devices made."),
    "show": ("mwl.cli.queries_show:show", "Show one query: its keys, who asked, what became of it."),
}


@click.group(cls=LazyGroup, table=COMMANDS, epilog="Example: mwl queries list --device CT1 --empty")
@options.config_option
def queries() -> None:
    """Look at the queries that devices made."""
