"""``mwl hl7``: the HL7 side by hand."""

from __future__ import annotations

import click

from mwl.cli.lazy import LazyGroup

COMMANDS = {
    "send": ("mwl.cli.hl7_send:send", "Send messages and print what is answered."),
}


@click.group(cls=LazyGroup, table=COMMANDS, epilog="Example: mwl hl7 send order.hl7 --to 127.0.0.1:2575")
def hl7() -> None:
    """Send HL7 messages, as an information system does."""
