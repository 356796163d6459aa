"""The requestor's side: what the broker and its tools ask of other DICOM applications.

pynetdicom does the work.  It is blocking and threaded, so callers on the event loop go through
`asyncio.to_thread`; every association has time-outs and is released or aborted before the call returns.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from socket import socket
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dsutils import decode, encode
from pynetdicom.events import EVT_CONN_OPEN, EVT_PDU_RECV, Event
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RJ
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ModalityPerformedProcedureStep,
    ModalityWorklistInformationFind,
    Verification,
)
from pynetdicom.status import STATUS_SUCCESS, STATUS_WARNING, code_to_category

from mwl.dicom.encoding import decode_dataset, encode_dataset
from mwl.dicom.negotiation import IMPLEMENTATION_UID, IMPLEMENTATION_VERSION
from mwl.errors import MwlError, Unavailable
from mwl.mapping.text.charset import CharacterSet, parse_terms
from mwl.model import Document, values

IMPLICIT_LE = "1.2.840.10008.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
_PENDING = frozenset({0xFF00, 0xFF01})
_ASCII = parse_terms("ISO_IR 6")


class Failed(MwlError):
    """The peer answered with a failure status; *status* is its DIMSE status."""

    def __init__(self, operation: str, status: int, comment: str = "") -> None:
        super().__init__(f"{operation} was answered with {status:04X}" + (f": {comment}" if comment else ""))
        self.status = status


@dataclass(frozen=True, slots=True)
class Peer:
    """Where an application entity is, and how it is called; *timeout* is in seconds."""

    host: str
    port: int
    called_ae: str
    calling_ae: str = "MWL"
    timeout: float = 10.0
    transfer_syntaxes: Sequence[str] = (EXPLICIT_LE, IMPLICIT_LE)
    tls: ssl.SSLContext | None = None
    certificate_name: str | None = None  # what its certificate must hold; None: its host


@dataclass(slots=True)
class _Seen:
    """How far the negotiation came; pynetdicom forgets it when the connection is closed."""

    on_connection: Callable[[socket], None] | None = None
    connected: bool = False
    accepted: bool = False
    rejections: list[A_ASSOCIATE_RJ] = field(default_factory=list)

    def connection(self, opened: Event) -> None:
        self.connected = True
        line = opened.assoc.dul.socket
        if self.on_connection is not None and line is not None and line.socket is not None:
            self.on_connection(line.socket)

    def pdu(self, received: Event) -> None:
        if isinstance(received.pdu, A_ASSOCIATE_RJ):
            self.rejections.append(received.pdu)
        elif isinstance(received.pdu, A_ASSOCIATE_AC):
            self.accepted = True


def opened(
    peer: Peer,
    contexts: Sequence[PresentationContext],
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
    on_connection: Callable[[socket], None] | None = None,
) -> Association:
    """Return an association with *peer*, which the caller ends; raise `Unavailable`, with the reason.

    *on_connection* gets the socket, in another thread, before anything is said on it.
    """
    entity = AE(ae_title=peer.calling_ae)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = peer.timeout
    entity.connection_timeout = peer.timeout
    entity.implementation_class_uid = UID(IMPLEMENTATION_UID)
    entity.implementation_version_name = IMPLEMENTATION_VERSION
    seen = _Seen(on_connection)
    handlers: list[Any] = [(EVT_CONN_OPEN, seen.connection), (EVT_PDU_RECV, seen.pdu)]
    try:
        association = entity.associate(
            peer.host, peer.port, contexts=list(contexts), ae_title=peer.called_ae, evt_handlers=handlers,
            ext_neg=list(roles),
            tls_args=(peer.tls, peer.certificate_name or peer.host) if peer.tls else None,
        )  # fmt: skip
    except OSError as error:  # of the resolver
        raise Unavailable(f"{at(peer)} cannot be reached: {error.strerror}") from None
    if not association.is_established:
        raise Unavailable(_why(peer, seen))
    return association


@contextmanager
def associated(peer: Peer, *sop_classes: str) -> Iterator[Association]:
    """Associate with *peer* for the given SOP classes; release at the end, abort on an error.

    Raises `Unavailable`, with the reason.
    """
    syntaxes = list(peer.transfer_syntaxes)
    association = opened(peer, [build_context(sop_class, syntaxes) for sop_class in sop_classes])
    try:
        yield association
    except Failed:
        association.release()
        raise
    except BaseException as error:
        established = association.is_established
        association.abort()
        # pynetdicom's word for an association that the peer ended before the request.
        if isinstance(error, RuntimeError) and not established:
            raise Unavailable(f"{at(peer)} ended the association") from None
        raise
    association.release()


def echo(peer: Peer) -> None:
    """Verify that *peer* answers C-ECHO; raise `Unavailable` or `Failed`."""
    with associated(peer, Verification) as association:
        _expect("C-ECHO", association.send_c_echo())


def find(peer: Peer, keys: Document) -> list[Document]:
    """Return the worklist items *peer* answers to the identifier *keys*."""
    with associated(peer, ModalityWorklistInformationFind) as association:
        found: list[Document] = []
        status = Dataset()
        for status, identifier in association.send_c_find(_data_set(keys), ModalityWorklistInformationFind):
            if status.get("Status") in _PENDING:
                found.append(_document(identifier))
        _expect("C-FIND", status)
        return found


def create_performed(peer: Peer, uid: str, attributes: Document) -> None:
    """Tell *peer* by N-CREATE that a performed step began."""
    with associated(peer, ModalityPerformedProcedureStep) as association:
        status, _ = association.send_n_create(_data_set(attributes), ModalityPerformedProcedureStep, uid)
        _expect("N-CREATE", status)


def set_performed(peer: Peer, uid: str, modifications: Document) -> None:
    """Tell *peer* by N-SET what became of a performed step."""
    with associated(peer, ModalityPerformedProcedureStep) as association:
        status, _ = association.send_n_set(_data_set(modifications), ModalityPerformedProcedureStep, uid)
        _expect("N-SET", status)


def _expect(operation: str, status: Dataset) -> None:
    if "Status" not in status:
        raise Unavailable(f"{operation} was not answered")
    # A warning says that it was done, and what was left out of it (PS3.7 Annex C).
    if code_to_category(int(status.Status)) not in (STATUS_SUCCESS, STATUS_WARNING):
        raise Failed(operation, int(status.Status), str(status.get("ErrorComment", "")))


def at(peer: Peer) -> str:
    """Return how an error names *peer*."""
    return f"{peer.called_ae} at {peer.host}:{peer.port}"


def _why(peer: Peer, seen: _Seen) -> str:
    if seen.rejections:
        return f"{at(peer)} rejected the association of {peer.calling_ae}: {seen.rejections[0].reason_str}"
    if seen.accepted:
        return f"{at(peer)} accepted no presentation context"
    if seen.connected:
        return f"{at(peer)} did not answer the request for an association"
    return f"{at(peer)} cannot be reached" + (", or TLS was not agreed" if peer.tls else "")


# pynetdicom takes and gives pydicom data sets; bytes in between keep one definition of a Document.
def _data_set(document: Document) -> Dataset:
    raw = encode_dataset(document, IMPLICIT_LE, _charset(document))
    return decode(BytesIO(raw), is_implicit_vr=True, is_little_endian=True)


def _document(data_set: Dataset | None) -> Document:
    raw = None if data_set is None else encode(data_set, is_implicit_vr=True, is_little_endian=True)
    if raw is None:  # pynetdicom's word for what it cannot decode, or encode
        raise MwlError("the answer cannot be read")
    return decode_dataset(raw, IMPLICIT_LE)


def _charset(document: Document) -> CharacterSet:
    terms = [str(term) for term in values(document, "00080005")]
    return parse_terms(terms) if terms else _ASCII
