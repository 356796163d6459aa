"""What stands between the HTTP side's listening socket and uvicorn: TLS, counting, the slow.

uvicorn bounds the requests it works on, not the connections it has: one that never sends a request
stays for ever, and so does one that sends a byte a minute.  Here each connection is counted by its
address, TLS is spoken under a time limit, and a request has to be whole in time.  A client that is
refused is told so in HTTP (503, 408).
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import sys
from collections.abc import Coroutine
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from mwl import logs
from mwl.crowd import Crowd, Full, Seldom
from mwl.handshake import Failed, Handshake, address_of, is_hello
from mwl.web.limits import Limit, struck

logger = logging.getLogger(__name__)


def _not_ours(record: logging.LogRecord) -> bool:
    """Keep uvicorn's line for each bad request out of the log: `Door.nonsense` tells, and from where."""
    return not record.getMessage().startswith("Invalid HTTP request")


logging.getLogger("uvicorn.error").addFilter(_not_ours)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much clients may take; seconds where it is time."""

    connections: int = 100
    per_address: int = 100
    handshake: float = 10.0
    request: float = 10.0


class Door:
    """Makes the protocol of each connection, and counts them."""

    def __init__(self, tls: ssl.SSLContext | None = None, bounds: Bounds = Bounds()) -> None:
        self.tls, self.bounds = tls, bounds
        """For connections that come from now on."""
        self._crowd = Crowd()
        self._seldom = Seldom()
        self._tasks: set[asyncio.Task[None]] = set()

    def protocol(self, **options: Any) -> asyncio.Protocol:
        """Return the protocol of a new connection; *options* are uvicorn's (its `http_protocol_class`)."""
        if self.tls is None:
            return _Http(self, **options)
        return Handshake(self, self.tls, self.bounds.handshake, lambda: _Http(self, **options))

    def enter(self, address: str) -> bool:
        """Count a connection; tell whether there was room for it."""
        full = self._crowd.full(address, self.bounds.connections, self.bounds.per_address)
        if full is None:
            self._crowd.enter(address)
            return True
        told = struck(Limit.CONNECTIONS if full is Full.TOTAL else Limit.PER_ADDRESS)
        if times := self._seldom.due((full, address if full is Full.ADDRESS else "")):
            logs.event(logger, logging.WARNING, "HTTP connection refused", address=address, times=times,
                       open=self._crowd.total, from_address=self._crowd.of(address), **told)  # fmt: skip
        return False

    def leave(self, address: str) -> None:
        """Forget a connection that `enter` counted."""
        self._crowd.leave(address)

    def late(self, address: str) -> None:
        """Take note of a request that was not whole in time."""
        told = struck(Limit.REQUEST)
        if times := self._seldom.due((Limit.REQUEST, address)):
            logs.event(logger, logging.INFO, "HTTP request never ended", address=address, times=times, **told)

    def unread(self, address: str) -> None:
        """Take note of a client that does not read its answer."""
        told = struck(Limit.WRITE)
        if times := self._seldom.due((Limit.WRITE, address)):
            logs.event(logger, logging.INFO, "HTTP answer not read", address=address, times=times, **told)

    def nonsense(self, address: str, *, too_long: bool) -> None:
        """Take note of what is no HTTP request, or of one whose head does not end."""
        told = struck(Limit.HEAD) if too_long else {}
        if times := self._seldom.due(("nonsense", too_long, address)):
            logs.event(logger, logging.WARNING, "HTTP request not understood", address=address, times=times,
                       **told)  # fmt: skip

    def deaf(self, address: str) -> None:
        """Take note of a TLS hello on a plain port."""
        if self._seldom.due(("TLS", address)):
            logs.event(logger, logging.WARNING, "TLS hello on a port without TLS", peer=address,
                       setting="web.tls")  # fmt: skip

    # The gate of handshakes.

    def arrived(self, handshake: Handshake, address: str) -> bool:  # noqa: ARG002 - `Gate.arrived`
        """Register a handshake (`Gate.arrived`)."""
        return self.enter(address)

    def departed(self, handshake: Handshake, address: str) -> None:  # noqa: ARG002 - `Gate.departed`
        """Forget a handshake (`Gate.departed`)."""
        self.leave(address)

    def failed(self, failure: Failed) -> None:
        """Tell of a handshake that came to nothing (`Gate.failed`)."""
        level = logging.DEBUG if failure.gone else logging.WARNING
        logs.event(logger, level, "TLS handshake failed", address=failure.address, reason=failure.reason,
                   **(struck(Limit.HANDSHAKE) if failure.late else {}))  # fmt: skip

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a handshake (`Gate.spawn`)."""
        task = asyncio.get_running_loop().create_task(work, name="TLS handshake")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """End the handshakes under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class _Http(H11Protocol):
    """uvicorn's protocol on a connection that is counted, and whose requests have to be whole in time."""

    def __init__(self, door: Door, **options: Any) -> None:
        super().__init__(**options)
        self._door = door
        self._address = ""
        self._counted = self._heard = False
        self._owes = True  # a request, or the rest of one
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._address = address_of(transport)
        self._counted = self._door.enter(self._address)
        if not self._counted:
            _refuse(cast(asyncio.Transport, transport), 503, "Service Unavailable")
            return
        super().connection_made(cast(asyncio.Transport, transport))
        self._watch()

    def data_received(self, data: bytes) -> None:
        if not self._counted:
            return
        if not self._heard and self.scheme == "http" and is_hello(data):
            self._door.deaf(self._address)
            self.transport.close()
            return
        self._heard = self._owes = True
        super().data_received(data)
        self._watch()

    def send_400_response(self, msg: str) -> None:
        cause = sys.exception()  # uvicorn is handling it, and hands on no more than that there is one
        too_long = getattr(cause, "error_status_hint", 0) == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        self._door.nonsense(self._address, too_long=too_long)
        super().send_400_response(msg)

    def on_response_complete(self) -> None:
        self._owes = False
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._forget()
        self._deadline = self.loop.call_later(self._door.bounds.request, self._unread)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._forget()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        if self._counted:
            self._door.leave(self._address)
            super().connection_lost(exc)

    def _watch(self) -> None:
        """Have a request whole in time, or begun at all; what is whole takes what it takes."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete and not cycle.more_body:
            self._forget()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self._door.bounds.request, self._late)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        if self.transport.is_closing():
            return
        if self._owes:
            self._door.late(self._address)
            _refuse(self.transport, 408, "Request Timeout")
        else:
            self.transport.close()

    def _unread(self) -> None:
        self._deadline = None
        self._door.unread(self._address)
        self.transport.abort()


def _refuse(transport: asyncio.Transport, code: int, phrase: str) -> None:
    transport.write(f"HTTP/1.1 {code} {phrase}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())
    transport.close()
