"""From A-ASSOCIATE-RQ to A-ASSOCIATE-AC: what is read, accepted, refused and answered."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

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

from mwl.dicom import proposal as proposals
from mwl.dicom.negotiation import IMPLEMENTATION_UID, IMPLEMENTATION_VERSION, Answer, Terms, answer
from mwl.dicom.pdu import Malformed
from mwl.dicom.proposal import read
from mwl.dicom.service import NOTHING, Context, Extensions, Rejection

WORKLIST, PERFORMED = "1.2.840.10008.5.1.4.31", "1.2.840.10008.3.1.2.3.3"
IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED, JPEG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.50"
ARCHIVE_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
OFFERED = frozenset({WORKLIST, PERFORMED})

Make = Callable[..., bytes]


def terms(prefer: tuple[str, ...] = (), **more: Any) -> Terms:
    """Return what is agreed to in these tests."""
    return Terms(OFFERED, 16384, prefer, **more)


def accept(octets: bytes, **more: Any) -> A_ASSOCIATE_AC:
    """Return what pynetdicom's decoder makes of our answer."""
    return decoded(answer(read(octets), terms(**more)))


def decoded(answered: Answer) -> A_ASSOCIATE_AC:
    """Return an answer as pynetdicom reads it."""
    accepted = A_ASSOCIATE_AC()
    accepted.decode(answered.octets)
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
        ([EXPLICIT, IMPLICIT], (), EXPLICIT),
        ([JPEG, BIG_ENDIAN, IMPLICIT], (), BIG_ENDIAN),
        ([DEFLATED, IMPLICIT], (), DEFLATED),
        ([DEFLATED], (), DEFLATED),
        ([EXPLICIT, IMPLICIT], (IMPLICIT, EXPLICIT), IMPLICIT),
        ([EXPLICIT], (JPEG, EXPLICIT), EXPLICIT),
        ([JPEG, EXPLICIT], (IMPLICIT,), EXPLICIT),
        ([JPEG, EXPLICIT], (JPEG,), EXPLICIT),
    ],
)
def test_the_peers_first_syntax_is_taken_unless_a_device_prefers_another(
    request_octets: Make, proposed: list[str], prefer: tuple[str, ...], chosen: str
) -> None:
    """The requestor's order decides, a preference overrules it where it can, and nothing unsupported is taken (A-03)."""
    accepted = answer(read(request_octets((WORKLIST, proposed))), terms(prefer))

    assert accepted.contexts == {1: Context(1, WORKLIST, chosen)}


def test_each_context_has_its_own_result(request_octets: Make) -> None:
    """Unknown abstract syntax 3, no known transfer syntax 4, the rest accepted, all in one answer (F-A04)."""
    octets = request_octets(
        ("1.2.840.10008.5.1.4.1.1.2", [IMPLICIT]), (WORKLIST, [JPEG]), (PERFORMED, [IMPLICIT])
    )

    answered = answer(read(octets), terms())

    assert [(cx.context_id, cx.result) for cx in decoded(answered).presentation_context] == [
        (1, 3),
        (3, 4),
        (5, 0),
    ]
    assert answered.refused == (("1.2.840.10008.5.1.4.1.1.2", 3), (WORKLIST, 4))


def test_a_search_of_an_archive_is_refused_by_its_class(request_octets: Make) -> None:
    """Study Root FIND at the worklist's door is result 3, however often it is proposed (F09)."""
    octets = request_octets((ARCHIVE_FIND, [IMPLICIT]), (ARCHIVE_FIND, [EXPLICIT]), (WORKLIST, [EXPLICIT]))
    answered = answer(read(octets), terms())

    assert [cx.result for cx in decoded(answered).presentation_context] == [3, 3, 0]
    assert answered.refused == ((ARCHIVE_FIND, 3),)


def test_as_many_contexts_as_there_can_be_are_answered_in_order(request_octets: Make) -> None:
    """128 contexts of one class, each with another list of syntaxes, each with its own result."""
    lists = [[JPEG, EXPLICIT], [JPEG], [BIG_ENDIAN, IMPLICIT]]
    answered = answer(read(request_octets(*((WORKLIST, lists[n % 3]) for n in range(128)))), terms())
    found = decoded(answered).presentation_context

    assert [(cx.context_id, cx.result) for cx in found] == [(2 * n + 1, (0, 4, 0)[n % 3]) for n in range(128)]
    assert [answered.contexts[n].transfer_syntax for n in (1, 5)] == [EXPLICIT, BIG_ENDIAN]
    assert {str(cx.transfer_syntax) for cx in found if cx.result == 0} == {EXPLICIT, BIG_ENDIAN}


def test_one_sop_class_may_be_proposed_twice(request_octets: Make) -> None:
    """Each of several contexts of one abstract syntax is accepted with its own transfer syntax."""
    accepted = answer(read(request_octets((WORKLIST, [IMPLICIT]), (WORKLIST, [EXPLICIT]))), terms())

    assert [cx.transfer_syntax for cx in accepted.contexts.values()] == [IMPLICIT, EXPLICIT]


def test_the_answer_says_who_we_are(request_octets: Make) -> None:
    """Maximum length, implementation class and version are ours."""
    user = accept(request_octets((WORKLIST, [IMPLICIT]))).user_information

    assert (user.maximum_length, user.implementation_class_uid) == (16384, IMPLEMENTATION_UID)
    assert user.implementation_version_name == IMPLEMENTATION_VERSION


def test_titles_and_reserved_octets_go_back_as_they_came() -> None:
    """PS3.8 Table 9-17 wants the same octets, padding and all."""
    octets = request(APPLICATION, context(), USER, called=b"  MWL\0".ljust(16), reserved=bytes(range(32)))

    assert answer(read(octets), terms()).octets[10:74] == octets[10:74]


def role(sop_class: str, *, scu: bool, scp: bool) -> SCP_SCU_RoleSelectionNegotiation:
    proposed = SCP_SCU_RoleSelectionNegotiation()
    proposed.sop_class_uid, proposed.scu_role, proposed.scp_role = sop_class, scu, scp
    return proposed


@pytest.mark.parametrize("scp", [False, True])
@pytest.mark.parametrize("sop_class", [PERFORMED, WORKLIST])
def test_a_proposed_role_is_answered(request_octets: Make, sop_class: str, scp: bool) -> None:
    """The peer may be SCU and never SCP (PS3.7 D.3.3.4, A-04, B-01)."""
    accepted = accept(request_octets((sop_class, [IMPLICIT]), extra=[role(sop_class, scu=True, scp=scp)]))
    (answered,) = accepted.user_information.role_selection.values()

    assert (answered.scu_role, answered.scp_role) == (1, 0)
    assert accepted.presentation_context[0].result == 0


@pytest.mark.parametrize("scp", [0, 1])
def test_a_peer_that_would_not_be_scu_gets_no_context(scp: int) -> None:
    """There is nothing we would ask of it: user rejection, and no role for what was refused."""
    proposed = item(0x54, struct.pack(">H", len(PERFORMED)) + PERFORMED.encode() + bytes((0, scp)))
    user = item(0x50, item(0x51, struct.pack(">I", 16384)) + proposed)
    accepted = accept(request(APPLICATION, context(1, PERFORMED.encode()), user))

    assert accepted.presentation_context[0].result == 1
    assert accepted.user_information.role_selection == {}


def test_each_sop_class_has_its_own_role(request_octets: Make) -> None:
    """A role for one class says nothing of another, nor of one that was refused or not proposed."""
    octets = request_octets(
        (WORKLIST, [IMPLICIT]), (PERFORMED, [IMPLICIT]), (ARCHIVE_FIND, [IMPLICIT]),
        extra=[role(PERFORMED, scu=False, scp=True), role(ARCHIVE_FIND, scu=True, scp=False),
               role("1.2.840.10008.1.1", scu=True, scp=False), role(WORKLIST, scu=True, scp=True)],
    )  # fmt: skip
    accepted = accept(octets)

    assert [cx.result for cx in accepted.presentation_context] == [0, 1, 3]
    assert set(accepted.user_information.role_selection) == {WORKLIST}


def test_no_role_is_answered_that_was_not_proposed(request_octets: Make) -> None:
    """Role selection is the requestor's to begin."""
    assert accept(request_octets((PERFORMED, [IMPLICIT]))).user_information.role_selection == {}


def extension(sop_class: str, information: bytes) -> SOPClassExtendedNegotiation:
    proposed = SOPClassExtendedNegotiation()
    proposed.sop_class_uid, proposed.service_class_application_information = sop_class, information
    return proposed


BOTH = Extensions(fuzzy=True, timezone=True)
NAMES = Extensions(fuzzy=True, timezone=False)


@pytest.mark.parametrize(
    ("offered", "ours", "answered", "granted"),
    [
        (b"\1\1\1", BOTH, b"\1\1\1", NAMES),  # F-C45
        (b"\1\1\1", NOTHING, b"\1\1\0", NOTHING),
        (b"\1\1\0", BOTH, b"\1\1\0", NOTHING),
        (b"\1\1\1\1", BOTH, b"\1\1\1\1", BOTH),  # F-C46
        (b"\1\1\1\1", NAMES, b"\1\1\1\0", NAMES),
        (b"\1\1\0\1", BOTH, b"\1\1\0\1", Extensions(fuzzy=False, timezone=True)),
        (b"\1\1\1\1", NOTHING, b"\1\1\0\0", NOTHING),
        (b"\0\0\1\1", BOTH, b"\1\1\1\1", BOTH),  # the first two are reserved
        (b"\1\1\2\xff", BOTH, b"\1\1\0\0", NOTHING),
        (b"\1\1\1\1\1\1\1", BOTH, b"\1\1\1\1", BOTH),  # sub-fields nobody has defined
        (b"\1\1", BOTH, None, NOTHING),
        (b"", BOTH, None, NOTHING),
    ],
)
def test_extended_negotiation_is_answered_field_by_field(
    request_octets: Make, offered: bytes, ours: Extensions, answered: bytes | None, granted: Extensions
) -> None:
    """As long as the offer; each sub-field is 1 where it was offered and is to be had (A-05)."""
    octets = request_octets((WORKLIST, [IMPLICIT]), extra=[extension(WORKLIST, offered)])
    found = answer(read(octets), terms(extensions=ours))

    assert [i.app_info for i in decoded(found).user_information.ext_neg] == ([answered] if answered else [])
    assert found.extensions == granted


def test_extended_negotiation_is_not_begun_by_the_acceptor(request_octets: Make) -> None:
    """Nothing offered, nothing returned (F-C46)."""
    found = answer(read(request_octets((WORKLIST, [IMPLICIT]))), terms())

    assert decoded(found).user_information.ext_neg == []
    assert found.extensions == NOTHING


@pytest.mark.parametrize(
    ("proposed", "offered"),
    [(PERFORMED, PERFORMED), (PERFORMED, WORKLIST), (ARCHIVE_FIND, ARCHIVE_FIND)],
    ids=["B-01", "no context for it", "another class"],
)
def test_extended_negotiation_is_for_an_accepted_worklist_alone(
    request_octets: Make, proposed: str, offered: str
) -> None:
    """MPPS shall not have it, and what has no context needs none (B-01)."""
    octets = request_octets((proposed, [IMPLICIT]), extra=[extension(offered, b"\1\1\1\1")])

    assert accept(octets).user_information.ext_neg == []


@given(st.binary(min_size=3, max_size=8), st.booleans(), st.booleans())
def test_no_more_is_granted_than_was_offered_and_is_to_be_had(
    offered: bytes, fuzzy: bool, timezone: bool
) -> None:
    """Never a longer answer than the offer, never a 1 for a 0 (A-05)."""
    item_56 = item(0x56, struct.pack(">H", len(WORKLIST)) + WORKLIST.encode() + offered)
    octets = request(APPLICATION, context(), item(0x50, item(0x51, struct.pack(">I", 16384)) + item_56))
    found = answer(read(octets), terms(extensions=Extensions(fuzzy, timezone)))
    (information,) = [i.app_info for i in decoded(found).user_information.ext_neg]

    assert len(information) == min(len(offered), 4)
    assert information[:2] == b"\1\1"
    assert information[2:] == bytes(
        (ours and theirs == 1) for ours, theirs in zip((fuzzy, timezone), offered[2:], strict=False)
    )


def test_a_wider_window_is_narrowed_to_one(request_octets: Make) -> None:
    """Asynchronous operations are answered 1/1 (PS3.7 D.3.3.3)."""
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked = window.maximum_number_operations_performed = 8
    answered = accept(
        request_octets((WORKLIST, [IMPLICIT]), extra=[window])
    ).user_information.async_ops_window

    assert (answered.max_operations_invoked, answered.max_operations_performed) == (1, 1)


def identity(kind: int, secondary: bytes = b"", *, wanted: bool = True) -> UserIdentityNegotiation:
    stated = UserIdentityNegotiation()
    stated.user_identity_type, stated.positive_response_requested = kind, wanted
    stated.primary_field, stated.secondary_field = b"user", secondary
    return stated


def test_a_user_identity_is_read_and_kept_secret(request_octets: Make) -> None:
    """It is there to be checked; its secret is in no representation, and no service sees it (E-06)."""
    proposal = read(request_octets((WORKLIST, [IMPLICIT]), extra=[identity(2, b"passcode")]))
    found = proposal.user.identity

    assert found is not None
    assert (found.type, found.primary, found.secondary, found.answer_wanted) == (
        2,
        b"user",
        b"passcode",
        True,
    )
    assert "passcode" not in repr(proposal)
    assert "passcode" not in repr(proposal.facts(""))


def test_a_name_without_the_length_of_a_passcode_is_read() -> None:
    """Some leave out what would be zero."""
    octets = request(APPLICATION, context(), item(0x50, item(0x58, b"\1\0\0\4user")))
    found = read(octets).user.identity

    assert found is not None
    assert (found.type, found.primary, found.secondary, found.answer_wanted) == (1, b"user", b"", False)


@pytest.mark.parametrize("stated", [identity(1), identity(2, b"passcode")], ids=["name", "name and passcode"])
def test_an_accepted_user_is_answered_with_nothing_in_it(
    request_octets: Make, stated: UserIdentityNegotiation
) -> None:
    """Sub-item 59H with a server response of length zero (F-A09)."""
    found = answer(read(request_octets((WORKLIST, [IMPLICIT]), extra=[stated])), terms(identified=True))

    assert b"\x59\0\0\2\0\0" in found.octets
    assert decoded(found).user_information.user_identity.server_response == b""


@pytest.mark.parametrize(
    ("stated", "identified"),
    [(identity(1), False), (identity(1, wanted=False), True), (identity(3), False)],
    ids=["not checked", "no answer wanted", "Kerberos"],
)
def test_a_user_is_not_answered_otherwise(
    request_octets: Make, stated: UserIdentityNegotiation, identified: bool
) -> None:
    """Who was not checked, and who does not ask, gets no 59H (E-06)."""
    octets = request_octets((WORKLIST, [IMPLICIT]), extra=[stated])

    assert accept(octets, identified=identified).user_information.user_identity is None


def test_a_request_is_remembered_unless_it_states_a_user(request_octets: Make) -> None:
    """A passcode does not outlive its association, whatever the octet after the item's type says."""
    plain = request_octets((WORKLIST, [IMPLICIT]), calling="AGAIN")
    octets = request_octets((WORKLIST, [IMPLICIT]), extra=[identity(2, b"passcode")])
    reserved = octets.replace(b"\x58\0", b"\x58\xff")

    assert read(plain) is read(plain)
    assert read(octets) is not read(octets)
    assert read(reserved).user.identity is not None
    assert read(reserved) is not read(reserved)


def test_what_is_remembered_is_bounded(request_octets: Make) -> None:
    """A stranger who asks each time in other words makes nothing grow."""
    for number in range(2 * proposals._MOST_REMEMBERED):
        read(request_octets((WORKLIST, [IMPLICIT]), calling=f"A{number}"))

    assert len(proposals._remembered) <= proposals._MOST_REMEMBERED


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
    assert answer(proposal, terms()).contexts == {1: Context(1, WORKLIST, IMPLICIT)}


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
        accepted = answer(read(bytes(octets)), terms())
    except Malformed:
        return

    assert accepted.octets[0] == 2
