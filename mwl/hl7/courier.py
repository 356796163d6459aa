"""Delivers the status rows of one destination: rows out, acknowledgements in.

Theory of operation
-------------------
A row is written in the transaction that made it necessary; this module only takes rows out.  It
claims rows under a lease, so that of several brokers only one sends a row, and so that the rows of a
broker that died are claimed again when their lease has run out.  The lease is trusted for as long as
the answer to one more row would fit into it; what is left of a round then is given back.  The store
offers a row only when no earlier row of the same order waits: IN PROGRESS cannot be overtaken.

A row is composed once.  Its bytes and its control ID (MSH-10) are kept before they first leave, so
whatever must be sent again - no answer, a connection that broke, a broker that was killed - is the
same message to the byte, and a receiver that has it already can tell.

    answer                    row
    AA, CA                    delivered
    AE, AR, CE, CR            parked: the peer refused it for good, a person decides (C-33)
    none                      due again after a back-off that doubles from 1 s to 60 s, for ever
    nonsense                  the same, or parked after so many of them, as the configuration says

How often the answer was nonsense stands in what the row keeps of its last error: the next process, or another
broker, counts on.  A row that the profile cannot word is parked as well: it would fail again, and hold up all
others.

A receiver of the enhanced mode answers CA, and some say later what became of the message; others
answer all messages of a connection once more with each.  That is not taken for the answer to the next
one.  A refusal that comes so late is put on record with the row, which stays delivered: the receiver
has it.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from mwl import metrics
from mwl.errors import MwlError, Refused
from mwl.hl7.answers import Answer, answer_to, read_answer
from mwl.hl7.destination import Destination
from mwl.hl7.sender import Connection, Nonsense
from mwl.logs import event
from mwl.store import Store, outbox
from mwl.store.outbox import OutboxRow

logger = logging.getLogger(__name__)

_BATCH = 16  # rows claimed at once; all of different orders
_LEASE = 120.0  # seconds; four times the usual wait for an answer
_POLL = 5.0  # seconds: rows that another process wrote are found this late at worst
_BACKOFF_CAP = 60.0  # seconds
_ANSWERED = 1000  # messages of which further answers may come
_NONSENSE = re.compile(r"answers that are none: (\d+); last: ")


def backoff(failures: int) -> float:
    """Return how long to wait (seconds) after that many failures in a row."""
    return float(min(_BACKOFF_CAP, 2 ** min(max(failures, 1) - 1, 10)))


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a courier waits for what; all in seconds."""

    backoff: Callable[[int], float] = backoff  # after that many failures in a row
    poll: float = _POLL
    lease: float = _LEASE


class Courier:
    """Delivers what waits for one destination until it is told to stop."""

    def __init__(self, store: Store, destination: Destination, *, owner: str, pace: Pace) -> None:
        """*owner* names this broker in leases."""
        self._store, self._to, self._owner, self._pace = store, destination, owner, pace
        self._peer = Connection(
            destination.host, destination.port, timeout=destination.answer_within,
            tls=destination.tls, name=destination.certificate_name,
        )  # fmt: skip
        self._written = asyncio.Event()
        self._stopping = asyncio.Event()
        self._answered: OrderedDict[str, bool] = OrderedDict()  # control IDs; whether it was accepted

    def wake(self) -> None:
        """Have it look for rows: something was written."""
        self._written.set()

    def end(self) -> None:
        """Have `run` return after the exchange under way."""
        self._stopping.set()
        self._written.set()

    async def run(self) -> None:
        """Deliver until `end`; a failure costs its own row a delay, and no defect ends it."""
        failures = 0
        async with self._peer:
            while not self._stopping.is_set():
                try:
                    if failures:  # of what the last round had, the database may still call it the owner
                        await self._store.write(
                            lambda tx: outbox.relinquish(tx, self._owner, destination=self._to.name)
                        )
                    if await self._round():
                        failures = 0
                    else:  # nothing is due: what failed may still have to wait
                        await self._rest()
                except MwlError as error:
                    failures += 1
                    pause = self._pace.backoff(failures)
                    if failures == 1:  # once per outage, not once per attempt
                        event(logger, logging.WARNING, "status cannot be delivered",
                              destination=self._to.name, reason=str(error), again_in_s=pause)  # fmt: skip
                    await self._pause(pause)
                except Exception:
                    logger.exception("notifier failed", extra={"fields": {"destination": self._to.name}})
                    await self._pause(_BACKOFF_CAP)

    async def _round(self) -> int:
        """Deliver what is due now; a row that cannot be delivered gives the others of the round back."""
        loop = asyncio.get_running_loop()
        lease = dt.timedelta(seconds=self._pace.lease)
        trusted = loop.time() + self._pace.lease - self._to.answer_within
        rows = await self._store.write(
            lambda tx: outbox.claim(tx, self._owner, lease, _BATCH, destination=self._to.name)
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
        if self._answered.get(row.control_id):  # the database went away before it heard of it
            await self._close(row, answer="accepted before")
            return
        payload = row.payload or await self._composed(row)
        if payload is None:
            return
        try:
            answer = await self._asked(row, payload)
        except Nonsense as error:
            if self._is_enough(row, error):
                await self._park(row, _reason(error), answer="")
                return
            raise
        finally:
            await self._hear(self._peer.unasked())
        if not answer.accepted:
            # What the peer says may quote the patient: it goes to the database, not to the log.
            await self._park(row, answer.reason, answer=answer.code)
            return
        await self._close(row, answer.code)

    async def _close(self, row: OutboxRow, answer: str) -> None:
        await self._store.write(lambda tx: outbox.delivered(tx, row.key))
        metrics.outbox_sent.labels(self._to.name, "delivered").inc()
        event(logger, logging.INFO, "status delivered", destination=self._to.name, row=row.key,
              control_id=row.control_id, answer=answer, attempts=row.attempts)  # fmt: skip

    async def _asked(self, row: OutboxRow, payload: bytes) -> Answer:
        self._answered.pop(row.control_id, None)  # of one that a person has sent again
        received = await self._peer.request(payload, self._is_answer)
        try:
            answer = answer_to(row.control_id, received)
        except Nonsense:
            self._peer.abort()  # what comes late must not be taken for the answer to the next message
            raise
        self._remember(row.control_id, accepted=answer.accepted)
        return answer

    def _remember(self, control_id: str, *, accepted: bool) -> None:
        self._answered[control_id] = accepted
        self._answered.move_to_end(control_id)
        if len(self._answered) > _ANSWERED:
            self._answered.popitem(last=False)

    def _is_answer(self, payload: bytes) -> bool:
        """Tell whether what comes is for the message under way, and not the rest of an earlier exchange."""
        try:
            return read_answer(payload).control_id not in self._answered
        except Nonsense:
            return True

    def _is_enough(self, row: OutboxRow, error: Nonsense) -> bool:
        """Log an answer that is none, and tell whether the row is to be parked because of it."""
        number = _nonsense(row) + 1
        event(logger, logging.WARNING, "status answer not understood", destination=self._to.name,
              row=row.key, control_id=row.control_id, reason=str(error), answers=number)  # fmt: skip
        return self._to.nonsense_limit is not None and number >= self._to.nonsense_limit

    async def _hear(self, unasked: Sequence[bytes]) -> None:
        """Note what a receiver says of messages that it had accepted before."""
        for payload in unasked:
            with suppress(Nonsense):
                answer = read_answer(payload)
                if self._answered.get(answer.control_id) and not answer.accepted:
                    self._answered[answer.control_id] = False  # told once
                    await self._refused_late(answer)

    async def _refused_late(self, answer: Answer) -> None:
        control_id, reason = answer.control_id, f"accepted, then {answer.reason}"
        with suppress(MwlError):
            await self._store.write(lambda tx: outbox.remark(tx, control_id, reason))
        metrics.outbox_sent.labels(self._to.name, "refused late").inc()
        event(logger, logging.ERROR, "status refused after it was accepted", destination=self._to.name,
              control_id=control_id, answer=answer.code)  # fmt: skip

    async def _composed(self, row: OutboxRow) -> bytes | None:
        """Return the bytes that are sent at every attempt; None for a row that cannot be worded."""
        try:
            payload = self._to.worded(row)
        except Exception as error:  # noqa: BLE001 - a profile's mistake must cost its own row and no other
            await self._park(row, f"cannot be worded: {type(error).__name__}", answer="")
            return None
        return await self._store.write(lambda tx: outbox.composed(tx, row.key, payload))

    async def _park(self, row: OutboxRow, reason: str, *, answer: str) -> None:
        await self._store.write(lambda tx: outbox.parked(tx, row.key, reason))
        metrics.outbox_sent.labels(row.destination, "parked").inc()
        event(logger, logging.ERROR, "status parked", destination=row.destination, row=row.key,
              control_id=row.control_id, answer=answer, attempts=row.attempts)  # fmt: skip

    async def _postpone(self, row: OutboxRow, reason: str) -> None:
        metrics.outbox_sent.labels(row.destination, "failed").inc()
        after = dt.timedelta(seconds=self._pace.backoff(row.attempts))
        with suppress(Refused):  # settled by hand meanwhile
            await self._store.write(lambda tx: outbox.failed(tx, row.key, reason, tx.now + after))

    async def _release(self, rows: Sequence[OutboxRow]) -> None:
        if rows:
            keys = [row.key for row in rows]
            await self._store.write(lambda tx: outbox.released(tx, keys))

    async def _rest(self) -> None:
        """Wait until something was written, or it is time to look again; keep the connection clean."""
        await self._peer.look()
        await self._hear(self._peer.unasked())
        try:
            async with asyncio.timeout(self._pace.poll):
                await self._written.wait()
        except TimeoutError:
            return
        self._written.clear()

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


def _nonsense(row: OutboxRow) -> int:
    """Return how many answers to a row were none so far."""
    found = _NONSENSE.match(row.last_error)
    return int(found[1]) if found else 0


def _kept(row: OutboxRow, error: Exception) -> str:
    """Return what is kept of a failure after which the row is tried again."""
    number = _nonsense(row) + isinstance(error, Nonsense)
    return f"answers that are none: {number}; last: {_reason(error)}" if number else _reason(error)


def _reason(error: Exception) -> str:
    """Return what is kept of a failure for a person: in the database, where a peer may be quoted."""
    if isinstance(error, Nonsense) and error.fields:
        return f"{error}: {error.fields['said']!r}"
    return str(error) if isinstance(error, MwlError) else f"defect: {type(error).__name__}"
