"""Sees, by the clock, to what no message will ever mend: exams nobody ends, steps nobody reports, silence.

Once a minute.  What is found is logged once, not once a minute: a performed step that is left open for the
first time it is too old, a device or a system once for each silence, a destination once for each time it
falls behind.  The figures are in the metrics at any time.  Beyond that only what the configuration says is
done, a few rows a transaction.

Several brokers on one database may all have a watchdog: a row is reported, ended or taken off a worklist by
one of them.  Of silence each tells what it sees.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from mwl import metrics
from mwl.config import ANYONE, Watch
from mwl.errors import MwlError
from mwl.lifecycle import PerformedState
from mwl.logs import event
from mwl.store import Store, Transaction, outbox, watching
from mwl.store.attaching import Situation
from mwl.store.transaction import instant
from mwl.store.watching import Idleness, Mark

logger = logging.getLogger(__name__)

EVERY = 60.0  # seconds
REST = 0.05  # seconds after each transaction: about as long as it took
SWEEP = dt.timedelta(days=1)  # how often all steps are looked at, and not only those of the last days
LOOKED_AT = dt.timedelta(days=3)  # starts before the limit that are looked at every time


@dataclass(frozen=True, slots=True)
class Watched:
    """What is watched, by one configuration."""

    watch: Watch
    under: Situation
    zone: dt.tzinfo
    titles: Mapping[str, str]
    """Each calling AE title that is configured, and the key of `devices` it stands under."""
    systems: frozenset[str]

    @property
    def idleness(self) -> Idleness:
        """How long steps may be idle: as their devices' profiles say, or the site."""
        conducts = self.under.conducts
        site = self.watch.steps.idle
        stated = {title: conducts.of(key).idle or site for title, key in self.titles.items() if key != ANYONE}
        # Whoever is no device by itself is whom "*" stands for.
        return Idleness(stated, conducts.anyone.idle or site)


class Watchdog:
    """A part of the broker; start and stop may be called in any order, any number of times."""

    def __init__(self, store: Store, watched: Watched) -> None:
        self._store, self._watched = store, watched
        self._task: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()
        self._told: set[tuple[str, str]] = set()
        self._swept: dt.datetime | None = None

    async def start(self) -> None:
        """Begin to look, at once."""
        if self._task is None:
            self._stopping.clear()
            self._task = asyncio.create_task(self._run(), name="watchdog")

    async def stop(self) -> None:
        """Let the transaction under way end, and end."""
        self._stopping.set()
        self._woken.set()
        task, self._task = self._task, None
        if task is not None:
            await task

    def use(self, watched: Watched) -> None:
        """Watch by this configuration from now on."""
        self._watched = watched
        self._swept = None
        self._woken.set()

    async def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                await self.look()
            except MwlError as error:
                event(logger, logging.WARNING, "watch not kept", reason=str(error))
            except Exception:  # a minute later it may go well; the broker runs on
                logger.exception("watchdog failed")
            await self._rest(EVERY)

    async def look(self) -> None:
        """Look once at everything, and do what is to be done."""
        now = await self._store.read(lambda tx: tx.now)
        watched = self._watched
        await self._performed(watched, now)
        await self._steps(watched, now)
        await self._devices(watched, now)
        await self._systems(watched, now)
        await self._outbox(watched, now)

    # ── exams that nobody ends ──

    async def _performed(self, watched: Watched, now: dt.datetime) -> None:
        rules = watched.watch.performed
        if rules.close is not None:
            await self._close(now - rules.close, PerformedState(rules.ended_as), watched.under)
        if rules.report is None:
            _found("performed steps open", 0)
            return
        before = now - rules.report
        while not self._stopping.is_set():
            found = await self._store.write(lambda tx: watching.report_open(tx, before))
            for step in found:
                event(logger, logging.WARNING, "performed step open too long", performed=step.uid,
                      device=step.calling_ae, since=_shown(instant(step.updated_at)))  # fmt: skip
            if len(found) < watching.BATCH:
                break
            await self._rest(REST)
        _found("performed steps open", await self._store.read(lambda tx: watching.count_open(tx, before)))

    async def _close(self, before: dt.datetime, state: PerformedState, under: Situation) -> None:
        while not self._stopping.is_set():
            found = await self._store.write(lambda tx: watching.close_open(tx, before, state, under))
            for step in found:
                event(logger, logging.WARNING, "performed step ended by the clock", performed=step.uid,
                      device=step.calling_ae, state=step.state)  # fmt: skip
                metrics.watch_done.labels("performed steps ended").inc()
            if len(found) < watching.BATCH:
                break
            await self._rest(REST)

    # ── steps that nobody reports ──

    async def _steps(self, watched: Watched, now: dt.datetime) -> None:
        idleness = watched.idleness
        if idleness.shortest is not None:
            wall = now.astimezone(watched.zone).replace(tzinfo=None)
            # After now: the clock was put back since.
            sweeps = self._swept is None or not now - SWEEP < self._swept <= now
            since = "" if sweeps else watching.written(wall - idleness.shortest - LOOKED_AT)
            hidden = await self._hide(idleness, watched.zone, since)
            if sweeps and not self._stopping.is_set():
                self._swept = now
            if hidden:
                event(logger, logging.INFO, "idle steps left the worklists", steps=hidden)
                metrics.watch_done.labels("steps taken off").inc(hidden)
        limit, zone = watched.watch.steps.report, watched.zone
        if limit is not None:
            _found("steps idle", await self._store.read(lambda tx: watching.count_idle(tx, limit, zone)))

    async def _hide(self, idleness: Idleness, zone: dt.tzinfo, since: str) -> int:
        hidden, mark = 0, Mark(since)
        while not self._stopping.is_set():
            found, behind = await self._store.read(partial(_idle, idleness=idleness, zone=zone, behind=mark))
            for begin in range(0, len(found), watching.BATCH):
                batch = found[begin : begin + watching.BATCH]
                hidden += len(await self._store.write(partial(_hide, batch=batch)))
                await self._rest(REST)
            if behind is None:
                break
            mark = behind
        return hidden

    # ── who has not been heard ──

    async def _devices(self, watched: Watched, now: dt.datetime) -> None:
        limit = watched.watch.devices
        since = now - (limit or dt.timedelta())
        found = await self._store.read(lambda tx: watching.devices_heard(tx, since))
        heard: dict[str, dt.datetime] = {}
        for title, last in found.items():
            if (key := watched.titles.get(title, ANYONE)) != ANYONE:
                heard[key] = max(last, heard.get(key, last))
        metrics.renew(metrics.device_heard, _instants(heard))
        self._silent("device", heard, limit, now)

    async def _systems(self, watched: Watched, now: dt.datetime) -> None:
        heard = await self._store.read(lambda tx: watching.systems_heard(tx, watched.systems))
        metrics.renew(metrics.system_heard, _instants(heard))
        self._silent("system", heard, watched.watch.systems, now)

    def _silent(
        self, kind: str, heard: Mapping[str, dt.datetime], limit: dt.timedelta | None, now: dt.datetime
    ) -> None:
        """Tell of each silence once, and of its end; one that was never heard has not fallen silent."""
        silent = {name for name, last in heard.items() if limit is not None and last + limit <= now}
        for name in sorted(silent):
            if self._first(f"{kind} silent", name):
                event(logger, logging.WARNING, "silent", **{kind: name}, since=_shown(heard[name]))
        for name in sorted(heard.keys() - silent):
            if self._over(f"{kind} silent", name):
                event(logger, logging.INFO, "heard again", **{kind: name})
        _found(f"{kind}s silent", len(silent))

    async def _outbox(self, watched: Watched, now: dt.datetime) -> None:
        limit = watched.watch.outbox
        backlog = await self._store.read(outbox.backlog)
        late = {
            name: each
            for name, each in backlog.items()
            if limit is not None and each.oldest is not None and each.oldest + limit <= now
        }
        for name, each in sorted(late.items()):
            if self._first("outbox", name):
                event(logger, logging.WARNING, "outbox waits", destination=name, waiting=each.pending,
                      since=_shown(each.oldest or now))  # fmt: skip
        for kind, name in sorted(self._told):
            if kind == "outbox" and name not in late and self._over(kind, name):
                event(logger, logging.INFO, "outbox waits no longer", destination=name)
        _found("destinations waiting", len(late))

    def _first(self, kind: str, name: str) -> bool:
        new = (kind, name) not in self._told
        self._told.add((kind, name))
        return new

    def _over(self, kind: str, name: str) -> bool:
        known = (kind, name) in self._told
        self._told.discard((kind, name))
        return known

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()


def _idle(
    tx: Transaction, *, idleness: Idleness, zone: dt.tzinfo, behind: Mark
) -> tuple[list[int], Mark | None]:
    return watching.idle(tx, idleness, zone, behind)


def _hide(tx: Transaction, *, batch: Sequence[int]) -> list[int]:
    return watching.hide(tx, batch)


def _found(what: str, count: int) -> None:
    metrics.watch_found.labels(what).set(count)


def _instants(heard: Mapping[str, dt.datetime]) -> dict[str, float]:
    return {name: last.timestamp() for name, last in heard.items()}


def _shown(at: dt.datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
