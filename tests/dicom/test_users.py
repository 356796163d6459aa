"""Whom a peer says it acts for: who is accepted, who is refused, and that a passcode costs the loop nothing."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from pynetdicom.events import EVT_PDU_RECV
from pynetdicom.pdu import A_ASSOCIATE_RJ, PDU
from pynetdicom.pdu_primitives import UserIdentityNegotiation

from mwl.config.passwords import PlainPassword, hashed
from mwl.dicom.association import Limits
from mwl.dicom.service import Reply, Request, UserIdentity
from mwl.dicom.users import Users, Verdict

WORKLIST, IMPLICIT = "1.2.840.10008.5.1.4.31", "1.2.840.10008.1.2"
ANYONE, REFUSED = Verdict(accepted=True), Verdict(accepted=False)
ABORT = b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00"
PLAIN = {"anna": PlainPassword(b"secret"), "jürgen": PlainPassword("straße".encode()), "open": None}


def said(kind: int, name: str = "", passcode: str = "") -> UserIdentity:
    return UserIdentity(kind, name.encode(), passcode.encode())


class Slow:
    """A password whose check waits to be let on, in its thread."""

    slow = True

    def __init__(self, password: bytes = b"secret") -> None:
        self.password = password
        self.begun, self.opened = threading.Event(), threading.Event()
        self.checks = 0

    def matches(self, passcode: bytes) -> bool:
        self.checks += 1
        self.begun.set()
        assert self.opened.wait(10)
        return passcode == self.password


@pytest.mark.parametrize("identity", [None, said(1, "x"), said(2, "x", "y"), said(3), said(5), said(99)])
def test_without_users_nobody_is_looked_at(identity: UserIdentity | None) -> None:
    """Accepted, and not answered: the standard allows it (E-06)."""
    assert Users().judge(identity) == ANYONE


@pytest.mark.parametrize(
    ("identity", "verdict"),
    [
        (said(2, "anna", "secret"), Verdict(accepted=True, user="anna")),
        (said(2, "jürgen", "straße"), Verdict(accepted=True, user="jürgen")),
        (said(2, "anna\0", "secret"), Verdict(accepted=True, user="anna")),
        (said(2, "anna", "wrong"), REFUSED),  # F-A08
        (said(2, "anna", ""), REFUSED),
        (said(2, "anna", "secret "), REFUSED),
        (said(2, "Anna", "secret"), REFUSED),
        (said(2, "berta", "secret"), REFUSED),
        (said(2, "", ""), REFUSED),
        (said(1, "anna"), REFUSED),  # a name proves nothing where there is a password
        (said(1, "open"), Verdict(accepted=True, user="open")),
        (said(2, "open", "anything"), Verdict(accepted=True, user="open")),
        (said(1, "berta"), REFUSED),
    ],
)
@pytest.mark.parametrize("required", [True, False])
def test_a_stated_user_is_checked(identity: UserIdentity, verdict: Verdict, required: bool) -> None:
    """Name, and passcode where there is one; octet by octet (PS3.7 D.3.3.7)."""
    assert Users(PLAIN, required=required).judge(identity) == verdict


@pytest.mark.parametrize("identity", [None, said(0, "anna"), said(3, "ticket"), said(4), said(5), said(6)])
def test_what_cannot_be_checked_counts_as_nothing_said(identity: UserIdentity | None) -> None:
    """Kerberos, SAML and JWT are passed over, or refused where a user is required."""
    assert Users(PLAIN).judge(identity) == ANYONE
    assert Users(PLAIN, required=True).judge(identity) == REFUSED


async def test_a_hash_is_checked_once() -> None:
    """A right passcode is remembered, a wrong one is hashed every time."""
    slow = Slow()
    slow.opened.set()
    users = Users({"anna": slow})
    right, wrong = said(2, "anna", "secret"), said(2, "anna", "wrong")
    verdicts = [await users.check(identity) for identity in (right, right, wrong, wrong)]

    assert verdicts == [Verdict(accepted=True, user="anna")] * 2 + [REFUSED] * 2
    assert slow.checks == 3
    assert users.judge(right) == Verdict(accepted=True, user="anna")
    assert users.judge(wrong) is None


async def test_many_at_once_are_checked_one_after_the_other() -> None:
    """So that a crowd with wrong passcodes takes one core at most; who says the same waits and is not hashed."""
    slow = Slow()
    users = Users({"anna": slow})
    checks = [asyncio.create_task(users.check(said(2, "anna", "secret"))) for _ in range(5)]
    await asyncio.to_thread(slow.begun.wait, 10)
    running = slow.checks
    slow.opened.set()

    assert await asyncio.gather(*checks) == [Verdict(accepted=True, user="anna")] * 5
    assert (running, slow.checks) == (1, 1)


async def test_what_is_remembered_is_bounded() -> None:
    """It is as much as the users of a site."""
    slow = Slow()
    slow.opened.set()
    names = [f"user{n}" for n in range(300)]
    users = Users(dict.fromkeys(names, slow))
    for name in names:
        await users.check(said(2, name, "secret"))

    assert len(users._right) == 256
    assert users.judge(said(2, "user299", "secret"))
    assert users.judge(said(2, "user0", "secret")) is None


# --- on the wire -----------------------------------------------------------------------------------


def request_of(request_octets: Any, kind: int, passcode: bytes = b"", *, wanted: bool = True) -> bytes:
    item = UserIdentityNegotiation()
    item.user_identity_type, item.positive_response_requested = kind, wanted
    item.primary_field, item.secondary_field = b"anna", passcode
    return request_octets((WORKLIST, [IMPLICIT]), extra=[item])


async def succeed(request: Request, reply: Reply) -> None:
    await reply.send(0)


async def test_a_wrong_passcode_is_rejected_for_good(start: Any, answers: Any, request_octets: Any) -> None:
    """A-ASSOCIATE-RJ 1/2/1, and whoever keeps count of refusals hears of it (F-A08)."""
    heard: list[Any] = []
    users = Users(PLAIN)
    running = await start(
        answers(succeed),
        users=lambda: users,
        on_rejected=lambda facts, why: heard.append((facts.calling_ae, why)),
    )
    peer = await running.connect()
    peer.send(request_of(request_octets, 2, b"wrong"))

    assert await peer.receive() == (3, b"\0\1\2\1")
    assert [(name, (why.result, why.source, why.reason)) for name, why in heard] == [("CT1", (1, 2, 1))]


@pytest.mark.parametrize(
    "password", [PlainPassword(b"secret"), hashed("secret"), None], ids=["plain", "hash", "none"]
)
@pytest.mark.parametrize("wanted", [True, False])
async def test_a_right_passcode_is_accepted_and_answered_if_asked(
    start: Any, answers: Any, request_octets: Any, password: Any, wanted: bool
) -> None:
    """59H of length zero where an answer is wanted (F-A09); the service knows the user, and not the passcode."""
    service, users = answers(succeed), Users({"anna": password})
    running = await start(service, users=lambda: users)
    peer = await running.connect()
    accepted = await peer.associate(request_of(request_octets, 2, b"secret", wanted=wanted))
    peer.find()
    await peer.statuses()
    answered = accepted.user_information.user_identity

    assert (answered is not None and answered.server_response == b"") is wanted
    assert service.requests[0].association.user == "anna"
    assert "secret" not in repr(service.requests)


async def test_who_is_not_checked_gets_no_answer(start: Any, answers: Any, request_octets: Any) -> None:
    """Neither user nor passcode is looked at where none are configured (E-06)."""
    service = answers(succeed)
    peer = await (await start(service)).connect()
    accepted = await peer.associate(request_of(request_octets, 2, b"anything"))
    peer.find()
    await peer.statuses()

    assert accepted.user_information.user_identity is None
    assert service.requests[0].association.user == ""


async def test_pynetdicom_is_accepted_by_its_passcode(start: Any, answers: Any, scu: Any) -> None:
    """A foreign requestor gets its association, and with a wrong passcode a permanent rejection."""
    users = Users({"anna": hashed("secret")})
    running = await start(answers(succeed), users=lambda: users)
    scu.add_requested_context(WORKLIST, [IMPLICIT])

    def ask(passcode: bytes) -> tuple[bool, bool]:
        item = UserIdentityNegotiation()
        item.user_identity_type, item.positive_response_requested = 2, True
        item.primary_field, item.secondary_field = b"anna", passcode
        answers: list[PDU] = []  # pynetdicom forgets a rejection whose connection is closed before it looks
        kept = [(EVT_PDU_RECV, lambda event: answers.append(event.pdu))]
        association = scu.associate(
            "127.0.0.1", running.port, ae_title="MWL", ext_neg=[item], evt_handlers=kept
        )
        established = association.is_established
        if established:
            association.release()
        return established, any(isinstance(answer, A_ASSOCIATE_RJ) for answer in answers)

    assert await asyncio.to_thread(ask, b"secret") == (True, False)
    assert await asyncio.to_thread(ask, b"wrong") == (False, True)


@pytest.fixture
async def deciding(start: Any, answers: Any, request_octets: Any) -> Any:
    """A peer whose passcode is being checked, the acceptor, and the check."""
    slow = Slow()
    users = Users({"anna": slow})
    admitted = [None]
    running = await start(
        answers(succeed), users=lambda: users, limits=Limits(associations=1), admit=lambda facts: admitted[0]
    )
    peer = await running.connect()
    peer.send(request_of(request_octets, 2, b"secret"))
    await asyncio.to_thread(slow.begun.wait, 10)
    yield peer, running, slow
    slow.opened.set()


async def test_the_loop_does_not_wait_for_a_hash(deciding: Any, request_octets: Any) -> None:
    """Another peer associates meanwhile; and takes the last place, which is told by 2/3/2."""
    peer, running, slow = deciding
    other = await running.associated(request_octets((WORKLIST, [IMPLICIT])))
    other.find()
    served = await other.statuses()
    slow.opened.set()

    assert served == [0]
    assert await peer.receive() == (3, b"\0\2\3\2")


@pytest.mark.parametrize(
    ("octets", "answer"),
    [
        (b"\x04\0\0\0\0\x08\0\0\0\4\1\3ab", (7, b"\0\0\2\2")),  # Sta3, Evt10: AA-8
        (b"\x05\0\0\0\0\4\0\0\0\0", (7, b"\0\0\2\2")),  # Evt12: AA-8
        (b"\x06\0\0\0\0\4\0\0\0\0", (7, b"\0\0\2\2")),  # Evt13: AA-8
        (b"\x99\0\0\0\0\4\0\0\0\0", (7, b"\0\0\2\1")),  # Evt19: AA-8
        (ABORT, (0, b"")),  # Evt16: AA-3
    ],
    ids=["data", "release", "release response", "unknown", "abort"],
)
async def test_whatever_is_said_during_the_decision_ends_it(
    deciding: Any, octets: bytes, answer: tuple[int, bytes]
) -> None:
    """PS3.8 Table 9-10, Sta3; when the check is done nothing more is said."""
    peer, running, slow = deciding
    peer.send(octets)
    answered = await peer.receive()
    slow.opened.set()
    await running.acceptor.stop(5)
    after = await peer.receive()

    assert answered == answer
    assert after == (0, b"")


async def test_a_peer_may_change_its_mind_before_the_decision_began(
    start: Any, answers: Any, request_octets: Any
) -> None:
    """Request and abort in one write: nothing is checked, and no task is left."""
    slow = Slow()
    users = Users({"anna": slow})
    running = await start(answers(succeed), users=lambda: users)
    peer = await running.connect()
    peer.send(request_of(request_octets, 2, b"secret") + ABORT)

    assert await peer.receive() == (0, b"")
    await running.acceptor.stop(5)
    assert (slow.checks, running.acceptor._tasks) == (0, set())


async def test_a_peer_that_leaves_during_the_decision_leaves_nothing(
    deciding: Any, request_octets: Any
) -> None:
    """Sta3, Evt17: its place in the line is free at once, and so is its connection's."""
    peer, running, slow = deciding
    waiting = await running.connect()
    waiting.send(request_of(request_octets, 2, b"wrong"))
    await peer.close()
    slow.opened.set()

    assert await waiting.receive() == (3, b"\0\1\2\1")
    assert slow.checks == 2
    await running.acceptor.stop(5)
    assert not running.acceptor._tasks


async def test_a_stop_does_not_wait_for_a_decision(deciding: Any) -> None:
    """The peer is told by an abort, and no task is left."""
    peer, running, slow = deciding
    stopping = asyncio.create_task(running.acceptor.stop(5))
    answer = await peer.receive()
    slow.opened.set()
    await stopping

    assert answer == (7, bytes(4))
    assert not running.acceptor._tasks
