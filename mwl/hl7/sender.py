"""The sending side of MLLP: one message, its answer, on a connection that is kept (D-01).

Receivers close a connection they have not heard of for a while, and some send more than one answer.
So a kept connection is looked at before it is used again: one that was closed is replaced, and what
has arrived that nobody asked for is set aside.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from mwl.errors import Unavailable
from mwl.hl7.mllp import Deframer, Event, Frame, Oversize, frame

_CHUNK = 65536  # octets
_ANSWER_LIMIT = 1 << 20  # octets; an acknowledgement above 1 MiB is a mistake
_CLOSING = 0.25  # seconds the CR after FS may take: it comes in the same segment, or never (D-02)
_GOODBYE = 2.0  # seconds a peer may take to agree to the end of a connection
_UNASKED = 100  # messages nobody asked for that are kept until somebody looks


class Nonsense(Unavailable):
    """The peer answered, and what it said is no answer; the field *said* is how that began."""


def _anything(_payload: bytes) -> bool:
    """Take whatever comes for the answer."""
    return True


class Connection:
    """A connection to a receiver of HL7 messages, for one request at a time.

    It is opened by the first request, and again when the receiver has closed it or a request has failed.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        timeout: float = 30.0,
        tls: ssl.SSLContext | None = None,
        name: str | None = None,
    ) -> None:
        """*timeout* (seconds) bounds the connecting with a message and the wait for its answer.

        *name* is what the receiver's certificate must hold, where that is not *host*.
        """
        self._host, self._port, self._timeout, self._tls, self._name = host, port, timeout, tls, name
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._deframer = Deframer(_ANSWER_LIMIT)
        self._unasked: deque[bytes] = deque(maxlen=_UNASKED)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def request(self, payload: bytes, is_answer: Callable[[bytes], bool] = _anything) -> bytes:
        """Send *payload* in a frame and return the payload of the answer: the first that *is_answer*.

        Raises `Unavailable` where there is no connection or no answer in time, `Nonsense` where what
        came is in no frame, or too long.  After that the connection is closed: a late answer can never
        be taken for that of the next message.
        """
        at = f"{self._host}:{self._port}"
        try:
            async with asyncio.timeout(self._timeout):
                return await self._exchange(payload, is_answer)
        except TimeoutError:
            outside = self._deframer.noise
            self.abort()
            if outside:
                raise Nonsense(f"{at} answered outside of any MLLP block") from None
            raise Unavailable(f"{at} did not answer in {self._timeout:g} s") from None
        except (OSError, UnicodeError) as error:  # UnicodeError: of a host's name
            self.abort()
            raise Unavailable(f"{at}: {error}") from None
        except BaseException:
            self.abort()
            raise

    async def _exchange(self, payload: bytes, is_answer: Callable[[bytes], bool]) -> bytes:
        reader, writer = await self._opened()
        self._deframer.noise = 0
        writer.write(frame(payload))
        await writer.drain()
        while True:
            chunk = await _read(reader, self._deframer)
            # Some receivers leave out the CR after FS, or close the connection instead.
            found = self._deframer.feed(chunk) if chunk else self._deframer.flush()
            if (answer := self._answer(found, is_answer)) is not None:
                return answer
            if reader.at_eof():
                kind = Nonsense if self._deframer.noise else Unavailable
                raise kind(f"{self._host}:{self._port}: the connection was closed before the answer")

    def _answer(self, found: Iterable[Event], is_answer: Callable[[bytes], bool]) -> bytes | None:
        """Return the answer among what was found; what is beside it is set aside."""
        answer = None
        for each in found:
            if isinstance(each, Oversize):
                raise Nonsense(f"{self._host}:{self._port}: the answer is too long", said=each.head)
            if isinstance(each, Frame):
                if answer is None and is_answer(each.payload):
                    answer = each.payload
                else:
                    self._unasked.append(each.payload)
        return answer

    async def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return the kept connection, where it is still good; else a new one."""
        if self._streams is not None and not await self._is_good(self._streams[0]):
            await self.close()
        if self._streams is None:
            name = self._name if self._tls else None
            self._streams = await asyncio.open_connection(
                self._host, self._port, ssl=self._tls, server_hostname=name
            )
            self._deframer = Deframer(_ANSWER_LIMIT)
        return self._streams

    async def look(self) -> None:
        """Take in what has come unasked, and close a connection that the peer has closed."""
        try:
            if self._streams is not None and not await self._is_good(self._streams[0]):
                await self.close()
        except Nonsense:
            self.abort()

    def unasked(self) -> list[bytes]:
        """Return what has come that nobody asked for, each once."""
        found = list(self._unasked)
        self._unasked.clear()
        return found

    async def _is_good(self, reader: asyncio.StreamReader) -> bool:
        """Read what has arrived unasked, without waiting for more; tell whether more could come."""
        while not reader.at_eof():
            try:
                async with asyncio.timeout(0):
                    chunk = await reader.read(_CHUNK)
            except TimeoutError:
                return True
            except OSError:  # reset by the peer
                return False
            self._answer(self._deframer.feed(chunk), lambda _: False)
        return False

    def abort(self) -> None:
        """Give the connection up at once: what the peer has not taken by now it will not take."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].transport.abort()

    async def close(self) -> None:
        """Close the connection; doing so twice is fine."""
        streams, self._streams = self._streams, None
        if streams is None:
            return
        streams[1].close()
        try:
            async with asyncio.timeout(_GOODBYE):
                await streams[1].wait_closed()
        except OSError:  # the peer was faster, or does not listen any more (TimeoutError is one)
            streams[1].transport.abort()


async def _read(reader: asyncio.StreamReader, deframer: Deframer) -> bytes:
    """Read on; return nothing at the end of the stream, or where only the CR after FS does not come."""
    if not deframer.closing:
        return await reader.read(_CHUNK)
    try:
        async with asyncio.timeout(_CLOSING):
            return await reader.read(_CHUNK)
    except TimeoutError:
        return b""


async def send(host: str, port: int, payload: bytes, *, timeout: float = 30.0) -> bytes:
    """Send one message on a connection of its own and return the answer's payload."""
    async with Connection(host, port, timeout=timeout) as connection:
        return await connection.request(payload)
