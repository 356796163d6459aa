"""The upper layer of an association acceptor (PS3.8 section 9.2), without I/O.

Every state and every transition is in this file, in `TABLE`, and nowhere else.
Nothing in it knows sockets, clocks or services: octets and decisions go in, outputs come out.

Theory of operation
-------------------
`UpperLayer` holds a state of PS3.8 Table 9-10 and the octets of a PDU that is not whole yet.  Each
PDU, each decision of the local user and each act of the transport is an `Event`; `TABLE` gives, for
the state it meets, the action of Tables 9-6 to 9-9 and the next state.  An action yields `Output`s,
which the shell performs in order: octets to send, ARTIM to start or stop, the transport to close,
and what the local user must hear.

`receive` is a generator on purpose: the shell's answer to one PDU (accept, reject, release) takes
effect before the next PDU is looked at, however the octets were split on their way.

A PDU is judged by its header before any of its body is kept: an unknown type or a length beyond its
limit ends the association at once.  After that the stream has no known beginning of a PDU any more,
so whatever still arrives is dropped unread until the transport closes or ARTIM expires.

An acceptor that never asks for release itself (it aborts what it must end: an idle modality does not
read) and never opens a transport has these states only; Sta4 and Sta5 are a requestor's, Sta7 and
Sta9 to Sta12 belong to the one who asked for release.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from mwl.dicom import pdu
from mwl.dicom.limits import Limit
from mwl.dicom.pdu import KIBIBYTE, AbortReason, PduType
from mwl.dicom.service import AssociationEnded, Rejection
from mwl.handshake import is_hello


class State(StrEnum):
    """States of PS3.8 Tables 9-1 to 9-5, by their number there."""

    IDLE = "Sta1"
    AWAITING_REQUEST = "Sta2"  # transport open
    AWAITING_DECISION = "Sta3"  # the local user decides on the request
    ASSOCIATED = "Sta6"
    AWAITING_RELEASE = "Sta8"  # the local user is to answer the peer's release
    AWAITING_CLOSE = "Sta13"  # nothing more to say


class Event(StrEnum):
    """Events of PS3.8 Table 9-10, by their number there; 6a is Evt6 for a request AE-6 cannot accept."""

    AC_RECEIVED = "Evt3"
    RJ_RECEIVED = "Evt4"
    CONNECTED = "Evt5"
    RQ_RECEIVED = "Evt6"
    UNACCEPTABLE_RQ_RECEIVED = "Evt6a"
    ACCEPT = "Evt7"
    REJECT = "Evt8"
    SEND_DATA = "Evt9"
    DATA_RECEIVED = "Evt10"
    RELEASE_RQ_RECEIVED = "Evt12"
    RELEASE_RP_RECEIVED = "Evt13"
    RELEASE = "Evt14"
    ABORT = "Evt15"
    ABORT_RECEIVED = "Evt16"
    DISCONNECTED = "Evt17"
    ARTIM_EXPIRED = "Evt18"
    INVALID_PDU_RECEIVED = "Evt19"


class Action(StrEnum):
    """Actions of PS3.8 Tables 9-6 to 9-9; the last two fill cells that are blank there."""

    AE_5 = "AE-5"  # start ARTIM
    AE_6 = "AE-6"  # stop ARTIM, indicate the request
    AE_6_REJECT = "AE-6a"  # send A-ASSOCIATE-RJ of the provider, start ARTIM
    AE_7 = "AE-7"  # send A-ASSOCIATE-AC
    AE_8 = "AE-8"  # send A-ASSOCIATE-RJ, start ARTIM
    DT_1 = "DT-1"  # send P-DATA-TF
    DT_2 = "DT-2"  # indicate data
    AR_2 = "AR-2"  # indicate release
    AR_4 = "AR-4"  # send A-RELEASE-RP, start ARTIM
    AR_5 = "AR-5"  # stop ARTIM
    AR_7 = "AR-7"  # send P-DATA-TF before the release is answered
    AA_1 = "AA-1"  # send A-ABORT, start ARTIM
    AA_2 = "AA-2"  # stop ARTIM, close
    AA_3 = "AA-3"  # indicate the peer's abort, close
    AA_4 = "AA-4"  # indicate that the transport is gone
    AA_5 = "AA-5"  # stop ARTIM
    AA_6 = "AA-6"  # ignore
    AA_7 = "AA-7"  # send A-ABORT
    AA_8 = "AA-8"  # send A-ABORT of the provider, indicate it, start ARTIM
    NOTHING = "-"
    REFUSE = "x"  # the local user is told that there is no association, or no longer


# One row an event, one column a state; a cell is the action and, where it changes, the next state.
_TABLE_9_10 = """
            Sta1      Sta2       Sta3      Sta6      Sta8      Sta13
    Evt3    -         AA-1/13    AA-8/13   AA-8/13   AA-8/13   AA-6
    Evt4    -         AA-1/13    AA-8/13   AA-8/13   AA-8/13   AA-6
    Evt5    AE-5/2    -          -         -         -         -
    Evt6    -         AE-6/3     AA-8/13   AA-8/13   AA-8/13   AA-7
    Evt6a   -         AE-6a/13   AA-8/13   AA-8/13   AA-8/13   AA-7
    Evt7    x         x          AE-7/6    x         x         x
    Evt8    x         x          AE-8/13   x         x         x
    Evt9    x         x          x         DT-1      AR-7      x
    Evt10   -         AA-1/13    AA-8/13   DT-2      AA-8/13   AA-6
    Evt12   -         AA-1/13    AA-8/13   AR-2/8    AA-8/13   AA-6
    Evt13   -         AA-1/13    AA-8/13   AA-8/13   AA-8/13   AA-6
    Evt14   x         x          x         x         AR-4/13   x
    Evt15   -         AA-2/1     AA-1/13   AA-1/13   AA-1/13   -
    Evt16   -         AA-2/1     AA-3/1    AA-3/1    AA-3/1    AA-2/1
    Evt17   -         AA-5/1     AA-4/1    AA-4/1    AA-4/1    AR-5/1
    Evt18   -         AA-2/1     -         -         -         AA-2/1
    Evt19   -         AA-1/13    AA-8/13   AA-8/13   AA-8/13   AA-7
"""


def _read_table(text: str) -> dict[State, dict[Event, tuple[Action, State]]]:
    header, *rows = (line.split() for line in text.strip().splitlines())
    table: dict[State, dict[Event, tuple[Action, State]]] = {State(column): {} for column in header}
    for event, *cells in rows:
        for column, cell in zip(header, cells, strict=True):
            action, _, following = cell.partition("/")
            next_state = State(f"Sta{following}" if following else column)
            table[State(column)][Event(event)] = (Action(action), next_state)
    return table


TABLE = _read_table(_TABLE_9_10)
"""State, event: action, next state."""


@dataclass(frozen=True, slots=True)
class Send:
    """Write these octets."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Artim:
    """Start (or start again) the ARTIM timer, or stop it."""

    running: bool


@dataclass(frozen=True, slots=True)
class Close:
    """Close the transport."""


@dataclass(frozen=True, slots=True)
class Requested:
    """The peer asks for an association: decide with `accept`, `reject` or `violation`."""

    request: bytes  # the whole A-ASSOCIATE-RQ


@dataclass(frozen=True, slots=True)
class Received:
    """The body of a P-DATA-TF."""

    body: bytes


@dataclass(frozen=True, slots=True)
class ReleaseRequested:
    """The peer wants to end the association: answer with `release`."""


class Ending(StrEnum):
    """How an association, or the attempt at one, came to its end."""

    RELEASED = "released"
    REJECTED = "rejected"
    ABORTED_BY_PEER = "aborted by peer"
    ABORTED = "aborted"  # by the local user
    VIOLATION = "protocol violation"  # aborted because of what the peer sent
    LOST = "connection lost"
    NO_REQUEST = "no request"


@dataclass(frozen=True, slots=True)
class Ended:
    """The association is over for the local user; *detail* and *limit*, if one struck, are for the log."""

    how: Ending
    detail: str = ""
    limit: Limit | None = None


Output: TypeAlias = Send | Artim | Close | Requested | Received | ReleaseRequested | Ended
Outputs: TypeAlias = tuple[Output, ...]


@dataclass(frozen=True, slots=True)
class PduLimits:
    """The longest PDU taken, by its length field, in bytes.

    A request with 128 contexts of 8 transfer syntaxes has 35 KiB.  128 KiB is the most DCMTK can be
    told to send; what is announced to the peer (`negotiation`) is smaller.
    """

    request: int = 64 * KIBIBYTE
    data: int = 128 * KIBIBYTE

    def bounds(self, kind: int) -> tuple[int, int]:
        """Return the least and the greatest length of a PDU of this type."""
        if kind == PduType.DATA:
            return 0, self.data
        if kind == PduType.ASSOCIATE_RQ:
            return _SMALLEST_REQUEST, self.request
        return (0, self.request) if kind == PduType.ASSOCIATE_AC else (_FIXED, _FIXED)


_EVENTS = {
    PduType.ASSOCIATE_RQ: Event.RQ_RECEIVED,
    PduType.ASSOCIATE_AC: Event.AC_RECEIVED,
    PduType.ASSOCIATE_RJ: Event.RJ_RECEIVED,
    PduType.DATA: Event.DATA_RECEIVED,
    PduType.RELEASE_RQ: Event.RELEASE_RQ_RECEIVED,
    PduType.RELEASE_RP: Event.RELEASE_RP_RECEIVED,
    PduType.ABORT: Event.ABORT_RECEIVED,
}
_FIXED = 4  # bytes in the body of a rejection, release or abort
_SMALLEST_REQUEST = 68  # bytes of an A-ASSOCIATE-RQ before its items
_VERSION_AT, _VERSION_1 = 7, 0x01  # octet and bit of protocol version 1 (PS3.8 9.3.2)
_VERSION_NOT_SUPPORTED = Rejection(1, 2, 2)


class UpperLayer:
    """One association seen from its acceptor."""

    __slots__ = ("_buffer", "_deaf", "_limits", "state")

    def __init__(self, limits: PduLimits) -> None:
        self.state = State.IDLE
        self._limits = limits
        self._buffer = bytearray()
        self._deaf = False

    @property
    def inside_pdu(self) -> bool:
        """Whether part of a PDU has arrived and the rest has not."""
        return bool(self._buffer)

    def connected(self) -> Outputs:
        """The transport is open (Evt5)."""
        return self._on(Event.CONNECTED)

    def receive(self, octets: bytes) -> Iterator[Output]:
        """Take what the peer sent (Evt3, 4, 6, 10, 12, 13, 16, 19); iterate to the end."""
        buffer = self._buffer
        buffer += octets
        while not self._deaf and len(buffer) >= pdu.HEADER.size:
            kind, length = pdu.HEADER.unpack_from(buffer)
            if fault := self._fault(kind, length):
                self._deaf = True
                (reason, limit), detail = fault, f"PDU of type {kind:02X}H and length {length}"
                if self.state is State.AWAITING_REQUEST and is_hello(buffer):
                    detail = "TLS hello on a port without TLS (dicom.tls)"
                yield from self._on(Event.INVALID_PDU_RECEIVED, reason=reason, detail=detail, limit=limit)
            elif len(buffer) < (end := pdu.HEADER.size + length):
                return
            else:
                octets = bytes(buffer[:end])
                del buffer[:end]
                yield from self._take(PduType(kind), octets)
        if self._deaf:
            buffer.clear()

    def _fault(self, kind: int, length: int) -> tuple[AbortReason, Limit | None] | None:
        """Judge a PDU by its header; return why it may not be, and which limit struck."""
        if kind not in _EVENTS:
            return AbortReason.UNRECOGNISED_PDU, None
        shortest, longest = self._limits.bounds(kind)
        if shortest <= length <= longest:
            return None
        return AbortReason.INVALID_PARAMETER_VALUE, Limit.PDU if length > longest > _FIXED else None

    def _take(self, kind: PduType, octets: bytes) -> Outputs:
        event = _EVENTS[kind]
        if event is Event.RQ_RECEIVED and not octets[_VERSION_AT] & _VERSION_1:
            event = Event.UNACCEPTABLE_RQ_RECEIVED
        return self._on(event, octets, detail=kind.name)

    def accept(self, octets: bytes) -> Outputs:
        """Accept the request with this A-ASSOCIATE-AC (Evt7)."""
        return self._on(Event.ACCEPT, octets)

    def reject(self, reasons: Rejection) -> Outputs:
        """Reject the request (Evt8)."""
        detail = f"{reasons.result}/{reasons.source}/{reasons.reason}"
        return self._on(Event.REJECT, pdu.rejection(reasons), detail=detail)

    def send(self, octets: bytes) -> Outputs:
        """Send P-DATA-TF PDUs (Evt9)."""
        return self._on(Event.SEND_DATA, octets)

    def release(self) -> Outputs:
        """Agree to the peer's release (Evt14)."""
        return self._on(Event.RELEASE)

    def abort(self, detail: str, limit: Limit | None = None) -> Outputs:
        """End the association for a reason of our own (Evt15)."""
        return self._on(Event.ABORT, detail=detail, limit=limit)

    def violation(self, detail: str, limit: Limit | None = None) -> Outputs:
        """End the association because a PDU, well framed, holds what it may not (Evt19)."""
        self._deaf = True
        reason = AbortReason.INVALID_PARAMETER_VALUE
        return self._on(Event.INVALID_PDU_RECEIVED, reason=reason, detail=detail, limit=limit)

    def disconnected(self) -> Outputs:
        """The transport is closed (Evt17)."""
        return self._on(Event.DISCONNECTED)

    def artim_expired(self) -> Outputs:
        """ARTIM ran out (Evt18)."""
        return self._on(Event.ARTIM_EXPIRED, limit=Limit.ARTIM)

    def _on(
        self,
        event: Event,
        octets: bytes = b"",
        *,
        reason: AbortReason = AbortReason.UNEXPECTED_PDU,
        detail: str = "",
        limit: Limit | None = None,
    ) -> Outputs:
        before = self.state
        action, self.state = TABLE[before][event]
        match action:
            case Action.DT_2:
                return (Received(octets[pdu.HEADER.size :]),)
            case Action.DT_1 | Action.AR_7 | Action.AE_7:
                return (Send(octets),)
            case Action.AE_5:
                return (Artim(running=True),)
            case Action.AE_6:
                return (Artim(running=False), Requested(octets))
            case Action.AE_6_REJECT:
                octets, detail = pdu.rejection(_VERSION_NOT_SUPPORTED), "protocol version not supported"
                return (Send(octets), Artim(running=True), Ended(Ending.REJECTED, detail))
            case Action.AE_8:
                return (Send(octets), Artim(running=True), Ended(Ending.REJECTED, detail))
            case Action.AR_2:
                return (ReleaseRequested(),)
            case Action.AR_4:
                return (Send(pdu.RELEASE_RP), Artim(running=True), Ended(Ending.RELEASED))
            case Action.AA_1 if event is Event.ABORT:
                abort = pdu.abort(pdu.SERVICE_USER, AbortReason.NOT_SPECIFIED)
                return (Send(abort), Artim(running=True), Ended(Ending.ABORTED, detail, limit))
            # Table 9-9 names the user as AA-1's source for a PDU out of turn in Sta2 too; but it is
            # the provider who found it, and only a provider may tell the reason (E-10).
            case Action.AA_1 | Action.AA_8:
                abort = pdu.abort(pdu.SERVICE_PROVIDER, reason)
                return (Send(abort), Artim(running=True), Ended(Ending.VIOLATION, detail, limit))
            case Action.AA_2 if before is State.AWAITING_REQUEST:
                return (Artim(running=False), Ended(Ending.NO_REQUEST, detail, limit), Close())
            case Action.AA_2:
                return (Artim(running=False), Close())
            case Action.AA_3:
                return (Ended(Ending.ABORTED_BY_PEER, f"source {octets[8]} reason {octets[9]}"), Close())
            case Action.AA_4:
                return (Ended(Ending.LOST),)
            case Action.AA_5:
                return (Artim(running=False), Ended(Ending.NO_REQUEST))
            case Action.AR_5:
                return (Artim(running=False),)
            case Action.AA_7:
                return (Send(pdu.abort(pdu.SERVICE_PROVIDER, reason)),)
            case Action.AA_6 | Action.NOTHING:
                return ()
            case Action.REFUSE:
                raise AssociationEnded("there is no association")
