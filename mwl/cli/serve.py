"""``mwl serve``: the broker as a process: signals, reloads, the service manager."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import click

from mwl.cli import configure_logs, options
from mwl.cli.exits import FINDINGS
from mwl.cli.systemd import notify
from mwl.errors import BadDocument
from mwl.logs import event

if TYPE_CHECKING:
    from mwl.broker import Broker
    from mwl.config import Configuration

logger = logging.getLogger("mwl.serve")


@click.command(epilog="Example: mwl serve --config mwl.yaml")
@options.config_option
def serve() -> None:
    """Run the broker until it is told to stop.

    SIGTERM and SIGINT drain: no more is taken in, what is under way is finished; a second one
    aborts.  SIGHUP reloads configuration and profiles.
    """
    configure_logs("INFO")
    from mwl import config

    asyncio.run(_serve(partial(config.load, options.config_path())))


async def _serve(load: Callable[[], Configuration]) -> None:
    from mwl.broker import Broker

    broker = Broker(await asyncio.to_thread(load))
    signals = _Signals()
    await broker.start()
    notify("READY=1")
    while await signals.next() is signal.SIGHUP:
        notify("RELOADING=1")
        await _reload(broker, load)
        notify("READY=1")
    event(logger, logging.INFO, "draining")
    notify("STOPPING=1")
    await broker.drain()
    event(logger, logging.INFO, "stopped")


async def _reload(broker: Broker, load: Callable[[], Configuration]) -> None:
    """Take over what the files say now; where they are wrong, say so and stay as before."""
    try:
        await broker.reload(await asyncio.to_thread(load))
    except BadDocument as error:
        problems = [str(problem) for problem in error.problems]
        event(logger, logging.ERROR, "not reloaded: the old configuration stays", problems=problems)


class _Signals:
    """Signals of this process, in the order they came; a second call to stop is an order to abort."""

    def __init__(self) -> None:
        self._came: asyncio.Queue[signal.Signals] = asyncio.Queue()
        self._stopping = False
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(each, self._note, each)

    async def next(self) -> signal.Signals:
        """Wait for the next signal."""
        return await self._came.get()

    def _note(self, came: signal.Signals) -> None:
        if came is not signal.SIGHUP and self._stopping:
            event(logger, logging.WARNING, "aborted")
            # Nothing that was acknowledged can be lost: it was committed before.
            os._exit(FINDINGS)
        self._stopping = self._stopping or came is not signal.SIGHUP
        self._came.put_nowait(came)
