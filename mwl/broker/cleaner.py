"""Deletes what is older than it is to be kept, while the broker runs.

Once an hour, a few rows a transaction with a rest after each: an acknowledgement waits for one such
transaction at most.  Several brokers on one database may all have a cleaner.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from mwl.config import Retention
from mwl.errors import MwlError
from mwl.logs import event
from mwl.store import Store, retention

logger = logging.getLogger(__name__)

EVERY = 60 * 60.0  # seconds
REST = 0.05  # seconds after each transaction: about as long as it took


class Cleaner:
    """A part of the broker; start and stop may be called in any order, any number of times."""

    def __init__(self, store: Store, kept: Retention) -> None:
        self._store, self._kept = store, kept
        self._task: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Begin: what is too old now goes at once."""
        if self._task is None:
            self._stopping.clear()
            self._task = asyncio.create_task(self._run(), name="cleaner")

    async def stop(self) -> None:
        """Let the transaction under way end, and end."""
        self._stopping.set()
        self._woken.set()
        task, self._task = self._task, None
        if task is not None:
            await task

    def use(self, kept: Retention) -> None:
        """Keep things for so long from now on."""
        if kept != self._kept:
            self._kept = kept
            self._woken.set()

    async def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                if deleted := await self._clean():
                    event(logger, logging.INFO, "old messages deleted", messages=deleted)
            except MwlError as error:
                event(logger, logging.WARNING, "old messages not deleted", reason=str(error))
            except Exception:  # an hour later it may go well; the broker runs on
                logger.exception("cleaner failed")
            await self._rest(EVERY)

    async def _clean(self) -> int:
        """Delete what is too old; return how many messages that were."""
        age = self._kept.messages
        if age is None:
            return 0
        deleted = 0
        while not self._stopping.is_set():
            found = await self._store.write(lambda tx: retention.purge_messages(tx, tx.now - age))
            deleted += found
            if found < retention.BATCH:
                break
            await self._rest(REST)
        return deleted

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
