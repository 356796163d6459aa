"""Deletes what is older than it is to be kept, while the broker runs.

Once an hour, a few rows a transaction with a rest after each: an acknowledgement waits for one such
transaction at most.  Several brokers on one database may all have a cleaner.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from mwl.config import Capture, Retention
from mwl.errors import MwlError
from mwl.logs import event
from mwl.store import Store, Transaction, queries, retention, shadows
from mwl.store.onward import NOBODY

logger = logging.getLogger(__name__)

EVERY = 60 * 60.0  # seconds
REST = 0.05  # seconds after each transaction: about as long as it took


class Cleaner:
    """A part of the broker; start and stop may be called in any order, any number of times."""

    def __init__(self, store: Store, kept: Retention, captured: Capture) -> None:
        self._store, self._kept, self._captured = store, kept, captured
        self.told = NOBODY
        """Who hears of performed steps that are deleted."""
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

    def use(self, kept: Retention, captured: Capture) -> None:
        """Keep things for so long from now on."""
        if (kept, captured) != (self._kept, self._captured):
            self._kept, self._captured = kept, captured
            self._woken.set()

    async def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                if messages := await self._clean_messages():
                    event(logger, logging.INFO, "old messages deleted", messages=messages)
                if captured := await self._clean_queries():
                    event(logger, logging.INFO, "old queries deleted", queries=captured)
                if finished := await self._clean_finished():
                    event(logger, logging.INFO, "finished procedures deleted", procedures=finished)
                if forgotten := await self._clean_patients():
                    event(logger, logging.INFO, "patients without procedures deleted", patients=forgotten)
                if sent := await self._clean_outbox():
                    event(logger, logging.INFO, "sent rows deleted", rows=sent)
            except MwlError as error:
                event(logger, logging.WARNING, "old messages not deleted", reason=str(error))
            except Exception:  # an hour later it may go well; the broker runs on
                logger.exception("cleaner failed")
            await self._rest(EVERY)

    async def _clean_messages(self) -> int:
        """Delete messages that are too old; return how many that were."""
        age = self._kept.messages
        if age is None:
            return 0
        return await self._delete(lambda tx: retention.purge_messages(tx, tx.now - age), retention.BATCH)

    async def _clean_queries(self) -> int:
        """Delete queries that are too old or too many; return how many that were."""
        age, most = self._captured.age, self._captured.per_device
        if age is not None:
            await self._delete(lambda tx: shadows.purge(tx, tx.now - age), shadows.BATCH)
        return await self._delete(
            lambda tx: queries.purge(tx, None if age is None else tx.now - age, most), queries.BATCH
        )

    async def _clean_finished(self) -> int:
        """Delete finished procedures, and exams without one, that are too old; return how many procedures."""
        age = self._kept.finished
        if age is None:
            return 0
        await self._delete(
            lambda tx: retention.purge_performed(tx, tx.now - age, told=self.told), retention.BATCH
        )
        return await self._delete_found(
            lambda tx: retention.finished(tx, tx.now - age),
            lambda tx, keys: retention.purge_finished(tx, tx.now - age, keys, told=self.told),
        )

    async def _clean_patients(self) -> int:
        """Delete patients without procedures, of whom nothing was said for long; return how many."""
        age = self._kept.finished
        if age is None:
            return 0
        return await self._delete_found(
            lambda tx: retention.forgotten(tx, tx.now - age),
            lambda tx, keys: retention.purge_patients(tx, tx.now - age, keys),
        )

    async def _clean_outbox(self) -> int:
        """Delete what was sent, and is too old; return how many rows that were."""
        age = self._kept.sent
        if age is None:
            return 0
        return await self._delete(lambda tx: retention.purge_outbox(tx, tx.now - age), retention.BATCH)

    async def _delete(self, purge: Callable[[Transaction], int], batch: int) -> int:
        """Purge until less than a batch is found; return how much was deleted."""
        deleted = 0
        while not self._stopping.is_set():
            found = await self._store.write(purge)
            deleted += found
            if found < batch:
                break
            await self._rest(REST)
        return deleted

    async def _delete_found(
        self, find: Callable[[Transaction], list[int]], purge: Callable[[Transaction, list[int]], int]
    ) -> int:
        """Find in a read, which keeps nobody from writing, and purge, until nothing is found or goes."""
        deleted = 0
        while not self._stopping.is_set() and (keys := await self._store.read(find)):
            gone = await self._store.write(_of(keys, purge))
            deleted += gone
            if not gone:  # another broker has them
                break
            await self._rest(REST)
        return deleted

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()


def _of(keys: list[int], purge: Callable[[Transaction, list[int]], int]) -> Callable[[Transaction], int]:
    return lambda tx: purge(tx, keys)
