"""The DICOM acceptor: listens, counts and limits associations, drains them.

What an association says is `association`'s affair; who may have one is the broker's (`admit`).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mwl import logs, metrics
from mwl.crowd import Crowd, Full, Seldom
from mwl.dicom.association import Association, Limits, Timeouts
from mwl.dicom.limits import SETTINGS, Limit, struck
from mwl.dicom.negotiation import Answer, Terms
from mwl.dicom.operations import MESSAGE_ID_WHERE_MISSING
from mwl.dicom.pdu import KIBIBYTE
from mwl.dicom.quarantine import Quarantine
from mwl.dicom.refused_contexts import RefusedContexts
from mwl.dicom.service import EVERYTHING, AssociationFacts, Extensions, Rejection, Service
from mwl.dicom.upper_layer import Ending
from mwl.dicom.users import Users
from mwl.handshake import Failed, Handshake
from mwl.listening import is_open, listen

logger = logging.getLogger(__name__)

LOCAL_LIMIT_EXCEEDED = Rejection(2, 3, 2)  # E-04
TOO_MANY_FROM_ADDRESS = Rejection(
    2, 3, 2, "too many associations from its address", SETTINGS[Limit.PER_ADDRESS]
)

_BACKLOG = 512  # connections; devices come back all at once after a network failure
# Bytes in the kernel.  Left to itself it takes megabytes: thousands of responses that a C-CANCEL comes
# too late for.  This is enough for 100 MB/s over a network with a round trip of 1 ms.
_SEND_BUFFER = 128 * KIBIBYTE
_CLOSING = 10.0  # seconds for transports that were told to close
_CONNECTIONS_PER_ASSOCIATION = 2  # room for those still asking, being rejected or closing


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the acceptor listens, and its bounds; port 0 takes a free one.

    *sockets* are bound already, and may be shared with other processes; then nothing is bound here.
    """

    host: str = "127.0.0.1"
    port: int = 11112
    sockets: tuple[socket.socket, ...] = ()
    tls: ssl.SSLContext | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)
    limits: Limits = field(default_factory=Limits)


class Acceptor:
    """Accepts associations and has their requests answered by services."""

    def __init__(
        self,
        settings: Settings,
        admit: Callable[[AssociationFacts], Rejection | None],
        services: Mapping[str, Service],
        *,
        prefer: Callable[[AssociationFacts], Sequence[str] | None] | None = None,
        extend: Callable[[AssociationFacts], Extensions] | None = None,
        users: Callable[[], Users] | None = None,
        on_rejected: Callable[[AssociationFacts, Rejection], None] | None = None,
        on_useless: Callable[[AssociationFacts], None] | None = None,
        known: Callable[[AssociationFacts], bool] | None = None,
        quarantine: Quarantine | None = None,
        unnumbered: Callable[[AssociationFacts], int | None] | None = None,
    ) -> None:
        """*services* is by SOP class.

        *admit* decides who may associate.  *prefer* names the transfer syntaxes for a device, the
        best first; what it does not name, the device's own order decides.  *extend* says what of the
        worklist's extended negotiation a device may have; without it that is everything.  *users*
        gives those that peers may act for at the time; without it nobody is checked.  *on_rejected*
        hears of refusals, *on_useless* of associations without a context that can be used.  Whom *admit*
        lets in although they are not *known* stand in *quarantine*.  *unnumbered* says what a device's
        request without Message ID is answered under, None to refuse it; without it that is number 1.
        """
        self.timeouts = settings.timeouts
        self.limits = settings.limits
        self.services = services
        self._settings = settings
        self._admit = admit
        self._prefer = prefer
        self._extend = extend
        self._users = users
        self._nobody = Users()
        self._on_rejected = on_rejected
        self._on_useless = on_useless
        self._known = known
        self._quarantine = quarantine
        self._unnumbered = unnumbered
        self._refused_contexts = RefusedContexts()
        self._servers: list[asyncio.Server] = []
        self._connections: set[Association] = set()
        self._handshakes: set[Handshake] = set()
        self._crowd = Crowd()  # of both
        self._seldom = Seldom()
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = 0  # of connections so far
        self._associations = Crowd()
        self._stopping = False
        self._empty = asyncio.Event()

    @property
    def address(self) -> tuple[str, int]:
        """Where the acceptor listens; known once it has started."""
        if not self._servers or not self._servers[0].sockets:
            raise RuntimeError("the acceptor does not listen")
        host, port = self._servers[0].sockets[0].getsockname()[:2]
        return str(host), int(port)

    @property
    def listening(self) -> bool:
        """Whether connections are accepted now, in this process."""
        return is_open(self._servers)

    def use(self, settings: Settings) -> None:
        """Take over bounds and certificate, for what begins from now on; where it listens stays."""
        self._settings = settings
        self.timeouts, self.limits = settings.timeouts, settings.limits

    async def start(self) -> None:
        """Listen; raise `OSError` where that cannot be."""
        self._stopping = False
        settings = self._settings
        self._servers = await listen(
            self._protocol, settings.host, settings.port, settings.sockets, backlog=_BACKLOG
        )
        for listening in (each for server in self._servers for each in server.sockets):
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)  # connections inherit it

    async def stop(self, drain: float = 30.0) -> None:
        """Accept no more, let running operations finish for *drain* seconds, then end everything."""
        self._stopping = True
        for server in self._servers:
            server.close()
        self._servers.clear()
        for handshake in tuple(self._handshakes):
            handshake.give_up()
        for connection in tuple(self._connections):
            connection.drain()
        over = asyncio.get_running_loop().time() + drain
        await self._emptied(drain)
        if self._tasks:  # an association that is over may have left a report that is not stored yet
            await asyncio.wait(self._tasks, timeout=max(0.0, over - asyncio.get_running_loop().time()))
        for connection in tuple(self._connections):
            connection.shut("shutting down")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._emptied(_CLOSING)

    async def _emptied(self, seconds: float) -> None:
        if self._connections or self._handshakes:
            self._empty.clear()
            try:
                await asyncio.wait_for(self._empty.wait(), seconds)
            except TimeoutError:
                pass

    def _protocol(self) -> asyncio.Protocol:
        if self._settings.tls is None:
            return Association(self)
        return Handshake(self, self._settings.tls, self.timeouts.tls_handshake, lambda: Association(self))

    # What associations and handshakes ask of their host.

    def opened(self, association: Association, address: str) -> int | None:
        """Register a connection; return its number, or None when there are too many."""
        if not self._has_room(address):
            return None
        self._connections.add(association)
        self._crowd.enter(address)
        self._count += 1
        return self._count

    def closed(self, association: Association, address: str) -> None:
        """Forget a connection."""
        if association in self._connections:
            self._connections.discard(association)
            self._crowd.leave(address)
        self._note_emptiness()

    def arrived(self, handshake: Handshake, address: str) -> bool:
        """Register a handshake (`Gate.arrived`)."""
        if not self._has_room(address):
            return False
        self._handshakes.add(handshake)
        self._crowd.enter(address)
        return True

    def departed(self, handshake: Handshake, address: str) -> None:
        """Forget a handshake (`Gate.departed`)."""
        self._handshakes.discard(handshake)
        self._crowd.leave(address)
        self._note_emptiness()

    def failed(self, failure: Failed) -> None:
        """Tell of a handshake that came to nothing, and not of one that asked whether the port is open."""
        level = logging.DEBUG if failure.gone else logging.WARNING
        logs.event(
            logger, level, "TLS handshake failed", address=failure.address, reason=failure.reason,
            **(struck(Limit.HANDSHAKE) if failure.late else {}),
        )  # fmt: skip

    def _note_emptiness(self) -> None:
        if not self._connections and not self._handshakes:
            self._empty.set()

    def _has_room(self, address: str) -> bool:
        if self._stopping:
            return False
        most, share = (
            number * _CONNECTIONS_PER_ASSOCIATION
            for number in (self.limits.associations, self.limits.per_address)
        )
        full = self._crowd.full(address, most, share)
        if full is not None:
            self._note_crowd(full, address)
        return full is None

    def _note_crowd(self, full: Full, address: str) -> None:
        told = struck(Limit.CONNECTIONS if full is Full.TOTAL else Limit.PER_ADDRESS)
        if times := self._seldom.due((full, address if full is Full.ADDRESS else "")):
            logs.event(logger, logging.WARNING, "too many connections", address=address, times=times,
                       open=self._crowd.total, from_address=self._crowd.of(address), **told)  # fmt: skip

    def judge(self, facts: AssociationFacts) -> Rejection | None:
        """Return why the association is refused, or None."""
        if rejection := self._admit(facts):
            return rejection
        limits = self.limits
        full = self._associations.full(facts.address, limits.associations, limits.per_address)
        if full is None:
            return None
        total = full is Full.TOTAL
        struck(Limit.ASSOCIATIONS if total else Limit.PER_ADDRESS)  # who hears of rejections tells of it
        return LOCAL_LIMIT_EXCEEDED if total else TOO_MANY_FROM_ADDRESS

    @property
    def users(self) -> Users:
        """Whom a peer may say it acts for."""
        return self._users() if self._users else self._nobody

    def terms(self, facts: AssociationFacts, *, identified: bool) -> Terms:
        """Return what is agreed to with this peer."""
        return Terms(
            frozenset(self.services),
            self.limits.announced_pdu,
            tuple((self._prefer and self._prefer(facts)) or ()),
            self._extend(facts) if self._extend else EVERYTHING,
            identified,
        )

    def rejected(self, facts: AssociationFacts, rejection: Rejection) -> None:
        """Pass a refusal on."""
        if self._on_rejected is not None:
            self._on_rejected(facts, rejection)

    def holds(self, facts: AssociationFacts) -> bool:
        """Tell whether the caller is let in only to be looked at."""
        return self._quarantine is not None and self._known is not None and not self._known(facts)

    def unnumbered(self, facts: AssociationFacts) -> int | None:
        """Return what a request without Message ID is answered under; None refuses it (F52)."""
        return self._unnumbered(facts) if self._unnumbered else MESSAGE_ID_WHERE_MISSING

    def established(self, facts: AssociationFacts, accepted: Answer) -> None:
        """Count a new association, and note which of its contexts were refused."""
        if facts.held and self._quarantine is not None:
            self._quarantine.enter(facts)
        self._associations.enter(facts.address)
        metrics.associations_open.inc()
        if facts.user:
            logs.event(logger, logging.DEBUG, "user accepted", user=facts.user, calling_ae=facts.calling_ae,
                       address=facts.address)  # fmt: skip
        if accepted.refused:
            self._refused_contexts.note(facts, accepted.refused, len(accepted.contexts))
            if not accepted.contexts and self._on_useless is not None:
                self._on_useless(facts)

    def ended(self, how: Ending, established: AssociationFacts | None) -> None:
        """Count the end of an association; None: of the attempt at one."""
        metrics.associations_total.labels(how.value).inc()
        if established is None:
            return
        self._associations.leave(established.address)
        metrics.associations_open.dec()
        if established.held and self._quarantine is not None:
            self._quarantine.leave(established)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run *work* as a task that `stop` waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
