"""An order's sender and a device, on plain sockets.

Each keeps its connection as long as that lasts.  Whoever gets no answer cannot know what became of the request:
that is `Unanswered`, and the client repeats it, as a RIS and a modality do.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import hl7
from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode, encode

from foreign.dicom import device
from foreign.dicom.device import ACCEPT, IMPLICIT, REJECT, TIMEOUT, Message
from foreign.dicom.identifier import WORKLIST

END = b"\x1c\r"
MPPS = "1.2.840.10008.3.1.2.3.3"
LATER = (0xA700, 0xC001)
FAILURE = 0x0110
N_SET_RQ, N_CREATE_RQ = 0x0120, 0x0140

Address = tuple[str, int]


class Unanswered(Exception):
    """The connection ended before the answer, or could not be made."""


class Refused(Exception):
    """The answer was no success, or not what was promised; the text says what it was."""


class TryAgain(Refused):
    """The answer was that the broker cannot do it now."""


class Sender:
    """A RIS that sends orders."""

    def __init__(self, address: Callable[[], Address]) -> None:
        self._address = address
        self._socket: socket.socket | None = None
        self._opened = 0.0
        self.broken: list[float] = []
        """When connections were opened, or tried, that ended before the answer; by the monotonic clock."""

    def send(self, message: str) -> str:
        """Return MSA-1 of the answer; raise `Unanswered`, or `TryAgain` for AR with code 207."""
        answer = self._exchange(b"\x0b" + message.encode("utf-8") + END)
        if not answer.endswith(END):
            self.close()
            self.broken.append(self._opened)
            raise Unanswered
        parsed = hl7.parse(answer.strip(b"\x0b\x1c\r").decode("utf-8"))
        sent = message.split("|", 10)[9]
        code, about = str(parsed.segment("MSA")[1]), str(parsed.segment("MSA")[2])
        if about != sent:
            raise Refused(f"{sent} was answered by an answer to {about}")
        if code == "AR" and "207" in str(parsed.segment("ERR")):
            raise TryAgain("AR 207")
        return code

    def close(self) -> None:
        """Let the connection go."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _exchange(self, block: bytes) -> bytes:
        """Return what comes back, until the end of a block or of the connection."""
        answer = b""
        try:
            if self._socket is None:
                address = self._address()
                self._opened = time.monotonic()
                self._socket = socket.create_connection(address, timeout=TIMEOUT)
            self._socket.sendall(block)
            while not answer.endswith(END) and (chunk := self._socket.recv(65536)):
                answer += chunk
        except TimeoutError:
            raise
        except OSError:
            pass
        return answer


@dataclass(frozen=True)
class Status:
    """How a performed step's request was answered."""

    code: int
    error_id: int | None = None


class Device:
    """A modality: it asks for its worklist and reports what it performs."""

    def __init__(self, title: str, address: Callable[[], Address]) -> None:
        self._title, self._address = title, address
        self._connection: device.Device | None = None
        self._opened = 0.0
        self.broken: list[float] = []
        """When associations were opened, or tried, that ended before the answer; by the monotonic clock."""

    def find(self, keys: Dataset) -> list[Dataset]:
        """Return the items of a worklist; raise `TryAgain`, or `Refused`, where its status is no success."""

        def ask(to: device.Device) -> list[Message]:
            to.find(_encoded(keys))
            return to.answer()

        *pending, final = self._asked(ask)
        if final.status:
            kind = TryAgain if final.status in LATER else Refused
            raise kind(f"C-FIND {final.status:04X}")
        return [decode(BytesIO(each.data), True, True) for each in pending]

    def create(self, uid: str, attributes: Dataset) -> Status:
        """Return how an N-CREATE was answered; raise `TryAgain`."""
        return self._report({0x0002: MPPS, 0x1000: uid}, N_CREATE_RQ, attributes)

    def set(self, uid: str, attributes: Dataset) -> Status:
        """Return how an N-SET was answered; raise `TryAgain`."""
        return self._report({0x0003: MPPS, 0x1001: uid}, N_SET_RQ, attributes)

    def close(self) -> None:
        """Release the association."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.release()
            except OSError:
                pass
            finally:
                connection.close()

    def _report(self, about: dict[int, str], kind: int, attributes: Dataset) -> Status:
        elements = {number: _even(text) for number, text in about.items()}
        elements |= {0x0100: _us(kind), 0x0110: _us(1), 0x0800: _us(1)}
        data = _encoded(attributes)

        def ask(to: device.Device) -> list[Message]:
            to.command(elements, context=3)
            to.send(struct.pack(">BxIIBB", device.DATA, len(data) + 6, len(data) + 2, 3, 2) + data)
            return to.answer()

        (answer,) = self._asked(ask)
        error_id = answer.command.get(0x0903)
        # Beside an Error ID it is about the performed step, and will be the same tomorrow.
        if answer.status == FAILURE and error_id is None:
            raise TryAgain("MPPS 0110")
        return Status(answer.status, error_id and int.from_bytes(error_id, "little"))

    def _asked(self, ask: Callable[[device.Device], list[Message]]) -> list[Message]:
        try:
            return ask(self._associated())
        except TimeoutError:
            raise
        except (OSError, AssertionError):  # the latter: A-ABORT, or nothing more, where an answer was due
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()
            self.broken.append(self._opened)
            raise Unanswered from None

    def _associated(self) -> device.Device:
        if self._connection is None:
            address = self._address()
            self._opened = time.monotonic()
            self._connection = device.Device(address)
            contexts = ((WORKLIST, [IMPLICIT]), (MPPS, [IMPLICIT]))
            self._connection.send(device.associate_rq(*contexts, calling=self._title))
            kind, _ = self._connection.receive()
            if kind == REJECT:
                raise Refused("the association was rejected")
            assert kind == ACCEPT, kind
        return self._connection


def _us(number: int) -> bytes:
    return struct.pack("<H", number)


def _even(uid: str) -> bytes:
    return uid.encode() + b"\0" * (len(uid) % 2)


def _encoded(attributes: Dataset) -> bytes:
    octets = encode(attributes, True, True)
    assert octets is not None
    return octets
