"""The HTTP server: uvicorn inside the broker's own loop.

uvicorn would take the process's signals and raise them again when it is done, killing the other
parts before they have drained; here the broker owns the signals and tells this server to stop.
The socket is opened here too, so that a taken port is a clear message and port 0 has an address.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

import uvicorn

from mwl.config import Address
from mwl.errors import Unavailable

_BACKLOG = 128
_CONNECTIONS = 100  # a few scrapers and probes; far above what they need
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

    def __init__(self, app: Any, listen: Address) -> None:
        self._listen = listen
        self._config = uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            http="h11",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=_GRACE,
        )
        self._socket: socket.socket | None = None
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def address(self) -> Address:
        """Return the address that is listened on: the real port where 0 was asked for."""
        if self._socket is None:
            return self._listen
        host, port, *_ = self._socket.getsockname()
        return Address(host, port)

    @property
    def accepting(self) -> bool:
        """Whether connections are accepted now."""
        return self._task is not None and not self._task.done()

    async def start(self) -> None:
        """Accept connections; return once it does.  Raises `Unavailable` where the address is taken."""
        self._socket = _bound(self._listen)
        self._server = _Server(self._config)
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="web")
        await self._server.accepting.wait()

    async def stop(self) -> None:
        """Stop accepting, finish what is under way; stopping twice or before starting is legal."""
        if self._task is None or self._server is None:
            return
        self._server.should_exit = True
        await self._task
        self._task = self._server = self._socket = None


def _bound(listen: Address) -> socket.socket:
    try:
        family, kind, proto, _, at = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, proto)
    except OSError as error:
        raise Unavailable(f"cannot listen on {listen}: {error.strerror}") from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(at)
        bound.listen(_BACKLOG)
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        raise Unavailable(f"cannot listen on {listen}: {error.strerror}") from None
    return bound
