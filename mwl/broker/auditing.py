"""Audit messages of what changes nothing on record: queries, reads, start and stop, log-ins, security alerts.

Theory of operation
-------------------
What happens is put into a short queue, and who did it waits for nothing.  One task takes what is there,
composes it beside the loop, and has it written to the spool in one change that shares its commit with the
others; then it rests a moment.  So a device that asks pays nothing, and a broker that is killed loses what
happened in the last second.  While the database does not answer, the queue fills; when it is full, what
comes is dropped and counted.

An alert is what the log tells already, whatever its level is set to: `_ALERTS` says which of its events are
one.  The same about the same node is reported once a minute, with how often it was; of all together no
more than `FLOOD` are, so that nobody fills the spool by being turned away under many names.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from mwl import logs, metrics
from mwl.audit import codes, events
from mwl.audit.codes import Code
from mwl.audit.events import Asker
from mwl.audit.message import Event, Outcome
from mwl.broker.audit_records import Records
from mwl.crowd import Seldom
from mwl.dicom.observing import Observation
from mwl.dicom.service import AssociationFacts
from mwl.dicom.status import CANCEL, SUCCESS
from mwl.dicom.worklist import WORKLIST_FIND
from mwl.errors import MwlError
from mwl.logs import event
from mwl.store import Store
from mwl.store.performed import PerformedStep

logger = logging.getLogger(__name__)

WAITING = 1000
"""Events in the queue at most: 32 MiB, were each a query as long as is reported."""

BATCH = 100
"""Events of one change."""

REST = 0.5
"""Seconds after a change; what was asked in them is lost where the broker is killed."""

FLOOD = 300
"""Alerts and log-ins of one minute; what comes above that is dropped and counted."""

_MINUTE = 60.0  # seconds
_AGAIN = 1.0  # seconds until a database that did not answer is asked again
_CROWDED = "too many waiting"
_FLOODED = "too many alerts"
_DATABASE = "database unavailable"

_REFUSED, _MESSAGE, _HANDSHAKE = "association refused", "message", "TLS handshake failed"
_ALERTS: Final[Mapping[str, tuple[Code, str]]] = {
    _REFUSED: (codes.NODE_AUTHENTICATION, "association refused"),
    "unknown caller held": (codes.NODE_AUTHENTICATION, "unknown caller, held in quarantine"),
    _HANDSHAKE: (codes.NODE_AUTHENTICATION, "TLS handshake failed"),
    _MESSAGE: (codes.NODE_AUTHENTICATION, "HL7 message of an unknown sender refused"),
    "too many connections": (codes.USE_OF_RESTRICTED_FUNCTION, "too many connections"),
    "connection turned away": (codes.USE_OF_RESTRICTED_FUNCTION, "too many connections"),
}
"""Events of the log that are alerts, with their kind; beside them every warning that names a limit."""

_WARNINGS = {_MESSAGE, _HANDSHAKE, "connection turned away"}
"""Of these, the ones told as warnings: the others are messages that were taken, or looks at a port."""

_LOGIN_REFUSED = "user identity not accepted"  # the reason with which `mwl.broker.refusals` tells it
_LOGGED_IN = "user accepted"
_TOLD = ("calling_ae", "called_ae", "reason", "limit", "setting", "detail")
"""Fields of the log that an alert repeats; none of them holds patient data."""


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Auditor:
    """A part of the broker, and an observer of the worklist; start and stop may be called in any order."""

    def __init__(
        self, store: Store, records: Records | None, clock: Callable[[], dt.datetime] = _utc_now
    ) -> None:
        """*records* is what is reported, None for nothing."""
        self._store, self._records, self._clock = store, records, clock
        self._queue: list[Event] = []
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._seldom = Seldom()
        self._minute, self._alerts = 0.0, 0  # which it is, and how many it had
        self._told: set[str] = set()
        self._deafen: Callable[[], None] = lambda: None

    def use(self, records: Records | None) -> None:
        """Report this from now on."""
        self._records = records

    def answered(self, seen: Observation) -> None:
        """Report a query (`Observer.answered`)."""
        if (records := self._wanting("query")) is not None:
            association = seen.association
            asker = Asker.device(association.calling_ae, association.address, association.user)
            self._note(
                events.query(
                    records.here, self._clock(), asker, sop_class=WORKLIST_FIND,
                    transfer_syntax=seen.transfer_syntax, identifier=seen.identifier,
                    succeeded=seen.status in (SUCCESS, CANCEL),
                )
            )  # fmt: skip

    def retrieved(self, association: AssociationFacts, step: PerformedStep) -> None:
        """Report that a device was given a performed step (`RetrieveService`)."""
        if (records := self._wanting("procedure")) is not None:
            self._note(records.retrieved(self._clock(), association, step))

    async def start(self) -> None:
        """Begin to report; the first is that the broker has started."""
        if self._task is not None:
            return
        self._stopping.clear()
        self._deafen = logs.observe(self._hear_in(asyncio.get_running_loop()))
        if (records := self._wanting("application")) is not None:
            self._note(events.started(records.here, self._clock()))
        self._task = asyncio.create_task(self._run(), name="auditor")

    async def stop(self) -> None:
        """Report that the broker ends, write what waits, and end."""
        task, self._task = self._task, None
        if task is None:
            return
        self._deafen()
        if (records := self._wanting("application")) is not None:
            self._note(events.stopped(records.here, self._clock()))
        self._stopping.set()
        self._woken.set()
        await task

    def _wanting(self, kind: str) -> Records | None:
        records = self._records
        return records if records is not None and kind in records.kinds else None

    def _note(self, happened: Event) -> None:
        if len(self._queue) >= WAITING:
            self._dropped(_CROWDED)
            return
        self._queue.append(happened)
        self._woken.set()

    def _dropped(self, reason: str, number: int = 1) -> None:
        metrics.audit_dropped.labels(reason).inc(number)
        if reason not in self._told:  # once, until things go well again
            self._told.add(reason)
            event(logger, logging.ERROR, "audit messages dropped", reason=reason)

    def _hear_in(self, loop: asyncio.AbstractEventLoop) -> logs.Observer:
        """Return what listens to the log, in any thread, and has *loop* report what is an alert."""

        def hear(level: int, name: str, fields: Mapping[str, Any]) -> None:
            reason = fields.get("reason")
            if name == _LOGGED_IN or (name == _REFUSED and reason == _LOGIN_REFUSED):
                work = partial(self._log_in, fields, succeeded=name == _LOGGED_IN)
            elif (found := _alert(level, name, fields)) is not None:
                work = partial(self._alert, *found, fields)
            else:
                return
            with contextlib.suppress(RuntimeError):  # that loop is closed: nobody is left to report
                loop.call_soon_threadsafe(work)

        return hear

    def _alert(self, kind: Code, description: str, fields: Mapping[str, Any]) -> None:
        if (records := self._wanting("security")) is None:
            return
        node = _node(fields)
        told = "; ".join(f"{key}: {fields[key]}" for key in _TOLD if fields.get(key))
        times = self._seldom.due((description, node, told))
        if times and self._is_within_bounds():
            text = f"{description} ({told})" if told else description
            often = f", {times} times" if times > 1 else ""
            outcome = Outcome.MINOR_FAILURE  # A.5.3.11: what was done about it has worked
            self._note(events.alert(records.here, self._clock(), kind, node, text + often, outcome=outcome))

    def _log_in(self, fields: Mapping[str, Any], *, succeeded: bool) -> None:
        records = self._wanting("user")
        if records is not None and self._is_within_bounds():
            # Whom a caller claimed to act for is not told before it is proven: then it is the device.
            user = str(fields.get("user") or fields.get("calling_ae") or "unknown")
            self._note(events.login(records.here, self._clock(), user, _node(fields), succeeded=succeeded))

    def _is_within_bounds(self) -> bool:
        minute = self._clock().timestamp() // _MINUTE
        if minute != self._minute:
            self._minute, self._alerts = minute, 0
            self._told.discard(_FLOODED)
        self._alerts += 1
        if self._alerts > FLOOD:
            self._dropped(_FLOODED)
        return self._alerts <= FLOOD

    async def _run(self) -> None:
        while self._queue or not self._stopping.is_set():
            self._woken.clear()
            if not self._queue:
                await self._woken.wait()
                continue
            batch = self._queue[:BATCH]
            if await self._written(batch):
                del self._queue[: len(batch)]
                self._told.discard(_CROWDED)
            elif self._stopping.is_set():
                self._dropped(_DATABASE, len(self._queue))
                self._queue.clear()
            else:
                await self._rest(_AGAIN)
            await self._rest(REST if len(self._queue) < BATCH else 0.0)

    async def _written(self, batch: Sequence[Event]) -> bool:
        """Put *batch* into the spool; tell whether nothing is left to do about it."""
        records = self._records
        if records is None:  # switched off meanwhile
            return True
        try:
            messages = await asyncio.to_thread(records.composed, batch)
            await self._store.write(lambda tx: records.put(tx, messages))
        except MwlError:
            return False
        except Exception:  # a defect costs these; later ones may do
            logger.exception("auditor failed")
            self._dropped("defect", len(batch))
        return True

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


def _alert(level: int, name: str, fields: Mapping[str, Any]) -> tuple[Code, str] | None:
    """Return the kind of alert that an event of the log is, and what it says; None where it is none."""
    if isinstance(fields.get("limit"), str) and level >= logging.WARNING:
        return codes.USE_OF_RESTRICTED_FUNCTION, f"limit struck: {name}"
    if name in _WARNINGS and level < logging.WARNING:
        return None
    if name == _MESSAGE and fields.get("system"):  # of a system that is configured
        return None
    return _ALERTS.get(name)


def _node(fields: Mapping[str, Any]) -> str:
    """Return the address of the peer that an event tells of."""
    if address := fields.get("address"):
        return str(address)
    return str(fields.get("peer") or "").rpartition(":")[0].strip("[]")
