"""Who may associate, how many at a time, how it all ends; queries of foreign peers."""

from __future__ import annotations

import asyncio
import zlib
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation

from mwl.dicom import status
from mwl.dicom.acceptor import Acceptor, Settings
from mwl.dicom.association import Limits, Timeouts
from mwl.dicom.service import AssociationFacts, Extensions, Rejection, Reply, Request
from mwl.dicom.verification import VERIFICATION

WORKLIST, PERFORMED = "1.2.840.10008.5.1.4.31", "1.2.840.10008.3.1.2.3.3"
IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
UNKNOWN = "1.2.840.10008.5.1.4.1.1.2"
RELEASE = b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00"

PATIENT = {  # Patient's Name and Patient ID, as each transfer syntax has them
    IMPLICIT: bytes.fromhex("10001000 08000000")
    + b"DOE^JOHN"
    + bytes.fromhex("10002000 06000000")
    + b"PID001",
    EXPLICIT: bytes.fromhex("10001000 504e 0800")
    + b"DOE^JOHN"
    + bytes.fromhex("10002000 4c4f 0600")
    + b"PID001",
    BIG_ENDIAN: bytes.fromhex("00100010 504e 0008")
    + b"DOE^JOHN"
    + bytes.fromhex("00100020 4c4f 0006")
    + b"PID001",
}
_deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
PATIENT[DEFLATED] = _deflater.compress(PATIENT[EXPLICIT]) + _deflater.flush()
PATIENT[DEFLATED] += b"\0" * (len(PATIENT[DEFLATED]) % 2)  # PS3.5 A.5


async def succeed(request: Request, reply: Reply) -> None:
    await reply.send(status.SUCCESS)


async def three(request: Request, reply: Reply) -> None:
    await reply.stream([PATIENT[request.context.transfer_syntax]] * 3, status.PENDING)
    await reply.send(status.SUCCESS)


async def until_cancelled(request: Request, reply: Reply) -> None:
    while not request.cancelled():
        await reply.stream([PATIENT[request.context.transfer_syntax]] * 10, status.PENDING)
    await reply.send(status.CANCEL)


class Creates:
    """An N-CREATE service for tests."""

    sop_classes = (PERFORMED,)
    operations = frozenset({0x0140})

    def __init__(self) -> None:
        self.created: list[str | None] = []

    async def handle(self, request: Request, reply: Reply) -> None:
        self.created.append(request.command.affected_sop_instance_uid)
        await reply.send(status.SUCCESS, data=request.data)


@pytest.mark.parametrize("rejection", [Rejection(1, 1, 3), Rejection(1, 1, 7), Rejection(1, 2, 1)])
async def test_who_is_not_admitted_is_told_why(start: Any, request_octets: Any, rejection: Rejection) -> None:
    """A-ASSOCIATE-RJ carries the reason, and whoever keeps count of refusals hears of it (F-A01, F-A02, F-A08)."""
    heard: list[tuple[str, Rejection]] = []
    running = await start(
        admit=lambda facts: rejection if facts.calling_ae == "STRANGER" else None,
        on_rejected=lambda facts, why: heard.append((facts.calling_ae, why)),
    )
    peer = await running.connect()
    peer.send(request_octets((VERIFICATION, [IMPLICIT]), calling="STRANGER"))

    assert await peer.receive() == (3, bytes((0, rejection.result, rejection.source, rejection.reason)))
    assert heard == [("STRANGER", rejection)]


async def test_a_rejected_peer_may_ask_again(start: Any, request_octets: Any) -> None:
    """A refusal is the end of one connection and of nothing else."""
    running = await start(admit=lambda facts: None if facts.calling_ae == "CT1" else Rejection(1, 1, 3))
    stranger = await running.connect()
    stranger.send(request_octets((VERIFICATION, [IMPLICIT]), calling="CT2"))
    await stranger.receive()

    assert await running.associated(request_octets((VERIFICATION, [IMPLICIT])))


async def test_more_associations_than_allowed_are_refused_for_now(start: Any, request_octets: Any) -> None:
    """2/3/2, and there is room again when one has ended (F-A03)."""
    running = await start(limits=Limits(associations=2))
    first, _ = await running.associated(), await running.associated()
    third = await running.connect()
    third.send(request_octets((VERIFICATION, [IMPLICIT])))
    refused = await third.receive()
    await third.close()
    await first.release()

    assert refused == (3, bytes((0, 2, 3, 2)))
    assert await running.associated()


async def test_connections_that_only_knock_are_bounded(start: Any) -> None:
    """Beyond twice the number of associations a connection is closed unheard."""
    running = await start(limits=Limits(associations=2))
    silent = [await running.connect() for _ in range(4)]
    fifth = await running.connect()

    assert await fifth.receive() == (0, b"")
    assert len(silent) == 4


async def test_unknown_contexts_do_not_end_the_association(
    start: Any, answers: Any, request_octets: Any
) -> None:
    """An association without a usable context is there to be released (F-A04)."""
    peer = await (await start(answers(succeed))).connect()
    accepted = await peer.associate(request_octets((UNKNOWN, [IMPLICIT])))
    peer.send(RELEASE)

    assert [context.result for context in accepted.presentation_context] == [3]
    assert (await peer.receive())[0] == 6


async def test_a_device_may_be_given_another_transfer_syntax(
    start: Any, answers: Any, request_octets: Any
) -> None:
    """`prefer` decides by device; for others their own order stands."""

    def prefer(facts: AssociationFacts) -> list[str] | None:
        return [BIG_ENDIAN] if facts.calling_ae == "OLD" else None

    running = await start(answers(succeed), prefer=prefer)
    chosen = []
    for calling in ("OLD", "NEW"):
        peer = await running.connect()
        accepted = await peer.associate(request_octets((WORKLIST, [EXPLICIT, BIG_ENDIAN]), calling=calling))
        chosen.append(accepted.presentation_context[0].transfer_syntax)

    assert chosen == [BIG_ENDIAN, EXPLICIT]


@pytest.mark.parametrize(
    ("calling", "offered", "answered", "agreed"),
    [
        ("CT1", b"\1\1\1", b"\1\1\1", (True, False)),  # F-C45
        ("CT1", b"\1\1\1\1", b"\1\1\1\1", (True, True)),  # F-C46
        ("CT1", b"\1\1\0\1", b"\1\1\0\1", (False, True)),
        ("OLD", b"\1\1\1\1", b"\1\1\0\1", (False, True)),
        ("CT1", None, None, (False, False)),
    ],
)
async def test_what_was_agreed_is_known_to_the_service(
    start: Any, answers: Any, request_octets: Any, calling: str, offered: bytes | None,
    answered: bytes | None, agreed: tuple[bool, bool],
) -> None:  # fmt: skip
    """Fuzzy names and timezone adjustment: `extend` decides by device what may be had (A-05)."""
    service = answers(succeed)
    running = await start(service, extend=lambda facts: Extensions(fuzzy=facts.calling_ae != "OLD"))
    items = []
    if offered is not None:
        item = SOPClassExtendedNegotiation()
        item.sop_class_uid, item.service_class_application_information = WORKLIST, offered
        items.append(item)
    peer = await running.connect()
    accepted = await peer.associate(request_octets((WORKLIST, [IMPLICIT]), calling=calling, extra=items))
    peer.find()
    await peer.statuses()
    (request,) = service.requests

    assert [item.app_info for item in accepted.user_information.ext_neg] == ([answered] if answered else [])
    assert (request.association.fuzzy, request.association.timezone) == agreed


async def test_two_services_share_an_association(start: Any, answers: Any, request_octets: Any) -> None:
    """Worklist and performed steps on one association (E-14, F-A13)."""
    creates = Creates()
    running = await start(answers(three), creates)
    peer = await running.associated(request_octets((WORKLIST, [EXPLICIT]), (PERFORMED, [IMPLICIT])))
    peer.find(1)
    found = await peer.statuses()
    peer.request(
        0x0140, message_id=2, sop_class=PERFORMED, data=b"data", context=3, elements={0x1000: "1.2.3"}
    )
    command, data = await peer.response()

    assert found == [0xFF00, 0xFF00, 0xFF00, 0]
    assert (command.field, command.get(0x900), command.affected_sop_instance_uid, data) == (
        0x8140,
        0,
        "1.2.3",
        b"data",
    )
    assert creates.created == ["1.2.3"]


async def test_an_idle_association_is_ended_at_once_by_a_stop(start: Any) -> None:
    """A drain does not wait for modalities that keep associations open; they are told by an abort."""
    running = await start()
    peer, silent = await running.associated(), await running.connect()
    await running.acceptor.stop(60)

    assert await peer.receive() == (7, bytes(4))
    assert await silent.receive() == (0, b"")


async def test_a_stop_lets_a_running_operation_finish(start: Any, answers: Any) -> None:
    """The answer is sent, the peer may release, and no new peer gets in."""
    begun, let_on = asyncio.Event(), asyncio.Event()

    async def slow(request: Request, reply: Reply) -> None:
        begun.set()
        await let_on.wait()
        await reply.send(status.SUCCESS)

    running = await start(answers(slow))
    peer = await running.associated()
    peer.find()
    await begun.wait()
    stopping = asyncio.create_task(running.acceptor.stop(60))
    await asyncio.sleep(0)
    with pytest.raises(ConnectionRefusedError):
        await running.connect()
    let_on.set()
    found = await peer.statuses()
    await peer.release()
    await stopping

    assert found == [0]


async def test_a_drained_peer_that_does_not_release_is_aborted(start: Any, answers: Any) -> None:
    """After its last answer a peer has a moment to say farewell."""
    begun, let_on = asyncio.Event(), asyncio.Event()

    async def slow(request: Request, reply: Reply) -> None:
        begun.set()
        await let_on.wait()
        await reply.send(status.SUCCESS)

    running = await start(answers(slow), timeouts=Timeouts(farewell=0.05))
    peer = await running.associated()
    peer.find()
    await begun.wait()
    stopping = asyncio.create_task(running.acceptor.stop(60))
    await asyncio.sleep(0)
    let_on.set()
    found = await peer.statuses()

    assert found == [0]
    assert await peer.receive() == (7, bytes(4))
    await stopping


async def test_an_operation_that_does_not_finish_is_stopped(start: Any, answers: Any) -> None:
    """When the time to drain is over the service is cancelled and the peer told."""
    begun, over = asyncio.Event(), asyncio.Event()

    async def stuck(request: Request, reply: Reply) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            over.set()

    running = await start(answers(stuck))
    peer = await running.associated()
    peer.find()
    await begun.wait()
    await running.acceptor.stop(0.05)

    assert over.is_set()
    assert await peer.receive() == (7, bytes(4))


async def test_stopping_twice_or_before_starting_is_legal() -> None:
    """A broker that fails half way up can stop all its parts."""
    acceptor = Acceptor(Settings(port=0), lambda facts: None, {})
    await acceptor.stop()
    await acceptor.start()
    first = acceptor.address
    await acceptor.stop()
    await acceptor.stop()

    assert first[1] > 0
    with pytest.raises(RuntimeError):
        _ = acceptor.address


@pytest.mark.parametrize("option", ["-xe", "-xb", "-xi", "-xd", "-x="])
async def test_dcmtk_gets_the_matches_in_every_syntax(
    start: Any, answers: Any, dcmtk: Any, option: str
) -> None:
    """`findscu` reads three responses in the syntax it proposed first (F-C52)."""
    running = await start(answers(three))
    code, output = await dcmtk(
        "findscu", "-v", "-W", option, "-k", "0010,0010=", "127.0.0.1", str(running.port)
    )

    assert code == 0, output
    assert output.count("[DOE^JOHN]") == 3
    assert "Received Final Find Response (Success)" in output


async def test_dcmtk_may_cancel(start: Any, answers: Any, dcmtk: Any) -> None:
    """An endless answer ends with FE00 (F-C37)."""
    running = await start(answers(until_cancelled))
    code, output = await dcmtk(
        "findscu", "-v", "-W", "--cancel", "3", "-k", "0010,0010=", "127.0.0.1", str(running.port)
    )

    assert code == 0, output
    assert "MatchingTerminatedDueToCancelRequest" in output


async def test_pynetdicom_gets_the_matches_and_may_cancel(start: Any, answers: Any, scu: Any) -> None:
    """Its SCU reads three responses; then it cancels an endless answer and queries again (F-C37)."""
    handlers = [three, until_cancelled, three]

    async def in_turn(request: Request, reply: Reply) -> None:
        await handlers.pop(0)(request, reply)

    running = await start(answers(in_turn))
    scu.add_requested_context(WORKLIST, [EXPLICIT])

    def ask() -> tuple[list[int], int, list[int]]:
        keys = Dataset()
        keys.PatientName = ""
        association = scu.associate("127.0.0.1", running.port, ae_title="MWL")
        first = [code.Status for code, _ in association.send_c_find(keys, WORKLIST)]
        cancelled = 0
        for code, _ in association.send_c_find(keys, WORKLIST, msg_id=7):
            if not cancelled:
                association.send_c_cancel(7, query_model=WORKLIST)
            cancelled = code.Status
        again = [code.Status for code, _ in association.send_c_find(keys, WORKLIST)]
        association.release()
        return first, cancelled, again

    pending = [0xFF00] * 3 + [0]
    assert await asyncio.to_thread(ask) == (pending, 0xFE00, pending)


async def test_pynetdicom_creates_an_instance(start: Any, scu: Any) -> None:
    """N-CREATE with a data set comes back with status, instance and attribute list."""
    creates = Creates()
    running = await start(creates)
    scu.add_requested_context(PERFORMED, [IMPLICIT])

    def ask() -> tuple[int, str]:
        step = Dataset()
        step.PatientName, step.PerformedProcedureStepStatus = "DOE^JOHN", "IN PROGRESS"
        association = scu.associate("127.0.0.1", running.port, ae_title="MWL")
        code, attributes = association.send_n_create(step, PERFORMED, "1.2.3.4")
        association.release()
        return code.Status, str(attributes.PerformedProcedureStepStatus)

    assert await asyncio.to_thread(ask) == (0, "IN PROGRESS")
    assert creates.created == ["1.2.3.4"]
