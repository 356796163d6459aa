"""A worklist client on a raw socket, so that the client costs little: bytes are made once and replayed.

It speaks just enough of PS3.8 to associate, send one C-FIND, count the pending responses, and release.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from pydicom.dataset import Dataset
from pynetdicom.dimse_messages import C_FIND_RQ, DIMSEMessage
from pynetdicom.dimse_primitives import C_FIND
from pynetdicom.dsutils import encode
from pynetdicom.pdu import A_ASSOCIATE_RQ, A_RELEASE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import build_context

WORKLIST = "1.2.840.10008.5.1.4.31"
IMPLICIT_LE = "1.2.840.10008.1.2"


@dataclass(frozen=True)
class Script:
    """The bytes of one association: A-ASSOCIATE-RQ, C-FIND-RQ, A-RELEASE-RQ."""

    associate: bytes
    find: bytes
    release: bytes


@dataclass(frozen=True)
class Recorded:
    """What a server answered to a `Script`, to the byte."""

    accept: bytes
    responses: bytes
    released: bytes
    pdus: int  # P-DATA-TF PDUs of the request


def script(calling: str, called: str, keys: Dataset) -> Script:
    """Make the bytes of an association that asks for *keys*."""
    request = C_FIND()
    request.MessageID, request.AffectedSOPClassUID, request.Priority = 1, WORKLIST, 2
    request.Identifier = encoded(keys)
    find = message(C_FIND_RQ(), request)
    return Script(associate(calling, called, WORKLIST), find, A_RELEASE_RQ().encode())


def associate(calling: str, called: str, sop_class: str) -> bytes:
    """Make an A-ASSOCIATE-RQ for one presentation context, number 1, in implicit VR."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = calling, called
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = 65536
    implementation.implementation_class_uid = "1.2.3.4"
    primitive.user_information = [length, implementation]
    context = build_context(sop_class, IMPLICIT_LE)
    context.context_id = 1
    primitive.presentation_context_definition_list = [context]
    request = A_ASSOCIATE_RQ()
    request.from_primitive(primitive)
    return request.encode()


def encoded(attributes: Dataset) -> BytesIO:
    """Return a data set as pynetdicom's primitives want it."""
    return BytesIO(encode(attributes, True, True) or b"")


def message(kind: DIMSEMessage, primitive: object) -> bytes:
    """Make the P-DATA-TF PDUs of a request on presentation context 1."""
    kind.primitive_to_message(primitive)  # type: ignore[arg-type]  # its type names no base
    values = [value for pdata in kind.encode_msg(1, 65536) for value in pdata.presentation_data_value_list]
    return b"".join(_p_data(context_id, value) for context_id, value in values)


def _p_data(context_id: int, value: bytes) -> bytes:
    return struct.pack(">BBIIB", 4, 0, len(value) + 5, len(value) + 1, context_id) + value


def whole_association(address: tuple[str, int], said: Script) -> int:
    """Connect, associate, query, release; return the number of pending responses."""
    with socket.create_connection(address, timeout=30) as connection:
        stream = opened(connection, said)
        found = query(connection, stream, said)
        connection.sendall(said.release)
        if pdu(stream)[0] != 6:
            raise RuntimeError("the release was not confirmed")
        return found


def opened(connection: socket.socket, said: Script) -> BinaryIO:
    """Associate on a new connection; return the stream of what the server says."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream = connection.makefile("rb", buffering=1 << 16)
    connection.sendall(said.associate)
    if pdu(stream)[0] != 2:
        raise RuntimeError("the association was refused")
    return stream


def query(connection: socket.socket, stream: BinaryIO, said: Script) -> int:
    """Send the query on an open association; return the number of pending responses."""
    connection.sendall(said.find)
    pendings = 0
    while True:
        kind, body = pdu(stream)
        if kind != 4:
            raise RuntimeError(f"unexpected PDU {kind}")
        for status in statuses(body):
            if status not in (0xFF00, 0xFF01):
                if status != 0:
                    raise RuntimeError(f"the query failed with {status:04X}")
                return pendings
            pendings += 1


def pdu(stream: BinaryIO) -> tuple[int, bytes]:
    """Read a PDU; return its type and its body."""
    header = stream.read(6)
    if len(header) < 6:
        raise RuntimeError("the connection was closed")
    kind, length = header[0], struct.unpack(">I", header[2:])[0]
    return kind, stream.read(length)


def statuses(body: bytes) -> list[int]:
    """Return the status of each command set in a P-DATA-TF; data fragments are passed over."""
    found, position = [], 0
    while position < len(body):
        length = struct.unpack_from(">I", body, position)[0]
        if body[position + 5] & 1:
            at = body.index(b"\x00\x00\x00\x09\x02\x00\x00\x00", position)
            found.append(struct.unpack_from("<H", body, at + 8)[0])
        position += 4 + length
    return found


def record(address: tuple[str, int], said: Script) -> Recorded:
    """Run one association and return the answers' bytes."""
    with socket.create_connection(address, timeout=30) as connection:
        stream = connection.makefile("rb")
        connection.sendall(said.associate)
        accept = _octets(*pdu(stream))
        connection.sendall(said.find)
        responses = b""
        while True:
            kind, body = pdu(stream)
            responses += _octets(kind, body)
            if 0 in statuses(body):
                break
        connection.sendall(said.release)
        return Recorded(accept, responses, _octets(*pdu(stream)), _count_pdus(said.find))


def _octets(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBI", kind, 0, len(body)) + body


def _count_pdus(data: bytes) -> int:
    count = position = 0
    while position < len(data):
        position += 6 + int.from_bytes(data[position + 2 : position + 6])
        count += 1
    return count
