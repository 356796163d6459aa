"""The sending side of MLLP: one message, its answer, on a connection that is kept (D-01).

Receivers close a connection they have not heard of for a while, and some send more than one answer.
So a kept connection is looked at before it is used again: one that was closed is replaced, and what
has arrived that nobody asked for is thrown away.
"""

from __future__ import annotations

import asyncio
import ssl
from types import TracebackType
from typing import Self

from mwl.errors import ProtocolViolation, Unavailable
from mwl.hl7.mllp import Deframer, Event, Frame, Oversize, frame

_CHUNK = 65536  # octets
_ANSWER_LIMIT = 1 << 20  # octets; an acknowledgement above 1 MiB is a mistake
_CLOSING = 0.25  # seconds the CR after FS may take: it comes in the same segment, or never (D-02)
_GOODBYE = 2.0  # seconds a peer may take to agree to the end of a connection


class Connection:
    """A connection to a receiver of HL7 messages, for one request at a time.

    It is opened by the first request, and again when the receiver has closed it or a request has failed.
    """

    def __init__(
        self, host: str, port: int, *, timeout: float = 30.0, tls: ssl.SSLContext | None = None
    ) -> None:
        """*timeout* (seconds) bounds the connecting, and the wait for each answer."""
        self._host, self._port, self._timeout, self._tls = host, port, timeout, tls
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def request(self, payload: bytes) -> bytes:
        """Send *payload* in a frame and return the payload of the answer.

        Raises `Unavailable` where there is no connection or no answer in time.  After that the
        connection is closed: a late answer can never be taken for that of the next message.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await self._exchange(payload)
        except TimeoutError:
            self.abort()
            raise Unavailable(f"{self._host}:{self._port} did not answer in {self._timeout:g} s") from None
        except (OSError, UnicodeError, ProtocolViolation) as error:  # UnicodeError: of a host's name
            self.abort()
            raise Unavailable(f"{self._host}:{self._port}: {error}") from None
        except BaseException:
            self.abort()
            raise

    async def _exchange(self, payload: bytes) -> bytes:
        reader, writer = await self._opened()
        writer.write(frame(payload))
        await writer.drain()
        deframer = Deframer(_ANSWER_LIMIT)
        while chunk := await _read(reader, deframer):
            if (answer := _answer(deframer.feed(chunk))) is not None:
                return answer
        # Some receivers leave out the CR after FS, or close the connection instead.
        if (answer := _answer(deframer.flush())) is not None:
            return answer
        raise ProtocolViolation("the connection was closed before the answer")

    async def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return the kept connection, emptied, where it is still good; else a new one."""
        if self._streams is not None and not await _is_good(self._streams[0]):
            await self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
        return self._streams

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


def _answer(found: list[Event]) -> bytes | None:
    for each in found:
        if isinstance(each, Frame):
            return each.payload
        if isinstance(each, Oversize):
            raise ProtocolViolation("the answer is too long")
    return None


async def _is_good(reader: asyncio.StreamReader) -> bool:
    """Read away what has arrived unasked, without waiting for more; tell whether more could come."""
    while not reader.at_eof():
        try:
            async with asyncio.timeout(0):
                await reader.read(_CHUNK)
        except TimeoutError:
            return True
        except OSError:  # reset by the peer
            return False
    return False


async def send(host: str, port: int, payload: bytes, *, timeout: float = 30.0) -> bytes:
    """Send one message on a connection of its own and return the answer's payload."""
    async with Connection(host, port, timeout=timeout) as connection:
        return await connection.request(payload)
