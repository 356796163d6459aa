"""The queries that devices make, put on record behind their backs.

Theory of operation
-------------------
The worklist service tells of each query once it is answered; `answered` puts it into a short queue and
returns.  One task takes what is there, makes one row of equal ones, and writes them in one change that
shares its commit with the others; then it rests, so that a hundred devices that poll cost one change a
second.  A query that comes alone is on record at once, and in a rush the rests are short.

What is lost, is lost: a device never waits for this, and never hears of it.  A queue that is full, a
database that does not answer, an identifier longer than any device's, a flood of unknown callers: each
is counted, and told once.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from mwl import metrics
from mwl.config import Capture
from mwl.dicom.observing import Observation, recorded
from mwl.dicom.quarantine import Quarantine
from mwl.errors import MwlError
from mwl.logs import event
from mwl.store import Store, queries
from mwl.store.queries import CapturedQuery
from mwl.store.transaction import stamp

logger = logging.getLogger(__name__)

WAITING = 500
"""Queries in the queue at most: 16 MiB, were each of them as long as is kept."""

BATCH = 100
"""Queries of one change: some 10 ms of the writer's time."""

REST, SHORT_REST = 1.0, 0.1
"""Seconds after a change; the short one where more waited than it could take."""

_DATABASE, _CROWDED = "database unavailable", "too many waiting"
_PASSING = {_DATABASE, _CROWDED}
"""Reasons that are told anew once they are over; the others are told once."""

_MICRO = 1_000_000


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class QueryCapture:
    """A part of the broker, and an observer of the worklist; start and stop may be called in any order."""

    def __init__(
        self,
        store: Store,
        settings: Capture,
        quarantine: Quarantine,
        clock: Callable[[], dt.datetime] = _utc_now,
    ) -> None:
        """*quarantine* says how much is kept of what unknown callers ask."""
        self._store, self._settings, self._quarantine = store, settings, quarantine
        self._clock = clock
        self._queue: list[CapturedQuery] = []
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._told: set[str] = set()

    def use(self, settings: Capture) -> None:
        """Keep so much from now on."""
        self._settings = settings

    def answered(self, seen: Observation) -> None:
        """Take note of a query (`Observer.answered`)."""
        if not self._settings.per_device:
            return
        if seen.profile is None and self._settings.unknown != "hold":
            return  # a reload took the device away while its association was open
        if len(seen.identifier) > queries.IDENTIFIER:
            self._lost("identifier too long")
        elif seen.profile is None and not self._quarantine.keeps(seen.association.address):
            self._lost("too many of unknown callers")
        elif len(self._queue) >= WAITING:
            self._lost(_CROWDED)
        else:
            self._queue.append(_captured(seen, stamp(self._clock())))
            self._woken.set()

    async def start(self) -> None:
        """Begin to write."""
        if self._task is None:
            self._stopping.clear()
            self._task = asyncio.create_task(self._run(), name="query capture")

    async def stop(self) -> None:
        """Write what waits, and end."""
        self._stopping.set()
        self._woken.set()
        task, self._task = self._task, None
        if task is not None:
            await task

    async def _run(self) -> None:
        while self._queue or not self._stopping.is_set():
            self._woken.clear()
            if not self._queue:
                await self._woken.wait()
                continue
            batch, self._queue = self._queue[:BATCH], self._queue[BATCH:]
            try:
                await self._write(batch)
            except Exception:  # a defect costs these; later ones may do
                logger.exception("query capture failed")
                self._lost("defect", len(batch))
            await self._rest(SHORT_REST if self._queue else REST)

    async def _write(self, batch: Sequence[CapturedQuery]) -> None:
        rows, most = _counted(batch), self._settings.per_device
        try:
            await self._store.write(lambda tx: queries.record(tx, rows, per_device=most))
        except MwlError:
            self._lost(_DATABASE, len(batch))
        else:
            self._told -= _PASSING

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    def _lost(self, reason: str, number: int = 1) -> None:
        metrics.queries_lost.labels(reason).inc(number)
        if reason not in self._told:
            self._told.add(reason)
            event(logger, logging.WARNING, "queries not captured", reason=reason)


def _captured(seen: Observation, now: str) -> CapturedQuery:
    association, profile = seen.association, seen.profile
    return CapturedQuery(
        calling_ae=association.calling_ae,
        identifier=seen.identifier,
        transfer_syntax=seen.transfer_syntax,
        last_at=now,
        first_at=now,
        status="" if seen.status is None else f"{seen.status:04X}",
        called_ae=association.called_ae,
        address=association.address,
        implementation_uid=association.implementation_uid,
        implementation_version=association.implementation_version,
        association=recorded(association, missing_message_id=seen.missing_message_id),
        profile=profile.name if profile else "",
        profile_digest=profile.digest if profile else "",
        matched=seen.matched,
        sent=seen.sent,
        left_out=seen.left_out,
        left_out_count=seen.left_out_count,
        microseconds=round(seen.seconds * _MICRO),
    )


def _counted(batch: Sequence[CapturedQuery]) -> list[CapturedQuery]:
    """Return equal queries of one caller as one, with the latest answer."""
    found: dict[tuple[str, str], CapturedQuery] = {}
    for query in batch:
        who = (query.calling_ae, query.digest)
        if earlier := found.get(who):
            found[who] = replace(query, first_at=earlier.first_at, count=earlier.count + 1)
        else:
            found[who] = query
    return list(found.values())
