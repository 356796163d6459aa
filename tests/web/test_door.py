"""The HTTP side's bounds, over real sockets."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from prometheus_client import REGISTRY

from mwl.config import Address, model
from mwl.web import Bounds, WebServer, build
from mwl.web.limits import SETTINGS, Limit

SHORT = 0.05  # seconds
ALIVE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def counted(limit: Limit) -> float:
    """Return how often a limit has struck."""
    return REGISTRY.get_sample_value("mwl_web_limits_total", {"limit": limit.value}) or 0.0


@pytest.fixture
async def serve():
    """Start servers with bounds; they are stopped at the end."""
    started: list[WebServer] = []

    async def begin(page: Any = None, **bounds: Any) -> WebServer:
        async def readiness() -> dict[str, bool]:
            return {}

        app = page or build(readiness)
        started.append(WebServer(app, Address("127.0.0.1", 0), bounds=Bounds(**bounds)))
        await started[-1].start()
        return started[-1]

    yield begin
    for server in started:
        await server.stop()


@pytest.fixture
async def connect():
    """Open connections, from an address; they are closed at the end."""
    opened: list[asyncio.StreamWriter] = []

    async def to(server: WebServer, local: str = "127.0.0.1") -> Any:
        at = server.address
        streams = await asyncio.open_connection(at.host, at.port, local_addr=(local, 0))
        opened.append(streams[1])
        return streams

    yield to
    for writer in opened:
        writer.transport.abort()
    await asyncio.gather(*(writer.wait_closed() for writer in opened), return_exceptions=True)


async def status(reader: asyncio.StreamReader) -> int:
    """Return the status of the next answer, 0 where the connection ends before."""
    async with asyncio.timeout(10):
        line = await reader.readline()
    return int(line.split()[1]) if line else 0


def test_every_setting_that_is_named_exists():
    """An operator can write what the log tells her to."""
    for setting in SETTINGS.values():
        section: Any = model.Settings()
        for key in setting.split("."):
            assert key in type(section).model_fields, setting
            section = getattr(section, key)


@pytest.mark.parametrize(
    ("bounds", "other", "limit"),
    [({"connections": 2}, 503, Limit.CONNECTIONS), ({"per_address": 2}, 200, Limit.PER_ADDRESS)],
)
async def test_one_connection_too_many_is_told_so(serve, connect, caplog, bounds, other, limit):
    """503 in its own protocol, counted, and told once with the setting; who leaves makes room."""
    server, before = await serve(**bounds), counted(limit)
    kept = [await connect(server) for _ in range(2)]
    for reader, writer in kept:  # the server has taken both
        writer.write(ALIVE)
        await reader.readuntil(b"alive\n")
    refused = [await status((await connect(server))[0]) for _ in range(3)]
    reader, writer = await connect(server, "127.0.0.2")
    writer.write(ALIVE)
    elsewhere = await status(reader)
    (told,) = [record.fields for record in caplog.records if record.message == "HTTP connection refused"]

    assert refused == [503] * 3
    assert elsewhere == other
    assert counted(limit) - before == 3 + (other == 503)
    assert (told["limit"], told["setting"], told["times"]) == (limit, SETTINGS[limit], 1)


@pytest.mark.parametrize(
    "begun", [b"", b"GET /healthz HTT", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1"]
)
async def test_a_request_has_to_be_whole_in_time(serve, connect, caplog, begun):
    """A connection that says nothing, half a head, half a body: 408, counted, told with the setting."""

    async def reads(_scope: Any, receive: Any, _send: Any) -> None:
        while (await receive()).get("more_body"):
            pass

    caplog.set_level(logging.INFO, "mwl")
    server, before = await serve(reads, request=SHORT), counted(Limit.REQUEST)
    reader, writer = await connect(server)
    writer.write(begun)

    assert await status(reader) == 408
    assert counted(Limit.REQUEST) - before == 1
    (told,) = [record.fields for record in caplog.records if record.message == "HTTP request never ended"]
    assert told["setting"] == "web.limits.request"


async def test_a_second_request_has_to_be_whole_in_time_as_well(serve, connect):
    """One that drips after an answer is not kept by it."""
    server = await serve(request=SHORT)
    reader, writer = await connect(server)
    writer.write(ALIVE)
    await reader.readuntil(b"alive\n")
    writer.write(b"GET")

    assert await status(reader) == 408


async def test_an_answer_may_take_longer_than_a_request(serve, connect):
    """A page that the database is slow for is no slow client."""
    answered = asyncio.Event()

    async def slow(_scope: Any, _receive: Any, send: Any) -> None:
        asyncio.get_running_loop().call_later(4 * SHORT, answered.set)
        await answered.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    server = await serve(slow, request=SHORT)
    reader, writer = await connect(server)
    writer.write(ALIVE)

    assert await status(reader) == 200


async def test_a_client_that_does_not_read_is_dropped(serve, connect):
    """Counted; the page that was written for it ends."""
    before, over = counted(Limit.WRITE), asyncio.Event()

    async def endless(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
        over.set()

    server = await serve(endless, request=SHORT)
    _, writer = await connect(server)
    writer.write(ALIVE)

    await asyncio.wait_for(over.wait(), 30)
    assert counted(Limit.WRITE) - before == 1


@pytest.mark.parametrize(
    ("sent", "count"), [(b"GET / HTTP/1.1\r\nX: " + bytes(1 << 17), 3), (b"\x01\r\n", 0)]
)
async def test_what_is_no_request_is_told_once_and_a_head_without_end_counted(
    serve, connect, caplog, sent, count
):
    """400 in its own protocol; a flood of them is a line of the log."""
    server, before = await serve(), counted(Limit.HEAD)
    answers = []
    for _ in range(3):
        reader, writer = await connect(server)
        writer.write(sent)
        answers.append(await status(reader))
    (told,) = [record for record in caplog.records if record.levelno >= logging.WARNING]

    assert answers == [400] * 3
    assert counted(Limit.HEAD) - before == count
    assert told.message == "HTTP request not understood"
    assert told.fields.get("limit") == ("head" if count else None)


async def test_bounds_change_while_it_runs(serve, connect):
    """For connections that come from then on."""
    server = await serve()
    server.use(None, Bounds(connections=1))
    kept = await connect(server)
    kept[1].write(ALIVE)
    await kept[0].readuntil(b"alive\n")

    assert await status((await connect(server))[0]) == 503
