"""``mwl support``: what a supporter needs to see, without anybody's patients in it."""

from __future__ import annotations

import click

from mwl.cli import options
from mwl.cli.lazy import LazyGroup

COMMANDS = {
    "bundle": ("mwl.cli.support_bundle:bundle", "Pack what a supporter needs, de-identified."),
    "key": ("mwl.cli.support_key:key", "Make the key by which a site reads pseudonyms."),
    "reveal": ("mwl.cli.support_key:reveal", "Read pseudonyms, with the site's key."),
}


@click.group(cls=LazyGroup, table=COMMANDS, epilog="Example: mwl support bundle mwl-support.zip")
@options.config_option
def support() -> None:
    """Pack what a supporter needs to see, without anybody's patients in it."""
