"""Listening sockets that are bound before, and shared."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from mwl.listening import bind, is_open, listen


async def test_connections_come_by_sockets_that_were_bound_before():
    """Two servers on one socket, as two workers have it: either takes a connection."""
    (bound,) = bind("127.0.0.1", 0)
    taken: asyncio.Queue[None] = asyncio.Queue()

    class Taking(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            taken.put_nowait(None)
            transport.close()

    servers = await listen(Taking, "", 0, [bound], backlog=16)
    servers += await listen(Taking, "", 0, [bound.dup()], backlog=16)
    _, writer = await asyncio.open_connection(*bound.getsockname())
    await asyncio.wait_for(taken.get(), 10)
    writer.close()

    assert is_open(servers)
    for server in servers:
        server.close()
    assert not is_open(servers)


async def test_a_socket_that_was_closed_under_the_server_is_not_open():
    """A listener that died though nobody closed it is found out."""
    (server,) = await listen(asyncio.Protocol, "127.0.0.1", 0, backlog=16)
    number = server.sockets[0].fileno()
    asyncio.get_running_loop().remove_reader(number)
    kept = os.dup(number)
    os.close(number)

    assert not is_open([server])
    os.dup2(kept, number)  # so that it can be closed once more
    os.close(kept)
    server.close()


def test_every_address_of_a_host_is_bound():
    """A name may stand for an IPv4 and an IPv6 address."""
    (probe,) = bind("127.0.0.1", 0)
    port = probe.getsockname()[1]
    probe.close()
    bound = bind("localhost", port)

    assert {each.getsockname()[:2] for each in bound} >= {("127.0.0.1", port)}
    for each in bound:
        each.close()


def test_an_address_is_bound_by_one_broker_alone():
    """Two on one address would share the devices by chance."""
    (bound,) = bind("127.0.0.1", 0)
    bound.listen()

    with pytest.raises(OSError, match="in use"):
        bind(*bound.getsockname())
    bound.close()


def test_no_address_is_no_socket():
    """What was bound before the mistake is closed again."""
    with pytest.raises(socket.gaierror):
        bind("no.such.host.invalid", 1)
