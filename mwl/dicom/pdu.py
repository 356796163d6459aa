"""The octets of PS3.8 9.3 that are simple or hot: headers, P-DATA-TF, release, rejection and abort.

A-ASSOCIATE-RQ and -AC have a codec of their own (`negotiation`).
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from mwl.dicom.service import Rejection
from mwl.errors import ProtocolViolation


class PduType(IntEnum):
    """The seven PDUs (PS3.8 9.3.1)."""

    ASSOCIATE_RQ = 0x01
    ASSOCIATE_AC = 0x02
    ASSOCIATE_RJ = 0x03
    DATA = 0x04
    RELEASE_RQ = 0x05
    RELEASE_RP = 0x06
    ABORT = 0x07


class AbortReason(IntEnum):
    """Reason of an A-ABORT whose source is the service provider (PS3.8 Table 9-26)."""

    NOT_SPECIFIED = 0
    UNRECOGNISED_PDU = 1
    UNEXPECTED_PDU = 2
    UNRECOGNISED_PARAMETER = 4
    UNEXPECTED_PARAMETER = 5
    INVALID_PARAMETER_VALUE = 6


KIBIBYTE, MEBIBYTE = 2**10, 2**20  # bytes

SERVICE_USER, SERVICE_PROVIDER = 0, 2  # source of an A-ABORT

HEADER = Struct(">BxI")  # type, length of what follows
PDV_OVERHEAD = 6  # bytes of a PDU's length that are not fragment: PDV length, context, control header
SMALLEST_PDU = 8  # bytes: one PDV with a fragment of two

COMMAND_FRAGMENT, LAST_FRAGMENT = 0x01, 0x02  # message control header (PS3.8 E.2)

_FOUR = Struct(">BxIxBBB")  # RJ: result, source, reason; ABORT: reserved, source, reason
_DATA = Struct(">BxIIBB")  # type, length, PDV length, context, control header

RELEASE_RP = HEADER.pack(PduType.RELEASE_RP, 4) + bytes(4)


class Malformed(ProtocolViolation):
    """Octets that PS3.8 or PS3.7 does not allow; the association cannot go on."""


class TooLong(Malformed):
    """A command set beyond its limit."""


class PDV(NamedTuple):
    """One presentation data value as it arrived."""

    context_id: int
    control: int
    fragment: bytes


def rejection(reasons: Rejection) -> bytes:
    """Return an A-ASSOCIATE-RJ."""
    return _FOUR.pack(PduType.ASSOCIATE_RJ, 4, reasons.result, reasons.source, reasons.reason)


def abort(source: int, reason: int) -> bytes:
    """Return an A-ABORT; *reason* means something only when the provider is the source."""
    return _FOUR.pack(PduType.ABORT, 4, 0, source, reason)


def data_header(context_id: int, control: int, size: int) -> bytes:
    """Return what stands before a fragment of *size* bytes in a P-DATA-TF of its own."""
    return _DATA.pack(PduType.DATA, size + PDV_OVERHEAD, size + 2, context_id, control)


def pdvs(body: bytes) -> Iterator[PDV]:
    """Yield the PDVs in the *body* of a P-DATA-TF; raise `Malformed` where a length lies."""
    offset, end = 0, len(body)
    if not end:
        raise Malformed("a P-DATA-TF without a PDV")
    while offset < end:
        length = int.from_bytes(body[offset : offset + 4], "big")
        start, offset = offset + PDV_OVERHEAD, offset + 4 + length
        if length < 2 or offset > end:
            raise Malformed("the length of a PDV does not fit its PDU")
        yield PDV(body[start - 2], body[start - 1], body[start:offset])
