"""The notifier on a real store and a receiver that is played: each row once, in order, for as long as it takes."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from mwl.errors import Unavailable
from mwl.hl7 import courier as module
from mwl.hl7.ack import acknowledge
from mwl.hl7.message import Message, parse
from mwl.hl7.mllp import Deframer, Frame, frame
from mwl.hl7.notifier import Destination, Notifier, Pace, backoff
from mwl.hl7.sender import Connection
from mwl.lifecycle import OutboxState
from mwl.mapping.systems.system import SystemProfile
from mwl.model import name_value
from mwl.store import Store, Transaction, open_store, outbox
from mwl.store.outbox import OutboxRow

NOW = dt.datetime(2026, 7, 5, 7, 30, tzinfo=dt.UTC)
PENDING, DELIVERED, PARKED, DISCARDED = OutboxState
SOON = Pace(backoff=lambda failures: 0.01, poll=3600.0)
Answer = Callable[[Message], Awaitable[bytes | None]]


class Clock:
    """A clock that runs, and that a test moves forward."""

    def __init__(self) -> None:
        self._ahead = NOW - dt.datetime.now(dt.UTC)

    def __call__(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC) + self._ahead

    def pass_by(self, seconds: float) -> None:
        """Move the clock."""
        self._ahead += dt.timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    """The stores' clock."""
    return Clock()


@pytest.fixture
def opened(migrated: Path, tmp_path: Path, clock: Clock) -> Iterator[Callable[[], Store]]:
    """Open stores on one database, as several brokers would."""
    path = shutil.copy(migrated, tmp_path / "outbox.db")
    stores: list[Store] = []

    def open_one() -> Store:
        stores.append(open_store(f"sqlite:///{path}", migrate=False, clock=clock))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close_now()


@pytest.fixture
def store(opened: Callable[[], Store]) -> Store:
    """A store of an empty outbox."""
    return opened()


def ack(message: Message, code: str = "AA", control_id: str | None = None, text: str = "") -> bytes:
    """Return an acknowledgement."""
    answer = acknowledge(message.header, code, now=NOW)
    header, msa, *_ = answer.split("\r")
    fields = [*msa.split("|")[:2], message.header.control_id if control_id is None else control_id]
    return f"{header}\r{'|'.join([*fields, *([text] if text else [])])}\r".encode()


async def accept(message: Message) -> bytes:
    """Answer AA."""
    return ack(message)


class Ris:
    """The receiving side of a RIS: *answer* decides what it says, None is nothing."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0
        self.raw: list[bytes] = []
        self.told: asyncio.Queue[Message] = asyncio.Queue()
        self.answer: Answer = accept
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        """Listen, on the port of the first time."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        deframer = Deframer(1 << 20)
        self.connections += 1
        with contextlib.closing(writer), contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                for found in deframer.feed(chunk):
                    if isinstance(found, Frame):
                        message = parse(found.payload.decode())
                        self.raw.append(found.payload)
                        self.told.put_nowait(message)
                        if (answer := await self.answer(message)) is not None:
                            writer.write(frame(answer))

    async def next(self) -> Message:
        """Return the next message it was told."""
        async with asyncio.timeout(30):
            return await self.told.get()


def said(message: Message) -> tuple[str, str]:
    """Return what a status message says of which order: ORC-5 and OBR-18."""
    return message.field("ORC", 1, 5)[0][0][0], message.field("OBR", 1, 18)[0][0][0]


@pytest.fixture
async def ris() -> AsyncIterator[Ris]:
    """A RIS that listens."""
    made = Ris()
    await made.listen()
    yield made
    await made.close()


def put(store: Store, *events: str, order: str = "1", destination: str = "RIS", **facts: Any) -> None:
    """Write status rows about an order."""

    def work(tx: Transaction) -> None:
        for event in events:
            row = {
                "event": event,
                "at": NOW.isoformat(),
                "patient": {"00100010": {"vr": "PN", "Value": [name_value("SECRET^NAME")]},
                            "00100020": {"vr": "LO", "Value": ["PID001"]}},
                "procedure": {"00080050": {"vr": "SH", "Value": [f"ACC{order}"]}},
                "step": {}, "performed": None, **facts,
            }  # fmt: skip
            outbox.enqueue(tx, destination=destination, thread=f"procedure:{order}", facts=row)

    store.write_now(work)


def rows(store: Store) -> list[OutboxRow]:
    """Return all rows, oldest first."""
    return list(reversed(store.read_now(outbox.browse)))


async def until(store: Store, holds: Callable[[list[OutboxRow]], bool]) -> list[OutboxRow]:
    """Wait until the rows are so, looking after each commit; return them."""
    changed = asyncio.Event()
    end = store.on_commit(lambda _: changed.set())
    try:
        async with asyncio.timeout(30):
            while True:
                changed.clear()
                found = await asyncio.to_thread(rows, store)
                if holds(found):
                    return found
                await changed.wait()
    finally:
        end()


def settled(found: list[OutboxRow]) -> bool:
    """Tell whether nothing is to be sent any more."""
    return all(row.state is not PENDING for row in found)


Notify = Callable[..., Awaitable[Notifier]]


@pytest.fixture
async def notify(store: Store, ris: Ris, generic: SystemProfile) -> AsyncIterator[Notify]:
    """Start notifiers; what still runs at the end is stopped."""
    running: list[Notifier] = []

    async def start(
        *others: Destination, on: Store | None = None, pace: Pace = SOON, within: float = 30.0,
        owner: str = "one", **changes: Any,
    ) -> Notifier:  # fmt: skip
        told = {
            "message": "ORM^O01", "profile": generic, "application": "RIS", "facility": "HOSP",
            "site": "SITE", "zone": ZoneInfo("Europe/Berlin"), "port": ris.port, "host": "127.0.0.1",
        } | changes  # fmt: skip
        to = Destination("RIS", answer_within=within, **told)
        made = Notifier(on or store, [to, *others], owner=owner, pace=pace)
        running.append(made)
        await made.start()
        return made

    yield start
    for each in running:
        await each.stop()


# --- what is sent --------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["AA", "CA"])
async def test_an_accepted_row_is_delivered(store: Store, ris: Ris, notify: Notify, code: str) -> None:
    """One message, with the row's control ID, in the site's time."""

    async def answer(message: Message) -> bytes:
        return ack(message, code)

    ris.answer = answer
    put(store, "IP")
    await notify()

    (row,) = await until(store, settled)

    message = await ris.next()
    assert (row.state, row.attempts, row.last_error) == (DELIVERED, 1, "")
    assert row.payload == ris.raw[0]
    assert message.header.control_id == row.control_id
    assert (message.header.application, message.header.facility) == ("MWL", "SITE")
    assert message.field("MSH", 1, 5) == ((("RIS",),),)
    assert message.field("ORC", 1, 9) == ((("20260705093000+0200",),),)
    assert said(message) == ("IP", "ACC1")


async def test_a_row_that_is_written_later_wakes_the_notifier(store: Store, ris: Ris, notify: Notify) -> None:
    """Not the clock: it would look again in an hour."""
    await notify()
    put(store, "IP")

    assert said(await ris.next()) == ("IP", "ACC1")


async def test_an_answer_without_the_number_it_answers_is_taken(
    store: Store, ris: Ris, notify: Notify
) -> None:
    """Some receivers leave MSA-2 out; one message is under way at a time."""

    async def answer(message: Message) -> bytes:
        return ack(message, control_id="")

    ris.answer = answer
    put(store, "IP")
    await notify()

    (row,) = await until(store, settled)
    assert (row.state, row.attempts) == (DELIVERED, 1)


async def test_a_system_that_is_away_for_an_hour_is_told_all_of_it_in_order(
    store: Store, ris: Ris, notify: Notify, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Exams begin and end meanwhile; each change is sent once, and the outage is one line of the log."""
    hour, began, over = dt.timedelta(hours=1), clock(), asyncio.Event()
    to_come = [("IP", "1"), ("IP", "2"), ("CM", "1"), ("IP", "3"), ("DC", "2"), ("CM", "3")]

    def pass_by(failures: int) -> float:
        """Let the time of a back-off go by, in which something happens now and then."""
        clock.pass_by(backoff(failures))
        if to_come:
            event, order = to_come.pop(0)
            put(store, event, order=order)
        if clock() - began > hour:
            over.set()
        return 0.0

    await ris.close()
    put(store, "IP", order="0")
    await notify(pace=Pace(backoff=pass_by, poll=3600.0))
    async with asyncio.timeout(60):
        await over.wait()
    tried = rows(store)[0].attempts
    await ris.listen()

    told = [said(await ris.next()) for _ in range(7)]
    found = await until(store, settled)
    assert tried > 30
    assert {row.state for row in found} == {DELIVERED}
    assert len(ris.raw) == 7
    by_order = {order: [event for event, of in told if of == f"ACC{order}"] for order in "0123"}
    assert by_order == {"0": ["IP"], "1": ["IP", "CM"], "2": ["IP", "DC"], "3": ["IP", "CM"]}
    assert [each.getMessage() for each in caplog.records].count("status cannot be delivered") == 1


@pytest.mark.parametrize("code", ["AE", "AR", "CE", "CR"])
async def test_a_refused_row_is_parked_and_holds_up_nobody(
    store: Store, ris: Ris, notify: Notify, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    """C-33: the reason is kept for the person who decides, and nothing of it is logged."""

    async def answer(message: Message) -> bytes:
        return ack(message, code, text="no such SECRET") if said(message)[0] == "IP" else ack(message)

    ris.answer = answer
    put(store, "IP", "CM")
    with caplog.at_level(logging.INFO, "mwl"):
        await notify()
        begun, completed = await until(store, settled)

    assert (begun.state, begun.attempts, begun.last_error) == (PARKED, 1, f"{code} no such SECRET")
    assert completed.state is DELIVERED
    assert len(ris.raw) == 2
    parked = [each for each in caplog.records if each.getMessage() == "status parked"]
    assert [(each.levelname, each.fields["answer"]) for each in parked] == [("ERROR", code)]
    assert "SECRET" not in str([each.fields for each in caplog.records])


@pytest.mark.parametrize(
    ("err", "reason"),
    [
        ("ERR||OBR^1^18|101^Required field missing^HL70357|E||||no accession\r", "AE no accession"),
        ("ERR||OBR^1^18|101^Required field missing^HL70357|E\r", "AE Required field missing"),
        ("", "AE"),
    ],
)
async def test_the_reason_may_stand_in_err(
    store: Store, ris: Ris, notify: Notify, err: str, reason: str
) -> None:
    """HL7 2.5 leaves MSA-3 empty."""

    async def answer(message: Message) -> bytes:
        return ack(message, "AE") + err.encode()

    ris.answer = answer
    put(store, "IP")
    await notify()

    (row,) = await until(store, settled)
    assert (row.state, row.last_error) == (PARKED, reason)


async def test_a_row_that_cannot_be_worded_is_parked(store: Store, ris: Ris, notify: Notify) -> None:
    """It would fail again and again, and hold up all that stand behind it."""
    put(store, "IP", order="1", at="yesterday")
    put(store, "IP", order="2")
    await notify()

    broken, good = await until(store, settled)

    assert (broken.state, broken.last_error) == (PARKED, "cannot be worded: ValueError")
    assert good.state is DELIVERED
    assert len(ris.raw) == 1


async def test_a_message_the_profile_does_not_have_is_parked(store: Store, ris: Ris, notify: Notify) -> None:
    """A person mends the configuration and sends it again."""
    put(store, "IP")
    await notify(message="ZZZ^Z01")

    (row,) = await until(store, settled)

    assert (row.state, row.last_error) == (PARKED, "cannot be worded: KeyError")


# --- what is sent again --------------------------------------------------------------------------


async def nonsense(_: Message) -> bytes:
    """Answer no HL7."""
    return b"\xff\xfe nonsense"


async def another(message: Message) -> bytes:
    """Answer another message."""
    return ack(message, control_id="OTHER")


async def strange(message: Message) -> bytes:
    """Answer with a code that HL7 does not have."""
    return ack(message, "AA").replace(b"MSA|AA", b"MSA|ZZ")


async def unsaid(message: Message) -> bytes:
    """Answer without MSA."""
    return ack(message).split(b"\r")[0] + b"\r"


async def nothing(_: Message) -> None:
    """Answer nothing."""


@pytest.mark.parametrize("bad", [nonsense, another, strange, unsaid, nothing])
async def test_what_is_no_answer_is_asked_for_again_with_the_same_bytes(
    store: Store, ris: Ris, notify: Notify, bad: Answer
) -> None:
    """Nobody knows whether it arrived: a receiver that has it can tell by MSH-10.

    On a connection of its own: what still comes on the old one is not taken for its answer.
    """
    answers = iter([bad, bad])

    async def answer(message: Message) -> bytes | None:
        return await next(answers, accept)(message)

    ris.answer = answer
    put(store, "IP")
    await notify(within=0.3 if bad is nothing else 30.0)

    (row,) = await until(store, settled)

    assert (row.state, row.attempts) == (DELIVERED, 3)
    assert ris.raw == [row.payload] * 3
    assert ris.connections == 3


async def garbage(_: Message) -> bytes:
    """Answer something else at great length."""
    return b"HTTP/1.1 400 Bad Request " * 20


async def test_nonsense_is_logged_and_asked_again_for_as_long_as_it_takes(
    store: Store, ris: Ris, notify: Notify, caplog: pytest.LogCaptureFixture
) -> None:
    """What it said is on record for the person who looks, and not in the log: it may quote anybody."""
    answers = iter([garbage] * 8)

    async def answer(message: Message) -> bytes | None:
        return await next(answers, accept)(message)

    ris.answer = answer
    put(store, "IP")
    with caplog.at_level(logging.INFO, "mwl"):
        await notify()
        found = await until(store, lambda found: bool(found[0].last_error))
        (row,) = await until(store, settled)

    said_first = found[0].last_error.partition("; last: ")[2]
    assert said_first.startswith("the answer is not an HL7 message: b'HTTP/1.1 400 Bad Request HTTP")
    assert (row.state, row.attempts) == (DELIVERED, 9)
    told = [each for each in caplog.records if each.getMessage() == "status answer not understood"]
    assert [each.fields["answers"] for each in told] == list(range(1, 9))
    assert "HTTP" not in str([each.fields for each in caplog.records])


async def test_nonsense_may_park_a_row_in_the_end(store: Store, ris: Ris, notify: Notify) -> None:
    """As the configuration says; the rows behind it get their own turns."""

    async def answer(message: Message) -> bytes | None:
        return await (garbage if said(message) == ("IP", "ACC1") else accept)(message)

    ris.answer = answer
    put(store, "IP", "CM", order="1")
    put(store, "IP", order="2")
    await notify(nonsense_limit=3)

    found = await until(store, settled)

    assert [(row.state, row.attempts) for row in found] == [(PARKED, 3), (DELIVERED, 1), (DELIVERED, 1)]
    assert "HTTP/1.1 400" in found[0].last_error


async def test_nonsense_is_counted_on_by_the_next_process(store: Store, ris: Ris, notify: Notify) -> None:
    """Two answers were none, the third time there was none at all; then the broker was started again."""

    async def answer(message: Message) -> bytes | None:
        return await garbage(message)

    ris.answer = answer
    put(store, "IP")
    left = "answers that are none: 2; last: 127.0.0.1:2576 did not answer in 30 s"

    def before(tx: Transaction) -> None:
        [row] = outbox.claim(tx, "killed", dt.timedelta(minutes=1), 1)
        outbox.failed(tx, row.key, left, tx.now)

    store.write_now(before)
    await notify(nonsense_limit=3)

    (row,) = await until(store, settled)

    assert (row.state, len(ris.raw)) == (PARKED, 1)
    assert row.last_error.startswith("the answer is not an HL7 message")


async def test_what_went_wrong_besides_does_not_end_the_count(store: Store, ris: Ris, notify: Notify) -> None:
    """Nonsense, silence, nonsense: that is twice."""
    answers = iter([garbage, nothing, garbage])

    async def answer(message: Message) -> bytes | None:
        return await next(answers, accept)(message)

    ris.answer = answer
    put(store, "IP")
    await notify(within=0.3, nonsense_limit=2)

    (row,) = await until(store, settled)

    assert (row.state, row.attempts) == (PARKED, 3)


async def test_no_answer_is_no_nonsense(store: Store, ris: Ris, notify: Notify) -> None:
    """A receiver that is down, or slow, never parks anything."""
    answers = iter([nothing] * 4)

    async def answer(message: Message) -> bytes | None:
        return await next(answers, accept)(message)

    ris.answer = answer
    put(store, "IP")
    await notify(within=0.1, nonsense_limit=1)

    (row,) = await until(store, settled)

    assert (row.state, row.attempts) == (DELIVERED, 5)


async def test_a_second_answer_is_not_taken_for_that_of_the_next_message(
    store: Store, ris: Ris, notify: Notify
) -> None:
    """Enhanced mode: CA at once, AA later, which may be as late as the next message."""
    before: list[Message] = []

    async def answer(message: Message) -> bytes:
        late = [ack(each) for each in before]
        before[:] = [message]
        return b"\x1c\r\x0b".join([*late, ack(message, "CA")])

    ris.answer = answer
    put(store, "IP", "CM", order="1")
    put(store, "IP", order="2")
    await notify()

    found = await until(store, settled)

    assert [(row.state, row.attempts, row.last_error) for row in found] == [(DELIVERED, 1, "")] * 3
    assert ris.connections == 1


async def test_answers_that_are_repeated_do_not_hold_up_the_others(
    store: Store, ris: Ris, notify: Notify
) -> None:
    """node-hl7-server answers every message of a connection again before it answers the next one."""
    heard: list[Message] = []

    async def answer(message: Message) -> bytes:
        heard.append(message)
        return b"\x1c\r\x0b".join(map(ack, heard))

    ris.answer = answer
    put(store, "IP", "CM", order="1")
    put(store, "IP", order="2")
    await notify()

    found = await until(store, settled)

    assert [(row.state, row.attempts) for row in found] == [(DELIVERED, 1)] * 3
    assert ris.connections == 1


async def test_a_refusal_that_comes_late_is_put_on_record(
    store: Store, ris: Ris, notify: Notify, caplog: pytest.LogCaptureFixture
) -> None:
    """CA, then AE: the receiver has the message, so it is not sent again; a person must know."""

    async def answer(message: Message) -> bytes:
        return ack(message, "CA") + b"\x1c\r\x0b" + ack(message, "AE", text="no such SECRET")

    ris.answer = answer
    put(store, "IP")
    with caplog.at_level(logging.INFO, "mwl"):
        await notify()
        (row,) = await until(store, settled)

    assert (row.state, row.attempts, row.last_error) == (DELIVERED, 1, "accepted, then AE no such SECRET")
    assert len(ris.raw) == 1
    (told,) = [each for each in caplog.records if each.getMessage() == "status refused after it was accepted"]
    assert (told.levelname, told.fields["answer"], told.fields["control_id"]) == (
        "ERROR",
        "AE",
        row.control_id,
    )
    assert "SECRET" not in str(told.fields)


async def test_a_row_waits_for_the_peer_across_an_outage(
    store: Store, ris: Ris, notify: Notify, caplog: pytest.LogCaptureFixture
) -> None:
    """Down, then up: delivered; the outage is told of once."""
    await ris.close()
    put(store, "IP", order="1")
    put(store, "IP", order="2")
    with caplog.at_level(logging.WARNING, "mwl"):
        await notify()
        down = await until(store, lambda found: found[0].attempts >= 4 and found[0].lease_owner is None)
        await ris.listen()
        up = await until(store, settled)

    assert {row.state for row in down} == {PENDING}
    assert f"127.0.0.1:{ris.port}" in down[0].last_error
    assert [row.state for row in up] == [DELIVERED, DELIVERED]
    outages = [each for each in caplog.records if each.getMessage() == "status cannot be delivered"]
    assert len(outages) == 1


async def test_a_round_without_a_row_that_is_due_is_no_end_of_an_outage(
    store: Store, ris: Ris, notify: Notify, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A row that has failed often waits longer than a notifier that has just begun; that is no news."""
    await ris.close()
    put(store, "IP")
    for _ in range(5):
        (row,) = store.write_now(lambda tx: outbox.claim(tx, "old", dt.timedelta(seconds=1), 1))
        store.write_now(lambda tx, key=row.key: outbox.failed(tx, key, "down", tx.now))
    waiting = Pace(backoff=lambda failures: 0.0 if failures < 5 else 60.0, poll=0.01)
    with caplog.at_level(logging.WARNING, "mwl"):
        await notify(pace=waiting)
        for attempts in (6, 7, 8):
            await until(store, lambda found, n=attempts: found[0].attempts == n and not found[0].lease_owner)
            clock.pass_by(61)

    outages = [each for each in caplog.records if each.getMessage() == "status cannot be delivered"]
    assert len(outages) == 1


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 1), (1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (10_000, 60)]
)
def test_the_back_off_doubles_up_to_a_minute(failures: int, seconds: float) -> None:
    """For as long as it takes, and never longer than that behind the peer's return."""
    assert backoff(failures) == seconds


async def test_f_m29_what_happened_to_an_order_arrives_in_order(
    store: Store, ris: Ris, notify: Notify
) -> None:
    """IP before CM for each procedure, however often each of them fails."""
    failed: set[str] = set()

    async def answer(message: Message) -> bytes:
        if message.header.control_id in failed:
            return ack(message)
        failed.add(message.header.control_id)
        return b"try again"

    ris.answer = answer
    for event in ("IP", "SC", "IP", "CM"):
        for order in ("1", "2", "3"):
            put(store, event, order=order)
    await notify()

    found = await until(store, settled)

    arrived: dict[str, list[str]] = {}
    for raw in dict.fromkeys(ris.raw):
        event, accession = said(parse(raw.decode()))
        arrived.setdefault(accession, []).append(event)
    assert arrived == {order: ["IP", "SC", "IP", "CM"] for order in ("ACC1", "ACC2", "ACC3")}
    assert {row.attempts for row in found} == {2}


async def test_a_dead_destination_delays_no_other(
    store: Store, ris: Ris, notify: Notify, generic: SystemProfile
) -> None:
    """Each has a worker of its own."""
    ris.answer = nothing
    his = Ris()
    await his.listen()
    put(store, "IP", destination="RIS")
    put(store, "IP", "CM", destination="HIS")
    await notify(Destination("HIS", "127.0.0.1", his.port, "ORM^O01", generic, "HIS", ""), within=2.0)

    waiting, *sent = await until(store, lambda found: settled(found[1:]))

    assert waiting.state is PENDING
    assert [row.state for row in sent] == [DELIVERED, DELIVERED]
    await his.close()


async def test_a_defect_costs_its_row_an_attempt_and_the_others_nothing(
    store: Store, ris: Ris, notify: Notify, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """What nobody thought of must not stop the outbox; the traceback is logged."""
    monkeypatch.setattr(module, "_BACKOFF_CAP", 0.01)
    request, broken = Connection.request, iter([True])

    async def once(self: Connection, payload: bytes, *more: Any) -> bytes:
        if next(broken, False):
            raise RuntimeError("SECRET")
        return await request(self, payload, *more)

    monkeypatch.setattr(Connection, "request", once)
    for order in ("1", "2", "3"):
        put(store, "IP", order=order)
    await notify()

    found = await until(store, settled)

    assert [(row.state, row.attempts) for row in found] == [(DELIVERED, 2), (DELIVERED, 1), (DELIVERED, 1)]
    assert [each.getMessage() for each in caplog.records if each.exc_info] == ["notifier failed"]


# --- several brokers, and the end of one ---------------------------------------------------------


async def test_two_brokers_on_one_database_send_nothing_twice(
    store: Store, opened: Callable[[], Store], ris: Ris, notify: Notify
) -> None:
    """Each row is claimed by one of them."""
    other = opened()
    for order in range(40):
        put(store, "IP", "CM", order=str(order))
    one, two = await notify(), await notify(on=other, owner="two")
    for _ in range(80):
        await ris.next()
    await one.stop()
    await two.stop()

    found = rows(store)
    assert {row.state for row in found} == {DELIVERED}
    assert sorted(ris.raw) == sorted(row.payload or b"" for row in found)


async def test_the_rows_of_a_broker_that_died_are_sent_when_their_lease_has_run_out(
    store: Store, ris: Ris, notify: Notify, clock: Clock
) -> None:
    """F-M28: with the bytes it had composed, whatever the profile would make of the facts today."""
    put(store, "IP", at="yesterday")

    def die(tx: Transaction) -> None:
        (row,) = outbox.claim(tx, "dead", dt.timedelta(seconds=120), 1)
        outbox.composed(tx, row.key, b"MSH|^~\\&|DEAD|||||||" + row.control_id.encode() + b"\r")

    store.write_now(die)
    await notify(pace=Pace(poll=0.01))
    clock.pass_by(110)
    put(store, "IP", order="2")
    first = await ris.next()
    clock.pass_by(11)
    second = await ris.next()

    assert (said(first), second.header.application) == (("IP", "ACC2"), "DEAD")
    assert await until(store, settled)


async def test_stopping_ends_the_exchange_under_way_and_gives_the_rest_back(
    store: Store, ris: Ris, notify: Notify
) -> None:
    """What is given back is free at once, and was no attempt; a new start sends it."""
    go_on = asyncio.Event()

    async def answer(message: Message) -> bytes:
        await go_on.wait()
        return ack(message)

    ris.answer = answer
    for order in ("1", "2", "3"):
        put(store, "IP", order=order)
    notifier = await notify()
    await ris.next()
    leased = rows(store)
    stopping = asyncio.create_task(notifier.stop())
    go_on.set()
    await stopping

    left = rows(store)
    assert [row.lease_owner for row in leased] == ["one"] * 3
    assert [(row.state, row.lease_owner, row.attempts) for row in left] == [
        (DELIVERED, None, 1), (PENDING, None, 0), (PENDING, None, 0)]  # fmt: skip

    await notifier.start()

    assert [row.attempts for row in await until(store, settled)] == [1, 1, 1]
    assert len(ris.raw) == 3


async def test_a_lease_is_not_trusted_to_its_end(
    store: Store, ris: Ris, notify: Notify, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow receiver would use it up row by row, and another broker would send the last ones too."""
    batches: list[int] = []
    claim = outbox.claim

    def watched(*arguments: Any, **more: Any) -> list[OutboxRow]:
        found = claim(*arguments, **more)
        batches.append(len(found))
        return found

    monkeypatch.setattr(outbox, "claim", watched)
    for order in ("1", "2", "3"):
        put(store, "IP", order=order)
    await notify(pace=Pace(poll=3600, lease=30.0), within=30.0)

    found = await until(store, settled)

    assert [size for size in batches if size] == [3, 2, 1]
    assert [row.attempts for row in found] == [1, 1, 1]
    assert len(ris.raw) == 3


async def test_a_new_notifier_leaves_no_listener_of_the_old_one(store: Store, notify: Notify) -> None:
    """A reload makes one each time; starting twice is starting once."""
    for _ in range(3):
        notifier = await notify()
        await notifier.start()
        assert len(store._listeners) == 1
        assert len(notifier._tasks) == 1
        await notifier.stop()
        await notifier.stop()

    assert store._listeners == []


async def test_a_notifier_that_never_started_can_be_stopped(store: Store) -> None:
    """Stopping before starting is legal."""
    notifier = Notifier(store, [], owner="one")

    await notifier.stop()
    await notifier.start()

    assert notifier._tasks == []
    await notifier.stop()
    assert store._listeners == []


# --- what a person, or a database, does meanwhile ------------------------------------------------


@pytest.mark.parametrize("answered", [True, False])
async def test_a_row_that_is_discarded_while_it_is_sent_stays_discarded(
    store: Store, ris: Ris, notify: Notify, caplog: pytest.LogCaptureFixture, answered: bool
) -> None:
    """Whatever the receiver says; the next row is sent, and a good answer is no outage."""

    async def answer(message: Message) -> bytes:
        if said(message) == ("IP", "ACC1"):
            key = rows_now[0].key
            await asyncio.to_thread(store.write_now, lambda tx: outbox.discard(tx, key))
            return ack(message) if answered else b"nonsense"
        return ack(message)

    ris.answer = answer
    put(store, "IP", order="1")
    put(store, "IP", order="2")
    rows_now = rows(store)
    await notify()

    found = await until(store, settled)

    assert [row.state for row in found] == [DISCARDED, DELIVERED]
    assert [row.lease_owner for row in found] == [None, None]
    outages = [each for each in caplog.records if each.getMessage() == "status cannot be delivered"]
    assert len(outages) == (0 if answered else 1)


async def test_a_store_that_does_not_answer_is_waited_for(
    store: Store, ris: Ris, notify: Notify, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And does not end the notifier."""
    claim, broken = outbox.claim, asyncio.Event()
    failing = iter([True, True])

    def sometimes(*arguments: Any, **more: Any) -> list[OutboxRow]:
        if next(failing, False):
            broken.set()
            raise Unavailable("the database is gone")
        return claim(*arguments, **more)

    monkeypatch.setattr(outbox, "claim", sometimes)
    put(store, "IP")
    await notify()

    assert [row.state for row in await until(store, settled)] == [DELIVERED]
    assert broken.is_set()


async def test_what_was_accepted_is_not_sent_again_because_the_database_went_away(
    store: Store, ris: Ris, notify: Notify, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the row that was to be closed nor those behind it wait for the end of their lease."""
    failing = iter([True, True])

    def away(change: Callable[..., None]) -> Callable[..., None]:
        def sometimes(*arguments: Any) -> None:
            if next(failing, False):
                raise Unavailable("the database is gone")
            change(*arguments)

        return sometimes

    for name in ("delivered", "failed"):
        monkeypatch.setattr(outbox, name, away(getattr(outbox, name)))
    for order in ("1", "2"):
        put(store, "IP", order=order)
    await notify()

    found = await until(store, settled)

    assert [(row.state, row.attempts) for row in found] == [(DELIVERED, 2), (DELIVERED, 2)]
    assert [said(parse(raw.decode())) for raw in ris.raw] == [("IP", "ACC1"), ("IP", "ACC2")]


async def test_nothing_of_the_patient_is_logged(
    store: Store, ris: Ris, notify: Notify, caplog: pytest.LogCaptureFixture
) -> None:
    """F-A16: who was told, under which number, with which answer."""
    put(store, "IP")
    with caplog.at_level(logging.INFO, "mwl"):
        await notify()
        await until(store, settled)

    (record,) = [each for each in caplog.records if each.getMessage() == "status delivered"]
    assert (record.fields["destination"], record.fields["answer"], record.fields["attempts"]) == (
        "RIS",
        "AA",
        1,
    )
    assert "SECRET" not in str(record.fields)
    assert "PID001" not in str(record.fields)
