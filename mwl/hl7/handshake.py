"""TLS in front of a connection: one handshake each, under a time limit, counted as a connection.

The handshake is not left to the listening socket: there, peers that connect and say nothing are
counted by nobody, and what goes wrong is told to nobody (E-02).
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Any, Protocol, cast

from mwl.logs import event as log

logger = logging.getLogger(__name__)

_SHUTDOWN = 5.0  # seconds for the peer's close_notify


class Named(Protocol):
    """A transport or a stream's writer: what knows its peer."""

    def get_extra_info(self, name: str, default: Any = None) -> Any: ...


def peer_name(connection: Named) -> str:
    """Return the peer's address and port."""
    peer = connection.get_extra_info("peername")
    return f"{peer[0]}:{peer[1]}" if peer else "unknown"


class Gate(Protocol):
    """The listener, as a handshake needs it."""

    def opened(self, handshake: Handshake, peer: str) -> bool:
        """Register a handshake; tell whether there is room for its connection."""
        ...

    def closed(self, handshake: Handshake) -> None:
        """Forget a handshake, which ended well or not."""
        ...


class Handshake(asyncio.Protocol):
    """Speaks TLS with the peer, then hands the connection to the protocol that *make* returns."""

    def __init__(
        self, gate: Gate, context: ssl.SSLContext, seconds: float, make: Callable[[], asyncio.Protocol]
    ) -> None:
        self._gate, self._context, self._seconds, self._make = gate, context, seconds, make
        self._raw: asyncio.Transport
        self._early = b""
        self._lost = False
        self._task: asyncio.Task[None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = cast(asyncio.Transport, transport)
        if self._gate.opened(self, peer_name(transport)):
            self._task = asyncio.get_running_loop().create_task(self._shake_hands(), name="TLS handshake")
        else:
            self._raw.abort()

    def data_received(self, data: bytes) -> None:
        self._early += data  # the peer's first octets may come before `start_tls` has returned

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._lost = True

    def give_up(self) -> asyncio.Task[None]:
        """End it, for nothing has begun; return what to wait for."""
        self._raw.abort()
        return self._task

    async def _shake_hands(self) -> None:
        try:
            transport = await asyncio.get_running_loop().start_tls(
                self._raw, self, self._context, server_side=True,
                ssl_handshake_timeout=self._seconds, ssl_shutdown_timeout=_SHUTDOWN,
            )  # fmt: skip
        except OSError as error:  # of which ssl's errors and the time limit's are kinds
            reason = getattr(error, "reason", None) or type(error).__name__
            level = logging.DEBUG if isinstance(error, ConnectionError) else logging.WARNING
            log(logger, level, "TLS handshake failed", peer=peer_name(self._raw), reason=reason)
            return
        finally:
            self._gate.closed(self)
        if transport is None:  # given up, or the peer left
            return
        protocol = self._make()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._early:
            protocol.data_received(self._early)
        if self._lost:
            protocol.connection_lost(None)
