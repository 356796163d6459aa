"""Listening sockets: bound once, perhaps before the processes that share them are started.

One process binds an address, and only one: a second broker on it is refused by the kernel, which it
would not be with SO_REUSEPORT.  Several workers take connections from the one queue: who is idle takes
the next, and a worker that dies takes none with it that it had not accepted.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from typing import Any

_AT_ONCE = 4  # connections taken in one turn of the loop: those that talk, and other workers, need turns too
_ABSENT = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


def bind(host: str, port: int) -> tuple[socket.socket, ...]:
    """Return a bound socket for each address of *host*; of port 0 for the first.  Raises `OSError`.

    A name may stand for an address that this machine does not have (``::1`` where there is no IPv6).
    """
    bound: list[socket.socket] = []
    absent: OSError | None = None
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, _, _, _, at in dict.fromkeys(found):
        try:
            bound.append(_bound(family, at))
        except OSError as error:
            if error.errno not in _ABSENT:
                for each in bound:
                    each.close()
                raise
            absent = error
        if bound and not port:
            break
    if absent is not None and not bound:
        raise absent
    return tuple(bound)


def _bound(family: int, at: Any) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # the IPv4 address of the same host has a socket of its own
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(at)
    except OSError:
        made.close()
        raise
    made.setblocking(False)
    return made


async def listen(
    protocol: Callable[[], asyncio.Protocol],
    host: str,
    port: int,
    sockets: Sequence[socket.socket] = (),
    *,
    backlog: int,
) -> list[asyncio.Server]:
    """Accept connections on *sockets*, or else at the address; raise `OSError` where that cannot be.

    *backlog* connections wait in the kernel; asyncio would take as many of them at once.
    """
    create = asyncio.get_running_loop().create_server
    if sockets:
        servers = [await create(protocol, sock=each, backlog=_AT_ONCE) for each in sockets]
    else:
        servers = [await create(protocol, host, port, backlog=_AT_ONCE)]
    for each in (each for server in servers for each in server.sockets):
        with socket.fromfd(each.fileno(), each.family, each.type) as same:
            same.listen(backlog)
    return servers


def is_open(servers: Sequence[asyncio.Server]) -> bool:
    """Tell whether all of *servers* accept connections now, in this process."""
    return bool(servers) and all(
        server.is_serving() and server.sockets and all(_accepts(each.fileno()) for each in server.sockets)
        for server in servers
    )


def _accepts(number: int) -> bool:
    if number < 0:
        return False
    try:
        with socket.socket(fileno=socket.dup(number)) as same:
            return bool(same.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:  # the descriptor was closed under us
        return False
