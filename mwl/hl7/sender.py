"""The sending side of MLLP: one message, its answer, on a connection that is kept (D-01)."""

from __future__ import annotations

import asyncio
import ssl
from types import TracebackType
from typing import Self

from mwl.errors import ProtocolViolation, Unavailable
from mwl.hl7.mllp import Deframer, Frame, frame

_CHUNK = 65536  # octets
_ANSWER_LIMIT = 1 << 20  # octets; an acknowledgement above 1 MiB is a mistake


class Connection:
    """A connection to a receiver of HL7 messages; opened by the first request, and again after a failure."""

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
            await self.close()
            raise Unavailable(f"{self._host}:{self._port} did not answer in {self._timeout:g} s") from None
        except (OSError, ProtocolViolation) as error:
            await self.close()
            raise Unavailable(f"{self._host}:{self._port}: {error}") from None
        except BaseException:
            await self.close()
            raise

    async def _exchange(self, payload: bytes) -> bytes:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
        reader, writer = self._streams
        writer.write(frame(payload))
        await writer.drain()
        deframer = Deframer(_ANSWER_LIMIT)
        while chunk := await reader.read(_CHUNK):
            for found in deframer.feed(chunk):
                if isinstance(found, Frame):
                    return found.payload
        raise ProtocolViolation("the connection was closed before the answer")

    async def close(self) -> None:
        """Close the connection; doing so twice is fine."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
            try:
                await streams[1].wait_closed()
            except OSError:  # the peer was faster
                return


async def send(host: str, port: int, payload: bytes, *, timeout: float = 30.0) -> bytes:
    """Send one message on a connection of its own and return the answer's payload."""
    async with Connection(host, port, timeout=timeout) as connection:
        return await connection.request(payload)
