"""One message, its answer, on a connection that is kept, whatever the receiver does to it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from mwl.errors import Unavailable
from mwl.hl7.mllp import Deframer, Frame, frame
from mwl.hl7.sender import Connection, Nonsense, send

Script = Callable[["Receiver", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Receiver:
    """A receiver that is played: *script* is run for each connection."""

    def __init__(self) -> None:
        self.connections = 0
        self.received: asyncio.Queue[bytes] = asyncio.Queue()
        self.ended: asyncio.Queue[int] = asyncio.Queue()  # connections whose sender has closed
        self.port = 0

    async def listen(self, script: Script) -> asyncio.Server:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            number = self.connections
            try:
                await script(self, reader, writer)
                while await reader.read(65536):
                    pass
            except OSError:
                pass
            self.ended.put_nowait(number)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def message(self, reader: asyncio.StreamReader) -> bytes:
        """Return the next message of a connection."""
        deframer = Deframer(1 << 20)
        while chunk := await reader.read(65536):
            for found in deframer.feed(chunk):
                if isinstance(found, Frame):
                    self.received.put_nowait(found.payload)
                    return found.payload
        raise ConnectionResetError


Play = Callable[[Script], Awaitable[Receiver]]


@pytest.fixture
async def play() -> AsyncIterator[Play]:
    """Start a receiver."""
    servers: list[asyncio.Server] = []

    async def start(script: Script) -> Receiver:
        receiver = Receiver()
        servers.append(await receiver.listen(script))
        return receiver

    yield start
    for server in servers:
        server.close()
        await server.wait_closed()


async def echo(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer every message with itself."""
    while True:
        writer.write(frame(b"to " + await receiver.message(reader)))


async def test_a_connection_is_kept(play: Play) -> None:
    """Several messages, each with its answer, over one connection, which is closed at the end."""
    receiver = await play(echo)

    async with Connection("127.0.0.1", receiver.port) as connection:
        answers = [await connection.request(payload) for payload in (b"one", b"two", b"three")]

    assert answers == [b"to one", b"to two", b"to three"]
    assert await asyncio.wait_for(receiver.ended.get(), 30) == 1
    assert receiver.connections == 1


async def test_one_message_has_a_connection_of_its_own(play: Play) -> None:
    """It is closed once the answer is there."""
    receiver = await play(echo)

    assert await send("127.0.0.1", receiver.port, b"one") == b"to one"

    assert await asyncio.wait_for(receiver.ended.get(), 30) == 1


async def test_nothing_is_opened_before_it_is_needed_and_closing_twice_is_fine() -> None:
    """A connection that was never used closes as well."""
    connection = Connection("127.0.0.1", 1)
    await connection.close()
    connection.abort()
    await connection.close()

    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1: "):
        await connection.request(b"x")


@pytest.mark.parametrize("host", ["nobody.invalid", "a..b", "x" * 300])
async def test_a_host_that_does_not_exist_is_not_available(host: str) -> None:
    """Whatever the resolver thinks of its name."""
    with pytest.raises(Unavailable):
        await send(host, 1, b"x")


async def test_a_late_answer_is_never_taken_for_the_next_message_s(play: Play) -> None:
    """After a time-out the connection is given up; the answer that comes then finds nobody."""
    timed_out = asyncio.Event()

    async def late(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if receiver.connections > 1:
            return await echo(receiver, reader, writer)
        payload = await receiver.message(reader)
        await timed_out.wait()
        writer.write(frame(b"late, to " + payload))
        return None

    receiver = await play(late)
    async with Connection("127.0.0.1", receiver.port, timeout=0.2) as connection:
        with pytest.raises(Unavailable, match=r"did not answer in 0\.2 s"):
            await connection.request(b"one")
        timed_out.set()
        await receiver.ended.get()

        assert await connection.request(b"two") == b"to two"

    assert receiver.connections == 2


async def test_a_second_answer_is_not_taken_for_the_next_message_s(play: Play) -> None:
    """Some receivers send CA and then AA: what came unasked is thrown away, cut anywhere."""
    both = frame(b"CA one") + frame(b"AA one")

    async def twice(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receiver.message(reader)
        writer.write(both)
        await receiver.message(reader)
        writer.write(frame(b"CA two"))

    receiver = await play(twice)
    async with Connection("127.0.0.1", receiver.port) as connection:
        answers = [await connection.request(b"one"), await connection.request(b"two")]

    assert answers == [b"CA one", b"CA two"]


async def test_a_second_answer_that_is_still_on_its_way_is_thrown_away_too(play: Play) -> None:
    """It lies in the connection's buffer when the next message is to be sent."""
    written = asyncio.Event()

    async def twice(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receiver.message(reader)
        writer.write(frame(b"CA one"))
        await receiver.ended.get()
        writer.write(frame(b"AA one"))
        await writer.drain()
        written.set()
        await receiver.message(reader)
        writer.write(frame(b"CA two"))

    receiver = await play(twice)
    async with Connection("127.0.0.1", receiver.port) as connection:
        first = await connection.request(b"one")
        receiver.ended.put_nowait(0)
        await written.wait()
        assert connection._streams is not None
        await connection._streams[0]._wait_for_data("test")

        assert (first, await connection.request(b"two")) == (b"CA one", b"CA two")


@pytest.mark.parametrize("how", ["closed", "reset"])
async def test_a_connection_the_receiver_has_closed_is_opened_again(play: Play, how: str) -> None:
    """Receivers hang up after a while of silence; that is no failure."""

    async def once(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(b"to " + await receiver.message(reader)))
        await writer.drain()
        if how == "reset":
            connection: socket.socket = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.transport.abort()
        else:
            writer.close()

    receiver = await play(once)
    async with Connection("127.0.0.1", receiver.port) as connection:
        first = await connection.request(b"one")
        assert connection._streams is not None
        with contextlib.suppress(OSError):
            assert await connection._streams[0].read() == b""  # the loop has heard of it

        assert (first, await connection.request(b"two")) == (b"to one", b"to two")

    assert receiver.connections == 2


async def test_a_receiver_that_closes_instead_of_answering_is_not_available(play: Play) -> None:
    """The next request opens a connection of its own."""

    async def shy(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        payload = await receiver.message(reader)
        if receiver.connections == 1:
            writer.close()
        else:
            writer.write(frame(b"to " + payload))

    receiver = await play(shy)
    async with Connection("127.0.0.1", receiver.port) as connection:
        with pytest.raises(Unavailable, match="closed before the answer"):
            await connection.request(b"one")

        assert await connection.request(b"two") == b"to two"


@pytest.mark.parametrize("ending", ["silence", "end"])
async def test_the_carriage_return_behind_an_answer_may_be_missing(play: Play, ending: str) -> None:
    """D-02: FS ends the answer when nothing follows it, or the connection ends."""

    async def short(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receiver.message(reader)
        writer.write(b"\x0bAA\x1c")
        if ending == "end":
            writer.close()

    receiver = await play(short)

    assert await send("127.0.0.1", receiver.port, b"one", timeout=20) == b"AA"


@pytest.mark.parametrize("cut", range(1, 8))
async def test_an_answer_may_come_in_pieces(play: Play, cut: int) -> None:
    """Wherever the network cuts it, with noise before it."""
    whole = b"\r\n" + frame(b"AA\x1cx")

    async def slow(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receiver.message(reader)
        writer.write(whole[:cut])
        await writer.drain()
        await receiver.ended.get()
        writer.write(whole[cut:])

    receiver = await play(slow)
    async with Connection("127.0.0.1", receiver.port) as connection:
        request = asyncio.create_task(connection.request(b"one"))
        await receiver.received.get()
        receiver.ended.put_nowait(0)

        assert await request == b"AA\x1cx"


async def test_an_answer_without_end_is_given_up(play: Play) -> None:
    """A megabyte is no acknowledgement; waiting for the time-out would only hold up others."""

    async def endless(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receiver.message(reader)
        writer.write(b"\x0b" + b"x" * (1 << 21))

    receiver = await play(endless)

    with pytest.raises(Unavailable, match="too long"):
        await send("127.0.0.1", receiver.port, b"one", timeout=60)


async def test_a_receiver_that_reads_nothing_does_not_hold_us(play: Play) -> None:
    """More than the buffers hold, and nobody takes it: the time-out ends it, closing included."""
    stuck = asyncio.Event()

    async def deaf(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stuck.wait()

    receiver = await play(deaf)
    async with Connection("127.0.0.1", receiver.port, timeout=0.2) as connection:
        with pytest.raises(Unavailable, match="did not answer"):
            await connection.request(b"x" * (64 << 20))
    stuck.set()

    assert await asyncio.wait_for(receiver.ended.get(), 30) == 1


async def test_a_cancelled_request_leaves_no_connection_behind(play: Play) -> None:
    """Its answer would be the next one's."""

    async def deaf(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receiver.message(reader)

    receiver = await play(deaf)
    connection = Connection("127.0.0.1", receiver.port)
    request = asyncio.create_task(connection.request(b"one"))
    await receiver.received.get()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request

    assert await asyncio.wait_for(receiver.ended.get(), 30) == 1


@pytest.mark.parametrize("then", ["silence", "end"])
async def test_an_answer_outside_of_any_block_is_nonsense(play: Play, then: str) -> None:
    """Somebody is there and does not speak MLLP: that is no outage."""

    async def telnet(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receiver.message(reader)
        writer.write(b"\r\nwho are you?\r\n")
        if then == "end":
            writer.close()

    receiver = await play(telnet)

    with pytest.raises(Nonsense):
        await send("127.0.0.1", receiver.port, b"one", timeout=0.3)


async def test_line_ends_are_no_answer(play: Play) -> None:
    """Some receivers keep a connection alive with them."""

    async def blank(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receiver.message(reader)
        writer.write(b"\r\n\r\n")

    receiver = await play(blank)

    with pytest.raises(Unavailable) as caught:
        await send("127.0.0.1", receiver.port, b"one", timeout=0.3)
    assert not isinstance(caught.value, Nonsense)


async def test_what_is_not_the_answer_is_kept_for_whoever_asks(play: Play) -> None:
    """Before the answer, behind it, and while nothing is under way; each once."""
    go_on = asyncio.Event()

    async def chatty(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receiver.message(reader)
        writer.write(frame(b"late") + frame(b"AA") + frame(b"more"))
        await go_on.wait()
        writer.write(frame(b"idle")[:3])
        await writer.drain()
        writer.write(frame(b"idle")[3:])

    receiver = await play(chatty)
    async with Connection("127.0.0.1", receiver.port) as connection:
        answer = await connection.request(b"one", lambda payload: payload == b"AA")
        beside = connection.unasked()
        go_on.set()
        found: list[bytes] = []
        async with asyncio.timeout(30):
            while not found:
                await asyncio.sleep(0)
                await connection.look()
                found = connection.unasked()

    assert (answer, beside, found) == (b"AA", [b"late", b"more"], [b"idle"])
    assert connection.unasked() == []


async def test_a_connection_the_receiver_has_closed_is_let_go(play: Play) -> None:
    """Nothing is to be sent for hours: the socket is not held until then."""

    async def once(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(b"to " + await receiver.message(reader)))
        writer.write_eof()

    receiver = await play(once)
    async with Connection("127.0.0.1", receiver.port) as connection:
        await connection.request(b"one")
        async with asyncio.timeout(30):
            while connection._streams is not None:
                await asyncio.sleep(0)
                await connection.look()

        assert await asyncio.wait_for(receiver.ended.get(), 30) == 1
