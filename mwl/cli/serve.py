"""``mwl serve``: the broker as a process: signals, changed files, the service manager."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from mwl import metrics
from mwl.cli import configure_logs, options
from mwl.cli.exits import FINDINGS
from mwl.cli.systemd import notify
from mwl.errors import BadDocument
from mwl.logs import event

if TYPE_CHECKING:
    from mwl.broker import Broker
    from mwl.broker.watch import Watch

logger = logging.getLogger("mwl.serve")

FILE_CHANGE: Final = "file change"
"""What calls for a reload, beside a signal."""


@click.command(epilog="Example: mwl serve --config mwl.yaml")
@options.config_option
def serve() -> None:
    """Run the broker until it is told to stop.

    SIGTERM and SIGINT drain: no more is taken in, what is under way is finished; a second one
    aborts.  SIGHUP reloads configuration and profiles; so does a change of their files, unless
    `reload.watch` is false.  Files with a mistake change nothing: the mistake is logged.
    """
    configure_logs("INFO")
    asyncio.run(_serve(options.config_path()))


async def _serve(named: Path | None) -> None:
    from mwl.broker import Broker, load
    from mwl.broker.watch import Watch

    broker = Broker(await asyncio.to_thread(load, named))
    # A file that was found and goes away is a mistake from now on: the defaults would let anyone in.
    path = broker.configuration.path or named
    watch = Watch(lambda: _files(broker, path), wanted=lambda: broker.configuration.reload.watch)
    signals = _Signals()
    await asyncio.to_thread(watch.note)
    await broker.start()
    notify("READY=1")
    watching = asyncio.create_task(_watch(watch, signals), name="watch")
    while (why := await signals.next()) in (signal.SIGHUP, FILE_CHANGE):
        notify("RELOADING=1")
        await asyncio.to_thread(watch.note)
        await _reload(broker, path, why)
        notify("READY=1")
    watching.cancel()
    event(logger, logging.INFO, "draining")
    notify("STOPPING=1")
    await broker.drain()
    event(logger, logging.INFO, "stopped")


async def _watch(watch: Watch, signals: _Signals) -> None:
    while True:
        await watch.change()
        signals.note_change()


def _files(broker: Broker, path: Path | None) -> Iterator[Path]:
    """Yield the files whose change is taken over; those that ship change with the program alone."""
    from mwl.broker.history import site_paths
    from mwl.config.sources import SEARCHED

    yield from [path] if path else SEARCHED
    yield from site_paths(broker.configuration.mappings).values()


async def _reload(broker: Broker, path: Path | None, why: signal.Signals | str) -> None:
    """Take over what the files say now; where they are wrong, say so and stay as before."""
    from mwl.broker import load

    reason = getattr(why, "name", str(why))
    failed = True
    try:
        await broker.reload(await asyncio.to_thread(load, path), reason)
    except BadDocument as error:
        problems = [str(problem) for problem in error.problems]
        event(logger, logging.ERROR, "not reloaded: the old configuration stays", why=reason,
              problems=problems)  # fmt: skip
    except Exception:  # a file nobody thought of must not end a broker that runs
        logger.exception("reload failed: the old configuration stays")
    else:
        failed = False
    metrics.reload_failed.set(failed)


class _Signals:
    """What the process is told, in the order it came; a second call to stop is an order to abort."""

    def __init__(self) -> None:
        self._came: asyncio.Queue[signal.Signals | str] = asyncio.Queue()
        self._stopping = False
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(each, self._note, each)

    async def next(self) -> signal.Signals | str:
        """Wait for the next signal, or a change of files."""
        return await self._came.get()

    def note_change(self) -> None:
        """Note that a file changed."""
        self._came.put_nowait(FILE_CHANGE)

    def _note(self, came: signal.Signals) -> None:
        if came is not signal.SIGHUP and self._stopping:
            event(logger, logging.WARNING, "aborted")
            # Nothing that was acknowledged can be lost: it was committed before.
            os._exit(FINDINGS)
        self._stopping = self._stopping or came is not signal.SIGHUP
        self._came.put_nowait(came)
