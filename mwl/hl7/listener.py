"""The MLLP listener: sockets, time and order around `Deframer` and the intake.

Connections are kept and carry many messages (D-01).  Each is one task that reads, hands on one
message at a time and writes its answer before it takes the next: answers leave in the order of
the messages, and an order is never overtaken by its own cancellation.  Commits are shared between
connections, so little is to be won by handling the messages of one side by side.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from mwl.crowd import Crowd, Full, Seldom
from mwl.handshake import Failed, Handshake, address_of, is_hello
from mwl.hl7.limits import Limit, struck
from mwl.hl7.mllp import DEFAULT_LIMIT, Cut, Deframer, Event, Frame, Noise, Oversize, frame, parts
from mwl.hl7.peer import peer_name
from mwl.listening import is_open, listen
from mwl.logs import event as log

logger = logging.getLogger(__name__)

_CHUNK: Final = 65536  # octets read at once
_CLOSING: Final = 0.25  # seconds the CR after FS may take: it comes in the same segment, or never (D-02)
_GOODBYE: Final = 2.0  # seconds a peer may take to agree to the end of a connection
_BACKLOG: Final = 128
# A peer that vanished is noticed after 2 minutes, not after the kernel's 2 hours (D-03).
_KEEPALIVE: Final = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}


class Receiver(Protocol):
    """What takes the messages in: `mwl.hl7.intake.Intake`."""

    async def receive(self, raw: bytes, peer: str) -> bytes | None:
        """Return the answer to a message, None where none is to be sent."""
        ...

    def too_large(self, head: bytes, limit: int, peer: str) -> bytes | None:
        """Return the answer to a message above *limit* octets, of which only the *head* was kept."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """How much senders may take."""

    frame: int = DEFAULT_LIMIT  # octets of a message
    connections: int = 100  # open at a time; a further one is closed
    per_address: int = 100  # of these; the configuration allows fewer
    idle: float | None = None  # seconds of silence between messages; None: for ever, as systems expect (D-03)
    silence: float = 30.0  # seconds of silence inside a message, or of not reading an answer (D-03)
    message: float = 120.0  # seconds from a message's first octet to its last
    handshake: float = 15.0  # seconds a TLS handshake may take; each connection has its own


class Listener:
    """Accepts MLLP connections.  Starting fails with `OSError`; stopping twice, or unstarted, is fine."""

    def __init__(
        self,
        receiver: Receiver,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        limits: Limits = Limits(),
        sockets: Sequence[socket.socket] = (),
    ) -> None:
        """*sockets* are bound already, and may be shared with other processes; else *host* and *port* are."""
        self._receiver, self._tls, self._limits, self._sockets = receiver, tls, limits, sockets
        self._servers: list[asyncio.Server] = []
        self._open = False
        self._connections: dict[asyncio.Task[None], _Connection] = {}
        self._handshakes: set[Handshake] = set()
        self._crowd = Crowd()  # of both
        self._seldom = Seldom()
        self.address: tuple[str, int] = (host, port)
        """Host and port; once started, the real port where 0 was asked for."""

    @property
    def listening(self) -> bool:
        """Whether connections are accepted now, in this process."""
        return is_open(self._servers)

    def use(self, tls: ssl.SSLContext | None, limits: Limits) -> None:
        """Take over certificate and bounds, for connections that come from now on."""
        self._tls, self._limits = tls, limits

    async def start(self) -> None:
        """Listen; return once connections are accepted."""
        self._open = True  # connections come before listen() returns
        self._servers = await listen(self._protocol, *self.address, self._sockets, backlog=_BACKLOG)
        self.address = self._servers[0].sockets[0].getsockname()[:2]

    async def stop(self, drain: float = 30.0) -> None:
        """Accept no more, let each connection answer the messages it has read, close it.

        What runs longer than *drain* seconds is cut off: it was not acknowledged, so it is sent again.
        """
        servers, self._servers, self._open = self._servers, [], False
        if not servers:
            return
        for server in servers:
            server.close()
        for handshake in list(self._handshakes):
            handshake.give_up()
        if handshakes := [each.task for each in self._handshakes if each.task]:
            await asyncio.wait(handshakes)
        for connection in self._connections.values():
            connection.finish()
        if running := list(self._connections):
            _, late = await asyncio.wait(running, timeout=drain)
            for task in late:
                task.cancel()
            await asyncio.wait(running)
        for server in servers:
            await server.wait_closed()

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

    def failed(self, failure: Failed) -> None:
        """Tell of a handshake that came to nothing, unless it only asked whether the port is open (D-07)."""
        level = logging.DEBUG if failure.gone else logging.WARNING
        log(logger, level, "TLS handshake failed", address=failure.address, reason=failure.reason,
            **(struck(Limit.HANDSHAKE) if failure.late else {}))  # fmt: skip

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a handshake (`Gate.spawn`)."""
        return asyncio.get_running_loop().create_task(work, name="TLS handshake")

    def _protocol(self) -> asyncio.Protocol:
        if self._tls is None:
            return self._streams()
        return Handshake(self, self._tls, self._limits.handshake, self._streams)

    def _streams(self) -> asyncio.Protocol:
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(), self._accept)

    def _has_room(self, address: str) -> bool:
        if not self._open:
            return False
        full = self._crowd.full(address, self._limits.connections, self._limits.per_address)
        if full is None:
            return True
        told = struck(Limit.CONNECTIONS if full is Full.TOTAL else Limit.PER_ADDRESS)
        if times := self._seldom.due((full, address if full is Full.ADDRESS else "")):
            log(logger, logging.WARNING, "connection turned away", address=address, times=times,
                open=self._crowd.total, from_address=self._crowd.of(address), **told)  # fmt: skip
        return False

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = address_of(writer.transport)
        if not self._has_room(address):
            writer.close()
            return
        connection = _Connection(reader, writer, self._receiver, self._limits)
        self._connections[connection.task] = connection
        self._crowd.enter(address)

        def over(task: asyncio.Task[None]) -> None:
            del self._connections[task]
            self._crowd.leave(address)

        connection.task.add_done_callback(over)


class _Connection:
    """One sender's connection, from accept to close."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        receiver: Receiver,
        limits: Limits,
    ) -> None:
        self._reader, self._writer, self._receiver, self._limits = reader, writer, receiver, limits
        self._peer = peer_name(writer)
        self._deframer = Deframer(limits.frame)
        self._reading = self._finishing = False
        self._heard = writer.get_extra_info("sslcontext") is not None  # under TLS no hello can come
        self._began: float | None = None  # when the message did that is not whole yet
        self.task = asyncio.get_running_loop().create_task(self._run(), name=f"mllp {self._peer}")

    def finish(self) -> None:
        """End once what was read is answered; half a message is given up: its sender repeats it."""
        self._finishing = True
        if self._reading:
            self.task.cancel()

    async def _run(self) -> None:
        log(logger, logging.DEBUG, "connected", peer=self._peer)
        try:
            _keep_alive(self._writer)
            while not self._finishing and await self._step():
                pass
        except asyncio.CancelledError:
            pass  # by finish() or stop(): nothing is above this task that must hear of it
        except OSError as error:
            log(logger, logging.DEBUG, "connection lost", peer=self._peer, reason=str(error))
            self._writer.transport.abort()  # what it has not read by now it will not read
        except Exception:
            logger.exception("connection failed", extra={"fields": {"peer": self._peer}})
        await self._close()

    async def _step(self) -> bool:
        """Read once and answer what that completes; tell whether to go on."""
        try:
            data = await self._read()
        except TimeoutError:
            if not self._deframer.closing:
                self._give_up()
                return False
            data = None
        if data and not self._heard and is_hello(data):
            log(
                logger, logging.WARNING, "TLS hello on a port without TLS", peer=self._peer, setting="hl7.tls"
            )
            return False
        self._heard = self._heard or bool(data)
        events = self._deframer.feed(data) if data else self._deframer.flush()
        self._note_beginning(anew=bool(events))
        for found in events:
            await self._handle(found)
        if data == b"" and self._deframer.inside:
            log(logger, logging.INFO, "connection closed inside a message", peer=self._peer)
        return data != b""

    def _note_beginning(self, *, anew: bool) -> None:
        if not self._deframer.inside:
            self._began = None
        elif anew or self._began is None:
            self._began = asyncio.get_running_loop().time()

    def _patience(self) -> float | None:
        """Return how long the next octets may take."""
        limits, deframer = self._limits, self._deframer
        if deframer.closing:
            return _CLOSING
        return min(limits.silence, self._left()) if deframer.inside else limits.idle

    def _left(self) -> float:
        """Return how long the message under way may still take."""
        now = asyncio.get_running_loop().time()
        return self._limits.message - (now - (now if self._began is None else self._began))

    async def _read(self) -> bytes:
        patience = self._patience()
        self._reading = True
        try:
            async with asyncio.timeout(patience):
                return await self._reader.read(_CHUNK)
        finally:
            self._reading = False

    def _give_up(self) -> None:
        if not self._deframer.inside:
            log(logger, logging.INFO, "connection idle", peer=self._peer, waited=self._limits.idle,
                **struck(Limit.IDLE))  # fmt: skip
            return
        limits = self._limits
        limit, waited = (
            (Limit.MESSAGE, limits.message) if self._left() <= 0 else (Limit.SILENCE, limits.silence)
        )
        log(logger, logging.WARNING, "message never ended", peer=self._peer, waited=waited, **struck(limit))

    async def _handle(self, found: Event) -> None:
        answer = None
        match found:
            case Frame(b"\x06" | b"\x15"):
                log(logger, logging.DEBUG, "commit acknowledgement ignored", peer=self._peer)  # D-05
            case Frame(payload):
                answer = await self._receiver.receive(payload, self._peer)
            case Oversize(head):
                # The rest is skipped as it comes: closing now would reset the connection and
                # take the answer with it.
                answer = self._receiver.too_large(head, self._limits.frame, self._peer)
                log(logger, logging.WARNING, "message too long", peer=self._peer, **struck(Limit.FRAME))
            case Cut(count):
                log(logger, logging.WARNING, "message without end dropped", peer=self._peer, octets=count)
            case Noise(count):
                log(logger, logging.INFO, "bytes outside a message skipped", peer=self._peer, octets=count)
        if answer is not None:
            for block in parts(answer):  # each for itself: there are senders that read one block at a time
                self._writer.write(frame(block))
            if self._writer.transport.get_write_buffer_size():  # as a rule the kernel has taken it
                await self._drain()

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(self._limits.silence):
                await self._writer.drain()
        except TimeoutError:
            log(logger, logging.WARNING, "answer not read", peer=self._peer, **struck(Limit.WRITE))
            raise

    async def _close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            async with asyncio.timeout(_GOODBYE):
                await self._writer.wait_closed()
        self._writer.transport.abort()
        log(logger, logging.DEBUG, "disconnected", peer=self._peer)


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket | None = writer.get_extra_info("socket")
    if connection is None:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE.items():
        if (number := getattr(socket, option, None)) is not None:  # not every platform has them
            connection.setsockopt(socket.IPPROTO_TCP, number, value)
