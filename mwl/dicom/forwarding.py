"""Performed steps sent on to another SCP: one request after the other, each with its answer.

What is sent is what the device sent, to the byte where the peer takes the device's transfer syntax; or
a data set in the broker's own words, where the device's profile says so.

What an answer means for the row that was sent is decided by `verdict`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from io import BytesIO

from pydicom.uid import UID
from pynetdicom.dimse_primitives import N_CREATE, N_SET
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.status import STATUS_SUCCESS, STATUS_WARNING, code_to_category

from mwl.dicom import status
from mwl.dicom.carrier import Answer, Carrier, Primitive
from mwl.dicom.encoding import encode_dataset
from mwl.dicom.requestor import EXPLICIT_LE, IMPLICIT_LE, Peer, at
from mwl.dicom.transcoding import transcoded
from mwl.errors import MwlError, Unavailable
from mwl.mapping.text.charset import UTF8
from mwl.model import Document
from mwl.store.onward import CREATE, SET

PERFORMED_STEP = "1.2.840.10008.3.1.2.3.3"
_UNICODE = {"00080005": {"vr": "CS", "Value": ["ISO_IR 192"]}}


class Unsendable(MwlError):
    """A data set that cannot be written in the transfer syntax the peer takes."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A request to send on: the data set's bytes in their *transfer_syntax*, or a document in Unicode."""

    operation: str
    uid: str
    data: bytes | Document | None
    transfer_syntax: str = EXPLICIT_LE


class Verdict(Enum):
    """What becomes of what was sent."""

    DELIVERED = "delivered"
    REFUSED = "refused"  # for good: a person decides
    AGAIN = "again"


def verdict(operation: str, answer: Answer, *, resent: bool = False, ends: bool = False) -> Verdict:
    """Return what *answer* means.

    *resent* says that the request may have arrived before, its answer having been lost: then a peer that
    has the instance already (0111), or has it ended (0110 with Error ID A710, to a request that *ends* it),
    says that the first one was heard.
    """
    if code_to_category(answer.status) in (STATUS_SUCCESS, STATUS_WARNING):
        return Verdict.DELIVERED
    if answer.status == status.RESOURCE_LIMITATION:
        return Verdict.AGAIN
    known = operation == CREATE and answer.status == status.DUPLICATE_SOP_INSTANCE
    over = operation == SET and ends and answer.error_id == status.NO_LONGER_UPDATABLE
    return Verdict.DELIVERED if resent and (known or over) else Verdict.REFUSED


class Forwarding:
    """Sends performed steps to one peer."""

    def __init__(self, peer: Peer) -> None:
        self._carrier = Carrier(peer)

    def send(self, parcel: Parcel) -> Answer:
        """Send one request and return the answer.

        Raises `Unavailable`, `Unanswered` where the request has left, and `Unsendable`.
        """
        # Each by itself: the peer takes of several in one context the one it likes best.
        syntaxes = dict.fromkeys((parcel.transfer_syntax, EXPLICIT_LE, IMPLICIT_LE))
        accepted = self._carrier.contexts(build_context(PERFORMED_STEP, [uid]) for uid in syntaxes)
        context = _chosen(accepted, parcel.transfer_syntax)
        if context is None:
            self.close()
            raise Unavailable(f"{at(self._carrier.peer)} takes no performed steps")
        return self._carrier.ask(context, _request(parcel, str(context.transfer_syntax[0])))

    def close(self) -> None:
        """End the association, if there is one."""
        self._carrier.close()

    def hang_up(self) -> None:
        """Give up what is under way, for good, from any thread."""
        self._carrier.hang_up()


def _chosen(accepted: Sequence[PresentationContext], wanted: str) -> PresentationContext | None:
    """Return the context in the transfer syntax that is *wanted*, or in the best of the others."""
    by_syntax = {str(context.transfer_syntax[0]): context for context in accepted}
    return next((by_syntax[each] for each in (wanted, EXPLICIT_LE, IMPLICIT_LE) if each in by_syntax), None)


def _request(parcel: Parcel, transfer_syntax: str) -> Primitive:
    data = _encoded(parcel, transfer_syntax)
    if parcel.operation == CREATE:
        create = N_CREATE()
        create.AffectedSOPClassUID, create.AffectedSOPInstanceUID = UID(PERFORMED_STEP), UID(parcel.uid)
        create.AttributeList = data
        return create
    change = N_SET()
    change.RequestedSOPClassUID, change.RequestedSOPInstanceUID = UID(PERFORMED_STEP), UID(parcel.uid)
    change.ModificationList = data
    return change


def _encoded(parcel: Parcel, transfer_syntax: str) -> BytesIO | None:
    try:
        if isinstance(parcel.data, bytes):
            return BytesIO(transcoded(parcel.data, parcel.transfer_syntax, transfer_syntax))
        if parcel.data is None:
            return None
        return BytesIO(encode_dataset({**parcel.data, **_UNICODE}, transfer_syntax, UTF8))
    except ValueError as error:  # Undecodable, Unencodable and Unfit are of this kind
        raise Unsendable(f"the data set cannot be written: {type(error).__name__}") from error
