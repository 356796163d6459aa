"""Replays a query from several clients at once, on raw sockets and in one thread, so that it costs little.

    python benchmarks/load.py HOST PORT SCRIPT.json CLIENTS SECONDS

A process of its own: each client connects, associates, asks and releases, and begins anew.  The first
answer is read to the letter; of the others the octets are counted, since nothing about them differs.
Prints how many associations were done a second.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from pathlib import Path

from raw_client import Recorded, Script, record

_MOST = 1 << 18  # octets at a time


class Client:
    """One device, which begins anew as soon as it is done."""

    def __init__(self, address: tuple[str, int], said: Script, expected: Recorded) -> None:
        self._address = address
        self._says = (said.associate, said.find, said.release)
        self._hears = tuple(map(len, (expected.accept, expected.responses, expected.released)))
        self._end = expected.responses[-12:]  # of the final response: its status
        self.done = 0

    def begin(self, selector: selectors.BaseSelector) -> None:
        """Connect and ask for an association."""
        self._socket = socket.create_connection(self._address, timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(self._socket, selectors.EVENT_READ, self)
        self._phase, self._heard = 0, 0
        self._socket.sendall(self._says[0])

    def read(self, selector: selectors.BaseSelector) -> bool:
        """Read what is there; tell whether the association is over."""
        octets = self._socket.recv(_MOST)
        self._heard += len(octets)
        if not octets or self._heard > self._hears[self._phase]:
            raise RuntimeError("the answer is not what it was at first")
        if self._heard < self._hears[self._phase]:
            return False
        if self._phase == 1 and not octets.endswith(self._end[-len(octets) :]):
            raise RuntimeError("the query failed")
        self._phase, self._heard = self._phase + 1, 0
        if self._phase < len(self._says):
            self._socket.sendall(self._says[self._phase])
            return False
        selector.unregister(self._socket)
        self._socket.close()
        self.done += 1
        return True


def replay(clients: list[Client], seconds: float) -> float:
    """Run *clients* for so long; return how many associations were done a second."""
    with selectors.DefaultSelector() as selector:
        began = time.perf_counter()
        for client in clients:
            client.begin(selector)
        while selector.get_map():
            for key, _ in selector.select(30):
                if key.data.read(selector) and time.perf_counter() - began < seconds:
                    key.data.begin(selector)
        return sum(client.done for client in clients) / (time.perf_counter() - began)


def main() -> None:
    host, port, path, clients, seconds = sys.argv[1:]
    address = (host, int(port))
    said = Script(**{k: bytes.fromhex(v) for k, v in json.loads(Path(path).read_text("utf-8")).items()})
    expected = record(address, said)
    print(replay([Client(address, said, expected) for _ in range(int(clients))], float(seconds)))


if __name__ == "__main__":
    main()
