"""Sends performed steps on to other DICOM applications, and tells subscribers of them: a lane for each.

Theory of operation
-------------------
Rows come from the outbox, as those of HL7 do (`mwl.hl7.courier`): claimed under a lease, tried for as long
as it takes, in order about each performed step.  pynetdicom's associations block, so each lane has a
thread for them; the loop only waits.  An association carries what is due, and is released when nothing is.

    answer                               row
    0000, a warning                      delivered
    0213                                 due again after a back-off
    0111 to an N-CREATE, A710 to the     delivered, where the request had left before and its answer was
    N-SET that ends the step             lost: the peer says that it was heard
    0112 to an N-SET                     the peer has lost the step: what came before is sent once more, from
                                         the N-CREATE on, and then the N-SET; what that is answered counts
    any other                            parked: the peer refused it for good, a person decides
    none, no association                 due again after a back-off that doubles from 1 s to 60 s, for ever

Who stops the broker waits for an exchange under way as long as for those of devices; then the lane hangs up,
and the row is sent again after the next start.

Whether an answer was lost must outlive the process: it stands in what the row keeps of its last error.
A broker that was killed left no error at all; then the answer may have been lost as well.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from mwl import metrics
from mwl.dicom import performed_notify
from mwl.dicom.carrier import Answer, Unanswered
from mwl.dicom.forwarding import Forwarding, Parcel, Unsendable, Verdict, verdict
from mwl.dicom.performed_notify import Notifying
from mwl.dicom.requestor import Peer
from mwl.dicom.status import NO_SUCH_SOP_INSTANCE
from mwl.errors import MwlError, Refused, Unavailable
from mwl.hl7.courier import Pace
from mwl.lifecycle import OutboxState
from mwl.logs import event
from mwl.store import Store, outbox, requests
from mwl.store.onward import CREATE, FORWARD, SET, Notice
from mwl.store.outbox import OutboxRow

logger = logging.getLogger(__name__)

T = TypeVar("T")

_BATCH = 16  # rows claimed at once; all of different performed steps
_STAGES = 3  # an exchange connects, associates, asks: each may take as long as the peer is given
_SPARE = 60.0  # seconds a lease holds beyond the longest exchange
_PATIENCE = 20.0  # seconds an exchange under way gets when the broker stops
_LONG = 10  # failures that a defect counts for: the longest pause
_LOST = "sent, and not answered"  # begins the last error of a row that may have arrived
_ANSWERED = "answered"  # begins that of one that was refused


class _Unrecorded(Unavailable):
    """The peer has answered, and the database could not be told."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """A peer that gets rows of one *kind* (`mwl.store.onward`), by its name in the configuration."""

    name: str
    kind: str
    peer: Peer


class Forwarder:
    """Delivers what waits for DICOM peers; start and stop may be called in any order, any number of times."""

    def __init__(
        self,
        store: Store,
        recipients: Sequence[Recipient],
        *,
        owner: str,
        pace: Pace = Pace(),  # noqa: B008  frozen
    ) -> None:
        """*owner* names this broker in leases."""
        self._store, self._recipients, self._owner, self._pace = store, tuple(recipients), owner, pace
        self._lanes: list[_Lane] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._deafen: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """Begin to deliver what waits."""
        if self._tasks:
            return
        self._deafen = self._store.on_commit(self._committed)
        for recipient in self._recipients:
            lane = _Lane(self._store, recipient, owner=self._owner, pace=self._pace)
            self._lanes.append(lane)
            name = f"{recipient.kind} {recipient.name}"
            self._tasks.append(asyncio.create_task(lane.run(), name=name))

    async def stop(self, within: float = _PATIENCE) -> None:
        """Let the exchanges under way end, *within* seconds, give back what was claimed, and end."""
        self._deafen()
        lanes, self._lanes = self._lanes, []
        tasks, self._tasks = self._tasks, []
        for lane in lanes:
            lane.end()
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=within)
        if late:
            for lane in lanes:
                lane.hang_up()
            await asyncio.wait(late)

    def _committed(self, topics: set[str]) -> None:
        if outbox.TOPIC in topics:
            for lane in self._lanes:
                lane.wake()


class _Lane:
    """Delivers what waits for one recipient until it is told to stop."""

    def __init__(self, store: Store, recipient: Recipient, *, owner: str, pace: Pace) -> None:
        self._store, self._to, self._owner, self._pace = store, recipient, owner, pace
        self._line = Forwarding(recipient.peer) if recipient.kind == FORWARD else Notifying(recipient.peer)
        self._thread = ThreadPoolExecutor(1, f"mwl-{recipient.kind}")
        self._written = asyncio.Event()
        self._stopping = asyncio.Event()

    def wake(self) -> None:
        """Have it look for rows: something was written."""
        self._written.set()

    def end(self) -> None:
        """Have `run` return after the exchange under way."""
        self._stopping.set()
        self._written.set()

    def hang_up(self) -> None:
        """Give up the exchange under way."""
        self._line.hang_up()

    async def run(self) -> None:
        """Deliver until `end`; a failure costs its own row a delay, and no defect ends it."""
        failures = 0
        while not self._stopping.is_set():
            try:
                if failures:  # of what the last round had, the database may still call it the owner
                    await self._relinquish()
                if await self._round():
                    failures = 0
                else:  # nothing is due: what failed may still have to wait
                    await self._in_thread(self._line.close)
                    await self._rest()
            except MwlError as error:
                failures += 1
                pause = self._pace.backoff(failures)
                if failures == 1:  # once per outage, not once per attempt
                    event(logger, logging.WARNING, "performed steps cannot be sent on",
                          destination=self._to.name, reason=str(error), again_in_s=pause)  # fmt: skip
                await self._pause(pause)
            except Exception:
                logger.exception("forwarder failed", extra={"fields": {"destination": self._to.name}})
                await self._pause(self._pace.backoff(_LONG))
        await self._in_thread(self._line.close)
        self._thread.shutdown()

    async def _round(self) -> int:
        """Deliver what is due now; a row that cannot be delivered gives the others of the round back."""
        loop, longest = asyncio.get_running_loop(), _STAGES * self._to.peer.timeout
        trusted = loop.time() + _SPARE
        lease = dt.timedelta(seconds=_SPARE + longest)
        rows = await self._store.write(
            lambda tx: outbox.claim(
                tx, self._owner, lease, _BATCH, destination=self._to.name, kind=self._to.kind
            )
        )
        for index, row in enumerate(rows):
            if self._stopping.is_set() or (index and loop.time() > trusted):
                await self._release(rows[index:])
                return index
            try:
                await self._deliver(row)
            except Refused:  # somebody settled the row by hand meanwhile: nothing is left to do
                continue
            except Exception as error:
                await self._postpone(row, _kept(row, error))
                await self._release(rows[index + 1 :])
                raise
        return len(rows)

    async def _deliver(self, row: OutboxRow) -> None:
        try:
            answer = await self._exchanged(row)
        except Unsendable as error:
            await self._park(row, str(error), "")
            return
        if row.event == SET and answer.status == NO_SUCH_SOP_INSTANCE:
            answer = await self._sent_anew(row) or answer
        try:
            await self._settle(row, answer)
        except Unavailable as error:
            raise _Unrecorded("it was answered, and that could not be put on record") from error

    async def _sent_anew(self, row: OutboxRow) -> Answer | None:
        """Send what the peer had taken of the step and has lost, then the row; return the answer to that.

        None where there is nothing to begin with, or the peer does not take it again.
        """
        earlier = await self._store.read(lambda tx: outbox.preceding(tx, row))
        begun = bool(earlier) and earlier[0].event == CREATE
        if not begun or any(each.state is not OutboxState.DELIVERED for each in earlier):
            return None
        event(logger, logging.WARNING, "performed step sent anew", destination=self._to.name, row=row.key,
              requests=len(earlier))  # fmt: skip
        try:
            for each in earlier:
                answer = await self._exchanged(each)
                if verdict(each.event, answer, resent=True) is not Verdict.DELIVERED:
                    return None
        except Unsendable:
            return None
        return await self._exchanged(row)

    async def _settle(self, row: OutboxRow, answer: Answer) -> None:
        ends = bool(row.facts.get("ends"))
        match verdict(row.event, answer, resent=_may_have_arrived(row), ends=ends):
            case Verdict.DELIVERED:
                await self._store.write(lambda tx: outbox.delivered(tx, row.key))
                metrics.outbox_sent.labels(self._to.name, "delivered").inc()
                event(logger, logging.INFO, "performed step sent on", destination=self._to.name,
                      row=row.key, operation=_operation(row), status=f"{answer.status:04X}",
                      attempts=row.attempts)  # fmt: skip
            case Verdict.AGAIN:
                await self._postpone(row, f"{_ANSWERED} {answer}")
            case Verdict.REFUSED:
                await self._park(row, f"{_ANSWERED} {answer}", f"{answer.status:04X}")

    async def _exchanged(self, row: OutboxRow) -> Answer:
        uid = str(row.facts["uid"])
        if isinstance(self._line, Notifying):
            return await self._in_thread(partial(self._line.send, uid, Notice(row.facts["type"])))
        return await self._in_thread(partial(self._line.send, await self._parcel(row, uid)))

    async def _parcel(self, row: OutboxRow, uid: str) -> Parcel:
        if row.facts["document"] is not None:
            return Parcel(row.event, uid, row.facts["document"])
        kept = await self._store.read(lambda tx: requests.get(tx, row.facts["request"]))
        if kept is None:
            raise Unsendable("the request is not kept any more")
        return Parcel(row.event, uid, kept.data, kept.transfer_syntax)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _park(self, row: OutboxRow, reason: str, status: str) -> None:
        # What the peer says may quote the patient: it goes to the database, not to the log.
        await self._store.write(lambda tx: outbox.parked(tx, row.key, reason))
        metrics.outbox_sent.labels(self._to.name, "parked").inc()
        event(logger, logging.ERROR, "performed step not taken", destination=self._to.name, row=row.key,
              operation=_operation(row), status=status, attempts=row.attempts)  # fmt: skip

    async def _postpone(self, row: OutboxRow, reason: str) -> None:
        metrics.outbox_sent.labels(self._to.name, "failed").inc()
        after = dt.timedelta(seconds=self._pace.backoff(row.attempts))
        with suppress(Refused):  # settled by hand meanwhile
            await self._store.write(lambda tx: outbox.failed(tx, row.key, reason, tx.now + after))

    async def _release(self, rows: Sequence[OutboxRow]) -> None:
        if rows:
            keys = [row.key for row in rows]
            await self._store.write(lambda tx: outbox.released(tx, keys))

    async def _relinquish(self) -> None:
        await self._store.write(
            lambda tx: outbox.relinquish(tx, self._owner, destination=self._to.name, kind=self._to.kind)
        )

    async def _rest(self) -> None:
        """Wait until something was written, or it is time to look again."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pace.poll):
                await self._written.wait()
        self._written.clear()

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


def _operation(row: OutboxRow) -> str:
    return row.event if row.kind == FORWARD else performed_notify.OPERATION


def _may_have_arrived(row: OutboxRow) -> bool:
    """Tell whether an earlier attempt may have been heard, its answer having been lost."""
    return row.attempts > 1 and (not row.last_error or row.last_error.startswith(_LOST))


def _kept(row: OutboxRow, error: Exception) -> str:
    """Return what is kept of a failure; that an answer was lost stays with the row."""
    reason = str(error) if isinstance(error, MwlError) else f"defect: {type(error).__name__}"
    lost = isinstance(error, Unanswered | _Unrecorded) or _may_have_arrived(row)
    return f"{_LOST}: {reason.removeprefix(f'{_LOST}: ')}" if lost else reason
