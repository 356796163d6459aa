"""The pages, asked for over a real socket."""

from __future__ import annotations

import asyncio
import json
import signal

import pytest

from mwl import metrics
from mwl.config import Address
from mwl.errors import Unavailable
from mwl.web import WebServer, build

LOOPBACK = Address("127.0.0.1", 0)
READY = {"database": True, "dicom": True, "hl7": True}


async def get(address: Address, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """Ask for *path*; return status, headers by lower-case name, body."""
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, body


@pytest.fixture
def parts() -> dict[str, bool]:
    """Return the parts' readiness; a test may change it."""
    return dict(READY)


@pytest.fixture
async def web(parts):
    """Return a running web server."""

    async def readiness():
        return parts

    server = WebServer(build(readiness), LOOPBACK)
    await server.start()
    yield server
    await server.stop()


async def test_a_living_process_says_so(web, parts):
    """/healthz is about the process alone: a missing database does not get it restarted."""
    parts["database"] = False

    status, headers, body = await get(web.address, "/healthz")

    assert (status, body) == (200, b"alive\n")
    assert headers["cache-control"] == "no-store"


async def test_a_broker_that_can_work_is_ready(web):
    """/readyz lists the parts it asked."""
    status, _, body = await get(web.address, "/readyz")

    assert (status, json.loads(body)) == (200, {"ready": True, "not_ready": [], "parts": READY})


async def test_what_is_not_ready_is_named(web, parts):
    """A load balancer turns away at 503; a person reads why."""
    parts.update(database=False, hl7=False)

    status, _, body = await get(web.address, "/readyz")

    assert status == 503
    assert json.loads(body)["not_ready"] == ["database", "hl7"]


async def test_what_else_there_is_to_tell_changes_nothing_about_readiness():
    """A synthetic order that fails takes no broker out of a balancer."""

    async def readiness():
        return READY

    server = WebServer(build(readiness, detail=lambda: {"synthetic": {"ok": False}}), LOOPBACK)
    await server.start()
    status, _, body = await get(server.address, "/readyz")
    await server.stop()

    assert status == 200
    assert json.loads(body) == {"ready": True, "not_ready": [], "parts": READY, "synthetic": {"ok": False}}


async def test_the_figures_are_shown_in_prometheus_format(web):
    """Every metric of the broker is on the page, labels included."""
    metrics.associations_total.labels("accepted").inc()

    status, headers, body = await get(web.address, "/metrics")

    assert status == 200
    assert headers["content-type"].startswith("text/plain")
    assert b'mwl_dicom_associations_total{outcome="accepted"}' in body


async def test_figures_that_must_be_looked_up_are_fresh():
    """What waits in the outbox is counted when it is asked for."""

    async def refresh():
        metrics.outbox_waiting.labels("RIS").set(7)

    server = WebServer(build(lambda: None, refresh), LOOPBACK)
    await server.start()
    _, _, body = await get(server.address, "/metrics")
    await server.stop()

    assert b'mwl_outbox_waiting{destination="RIS"} 7.0' in body


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("GET", "/metrics/..", 404), ("POST", "/readyz", 405), ("HEAD", "/healthz", 200)],
)
async def test_nothing_else_is_served(web, method, path, status):
    """Unknown pages and methods are refused."""
    assert (await get(web.address, path, method))[0] == status


async def test_the_answers_do_not_name_the_software(web):
    """A scanner learns nothing from the headers."""
    assert "server" not in (await get(web.address, "/healthz"))[1]


async def test_a_taken_port_is_a_clear_message(web):
    """The second server says which address it could not have."""
    with pytest.raises(
        Unavailable, match=f"cannot listen on 127.0.0.1:{web.address.port}: Address already in use"
    ):
        await WebServer(build(lambda: None), web.address).start()


async def test_an_address_of_another_host_is_a_clear_message():
    """So is an address this host does not have (192.0.2.0/24 belongs to nobody, RFC 5737)."""
    with pytest.raises(Unavailable, match=r"cannot listen on 192\.0\.2\.1:0"):
        await WebServer(build(lambda: None), Address("192.0.2.1", 0)).start()


async def test_it_stops_twice_and_before_it_starts(web):
    """Stopping is always legal, and ends the listening."""
    address = web.address
    assert web.accepting

    await web.stop()
    await web.stop()
    await WebServer(build(lambda: None), LOOPBACK).stop()

    assert not web.accepting
    with pytest.raises(ConnectionRefusedError):
        await get(address, "/healthz")


async def test_signals_stay_the_brokers():
    """uvicorn takes no signal: the broker drains all its parts, not the web alone."""
    owners = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    server = WebServer(build(lambda: None), LOOPBACK)

    await server.start()
    during = {each: signal.getsignal(each) for each in owners}
    await server.stop()

    assert during == owners
