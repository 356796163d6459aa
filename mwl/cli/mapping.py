"""``mwl mapping``: device profiles, from an empty list to a proven fix."""

from __future__ import annotations

import click

from mwl.cli import options
from mwl.cli.lazy import LazyGroup

COMMANDS = {
    "check": ("mwl.cli.mapping_check:check", "Check profiles; every mistake at its line."),
    "explain": ("mwl.cli.mapping_explain:explain", "Say why a device is, or is not, sent a step."),
    "try": ("mwl.cli.mapping_try:try_order", "Show what a device would get for an HL7 order."),
    "learn": ("mwl.cli.mapping_learn:learn", "Draft a profile from what a device asks."),
    "replay": (
        "mwl.cli.mapping_replay:replay",
        "Compare a draft with the profile in use, on captured queries.",
    ),
    "test": ("mwl.cli.mapping_test:test", "Run the examples that profiles carry."),
    "history": ("mwl.cli.mapping_history:history", "List the sets of profiles that were in use."),
    "rollback": ("mwl.cli.mapping_history:rollback", "Bring an earlier set of profiles back."),
    "schema": ("mwl.cli.mapping_schema:schema", "Print the JSON Schema of profiles, for editors."),
}


@click.group(
    cls=LazyGroup, table=COMMANDS, epilog="Example: mwl mapping explain CT1 --last --accession ACC1002"
)
@options.config_option
def mapping() -> None:
    """Explain, try, replay, learn, test and check device profiles."""
