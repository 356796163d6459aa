"""From the store's threads to an event loop: many results at one wake-up.

A group commit settles many changes in one moment.  To wake the loop for each of them costs a system call
and a change of threads each time; here the first one wakes it, and it takes along all that stand beside it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

_Settled: TypeAlias = "tuple[asyncio.Future[Any], Future[Any]]"


class Handover:
    """Takes results to one loop."""

    def __init__(self) -> None:
        self._settled: deque[_Settled] = deque()
        self._woken = False

    async def result(self, future: Future[T]) -> T:
        """Return what *future* holds once it is settled, as `asyncio.wrap_future` would.

        Who is cancelled while waiting cancels *future*, which helps as long as nobody has begun with it.
        """
        waiting: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        future.add_done_callback(self._bring(waiting))
        try:
            return await waiting
        except asyncio.CancelledError:
            future.cancel()
            raise

    def _bring(self, waiting: asyncio.Future[Any]) -> Callable[[Future[Any]], None]:
        def settled(future: Future[Any]) -> None:  # in whatever thread settles it
            self._settled.append((waiting, future))
            if not self._woken:
                self._woken = True
                with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    waiting.get_loop().call_soon_threadsafe(self._arrive)

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
