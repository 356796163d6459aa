"""From A-ASSOCIATE-RQ to A-ASSOCIATE-AC: what is read, accepted, refused and answered."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.pdu import A_ASSOCIATE_AC
from pynetdicom.pdu_primitives import (
    AsynchronousOperationsWindowNegotiation,
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)

from mwl.dicom.negotiation import IMPLEMENTATION_UID, IMPLEMENTATION_VERSION, answer
from mwl.dicom.pdu import Malformed
from mwl.dicom.proposal import read
from mwl.dicom.service import Context, Rejection

WORKLIST, PERFORMED = "1.2.840.10008.5.1.4.31", "1.2.840.10008.3.1.2.3.3"
IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
OFFERED = {WORKLIST, PERFORMED}

Make = Callable[..., bytes]


def accept(octets: bytes, prefer: list[str] | None = None) -> A_ASSOCIATE_AC:
    """Return what pynetdicom's decoder makes of our answer."""
    accepted = A_ASSOCIATE_AC()
    accepted.decode(answer(read(octets), OFFERED, prefer, 16384).octets)
    return accepted


def item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(body)) + body


USER = item(0x50, item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3"))
APPLICATION = item(0x10, b"1.2.840.10008.3.1.1.1")


def context(number: int = 1, abstract: bytes = WORKLIST.encode(), *transfer: bytes) -> bytes:
    syntaxes = b"".join(item(0x40, uid) for uid in transfer or (IMPLICIT.encode(),))
    return item(0x20, bytes((number, 0, 0, 0)) + item(0x30, abstract) + syntaxes)


def request(
    *items: bytes,
    called: bytes = b"MWL".ljust(16),
    calling: bytes = b"CT1".ljust(16),
    reserved: bytes = bytes(32),
) -> bytes:
    body = struct.pack(">HH", 1, 0) + called + calling + reserved + b"".join(items)
    return struct.pack(">BxI", 1, len(body)) + body


def test_the_proposal_says_who_asks_for_what(request_octets: Make) -> None:
    """Titles, limits, implementation and contexts are read as pynetdicom wrote them."""
    octets = request_octets((WORKLIST, [EXPLICIT, IMPLICIT]), calling="CT 1", called="MWL", max_pdu=4096)
    facts = read(octets).facts("192.0.2.1")

    assert (facts.calling_ae, facts.called_ae, facts.address, facts.max_pdu) == (
        "CT 1",
        "MWL",
        "192.0.2.1",
        4096,
    )
    assert (facts.implementation_uid, facts.implementation_version) == ("1.2.3.4", "PEER_1")
    assert [(cx.id, cx.abstract_syntax, cx.transfer_syntaxes) for cx in facts.contexts] == [
        (1, WORKLIST, (EXPLICIT, IMPLICIT))
    ]


@pytest.mark.parametrize(
    ("proposed", "prefer", "chosen"),
    [
        ([EXPLICIT, IMPLICIT], None, EXPLICIT),
        ([DEFLATED, BIG_ENDIAN, IMPLICIT], None, BIG_ENDIAN),
        ([EXPLICIT, IMPLICIT], [IMPLICIT, EXPLICIT], IMPLICIT),
        ([EXPLICIT], [DEFLATED, EXPLICIT], EXPLICIT),
    ],
)
def test_the_peers_first_syntax_is_taken_unless_a_device_prefers_another(
    request_octets: Make, proposed: list[str], prefer: list[str] | None, chosen: str
) -> None:
    """The requestor's order decides, a preference overrules it, and nothing unsupported is taken (A-03)."""
    accepted = answer(read(request_octets((WORKLIST, proposed))), OFFERED, prefer, 16384)

    assert accepted.contexts == {1: Context(1, WORKLIST, chosen)}


def test_each_context_has_its_own_result(request_octets: Make) -> None:
    """Unknown abstract syntax 3, no known transfer syntax 4, the rest accepted, all in one answer (F-A04)."""
    octets = request_octets(
        ("1.2.840.10008.5.1.4.1.1.2", [IMPLICIT]), (WORKLIST, [DEFLATED]), (PERFORMED, [IMPLICIT])
    )

    assert [(cx.context_id, cx.result) for cx in accept(octets).presentation_context] == [
        (1, 3),
        (3, 4),
        (5, 0),
    ]


def test_one_sop_class_may_be_proposed_twice(request_octets: Make) -> None:
    """Each of several contexts of one abstract syntax is accepted with its own transfer syntax."""
    accepted = answer(
        read(request_octets((WORKLIST, [IMPLICIT]), (WORKLIST, [EXPLICIT]))), OFFERED, None, 16384
    )

    assert [cx.transfer_syntax for cx in accepted.contexts.values()] == [IMPLICIT, EXPLICIT]


def test_the_answer_says_who_we_are(request_octets: Make) -> None:
    """Maximum length, implementation class and version are ours."""
    user = accept(request_octets((WORKLIST, [IMPLICIT]))).user_information

    assert (user.maximum_length, user.implementation_class_uid) == (16384, IMPLEMENTATION_UID)
    assert user.implementation_version_name == IMPLEMENTATION_VERSION


def test_titles_and_reserved_octets_go_back_as_they_came() -> None:
    """PS3.8 Table 9-17 wants the same octets, padding and all."""
    octets = request(APPLICATION, context(), USER, called=b"  MWL\0".ljust(16), reserved=bytes(range(32)))

    assert answer(read(octets), OFFERED, None, 16384).octets[10:74] == octets[10:74]


def role(sop_class: str, *, scu: bool, scp: bool) -> SCP_SCU_RoleSelectionNegotiation:
    proposed = SCP_SCU_RoleSelectionNegotiation()
    proposed.sop_class_uid, proposed.scu_role, proposed.scp_role = sop_class, scu, scp
    return proposed


@pytest.mark.parametrize(("scp", "granted"), [(False, (1, 0)), (True, (1, 0))])
def test_a_proposed_role_is_answered(request_octets: Make, scp: bool, granted: tuple[int, int]) -> None:
    """The peer may be SCU and never SCP (A-04, B-01)."""
    accepted = accept(request_octets((PERFORMED, [IMPLICIT]), extra=[role(PERFORMED, scu=True, scp=scp)]))
    (answered,) = accepted.user_information.role_selection.values()

    assert (answered.scu_role, answered.scp_role) == granted
    assert accepted.presentation_context[0].result == 0


def test_a_peer_that_would_only_be_scp_gets_no_context(request_octets: Make) -> None:
    """There is nothing we would ask of it: user rejection."""
    accepted = accept(request_octets((PERFORMED, [IMPLICIT]), extra=[role(PERFORMED, scu=False, scp=True)]))

    assert accepted.presentation_context[0].result == 1


def test_no_role_is_answered_that_was_not_proposed(request_octets: Make) -> None:
    """Role selection is the requestor's to begin."""
    assert accept(request_octets((PERFORMED, [IMPLICIT]))).user_information.role_selection == {}


@pytest.mark.parametrize(
    ("sop_class", "offered", "answered"),
    [
        (WORKLIST, b"\1\1\1", b"\1\1\0"),  # F-C45
        (WORKLIST, b"\1\1\1\1", b"\1\1\0"),  # F-C46
        (WORKLIST, b"\1\1", None),
        (PERFORMED, b"\1\1\1", None),  # B-01
    ],
)
def test_extended_negotiation_is_answered_for_the_worklist(
    request_octets: Make, sop_class: str, offered: bytes, answered: bytes | None
) -> None:
    """Three bytes turn fuzzy matching and timezone adjustment down (A-05)."""
    proposed = SOPClassExtendedNegotiation()
    proposed.sop_class_uid, proposed.service_class_application_information = sop_class, offered
    user = accept(request_octets((WORKLIST, [IMPLICIT]), extra=[proposed])).user_information

    assert [i.app_info for i in user.ext_neg] == ([] if answered is None else [answered])


def test_extended_negotiation_is_not_begun_by_the_acceptor(request_octets: Make) -> None:
    """Nothing offered, nothing returned (F-C46)."""
    assert accept(request_octets((WORKLIST, [IMPLICIT]))).user_information.ext_neg == []


def test_a_wider_window_is_narrowed_to_one(request_octets: Make) -> None:
    """Asynchronous operations are answered 1/1 (PS3.7 D.3.3.3)."""
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked = window.maximum_number_operations_performed = 8
    answered = accept(
        request_octets((WORKLIST, [IMPLICIT]), extra=[window])
    ).user_information.async_ops_window

    assert (answered.max_operations_invoked, answered.max_operations_performed) == (1, 1)


def test_a_user_identity_is_read_and_not_answered(request_octets: Make) -> None:
    """It is there for admission to judge; its secret is in no representation (E-06)."""
    identity = UserIdentityNegotiation()
    identity.user_identity_type, identity.positive_response_requested = 2, True
    identity.primary_field, identity.secondary_field = b"user", b"passcode"
    octets = request_octets((WORKLIST, [IMPLICIT]), extra=[identity])
    found = read(octets).facts("").user_identity

    assert found is not None
    assert (found.type, found.primary, found.secondary) == (2, b"user", b"passcode")
    assert "passcode" not in repr(read(octets).facts(""))
    assert accept(octets).user_information.user_identity is None


@pytest.mark.parametrize(
    ("called", "calling", "reasons"),
    [
        (b"MWL", b"A\\B", Rejection(1, 1, 3)),  # F-A12
        (b"MWL", b"", Rejection(1, 1, 3)),
        (b"MWL", b"CT\x01", Rejection(1, 1, 3)),
        (b"MWL", b"CT\xff", Rejection(1, 1, 3)),
        (b"", b"CT1", Rejection(1, 1, 7)),
        (b"M\\L", b"CT1", Rejection(1, 1, 7)),
    ],
)
def test_what_is_no_ae_title_is_not_recognised(called: bytes, calling: bytes, reasons: Rejection) -> None:
    """Backslash, control characters, octets beyond ASCII and nothing at all are refused (E-05)."""
    octets = request(APPLICATION, context(), USER, called=called.ljust(16), calling=calling.ljust(16))

    assert read(octets).objection() == reasons


def test_another_application_context_is_refused() -> None:
    """1/1/2, also when there is none (E-04)."""
    other = request(item(0x10, b"1.2.3"), context(), USER)

    assert read(other).objection() == read(request(context(), USER)).objection() == Rejection(1, 1, 2)


def test_titles_padded_with_nul_are_understood() -> None:
    """Some peers fill the field with zero octets."""
    facts = read(request(APPLICATION, context(), USER, calling=b"CT1".ljust(16, b"\0"))).facts("")

    assert facts.calling_ae == "CT1"


def test_what_is_unknown_or_sloppy_is_tolerated() -> None:
    """Unknown items are ignored (PS3.8 9.3.1), padded UIDs and long version names accepted."""
    user = item(
        0x50,
        item(0x51, struct.pack(">I", 0))
        + item(0x52, b"1.2.3\0")
        + item(0x55, b"a\\version\x01that is long")
        + item(0x7F, b"?"),
    )
    proposal = read(
        request(
            item(0x99, b"?"),
            APPLICATION,
            context(1, WORKLIST.encode() + b"\0", IMPLICIT.encode() + b" "),
            user,
        )
    )

    assert proposal.objection() is None
    assert (
        proposal.user.max_pdu,
        proposal.user.implementation_uid,
        proposal.user.implementation_version,
    ) == (
        0,
        "1.2.3",
        "a\\version that i",
    )
    assert answer(proposal, OFFERED, None, 16384).contexts == {1: Context(1, WORKLIST, IMPLICIT)}


NESTED = USER
for _ in range(12_000):
    NESTED = NESTED if len(NESTED) > 60_000 else item(0x50, NESTED)

BROKEN = {
    "no context": request(APPLICATION, USER),
    "no user information": request(APPLICATION, context()),
    "same ID twice": request(APPLICATION, context(1), context(1), USER),
    "even ID": request(APPLICATION, context(2), USER),
    "no transfer syntax": request(APPLICATION, item(0x20, b"\1\0\0\0" + item(0x30, b"1.2")), USER),
    "two abstract syntaxes": request(APPLICATION, item(0x20, b"\1\0\0\0" + item(0x30, b"1.2") * 2 + item(0x40, b"1.2")), USER),
    "empty context": request(APPLICATION, item(0x20, b""), USER),
    "item too long": request(APPLICATION, context(), USER, b"\x20\x00\xff\xff\x01"),
    "item cut": request(APPLICATION, context(), USER, b"\x20\x00"),
    "sub-item too long": request(APPLICATION, context(), item(0x50, b"\x51\x00\x00\x09\x00")),
    "role cut": request(APPLICATION, context(), item(0x50, item(0x54, b"\x00\x40"))),
    "identity cut": request(APPLICATION, context(), item(0x50, item(0x58, b"\2\0\0\4user"))),
    "a PDU too small to use": request(APPLICATION, context(), item(0x50, item(0x51, struct.pack(">I", 7)))),
    "UID too long": request(APPLICATION, context(1, b"1" * 65), USER),
    "UID beyond ASCII": request(APPLICATION, context(1, b"1.\xff"), USER),
}  # fmt: skip


@pytest.mark.parametrize("octets", BROKEN.values(), ids=BROKEN)
def test_a_request_that_makes_no_sense_is_malformed(octets: bytes) -> None:
    """Each is told by its structure, not by what the codec trips over (E-10)."""
    with pytest.raises(Malformed):
        read(octets)


def test_items_do_not_nest_deeper_than_the_standard_says() -> None:
    """User information within user information is an unknown sub-item, and no recursion."""
    assert read(request(APPLICATION, context(), NESTED)).user.max_pdu == 16384


VALID = request(
    APPLICATION,
    context(1, WORKLIST.encode(), EXPLICIT.encode(), IMPLICIT.encode()),
    context(3, b"1.2.3"),
    USER,
)


@given(st.lists(st.tuples(st.integers(6, len(VALID) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_no_damage_is_unforeseen(changes: list[tuple[int, int]]) -> None:
    """A request with any octets changed is read and answered, or malformed."""
    octets = bytearray(VALID)
    for place, value in changes:
        octets[place] = value
    try:
        accepted = answer(read(bytes(octets)), OFFERED, None, 16384)
    except Malformed:
        return

    assert accepted.octets[0] == 2
