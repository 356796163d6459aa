"""Tells the systems what became of their orders: outbox rows out, acknowledgements in.

Theory of operation
-------------------
A row is written in the transaction that made it necessary; this module only takes rows out.  One
worker per destination claims rows under a lease, so that of several brokers only one sends a row,
and so that the rows of a broker that died are claimed again when their lease has run out.  The store
offers a row only when no earlier row of the same order waits: IN PROGRESS cannot be overtaken.

A row is composed once.  Its bytes and its control ID (MSH-10) are kept before they first leave, so
whatever must be sent again - no answer, a connection that broke, a broker that was killed - is the
same message to the byte, and a receiver that has it already can tell.

    answer                    row
    AA, CA                    delivered
    AE, AR, CE, CR            parked: the peer refused it for good, a person decides (C-33)
    none, or nonsense         due again after a back-off that doubles from 1 s to 60 s, for ever
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mwl import metrics
from mwl.errors import MwlError, Refused, Unavailable
from mwl.hl7.compose import compose
from mwl.hl7.message import Message, parse
from mwl.hl7.sender import Connection
from mwl.logs import event
from mwl.mapping.status_template import StatusFacts
from mwl.mapping.system import SystemProfile
from mwl.store import Store, outbox
from mwl.store.outbox import OutboxRow

logger = logging.getLogger(__name__)

_ACCEPTED = frozenset({"AA", "CA"})
_REFUSED = frozenset({"AE", "AR", "CE", "CR"})
_BATCH = 16  # rows claimed at once; all of different orders
_LEASE = dt.timedelta(seconds=120)  # four times the wait for an answer
_POLL = 5.0  # seconds: rows that another broker wrote are found this late at worst
_BACKOFF_CAP = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Destination:
    """A system that is told: where it listens, in which message, and the profile that words it."""

    name: str
    host: str
    port: int
    message: str  # "ORM^O01": a key of the profile's status templates
    profile: SystemProfile
    application: str  # MSH-5 and MSH-6 of what it gets
    facility: str
    answer_within: float = 30.0  # seconds


class Notifier:
    """Delivers the outbox's status rows; start and stop may be called in any order, any number of times."""

    def __init__(
        self, store: Store, destinations: Sequence[Destination], *, owner: str, site: str = ""
    ) -> None:
        """*owner* names this broker in leases; *site* is the facility it sends from (MSH-4)."""
        self._store = store
        self._destinations: Mapping[str, Destination] = {d.name: d for d in destinations}
        self._owner, self._site = owner, site
        self._tasks: list[asyncio.Task[None]] = []
        self._wakes: dict[str, asyncio.Event] = {}
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Begin to deliver what waits."""
        self._stopping.clear()
        self._store.on_commit(self._committed)
        for destination in self._destinations.values():
            self._wakes[destination.name] = asyncio.Event()
            self._tasks.append(
                asyncio.create_task(self._serve(destination), name=f"notify {destination.name}")
            )

    async def stop(self) -> None:
        """Let the exchange under way end, give back what was claimed, and end."""
        self._stopping.set()
        for wake in self._wakes.values():
            wake.set()
        tasks, self._tasks = self._tasks, []
        if tasks:
            await asyncio.wait(tasks)

    def _committed(self, topics: set[str]) -> None:
        if "outbox" in topics:
            for wake in self._wakes.values():
                wake.set()

    async def _serve(self, destination: Destination) -> None:
        failures = 0
        async with Connection(destination.host, destination.port, timeout=destination.answer_within) as peer:
            while not self._stopping.is_set():
                try:
                    delivered = await self._round(destination, peer)
                    failures = 0
                    if not delivered:
                        await self._rest(destination.name, _POLL)
                except MwlError as error:
                    failures += 1
                    pause = backoff(failures)
                    if failures == 1:  # once per outage, not once per attempt
                        event(logger, logging.WARNING, "status cannot be delivered",
                              destination=destination.name, reason=str(error), again_in_s=pause)  # fmt: skip
                    await self._pause(pause)
                except Exception:
                    logger.exception("notifier failed", extra={"fields": {"destination": destination.name}})
                    await self._pause(_BACKOFF_CAP)

    async def _round(self, destination: Destination, peer: Connection) -> int:
        """Deliver what is due now; a row that cannot be delivered gives the others of the round back."""
        rows = await self._store.write(
            lambda tx: outbox.claim(tx, self._owner, _LEASE, _BATCH, destination=destination.name)
        )
        for index, row in enumerate(rows):
            if self._stopping.is_set():
                await self._release(rows[index:])
                return 0
            try:
                await self._deliver(destination, peer, row)
            except Refused:  # somebody settled the row by hand meanwhile: nothing is left to do
                continue
            except MwlError as error:
                await self._postpone(row, error)
                await self._release(rows[index + 1 :])
                raise
        return len(rows)

    async def _deliver(self, destination: Destination, peer: Connection, row: OutboxRow) -> None:
        payload = row.payload or await self._compose(destination, row)
        answer = await peer.request(payload)
        code, text = _verdict(answer, row.control_id)
        if code in _ACCEPTED:
            await self._store.write(lambda tx: outbox.delivered(tx, row.key))
        else:
            await self._store.write(lambda tx: outbox.parked(tx, row.key, f"{code} {text}".strip()))
        outcome = "delivered" if code in _ACCEPTED else "parked"
        metrics.outbox_sent.labels(destination.name, outcome).inc()
        level = logging.INFO if code in _ACCEPTED else logging.ERROR
        event(logger, level, f"status {outcome}", destination=destination.name, control_id=row.control_id,
              answer=code, attempts=row.attempts)  # fmt: skip

    async def _compose(self, destination: Destination, row: OutboxRow) -> bytes:
        facts = StatusFacts.of(
            row.facts,
            control_id=row.control_id,
            sender=("MWL", self._site),
            receiver=(destination.application, destination.facility),
        )
        message = destination.profile.status_message(destination.message, facts)
        # 3 ms with hl7apy: off the loop, so that no device waits for it.
        payload = (await asyncio.to_thread(compose, message)).encode("utf-8")
        return await self._store.write(lambda tx: outbox.composed(tx, row.key, payload))

    async def _postpone(self, row: OutboxRow, error: MwlError) -> None:
        metrics.outbox_sent.labels(row.destination, "failed").inc()
        after = dt.timedelta(seconds=backoff(row.attempts))
        await self._store.write(lambda tx: outbox.failed(tx, row.key, str(error), tx.now + after))

    async def _release(self, rows: Sequence[OutboxRow]) -> None:
        if rows:
            keys = [row.key for row in rows]
            await self._store.write(lambda tx: outbox.released(tx, keys))

    async def _rest(self, name: str, seconds: float) -> None:
        """Wait until something was written, or *seconds*."""
        wake = self._wakes[name]
        try:
            async with asyncio.timeout(seconds):
                await wake.wait()
        except TimeoutError:
            return
        wake.clear()

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


def backoff(failures: int) -> float:
    """Return how long to wait (seconds) after that many failures in a row."""
    return float(min(_BACKOFF_CAP, 2 ** min(max(failures, 1) - 1, 10)))


def _verdict(answer: bytes, control_id: str) -> tuple[str, str]:
    """Return MSA-1 and MSA-3 of an acknowledgement; raise `Unavailable` for anything else."""
    message = parse(answer.decode("utf-8", "replace"))
    code, answered, text = (_first(message, "MSA", field) for field in (1, 2, 3))
    if code not in _ACCEPTED | _REFUSED:
        raise Unavailable("the answer is not an acknowledgement")
    if answered != control_id:
        raise Unavailable("the answer is to another message")
    return code, text


def _first(message: Message, segment: str, field: int) -> str:
    repetitions = message.field(segment, 1, field)
    return repetitions[0][0][0] if repetitions and repetitions[0] and repetitions[0][0] else ""
