"""The line between the parent and a worker: questions and answers, both ways, as lines of JSON.

It is a pair of sockets that nobody else can open.  When one end is gone the other reads the end of it:
a worker whose parent was killed knows so, and stops.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias

Handler: TypeAlias = Callable[[str], Awaitable[Any]]
"""Answers a question by its name; what it returns must be fit for JSON."""

ANSWER_WITHIN = 2.0
"""Seconds the other end has for an answer; what it is asked of readiness has to come in a probe's time."""

_LONGEST = 64 * 1024 * 1024  # octets of a line: figures of some thousand series are below one MiB


class Gone(Exception):
    """There is no answer: the other end is gone, is busy, or failed."""


class Line:
    """One end; made by `open`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler) -> None:
        self._reader, self._writer, self._handler = reader, writer, handler
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.over = asyncio.get_running_loop().create_task(self._run(), name="line")
        """Is done when the other end is gone."""

    @classmethod
    async def open(cls, end: socket.socket, handler: Handler) -> Line:
        """Speak on a connected socket; *handler* answers what the other end asks."""
        return cls(*await asyncio.open_connection(sock=end, limit=_LONGEST), handler)

    async def ask(self, what: str, within: float | None = ANSWER_WITHIN) -> Any:
        """Return the other end's answer; raise `Gone`."""
        number, answer = next(self._numbers), asyncio.get_running_loop().create_future()
        if self.over.done():
            raise Gone
        self._asked[number] = answer
        try:
            self._write({"ask": number, "what": what})
            async with asyncio.timeout(within):
                return await answer
        except (TimeoutError, OSError):
            raise Gone from None
        finally:
            del self._asked[number]

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()
        await self.over

    async def _run(self) -> None:
        with suppress(OSError, ValueError):  # of which a line too long is a kind
            while octets := await self._reader.readline():
                self._take(json.loads(octets))
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(Gone())
        for task in self._tasks:
            task.cancel()

    def _take(self, said: dict[str, Any]) -> None:
        if "ask" in said:
            task = asyncio.get_running_loop().create_task(self._answer(said["ask"], said["what"]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif (answer := self._asked.get(said["to"])) is not None and not answer.done():
            if said["well"]:
                answer.set_result(said["value"])
            else:
                answer.set_exception(Gone())

    async def _answer(self, number: int, what: str) -> None:
        try:
            value = await self._handler(what)
            self._write({"to": number, "well": True, "value": value})
        except Exception:  # noqa: BLE001 - whatever it is: who asked must not wait for ever
            self._write({"to": number, "well": False})

    def _write(self, said: dict[str, Any]) -> None:
        if not self._writer.is_closing():
            self._writer.write(json.dumps(said, separators=(",", ":")).encode() + b"\n")
