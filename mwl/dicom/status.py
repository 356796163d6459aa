"""DIMSE status codes by name, and the one table from the broker's errors to them.

Codes are those of PS3.4 Table K.4-1 (C-FIND) and PS3.7 Annex C (A.2, B.4).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mwl.dicom.service import C_FIND_RQ, ERROR_COMMENT, ERROR_ID, NotAuthorized, Value
from mwl.errors import MwlError, ProtocolViolation, Refusal, Refused, Unavailable

SUCCESS = 0x0000
OPTIONAL_NOT_SUPPORTED = 0x0001  # N-GET: a warning (PS3.4 F.8.2.1.4)

# C-FIND
PENDING = 0xFF00
PENDING_WARNING = 0xFF01  # a match, but a key of the request is not supported
CANCEL = 0xFE00
OUT_OF_RESOURCES = 0xA700
IDENTIFIER_DOES_NOT_MATCH = 0xA900
# "Unable to process" is the range Cxxx; one code a cause tells them apart in a device's log (A.2).
UNABLE_STORE = 0xC001
UNABLE_TO_DECODE = 0xC002
UNABLE_INTERNAL = 0xC003

# Any operation (PS3.7 Annex C)
NO_SUCH_ATTRIBUTE = 0x0105
INVALID_ATTRIBUTE_VALUE = 0x0106
ATTRIBUTE_LIST_ERROR = 0x0107
PROCESSING_FAILURE = 0x0110
DUPLICATE_SOP_INSTANCE = 0x0111
NO_SUCH_SOP_INSTANCE = 0x0112
ATTRIBUTE_VALUE_OUT_OF_RANGE = 0x0116
INVALID_SOP_INSTANCE = 0x0117
NO_SUCH_SOP_CLASS = 0x0118
CLASS_INSTANCE_CONFLICT = 0x0119
MISSING_ATTRIBUTE = 0x0120
MISSING_ATTRIBUTE_VALUE = 0x0121
SOP_CLASS_NOT_SUPPORTED = 0x0122
NOT_AUTHORIZED = 0x0124
DUPLICATE_INVOCATION = 0x0210
UNRECOGNIZED_OPERATION = 0x0211
MISTYPED_ARGUMENT = 0x0212
RESOURCE_LIMITATION = 0x0213

NO_LONGER_UPDATABLE = 0xA710
"""Error ID (0000,0903) beside 0x0110; never a status (B-03)."""

_PENDING = frozenset({PENDING, PENDING_WARNING})


@dataclass(frozen=True, slots=True)
class Failure:
    """How a request that failed is answered: status and further command attributes.

    The comment is generic: it goes to the peer and never holds patient data.
    """

    status: int
    fields: dict[int, Value] = field(default_factory=dict)


def is_pending(status: int) -> bool:
    """Tell whether more responses follow one with this *status*."""
    return status in _PENDING


def of(error: BaseException, operation: int) -> Failure:
    """Return the answer to a request of *operation* (its Command Field) that raised *error*."""
    find = operation == C_FIND_RQ
    match error:
        case Unavailable():
            return _failure(UNABLE_STORE if find else PROCESSING_FAILURE, "temporarily unavailable")
        case NotAuthorized():
            return _failure(NOT_AUTHORIZED, "not a configured device")
        case ProtocolViolation():
            return _failure(UNABLE_TO_DECODE if find else PROCESSING_FAILURE, "data set not understood")
        case Refused(reason=Refusal.DUPLICATE):
            return _failure(DUPLICATE_SOP_INSTANCE, "the instance exists already")
        case Refused(reason=Refusal.UNKNOWN):
            return _failure(NO_SUCH_SOP_INSTANCE, "no such instance")
        case Refused(reason=Refusal.FINAL):
            comment = "Performed Procedure Step Object may no longer be updated"  # B-03
            return Failure(PROCESSING_FAILURE, {ERROR_COMMENT: comment, ERROR_ID: NO_LONGER_UPDATABLE})
        case MwlError():
            return _failure(UNABLE_INTERNAL if find else PROCESSING_FAILURE, "unable to process")
    return _failure(UNABLE_INTERNAL if find else PROCESSING_FAILURE, "internal error")


def _failure(status: int, comment: str) -> Failure:
    return Failure(status, {ERROR_COMMENT: comment})
