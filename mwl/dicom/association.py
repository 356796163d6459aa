"""One connection to the acceptor: octets in and out, timers, back-pressure.

Theory of operation
-------------------
The upper layer and the assembler decide; this shell performs.  An association waits for one thing at
a time, one of `Waiting`, under one `Deadline`.  Nothing else is there while a peer is idle: no task,
no polling.

Back-pressure has two directions.  A peer that does not read fills the transport's buffer up to its
high-water mark; then `drained` holds the running operation back, and a peer that has read nothing
at all for a time is dropped.  A peer that sends ahead of its answers is not read from.

A request is decided on at once, unless a passcode must be hashed: then the association stands in
Sta3 until a thread has done it, and whatever the peer says meanwhile is a violation.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Protocol, cast

from mwl import logs
from mwl.dicom.deadline import Deadline
from mwl.dicom.dimse import Assembler, MessageLimits
from mwl.dicom.limits import Limit, struck
from mwl.dicom.negotiation import Answer, Terms, answer
from mwl.dicom.operations import Operations
from mwl.dicom.pdu import KIBIBYTE, Malformed, TooLong, pdvs
from mwl.dicom.proposal import Proposal, read
from mwl.dicom.service import AssociationEnded, AssociationFacts, Rejection, Service, UserIdentity
from mwl.dicom.tls import common_name, names
from mwl.dicom.upper_layer import (
    Artim,
    Close,
    Ended,
    Ending,
    Output,
    PduLimits,
    Received,
    ReleaseRequested,
    Requested,
    Send,
    State,
    UpperLayer,
)
from mwl.dicom.users import USER_NOT_ACCEPTED, Users, Verdict
from mwl.handshake import address_of

logger = logging.getLogger(__name__)

SECONDS, MINUTES = 1.0, 60.0

_QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long the acceptor waits, in seconds."""

    artim: float = 30 * SECONDS  # for a request, and for the peer to close (PS3.8 9.1.4, E-07)
    tls_handshake: float = 10 * SECONDS
    message: float = 1 * MINUTES  # from a message's first octet to its last
    idle: float = 10 * MINUTES  # between messages; modalities keep associations open while they scan
    write: float = 1 * MINUTES  # without the peer reading anything
    farewell: float = 1 * SECONDS  # for a release, once a draining association has its last answer


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the acceptor takes."""

    associations: int = 500  # at a time; each costs some 5 KiB while idle
    per_address: int = 500  # of these; the configuration allows fewer
    announced_pdu: int = 16 * KIBIBYTE  # what peers are asked not to exceed: DCMTK's default
    pdu: PduLimits = field(default_factory=PduLimits)
    message: MessageLimits = field(default_factory=MessageLimits)
    buffer: int = 256 * KIBIBYTE  # octets waiting for a peer to read


class Host(Protocol):
    """The acceptor, as its associations need it."""

    @property
    def timeouts(self) -> Timeouts: ...

    @property
    def limits(self) -> Limits: ...

    @property
    def services(self) -> Mapping[str, Service]: ...

    def opened(self, association: Association, address: str) -> int | None:
        """Register a connection; return its number, or None when there are too many."""

    def closed(self, association: Association, address: str) -> None:
        """Forget a connection."""

    def judge(self, facts: AssociationFacts) -> Rejection | None:
        """Return why the association is refused, or None."""

    @property
    def users(self) -> Users:
        """Whom a peer may say it acts for."""

    def terms(self, facts: AssociationFacts, *, identified: bool) -> Terms:
        """Return what is agreed to with this peer."""

    def rejected(self, facts: AssociationFacts, rejection: Rejection) -> None:
        """Take note of a refusal."""

    def established(self, facts: AssociationFacts, accepted: Answer) -> None:
        """Take note of a new association."""

    def holds(self, facts: AssociationFacts) -> bool:
        """Tell whether the caller is let in only to be looked at."""

    def unnumbered(self, facts: AssociationFacts) -> int | None:
        """Return what a request without Message ID is answered under; None refuses it (F52)."""

    def ended(self, how: Ending, established: AssociationFacts | None) -> None:
        """Take note of the end of an association; None: of the attempt at one."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run *work* as a task that a shutdown waits for."""


class Waiting(Enum):
    """What the timer waits for."""

    NOTHING = "nothing"  # an operation runs; how long it may take is its service's affair
    ARTIM = "ARTIM"
    IDLE = "the next message"
    MESSAGE = "the rest of a message"
    WRITE = "the peer to read"
    FAREWELL = "release"


class Association(asyncio.Protocol):
    """A connection, the association on it, and what is known of both."""

    __slots__ = (
        "_address",
        "_assembler",
        "_began",
        "_deadline",
        "_deciding",
        "_drain_waiter",
        "_draining",
        "_facts",
        "_host",
        "_loop",
        "_operations",
        "_read_paused",
        "_transport",
        "_unread",
        "_upper",
        "_waiting",
        "_write_paused",
        "number",
    )

    def __init__(self, host: Host) -> None:
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._upper = UpperLayer(host.limits.pdu)
        self._transport: asyncio.Transport
        self._address = ""
        self.number = 0
        self._facts: AssociationFacts | None = None
        self._assembler: Assembler | None = None
        self._operations: Operations | None = None
        self._deciding: asyncio.Task[None] | None = None
        self._began = time.monotonic()
        self._waiting = Waiting.NOTHING
        self._deadline = Deadline(self._missed)
        self._read_paused = self._write_paused = False
        self._unread = 0  # octets in the transport's buffer when the write timer was set
        self._drain_waiter: asyncio.Future[None] | None = None
        self._draining = False

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._address = address_of(transport)
        number = self._host.opened(self, self._address)
        if number is None:
            self._transport.abort()
            return
        self.number = number
        self._transport.set_write_buffer_limits(high=self._host.limits.buffer)
        self._perform(self._upper.connected())

    def data_received(self, data: bytes) -> None:
        try:
            for output in self._upper.receive(data):
                self._do(output)
                if self._operations is not None and self._operations.full:
                    break  # what is left stays in the upper layer until there is room
        except Exception as error:  # noqa: BLE001 - a defect of ours: this association pays, no other
            self._fail(error)
        self._watch()
        if self._upper.inside_pdu or (self._assembler is not None and self._assembler.waiting):
            self._acknowledge()

    def eof_received(self) -> None:
        self._transport.abort()  # DICOM knows no half-closed transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._perform(self._upper.disconnected())
        self._deadline.drop()
        self._host.closed(self, self._address)

    def pause_writing(self) -> None:
        self._write_paused = True
        if self._upper.state is State.ASSOCIATED:
            self._unread = self._transport.get_write_buffer_size()
            self._wait(Waiting.WRITE, self._host.timeouts.write)
        else:  # it only sends, and has us repeat our last word
            self._transport.abort()

    def resume_writing(self) -> None:
        self._write_paused = False
        self._wake()
        self._watch()

    # The operations' side.

    def send(self, octets: bytes) -> None:
        """Send P-DATA-TF PDUs (`Channel.send`)."""
        self._perform(self._upper.send(octets))

    async def drained(self) -> None:
        """Wait until the buffer is below its low-water mark (`Channel.drained`)."""
        if self._write_paused:
            self._drain_waiter = self._loop.create_future()
            await self._drain_waiter
            if self._upper.state is not State.ASSOCIATED:
                raise AssociationEnded("the association ended while the peer was waited for")

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run *work* as a task that a shutdown waits for (`Channel.spawn`)."""
        return self._host.spawn(work)

    def progressed(self) -> None:
        """Take note that an operation is done (`Channel.progressed`)."""
        self._watch()

    # The acceptor's side.

    def drain(self) -> None:
        """End the association as soon as no operation runs."""
        self._draining = True
        if self._operations is None or not self._operations.busy:
            self.shut("shutting down")

    def shut(self, reason: str, limit: Limit | None = None) -> None:
        """End the association now."""
        self._perform(self._upper.abort(reason, limit))
        self._close()

    # Performing.

    def _acknowledge(self) -> None:
        """Acknowledge half a message now.

        A peer that writes a message in pieces without TCP_NODELAY, as DCMTK does, sends the next
        piece when the last is acknowledged; the kernel would wait 40 ms for an answer to go with it.
        """
        connection = self._transport.get_extra_info("socket")
        if _QUICK_ACK is not None and connection is not None:
            with suppress(OSError):  # the connection may be gone
                connection.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)

    def _perform(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            self._do(output)

    def _do(self, output: Output) -> None:
        match output:
            case Received():
                self._receive(output.body)
            case Send():
                self._transport.write(output.octets)
            case Requested():
                self._decide(output.request)
            case ReleaseRequested():
                self._perform(self._upper.release())
            case Artim():
                self._wait(Waiting.ARTIM if output.running else Waiting.NOTHING, self._host.timeouts.artim)
            case Ended():
                self._end(output)
            case Close():
                self._close()

    def _receive(self, body: bytes) -> None:
        assert self._assembler is not None  # noqa: S101 - there is data in Sta6 only
        assert self._operations is not None  # noqa: S101
        try:
            for pdv in pdvs(body):
                if message := self._assembler.add(pdv):
                    self._operations.take(message)
        except Malformed as fault:
            limit = Limit.COMMAND_SET if isinstance(fault, TooLong) else None
            self._perform(self._upper.violation(str(fault), limit))

    def _decide(self, request: bytes) -> None:
        try:
            proposal = read(request)
        except Malformed as fault:
            self._perform(self._upper.violation(str(fault)))
            return
        shown = self._transport.get_extra_info("peercert")
        self._facts = facts = proposal.facts(self._address, common_name(shown), names(shown))
        users, identity = self._host.users, proposal.user.identity
        if rejection := proposal.objection() or self._host.judge(facts):
            self._reject(facts, rejection)
        elif verdict := users.judge(identity):
            self._settle(proposal, facts, verdict)
        elif identity is not None:
            self._deciding = self._host.spawn(self._identify(proposal, facts, users, identity))

    async def _identify(
        self, proposal: Proposal, facts: AssociationFacts, users: Users, identity: UserIdentity
    ) -> None:
        try:
            verdict = await users.check(identity)
            self._deciding = None
            if rejection := self._host.judge(facts):  # others came, or the device was taken away, meanwhile
                self._reject(facts, rejection)
            else:
                self._settle(proposal, facts, verdict)
        except Exception as error:  # noqa: BLE001 - as in `data_received`
            self._fail(error)
        self._watch()

    def _settle(self, proposal: Proposal, facts: AssociationFacts, verdict: Verdict) -> None:
        if not verdict.accepted:
            self._reject(facts, USER_NOT_ACCEPTED)
            return
        accepted = answer(proposal, self._host.terms(facts, identified=bool(verdict.user)))
        granted, limits = accepted.extensions, self._host.limits
        self._facts = facts = replace(
            facts,
            user=verdict.user,
            fuzzy=granted.fuzzy,
            timezone=granted.timezone,
            held=self._host.holds(facts),
        )
        self._assembler = Assembler(accepted.contexts, limits.message)
        self._operations = Operations(
            self._host.services, facts, self, facts.max_pdu or limits.pdu.data,
            lambda: self._host.unnumbered(facts),
        )  # fmt: skip
        self._perform(self._upper.accept(accepted.octets))
        self._host.established(facts, accepted)

    def _reject(self, facts: AssociationFacts, rejection: Rejection) -> None:
        self._host.rejected(facts, rejection)
        self._perform(self._upper.reject(rejection))

    def _fail(self, error: Exception) -> None:
        logger.error("association failed", exc_info=error, extra={"fields": {"association": self.number}})
        self._perform(self._upper.abort("internal error"))

    def _end(self, end: Ended) -> None:
        if self._operations is not None:
            self._operations.end()
        if self._deciding is not None:
            self._deciding.cancel()
        self._wake()
        self._host.ended(end.how, self._facts if self._operations is not None else None)
        self._report(end)
        if self._draining:  # a shutdown does not wait for the peer to close
            self._close()

    def _report(self, end: Ended) -> None:
        level = logging.INFO
        if end.how is Ending.VIOLATION:
            level = logging.WARNING
        elif end.how is Ending.NO_REQUEST and not self._upper.inside_pdu and end.limit is None:
            # It looked whether the port is open.
            level = logging.DEBUG
        facts = self._facts
        logs.event(
            logger, level, "association ended", association=self.number, address=self._address,
            calling_ae=facts and facts.calling_ae, called_ae=facts and facts.called_ae,
            how=end.how.value, detail=end.detail,
            operations=self._operations.count if self._operations else 0,
            seconds=round(time.monotonic() - self._began, 3),
            **({"user": facts.user} if facts and facts.user else {}),
            **(struck(end.limit) if end.limit else {}),
        )  # fmt: skip

    def _close(self) -> None:
        if self._transport.get_write_buffer_size():  # the peer does not read: nothing will ever leave
            self._transport.abort()
        else:
            self._transport.close()

    def _wake(self) -> None:
        if self._drain_waiter is not None and not self._drain_waiter.done():
            self._drain_waiter.set_result(None)

    # Waiting.

    def _watch(self) -> None:
        """Decide what an association that is neither beginning nor ending waits for."""
        operations, assembler = self._operations, self._assembler
        if operations is None or assembler is None or self._upper.state is not State.ASSOCIATED:
            return
        timeouts = self._host.timeouts
        if self._write_paused:
            pass  # `pause_writing` has set the timer
        elif operations.busy:
            self._wait(Waiting.NOTHING)
        elif self._draining:
            self._wait(Waiting.FAREWELL, timeouts.farewell)
        elif not assembler.waiting and not self._upper.inside_pdu:
            self._wait(Waiting.IDLE, timeouts.idle)
        elif self._waiting is not Waiting.MESSAGE:
            self._wait(Waiting.MESSAGE, timeouts.message)
        self._read_or_not(operations)

    def _read_or_not(self, operations: Operations) -> None:
        if operations.full:
            self._transport.pause_reading()
            self._read_paused = True
        elif self._read_paused:
            self._read_paused = False
            self._transport.resume_reading()
            self.data_received(b"")  # what had to stay in the upper layer

    def _wait(self, waiting: Waiting, seconds: float = 0.0) -> None:
        self._waiting = waiting
        if waiting is Waiting.NOTHING:
            self._deadline.clear()
        else:
            self._deadline.set(seconds)

    def _missed(self) -> None:
        if self._waiting is Waiting.ARTIM:
            self._perform(self._upper.artim_expired())
        elif self._waiting is Waiting.WRITE and self._transport.get_write_buffer_size() < self._unread:
            self.pause_writing()  # slow, but reading
        elif self._waiting is Waiting.WRITE:
            self.shut("the peer does not read", Limit.WRITE)
        else:
            limit = {Waiting.IDLE: Limit.IDLE, Waiting.MESSAGE: Limit.MESSAGE}.get(self._waiting)
            self._perform(self._upper.abort(f"waited too long for {self._waiting.value}", limit))
