"""Drafts in the shadow: what a device would get by another profile, beside what it gets.

Theory of operation
-------------------
The worklist service tells of each query once it is answered; `answered` puts it into a short queue and
returns.  One task takes the queries one by one: a snapshot of the steps, both answers worked out in a
thread that pauses after each item, so that the event loop is never kept waiting, and one row of
differences.  A query that is repeated, as a polling device does, is compared again after `AGAIN`.

What does not fit is dropped and counted; no failure of a draft reaches a device.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mwl import metrics
from mwl.dicom.answering import Question
from mwl.dicom.devices import Devices
from mwl.dicom.observing import Observation
from mwl.errors import MwlError
from mwl.logs import event
from mwl.mapping.devices.device import DeviceProfile
from mwl.store import Store, queries, shadows
from mwl.store.shadows import Shadowed
from mwl.workbench.differences import plain
from mwl.workbench.shadow import KEPT, Twice, compared, snapshot

logger = logging.getLogger(__name__)

WAITING = 50
"""Queries in the queue at most; a hundred scanners that are switched on at seven ask within a minute."""

AGAIN = 300.0
"""Seconds before the same query is compared again: its list changes slowly."""

REMEMBERED = 2000
"""Queries of which it is remembered when they were compared; a hospital has a few hundred devices."""

REST = 0.2
"""Seconds after each comparison."""

_PAUSE = 0.002  # seconds after each item, which takes 0.2 ms: a tenth of a core at most

_SAME, _DIFFERS, _DROPPED, _FAILED = "same", "differs", "dropped", "failed"


class _Stopping(Exception):
    """The broker ends: nobody waits for the comparison under way."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A query to compare."""

    device: str
    calling_ae: str
    digest: str
    twice: Twice


class Shadow:
    """A part of the broker, and an observer of the worklist; start and stop may be called in any order."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._drafts: Mapping[str, DeviceProfile] = {}
        self._devices: Devices | None = None
        self._queue: list[_Waiting] = []
        self._seen: OrderedDict[tuple[str, ...], float] = OrderedDict()
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failing = False

    def use(self, drafts: Mapping[str, DeviceProfile], devices: Devices) -> None:
        """Compare with these *drafts* from now on, each under the label of its device."""
        self._drafts, self._devices = drafts, devices

    def answered(self, seen: Observation) -> None:
        """Take note of a query (`Observer.answered`)."""
        draft = self._drafts.get(seen.device)
        if draft is None or seen.profile is None or self._devices is None or not seen.identifier:
            return
        association = seen.association
        digest = queries.digest(seen.transfer_syntax, seen.identifier)
        known = (association.calling_ae, digest, seen.profile.digest, draft.digest)
        if self._compared_lately(known):
            return
        if len(self._queue) >= WAITING:
            self._count(seen.device, _DROPPED)
            return
        self._remember(known)
        question = Question(
            seen.identifier, seen.transfer_syntax, fuzzy=association.fuzzy, timezone=association.timezone
        )
        facts, zone = self._devices.facts(association), self._devices.zone
        twice = Twice(question, facts, seen.profile, draft, zone)
        self._queue.append(_Waiting(seen.device, association.calling_ae, digest, twice))
        self._woken.set()

    async def start(self) -> None:
        """Begin to compare."""
        if self._task is None:
            self._stopping.clear()
            self._task = asyncio.create_task(self._run(), name="shadow")

    async def stop(self) -> None:
        """End; the comparison under way, and what waits, are dropped."""
        self._stopping.set()
        self._woken.set()
        task, self._task = self._task, None
        if task is not None:
            await task
        self._queue.clear()

    async def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            if not self._queue:
                await self._woken.wait()
                continue
            waiting = self._queue.pop(0)
            try:
                await self._compare(waiting)
                self._failing = False
            except _Stopping:
                break
            except Exception as error:  # noqa: BLE001  a defect of a draft is told, and costs nobody an answer
                self._count(waiting.device, _FAILED)
                self._tell_failure(waiting, error)
            await self._rest()

    async def _compare(self, waiting: _Waiting) -> None:
        twice = waiting.twice
        taken = await self._store.read(lambda tx: snapshot(tx, twice))
        if taken is None:
            self._count(waiting.device, _DROPPED)
            return
        comparison = await asyncio.to_thread(compared, twice, taken, self._pause)
        found = plain(comparison, KEPT) if comparison.differs else {}
        draft = twice.draft
        row = Shadowed(waiting.calling_ae, waiting.digest, draft.name, draft.digest, found)
        await self._store.write(lambda tx: shadows.record(tx, row))
        self._count(waiting.device, _DIFFERS if found else _SAME)
        if found:
            event(logger, logging.INFO, "draft would differ", device=waiting.calling_ae, profile=draft.name,
                  sent=found["sent"], status=found["status"], **found["counts"])  # fmt: skip

    def _pause(self) -> None:
        """Let others have the interpreter; called in the thread that compares."""
        if self._stopping.is_set():
            raise _Stopping
        time.sleep(_PAUSE)

    def _compared_lately(self, known: tuple[str, ...]) -> bool:
        at = self._seen.get(known)
        return at is not None and self._clock() - at < AGAIN

    def _remember(self, known: tuple[str, ...]) -> None:
        self._seen[known] = self._clock()
        self._seen.move_to_end(known)
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)

    def _tell_failure(self, waiting: _Waiting, error: Exception) -> None:
        """Tell a failure once, until one went well; a database that is down is no news of the draft's."""
        if not self._failing:
            reason = str(error) if isinstance(error, MwlError) else f"defect: {type(error).__name__}"
            event(logger, logging.WARNING, "draft not compared", device=waiting.calling_ae,
                  profile=waiting.twice.draft.name, reason=reason)  # fmt: skip
        self._failing = True

    async def _rest(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REST):
                await self._stopping.wait()

    @staticmethod
    def _count(device: str, outcome: str) -> None:
        metrics.shadow_queries.labels(device, outcome).inc()
