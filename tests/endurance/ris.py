"""A RIS that is told of status: it notes whatever comes, and answers AA."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import hl7

BEGIN, END = b"\x0b", b"\x1c\r"


@dataclass(frozen=True)
class Receipt:
    """One message, as it came in."""

    connection: int
    control_id: str
    order: str  # ORC-3.1
    status: str  # ORC-5
    raw: bytes


class Ris:
    """Listens from its making to `close`."""

    def __init__(self, heard: Callable[[], None] = lambda: None) -> None:
        """*heard* is called with each message, before it is answered."""
        self.receipts: list[Receipt] = []
        self._heard, self._connections = heard, 0
        self._changed = threading.Condition()
        self._server = _Server(("127.0.0.1", 0), _Conversation)
        self._server.ris = self
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()

    def until(self, settled: Callable[[], bool], within: float) -> bool:
        """Look, now and then, until all is *settled* that it was to be told; tell whether it was, in seconds."""
        end = time.monotonic() + within
        while not settled():
            if time.monotonic() > end:
                return False
            with self._changed:  # what a broker notes of an answer cannot be waited for
                self._changed.wait(0.1)
        return True

    def connected(self) -> int:
        """Return the number of a new connection."""
        with self._changed:
            self._connections += 1
            return self._connections

    def take(self, connection: int, raw: bytes) -> bytes:
        """Note a message and return the answer."""
        message = hl7.parse(raw.decode("utf-8"))
        order = message.segment("ORC")
        receipt = Receipt(
            connection, str(message.segment("MSH")[10]), str(order[3][0][0]), str(order[5]), raw
        )
        with self._changed:
            self.receipts.append(receipt)
            self._changed.notify_all()
        self._heard()
        return str(message.create_ack("AA")).encode("utf-8")


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    ris: Ris


class _Conversation(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Server)
        ris, connection, waiting = self.server.ris, self.server.ris.connected(), b""
        try:
            while chunk := self._receive():
                *whole, waiting = (waiting + chunk).split(END)
                for block in whole:
                    self.request.sendall(BEGIN + ris.take(connection, block.lstrip(BEGIN)) + END)
        except OSError:  # the broker was killed
            return

    def _receive(self) -> bytes:
        sock: socket.socket = self.request
        return sock.recv(65536)
