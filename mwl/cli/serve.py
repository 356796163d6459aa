"""``mwl serve``: the broker as a process: signals, changed files, the service manager, workers."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import click

from mwl import metrics
from mwl.cli import configure_logs, options
from mwl.cli.exits import FINDINGS
from mwl.cli.systemd import notify
from mwl.errors import BadDocument
from mwl.logs import event

if TYPE_CHECKING:
    from mwl.broker import Broker
    from mwl.config import Configuration

logger = logging.getLogger("mwl.serve")

FILE_CHANGE: Final = "file change"
ELSEWHERE: Final = "another broker"
"""What calls for a reload, beside a signal."""

MOST_WORKERS = 64

_CYCLES: Final = 10_000
"""Objects more than before after which cyclic garbage is looked for; Python's 700 are made by each order."""

Call: TypeAlias = "signal.Signals | str"


@click.command(epilog="Example: mwl serve --config mwl.yaml")
@click.option(
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    default=1,
    metavar="N",
    help="Processes that share the work; more than one need PostgreSQL.",
)
@options.config_option
def serve(*, workers: int) -> None:
    """Run the broker until it is told to stop.

    SIGTERM and SIGINT drain: no more is taken in, what is under way is finished; a second one
    aborts.  SIGHUP reloads configuration and profiles; so does a change of their files, unless
    `reload.watch` is false.  Files with a mistake change nothing: the mistake is logged.
    """
    configure_logs("INFO")
    gc.set_threshold(_CYCLES)
    path = options.config_path()
    code = asyncio.run(_serve(path) if workers == 1 else _supervise(path, workers))
    raise click.exceptions.Exit(code)


class Calls(Protocol):
    """Where calls to stop and to reload come from: signals, or the parent of a worker."""

    async def next(self) -> Call:
        """Wait for the next one."""
        ...

    def note(self, call: Call) -> None:
        """Note that a file changed, or that another broker reloaded."""
        ...


async def _serve(named: Path | None) -> int:
    from mwl.broker import Broker, load

    broker = Broker(await asyncio.to_thread(load, named))
    await run(broker, named, Signals(), notify)
    return 0


async def run(broker: Broker, named: Path | None, calls: Calls, tell: Callable[[str], None]) -> None:
    """Start *broker*, heed *calls*, drain it; *tell* hears its states in the service manager's words."""
    from mwl.broker.watch import Watch

    # A file that was found and goes away is a mistake from now on: the defaults would let anyone in.
    path = broker.configuration.path or named
    watch = Watch(lambda: _files(broker, path), wanted=lambda: broker.configuration.reload.watch)
    await asyncio.to_thread(watch.note)
    await broker.start()
    _spare_what_stays()
    tell("READY=1")
    listening = (
        asyncio.create_task(_watch(watch.change, FILE_CHANGE, calls), name="watch"),
        asyncio.create_task(_watch(broker.elsewhere, ELSEWHERE, calls), name="other brokers"),
    )
    while (why := await calls.next()) in (signal.SIGHUP, FILE_CHANGE, ELSEWHERE):
        tell("RELOADING=1")
        await asyncio.to_thread(watch.note)
        await _reload(broker, path, why)
        tell("READY=1")
    for each in listening:
        each.cancel()
    event(logger, logging.INFO, "draining")
    tell("STOPPING=1")
    await broker.drain()
    event(logger, logging.INFO, "stopped")


def _spare_what_stays() -> None:
    """Have the collector of cyclic garbage leave alone what was made to stay: profiles, tables, modules.

    It would look through all of it again and again, while an order or a query leaves hardly a cycle behind.
    """
    gc.collect(1)  # not the oldest: to look through all of it would hold up the start
    gc.freeze()


async def _supervise(named: Path | None, workers: int) -> int:
    from mwl import config
    from mwl.supervisor import Failed, Supervisor

    configuration = await asyncio.to_thread(config.load, named)
    _require_server(configuration)
    parent = Supervisor(configuration, workers, configuration.path or named)
    signals = Signals(on_abort=parent.abort)
    try:
        await parent.start()
    except Failed as error:
        return error.code
    notify("READY=1")
    while await signals.next() is signal.SIGHUP:
        notify("RELOADING=1")
        await parent.reload()
        notify("READY=1")
    event(logger, logging.INFO, "draining")
    notify("STOPPING=1")
    await parent.drain()
    event(logger, logging.INFO, "stopped")
    return 0


def _require_server(configuration: Configuration) -> None:
    """Refuse several workers on a file.

    Measured with two: the one that has the file's only writing lock takes it again at once, and the
    other waits for seconds; and each that starts would take the outbox's leases for those of a dead one.
    """
    if configuration.database.startswith("sqlite"):
        message = "database: several workers need PostgreSQL: of a file one process at a time is the writer"
        raise BadDocument([configuration.problem(("database",), message)])


async def _watch(change: Callable[[], Awaitable[None]], call: Call, calls: Calls) -> None:
    while True:
        await change()
        calls.note(call)


def _files(broker: Broker, path: Path | None) -> Iterator[Path]:
    """Yield the files whose change is taken over; those that ship change with the program alone."""
    from mwl.broker import tls
    from mwl.broker.history import site_paths
    from mwl.config.sources import SEARCHED

    yield from [path] if path else SEARCHED
    yield from site_paths(broker.configuration.mappings).values()
    yield from tls.files(broker.configuration)


async def _reload(broker: Broker, path: Path | None, why: Call) -> None:
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


class Signals:
    """What the process is told, in the order it came; a second call to stop is an order to abort."""

    def __init__(self, on_abort: Callable[[], None] | None = None) -> None:
        self._came: asyncio.Queue[Call] = asyncio.Queue()
        self._stopping = False
        self._on_abort = on_abort
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(each, self._note, each)

    async def next(self) -> Call:
        """Wait for the next signal, or what else calls for a reload."""
        return await self._came.get()

    def note(self, call: Call) -> None:
        """Note that a file changed, or that another broker reloaded (`Calls`)."""
        self._came.put_nowait(call)

    def _note(self, came: signal.Signals) -> None:
        if came is not signal.SIGHUP and self._stopping:
            event(logger, logging.WARNING, "aborted")
            if self._on_abort is not None:
                self._on_abort()
            # Nothing that was acknowledged can be lost: it was committed before.
            os._exit(FINDINGS)
        self._stopping = self._stopping or came is not signal.SIGHUP
        self._came.put_nowait(came)
