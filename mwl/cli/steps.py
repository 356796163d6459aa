"""``mwl steps``: the scheduled steps, what happened to each, and what a person does with them."""

from __future__ import annotations

import click

from mwl.cli import options
from mwl.cli.lazy import LazyGroup

COMMANDS = {
    "list": ("mwl.cli.steps_list:listing", "List scheduled steps in the order of their starts."),
    "show": ("mwl.cli.steps_show:show", "Show one step: attributes, history, links, doubts of devices."),
    "arrive": ("mwl.cli.steps_move:arrive", "Say that the patient has come."),
    "ready": ("mwl.cli.steps_move:ready", "Say that the exam can begin."),
    "complete": ("mwl.cli.steps_move:complete", "Say that the exam was done; off the worklist."),
    "discontinue": ("mwl.cli.steps_move:discontinue", "Say that the exam was broken off; off the worklist."),
    "cancel": ("mwl.cli.steps_move:cancel", "Say that there will be no exam; off the worklist."),
    "reopen": ("mwl.cli.steps_move:reopen", "Put steps back on the worklist."),
}


@click.group(
    cls=LazyGroup, table=COMMANDS, epilog="Example: mwl steps list --date 20260705 --state SCHEDULED"
)
@options.config_option
def steps() -> None:
    """Look at scheduled steps, and move them by hand."""
