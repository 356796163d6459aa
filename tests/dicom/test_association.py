"""One connection: what hostile or silent peers get, timers, back-pressure."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mwl.dicom import status
from mwl.dicom.association import Association, Limits, Timeouts
from mwl.dicom.dimse import encode_command
from mwl.dicom.service import AssociationFacts, Reply, Request
from mwl.dicom.upper_layer import State

WORKLIST = "1.2.840.10008.5.1.4.31"
IMPLICIT = "1.2.840.10008.1.2"
SHORT = 0.05  # seconds: long enough to be a wait, short enough for a test
IN_TIME = 0.3  # seconds: enough for a peer of this test to say something before they are over
ABORT_UNRECOGNISED = b"\x00\x00\x02\x01"
ABORT_UNEXPECTED = b"\x00\x00\x02\x02"
ABORT_INVALID = b"\x00\x00\x02\x06"


async def succeed(request: Request, reply: Reply) -> None:
    await reply.send(status.SUCCESS)


@pytest.mark.parametrize("begun", [b"", b"\x01\x00\x00\x00", b"\x01\x00\x00\x00\x01\x00half a request"])
async def test_a_peer_that_asks_for_nothing_is_closed(start: Any, begun: bytes) -> None:
    """ARTIM ends a connection without a whole request, silently (F-A05, F-A06)."""
    peer = await (await start(timeouts=Timeouts(artim=SHORT))).connect()
    peer.send(begun)

    assert await peer.receive() == (0, b"")


async def test_a_rejected_or_released_peer_that_stays_is_closed(start: Any) -> None:
    """After the last word ARTIM runs again (E-07)."""
    running = await start(timeouts=Timeouts(artim=IN_TIME))
    peer = await running.associated()
    peer.send(b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00")

    assert (await peer.receive())[0] == 6
    assert await peer.receive() == (0, b"")


async def test_an_idle_association_is_aborted_in_the_end(start: Any) -> None:
    """The service user's abort tells a modality that it must associate again (E-07)."""
    peer = await (await start(timeouts=Timeouts(idle=SHORT))).associated()

    assert await peer.receive() == (7, bytes(4))


async def test_a_data_set_that_never_comes_ends_the_association(start: Any, answers: Any) -> None:
    """A command that announces data is not waited for as long as an idle peer is (12.2)."""
    service = answers(succeed)
    peer = await (await start(service, timeouts=Timeouts(message=SHORT))).associated()
    peer.request(0x20, elements={0x800: 1})

    assert await peer.receive() == (7, bytes(4))
    assert service.requests == []


async def test_half_a_pdu_ends_the_association(start: Any) -> None:
    """The rest of a PDU is waited for as the rest of a message is."""
    peer = await (await start(timeouts=Timeouts(message=SHORT))).associated()
    peer.send(b"\x04\x00\x00")

    assert await peer.receive() == (7, bytes(4))


async def test_a_message_in_time_moves_the_timer(start: Any, answers: Any) -> None:
    """A peer that asks before its time is up is not ended when that time would have been."""
    fired = asyncio.Event()
    running = await start(answers(succeed), timeouts=Timeouts(artim=IN_TIME, idle=60.0))
    peer = await running.associated()
    asyncio.get_running_loop().call_later(1.2 * IN_TIME, fired.set)
    await fired.wait()  # ARTIM's timer has fired by now, with nothing to wait for
    peer.find()

    assert await peer.statuses() == [0]


@pytest.mark.parametrize(
    ("octets", "abort"),
    [
        (b"\x99\x00\x00\x00\x00\x04\x00\x00\x00\x00", ABORT_UNRECOGNISED),
        (b"\x04\x00\x7f\xff\xff\xff", ABORT_INVALID),
        (b"\x04\x00\x00\x00\x00\x06\x00\x00\x00\x09\x01\x03", ABORT_INVALID),
        (b"\x04\x00\x00\x00\x00\x08\x00\x00\x00\x04\x07\x03ab", ABORT_INVALID),
        (b"\x04\x00\x00\x00\x00\x08\x00\x00\x00\x04\x01\x03ab", ABORT_INVALID),
        (b"\x04\x00\x00\x00\x00\x08\x00\x00\x00\x04\x01\x02ab", ABORT_INVALID),
        (b"\x06\x00\x00\x00\x00\x04\x00\x00\x00\x00", ABORT_UNEXPECTED),
        (b"\x01\x00\x00\x00\x00\x44" + bytes(68), ABORT_UNEXPECTED),
    ],
    ids=["unknown PDU", "PDU too long", "lying PDV", "unaccepted context", "malformed command", "data first",
         "unexpected release response", "second request"],
)  # fmt: skip
async def test_a_violation_ends_its_own_association_only(
    start: Any, answers: Any, octets: bytes, abort: bytes
) -> None:
    """The provider aborts with a reason; the association beside it is served as before (E-10)."""
    running = await start(answers(succeed))
    good, bad = await running.associated(), await running.associated()
    bad.send(octets)
    answer = await bad.receive()
    good.find()

    assert answer == (7, abort)
    assert await good.statuses() == [0]


FOUR = b"\0\0\0\4" + bytes(4)
ACCEPT, REJECT, DATA = b"\2\0\0\0\0\4" + bytes(4), b"\3\0" + FOUR, b"\4\0\0\0\0\x08\0\0\0\4\1\3ab"
RELEASE_RQ, RELEASE_RP, ABORT = b"\5\0" + FOUR, b"\6\0" + FOUR, b"\7\0" + FOUR
CLOSED = (0, b"")


@pytest.mark.parametrize("associated", [False, True], ids=["Sta2", "Sta6"])
@pytest.mark.parametrize("octets", [ACCEPT, REJECT, RELEASE_RP], ids=["accept", "reject", "release response"])
async def test_what_only_an_acceptor_says_is_no_requestors_to_say(
    start: Any, answers: Any, octets: bytes, associated: bool
) -> None:
    """AA-1 and AA-8: the provider aborts with "unexpected PDU"; so a release is never answered unasked."""
    running = await start(answers(succeed))
    peer = await (running.associated() if associated else running.connect())
    peer.send(octets)

    assert await peer.receive() == (7, ABORT_UNEXPECTED)


@pytest.mark.parametrize(
    ("octets", "answer"),
    [(DATA, (7, ABORT_UNEXPECTED)), (RELEASE_RQ, (7, ABORT_UNEXPECTED)), (ABORT, CLOSED)],
    ids=["data", "release", "abort"],
)
async def test_nothing_comes_before_the_request(
    start: Any, answers: Any, octets: bytes, answer: tuple[int, bytes]
) -> None:
    """Sta2: AA-1 for what has its place later, AA-2 for an abort."""
    peer = await (await start(answers(succeed))).connect()
    peer.send(octets)

    assert await peer.receive() == answer


@pytest.mark.parametrize(
    "octets", [ACCEPT, REJECT, DATA, RELEASE_RQ, RELEASE_RP], ids=lambda o: f"type {o[0]}"
)
@pytest.mark.parametrize("in_one_write", [True, False])
async def test_nothing_is_answered_after_the_release(
    start: Any, answers: Any, octets: bytes, in_one_write: bool
) -> None:
    """Sta13, AA-6: the release is confirmed once, and what follows it is ignored until the peer closes."""
    service = answers(succeed)
    peer = await (await start(service, timeouts=Timeouts(artim=IN_TIME))).associated()
    peer.send(RELEASE_RQ + octets if in_one_write else RELEASE_RQ)
    released = await peer.receive()
    peer.send(octets)

    assert released == (6, bytes(4))
    assert await peer.receive() == CLOSED  # by ARTIM, without another word
    assert service.requests == []


async def test_a_second_association_on_a_connection_is_refused(
    start: Any, answers: Any, request_octets: Any
) -> None:
    """Sta13, AA-7: a connection carries one association; the request gets an abort."""
    peer = await (await start(answers(succeed))).associated()
    peer.send(RELEASE_RQ)
    await peer.receive()
    peer.send(request_octets((WORKLIST, [IMPLICIT])))

    assert await peer.receive() == (7, ABORT_UNEXPECTED)


async def test_an_abort_after_the_release_closes_at_once(start: Any, answers: Any) -> None:
    """Sta13, AA-2."""
    peer = await (await start(answers(succeed), timeouts=Timeouts(artim=60.0))).associated()
    peer.send(RELEASE_RQ + ABORT)

    assert await peer.receive() == (6, bytes(4))
    assert await peer.receive() == CLOSED


async def test_a_release_is_confirmed_while_a_query_runs(start: Any, answers: Any) -> None:
    """Sta6, AR-2 and AR-4: at once; responses that had left come before it, none after."""
    begun = asyncio.Event()

    async def endless(request: Request, reply: Reply) -> None:
        while True:
            await reply.stream([b"data"], status.PENDING)
            begun.set()

    peer = await (await start(answers(endless))).associated()
    peer.find()
    await begun.wait()
    peer.send(RELEASE_RQ)
    kinds = [(await peer.receive())[0]]
    while kinds[-1] == 4:
        kinds.append((await peer.receive())[0])
    await peer.close()

    assert set(kinds[:-1]) == {4}
    assert kinds[-1] == 6


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("together", [True, False], ids=["many in a PDU", "one in a PDU"])
async def test_fragments_may_be_of_any_size(start: Any, answers: Any, size: int, together: bool) -> None:
    """PS3.8 Annex E: command and data in PDVs of one octet or a thousand, in PDUs of their own or in one."""
    service = answers(succeed)
    peer = await (await start(service)).associated()
    command = encode_command({0x2: WORKLIST, 0x100: 0x20, 0x110: 9, 0x800: 1})
    values = [
        struct.pack(">IBB", len(fragment) + 2, 1, kind + 2 * (begin + size >= len(raw))) + fragment
        for kind, raw in ((1, command), (0, bytes(range(255))))
        for begin in range(0, len(raw), size)
        for fragment in [raw[begin : begin + size]]
    ]
    bodies = [b"".join(values)] if together else values
    peer.send(b"".join(struct.pack(">BxI", 4, len(body)) + body for body in bodies))

    assert await peer.statuses() == [0]
    assert service.requests[0].data == bytes(range(255))


@pytest.mark.parametrize(("max_pdu", "longest"), [(8, 8), (9, 8), (16, 16), (4096, 4096), (0, 128 * 1024)])
async def test_nothing_longer_is_sent_than_the_peer_takes(
    start: Any, answers: Any, request_octets: Any, max_pdu: int, longest: int
) -> None:
    """However little that is; 0 is no limit, and ours is kept (E-07, F-A07)."""
    data = bytes(200_000 if not max_pdu else 10_000)

    async def one(request: Request, reply: Reply) -> None:
        await reply.stream([data], status.PENDING)
        await reply.send(status.SUCCESS)

    peer = await (await start(answers(one))).associated(
        request_octets((WORKLIST, [IMPLICIT]), max_pdu=max_pdu)
    )
    peer.find()
    lengths, received, last = [], b"", 0
    while last != 3 or not received:
        kind, body = await peer.receive()
        assert kind == 4
        lengths.append(len(body))
        last = body[5]
        received += body[6:] if not last & 1 else b""

    assert max(lengths) == longest
    assert received == data


async def test_a_peer_that_takes_no_fragment_at_all_is_aborted(
    start: Any, answers: Any, request_octets: Any
) -> None:
    """Seven octets hold a PDV's head and one of its fragment: less than the two of PS3.8 Annex E."""
    peer = await (await start(answers(succeed))).connect()
    peer.send(request_octets((WORKLIST, [IMPLICIT]), max_pdu=7))

    assert await peer.receive() == (7, ABORT_INVALID)


async def test_a_request_that_makes_no_sense_is_aborted(start: Any) -> None:
    """An A-ASSOCIATE-RQ without a context is no request (E-10)."""
    peer = await (await start()).connect()
    peer.send(struct.pack(">BxIHH", 1, 68, 1, 0) + b"MWL".ljust(16) + b"CT1".ljust(16) + bytes(32))

    assert await peer.receive() == (7, ABORT_INVALID)


async def test_a_violation_is_logged_without_what_was_sent(
    start: Any, answers: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning with address and AE title, none of the peer's octets."""
    caplog.set_level(logging.INFO, "mwl")
    peer = await (await start(answers(succeed))).associated()
    peer.send(b"\x99\x00\x00\x00\x00\x04DOE^JOHN")
    await peer.receive()
    (record,) = caplog.records

    assert record.levelno == logging.WARNING
    assert record.fields["calling_ae"] == "CT1"  # type: ignore[attr-defined]
    assert "DOE" not in str(record.fields)  # type: ignore[attr-defined]


async def test_a_released_association_leaves_one_line(
    start: Any, answers: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The line says who, how it ended and how many operations there were."""
    caplog.set_level(logging.INFO, "mwl")
    peer = await (await start(answers(succeed))).associated()
    peer.find()
    await peer.statuses()
    await peer.release()
    (record,) = caplog.records

    assert record.message == "association ended"
    assert {
        "calling_ae": "CT1",
        "called_ae": "MWL",
        "how": "released",
        "operations": 1,
    }.items() <= record.fields.items()  # type: ignore[attr-defined]


async def test_a_defect_of_ours_ends_one_association(
    start: Any, request_octets: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever admission raises is logged with its traceback, and the peer is told by an abort."""

    def admit(facts: AssociationFacts) -> None:
        raise KeyError(facts.calling_ae)

    peer = await (await start(admit=admit)).connect()
    peer.send(request_octets((WORKLIST, [IMPLICIT])))
    answer = await peer.receive()

    assert answer == (7, bytes(4))
    assert [record.message for record in caplog.records if record.exc_info] == ["association failed"]


async def test_small_writes_are_not_held_back(
    start: Any, answers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TCP_NODELAY is set: responses do not wait for the peer's acknowledgement (stack 2.1)."""
    seen: list[int] = []

    def look(association: Association, transport: Any) -> None:
        connection = transport.get_extra_info("socket")
        seen.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        original(association, transport)

    original = Association.connection_made
    monkeypatch.setattr(Association, "connection_made", look)
    await (await start()).associated()

    assert seen == [1]


async def test_half_a_message_is_acknowledged_at_once(
    start: Any, answers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer with Nagle's algorithm, as DCMTK is installed, need not wait 40 ms to send the rest."""
    acknowledged = asyncio.Event()
    original = Association._acknowledge

    def acknowledge(association: Association) -> None:
        original(association)
        acknowledged.set()

    monkeypatch.setattr(Association, "_acknowledge", acknowledge)
    peer = await (await start(answers(succeed))).associated()
    peer.request(0x20, elements={0x800: 1})
    await acknowledged.wait()
    acknowledged.clear()
    peer.send(b"\x04\x00\x00\x00\x00\x08\x00\x00\x00\x04\x01\x02ab")

    assert await peer.statuses() == [0]
    assert not acknowledged.is_set()


async def test_a_reader_that_stops_costs_a_bounded_buffer(start: Any, answers: Any) -> None:
    """The stream is held back after the buffers, and the peer dropped when it reads nothing (stack 2.1)."""
    produced, over = 0, asyncio.Event()

    async def endless(request: Request, reply: Reply) -> None:
        nonlocal produced
        try:
            while not request.cancelled():
                produced += 1000 * await reply.stream([bytes(1000)] * 50, status.PENDING)
        finally:
            over.set()

    running = await start(answers(endless), timeouts=Timeouts(write=SHORT), limits=Limits(buffer=64 * 1024))
    peer = await running.connect(receive_buffer=32 * 1024)
    await peer.associate()
    peer.find()
    peer.reader._transport.pause_reading()
    await over.wait()

    assert 0 < produced < 2**20


async def test_a_peer_that_reads_slowly_is_not_dropped() -> None:
    """The write timer looks whether the buffer has shrunk, and only then gives up."""
    dropped = asyncio.Event()

    class FakeHost:
        timeouts, limits, services = Timeouts(write=SHORT / 5), Limits(), {}

        def opened(self, association: Association, address: str) -> int:
            return 1

        def ended(self, how: object, established: object) -> None:
            pass

    class FakeTransport(asyncio.Transport):
        sizes = [300, 200, 200, 100, 100, 100, 100]  # noqa: RUF012 - set, look, set, look, set, look, close

        def get_extra_info(self, name: str, default: Any = None) -> Any:
            return default

        def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
            pass

        def get_write_buffer_size(self) -> int:
            return self.sizes.pop(0)

        def write(self, data: Any) -> None:
            pass

        def abort(self) -> None:
            dropped.set()

    transport = FakeTransport()
    association = Association(FakeHost())  # type: ignore[arg-type]
    association.connection_made(transport)
    association._upper.state = State.ASSOCIATED
    association.pause_writing()
    await dropped.wait()

    assert transport.sizes == []


async def test_two_hundred_idle_associations_do_not_hinder_another(start: Any, answers: Any) -> None:
    """They cost no task, and a query beside them is answered."""
    running = await start(answers(succeed))
    before = len(asyncio.all_tasks())
    idle = [await running.associated() for _ in range(200)]
    peer = await running.associated()
    peer.find()

    assert await peer.statuses() == [0]
    assert len(asyncio.all_tasks()) == before
    assert len(idle) == 200


PDUS = st.builds(
    lambda kind, body: struct.pack(">BxI", kind, len(body)) + body,
    st.one_of(st.just(4), st.integers(0, 8)),
    st.one_of(
        st.binary(max_size=30),
        st.builds(
            lambda number, control, data: struct.pack(">IBB", len(data) + 2, number, control) + data,
            st.sampled_from([1, 1, 3]),
            st.integers(0, 3),
            st.binary(max_size=30),
        ),
    ),
)


@pytest.fixture
async def fuzzed(start: Any, answers: Any) -> Any:
    """One acceptor for all examples."""
    return await start(answers(succeed))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    octets=st.lists(st.one_of(PDUS, st.binary(max_size=20)), max_size=6).map(b"".join),
    associated=st.booleans(),
)
async def test_whatever_is_sent_the_acceptor_lives(octets: bytes, associated: bool, fuzzed: Any) -> None:
    """After any octets the connection comes to its end, and another peer is served (F-A17)."""
    peer = await (fuzzed.associated() if associated else fuzzed.connect())
    peer.send(octets)
    peer.writer.write_eof()
    await peer.closed()
    await peer.close()
    good = await fuzzed.associated()
    good.find()

    assert await good.statuses() == [0]
    await good.close()
