"""From kinds of errors to exit codes: the one table, and how an error is shown.

69, 75 and 78 are those of sysexits.h, which service managers know: systemd does not restart on 78.
"""

from __future__ import annotations

import click

from mwl.cli.output import printable
from mwl.errors import BadDocument, MwlError, SchemaTooNew, Unavailable

DONE = 0
FINDINGS = 1
USAGE = 2
UNAVAILABLE = 69
TRY_AGAIN = 75
BAD_CONFIGURATION = 78

EXITS: dict[type[MwlError], int] = {
    BadDocument: BAD_CONFIGURATION,
    SchemaTooNew: BAD_CONFIGURATION,
    Unavailable: UNAVAILABLE,
    MwlError: FINDINGS,
}


def exit_code(error: MwlError) -> int:
    """Return the exit code of *error*: that of its nearest kind in the table."""
    kind = next(kind for kind in type(error).__mro__ if kind in EXITS)
    return TRY_AGAIN if error.temporary and kind is MwlError else EXITS[kind]


def report(error: MwlError) -> int:
    """Show *error* on stderr, one line a mistake, and return its exit code."""
    if isinstance(error, BadDocument):
        for problem in error.problems:
            click.echo(str(problem), err=True)
    else:
        why = ", ".join(f"{name}: {printable(value)}" for name, value in error.fields.items())
        click.echo(f"mwl: {error}" + (f" ({why})" if why else ""), err=True)
    return exit_code(error)
