"""A device on a plain socket, that says exactly what a test wants, well formed or not (PS3.8 9.3, PS3.7 9.3)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext

from foreign.dicom.identifier import WORKLIST

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
ACCEPT, REJECT, DATA, RELEASE_RQ, RELEASE_RP, ABORT = 2, 3, 4, 5, 6, 7
C_FIND_RQ, C_CANCEL_RQ = 0x0020, 0x0FFF
TIMEOUT = 30  # seconds; for a machine that is busy with other tests


def associate_rq(
    *contexts: tuple[str, Sequence[str]], calling: str = "WS", called: str = "MWL", max_pdu: int = 16384,
    extra: Sequence[Any] = (),
) -> bytes:  # fmt: skip
    """Return an A-ASSOCIATE-RQ by pynetdicom; the contexts get the IDs 1, 3, 5."""
    proposed = []
    for number, (abstract, transfer) in enumerate(contexts or ((WORKLIST, (IMPLICIT,)),)):
        context = PresentationContext()
        context.context_id, context.abstract_syntax = 2 * number + 1, abstract
        context.transfer_syntax = list(transfer)
        proposed.append(context)
    associate = A_ASSOCIATE()
    associate.calling_ae_title, associate.called_ae_title = "CALLING", "CALLED"
    associate.application_context_name = "1.2.840.10008.3.1.1.1"
    associate.presentation_context_definition_list = proposed
    associate.maximum_length_received = max_pdu
    associate.implementation_class_uid = "1.2.3.4"
    associate.user_information += extra
    octets = bytearray(A_ASSOCIATE_RQ(associate).encode())
    octets[10:26], octets[26:42] = (title.encode().ljust(16)[:16] for title in (called, calling))
    return bytes(octets)


@dataclass
class Message:
    """One DIMSE message: its command by element number of group 0000, and its data set."""

    command: dict[int, bytes]
    data: bytes
    lengths: list[int]
    """Bytes of each P-DATA-TF body it came in."""

    @property
    def status(self) -> int:
        """(0000,0900)."""
        return int.from_bytes(self.command[0x0900], "little")


class Device:
    """One connection."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=TIMEOUT)

    def send(self, octets: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(octets)

    def receive(self) -> tuple[int, bytes]:
        """Return type and body of the next PDU; (0, b"") when the other side has closed."""
        head = self._read(6)
        if len(head) < 6:
            return 0, b""
        kind, length = struct.unpack(">BxI", head)
        return kind, self._read(length)

    def _read(self, count: int) -> bytes:
        found = b""
        try:
            while len(found) < count and (chunk := self.socket.recv(count - len(found))):
                found += chunk
        except ConnectionResetError:
            return b""
        return found

    def associate(self, *contexts: tuple[str, Sequence[str]], **options: Any) -> A_ASSOCIATE_AC:
        """Associate; return the acceptance."""
        self.send(associate_rq(*contexts, **options))
        kind, body = self.receive()
        assert kind == ACCEPT, (kind, body)
        accepted = A_ASSOCIATE_AC()
        accepted.decode(struct.pack(">BxI", kind, len(body)) + body)
        return accepted

    def find(self, data: bytes | None, *, message_id: int | None = 1, context: int = 1) -> None:
        """Send a C-FIND request with the identifier *data*, in implicit VR as the default context has it."""
        elements: dict[int, bytes] = {
            0x0002: WORKLIST.encode() + b"\0" * (len(WORKLIST) % 2),
            0x0100: struct.pack("<H", C_FIND_RQ),
            0x0700: struct.pack("<H", 0),
            0x0800: struct.pack("<H", 0x0101 if data is None else 1),
        }
        if message_id is not None:
            elements[0x0110] = struct.pack("<H", message_id)
        self.command(elements, context=context)
        if data is not None:
            self.send(_p_data(context, 2, data))

    def cancel(self, message_id: int, *, context: int = 1) -> None:
        """Send a C-CANCEL request."""
        self.command({
            0x0100: struct.pack("<H", C_CANCEL_RQ),
            0x0120: struct.pack("<H", message_id),
            0x0800: struct.pack("<H", 0x0101),
        }, context=context)  # fmt: skip

    def command(self, elements: Mapping[int, bytes], *, context: int = 1) -> None:
        """Send a command set."""
        octets = b"".join(
            struct.pack("<HHI", 0, number, len(value)) + value for number, value in sorted(elements.items())
        )
        length = struct.pack("<HHII", 0, 0, 4, len(octets))
        self.send(_p_data(context, 3, length + octets))

    def message(self) -> Message:
        """Return the next DIMSE message."""
        command, data, lengths = b"", b"", []
        while True:
            kind, body = self.receive()
            assert kind == DATA, (kind, body)
            lengths.append(len(body))
            while body:
                length, _, control = struct.unpack_from(">IBB", body)
                fragment, body = body[6 : length + 4], body[length + 4 :]
                if control & 1:
                    command += fragment
                else:
                    data += fragment
                if control == 2 or (control == 3 and _elements(command)[0x0800] == b"\1\1"):
                    return Message(_elements(command), data, lengths)

    def answer(self) -> list[Message]:
        """Return the responses to a request, the final one last."""
        found = [self.message()]
        while found[-1].status in (0xFF00, 0xFF01):
            found.append(self.message())
        return found

    def abort(self) -> None:
        """Send A-ABORT."""
        self.send(struct.pack(">BxI4x", ABORT, 4))

    def release(self) -> int:
        """Send A-RELEASE-RQ; return the type of the answer."""
        self.send(struct.pack(">BxI4x", RELEASE_RQ, 4))
        return self.receive()[0]

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()


@contextmanager
def connected(address: tuple[str, int]) -> Iterator[Device]:
    """Hold a connection."""
    device = Device(address)
    try:
        yield device
    finally:
        device.close()


def implicit(**keys: bytes) -> bytes:
    """Return an identifier of elements ``x00100010=b"DOE*"`` in implicit VR little endian."""
    return b"".join(
        struct.pack("<HHI", int(tag[1:5], 16), int(tag[5:], 16), len(value)) + value
        for tag, value in sorted(keys.items())
    )


def _p_data(context: int, control: int, fragment: bytes) -> bytes:
    return struct.pack(">BxIIBB", DATA, len(fragment) + 6, len(fragment) + 2, context, control) + fragment


def _elements(octets: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while octets:
        number, length = struct.unpack_from("<2xHI", octets)
        found[number], octets = octets[8 : 8 + length], octets[8 + length :]
    return found
