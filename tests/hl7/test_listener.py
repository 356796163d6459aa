"""The MLLP listener: with python-hl7 as the system that sends, and with bare sockets for what it cannot do."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

import hl7
import pytest
from hl7.client import MLLPClient
from prometheus_client import REGISTRY

from mwl.config import model
from mwl.handshake import Handshake
from mwl.hl7.intake import Intake
from mwl.hl7.limits import SETTINGS, Limit
from mwl.hl7.listener import Limits, Listener
from mwl.hl7.mllp import Deframer, Frame, frame
from mwl.query import WorklistQuery
from mwl.store import Store, steps

Order = Callable[[str], bytes]
HOST = "127.0.0.1"


class Echo:
    """A receiver that answers every message with itself, when it is allowed to."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.arrived = asyncio.Event()
        self.larger: list[bytes] = []

    async def receive(self, raw: bytes, peer: str) -> bytes | None:
        self.arrived.set()
        await self.may_answer.wait()
        if raw == b"bug":
            raise RuntimeError("a defect")
        return b"" if raw == b"silent" else raw * 1_000_000 if raw == b"long" else raw

    def too_large(self, head: bytes, limit: int, peer: str) -> bytes | None:
        self.larger.append(head)
        return b"too large"


@contextlib.asynccontextmanager
async def listening(receiver: object, **options: object) -> AsyncIterator[Listener]:
    listener = Listener(receiver, HOST, 0, **options)
    await listener.start()
    try:
        yield listener
    finally:
        await listener.stop(1)


@pytest.fixture
async def broker(intake: Intake) -> AsyncIterator[Listener]:
    """A listener in front of a real intake and a real store."""
    async with listening(intake) as listener:
        yield listener


@pytest.fixture
async def echo() -> Echo:
    return Echo()


class Client:
    """A bare connection: writes what it is told, reads blocks."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.deframer = Deframer()
        self.waiting: list[bytes] = []

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def answer(self) -> bytes:
        """Return the next block's payload; fail where the connection ends first."""
        while not self.waiting:
            data = await self.reader.read(65536)
            assert data, "the connection was closed"
            self.waiting += [found.payload for found in self.deframer.feed(data) if isinstance(found, Frame)]
        return self.waiting.pop(0)

    async def closed(self) -> bool:
        """Wait for the end; tell whether nothing came before it."""
        try:
            return await self.reader.read() == b""
        except ConnectionError:
            return True


@contextlib.asynccontextmanager
async def connected(listener: Listener, **options: object) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection(*listener.address, **options)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def alone(listener: Listener) -> None:
    """Wait until no connection is open."""
    while listener._connections:
        await asyncio.wait(list(listener._connections))


def msa(payload: bytes) -> tuple[str, str]:
    """Return MSA-1 and MSA-2 as python-hl7 reads them."""
    segment = hl7.parse(payload.decode("latin-1")).segment("MSA")
    return str(segment[1]), str(segment[2])


async def by_python_hl7(listener: Listener, messages: Iterable[bytes]) -> list[tuple[str, str]]:
    """Send messages on one connection with python-hl7's client."""

    def converse() -> list[tuple[str, str]]:
        with MLLPClient(*listener.address) as client:
            return [msa(client.send_message(message).strip(b"\x0b\x1c\r")) for message in messages]

    return await asyncio.to_thread(converse)


async def step_count(store: Store) -> int:
    return await store.read(lambda tx: steps.count(tx, WorklistQuery()))


def with_header(raw: bytes, number: int, value: bytes) -> bytes:
    """Replace MSH-*number*."""
    line, rest = raw.split(b"\r", 1)
    fields = line.split(b"|")
    fields += [b""] * (number - len(fields))
    fields[number - 1] = value
    return b"|".join(fields) + b"\r" + rest


# ── with a foreign client ──


async def test_f_h20_one_connection_carries_many_messages(broker: Listener, store: Store, order: Order):
    """New, changed, cancelled: each is answered before the next is sent."""
    names = ("orm-2.3-without-zds", "orm-xo", "orm-2.3.1-mesa", "orm-ca")

    answered = await by_python_hl7(broker, [order(name) for name in names])

    assert answered == [("AA", "FIX1101"), ("AA", "FIX1101X"), ("AA", "FIX1102"), ("AA", "FIX1101C")]
    assert await step_count(store) == 2


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("orm-2.3.1-mesa", id="F-H01"),
        pytest.param("omi-2.5.1-two-steps", id="F-H03"),
        pytest.param("orm-utf8-chinese", id="F-H41"),
        pytest.param("orm-gb18030", id="F-H42"),
        pytest.param("orm-8859-5", id="F-H43"),
        pytest.param("orm-ks-x-1001", id="F-H45"),
        pytest.param("orm-iso-ir87", id="F-H46"),
        pytest.param("orm-big5", id="F-H47"),
        pytest.param("orm-unknown-segments", id="F-H56"),
        pytest.param("orm-two-orders", id="F-H57"),
    ],
)
async def test_what_systems_send_is_accepted(broker: Listener, order: Order, name: str):
    """Every fixture goes in over the wire."""
    ((code, _),) = await by_python_hl7(broker, [order(name)])

    assert code == "AA"


async def test_f_h27_python_hl7_reads_an_answer_with_unusual_delimiters(broker: Listener, order: Order):
    """The answer is a message in the sender's own delimiters."""

    def converse() -> str:
        with MLLPClient(*broker.address) as client:
            answer = client.send_message(order("orm-delimiters")).strip(b"\x0b\x1c\r").decode()
        return str(hl7.parse(answer).segment("MSA"))

    assert await asyncio.to_thread(converse) == "MSA$AA$FIX1107"


async def test_the_senders_command_line_tool_is_served(broker: Listener, store: Store, fixtures: Path):
    """python-hl7's mllp_send delivers a file."""
    host, port = broker.address
    path = str(fixtures / "hl7" / "orm-2.3-without-zds.hl7")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hl7.client", "--port", str(port), "--loose", "--file", path, host,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()

    assert (process.returncode, err) == (0, b"")
    assert b"MSA|AA|FIX1101" in out
    assert await step_count(store) == 1


# ── the vectors on bare sockets ──


@pytest.mark.parametrize(
    ("accept", "application", "answered"),
    [
        pytest.param(b"", b"", ["AA"], id="F-H20"),
        pytest.param(b"AL", b"NE", ["CA"], id="F-H21"),
        pytest.param(b"AL", b"AL", ["CA", "AA"], id="F-H22"),
        pytest.param(b"NE", b"NE", [], id="F-H23"),
        pytest.param(b"ER", b"NE", [], id="F-H24"),
    ],
)
async def test_acknowledgement_modes(
    broker: Listener, store: Store, order: Order, accept: bytes, application: bytes, answered: list[str]
):
    """Each answer is a block of its own; a plain message after it proves that no more came."""
    raw = with_header(with_header(order("orm-2.3-without-zds"), 15, accept), 16, application)
    async with connected(broker) as client:
        await client.send(frame(raw), frame(order("orm-2.3.1-mesa")))

        found = [msa(await client.answer()) for _ in range(len(answered) + 1)]

    assert found == [*((code, "FIX1101") for code in answered), ("AA", "FIX1102")]
    assert await step_count(store) == 2


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param(lambda raw: raw.replace(b"\r", b"\n"), "AA", id="F-H25 LF"),
        pytest.param(lambda raw: raw.replace(b"\r", b"\r\n"), "AA", id="F-H25 CRLF"),
        pytest.param(lambda raw: raw.rstrip(b"\r"), "AA", id="F-H26"),
        pytest.param(lambda raw: raw.replace(b"DOE", "Müller".encode()), "AA", id="F-H48"),
        pytest.param(lambda raw: with_header(raw, 18, b"CNS 11643-1992"), "AE", id="F-H49"),
        pytest.param(lambda raw: raw.replace(b"DOE", b"M\xfcller"), "AE", id="F-H50"),
        pytest.param(lambda raw: with_header(raw, 9, b"MDM^T02"), "AR", id="F-H18"),
        pytest.param(lambda raw: with_header(raw, 11, b"T"), "AR", id="F-H65"),
    ],
)
async def test_vectors_of_one_message(
    broker: Listener, store: Store, order: Order, change: Callable[[bytes], bytes], code: str
):
    """Accepted or refused, the sender gets its number back, and only the accepted makes a step."""
    async with connected(broker) as client:
        await client.send(frame(change(order("orm-2.3-without-zds"))))

        assert msa(await client.answer()) == (code, "FIX1101")
    assert await step_count(store) == (code == "AA")


async def test_f_h54_a_batch_of_three_is_answered_by_one_block(broker: Listener, store: Store, order: Order):
    """Its sender reads one block, and then sends the next."""
    three = [with_header(order("orm-2.3-without-zds"), 10, b"N%d" % n) for n in range(3)]
    batch = b"BHS|^~\\&|RIS|HOSP|MWL|HOSP|2026||||B1\r" + b"".join(three) + b"BTS|3\r"
    async with connected(broker) as client:
        await client.send(frame(batch), frame(order("orm-2.3.1-mesa")))
        answer, after = await client.answer(), await client.answer()

    assert [each.split(b"\r")[0] for each in answer.split(b"MSA|")[1:]] == [b"AA|N0", b"AA|N1", b"AA|N2"]
    assert msa(after) == ("AA", "FIX1102")
    assert await step_count(store) == 2


async def test_f_h55_an_acknowledgement_gets_no_reply(broker: Listener, order: Order):
    """The next message is the next to be answered."""
    acknowledgement = b"MSH|^~\\&|RIS|HOSP|MWL|HOSP|2026||ACK^O01|9|P|2.3\rMSA|AA|1\r"
    async with connected(broker) as client:
        await client.send(frame(acknowledgement), frame(order("orm-2.3-without-zds")))

        assert msa(await client.answer()) == ("AA", "FIX1101")


async def test_a_commit_acknowledgement_of_mllp_2_gets_no_reply(broker: Listener, order: Order):
    """ACK and NAK in a block are the peer's receipt for our answer (D-05)."""
    async with connected(broker) as client:
        await client.send(frame(b"\x06"), frame(b"\x15"), frame(order("orm-2.3-without-zds")))

        assert msa(await client.answer()) == ("AA", "FIX1101")


async def test_f_h51_messages_in_one_segment_are_answered_in_order(broker: Listener, order: Order):
    """Pipelining is tolerated, and nothing overtakes."""
    raw = order("orm-2.3-without-zds")
    numbered = [with_header(raw, 10, b"N%d" % n) for n in range(20)]
    async with connected(broker) as client:
        await client.send(b"".join(map(frame, numbered)))

        answers = [msa(await client.answer()) for _ in numbered]

    assert answers == [("AA", f"N{n}") for n in range(20)]


async def test_f_h51_a_message_in_segments_of_one_byte_is_answered_once(broker: Listener, order: Order):
    """However it arrives, it is one message."""
    raw = frame(order("orm-2.3-without-zds"))
    async with connected(broker) as client:
        client.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await client.send(*(raw[n : n + 1] for n in range(len(raw))))

        assert msa(await client.answer()) == ("AA", "FIX1101")


async def test_f_h52_garbage_and_half_messages_cost_nothing(broker: Listener, store: Store, order: Order):
    """What does not end is dropped without an answer; what follows is read."""
    async with connected(broker) as client:
        await client.send(b"garbage\r\n\x0bMSH|^~\\&|half", frame(order("orm-2.3-without-zds")))

        assert msa(await client.answer()) == ("AA", "FIX1101")
    assert await step_count(store) == 1


async def test_f_h53_a_message_above_the_limit_is_refused_and_the_next_one_taken(
    intake: Intake, order: Order
):
    """10 MiB are read and forgotten; sender and connection survive."""
    raw = order("orm-2.3-without-zds")
    async with listening(intake) as listener, connected(listener) as client:
        await client.send(frame(raw + b"ZBG|" + b"x" * (10 << 20)), frame(order("orm-2.3.1-mesa")))

        assert msa(await client.answer()) == ("AR", "FIX1101")
        assert msa(await client.answer()) == ("AA", "FIX1102")


async def test_f_h53_python_hl7_gets_its_refusal(intake: Intake, order: Order):
    """A client that blocks until all is sent reads the answer afterwards."""
    raw = order("orm-2.3-without-zds") + b"ZBG|" + b"x" * 200_000

    async with listening(intake, limits=Limits(frame=10_000)) as listener:
        assert await by_python_hl7(listener, [raw]) == [("AR", "FIX1101")]


async def test_a_missing_cr_after_the_last_block_is_not_waited_for(broker: Listener, order: Order):
    """A sender that ends with FS alone gets its answer (D-02)."""
    async with connected(broker) as client:
        await client.send(frame(order("orm-2.3-without-zds")).rstrip(b"\r"))
        first = await client.answer()
        await client.send(b"\r" + frame(order("orm-2.3.1-mesa")))

        assert msa(first) == ("AA", "FIX1101")
        assert msa(await client.answer()) == ("AA", "FIX1102")


async def test_a_block_without_cr_before_the_end_of_the_connection_is_taken(
    broker: Listener, store: Store, order: Order
):
    """FS and end of file end a block (D-02)."""
    async with connected(broker) as client:
        await client.send(frame(order("orm-2.3-without-zds")).rstrip(b"\r"))
        client.writer.write_eof()

        assert msa(await client.answer()) == ("AA", "FIX1101")
        assert await client.closed()


# ── time and number ──


async def test_silence_inside_a_message_ends_the_connection(echo: Echo):
    """What began must go on (D-03)."""
    async with listening(echo, limits=Limits(silence=0.05)) as listener, connected(listener) as client:
        await client.send(b"\x0bMSH|half")

        assert await client.closed()
        assert not echo.arrived.is_set()


async def test_a_connection_may_be_idle_between_messages(echo: Echo):
    """The limit inside a message is none outside of it: the second message comes much later than it."""
    limits = Limits(silence=0.05)
    async with (
        listening(echo, limits=limits) as listener,
        connected(listener) as idle,
        connected(listener) as stuck,
    ):
        await idle.send(frame(b"1"))
        await stuck.send(b"\x0bhalf")
        assert await idle.answer() == b"1"
        assert await stuck.closed()

        await idle.send(frame(b"2"))

        assert await idle.answer() == b"2"


async def test_an_idle_limit_ends_a_silent_connection(echo: Echo):
    """Where a site sets one."""
    async with listening(echo, limits=Limits(idle=0.05)) as listener, connected(listener) as client:
        await client.send(frame(b"1"))

        assert await client.answer() == b"1"
        assert await client.closed()


async def test_a_connection_above_the_limit_is_closed_and_a_place_is_given_again(echo: Echo):
    """The others are not disturbed."""
    async with listening(echo, limits=Limits(connections=1)) as listener:
        async with connected(listener) as one:
            await one.send(frame(b"1"))
            assert await one.answer() == b"1"
            async with connected(listener) as other:
                assert await other.closed()
            await one.send(frame(b"2"))
            assert await one.answer() == b"2"
        await alone(listener)
        async with connected(listener) as next_one:
            await next_one.send(frame(b"3"))
            assert await next_one.answer() == b"3"


async def test_a_peer_that_does_not_read_is_let_go(echo: Echo):
    """An answer nobody takes holds nothing for ever."""
    async with listening(echo, limits=Limits(silence=0.05)) as listener, connected(listener) as client:
        await client.send(*[frame(b"long")] * 10)
        await echo.arrived.wait()

        async with asyncio.timeout(60):
            await alone(listener)

        assert not client.writer.is_closing()


async def test_a_health_check_leaves_no_trace(echo: Echo, caplog):
    """Connect and close, without a byte or with an HTTP request, is no event (D-07)."""
    with caplog.at_level(logging.INFO):
        async with listening(echo) as listener:
            for probe in (b"", b"GET / HTTP/1.0\r\n\r\n"):
                async with connected(listener) as client:
                    await client.send(probe)
                await alone(listener)
            _, writer = await asyncio.open_connection(*listener.address)
            writer.transport.abort()
            await alone(listener)

    assert caplog.records == []


async def test_connections_are_kept_alive(echo: Echo):
    """A peer that vanished is noticed (D-03)."""
    async with listening(echo) as listener, connected(listener) as client:
        await client.send(frame(b"1"))
        await client.answer()
        (connection,) = listener._connections.values()

        sock = connection._writer.get_extra_info("socket")

        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


# ── starting and stopping ──


async def test_stopping_lets_the_message_under_way_be_answered(echo: Echo):
    """What has arrived is answered, then the connection is closed."""
    async with listening(echo) as listener, connected(listener) as client:
        echo.may_answer.clear()
        await client.send(frame(b"1") + frame(b"2") + b"\x0bhalf")
        await echo.arrived.wait()

        stopping = asyncio.create_task(listener.stop(30))
        await asyncio.wait([stopping], timeout=0)
        echo.may_answer.set()

        assert [await client.answer(), await client.answer()] == [b"1", b"2"]
        assert await client.closed()
        await stopping


async def test_stopping_closes_idle_connections_and_the_port(echo: Echo):
    """Nobody is waited for who has nothing under way."""
    async with listening(echo) as listener, connected(listener) as client:
        await client.send(frame(b"1"))
        await client.answer()

        await listener.stop(30)

        assert await client.closed()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*listener.address)


async def test_stopping_does_not_wait_for_ever(echo: Echo):
    """What is not done in time is cut off, unanswered."""
    async with listening(echo) as listener, connected(listener) as client:
        echo.may_answer.clear()
        await client.send(frame(b"1"))
        await echo.arrived.wait()

        await listener.stop(0.01)

        assert await client.closed()


async def test_stopping_twice_or_unstarted_is_fine(echo: Echo):
    """A service may be stopped whatever its state."""
    listener = Listener(echo, HOST, 0)
    await listener.stop()
    await listener.start()
    await listener.stop()
    await listener.stop()

    assert not listener._connections


async def test_a_listener_starts_again_on_its_port(echo: Echo):
    """The address it found is the address it keeps."""
    async with listening(echo) as listener:
        before = listener.address
        await listener.stop()
        await listener.start()

        async with connected(listener) as client:
            await client.send(frame(b"1"))
            assert (await client.answer(), listener.address) == (b"1", before)


async def test_a_port_in_use_is_an_error_at_start(echo: Echo):
    """Who cannot listen says so."""
    async with listening(echo) as listener:
        with pytest.raises(OSError):  # noqa: PT011 - the number differs between systems
            await Listener(echo, *listener.address).start()


async def test_a_defect_costs_one_connection(echo: Echo, caplog):
    """It is logged once; the listener goes on."""
    async with listening(echo) as listener:
        async with connected(listener) as client:
            await client.send(frame(b"bug"))
            assert await client.closed()
        async with connected(listener) as client:
            await client.send(frame(b"1"))
            assert await client.answer() == b"1"

    assert [record.message for record in caplog.records] == ["connection failed"]


# ── TLS ──


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate for loopback, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is needed to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    made, key = str(folder / "certificate.pem"), str(folder / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", key, "-out", made, "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return made, key


@pytest.fixture
def server_side(certificate: tuple[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    return context


@pytest.fixture
def client_side(certificate: tuple[str, str]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate[0])


async def test_messages_travel_under_tls_and_a_silent_client_holds_up_nobody(
    echo: Echo, server_side: ssl.SSLContext, client_side: ssl.SSLContext, caplog
):
    """Each connection has a handshake of its own; a plain client is turned away, and that is told once."""
    async with (
        listening(echo, tls=server_side) as listener,
        connected(listener),
        connected(listener) as plain,
    ):
        async with connected(listener, ssl=client_side) as client:
            await client.send(frame(b"1"))
            assert await client.answer() == b"1"

        await plain.send(frame(b"no TLS record begins like this"))

        assert await plain.closed()
    assert [record.message for record in caplog.records] == ["TLS handshake failed"]


async def test_a_handshake_counts_as_a_connection(
    echo: Echo, server_side: ssl.SSLContext, client_side: ssl.SSLContext
):
    """Peers that connect and say nothing cannot take more than the limit."""
    limits = Limits(connections=2)
    async with listening(echo, tls=server_side, limits=limits) as listener, shaking_hands(listener) as silent:
        async with connected(listener, ssl=client_side) as client:
            await client.send(frame(b"1"))
            assert await client.answer() == b"1"
            async with connected(listener) as third:
                assert await third.closed()
        silent.writer.close()
        await silent.writer.wait_closed()
        await handshakes_end(listener)
        await alone(listener)
        async with connected(listener, ssl=client_side) as one, connected(listener, ssl=client_side) as other:
            await one.send(frame(b"2"))
            await other.send(frame(b"3"))
            assert [await one.answer(), await other.answer()] == [b"2", b"3"]


@contextlib.asynccontextmanager
async def shaking_hands(listener: Listener) -> AsyncIterator[Client]:
    """A client whose handshake has begun on the listener's side, and goes no further."""
    begun, opened = asyncio.Event(), listener.arrived

    def noting(handshake: Handshake, peer: str) -> bool:
        begun.set()
        return opened(handshake, peer)

    listener.arrived = noting
    async with connected(listener) as client:
        await begun.wait()
        listener.arrived = opened
        yield client


async def handshakes_end(listener: Listener) -> None:
    while listener._handshakes:
        await asyncio.wait([each.task for each in listener._handshakes])


async def test_a_health_check_under_tls_leaves_no_trace(echo: Echo, server_side: ssl.SSLContext, caplog):
    """Connect and close without a byte, or a reset, is no event (D-07)."""
    with caplog.at_level(logging.INFO):
        async with listening(echo, tls=server_side) as listener:
            for end in ("close", "abort"):
                async with shaking_hands(listener) as probe:
                    if end == "abort":
                        probe.writer.transport.abort()
                await handshakes_end(listener)

    assert caplog.records == []


async def test_stopping_ends_handshakes_under_way(echo: Echo, server_side: ssl.SSLContext):
    """Nobody waits for a peer that says nothing."""
    async with listening(echo, tls=server_side) as listener, shaking_hands(listener) as silent:
        await listener.stop(30)

        assert await silent.closed()
        assert not listener._handshakes


async def test_a_client_must_show_a_certificate_where_one_is_asked_for(
    echo: Echo, certificate: tuple[str, str], server_side: ssl.SSLContext, client_side: ssl.SSLContext
):
    """Mutual TLS: without one the connection ends before a message is read (E-03)."""
    server_side.verify_mode = ssl.CERT_REQUIRED
    server_side.load_verify_locations(certificate[0])
    known = ssl.create_default_context(cafile=certificate[0])
    known.load_cert_chain(*certificate)
    async with listening(echo, tls=server_side) as listener:
        with contextlib.suppress(OSError):  # TLS 1.3 tells it late: with the first read
            async with connected(listener, ssl=client_side) as stranger:
                await stranger.send(frame(b"1"))
                assert await stranger.closed()
        assert not echo.arrived.is_set()
        async with connected(listener, ssl=known) as client:
            await client.send(frame(b"2"))
            assert await client.answer() == b"2"


# ── limits ──


@pytest.fixture
def struck(caplog) -> Callable[[Limit], dict[str, object]]:
    """Return the fields of the one event that names a limit, after a look at the figure: it must have moved."""
    caplog.set_level(logging.INFO, "mwl")
    before = {limit: counted(limit) for limit in Limit}

    def look(limit: Limit) -> dict[str, object]:
        assert counted(limit) > before[limit]
        (fields,) = [
            record.fields for record in caplog.records if getattr(record, "fields", {}).get("limit") == limit
        ]
        assert fields["setting"] == SETTINGS[limit]
        return fields

    return look


def counted(limit: Limit) -> float:
    return REGISTRY.get_sample_value("mwl_hl7_limits_total", {"limit": limit.value}) or 0.0


def test_every_setting_that_is_named_exists():
    """An operator can write what the log tells her to."""
    for setting in SETTINGS.values():
        section = model.Settings()
        for key in setting.split("."):
            assert key in type(section).model_fields, setting
            section = getattr(section, key)


@pytest.mark.parametrize(
    ("limits", "limit"),
    [(Limits(connections=1), Limit.CONNECTIONS), (Limits(per_address=1), Limit.PER_ADDRESS)],
)
async def test_one_connection_too_many_is_counted_and_told_once(echo: Echo, struck, limits, limit):
    """Closed: its sender keeps the message."""
    before = counted(limit)
    async with listening(echo, limits=limits) as listener, connected(listener) as kept:
        await kept.send(frame(b"1"))
        await kept.answer()
        for _ in range(3):
            async with connected(listener) as client:
                assert await client.closed()
        if limit is Limit.PER_ADDRESS:
            async with connected(listener, local_addr=("127.0.0.2", 0)) as other:
                await other.send(frame(b"2"))
                assert await other.answer() == b"2"

    assert counted(limit) - before == 3
    assert struck(limit)["times"] == 1


@pytest.mark.parametrize(
    ("limits", "limit", "begun"),
    [
        (Limits(idle=0.05), Limit.IDLE, b""),
        (Limits(silence=0.05), Limit.SILENCE, b"\x0bMSH|"),
        (Limits(message=0.05), Limit.MESSAGE, b"\x0bMSH|"),
    ],
)
async def test_a_sender_that_takes_too_long_is_counted_and_told(echo: Echo, struck, limits, limit, begun):
    """Between messages, and inside of one."""
    async with listening(echo, limits=limits) as listener, connected(listener) as client:
        await client.send(begun)
        assert await client.closed()

    struck(limit)


async def test_a_message_that_drips_ends_though_it_never_pauses(echo: Echo, struck):
    """A byte now and then is no silence; the whole has its own time."""
    limits = Limits(silence=30, message=0.2)
    async with listening(echo, limits=limits) as listener, connected(listener) as client:
        ended = asyncio.create_task(client.closed())
        await client.send(b"\x0b")
        while not ended.done():
            with contextlib.suppress(ConnectionError):
                await client.send(b"A")
            await asyncio.wait([ended], timeout=0.02)

    struck(Limit.MESSAGE)


async def test_a_message_too_long_is_counted_and_told(echo: Echo, struck):
    """It is answered, too."""
    async with listening(echo, limits=Limits(frame=10)) as listener, connected(listener) as client:
        await client.send(frame(bytes(11)))
        assert await client.answer() == b"too large"

    struck(Limit.FRAME)


async def test_a_sender_that_does_not_read_is_counted_and_told(echo: Echo, struck):
    """Its answer is given up."""
    async with (
        listening(echo, limits=Limits(silence=0.1)) as listener,
        connected(listener, limit=1) as client,
    ):
        for _ in range(20):
            await client.send(frame(b"long"))
        await alone(listener)

    struck(Limit.WRITE)


async def test_a_handshake_that_takes_too_long_is_counted_and_told(echo: Echo, server_side, struck):
    """A silent client of a TLS port."""
    limits = Limits(handshake=0.05)
    async with listening(echo, tls=server_side, limits=limits) as listener, connected(listener) as client:
        assert await client.closed()

    struck(Limit.HANDSHAKE)
