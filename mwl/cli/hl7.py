"""``mwl hl7``: the HL7 side by hand."""

from __future__ import annotations

import click

from mwl.cli import options
from mwl.cli.lazy import LazyGroup

COMMANDS = {
    "list": ("mwl.cli.hl7_list:listing", "List messages on record, by number, time and outcome."),
    "show": ("mwl.cli.hl7_show:show", "Show a message: fields, answer, effects, where each value went."),
    "check": ("mwl.cli.hl7_check:check", "Show what messages in files would become."),
    "replay": ("mwl.cli.hl7_replay:replay", "Apply messages on record again, after a profile was mended."),
    "send": ("mwl.cli.hl7_send:send", "Send messages and print what is answered."),
}


@click.group(cls=LazyGroup, table=COMMANDS, epilog="Example: mwl hl7 list --outcome refused --since today")
@options.config_option
def hl7() -> None:
    """Search the journal of HL7 messages, check, replay and send them."""
