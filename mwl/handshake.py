"""TLS in front of a connection: one handshake each, under a time limit, counted as a connection.

The handshake is not left to the listening socket: there, peers that connect and say nothing are
counted by nobody, and what goes wrong is told to nobody (E-02, F-A11).  Here a silent peer holds one
connection for some seconds and delays nobody.

Which certificate is shown is asked for at every connection, so that a renewed one needs no restart.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol, cast

_SHUTDOWN = 5.0  # seconds for the peer's close_notify

_RECORD, _MAJOR = 0x16, 0x03  # a TLS record of a handshake (RFC 8446 5.1); no PDU, frame or request begins so


def is_hello(octets: bytes | bytearray) -> bool:
    """Tell whether the first octets of a connection are a TLS client's."""
    return len(octets) > 1 and octets[0] == _RECORD and octets[1] == _MAJOR


@dataclass(frozen=True, slots=True)
class Failed:
    """A handshake that came to nothing: the peer was too *late*, or *gone* before it ended."""

    address: str
    reason: str
    late: bool
    gone: bool


class Gate(Protocol):
    """The listener, as a handshake needs it."""

    def arrived(self, handshake: Handshake, address: str) -> bool:
        """Register a handshake; tell whether there is room for its connection."""
        ...

    def departed(self, handshake: Handshake, address: str) -> None:
        """Forget a handshake, which ended well or not."""
        ...

    def failed(self, failure: Failed) -> None:
        """Take note of a handshake that came to nothing."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run *work* as a task that a shutdown waits for."""
        ...


class Handshake(asyncio.Protocol):
    """Speaks TLS with the peer, then hands the connection to the protocol that *make* returns."""

    __slots__ = ("_address", "_context", "_early", "_gate", "_lost", "_make", "_raw", "_seconds", "task")

    def __init__(
        self, gate: Gate, context: ssl.SSLContext, seconds: float, make: Callable[[], asyncio.Protocol]
    ) -> None:
        self._gate, self._context, self._seconds, self._make = gate, context, seconds, make
        self._raw: asyncio.Transport
        self._address = ""
        self._early = b""
        self._lost = False
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = cast(asyncio.Transport, transport)
        self._address = address_of(transport)
        if self._gate.arrived(self, self._address):
            self.task = self._gate.spawn(self._shake_hands())
        else:
            self._raw.abort()

    def data_received(self, data: bytes) -> None:
        self._early += data  # the peer's first octets may come before `start_tls` has returned

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._lost = True

    def give_up(self) -> None:
        """End it: nothing has begun."""
        self._raw.abort()

    async def _shake_hands(self) -> None:
        try:
            transport = await asyncio.get_running_loop().start_tls(
                self._raw, self, self._context, server_side=True,
                ssl_handshake_timeout=self._seconds, ssl_shutdown_timeout=_SHUTDOWN,
            )  # fmt: skip
        except OSError as error:  # of which ssl's errors and the time limit's are kinds
            self._gate.failed(_failed(self._address, error))
            return
        finally:
            self._gate.departed(self, self._address)
        if transport is None:  # given up, or the peer left
            return
        protocol = self._make()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._early:
            protocol.data_received(self._early)
        if self._lost:
            protocol.connection_lost(None)


def address_of(transport: asyncio.BaseTransport) -> str:
    """Return the peer's IP address, "" where it has gone already."""
    return str((transport.get_extra_info("peername") or ("",))[0])


def _failed(address: str, error: OSError) -> Failed:
    late = isinstance(error, ConnectionAbortedError)  # asyncio's word for its time limit
    gone = isinstance(error, ConnectionError) and not late
    return Failed(address, getattr(error, "reason", None) or type(error).__name__, late, gone)
