"""An association as a device has it: a socket, pynetdicom's PDU and message classes, and the device's clock.

pynetdicom's own association would mend what a device does wrong: it numbers every request, and takes
PDUs larger than it announced.  Here a request may lack its Message ID, what the peer sends is held to
what the device takes, and the time for an answer is the device's.  All is bounded: a PDU by the length
the device announced, a message by `MOST_BYTES`, a request by its time.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pynetdicom.dimse_messages import C_CANCEL_RQ, C_FIND_RQ, N_CREATE_RQ, N_SET_RQ, DIMSEMessage
from pynetdicom.dimse_primitives import C_CANCEL, C_FIND, N_CREATE, N_SET
from pynetdicom.pdu import (
    A_ABORT_RQ,
    A_ASSOCIATE_AC,
    A_ASSOCIATE_RJ,
    A_RELEASE_RQ,
    P_DATA_TF,
)
from pynetdicom.pdu_primitives import P_DATA

from mwl.dicom.emulators.association_request import association_request
from mwl.dicom.emulators.description import PERFORMED, WORKLIST, Device
from mwl.dicom.pdu import PduType
from mwl.errors import MwlError, Unavailable

CONNECT = 10.0  # seconds for the TCP connection
NEGOTIATE = 30.0  # seconds for the answer to an association request, and to a release
MOST_BYTES = 4 << 20  # octets of one response, as the broker takes
LARGEST_ANSWER = 64 << 10  # octets of a PDU that is no P-DATA-TF

_HEADER = struct.Struct(">BxI")
_NO_DATA_SET = 0x0101


class Broken(MwlError):
    """An association that came to nothing; the message is what the console has to say."""


@dataclass(frozen=True, slots=True)
class Response:
    """One response: status, comment, and the data set's bytes where it has one."""

    status: int
    comment: str
    data: bytes | None


@contextmanager
def associated(device: Device, at: tuple[str, int], calling: str, called: str) -> Iterator[Association]:
    """Hold an association as *device*; release it at the end, abort it on an error.

    Raises `Unavailable` where nobody listens, `Broken` for everything that goes wrong after that.
    """
    try:
        connection = socket.create_connection(at, CONNECT)
    except OSError as error:
        raise Unavailable(
            f"{called} at {at[0]}:{at[1]} cannot be reached: {error.strerror or error}"
        ) from None
    with connection:
        association = Association(connection, device, calling, called)
        try:
            yield association
        except BaseException:
            association.abort()
            raise
        association.release()


class Association:
    """An established association; made by `associated`."""

    def __init__(self, connection: socket.socket, device: Device, calling: str, called: str) -> None:
        self._socket = connection
        self._device = device
        self._values: list[tuple[int, bytes]] = []
        self._over = False
        self.within(NEGOTIATE)
        self._send(association_request(device, calling, called))
        kind, octets = self._receive()
        if kind == PduType.ASSOCIATE_RJ:
            self._over = True
            rejected = _decoded(A_ASSOCIATE_RJ(), octets)
            raise Broken(f"association rejected: {rejected.reason_str[0].lower()}{rejected.reason_str[1:]}")
        if kind != PduType.ASSOCIATE_AC:
            raise Broken("the association request was not answered")
        accepted = _decoded(A_ASSOCIATE_AC(), octets).to_primitive()
        self._room = accepted.maximum_length_received
        self.contexts = {
            each.context_id: str(each.transfer_syntax[0])
            for each in accepted.presentation_context_definition_results_list
            if each.result == 0
        }
        """Transfer syntax of each context that was accepted, by its ID."""

    def context(self, sop_class: str) -> tuple[int, str]:
        """Return ID and transfer syntax of the accepted context for *sop_class*; raise `Broken`."""
        for number, (proposed, _) in enumerate(self._device.proposes):
            if proposed == sop_class and 2 * number + 1 in self.contexts:
                return 2 * number + 1, self.contexts[2 * number + 1]
        raise Broken(f"no presentation context for {sop_class} was accepted")

    def within(self, seconds: float) -> None:
        """Give what follows *seconds*; when they are over, the association is aborted."""
        self._given, self._deadline = seconds, time.monotonic() + seconds

    def find(self, context_id: int, identifier: bytes) -> None:
        """Send a C-FIND request, numbered as the device numbers them."""
        request = C_FIND()
        request.AffectedSOPClassUID, request.Priority = WORKLIST, 0
        request.MessageID, request.Identifier = self._device.message_id, BytesIO(identifier)
        self._say(context_id, C_FIND_RQ(), request)

    def cancel(self, context_id: int) -> None:
        """Send a C-CANCEL request for the query under way."""
        request = C_CANCEL()
        request.MessageIDBeingRespondedTo = self._device.message_id
        self._say(context_id, C_CANCEL_RQ(), request)

    def create(self, context_id: int, uid: str, attributes: bytes) -> None:
        """Send an N-CREATE request for a performed step; "" as *uid* leaves it to the peer."""
        request = N_CREATE()
        request.MessageID, request.AffectedSOPClassUID = self._device.message_id, PERFORMED
        request.AffectedSOPInstanceUID = uid or None
        request.AttributeList = BytesIO(attributes)
        self._say(context_id, N_CREATE_RQ(), request)

    def set(self, context_id: int, uid: str, modifications: bytes) -> None:
        """Send an N-SET request for a performed step."""
        request = N_SET()
        request.MessageID, request.RequestedSOPClassUID = self._device.message_id, PERFORMED
        request.RequestedSOPInstanceUID = uid
        request.ModificationList = BytesIO(modifications)
        self._say(context_id, N_SET_RQ(), request)

    def response(self) -> Response:
        """Return the next response; raise `Broken` when none comes in time, or something else does."""
        message, size = DIMSEMessage(), 0
        while True:
            fragment = P_DATA()
            fragment.presentation_data_value_list.append(self._value())
            size += len(fragment.presentation_data_value_list[0][1])
            if size > MOST_BYTES:
                raise Broken(f"a response has more than {MOST_BYTES} bytes")
            if _joined(message, fragment):
                return _response(message)

    def _value(self) -> tuple[int, bytes]:
        """Return the next presentation data value, of which a PDU may hold several (PS3.8 E.1)."""
        while not self._values:
            kind, octets = self._receive()
            if kind != PduType.DATA:
                raise Broken(_ended(kind, octets))
            self._values += _decoded(P_DATA_TF(), octets).to_primitive().presentation_data_value_list
        context_id, value = self._values.pop(0)
        return context_id, value

    def release(self) -> None:
        """Release the association; a peer that does not confirm is let go."""
        if self._over:
            return
        self._over = True
        self.within(NEGOTIATE)
        try:
            self._send(A_RELEASE_RQ().encode())
            self._receive()
        except (Broken, OSError):
            return

    def abort(self) -> None:
        """Abort the association."""
        if self._over:
            return
        self._over = True
        request = A_ABORT_RQ()
        request.source, request.reason_diagnostic = 0, 0
        try:
            self._socket.sendall(request.encode())
        except OSError:
            return

    def _say(self, context_id: int, message: DIMSEMessage, request: Any) -> None:
        message.primitive_to_message(request)
        for fragment in message.encode_msg(context_id, self._room):
            pdu = P_DATA_TF()
            pdu.from_primitive(fragment)
            self._send(pdu.encode())

    def _send(self, octets: bytes) -> None:
        try:
            self._socket.settimeout(self._left())
            self._socket.sendall(octets)
        except TimeoutError:
            raise Broken(self._late()) from None
        except OSError:
            raise Broken("the connection was lost") from None

    def _receive(self) -> tuple[int, bytes]:
        """Return type and octets of the next PDU; (0, b"") when the peer has closed the connection."""
        head = self._read(_HEADER.size)
        if len(head) < _HEADER.size:
            return 0, b""
        kind, length = _HEADER.unpack(head)
        if kind not in tuple(PduType):
            raise Broken("what answers is no DICOM application")
        limit = self._device.max_pdu if kind == PduType.DATA else LARGEST_ANSWER
        if length > limit:  # PS3.8 D.1: the announced length is that of a P-DATA-TF without its header
            raise Broken(f"a PDU of {length} bytes came; the device takes {limit}")
        return kind, head + self._read(length)

    def _read(self, count: int) -> bytes:
        parts = b""
        try:
            while len(parts) < count:
                self._socket.settimeout(self._left())
                chunk = self._socket.recv(count - len(parts))
                if not chunk:
                    break
                parts += chunk
        except TimeoutError:
            raise Broken(self._late()) from None
        except OSError:
            return b""
        return parts

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _late(self) -> str:
        return f"no answer within {self._given:g} seconds"


def _decoded(pdu: Any, octets: bytes) -> Any:
    try:
        pdu.decode(octets)
    except Exception as error:  # pynetdicom has no kind of its own for this
        raise Broken(f"what came is no {type(pdu).__name__}") from error
    return pdu


def _joined(message: DIMSEMessage, fragment: P_DATA) -> bool:
    try:
        return message.decode_msg(fragment)
    except Exception as error:
        raise Broken("what came is no DIMSE message") from error


def _response(message: DIMSEMessage) -> Response:
    command = message.command_set
    if "Status" not in command:
        raise Broken("a request came where a response is due")
    data = message.data_set.getvalue() if message.data_set else b""
    held = command.get("CommandDataSetType") != _NO_DATA_SET
    return Response(int(command.Status), str(command.get("ErrorComment") or ""), data if held else None)


def _ended(kind: int, octets: bytes) -> str:
    if kind == PduType.ABORT:
        aborted = _decoded(A_ABORT_RQ(), octets)
        return f"association aborted by the peer ({aborted.source_str}: {aborted.reason_str})"
    if kind == PduType.RELEASE_RQ:
        return "the peer released the association before it answered"
    return "the peer closed the connection before it answered"
