"""The HTTP server: uvicorn inside the broker's own loop.

uvicorn would take the process's signals and raise them again when it is done, killing the other
parts before they have drained; here the broker owns the signals and tells this server to stop.
The socket is opened here too, so that a taken port is a clear message and port 0 has an address.
TLS and the bounds of connections are `door`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Sequence
from typing import Any

import uvicorn

from mwl.config import Address
from mwl.errors import Unavailable
from mwl.listening import bind, is_open
from mwl.web.door import Bounds, Door

_BACKLOG = 128
_GRACE = 3  # seconds a request under way gets when the broker stops


class _Server(uvicorn.Server):
    """A server that leaves signals alone and tells when it accepts."""

    capture_signals = contextlib.nullcontext  # type: ignore[assignment]  # taking none is the point

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepting = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.accepting.set()


class WebServer:
    """Serves an ASGI application at an address; started and stopped like every other part."""

    def __init__(
        self,
        app: Any,
        listen: Address,
        *,
        tls: ssl.SSLContext | None = None,
        bounds: Bounds | None = None,
        sockets: Sequence[socket.socket] = (),
    ) -> None:
        """*sockets* are bound already, and may be shared with other processes; else *listen* is."""
        self._listen = listen
        self._given = tuple(sockets)
        self._door = Door(tls, bounds or Bounds())
        self._config = uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            http="h11",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=_BACKLOG,
            timeout_graceful_shutdown=_GRACE,
        )
        self._sockets: tuple[socket.socket, ...] = ()
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def address(self) -> Address:
        """Return the address that is listened on: the real port where 0 was asked for."""
        if not self._sockets:
            return self._listen
        host, port, *_ = self._sockets[0].getsockname()
        return Address(host, port)

    @property
    def accepting(self) -> bool:
        """Whether connections are accepted now."""
        return (
            self._task is not None
            and not self._task.done()
            and self._server is not None
            and is_open(self._server.servers)
        )

    def use(self, tls: ssl.SSLContext | None, bounds: Bounds) -> None:
        """Take over certificate and bounds, for connections that come from now on."""
        self._door.tls, self._door.bounds = tls, bounds

    async def start(self) -> None:
        """Accept connections; return once it does.  Raises `Unavailable` where the address is taken."""
        self._sockets = self._given or _bound(self._listen)
        self._server = _Server(self._config)
        if not self._config.loaded:
            self._config.load()
        self._config.http_protocol_class = self._door.protocol  # type: ignore[assignment]  # it is only called
        self._task = asyncio.create_task(self._server.serve(sockets=list(self._sockets)), name="web")
        await self._server.accepting.wait()

    async def stop(self) -> None:
        """Stop accepting, finish what is under way; stopping twice or before starting is legal."""
        if self._task is None or self._server is None:
            return
        self._server.should_exit = True
        await self._door.close()
        await self._task
        self._task = self._server = None
        self._sockets = ()


def _bound(listen: Address) -> tuple[socket.socket, ...]:
    try:
        return bind(listen.host, listen.port)
    except OSError as error:
        raise Unavailable(f"cannot listen on {listen}: {error.strerror}") from None
