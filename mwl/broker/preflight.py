"""Holds what was ordered against the profiles of the devices, beside the work of the broker.

Theory of operation
-------------------
What a message touched is queued once it is committed and answered; nobody waits for it.  The steps it
may have changed are then looked at a few at a time, in a thread that reads, with a rest after each
that is longer than the work: a query that comes meanwhile waits for a slice at most.  While messages pour
in it is put off, for a look at a step costs nearly as much as to take its order; but not for ever, and not
until the queue is full.  What is found takes the place of what was known of a step, so a doubt ends when a
message, or a profile, mends it.

The queue is bounded.  What does not fit in, or is still in it when the broker is stopped, is not looked
at, and counted.  Steps in doubt are looked at again after a start and after a reload, for the profiles
may have changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import itertools
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mwl import metrics
from mwl.errors import MwlError
from mwl.logs import event
from mwl.mapping.devices.device import DeviceProfile
from mwl.store import Store, Transaction, doubts
from mwl.store.doubts import Found
from mwl.store.outcome import Outcome
from mwl.workbench.preflight import Examined, examine

logger = logging.getLogger(__name__)

WAITING = 20_000
"""Messages, and as many steps, that wait at most: what a RIS sends in a busy hour; some 500 bytes each."""

_QUIET = 0.05  # seconds without a message, before a slice is begun
_PATIENCE = 10.0  # seconds a slice is put off at most

_RESOLVED = 50  # messages whose steps are looked up by one read
_SLICE = 20  # steps that are looked at by one read at most
_GOAL = 0.02  # seconds of one read: what another query may have to wait for
_REST = 3.0  # times as long as the work before it
_DRAIN = 5.0  # seconds for what waits when the broker is stopped
_PAUSE = 1.0  # seconds after a failure
_SWEEP = 60 * 60.0  # seconds between two looks for doubts about steps that are done
_TOLD = 5  # doubts in a log line


@dataclass(frozen=True, slots=True)
class View:
    """The devices of one configuration."""

    profiles: Mapping[str, DeviceProfile]
    called_ae: str
    zone: dt.tzinfo
    shared_by: Mapping[str, Sequence[DeviceProfile]] = field(default_factory=dict)


class Preflight:
    """A part of the broker; a command that replays messages uses it by hand (`finish`)."""

    def __init__(self, store: Store, view: View) -> None:
        self._store, self._view = store, view
        self._messages: deque[tuple[int, Outcome]] = deque()
        self._steps: dict[int, int | None] = {}  # to the message that touched it last
        self._again_after: int | None = None  # the step in doubt behind which to look again; None: done
        self._noted_at = float("-inf")  # when the latest message came
        self._size = 1  # steps of the next slice
        self._task: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()

    def note(self, message: int, done: Outcome) -> None:
        """Have a look at what a message touched; returns at once."""
        if len(self._messages) >= WAITING:
            metrics.preflight_steps.labels("skipped").inc(max(1, len(done.steps)))
        else:
            self._messages.append((message, done))
            self._noted_at = time.monotonic()
            self._woken.set()

    def use(self, view: View) -> None:
        """Hold steps against these devices from now on; those in doubt are looked at again."""
        self._view = view
        self._again_after = 0
        self._woken.set()

    async def start(self) -> None:
        """Begin, with the steps that are in doubt."""
        if self._task is None:
            self._stopping.clear()
            self._again_after = 0
            self._task = asyncio.create_task(self._run(), name="preflight")

    async def stop(self) -> None:
        """End; what waits is done if that does not take long."""
        self._stopping.set()
        self._woken.set()
        task, self._task = self._task, None
        if task is None:
            return
        await task
        self._again_after = None
        with contextlib.suppress(TimeoutError, MwlError):
            async with asyncio.timeout(_DRAIN):
                await self.finish()
        if left := len(self._messages) + len(self._steps):
            metrics.preflight_steps.labels("skipped").inc(left)
            event(logger, logging.WARNING, "preflight not finished", left=left)

    async def finish(self) -> None:
        """Look at all that waits, without a rest."""
        while self._messages or self._steps:
            await self._slice()

    async def _run(self) -> None:
        swept = -_SWEEP
        while not self._stopping.is_set():
            self._woken.clear()
            began = time.perf_counter()
            if began - swept > _SWEEP:
                swept = began
                await self._guarded(self._sweep)
            await self._quiet()
            began = time.perf_counter()
            await self._guarded(self._slice)
            if self._messages or self._steps or self._again_after is not None:
                await self._rest(_REST * (time.perf_counter() - began), self._stopping)
            else:
                await self._rest(_SWEEP, self._woken)

    async def _quiet(self) -> None:
        """Wait while messages pour in."""
        until = time.monotonic() + _PATIENCE
        while (now := time.monotonic()) < min(self._noted_at + _QUIET, until):
            if self._stopping.is_set() or len(self._messages) > WAITING // 2:
                return
            await self._rest(self._noted_at + _QUIET - now, self._stopping)

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do *work*, whatever becomes of it: the next slice may go well."""
        try:
            await work()
        except MwlError as error:
            event(logger, logging.WARNING, "preflight not done", reason=str(error))
            await self._rest(_PAUSE, self._stopping)
        except Exception:  # orders are taken and lists are sent without it
            logger.exception("preflight failed")
            await self._rest(_PAUSE, self._stopping)

    async def _sweep(self) -> None:
        while await self._store.write(doubts.forget_closed) == doubts.SLICE:
            await self._rest(_PAUSE, self._stopping)

    async def _slice(self) -> None:
        await self._gather()
        keys = list(itertools.islice(self._steps, self._size))
        messages = {key: self._steps.pop(key) for key in keys}
        if keys:
            view = self._view
            now, began = dt.datetime.now(dt.UTC).astimezone(view.zone), time.perf_counter()
            examined = await self._store.read(
                lambda tx: examine(tx, keys, view.profiles, view.called_ae, now, view.shared_by)
            )
            fitting = int(len(keys) * _GOAL / (time.perf_counter() - began))
            self._size = max(1, min(_SLICE, fitting))
            await self._keep(examined, messages)

    async def _gather(self) -> None:
        """Queue the steps that messages may have changed, and those that are to be looked at again."""
        room = WAITING - len(self._steps)
        taken = [self._messages.popleft() for _ in range(min(_RESOLVED, room, len(self._messages)))]
        if taken:
            for message, keys in await self._store.read(lambda tx: _concerned(tx, taken)):
                self._steps.update(dict.fromkeys(keys, message))
        if (after := self._again_after) is not None and room:
            found = await self._store.read(lambda tx: doubts.doubtful(tx, after=after))
            for key in found:
                self._steps.setdefault(key, None)
            self._again_after = found[-1] if found else None

    async def _keep(self, examined: Mapping[int, Examined], messages: Mapping[int, int | None]) -> None:
        news = {key: each.found for key, each in examined.items() if each.news}
        caused = {key: messages[key] or _cause(examined[key]) for key in news}
        if news:
            await self._store.write(lambda tx: doubts.replace(tx, news, caused))
        for key, each in examined.items():
            metrics.preflight_steps.labels(_outcome(each.found)).inc()
            _tell(key, each, caused.get(key))

    async def _rest(self, seconds: float, until: asyncio.Event) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await until.wait()


def _concerned(tx: Transaction, taken: Sequence[tuple[int, Outcome]]) -> list[tuple[int, list[int]]]:
    return [
        (
            message,
            doubts.concerned(tx, patients=done.patients)
            if done.patients  # these are the patients of the others
            else doubts.concerned(tx, procedures=done.procedures, steps=done.steps),
        )
        for message, done in taken
    ]


def _cause(examined: Examined) -> int | None:
    """Return the message after which the first doubt about a step was found."""
    return next((each.message_key for each in examined.known if each.message_key), None)


def _outcome(found: Sequence[Found]) -> str:
    if any(each.withheld for each in found):
        return "withheld"
    return "doubtful" if found else "clear"


def _words(found: Found) -> str:
    told = f"{found.path}: {found.message}" if found.path else found.message
    return f"{told} ({found.origin})" if found.origin else told


def _tell(key: int, examined: Examined, message: int | None) -> None:
    known = {each.found for each in examined.known}
    new = [each for each in examined.found if each not in known]
    for device in dict.fromkeys(each.calling_ae for each in new):
        here = [each for each in new if each.calling_ae == device]
        metrics.preflight_doubts.labels(device).inc(len(here))
        event(logger, logging.WARNING, "order in doubt", step=key, message=message, device=device,
              withheld=any(each.withheld for each in here),
              doubts=[_words(each) for each in here[:_TOLD]])  # fmt: skip
    if known and not examined.found:
        event(logger, logging.INFO, "order no longer in doubt", step=key)
