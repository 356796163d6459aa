"""Tells the systems what became of their orders: outbox rows out, acknowledgements in.

Theory of operation
-------------------
A row is written in the transaction that made it necessary; this module only takes rows out.  One
worker per destination claims rows under a lease, so that of several brokers only one sends a row,
and so that the rows of a broker that died are claimed again when their lease has run out.  The lease
is trusted for as long as the answer to one more row would fit into it; what is left of a round then
is given back.  The store offers a row only when no earlier row of the same order waits: IN PROGRESS
cannot be overtaken.

A row is composed once.  Its bytes and its control ID (MSH-10) are kept before they first leave, so
whatever must be sent again - no answer, a connection that broke, a broker that was killed - is the
same message to the byte, and a receiver that has it already can tell.

    answer                    row
    AA, CA                    delivered
    AE, AR, CE, CR            parked: the peer refused it for good, a person decides (C-33)
    none, or nonsense         due again after a back-off that doubles from 1 s to 60 s, for ever

A row that the profile cannot word is parked as well: it would fail again, and hold up all others.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from mwl import metrics
from mwl.errors import MwlError, NotUnderstood, Refused, Unavailable
from mwl.hl7.compose import compose
from mwl.hl7.message import Message, parse
from mwl.hl7.sender import Connection
from mwl.logs import event
from mwl.mapping.systems.status_template import StatusFacts
from mwl.mapping.systems.system import SystemProfile
from mwl.store import Store, outbox
from mwl.store.outbox import OutboxRow

logger = logging.getLogger(__name__)

_ACCEPTED = frozenset({"AA", "CA"})
_REFUSED = frozenset({"AE", "AR", "CE", "CR"})
_BATCH = 16  # rows claimed at once; all of different orders
_LEASE = 120.0  # seconds; four times the wait for an answer
_POLL = 5.0  # seconds: rows that another broker wrote are found this late at worst
_BACKOFF_CAP = 60.0  # seconds


def backoff(failures: int) -> float:
    """Return how long to wait (seconds) after that many failures in a row."""
    return float(min(_BACKOFF_CAP, 2 ** min(max(failures, 1) - 1, 10)))


@dataclass(frozen=True, slots=True)
class Pace:
    """How long the notifier waits for what; all in seconds."""

    backoff: Callable[[int], float] = backoff  # after that many failures in a row
    poll: float = _POLL
    lease: float = _LEASE


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
        self,
        store: Store,
        destinations: Sequence[Destination],
        *,
        owner: str,
        site: str = "",
        zone: dt.tzinfo = dt.UTC,
        pace: Pace = Pace(),
    ) -> None:
        """*owner* names this broker in leases.

        *site* is the facility it sends from (MSH-4), in whose *zone* it tells instants.
        """
        self._store = store
        self._destinations: Mapping[str, Destination] = {d.name: d for d in destinations}
        self._owner, self._site, self._zone, self._pace = owner, site, zone, pace
        self._tasks: list[asyncio.Task[None]] = []
        self._wakes: dict[str, asyncio.Event] = {}
        self._stopping = asyncio.Event()
        self._deafen: Callable[[], None] = _nothing

    async def start(self) -> None:
        """Begin to deliver what waits."""
        if self._tasks:
            return
        self._stopping.clear()
        self._deafen = self._store.on_commit(self._committed)
        for destination in self._destinations.values():
            self._wakes[destination.name] = asyncio.Event()
            self._tasks.append(
                asyncio.create_task(self._serve(destination), name=f"notify {destination.name}")
            )

    async def stop(self) -> None:
        """Let the exchange under way end, give back what was claimed, and end."""
        self._stopping.set()
        self._deafen()
        for wake in self._wakes.values():
            wake.set()
        tasks, self._tasks = self._tasks, []
        if tasks:
            await asyncio.wait(tasks)

    def _committed(self, topics: set[str]) -> None:
        if outbox.TOPIC in topics:
            for wake in self._wakes.values():
                wake.set()

    async def _serve(self, destination: Destination) -> None:
        failures = 0
        async with Connection(destination.host, destination.port, timeout=destination.answer_within) as peer:
            while not self._stopping.is_set():
                try:
                    if await self._round(destination, peer):
                        failures = 0
                    else:  # nothing is due: what failed may still have to wait
                        await self._rest(destination.name, self._pace.poll)
                except MwlError as error:
                    failures += 1
                    pause = self._pace.backoff(failures)
                    if failures == 1:  # once per outage, not once per attempt
                        event(logger, logging.WARNING, "status cannot be delivered",
                              destination=destination.name, reason=str(error), again_in_s=pause)  # fmt: skip
                    await self._pause(pause)
                except Exception:
                    logger.exception("notifier failed", extra={"fields": {"destination": destination.name}})
                    await self._pause(_BACKOFF_CAP)

    async def _round(self, destination: Destination, peer: Connection) -> int:
        """Deliver what is due now; a row that cannot be delivered gives the others of the round back."""
        loop = asyncio.get_running_loop()
        lease = dt.timedelta(seconds=self._pace.lease)
        trusted = loop.time() + self._pace.lease - destination.answer_within
        rows = await self._store.write(
            lambda tx: outbox.claim(tx, self._owner, lease, _BATCH, destination=destination.name)
        )
        for index, row in enumerate(rows):
            if self._stopping.is_set() or (index and loop.time() > trusted):
                await self._release(rows[index:])
                return index
            try:
                await self._deliver(destination, peer, row)
            except Refused:  # somebody settled the row by hand meanwhile: nothing is left to do
                continue
            except Exception as error:
                reason = str(error) if isinstance(error, MwlError) else f"defect: {type(error).__name__}"
                await self._postpone(row, reason)
                await self._release(rows[index + 1 :])
                raise
        return len(rows)

    async def _deliver(self, destination: Destination, peer: Connection, row: OutboxRow) -> None:
        payload = row.payload or await self._composed(destination, row)
        if payload is None:
            return
        answer = await peer.request(payload)
        try:
            code, text = _verdict(answer, row.control_id)
        except MwlError:
            peer.abort()  # what comes late must not be taken for the answer to the next message
            raise
        if code in _ACCEPTED:
            await self._store.write(lambda tx: outbox.delivered(tx, row.key))
            metrics.outbox_sent.labels(destination.name, "delivered").inc()
            event(logger, logging.INFO, "status delivered", destination=destination.name,
                  control_id=row.control_id, answer=code, attempts=row.attempts)  # fmt: skip
        else:
            # What the peer says may quote the patient: it goes to the database, not to the log.
            await self._park(row, f"{code} {text}".strip(), answer=code)

    async def _composed(self, destination: Destination, row: OutboxRow) -> bytes | None:
        """Return the bytes that are sent at every attempt; None for a row that cannot be worded."""
        try:
            payload = self._compose(destination, row)
        except Exception as error:  # noqa: BLE001 - a profile's mistake must cost its own row and no other
            await self._park(row, f"cannot be worded: {type(error).__name__}", answer="")
            return None
        return await self._store.write(lambda tx: outbox.composed(tx, row.key, payload))

    def _compose(self, destination: Destination, row: OutboxRow) -> bytes:
        facts = StatusFacts.of(
            row.facts,
            control_id=row.control_id,
            sender=("MWL", self._site),
            receiver=(destination.application, destination.facility),
        )
        facts = replace(facts, at=facts.at.astimezone(self._zone))  # many a RIS overlooks the offset
        return compose(destination.profile.status_message(destination.message, facts))

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


def _verdict(answer: bytes, control_id: str) -> tuple[str, str]:
    """Return MSA-1 and MSA-3 of an acknowledgement; raise `Unavailable` for anything else."""
    try:
        message = parse(answer.decode("utf-8", "replace"))
    except NotUnderstood:
        raise Unavailable("the answer is not an HL7 message") from None
    code, answered, text = (_first(message, "MSA", field).strip() for field in (1, 2, 3))
    if code not in _ACCEPTED | _REFUSED:
        raise Unavailable("the answer is not an acknowledgement")
    if answered and answered != control_id:  # some leave it out: one message is under way at a time
        raise Unavailable("the answer is to another message")
    # From 2.5 on the reason stands in ERR: what a user reads, else the condition.
    return code, text or _first(message, "ERR", 8) or _first(message, "ERR", 3, 2)


def _first(message: Message, segment: str, field: int, component: int = 1) -> str:
    repetitions = message.field(segment, 1, field)
    components = repetitions[0] if repetitions else ()
    return components[component - 1][0] if len(components) >= component else ""


def _nothing() -> None:
    """Stand in for what `Store.on_commit` returns, until there is one."""
