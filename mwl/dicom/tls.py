"""TLS in front of an association: one handshake per connection, under a time limit.

The handshake is not left to the listening socket: a peer that says nothing holds one connection for
some seconds and delays nobody, and a handshake that fails is logged, once (F-A11).
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, cast

from mwl import logs
from mwl.dicom.limits import Limit, struck

logger = logging.getLogger(__name__)

_SHUTDOWN = 5.0  # seconds for the peer's close_notify


class Gatekeeper(Protocol):
    """The acceptor, as a handshake needs it."""

    def opened(self, connection: Handshake) -> int | None:
        """Register a connection; return its number, or None when there are too many."""

    def closed(self, connection: Handshake) -> None:
        """Forget a connection."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run *work* as a task that a shutdown waits for."""


class Handshake(asyncio.Protocol):
    """Speaks TLS with the peer, then hands the connection to the protocol behind it."""

    __slots__ = ("_context", "_early", "_gatekeeper", "_lost", "_make", "_raw", "_seconds")

    def __init__(
        self,
        gatekeeper: Gatekeeper,
        context: ssl.SSLContext,
        seconds: float,
        make: Callable[[], asyncio.Protocol],
    ) -> None:
        self._gatekeeper = gatekeeper
        self._context = context
        self._seconds = seconds
        self._make = make
        self._raw: asyncio.Transport
        self._early = b""
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = cast(asyncio.Transport, transport)
        if self._gatekeeper.opened(self) is None:
            self._raw.abort()
        else:
            self._gatekeeper.spawn(self._shake_hands())

    def data_received(self, data: bytes) -> None:
        self._early += data  # the peer's first octets may come before `start_tls` has returned

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._lost = True

    def drain(self) -> None:
        """Give up: nothing has begun."""
        self._raw.abort()

    def shut(self, reason: str) -> None:  # noqa: ARG002 - as `Association.shut`
        """Give up."""
        self._raw.abort()

    async def _shake_hands(self) -> None:
        peer = self._raw.get_extra_info("peername")
        try:
            transport = await asyncio.get_running_loop().start_tls(
                self._raw,
                self,
                self._context,
                server_side=True,
                ssl_handshake_timeout=self._seconds,
                ssl_shutdown_timeout=_SHUTDOWN,
            )
        except OSError as error:  # of which ssl's errors and the time limit's are kinds
            reason = getattr(error, "reason", None) or type(error).__name__
            late = isinstance(error, ConnectionAbortedError)  # asyncio's word for its time limit
            logs.event(
                logger, logging.WARNING, "TLS handshake failed",
                address=peer and peer[0], reason=reason, **(struck(Limit.HANDSHAKE) if late else {}),
            )  # fmt: skip
            return
        finally:
            self._gatekeeper.closed(self)
        if transport is None:  # given up, or the peer left
            return
        protocol = self._make()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._early:
            protocol.data_received(self._early)
        if self._lost:
            protocol.connection_lost(None)


def common_name(certificate: object) -> str:
    """Return the common name of a peer's certificate, as `ssl` tells it; "" without a certificate."""
    subject = certificate.get("subject", ()) if isinstance(certificate, dict) else ()
    return next((str(value) for part in subject for name, value in part if name == "commonName"), "")
