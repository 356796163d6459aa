"""Between an event loop and the store's threads: many changes, or results, at one wake-up.

A group commit settles many changes in one moment.  To wake the loop for each of them costs a system call
and a change of threads each time; here the first one wakes it, and it takes along all that stand beside it.
The other way, what one turn of the loop has for the writer is gathered and sent when the turn has ended:
else the writer would begin with the first, and contend with the loop that makes the others ready.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Generic, TypeAlias, TypeVar

T = TypeVar("T")

_Settled: TypeAlias = "tuple[asyncio.Future[Any], Future[Any]]"


class Gathering(Generic[T]):
    """Takes what one turn of a loop brings together to *take*."""

    def __init__(self, take: Callable[[list[T]], None]) -> None:
        self._take = take
        self._gathered: list[T] = []

    def add(self, item: T) -> None:
        """Bring *item*; called in the loop."""
        if not self._gathered:
            asyncio.get_running_loop().call_soon(self._send)
        self._gathered.append(item)

    def _send(self) -> None:
        gathered, self._gathered = self._gathered, []
        self._take(gathered)


class Handover:
    """Takes results to one loop."""

    def __init__(self) -> None:
        self._settled: deque[_Settled] = deque()
        self._woken = False
        self._loop: asyncio.AbstractEventLoop | None = None

    async def result(self, future: Future[T], *, together: bool = False) -> T:
        """Return what *future* holds once it is settled, as `asyncio.wrap_future` would.

        Who settles several *together* calls `wake` after the last: else the loop would go on with the first
        while the others are still being settled.

        Who is cancelled while waiting cancels *future*, which helps as long as nobody has begun with it.
        """
        self._loop = asyncio.get_running_loop()
        waiting: asyncio.Future[T] = self._loop.create_future()
        future.add_done_callback(self._bring(waiting, together=together))
        try:
            return await waiting
        except asyncio.CancelledError:
            future.cancel()
            raise

    def wake(self) -> None:
        """Have the loop take what is settled; in whatever thread has settled it."""
        if self._settled and not self._woken and self._loop is not None:
            self._woken = True
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._arrive)

    def _bring(self, waiting: asyncio.Future[Any], *, together: bool) -> Callable[[Future[Any]], None]:
        def settled(future: Future[Any]) -> None:  # in whatever thread settles it
            self._settled.append((waiting, future))
            if not together:
                self.wake()

        return settled

    def _arrive(self) -> None:
        self._woken = False  # first: what is added from now on wakes the loop again
        while self._settled:
            waiting, future = self._settled.popleft()
            if waiting.done():  # cancelled
                continue
            if future.cancelled():
                waiting.cancel()
            elif (error := future.exception()) is not None:
                waiting.set_exception(error)
            else:
                waiting.set_result(future.result())
