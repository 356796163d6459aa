"""The parent of several workers: binds the sockets, starts the workers, and keeps them running.

Theory of operation
-------------------
The parent binds every address once and hands the sockets to each worker; it accepts nothing itself, and
knows neither database nor protocols.  The first worker is started alone: it brings the schema up to
date, and what is wrong with configuration or profiles is told once.  Then the others are started; when
all accept, the parent says `ready`.

A worker that ends unasked is started anew: at once if it ran for long, else after a pause that doubles.
Its connections are lost; whatever waits to be accepted, and comes meanwhile, goes to the others.

Each worker is a broker of its own, and all are as several brokers on one database are: they share
nothing else.  What one has to tell of all (readiness, figures) it asks the parent for, which asks the
others.  Workers ignore the signals of the terminal and of the service manager, who send them to whole
groups: the parent passes on what it was told.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mwl.config import Address, Configuration
from mwl.errors import MwlError, Unavailable
from mwl.listening import bind
from mwl.logs import event
from mwl.supervisor.line import Gone, Line

logger = logging.getLogger(__name__)

DOORS = ("dicom", "hl7", "web")
PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before a worker is started anew; doubles up to the latter."""

LASTING = 60.0
"""Seconds after which a worker counts as one that ran."""

RELOADED_WITHIN = 30.0
"""Seconds that a reload is waited for: the order to stop waits as long."""

_CODE = "import sys; from mwl.cli.worker import main; sys.exit(main(sys.argv[1]))"


class Failed(MwlError):
    """The first worker could not start; it has said why, and ended with *code*."""

    def __init__(self, code: int) -> None:
        super().__init__("a worker could not start")
        self.code = code


@dataclass(eq=False)
class _Worker:
    number: int
    process: asyncio.subprocess.Process
    line: Line
    since: float
    ready: asyncio.Event = field(default_factory=asyncio.Event)


class Supervisor:
    """Starts and keeps *count* workers; started once, drained once."""

    def __init__(
        self,
        configuration: Configuration,
        count: int,
        path: Path | None,
        *,
        command: Callable[[str], list[str]] | None = None,
        pause: float = PAUSE,
        reloaded_within: float = RELOADED_WITHIN,
    ) -> None:
        """*path* is the file for the workers to read; *command* starts one, given its orders."""
        self._configuration, self._count, self._path = configuration, count, path
        self._command = command or (lambda orders: [sys.executable, "-c", _CODE, orders])
        self._pause, self._reloaded_within = pause, reloaded_within
        self._sockets: dict[str, tuple[socket.socket, ...]] = {}
        self._workers: dict[int, _Worker] = {}
        self._keeping: list[asyncio.Task[None]] = []
        self._stopping = False

    @property
    def addresses(self) -> dict[str, Address]:
        """Where the workers listen."""
        found = {name: sockets[0].getsockname() for name, sockets in self._sockets.items()}
        return {name: Address(at[0], at[1]) for name, at in found.items()}

    async def start(self) -> None:
        """Start all workers; return when each accepts.  Raises `Unavailable` or `Failed`."""
        try:
            for name in DOORS:
                self._sockets[name] = _bound(getattr(self._configuration, name).listen)
            await self._begin(1)
            await asyncio.gather(*(self._begin(number) for number in range(2, self._count + 1)))
        except BaseException:
            await self.drain()
            raise
        self._keeping = [asyncio.create_task(self._keep(worker)) for worker in self._workers.values()]
        listening = {name: str(at) for name, at in self.addresses.items()}
        event(logger, logging.INFO, "ready", **listening, workers=self._count)

    async def reload(self) -> None:
        """Have every worker read its files again; each tells in the log what it makes of them.

        One that is frozen does so when it goes on.
        """
        await asyncio.gather(*(self._reload(worker) for worker in self._workers.values()))

    async def drain(self) -> None:
        """Have every worker finish what is under way and end; twice is allowed."""
        self._stopping = True
        for bound in (each for sockets in self._sockets.values() for each in sockets):
            bound.close()  # else who connects from now on would wait for somebody to accept
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        await asyncio.gather(*(self._end(worker) for worker in list(self._workers.values())))

    def abort(self) -> None:
        """End every worker at once."""
        for worker in self._workers.values():
            with suppress(ProcessLookupError):
                worker.process.kill()

    async def _reload(self, worker: _Worker) -> None:
        if not await _tell(worker, "reload", self._reloaded_within) and worker.process.returncode is None:
            event(logger, logging.WARNING, "worker has not reloaded yet", worker=worker.number)

    async def _end(self, worker: _Worker) -> None:
        await _tell(worker, "stop")
        await worker.process.wait()
        await worker.line.close()

    async def _begin(self, number: int) -> _Worker:
        """Start a worker and wait until it accepts; raise `Failed` when it ends before."""
        worker = await self._spawn(number)
        if not await _accepts(worker):
            await worker.line.close()
            self._workers.pop(number, None)
            raise Failed(_exit_code(await worker.process.wait()))
        return worker

    async def _spawn(self, number: int) -> _Worker:
        ours, theirs = socket.socketpair()
        shared = [each for sockets in self._sockets.values() for each in sockets]
        orders = {
            "worker": number,
            "path": str(self._path) if self._path else None,
            "line": theirs.fileno(),
            "sockets": {name: [each.fileno() for each in at] for name, at in self._sockets.items()},
        }
        environment = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._command(json.dumps(orders)), stdin=asyncio.subprocess.DEVNULL, env=environment,
                    pass_fds=[theirs.fileno(), *(each.fileno() for each in shared)],
                )  # fmt: skip
            except OSError:
                ours.close()
                raise
        line = await Line.open(ours, lambda what: self._answer(number, what))
        worker = _Worker(number, process, line, asyncio.get_running_loop().time())
        self._workers[number] = worker
        return worker

    async def _keep(self, worker: _Worker) -> None:
        """Start a worker anew whenever it ends, until the broker is told to stop."""
        pause, loop = 0.0, asyncio.get_running_loop()
        while True:
            code = await worker.process.wait()
            await worker.line.close()
            pause = (
                0.0 if loop.time() - worker.since >= LASTING else min(LONGEST_PAUSE, pause * 2 or self._pause)
            )
            event(logger, logging.ERROR, "worker ended", worker=worker.number, code=code, again_in_s=pause)
            await asyncio.sleep(pause)
            try:
                worker = await self._spawn(worker.number)
            except OSError as error:  # no memory, or no process, to be had: the next time there may be
                why = error.strerror
                event(logger, logging.ERROR, "worker not started", worker=worker.number, reason=why)
                worker.since = loop.time()  # the next pause is longer
                continue
            if await _accepts(worker):
                event(logger, logging.INFO, "worker accepts again", worker=worker.number)

    async def _answer(self, number: int, what: str) -> Any:
        if what == "ready":
            self._workers[number].ready.set()
            return None
        if what == "database":  # not among the orders, which every user of the machine may read
            return self._configuration.database
        others = [worker for other, worker in sorted(self._workers.items()) if other != number]
        answers = await asyncio.gather(*(_asked(worker, what) for worker in others))
        return {str(worker.number): answer for worker, answer in zip(others, answers, strict=True)}


async def _accepts(worker: _Worker) -> bool:
    """Wait until a worker accepts; tell whether it does, or has ended before."""
    ready, ended = asyncio.create_task(worker.ready.wait()), asyncio.create_task(worker.process.wait())
    try:
        await asyncio.wait((ready, ended), return_when=asyncio.FIRST_COMPLETED)
    finally:
        ready.cancel()
        ended.cancel()
    return worker.ready.is_set()


async def _asked(worker: _Worker, what: str) -> Any:
    try:
        return await worker.line.ask(what)
    except Gone:
        return None


async def _tell(worker: _Worker, what: str, within: float | None = None) -> bool:
    """Tell a worker what to do, and return whether it has answered."""
    try:
        await worker.line.ask(what, within)
    except Gone:
        return False
    return True


def _bound(listen: Address) -> tuple[socket.socket, ...]:
    try:
        return bind(listen.host, listen.port)
    except OSError as error:
        raise Unavailable(f"cannot listen on {listen}: {error.strerror}") from None


def _exit_code(code: int) -> int:
    return code if code > 0 else 1  # killed by a signal
