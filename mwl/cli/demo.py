"""`mwl demo`: the whole chain on one terminal, with a RIS and two devices that are played."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import socket
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mwl.config.shipped import shipped
from mwl.errors import MwlError
from mwl.model import Document, text

if TYPE_CHECKING:
    from mwl.broker import Broker
    from mwl.cli.stage import Stage

_STANDARD = {"dicom": 11112, "hl7": 2575, "web": 8080}


@click.command(short_help="Show the whole chain, with a RIS and two devices that are played.")
@click.option("--once", is_flag=True, help="End after the last step instead of serving on.")
@click.option("--database", default=None, help="Use this database instead of a throw-away one.")
def demo(once: bool, database: str | None) -> None:
    """Start a broker on a throw-away database and play a RIS and two devices against it.

    \b
    The terminal shows what each of them sees at each step: the orders and their acknowledgements,
    the worklist of CT1 (a GE CT, Latin-1, short fields) and of US1 (any ultrasound, UTF-8), and the
    status messages the RIS gets back.  Then the broker serves on, until Ctrl-C.

    \b
    Examples:
      mwl demo
      mwl demo --once
    """
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(once=once, database=database))


async def _run(*, once: bool, database: str | None) -> None:
    from mwl.cli.stage import Ris, Stage

    with tempfile.TemporaryDirectory(prefix="mwl-demo-") as folder:
        async with Ris.listening() as ris:
            url = database or f"sqlite:///{Path(folder) / 'demo.db'}"
            async with _serving(_settings(url, ris.port, once=once)) as broker:
                stage = Stage(broker.addresses, ris, shipped("fixtures"), dt.date.today())  # noqa: DTZ011  the site's
                await _play(stage)
                if not once:
                    stage.say_goodbye()
                    await asyncio.Event().wait()


async def _play(stage: Stage) -> None:
    stage.announce()
    await stage.refresh("Both devices refresh their worklists: nothing is ordered yet.")
    for order in ("1-order-ct", "2-order-ct-chinese", "3-order-us"):
        await stage.order(order)
    items = await stage.refresh("Both devices refresh.")
    await stage.begin(_first_order(items["CT1"]))
    await stage.refresh("The exam runs: its entry stays, so that it can be resumed or appended to.")
    await stage.complete()
    await stage.refresh("The exam is done: it has left the list.")
    await stage.order("4-change-us")
    await stage.refresh("The RIS has moved the ultrasound.")
    await stage.order("5-cancel-us")
    await stage.refresh("The RIS has cancelled it.")


def _first_order(worklist: Sequence[Document]) -> Document:
    """Return the entry of the first order; a database that was given may hold others."""
    for item in worklist:
        if text(item, "00080050") == "ACC1001":
            return item
    raise MwlError("the demo's first order is not on the worklist: give it an empty database")


def _settings(database: str, ris_port: int, *, once: bool) -> dict[str, object]:
    """Return the demo's configuration, as it would stand in mwl.yaml.

    Nobody needs to find a demo that ends by itself: it leaves the contract's ports to others.
    """
    ports = {name: port if not once and _free(port) else 0 for name, port in _STANDARD.items()}
    return {
        "site": {"name": "HOSP"},
        "database": database,
        "dicom": {"ae_title": "MWL", "listen": f"127.0.0.1:{ports['dicom']}"},
        "hl7": {"listen": f"127.0.0.1:{ports['hl7']}"},
        "web": {"listen": f"127.0.0.1:{ports['web']}"},
        "devices": {
            "CT1": {"profile": "ge-ct-connectpro"},
            "US1": {"profile": "generic"},
            "*": {"profile": "generic"},
        },
        "systems": {
            "RIS": {"application": "RIS", "status": {"to": f"127.0.0.1:{ris_port}", "message": "ORM^O01"}},
            "others": {"application": "*"},
        },
    }


def _free(port: int) -> bool:
    """Tell whether the contract's port can be bound; else the demo takes any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@contextlib.asynccontextmanager
async def _serving(settings: dict[str, object]) -> AsyncIterator[Broker]:
    from mwl.broker import Broker
    from mwl.config import Configuration

    broker = Broker(Configuration.model_validate(settings))
    await broker.start()
    try:
        yield broker
    finally:
        await broker.drain()
