"""``mwl mapping try``: what a device would get for a pasted order, with the reason for each value."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mwl.cli import asking, options
from mwl.cli.exits import FINDINGS
from mwl.cli.hl7_files import messages, read
from mwl.cli.hl7_systems import configured_systems
from mwl.cli.output import print_json
from mwl.errors import Unavailable

if TYPE_CHECKING:
    from mwl.store.queries import CapturedQuery


@click.command("try")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.argument("keys", metavar="[KEY[=VALUE]]...", nargs=-1)
@click.option("--ae", required=True, callback=options.ae_title, help="AE title of the device.")
@click.option("--hex", "as_hex", is_flag=True, help="Show the bytes of each response, too.")
@options.json_option
@options.config_option
def try_order(file: Path, keys: Sequence[str], ae: str, *, as_hex: bool, as_json: bool) -> None:
    """Show what the device AE would get for the orders in FILE ("-": stdin); nothing is stored.

    The messages are applied to an empty database that is gone afterwards, in the order in which they
    stand; what is on record plays no part.  Then the device asks: what KEY says, as in `mwl find`; else
    the query it asked last; else for everything.  Each value of a response stands with its length on the
    wire, the field of the message it comes from, and every line of a profile behind it.

    Ends with 1 where a message is refused, or no step of it is sent.

    \b
    Examples:
      mwl mapping try order.hl7 --ae CT1
      mwl mapping try order.hl7 --ae CT1 SPS.Modality=CT --hex
      mwl hl7 show 17 --raw | mwl mapping try - --ae CT1 --json
    """
    from mwl.cli.try_view import plain, print_tried
    from mwl.workbench.bench import Bench
    from mwl.workbench.try_order import try_order as tried

    bench, systems = Bench.open(options.configuration()), configured_systems()
    raw = read(file)
    query = None if keys else _last(ae)
    question = asking.question(bench, ae, query, keys)
    result = tried(bench, systems, messages(raw) or [raw], ae, question, query)
    if as_json:
        print_json(plain(result, bench.zone, as_hex=as_hex))
    else:
        print_tried(result, bench.zone, as_hex=as_hex)
    if not result.sent:
        raise click.exceptions.Exit(FINDINGS)


def _last(ae: str) -> CapturedQuery | None:
    """Return the query that a device asked last; an order can be tried without a database."""
    try:
        return asking.recorded(options.opened_store(), ae)
    except Unavailable as error:
        click.echo(f"mwl: {error}: asking for everything", err=True)
        return None
