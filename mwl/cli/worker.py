"""One of several workers: a broker that gets its sockets, and its orders, from the parent.

`mwl serve --workers` starts it; nobody else does.  It ignores the signals that a terminal or a service
manager sends to the whole group: the parent passes on what it was told.  When the parent is gone, it
finishes what is under way and ends.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mwl.cli import configure_logs
from mwl.cli.exits import report
from mwl.cli.serve import Call, run
from mwl.errors import BadDocument, MwlError
from mwl.supervisor import Line
from mwl.supervisor.line import Gone

_ALL_WITHIN = 5.0  # seconds; the parent waits for each of the others for less


def main(orders: str) -> int:
    """Run one worker by its *orders*, which are JSON; return its exit code."""
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    read = json.loads(orders)
    try:
        configure_logs("INFO", worker=read["worker"])
        asyncio.run(_work(read))
    except MwlError as error:
        return report(error)
    return 0


async def _work(orders: Mapping[str, Any]) -> None:
    from mwl.broker import Broker, load
    from mwl.broker.doors import Shared

    path = Path(orders["path"]) if orders["path"] else None
    parent = _Parent()
    line = await Line.open(socket.socket(fileno=orders["line"]), parent.answer)
    parent.hear(line)
    sockets = {
        name: tuple(socket.socket(fileno=number) for number in numbers)
        for name, numbers in orders["sockets"].items()
    }
    shared = Shared(orders["worker"], sockets, parent.readiness, parent.figures)
    configuration = await asyncio.to_thread(load, path)
    if configuration.database != await line.ask("database", None):
        # The file was changed meanwhile, and the other workers have the old one still.
        message = "database: it is another since the broker was started: all workers have to be restarted"
        raise BadDocument([configuration.problem(("database",), message)])
    broker = Broker(configuration, shared)
    parent.broker = broker
    await run(broker, path, parent, parent.told)
    await line.close()


class _Parent:
    """The parent as a worker knows it: gives orders, asks how it is, and knows of the others."""

    def __init__(self) -> None:
        self.broker: Any = None
        self._said: asyncio.Task[None] | None = None
        self._line: Line
        self._came: asyncio.Queue[Call] = asyncio.Queue()
        self._reloaded: list[asyncio.Future[None]] = []

    def hear(self, line: Line) -> None:
        """Begin to hear; without a parent the worker stops."""
        self._line = line
        line.over.add_done_callback(lambda _: self._came.put_nowait(signal.SIGTERM))

    async def next(self) -> Call:
        """Wait for an order, or a change of files (`Calls`)."""
        return await self._came.get()

    def note(self, call: Call) -> None:
        """Note that a file changed, or that another broker reloaded (`Calls`)."""
        self._came.put_nowait(call)

    def told(self, state: str) -> None:
        """Take note of the broker's state; the parent tells the service manager of all."""
        if state != "READY=1":
            return
        if self._said is None:
            self._said = asyncio.get_running_loop().create_task(self._say_ready())
        for waiting in self._reloaded:
            waiting.set_result(None)
        self._reloaded.clear()

    async def answer(self, what: str) -> Any:
        """Do as the parent orders, or say what it asks."""
        if what == "stop":
            self._came.put_nowait(signal.SIGTERM)
        elif what == "reload":
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._reloaded.append(done)
            self._came.put_nowait(signal.SIGHUP)
            await done
        elif what == "readiness":
            return all((await self.broker.standing()).values())
        else:
            return await self.broker.figures()
        return None

    async def readiness(self) -> dict[str, bool]:
        """Return whether each of the others can do its work (`Shared.readiness`)."""
        return {f"worker {number}": bool(able) for number, able in (await self._ask("readiness")).items()}

    async def figures(self) -> dict[str, Any]:
        """Return the figures of the others that answered (`Shared.figures`)."""
        return {number: told for number, told in (await self._ask("figures")).items() if told}

    async def _ask(self, what: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = await self._line.ask(what, _ALL_WITHIN)
        except Gone:
            return {}
        return found

    async def _say_ready(self) -> None:
        with suppress(Gone):
            await self._line.ask("ready", None)
