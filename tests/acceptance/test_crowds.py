"""One address that opens thousands of connections and drips: the others are served, and it is told of."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import resource
import socket
import struct
import subprocess
import urllib.request
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

CONNECTIONS = 2000
ATTACKER = "127.0.0.2"  # on Linux all of 127/8 is loopback
ORDER = (
    "MSH|^~\\&|RIS|HOSP|MWL|HOSP|20260701120000||ORM^O01|C1|P|2.3.1||||||UNICODE UTF-8\n"
    "PID|1||PID001^^^HOSP||DOE^JANE||19700101|F\n"
    "ORC|NW|PL1^RIS|FI1^RIS||||1^once^^20260705093000^^S|||||||||||CT1\n"
    "OBR|1|PL1^RIS|FI1^RIS|CT01^CT head^L||||||||||||||ACC1|RP1|SPS1||||CT|||1^once^^20260705093000^^S\n"
)
BEGINNINGS = {
    "dicom": struct.pack(">BxI", 1, 60_000) + bytes(100),  # an A-ASSOCIATE-RQ that will last for 17 hours
    "hl7": b"\x0bMSH|^~\\&|" + b"A" * 100,
    "web": b"GET /metrics HTTP/1.1\r\nX: " + b"a" * 100,
}


@pytest.fixture
def guarded(start_broker: Callable[..., Any]) -> Any:
    """A broker that lets one address have a few connections, and gives them little time."""
    listen = {"listen": "127.0.0.1:0"}
    return start_broker(
        dicom={"ae_title": "MWL", **listen, "limits": {"per_address": 50, "artim": 3}},
        hl7={**listen, "limits": {"per_address": 20, "message": 3}},
        web={**listen, "limits": {"per_address": 20, "request": 3}},
    )


def figure(broker: Any, name: str, limit: str) -> float:
    """Return how often a limit has struck, as /metrics tells it."""
    host, port = broker.addresses["web"]
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    found = [line for line in lines if line.startswith(f'{name}{{limit="{limit}"}} ')]
    return float(found[0].rsplit(" ", 1)[1]) if found else 0.0


class Dripping(asyncio.Protocol):
    """A connection of the attacker: says the beginning of something, one byte a second."""

    def __init__(self, beginning: bytes) -> None:
        self._rest = itertools.chain(beginning, itertools.repeat(0x41))
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._drip()

    def _drip(self) -> None:
        if not self.over.done():
            self._transport.write(bytes([next(self._rest)]))  # type: ignore[attr-defined]
            asyncio.get_running_loop().call_later(1.0, self._drip)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)


@contextlib.asynccontextmanager
async def attack(at: tuple[str, int], beginning: bytes) -> AsyncIterator[list[Dripping]]:
    """Open all connections from one address, and drip."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < CONNECTIONS + 500:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, CONNECTIONS + 500), hard))
    loop, opened = asyncio.get_running_loop(), []
    for _ in range(CONNECTIONS):
        sock = socket.socket()
        sock.setblocking(False)
        sock.bind((ATTACKER, 0))
        await loop.sock_connect(sock, at)
        opened.append(await loop.create_connection(lambda: Dripping(beginning), sock=sock))
    try:
        yield [protocol for _, protocol in opened]
    finally:
        for transport, _ in opened:
            transport.abort()


async def served(broker: Any, findscu: Any, mllp_send: Any, number: int) -> None:
    """Send an order and ask for it, as others do."""
    order = ORDER.replace("C1", f"C{number}").replace("ACC1", f"ACC{number}")
    assert f"MSA|AA|C{number}" in await asyncio.to_thread(mllp_send, broker, order)
    output = await asyncio.to_thread(findscu, broker, "CT1", "AccessionNumber")
    assert any(f"ACC{number}" in line for line in output)


@pytest.mark.parametrize(
    ("door", "share", "late"), [("dicom", 100, "artim"), ("hl7", 20, "message"), ("web", 20, "request")]
)
async def test_two_thousand_dripping_connections_from_one_address_are_few_and_short(
    guarded: Any, findscu: Any, mllp_send: Any, door: str, share: int, late: str
) -> None:
    """Its share stays until its time is up, the rest is closed; each is counted; the log names the settings."""
    name = f"mwl_{door}_limits_total"
    async with attack(guarded.addresses[door], BEGINNINGS[door]) as dripping:
        await served(guarded, findscu, mllp_send, 1)
        await asyncio.wait_for(asyncio.gather(*(each.over for each in dripping)), 120)
        await served(guarded, findscu, mllp_send, 2)
    refused = await asyncio.to_thread(figure, guarded, name, "per address")
    slow = await asyncio.to_thread(figure, guarded, name, late)
    told = [each for each in guarded.events if each.get("limit") == "per address"]

    # Whose time was up made room for another while connections were still being opened.
    assert refused + slow == CONNECTIONS
    assert refused > CONNECTIONS / 2
    assert slow >= share
    assert {each["setting"] for each in told} == {f"{door}.limits.per_address"}
    assert 1 <= len(told) <= 3  # once a minute
    settings = {each["setting"] for each in guarded.events if each.get("limit") == late}
    assert settings == {f"{door}.limits.{late}"}


def test_a_device_that_asks_too_much_is_refused_and_another_is_served(
    start_broker: Callable[..., Any], findscu: Any, foreign: Any
) -> None:
    """A700 in its own protocol, counted, and the log names the setting (everything, every second)."""
    limits = {"queries": 3}
    broker = start_broker(dicom={"ae_title": "MWL", "listen": "127.0.0.1:0", "limits": limits})
    host, port = broker.addresses["dicom"]
    command = [
        foreign("findscu"),
        "-v",
        "-W",
        "-aet",
        "CT1",
        "-aec",
        "MWL",
        "-k",
        "PatientName",
        host,
        str(port),
    ]
    done = [
        subprocess.run(command, capture_output=True, text=True, timeout=60, check=False) for _ in range(4)
    ]
    findscu(broker, "US1", "PatientName")
    told = broker.until("device asks too much")

    assert ["OutOfResources" in each.stdout + each.stderr for each in done] == [False] * 3 + [True]
    assert (told["device"], told["limit"], told["setting"]) == ("CT1", "queries", "dicom.limits.queries")
    assert figure(broker, "mwl_dicom_limits_total", "queries") == 1
