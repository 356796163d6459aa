"""What an A-ASSOCIATE-RQ proposes (PS3.8 9.3.2, PS3.7 Annex D.3.3).

Read here, octet by octet, because it is the first thing a stranger says: every length must fit,
items of unknown type are ignored (PS3.8 9.3.1), nothing nests deeper than the standard says, and
what is sloppy but clear (padding, a long version name, a UID that is none) is taken.  pynetdicom's
codec fails on each of these, and logs what it was sent; in the tests it is the one who writes.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from struct import Struct
from typing import Any

from mwl.dicom.pdu import SMALLEST_PDU, Malformed
from mwl.dicom.service import AssociationFacts, ProposedContext, Rejection, UserIdentity

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"

APPLICATION_CONTEXT_NOT_SUPPORTED = Rejection(1, 1, 2)
CALLING_AE_NOT_RECOGNISED = Rejection(1, 1, 3)
CALLED_AE_NOT_RECOGNISED = Rejection(1, 1, 7)

# Octets of an A-ASSOCIATE-RQ where the titles begin and end, and where the items begin (PS3.8 Table 9-11).
CALLED, CALLING, TITLES_END, ITEMS = 10, 26, 42, 74

_ITEM = Struct(">BxH")  # type, length
_APPLICATION, _CONTEXT, _USER = 0x10, 0x20, 0x50
_ABSTRACT, _TRANSFER = 0x30, 0x40
_MAX_LENGTH, _IMPLEMENTATION_UID, _WINDOW, _ROLE = 0x51, 0x52, 0x53, 0x54
_IMPLEMENTATION_VERSION, _EXTENDED, _IDENTITY = 0x55, 0x56, 0x58
_NAME_AND_PASSCODE = 2  # type of a user identity
_UID_LENGTH, _VERSION_LENGTH = 64, 16
_USUAL_MAX_PDU = 16384  # bytes, where the mandatory sub-item is missing: DCMTK's default
_REMEMBERED_LENGTH = 4096  # bytes: some 20 contexts
_MOST_REMEMBERED = 256  # requests: as many devices as a large site has


@dataclass(frozen=True, slots=True)
class UserInformation:
    """The user information item, read (PS3.7 D.3.3)."""

    max_pdu: int = _USUAL_MAX_PDU
    implementation_uid: str = ""
    implementation_version: str = ""
    roles: Mapping[str, tuple[bool, bool]] = field(default_factory=dict)  # would the peer be SCU, SCP
    extended: Mapping[str, bytes] = field(default_factory=dict)  # service class application information
    async_window: bool = False
    identity: UserIdentity | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """An A-ASSOCIATE-RQ, read."""

    octets: bytes = field(repr=False)  # may hold a passcode
    application_context: str
    calling_ae: str
    called_ae: str
    contexts: tuple[ProposedContext, ...]
    user: UserInformation
    answers: dict[Hashable, Any] = field(default_factory=dict)  # what was answered to it before

    def facts(self, address: str, common_name: str = "", certified: tuple[str, ...] = ()) -> AssociationFacts:
        """Return what admission and services may know."""
        return AssociationFacts(
            calling_ae=self.calling_ae,
            called_ae=self.called_ae,
            address=address,
            implementation_uid=self.user.implementation_uid,
            implementation_version=self.user.implementation_version,
            max_pdu=self.user.max_pdu,
            contexts=self.contexts,
            common_name=common_name,
            certified=certified,
        )

    def objection(self) -> Rejection | None:
        """Return why the request is rejected whoever sent it, or None."""
        if self.application_context != APPLICATION_CONTEXT:
            return APPLICATION_CONTEXT_NOT_SUPPORTED
        if not _is_ae_title(self.called_ae):
            return CALLED_AE_NOT_RECOGNISED
        return None if _is_ae_title(self.calling_ae) else CALLING_AE_NOT_RECOGNISED


_remembered: dict[bytes, Proposal] = {}


def read(octets: bytes) -> Proposal:
    """Return what the A-ASSOCIATE-RQ *octets* proposes; raise `Malformed`.

    A device sends the same request every time, and to read and answer it is half of what a short
    association costs; so it is remembered, unless it is long or states a user: it may hold a passcode.
    """
    proposal = _remembered.get(octets)
    if proposal is None:
        proposal = _read(octets)
        if len(octets) <= _REMEMBERED_LENGTH and proposal.user.identity is None:
            if len(_remembered) >= _MOST_REMEMBERED:
                del _remembered[next(iter(_remembered))]
            _remembered[octets] = proposal
    return proposal


def _read(octets: bytes) -> Proposal:
    application_context = ""
    contexts: dict[int, ProposedContext] = {}
    user: UserInformation | None = None
    for kind, body in _items(octets[ITEMS:]):
        if kind == _APPLICATION:
            application_context = _uid(body)
        elif kind == _CONTEXT:
            context = _context(body)
            if contexts.setdefault(context.id, context) is not context:
                raise Malformed("two presentation contexts have one ID")
        elif kind == _USER:
            user = _user_information(body)
    if not contexts or user is None:
        raise Malformed("the A-ASSOCIATE-RQ has no presentation context, or no user information")
    calling, called = _title(octets[CALLING:TITLES_END]), _title(octets[CALLED:CALLING])
    return Proposal(octets, application_context, calling, called, tuple(contexts.values()), user)


def _context(body: bytes) -> ProposedContext:
    items = list(_items(body[4:]))
    abstract = [_uid(octets) for kind, octets in items if kind == _ABSTRACT]
    transfer = [_uid(octets) for kind, octets in items if kind == _TRANSFER]
    if len(abstract) != 1 or not transfer:
        raise Malformed("a presentation context has not one abstract syntax and a transfer syntax")
    if not body[0] % 2:
        raise Malformed("a presentation context has an even ID")
    return ProposedContext(body[0], abstract[0], tuple(transfer))


def _user_information(body: bytes) -> UserInformation:
    found: dict[str, Any] = {"roles": {}, "extended": {}}
    for kind, octets in _items(body):
        if kind == _MAX_LENGTH:
            found["max_pdu"] = _max_pdu(octets)
        elif kind == _IMPLEMENTATION_UID:
            found["implementation_uid"] = _uid(octets)
        elif kind == _IMPLEMENTATION_VERSION:
            found["implementation_version"] = _version(octets)
        elif kind == _WINDOW:
            found["async_window"] = True
        elif kind == _ROLE:
            uid, roles = _counted(octets)
            if len(roles) != 2:
                raise Malformed("a role selection item has not two roles")
            found["roles"][_uid(uid)] = bool(roles[0]), bool(roles[1])
        elif kind == _EXTENDED:
            uid, information = _counted(octets)
            found["extended"][_uid(uid)] = information
        elif kind == _IDENTITY:
            found["identity"] = _identity(octets)
    return UserInformation(**found)


def _max_pdu(octets: bytes) -> int:
    size = int.from_bytes(octets, "big")
    if len(octets) != 4 or 0 < size < SMALLEST_PDU:
        raise Malformed("the peer takes no PDU that could hold anything")
    return size


def _version(octets: bytes) -> str:
    text = octets.decode("ascii", "replace")[:_VERSION_LENGTH]
    return "".join(c if c.isprintable() else " " for c in text).strip()


def _identity(octets: bytes) -> UserIdentity:
    primary, rest = _counted(octets[2:])
    kind, wanted = octets[:2]
    # Where there can be no passcode some leave its length out.
    secondary, _ = _counted(rest) if rest or kind == _NAME_AND_PASSCODE else (b"", b"")
    return UserIdentity(kind, primary, secondary, answer_wanted=wanted == 1)


def _counted(octets: bytes) -> tuple[bytes, bytes]:
    """Return the field that begins with its length, and what follows it."""
    end = 2 + int.from_bytes(octets[:2], "big")
    if len(octets) < max(2, end):
        raise Malformed("a length in the user information does not fit its item")
    return octets[2:end], octets[end:]


def _uid(octets: bytes) -> str:
    octets = octets.rstrip(b"\0 ")  # PS3.8 Annex F pads nothing; some peers do
    if len(octets) > _UID_LENGTH or not octets.isascii():
        raise Malformed("a UID is too long, or not of ASCII")
    return octets.decode("ascii")


def _title(octets: bytes) -> str:
    return octets.decode("ascii", "backslashreplace").strip(" \0")


def _is_ae_title(title: str) -> bool:
    """Tell whether *title* is one (E-05); an octet beyond ASCII has become a backslash."""
    return bool(title) and title.isprintable() and "\\" not in title


def _items(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and body of each item; raise `Malformed` where a length lies."""
    offset, end = 0, len(octets)
    while offset < end:
        if end - offset < _ITEM.size:
            raise Malformed("an item ends within its header")
        kind, length = _ITEM.unpack_from(octets, offset)
        start, offset = offset + _ITEM.size, offset + _ITEM.size + length
        if offset > end:
            raise Malformed("the length of an item does not fit what holds it")
        yield kind, octets[start:offset]
