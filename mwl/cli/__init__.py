"""The command line: arguments in, exit codes out.

One module a command, imported only when the command is run, so that ``mwl --help`` does not wait
for the database and the network libraries.  Data goes to stdout, logs and errors to stderr.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import click

from mwl import __version__
from mwl.cli.exits import report
from mwl.cli.lazy import HELP, LazyGroup
from mwl.cli.options import config_option
from mwl.errors import BadDocument, MwlError, Problem

COMMANDS = {
    "serve": ("mwl.cli.serve:serve", "Run the broker."),
    "check": ("mwl.cli.check:check", "Check configuration, profiles, database and ports."),
    "demo": ("mwl.cli.demo:demo", "Show an order's way from HL7 to the worklist and back."),
    "echo": ("mwl.cli.echo:echo", "Verify that a DICOM application answers."),
    "find": ("mwl.cli.find:find", "Ask for a worklist as a device does."),
    "hl7": ("mwl.cli.hl7:hl7", "Search, check, replay and send HL7 messages."),
    "mapping": ("mwl.cli.mapping:mapping", "Explain, try, replay, learn and check device profiles."),
    "queries": ("mwl.cli.queries:queries", "Look at the queries that devices made."),
    "simulate": ("mwl.cli.simulate:simulate", "Play an imaging device against a worklist."),
    "steps": ("mwl.cli.steps:steps", "Look at scheduled steps, and move them by hand."),
    "performed": ("mwl.cli.performed:performed", "Look at performed steps; link and end them by hand."),
    "outbox": ("mwl.cli.outbox:outbox", "Look at what must be sent, send it again or discard it."),
    "devices": ("mwl.cli.devices:devices", "List configured devices and unknown callers; let one in."),
    "users": ("mwl.cli.users:users", "Make passwords of users that devices act for."),
    "import": ("mwl.cli.import_files:import_files", "Take in worklists and orders from files."),
    "support": ("mwl.cli.support:support", "Pack what a supporter needs, without anybody's patients."),
    "db": ("mwl.cli.db:db", "Upgrade the database's schema; back it up and restore it."),
}
"""Every command: where it lives, and its line in the list."""


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    context_settings={"help_option_names": HELP},
    epilog="Example: mwl serve --config mwl.yaml",
)
@config_option
@click.version_option(__version__, "--version", prog_name="mwl", message="%(prog)s %(version)s")
def cli() -> None:
    """A Modality Worklist broker: HL7 orders in, a DICOM worklist out, performed steps back.

    Exit codes: 0 done, 1 findings or a refused operation, 2 wrong usage, 69 a peer or the database
    is unavailable, 75 try again, 78 the configuration is wrong.
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (that of the process by default) and return its exit code."""
    try:
        configure_logs("WARNING")
        code = cli.main(args=arguments, prog_name="mwl", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        click.echo("mwl: stopped", err=True)
        return 1
    except MwlError as error:
        return report(error)
    return code if isinstance(code, int) else 0


def configure_logs(level: str, **always: Any) -> None:
    """Send log lines from *level* on to stderr, all with *always*; ``$MWL_LOG_LEVEL`` says otherwise."""
    from mwl import logs

    level = os.environ.get("MWL_LOG_LEVEL") or level
    try:
        logs.configure(level.upper(), **always)
    except ValueError:
        message = "log levels are DEBUG, INFO, WARNING, ERROR"
        raise BadDocument([Problem("$MWL_LOG_LEVEL", 1, 1, message)]) from None
