"""What a peer gets for its requests, and what becomes of them when it goes away."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from mwl.dicom import status
from mwl.dicom.association import Limits
from mwl.dicom.dimse import Message, MessageLimits
from mwl.dicom.operations import Operations
from mwl.dicom.service import (
    AssociationEnded,
    AssociationFacts,
    Command,
    Context,
    NotAuthorized,
    Reply,
    Request,
)
from mwl.dicom.verification import VERIFICATION
from mwl.errors import MwlError, ProtocolViolation, Refusal, Refused, Unavailable

WORKLIST, PERFORMED = "1.2.840.10008.5.1.4.31", "1.2.840.10008.3.1.2.3.3"
IMPLICIT = "1.2.840.10008.1.2"
ABORT = b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00"


class Gate:
    """A service's handler that begins, waits to be let on, and tells how it ended."""

    def __init__(self) -> None:
        self.begun, self.opened, self.over = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.error: BaseException | None = None

    async def __call__(self, request: Request, reply: Reply) -> None:
        self.begun.set()
        try:
            await self.opened.wait()
            await reply.send(status.CANCEL if request.cancelled() else status.SUCCESS)
        except BaseException as error:
            self.error = error
            raise
        finally:
            self.over.set()


async def succeed(request: Request, reply: Reply) -> None:
    await reply.send(status.SUCCESS)


async def three(request: Request, reply: Reply) -> None:
    await reply.stream([b"one.", b"two.", b"three."], status.PENDING)
    await reply.send(status.SUCCESS)


async def test_a_find_is_answered_with_its_matches_and_a_final_status(start: Any, answers: Any) -> None:
    """Pendings carry a data set and the request's Message ID, the final response carries none (A-09)."""
    running = await start(answers(three))
    peer = await running.associated()
    peer.find(4711)
    responses = [await peer.response() for _ in range(4)]

    assert [data for _, data in responses] == [b"one.", b"two.", b"three.", b""]
    assert [command.get(0x900) for command, _ in responses] == [0xFF00, 0xFF00, 0xFF00, 0]
    assert {command.message_id_responded_to for command, _ in responses} == {4711}
    assert {command.field for command, _ in responses} == {0x8020}
    assert {command.affected_sop_class_uid for command, _ in responses} == {WORKLIST}


async def test_the_service_sees_command_data_context_and_peer(start: Any, answers: Any) -> None:
    """A request says all there is to know."""
    service = answers(succeed)
    peer = await (await start(service)).associated()
    peer.find(3)
    await peer.response()
    (request,) = service.requests

    assert (request.command.field, request.command.message_id) == (0x20, 3)
    assert request.data == bytes.fromhex("1000100000000000")
    assert (request.context.id, request.context.transfer_syntax) == (1, IMPLICIT)
    assert (request.association.calling_ae, request.association.address) == ("CT1", "127.0.0.1")


async def test_a_request_without_message_id_is_answered(start: Any, answers: Any) -> None:
    """It is taken for number 1, and the service sees that there was none (F52)."""
    service = answers(three)
    peer = await (await start(service)).associated()
    peer.find(None)
    command, _ = await peer.response()

    assert command.message_id_responded_to == 1
    assert service.requests[0].command.message_id is None


async def test_a_request_without_sop_class_means_its_contexts(start: Any, answers: Any) -> None:
    """The response names the context's abstract syntax (12.2)."""
    peer = await (await start(answers(three))).associated()
    peer.find(sop_class=None)
    command, _ = await peer.response()

    assert (command.get(0x900), command.affected_sop_class_uid) == (0xFF00, WORKLIST)


async def test_a_find_without_identifier_reaches_the_service_as_such(start: Any, answers: Any) -> None:
    """Command Data Set Type 0101 gives no data, not an empty data set (12.2)."""
    service = answers(succeed)
    peer = await (await start(service)).associated()
    peer.request(0x20)
    await peer.response()

    assert service.requests[0].data is None


@pytest.mark.parametrize("field", [0x0001, 0x0030, 0x0100, 0x0110, 0x0130, 0x0150, 0x0777])
async def test_an_operation_nobody_offers_is_unrecognised(start: Any, answers: Any, field: int) -> None:
    """0x0211 in the response to that operation, and the association goes on (B-16)."""
    peer = await (await start(answers(three))).associated()
    peer.request(field)
    command, _ = await peer.response()
    peer.find(2)

    assert (command.get(0x900), command.field) == (status.UNRECOGNIZED_OPERATION, field | 0x8000)
    assert (await peer.statuses())[-1] == 0


@pytest.mark.parametrize(
    ("field", "tag", "code"),
    [(0x20, 0x2, status.SOP_CLASS_NOT_SUPPORTED), (0x120, 0x3, status.NO_SUCH_SOP_CLASS)],
)
async def test_a_sop_class_other_than_the_contexts_is_refused(
    start: Any, answers: Any, field: int, tag: int, code: int
) -> None:
    """0x0122 for DIMSE-C, 0x0118 for DIMSE-N."""
    service = answers(three)
    peer = await (await start(service)).associated()
    peer.request(field, sop_class=None, elements={tag: "1.2.3"})
    command, _ = await peer.response()

    assert command.get(0x900) == code
    assert service.requests == []


async def test_a_data_set_too_long_is_refused_not_kept(start: Any, answers: Any) -> None:
    """0xA700, then the association is usable."""
    service = answers(three)
    running = await start(service, limits=Limits(message=MessageLimits(identifier=1000)))
    peer = await running.associated()
    peer.request(0x20, data=bytes(1002))
    command, _ = await peer.response()
    peer.find(2)

    assert command.get(0x900) == status.OUT_OF_RESOURCES
    assert (await peer.statuses())[-1] == 0
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unavailable("the store is down"), status.UNABLE_STORE),
        (Unavailable("fields of any name", name="x", level=1, calling_ae="y"), status.UNABLE_STORE),
        (NotAuthorized("no device"), status.NOT_AUTHORIZED),
        (ProtocolViolation("not a data set"), status.UNABLE_TO_DECODE),
        (MwlError("no"), status.UNABLE_INTERNAL),
        (KeyError("DOE^JOHN"), status.UNABLE_INTERNAL),
        (asyncio.CancelledError(), status.UNABLE_INTERNAL),
    ],
)
async def test_an_error_is_a_failure_status(
    start: Any, answers: Any, error: BaseException, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Each kind has its status and a generic comment; a defect is logged with its traceback, once (A-14)."""

    async def fail(request: Request, reply: Reply) -> None:
        raise error

    peer = await (await start(answers(fail))).associated()
    peer.find()
    command, data = await peer.response()

    assert (command.get(0x900), data) == (code, b"")
    assert "DOE" not in str(command.get(0x902))
    assert command.get(0x902)
    tracebacks = [record for record in caplog.records if record.exc_info]
    assert len(tracebacks) == (0 if isinstance(error, MwlError) else 1)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (Refusal.DUPLICATE, status.DUPLICATE_SOP_INSTANCE),
        (Refusal.UNKNOWN, status.NO_SUCH_SOP_INSTANCE),
        (Refusal.FINAL, status.PROCESSING_FAILURE),
    ],
)
def test_a_refusal_of_the_store_has_its_own_status(reason: Refusal, code: int) -> None:
    """0111, 0112, and 0110 with Error ID A710 (B-03 to B-05)."""
    failure = status.of(Refused(reason, "no"), 0x0120)

    assert failure.status == code
    assert (failure.fields.get(0x903) == 0xA710) is (reason is Refusal.FINAL)


async def test_a_service_that_forgets_its_final_response_does_not_leave_silence(
    start: Any, answers: Any
) -> None:
    """The peer gets a failure after the pendings that were sent."""

    async def forget(request: Request, reply: Reply) -> None:
        await reply.stream([b"one."], status.PENDING)

    peer = await (await start(answers(forget))).associated()
    peer.find()

    assert await peer.statuses() == [0xFF00, status.UNABLE_INTERNAL]


async def test_a_second_final_response_is_never_sent(start: Any, answers: Any) -> None:
    """A defect after the final response is logged; the peer is not confused by it."""

    async def twice(request: Request, reply: Reply) -> None:
        await reply.send(status.SUCCESS)
        await reply.send(status.UNABLE_INTERNAL)

    peer = await (await start(answers(twice))).associated()
    peer.find(1)
    peer.find(2)
    responses = [await peer.response() for _ in range(2)]

    assert [(c.message_id_responded_to, c.get(0x900)) for c, _ in responses] == [(1, 0), (2, 0)]


async def test_cancel_stops_a_stream_and_the_association_goes_on(start: Any, answers: Any) -> None:
    """After C-CANCEL comes FE00 without identifier, and the next query is answered (A-60, F-C37)."""

    async def endless(request: Request, reply: Reply) -> None:
        while not request.cancelled():
            await reply.stream([b"one."], status.PENDING)
        await reply.send(status.CANCEL)

    peer = await (await start(answers(endless))).associated()
    peer.find(5)
    await peer.response()
    peer.cancel(5)
    first = await peer.statuses()
    peer.find(6)
    await peer.response()
    peer.cancel(6)
    second = await peer.statuses()

    assert first[-1] == second[-1] == status.CANCEL


async def test_many_short_streams_let_the_loop_turn(answers: Any) -> None:
    """Others are served while slices that need no waiting are sent one after the other."""
    turns: list[int] = []

    async def slices(request: Request, reply: Reply) -> None:
        for number in range(20):
            asyncio.get_running_loop().call_soon(turns.append, number)
            await reply.stream([bytes(1000)] * 50, status.PENDING)
        turns.append(-1)
        await reply.send(status.SUCCESS)

    operations, channel = line(answers(slices))
    operations.take(message(0x20, message_id=1))
    await channel.task

    assert len(turns[: turns.index(-1)]) > 10


async def test_one_long_stream_hears_a_cancel_too(start: Any, answers: Any) -> None:
    """A stream in one call stops between two writes and tells how much was sent (F53)."""
    sent: list[int] = []

    async def long(request: Request, reply: Reply) -> None:
        sent.append(await reply.stream((bytes(1000) for _ in range(1_000_000)), status.PENDING))
        await reply.send(status.CANCEL)

    peer = await (await start(answers(long))).associated()
    peer.find(5)
    await peer.response()
    peer.cancel(5)
    found = await peer.statuses()

    assert found[-1] == status.CANCEL
    assert len(found) == sent[0] < 1_000_000


class FakeChannel:
    """A shell that keeps what is sent."""

    number = 1

    def __init__(self) -> None:
        self.sent = b""
        self.progress = 0
        self.task: asyncio.Task[None] | None = None

    def send(self, octets: bytes) -> None:
        self.sent += octets

    async def drained(self) -> None:
        pass

    def spawn(self, work: Any) -> asyncio.Task[None]:
        self.task = asyncio.get_running_loop().create_task(work)
        return self.task

    def progressed(self) -> None:
        self.progress += 1


def line(service: Any) -> tuple[Operations, FakeChannel]:
    channel = FakeChannel()
    return Operations({WORKLIST: service}, AssociationFacts("CT1", "MWL"), channel, 16384), channel


def message(field: int, **numbers: int) -> Message:
    tags = {"message_id": 0x110, "responded_to": 0x120}
    command = Command({0x100: field, 0x800: 0x101, **{tags[name]: value for name, value in numbers.items()}})
    return Message(Context(1, WORKLIST, IMPLICIT), command, None)


async def test_cancel_means_the_request_it_names(answers: Any) -> None:
    """A C-CANCEL for another request is ignored, one for a waiting request marks it (A-61, F-C39)."""
    gate = Gate()
    service = answers(gate)
    operations, channel = line(service)
    operations.take(message(0x20, message_id=5))
    operations.take(message(0x20, message_id=6))
    await gate.begun.wait()
    operations.take(message(0x0FFF, responded_to=9))
    operations.take(message(0x0FFF))
    operations.take(message(0x0FFF, responded_to=6))
    gate.opened.set()
    await channel.task

    assert [request.cancelled() for request in service.requests] == [False, True]


async def test_a_late_cancel_is_ignored(start: Any, answers: Any) -> None:
    """C-CANCEL after the final response changes nothing and gets no answer (F-C38)."""
    peer = await (await start(answers(three))).associated()
    peer.find(5)
    await peer.statuses()
    peer.cancel(5)
    peer.find(5)

    assert await peer.statuses() == [0xFF00, 0xFF00, 0xFF00, 0]


async def test_the_line_is_short_and_says_when_it_is_full(answers: Any) -> None:
    """Four requests may wait behind the one that runs; there is one task, and none afterwards."""
    gate = Gate()
    operations, channel = line(answers(gate))
    full = []
    for number in range(5):
        operations.take(message(0x20, message_id=number))
        await gate.begun.wait()
        full.append(operations.full)
    gate.opened.set()
    await channel.task

    assert full == [False, False, False, False, True]
    assert not operations.busy
    assert channel.progress == operations.count == 5


async def test_a_peer_that_sends_far_ahead_gets_every_answer_in_order(start: Any, answers: Any) -> None:
    """More requests than may wait are not lost: they are read when there is room."""
    peer = await (await start(answers(succeed))).associated()
    for number in range(1, 201):
        peer.find(number)
    responses = [await peer.response() for _ in range(200)]

    assert [command.message_id_responded_to for command, _ in responses] == list(range(1, 201))


async def test_a_response_nobody_asked_for_is_a_violation(start: Any, answers: Any) -> None:
    """We are no SCU here: the association is aborted."""
    peer = await (await start(answers(succeed))).associated()
    peer.request(0x8020)

    assert await peer.receive() == (7, b"\x00\x00\x02\x06")


async def test_release_stops_the_running_operation(start: Any, answers: Any) -> None:
    """The release is answered, the service is cancelled and can say nothing more (A-63)."""
    gate = Gate()
    late: list[type[BaseException]] = []

    async def stubborn(request: Request, reply: Reply) -> None:
        try:
            await gate(request, reply)
        except asyncio.CancelledError:
            try:
                await reply.send(status.SUCCESS)
            except AssociationEnded as ended:
                late.append(type(ended))
            raise
        finally:
            gate.over.set()

    peer = await (await start(answers(stubborn))).associated()
    peer.find()
    await gate.begun.wait()
    await peer.release()
    await gate.over.wait()

    assert isinstance(gate.error, asyncio.CancelledError)
    assert late == [AssociationEnded]


@pytest.mark.parametrize("abort", [True, False], ids=["abort", "connection lost"])
async def test_a_peer_that_goes_away_stops_the_running_operation(
    start: Any, answers: Any, abort: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A-ABORT and a lost connection cancel the service, quietly (A-63, F-A14)."""
    gate = Gate()
    peer = await (await start(answers(gate))).associated()
    peer.find()
    await gate.begun.wait()
    if abort:
        peer.send(ABORT)
    else:
        await peer.close()
    await gate.over.wait()

    assert isinstance(gate.error, asyncio.CancelledError)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


class Reports:
    """An N-CREATE and N-SET service for tests; each request waits to be let on."""

    sop_classes = (PERFORMED,)
    operations = frozenset({0x0120, 0x0140})

    def __init__(self) -> None:
        self.gate = Gate()
        self.stored: list[int | None] = []
        self.all_stored = asyncio.Event()

    async def handle(self, request: Request, reply: Reply) -> None:
        await self.gate.opened.wait()
        self.stored.append(request.command.message_id)
        if len(self.stored) == 2:
            self.all_stored.set()
        await reply.send(status.SUCCESS)


BOTH = ((WORKLIST, [IMPLICIT]), (PERFORMED, [IMPLICIT]))
RELEASE = b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00"


@pytest.mark.parametrize("end", [RELEASE, ABORT, None], ids=["release", "abort", "connection lost"])
@pytest.mark.parametrize("running", [True, False], ids=["running", "in line behind a query"])
async def test_what_a_device_reported_is_stored_though_it_left(
    start: Any, answers: Any, request_octets: Any, end: bytes | None, running: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """N-CREATE and N-SET are worked off, in order and unanswered; the query before them is dropped (A-63)."""
    reports, query = Reports(), Gate()
    peer = await (await start(reports, answers(query))).associated(request_octets(*BOTH))
    if not running:
        peer.find(7)
        await query.begun.wait()
    peer.request(0x0140, message_id=1, sop_class=PERFORMED, data=b"data", context=3)
    peer.request(0x0120, message_id=2, sop_class=None, data=b"data", context=3, elements={0x3: PERFORMED})
    peer.find(8)
    peer.send(end or b"")
    await peer.close()
    reports.gate.opened.set()
    await reports.all_stored.wait()

    assert reports.stored == [1, 2]
    assert query.over.is_set() is not running
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_stop_waits_for_what_was_reported(start: Any, request_octets: Any) -> None:
    """An association that is over may have left work; a stop lets it finish, as long as it lets others."""
    reports = Reports()
    running = await start(reports)
    peer = await running.associated(request_octets((VERIFICATION, [IMPLICIT]), (PERFORMED, [IMPLICIT])))
    peer.request(0x0140, message_id=1, sop_class=PERFORMED, data=b"data", context=3)
    peer.send(RELEASE)
    assert (await peer.receive())[0] == 6
    await peer.close()
    stopping = asyncio.create_task(running.acceptor.stop(60))
    await asyncio.sleep(0)
    reports.gate.opened.set()
    await stopping

    assert reports.stored == [1]


async def test_a_service_that_ignores_the_end_is_not_an_error(
    start: Any, answers: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """`AssociationEnded` out of a service ends the operation and is not logged as a failure."""
    gate = Gate()

    async def deaf(request: Request, reply: Reply) -> None:
        try:
            await gate(request, reply)
        except asyncio.CancelledError:
            await reply.send(status.SUCCESS)

    running = await start(answers(deaf))
    peer = await running.associated()
    peer.find()
    await gate.begun.wait()
    peer.send(ABORT)
    await gate.over.wait()
    await running.acceptor.stop(1)

    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_an_answer_of_many_writes_is_whole(start: Any, answers: Any, request_octets: Any) -> None:
    """Two thousand responses arrive complete and in order, in PDUs the peer takes (F-A07)."""
    sets = [b"%06d" % number * 50 for number in range(2000)]

    async def many(request: Request, reply: Reply) -> None:
        assert await reply.stream(sets, status.PENDING) == 2000
        await reply.send(status.SUCCESS)

    running = await start(answers(many))
    peer = await running.connect()
    await peer.associate(request_octets((WORKLIST, [IMPLICIT]), max_pdu=128))
    peer.find()
    found = []
    while (response := await peer.response())[0].get(0x900):
        found.append(response[1])

    assert found == sets


async def test_a_response_carries_the_fields_and_the_instance(start: Any, answers: Any) -> None:
    """Fields of the service join the usual ones; the instance asked about comes back."""

    async def refuse(request: Request, reply: Reply) -> None:
        fields = {0x901: [0x00400002], 0x902: "not a date"}
        await reply.send(status.IDENTIFIER_DOES_NOT_MATCH, fields=fields)

    peer = await (await start(answers(refuse))).associated()
    peer.find(elements={0x1000: "1.2.3"})
    command, data = await peer.response()

    assert (command.get(0x900), command.get(0x901), command.get(0x902)) == (
        0xA900,
        (0x00400002,),
        "not a date",
    )
    assert (command.affected_sop_instance_uid, data) == ("1.2.3", b"")


@pytest.mark.parametrize("number", [0, 7, 65535])
async def test_f52_a_profile_says_what_such_a_request_is_answered_under(
    start: Any, answers: Any, number: int
) -> None:
    """Each at the time of its request: profiles are reloaded while an association is open."""
    numbers = iter([number, 1])
    peer = await (await start(answers(succeed), unnumbered=lambda _facts: next(numbers))).associated()
    found = []
    for _ in range(2):
        peer.find(None)
        command, _ = await peer.response()
        found.append((command.message_id_responded_to, command.get(0x900)))

    assert found == [(number, 0), (1, 0)]


async def test_f52_a_profile_refuses_such_a_request_and_says_so(
    start: Any, answers: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """0212 under number 0 and a readable event; never silence, and the service is not asked."""
    service = answers(three)
    peer = await (await start(service, unnumbered=lambda _facts: None)).associated()
    peer.find(None)
    command, _ = await peer.response()
    peer.find(5)
    answered, _ = await peer.response()

    assert (command.message_id_responded_to, command.get(0x900)) == (0, status.MISTYPED_ARGUMENT)
    assert command.get(0x902) == "the request has no Message ID (0000,0110)"
    assert answered.message_id_responded_to == 5
    assert len(service.requests) == 1
    (event,) = [each for each in caplog.records if each.message == "request without Message ID"]
    assert event.fields["answered_as"] is None  # type: ignore[attr-defined]
    assert event.fields["setting"] == "accept.missing_message_id"  # type: ignore[attr-defined]
