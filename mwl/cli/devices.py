"""``mwl devices``: who may ask, who asks, who was turned away, and how to let one in."""

from __future__ import annotations

import click

from mwl.cli import options
from mwl.cli.lazy import LazyGroup

COMMANDS = {
    "list": ("mwl.cli.devices_list:listing", "List configured devices, and callers that are not."),
    "admit": ("mwl.cli.devices_admit:admit", "Write what lets a caller in."),
}


@click.group(cls=LazyGroup, table=COMMANDS, epilog="Example: mwl devices list")
@options.config_option
def devices() -> None:
    """List configured devices and unknown callers; let one in."""
