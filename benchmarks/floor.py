"""The floor: a bare asyncio acceptor that answers every query with the same bytes.

    python benchmarks/floor.py recorded.json

It knows where a PDU ends and nothing else; what it says was recorded from the broker, so that the same
octets cross the same loopback.  What an answer costs above this is what answering costs.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from raw_client import Recorded

_ASSOCIATE_RQ, _P_DATA, _RELEASE_RQ = 1, 4, 5


class Floor(asyncio.Protocol):
    """One association."""

    def __init__(self, said: Recorded) -> None:
        self._answers = {_ASSOCIATE_RQ: said.accept, _P_DATA: said.responses, _RELEASE_RQ: said.released}
        self._buffer = b""
        self._messages = said.pdus

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._seen = transport, 0

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 6:
            kind, end = self._buffer[0], 6 + int.from_bytes(self._buffer[2:6])
            if len(self._buffer) < end:
                return
            self._buffer = self._buffer[end:]
            if kind == _P_DATA:
                self._seen += 1
                if self._seen % self._messages:
                    continue
            self._transport.write(self._answers[kind])


def recorded() -> Recorded:
    said = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    return Recorded(**{k: bytes.fromhex(v) if isinstance(v, str) else v for k, v in said.items()})


async def main() -> None:
    said = recorded()
    server = await asyncio.get_running_loop().create_server(lambda: Floor(said), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
