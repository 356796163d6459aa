"""``mwl echo``: does a DICOM application answer, and does it take this calling AE title?"""

from __future__ import annotations

import click

from mwl.cli import options
from mwl.config import Address


@click.command(epilog="Example: mwl echo 127.0.0.1:11112 --ae CT1 --called MWL")
@click.argument("at", metavar="[HOST:PORT]", required=False, callback=options.address)
@options.calling_option
@options.called_option
@options.timeout_option
@options.config_option
def echo(at: Address | None, calling: str, called: str | None, timeout: float) -> None:
    """Verify that a DICOM application answers (C-ECHO); by default the configured broker itself."""
    peer = options.dicom_peer(at, calling, called, timeout)
    from mwl.dicom import requestor

    requestor.echo(peer)
    click.echo(f"{peer.called_ae} at {Address(peer.host, peer.port)} answers {peer.calling_ae}")
