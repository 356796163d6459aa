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
from dataclasses import dataclass
from typing import Final, Protocol

from mwl.hl7.handshake import Handshake, peer_name
from mwl.hl7.mllp import DEFAULT_LIMIT, Cut, Deframer, Event, Frame, Noise, Oversize, frame, parts
from mwl.logs import event as log

logger = logging.getLogger(__name__)

_CHUNK: Final = 65536  # octets read at once
_CLOSING: Final = 0.25  # seconds the CR after FS may take: it comes in the same segment, or never (D-02)
_HANDSHAKE: Final = 15.0  # seconds a TLS handshake may take; each connection has its own
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
    idle: float | None = None  # seconds of silence between messages; None: for ever, as systems expect (D-03)
    silence: float = 30.0  # seconds of silence inside a message, or of not reading an answer (D-03)


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
    ) -> None:
        self._receiver, self._tls, self._limits = receiver, tls, limits
        self._server: asyncio.Server | None = None
        self._open = False
        self._connections: dict[asyncio.Task[None], _Connection] = {}
        self._handshakes: set[Handshake] = set()
        self.address: tuple[str, int] = (host, port)
        """Host and port; once started, the real port where 0 was asked for."""

    async def start(self) -> None:
        """Listen; return once connections are accepted."""
        host, port = self.address
        self._open = True  # connections come before create_server() returns
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, host, port, backlog=_BACKLOG)
        self.address = self._server.sockets[0].getsockname()[:2]

    async def stop(self, drain: float = 30.0) -> None:
        """Accept no more, let each connection answer the messages it has read, close it.

        What runs longer than *drain* seconds is cut off: it was not acknowledged, so it is sent again.
        """
        server, self._server, self._open = self._server, None, False
        if server is None:
            return
        server.close()
        if handshakes := [handshake.give_up() for handshake in list(self._handshakes)]:
            await asyncio.wait(handshakes)
        for connection in self._connections.values():
            connection.finish()
        if running := list(self._connections):
            _, late = await asyncio.wait(running, timeout=drain)
            for task in late:
                task.cancel()
            await asyncio.wait(running)
        await server.wait_closed()

    def opened(self, handshake: Handshake, peer: str) -> bool:
        """See `Gate`."""
        if not self._has_room(peer):
            return False
        self._handshakes.add(handshake)
        return True

    def closed(self, handshake: Handshake) -> None:
        """See `Gate`."""
        self._handshakes.discard(handshake)

    def _protocol(self) -> asyncio.Protocol:
        return Handshake(self, self._tls, _HANDSHAKE, self._streams) if self._tls else self._streams()

    def _streams(self) -> asyncio.Protocol:
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(), self._accept)

    def _has_room(self, peer: str) -> bool:
        count = len(self._connections) + len(self._handshakes)
        if not self._open or count >= self._limits.connections:
            level = logging.WARNING if self._open else logging.DEBUG
            log(logger, level, "connection turned away", peer=peer, open=count)
            return False
        return True

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._has_room(peer_name(writer)):
            writer.close()
            return
        connection = _Connection(reader, writer, self._receiver, self._limits)
        self._connections[connection.task] = connection
        connection.task.add_done_callback(self._connections.pop)


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
        for found in self._deframer.feed(data) if data else self._deframer.flush():
            await self._handle(found)
        if data == b"" and self._deframer.inside:
            log(logger, logging.INFO, "connection closed inside a message", peer=self._peer)
        return data != b""

    async def _read(self) -> bytes:
        limits, deframer = self._limits, self._deframer
        patience = _CLOSING if deframer.closing else limits.silence if deframer.inside else limits.idle
        self._reading = True
        try:
            async with asyncio.timeout(patience):
                return await self._reader.read(_CHUNK)
        finally:
            self._reading = False

    def _give_up(self) -> None:
        if self._deframer.inside:
            log(logger, logging.WARNING, "message never ended", peer=self._peer, waited=self._limits.silence)
        else:
            log(logger, logging.DEBUG, "connection idle", peer=self._peer, waited=self._limits.idle)

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
            case Cut(count):
                log(logger, logging.WARNING, "message without end dropped", peer=self._peer, octets=count)
            case Noise(count):
                log(logger, logging.INFO, "bytes outside a message skipped", peer=self._peer, octets=count)
        if answer is not None:
            for block in parts(answer):  # each for itself: there are senders that read one block at a time
                self._writer.write(frame(block))
            if self._writer.transport.get_write_buffer_size():  # as a rule the kernel has taken it
                async with asyncio.timeout(self._limits.silence):
                    await self._writer.drain()

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
