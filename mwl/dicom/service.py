"""What a DIMSE service sees of the network: who asks, what was asked, and how to answer.

A service (verification, worklist, performed steps) is written against these types alone; it knows
no socket, no PDU and no fragment.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from mwl.errors import MwlError

Value: TypeAlias = str | int | bytes | tuple[int, ...]
"""A value of the command set: text (UI, AE, LO), number (US, UL), tags (AT); bytes of an unknown tag."""

# PS3.7 Annex E: the command set's attributes.
AFFECTED_SOP_CLASS_UID = 0x00000002
REQUESTED_SOP_CLASS_UID = 0x00000003
COMMAND_FIELD = 0x00000100
MESSAGE_ID = 0x00000110
MESSAGE_ID_RESPONDED_TO = 0x00000120
PRIORITY = 0x00000700
DATA_SET_TYPE = 0x00000800
STATUS = 0x00000900
OFFENDING_ELEMENT = 0x00000901
ERROR_COMMENT = 0x00000902
ERROR_ID = 0x00000903
AFFECTED_SOP_INSTANCE_UID = 0x00001000
REQUESTED_SOP_INSTANCE_UID = 0x00001001
ATTRIBUTE_IDENTIFIER_LIST = 0x00001005

# PS3.7 Table E.1-1: Command Field of the requests; the response adds 0x8000.
C_FIND_RQ = 0x0020
C_ECHO_RQ = 0x0030
N_GET_RQ = 0x0110
N_SET_RQ = 0x0120
N_CREATE_RQ = 0x0140
C_CANCEL_RQ = 0x0FFF
RESPONSE = 0x8000

NO_DATA_SET = 0x0101
"""Command Data Set Type of a message without data set; every other value announces one."""


class AssociationEnded(MwlError):
    """The association is over: released, aborted or lost; nobody is there to be answered."""


class NotAuthorized(MwlError):
    """The peer may not ask this: its AE title is not, or no longer, a configured device's (DIMSE 0124)."""


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """A presentation context as the peer proposed it."""

    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Context:
    """An accepted presentation context: one abstract syntax with its one transfer syntax."""

    id: int
    abstract_syntax: str
    transfer_syntax: str


@dataclass(frozen=True, slots=True)
class UserIdentity:
    """User identity of PS3.7 D.3.3.7: 1 name, 2 name and passcode, 3 Kerberos, 4 SAML, 5 JWT (E-06)."""

    type: int
    primary: bytes = field(default=b"", repr=False)
    secondary: bytes = field(default=b"", repr=False)
    answer_wanted: bool = False  # the peer asks for a positive response


@dataclass(frozen=True, slots=True)
class Extensions:
    """What of the worklist's extended negotiation is granted (A-05); a device gets what it asks for of it."""

    fuzzy: bool = True  # fuzzy semantic matching of person names
    timezone: bool = True  # timezone query adjustment


EVERYTHING = Extensions()
NOTHING = Extensions(fuzzy=False, timezone=False)


@dataclass(frozen=True, slots=True)
class AssociationFacts:
    """What the peer said of itself when it asked for the association, and what was agreed.

    AE titles are without padding (E-05); *address* is the peer's IP address; *max_pdu* is what
    the peer takes, 0 without limit; *contexts* are those proposed, accepted or not; *common_name* is
    that of its TLS certificate, "" where it showed none, and *certified* are all names in it.  Until the
    association is accepted the last four keep their defaults: *user* is whom the peer proved to act
    for (E-06); *fuzzy* and *timezone* were asked for, and granted (A-05); *held* says that the caller
    was unknown then, and was put into quarantine.
    """

    calling_ae: str
    called_ae: str
    address: str = ""
    implementation_uid: str = ""
    implementation_version: str = ""
    max_pdu: int = 0
    contexts: tuple[ProposedContext, ...] = ()
    common_name: str = ""
    certified: tuple[str, ...] = ()
    user: str = ""
    fuzzy: bool = False
    timezone: bool = False
    held: bool = False


@dataclass(frozen=True, slots=True)
class Rejection:
    """Result, source and reason of an A-ASSOCIATE-RJ (PS3.8 Table 9-21, E-04).

    *why* and *setting* are for the log: one reason on the wire may have several causes.
    """

    result: int
    source: int
    reason: int
    why: str = ""
    setting: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """A command set, by tag; the properties name what most services need."""

    elements: Mapping[int, Value]

    def get(self, tag: int) -> Value | None:
        """Return the value of *tag*, None where the command set does not hold it."""
        return self.elements.get(tag)

    @property
    def field(self) -> int:
        """The Command Field: which operation this is."""
        return self._number(COMMAND_FIELD) or 0

    @property
    def message_id(self) -> int | None:
        """The Message ID as sent; None where the peer left it out (F52)."""
        return self._number(MESSAGE_ID)

    @property
    def message_id_responded_to(self) -> int | None:
        """The Message ID a C-CANCEL or a response refers to."""
        return self._number(MESSAGE_ID_RESPONDED_TO)

    @property
    def affected_sop_class_uid(self) -> str | None:
        return self._text(AFFECTED_SOP_CLASS_UID)

    @property
    def requested_sop_class_uid(self) -> str | None:
        return self._text(REQUESTED_SOP_CLASS_UID)

    @property
    def affected_sop_instance_uid(self) -> str | None:
        return self._text(AFFECTED_SOP_INSTANCE_UID)

    @property
    def requested_sop_instance_uid(self) -> str | None:
        return self._text(REQUESTED_SOP_INSTANCE_UID)

    @property
    def has_data(self) -> bool:
        """Whether a data set is announced."""
        return self._number(DATA_SET_TYPE) != NO_DATA_SET

    def _number(self, tag: int) -> int | None:
        value = self.elements.get(tag)
        return value if isinstance(value, int) else None

    def _text(self, tag: int) -> str | None:
        value = self.elements.get(tag)
        return value if isinstance(value, str) and value else None


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a peer.

    *data* is the encoded data set in the context's transfer syntax, None where there is none.
    *cancelled* tells whether the peer has sent C-CANCEL for it (A-60).
    """

    command: Command
    data: bytes | None
    context: Context
    association: AssociationFacts
    cancelled: Callable[[], bool]


class Reply(Protocol):
    """The way back to the peer that asked.

    Every method waits while the peer does not read, and raises `AssociationEnded` once the
    association is over.
    """

    async def send(
        self, status: int, *, data: bytes | None = None, fields: Mapping[int, object] | None = None
    ) -> None:
        """Send one response; *fields* adds attributes of the command set, by tag, to the usual ones."""

    async def stream(self, pendings: Iterable[bytes], status: int) -> int:
        """Send one pending response for each data set, several per write; return how many were sent.

        Ends early when the request is cancelled; the caller sends the final status in any case.
        """


class Service(Protocol):
    """Answers the operations of its SOP classes."""

    @property
    def sop_classes(self) -> Collection[str]:
        """The abstract syntaxes accepted for this service."""

    @property
    def operations(self) -> Collection[int]:
        """Command Fields of the requests it takes; any other is answered 0x0211 (B-16)."""

    async def handle(self, request: Request, reply: Reply) -> None:
        """Answer *request* with exactly one final response.

        An exception is answered with its status from `mwl.dicom.status`.  Cancelled (the
        ``asyncio`` way) when the association ends while it runs (A-63).
        """
