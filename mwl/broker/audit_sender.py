"""Takes audit messages from the spool to the collector: the oldest first, each once, for as long as it takes.

Theory of operation
-------------------
A round claims the oldest messages under a lease, sends them in a thread of its own, and deletes them.  What
the collector did not take, or may not have taken, stays and is sent again after a back-off that doubles from
1 s to 60 s; there is no end to that but the spool's bound.  A broker that is killed between sending and
deleting sends a round again, to the byte: syslog has no way to ask.

Where deleting fails, it is made up for before anything else is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from mwl import metrics
from mwl.audit.collector import PATIENCE, Address, Collector
from mwl.audit.syslog import DATAGRAM
from mwl.broker.tls import client_context
from mwl.config import Configuration
from mwl.errors import MwlError
from mwl.hl7.courier import Pace
from mwl.logs import event
from mwl.store import Store, spool
from mwl.store.spool import Spooled

logger = logging.getLogger(__name__)

BATCH = 100
"""Messages of one round: some 200 KiB."""

REST = 0.5
"""Seconds after a round that found less: so that the messages of a busy hour share their commits."""

_LEASE = dt.timedelta(seconds=120)
_LONG = 10  # failures that a defect counts for: the longest pause
_TOO_LONG = "too long for a datagram"


def address(configuration: Configuration) -> Address | None:
    """Return where the collector is, None where nothing is sent; raise `BadDocument` (TLS)."""
    audit = configuration.audit
    if audit is None:
        return None
    if audit.transport == "udp":
        return Address(audit.to.host, audit.to.port)
    tls = client_context(configuration, ("audit", "tls"), audit.tls)
    return Address(audit.to.host, audit.to.port, tls, audit.tls.name)


class AuditSender:
    """A part of the broker; start and stop may be called in any order, any number of times."""

    def __init__(
        self,
        store: Store,
        address: Address | None,
        *,
        owner: str,
        pace: Pace = Pace(),  # noqa: B008  frozen
    ) -> None:
        """*address* is the collector's, None where nothing is sent; *owner* names this broker in leases."""
        self._store, self._address, self._owner, self._pace = store, address, owner, pace
        self._written = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._deafen: Callable[[], None] = lambda: None
        self._sent: list[int] = []  # keys of messages that are sent, and not deleted yet

    async def start(self) -> None:
        """Begin to send what waits."""
        if self._task is None and self._address is not None:
            self._stopping.clear()
            self._deafen = self._store.on_commit(self._committed)
            self._task = asyncio.create_task(self._run(self._address), name="audit sender")

    async def stop(self) -> None:
        """Send what waits, where the collector takes it, give back the rest, and end."""
        self._deafen()
        self._stopping.set()
        self._written.set()
        task, self._task = self._task, None
        if task is not None:
            await task

    def _committed(self, topics: set[str]) -> None:
        if spool.TOPIC in topics:
            self._written.set()

    async def _run(self, address: Address) -> None:
        collector, thread = Collector(address), ThreadPoolExecutor(1, "mwl-audit")
        failures = 0
        try:
            while not self._stopping.is_set():
                failures = await self._go_on(collector, thread, failures)
            if not failures:
                await self._finish(collector, thread)
        finally:
            await asyncio.get_running_loop().run_in_executor(thread, collector.close)
            thread.shutdown()
            with contextlib.suppress(MwlError):
                await self._store.write(lambda tx: spool.released(tx, self._owner))

    async def _go_on(self, collector: Collector, thread: ThreadPoolExecutor, failures: int) -> int:
        """Do a round and wait; return how many rounds have failed in a row."""
        try:
            if failures:  # what the last round had claimed
                await self._store.write(lambda tx: spool.released(tx, self._owner))
            found = await self._round(collector, thread)
        except MwlError as error:
            failures += 1
            metrics.audit_failed.inc()
            pause = self._pace.backoff(failures)
            if failures == 1:  # once per outage, not once per attempt
                event(logger, logging.WARNING, "audit messages cannot be sent", reason=str(error),
                      again_in_s=pause)  # fmt: skip
            await self._pause(pause)
            return failures
        except Exception:
            logger.exception("audit sender failed")
            await self._pause(self._pace.backoff(_LONG))
            return failures + 1
        if failures and found:
            event(logger, logging.INFO, "audit messages are sent again", failures=failures)
        if not found:
            await self._rest()
        elif found < BATCH:
            await self._pause(REST)
        return 0

    async def _finish(self, collector: Collector, thread: ThreadPoolExecutor) -> None:
        """Send what was written last, as far as that goes quickly."""
        loop = asyncio.get_running_loop()
        over = loop.time() + PATIENCE
        with contextlib.suppress(MwlError):
            while loop.time() < over and await self._round(collector, thread):
                pass

    async def _round(self, collector: Collector, thread: ThreadPoolExecutor) -> int:
        """Send the oldest messages; return how many were found."""
        await self._forget()
        rows = await self._store.write(lambda tx: spool.claim(tx, self._owner, _LEASE, BATCH))
        fitting = self._fitting(rows)
        loop = asyncio.get_running_loop()
        if fitting:
            send = partial(collector.send, [row.message for row in fitting])
            await loop.run_in_executor(thread, send)
        self._sent = [row.key for row in rows]
        metrics.audit_sent.inc(len(fitting))
        await self._forget()
        return len(rows)

    def _fitting(self, rows: Sequence[Spooled]) -> Sequence[Spooled]:
        """Return the messages that can be sent at all; the others are lost."""
        if self._address is None or self._address.tls is not None:
            return rows
        fitting = [row for row in rows if len(row.message) <= DATAGRAM]
        if lost := len(rows) - len(fitting):
            metrics.audit_dropped.labels(_TOO_LONG).inc(lost)
            event(logger, logging.ERROR, "audit messages dropped", reason=_TOO_LONG, messages=lost,
                  setting="audit.transport")  # fmt: skip
        return fitting

    async def _forget(self) -> None:
        if keys := self._sent:
            await self._store.write(lambda tx: spool.sent(tx, keys))
            self._sent = []

    async def _rest(self) -> None:
        """Wait until something was written, or it is time to look again."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pace.poll):
                await self._written.wait()
        self._written.clear()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
