"""``mwl simulate``: play an imaging device, and see what its console would show and refuse."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from mwl.cli import options
from mwl.cli.exits import FINDINGS
from mwl.config import Address

if TYPE_CHECKING:
    from mwl.dicom.emulators import Emulator, Report, Seen


@click.command(
    epilog="Example: mwl simulate sim-ge-ct 'this scanner/today' --ae CT1 --mpps scheduled",
)
@click.argument("device", required=False)
@click.argument("query", required=False, default="")
@click.option("--ae", callback=options.ae_title, help="AE title to call as; else the device's own.")
@options.called_option
@click.option(
    "--at", metavar="HOST:PORT", callback=options.address, help="Whom to ask; else the configured broker."
)
@click.option("--typed", metavar="TEXT", default="", help="What the operator types, where a query needs it.")
@click.option(
    "--days",
    default=1,
    show_default=True,
    type=click.IntRange(0, 365),
    help="How far a range of dates reaches.",
)
@click.option("--times", default=1, show_default=True, type=click.IntRange(1, 1000), help="How often to ask.")
@click.option(
    "--every", default=5.0, show_default=True, type=click.FloatRange(0, 3600), help="Seconds in between."
)
@click.option(
    "--cancel-after", default=0, type=click.IntRange(0), help="Cancel after so many matches; 0 is never."
)
@click.option(
    "--on-bad",
    type=click.Choice(["skip", "abort"]),
    metavar="skip|abort",
    help="What to do at an item the console refuses.",
)
@click.option("--mpps", metavar="VARIANT", help="Then report an exam of what is shown first.")
@click.option("--mpps-ae", callback=options.ae_title, help="AE title to report as; else the device's own.")
@click.option("--timeout", type=click.FloatRange(min=0.1), help="Seconds to wait; else as the device does.")
@options.json_option
@options.config_option
def simulate(
    device: str | None, query: str, *, times: int, every: float, mpps: str | None, typed: str, days: int,
    cancel_after: int, as_json: bool, **how: Any,
) -> None:  # fmt: skip
    """Play an imaging device: ask for a worklist as it does, and show what its console makes of it.

    Without DEVICE, those that can be played are listed.  QUERY is one of the device's own queries, its
    first one by default; a wrong one lists them.  Ends with 1 where the console shows an error, or refuses
    an item or a report.

    \b
    Examples:
      mwl simulate
      mwl simulate sim-siemens-aristos --ae XR1
      mwl simulate sim-agfa-nx accession --typed ACC1002
      mwl simulate sim-terason --times 3 --every 10
    """
    from mwl.cli import simulate_view as view
    from mwl.dicom.emulators import DEVICES, Unplayable

    if device is None:
        view.show_devices(DEVICES.values(), as_json=as_json)
        return
    try:
        emulator = _emulator(device, **how)
        if mpps:
            emulator.device.reporting(mpps)
        polls = emulator.poll(times, every, query, typed=typed, days=days, cancel_after=cancel_after)
        runs = list(_told(emulator, polls, as_json=as_json))
        reports = _performed(emulator, runs[-1], mpps) if mpps else []
    except Unplayable as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        view.print_as_json(runs, reports)
    else:
        view.show_reports(reports)
    if not all(seen.content for seen in runs) or not all(report.taken for report in reports):
        raise click.exceptions.Exit(FINDINGS)


def _emulator(
    device: str, *, ae: str | None, called: str | None, at: Address | None, mpps_ae: str | None,
    on_bad: str | None, timeout: float | None,
) -> Emulator:  # fmt: skip
    """Return the device at work; whom it asks is this machine, unless the command line says otherwise."""
    from mwl.dicom.emulators import Emulator, is_loopback

    dicom = options.configuration().dicom
    to = at or options.connectable(dicom.listen)
    if at is None and not is_loopback(to.host):
        raise click.UsageError(
            f"the configured broker listens on {to}: to play a device over a network, say --at {to}"
        )
    return Emulator(
        device, (to.host, to.port), ae=ae or "", called=called or dicom.ae_title, performing_ae=mpps_ae or "",
        on_bad=on_bad, timeout=timeout, beyond_loopback=True,
    )  # fmt: skip


def _told(emulator: Emulator, polls: Iterable[Seen], *, as_json: bool) -> Iterator[Seen]:
    """Show each run when it has ended, to people."""
    from mwl.cli import simulate_view as view

    for seen in polls:
        if not as_json:
            view.show(emulator, seen)
        yield seen


def _performed(emulator: Emulator, seen: Seen, variant: str) -> list[Report]:
    needed = max(step.items for step in emulator.device.reporting(variant))
    if needed > len(seen.shown):
        click.echo(f"mwl: the console shows {len(seen.shown)}: {variant!r} performs {needed}", err=True)
        raise click.exceptions.Exit(FINDINGS)
    return emulator.perform(*seen.shown[:needed], variant=variant)
