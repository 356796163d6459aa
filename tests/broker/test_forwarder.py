"""The forwarder on a real store and foreign peers: each row once, in order, for as long as it takes."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from foreign.dicom.receiver import EXPLICIT, Receiver, Told, receiving, status
from mwl.broker import forwarder as module
from mwl.broker.forwarder import Forwarder, Recipient
from mwl.dicom.encoding import encode_dataset
from mwl.dicom.requestor import Peer
from mwl.errors import Unavailable
from mwl.hl7.courier import Pace
from mwl.lifecycle import OutboxState
from mwl.mapping.text.charset import UTF8
from mwl.model import Document
from mwl.store import Store, Transaction, onward, open_store, outbox, performed, requests
from mwl.store.onward import CREATE, FORWARD, NOTIFICATION, SET, Copy, Notice, Onward, Route
from mwl.store.outbox import OutboxRow

PENDING, DELIVERED, PARKED, DISCARDED = OutboxState
SOON = Pace(backoff=lambda failures: 0.01, poll=0.05)
PACS = Onward((Route("PACS"),), ("VIEWER",))
STEP: Document = {
    "00400252": {"vr": "CS", "Value": ["IN PROGRESS"]}, "00400253": {"vr": "SH", "Value": ["PPS1"]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "DOE^JANE"}]},
}  # fmt: skip
END: Document = {"00400252": {"vr": "CS", "Value": ["COMPLETED"]}}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store of an empty outbox."""
    opened = open_store(f"sqlite:///{tmp_path / 'outbox.db'}")
    yield opened
    opened.close_now()


@pytest.fixture
def pacs() -> Iterator[Receiver]:
    """Another SCP."""
    with receiving() as made:
        yield made


Start = Callable[..., Any]


@pytest.fixture
async def start(store: Store) -> AsyncIterator[Start]:
    """Start forwarders, one after the other, to the PACS or a subscriber."""
    running: list[Forwarder] = []

    async def begin(
        receiver: Receiver, kind: str = FORWARD, *, port: int = 0, timeout: float = 10
    ) -> Forwarder:
        peer = Peer("127.0.0.1", port or receiver.port, "ARCHIVE", "MWL", timeout=timeout)
        name = "PACS" if kind == FORWARD else "VIEWER"
        running.append(Forwarder(store, [Recipient(name, kind, peer)], owner="one", pace=SOON))
        await running[-1].start()
        return running[-1]

    yield begin
    for forwarder in running:
        await forwarder.stop()


def raw(document: Document) -> bytes:
    """Return a data set as a device sent it."""
    return encode_dataset(document, EXPLICIT, UTF8)


def begin(store: Store, uid: str, *, told: Onward = PACS) -> int:
    """Create a performed step, as the service does; return its key."""

    def work(tx: Transaction) -> int:
        step = performed.create(tx, uid, STEP, calling_ae="CT1", told=()).step
        onward.send_first(tx, step, [Copy(CREATE, _kept(tx, step.key, CREATE, STEP))], told)
        onward.notify(tx, step, [Notice.IN_PROGRESS], told)
        return step.key

    return store.write_now(work)


def end(store: Store, uid: str) -> None:
    """Complete a performed step, as the service does."""

    def work(tx: Transaction) -> None:
        step = performed.update(tx, uid, END, calling_ae="CT1", told=()).step
        onward.send_next(tx, step, [Copy(SET, _kept(tx, step.key, SET, END), ends=True)], PACS)
        onward.notify(tx, step, [Notice.COMPLETED], PACS)

    store.write_now(work)


def _kept(tx: Transaction, key: int, operation: str, document: Document) -> int:
    return requests.keep(
        tx,
        key,
        operation=operation,
        calling_ae="CT1",
        address="",
        transfer_syntax=EXPLICIT,
        data=raw(document),
    )


def rows(store: Store, kind: str = FORWARD) -> list[OutboxRow]:
    """Return the rows of a kind, oldest first."""
    return [row for row in reversed(store.read_now(outbox.browse)) if row.kind == kind]


async def until(
    store: Store, holds: Callable[[list[OutboxRow]], bool], kind: str = FORWARD
) -> list[OutboxRow]:
    """Wait until something holds of the rows of a kind, and return them, oldest first."""
    heard = asyncio.Event()
    end = store.on_commit(lambda topics: heard.set())
    try:
        async with asyncio.timeout(60):
            while not holds(found := await asyncio.to_thread(rows, store, kind)):
                await heard.wait()
                heard.clear()
    finally:
        end()
    return found


async def settled(store: Store, *states: OutboxState, kind: str = FORWARD) -> list[OutboxRow]:
    """Wait until the rows are in these states, and return them, oldest first."""
    return await until(store, lambda found: [row.state for row in found] == [*states], kind)


def said(told: list[Told]) -> list[tuple[str, str]]:
    """Return what came, without its content."""
    return [(each.operation, each.uid) for each in told]


async def test_a_performed_step_arrives_as_the_device_sent_it(
    store: Store, pacs: Receiver, start: Start, caplog: Any
) -> None:
    """To the byte, in order, each once; the log names no patient."""
    begin(store, "1.2.1")
    end(store, "1.2.1")

    with caplog.at_level(logging.DEBUG, "mwl"):
        await start(pacs)
        await settled(store, DELIVERED, DELIVERED)

    assert said(pacs.told) == [("N-CREATE", "1.2.1"), ("N-SET", "1.2.1")]
    assert [each.raw for each in pacs.told] == [raw(STEP), raw(END)]
    assert [each.fields["operation"] for each in caplog.records if each.getMessage() == "performed step sent on"] == [
        "N-CREATE", "N-SET",
    ]  # fmt: skip
    assert "DOE" not in str([(each.getMessage(), getattr(each, "fields", "")) for each in caplog.records])


async def test_what_comes_is_sent_when_it_comes(store: Store, pacs: Receiver, start: Start) -> None:
    """No row waits for a clock; and the association is not held while nothing is said."""
    await start(pacs)
    await asyncio.to_thread(begin, store, "1.2.1")
    await settled(store, DELIVERED)
    await asyncio.to_thread(end, store, "1.2.1")
    await settled(store, DELIVERED, DELIVERED)

    assert pacs.associations == 2


async def test_an_n_set_waits_for_its_n_create(store: Store, pacs: Receiver, start: Start) -> None:
    """A peer that cannot take the first gets nothing of that step; others go on."""
    for uid in ("1.2.1", "1.2.2"):
        begin(store, uid)
        end(store, uid)
    busy = iter([True, True])
    pacs.reply = lambda told: 0x0213 if told.uid == "1.2.1" and next(busy, False) else 0x0000

    await start(pacs)
    await settled(store, *[DELIVERED] * 4)

    for uid in ("1.2.1", "1.2.2"):
        came = [each.operation for each in pacs.told if each.uid == uid]
        assert came == sorted(came)
    assert [each.operation for each in pacs.told if each.uid == "1.2.1"] == ["N-CREATE"] * 3 + ["N-SET"]


async def test_a_peer_that_is_away_gets_everything_in_the_end(
    store: Store, pacs: Receiver, start: Start, caplog: Any
) -> None:
    """No association: tried again for as long as it takes, said once an outage."""
    pacs.deaf()
    begin(store, "1.2.1")
    with caplog.at_level(logging.WARNING, "mwl"):
        await start(pacs)
        (tried,) = await until(store, lambda found: found[0].attempts > 2 and bool(found[0].last_error))
        end(store, "1.2.1")
        pacs.listen()
        await settled(store, DELIVERED, DELIVERED)

    assert said(pacs.told) == [("N-CREATE", "1.2.1"), ("N-SET", "1.2.1")]
    assert "cannot be reached" in tried.last_error
    said_once = [each for each in caplog.records if each.getMessage() == "performed steps cannot be sent on"]
    assert [each.fields["destination"] for each in said_once] == ["PACS"]


@pytest.mark.parametrize(
    ("lost", "second"),
    [("N-CREATE", status(0x0111)), ("N-SET", status(0x0110, 0xA710, "no longer"))],
)
async def test_a_lost_answer_is_no_refusal(
    store: Store, pacs: Receiver, start: Start, lost: str, second: Any
) -> None:
    """The peer did it and said so to nobody; asked again it says that it is done: delivered."""
    heard: list[str] = []

    def reply(told: Told) -> Any:
        heard.append(told.operation)
        if told.operation != lost:
            return 0x0000
        return None if heard.count(lost) == 1 else second

    pacs.reply = reply
    begin(store, "1.2.1")
    end(store, "1.2.1")

    await start(pacs)
    await settled(store, DELIVERED, DELIVERED)

    assert heard.count(lost) == 2


async def test_a_broker_that_was_killed_may_have_been_heard(
    store: Store, pacs: Receiver, start: Start
) -> None:
    """It left a claimed row without an error; what another sends again, the peer has already."""
    begin(store, "1.2.1")
    lease = module.dt.timedelta(seconds=0)
    store.write_now(lambda tx: outbox.claim(tx, "killed", lease, 1, destination="PACS", kind=FORWARD))
    pacs.reply = lambda told: 0x0111

    await start(pacs)
    await settled(store, DELIVERED)

    assert said(pacs.told) == [("N-CREATE", "1.2.1")]


@pytest.mark.parametrize(
    ("refusal", "kept"),
    [
        (status(0x0111), "answered 0111"),
        (status(0x0110, 0xA710, "no longer"), "answered 0110, Error ID A710: no longer"),
        (status(0x0112, comment="DOE^JANE is unknown"), "answered 0112: DOE^JANE is unknown"),
        (status(0x0120), "answered 0120"),
    ],
)
async def test_a_refusal_is_parked(
    store: Store, pacs: Receiver, start: Start, caplog: Any, refusal: Any, kept: str
) -> None:
    """At once, with what the peer said in the database and not in the log; the next step is sent."""
    begin(store, "1.2.1")
    begin(store, "1.2.2")
    pacs.reply = lambda told: refusal if told.uid == "1.2.1" else 0x0000

    with caplog.at_level(logging.INFO, "mwl"):
        await start(pacs)
        parked, _ = await settled(store, PARKED, DELIVERED)

    assert (parked.last_error, parked.attempts) == (kept, 1)
    (told,) = [each for each in caplog.records if each.getMessage() == "performed step not taken"]
    assert told.fields["status"] == f"{refusal.Status:04X}"
    assert "DOE" not in str(told.fields)


SERIES: Document = {"00400254": {"vr": "LO", "Value": ["goes on"]}}


def go_on(store: Store, uid: str) -> None:
    """Change a performed step and leave it in progress, as the service does."""

    def work(tx: Transaction) -> None:
        step = performed.update(tx, uid, SERIES, calling_ae="CT1", told=()).step
        onward.send_next(tx, step, [Copy(SET, _kept(tx, step.key, SET, SERIES))], PACS)

    store.write_now(work)


class Forgetful:
    """A peer that knows the steps it was told of, until it has lost them; *takes* is whether any again."""

    def __init__(self, *, takes: bool = True) -> None:
        self.known: set[str] = set()
        self._creates = 0
        self._takes = takes

    def __call__(self, told: Told) -> int:
        if told.operation == "N-CREATE":
            self._creates += 1
            if self._creates > 1 and not self._takes:
                return 0x0110
            self.known.add(told.uid)
        return 0x0000 if told.uid in self.known else 0x0112


async def test_a_peer_that_has_lost_a_step_gets_it_again(
    store: Store, pacs: Receiver, start: Start, caplog: Any
) -> None:
    """Its data is gone, and it does not know the instance (0112): from the N-CREATE on, in order."""
    peer = pacs.reply = Forgetful()
    begin(store, "1.2.1")
    go_on(store, "1.2.1")
    with caplog.at_level(logging.WARNING, "mwl"):
        await start(pacs)
        await settled(store, DELIVERED, DELIVERED)
        peer.known.clear()
        await asyncio.to_thread(end, store, "1.2.1")
        await settled(store, *[DELIVERED] * 3)

    asked = [each.raw for each in pacs.told]
    assert asked == [raw(each) for each in (STEP, SERIES, END, STEP, SERIES, END)]
    (told,) = [each for each in caplog.records if each.getMessage() == "performed step sent anew"]
    assert (told.fields["destination"], told.fields["requests"]) == ("PACS", 2)


@pytest.mark.parametrize("state", [PARKED, DISCARDED])
async def test_what_a_peer_never_took_is_not_sent_anew(
    store: Store, pacs: Receiver, start: Start, state: OutboxState
) -> None:
    """The N-CREATE was refused, or a person decided against it: the N-SET waits for her as well."""
    change = outbox.discard if state is DISCARDED else lambda tx, key: outbox.parked(tx, key, "answered 0110")
    begin(store, "1.2.1")
    (first,) = rows(store)
    store.write_now(lambda tx: change(tx, first.key))
    end(store, "1.2.1")
    pacs.reply = Forgetful()

    await start(pacs)
    _, last = await settled(store, state, PARKED)

    assert (said(pacs.told), last.last_error) == ([("N-SET", "1.2.1")], "answered 0112")


async def test_what_a_peer_does_not_take_again_is_parked(store: Store, pacs: Receiver, start: Start) -> None:
    """Once, with what it said of the N-SET."""
    peer = pacs.reply = Forgetful(takes=False)
    begin(store, "1.2.1")
    await start(pacs)
    await settled(store, DELIVERED)
    peer.known.clear()
    await asyncio.to_thread(end, store, "1.2.1")

    _, last = await settled(store, DELIVERED, PARKED)

    assert [each.operation for each in pacs.told] == ["N-CREATE", "N-SET", "N-CREATE"]
    assert last.last_error == "answered 0112"


async def test_an_answer_that_was_lost_is_remembered_while_the_peer_is_away(
    store: Store, pacs: Receiver, start: Start
) -> None:
    """Sent, unanswered; then not reached; then 0111: the first one was heard."""
    pacs.reply = lambda told: None
    begin(store, "1.2.1")
    await start(pacs)
    await asyncio.to_thread(pacs.until, 1)
    await asyncio.to_thread(pacs.deaf)
    (away,) = await until(store, lambda found: "cannot be reached" in found[0].last_error)
    pacs.reply = lambda told: 0x0111
    pacs.listen()

    await settled(store, DELIVERED)

    assert away.last_error.startswith("sent, and not answered: ")


async def test_what_a_person_sends_again_is_judged_anew(store: Store, pacs: Receiver, start: Start) -> None:
    """A refusal was an answer: 0111 to the retry is a refusal as well."""
    begin(store, "1.2.1")
    pacs.reply = lambda told: 0x0111
    await start(pacs)
    (row,) = await settled(store, PARKED)

    await store.write(lambda tx: outbox.retry(tx, row.key))
    await asyncio.to_thread(pacs.until, 2)
    (again,) = await settled(store, PARKED)

    assert again.attempts == 2


async def test_canonical_values_are_sent_where_a_row_holds_them(
    store: Store, pacs: Receiver, start: Start
) -> None:
    """Without the device's bytes; and a row whose bytes are gone is parked."""

    def work(tx: Transaction) -> None:
        step = performed.create(tx, "1.2.1", STEP, calling_ae="CT1", told=()).step
        onward.send_first(tx, step, [Copy(CREATE, document=STEP), Copy(SET, request=99)], PACS)

    store.write_now(work)
    await start(pacs)
    _, gone = await settled(store, DELIVERED, PARKED)

    assert str(pacs.told[0].attributes.PatientName) == "DOE^JANE"
    assert gone.last_error == "the request is not kept any more"


async def test_f_m27_subscribers_hear_in_order(store: Store, start: Start) -> None:
    """Event types 1 and 2 of one step, though the first had to be sent twice."""
    with receiving() as viewer:
        lost = iter([None])
        viewer.reply = lambda told: next(lost, 0x0000)
        begin(store, "1.2.1")
        end(store, "1.2.1")

        await start(viewer, NOTIFICATION)
        await settled(store, DELIVERED, DELIVERED, kind=NOTIFICATION)

        assert [(each.event_type, each.uid) for each in viewer.told] == [
            (1, "1.2.1"),
            (1, "1.2.1"),
            (2, "1.2.1"),
        ]


async def test_a_stopped_forwarder_gives_back_what_it_claimed(
    store: Store, pacs: Receiver, start: Start
) -> None:
    """The exchange under way ends; what was claimed and not tried was no attempt."""
    stop: list[asyncio.Task[None]] = []
    loop, uids = asyncio.get_running_loop(), [f"1.2.{n}" for n in range(1, 6)]

    def reply(told: Told) -> int:
        if not stop:
            asyncio.run_coroutine_threadsafe(_stop(), loop).result(30)
        return 0x0000

    async def _stop() -> None:
        stop.append(asyncio.create_task(forwarder.stop()))
        await asyncio.sleep(0)

    for uid in uids:
        begin(store, uid)
    pacs.reply = reply
    forwarder = await start(pacs)
    await asyncio.to_thread(pacs.until, 1)
    await stop[0]

    found = rows(store)
    assert [row.state for row in found] == [DELIVERED, *[PENDING] * 4]
    assert {(row.attempts, row.lease_owner) for row in found[1:]} == {(0, None)}


async def test_a_stopped_forwarder_hangs_up_on_a_peer_that_is_silent(
    store: Store, pacs: Receiver, start: Start
) -> None:
    """The request has left: after the next start 0111 says that it was heard."""
    heard, answered = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def reply(told: Told) -> int:
        loop.call_soon_threadsafe(heard.set)
        answered.wait(60)
        return 0x0000

    pacs.reply = reply
    begin(store, "1.2.1")
    forwarder = await start(pacs, timeout=60)
    await heard.wait()

    await forwarder.stop(0)
    (row,) = rows(store)
    answered.set()

    assert (row.state, row.lease_owner) == (PENDING, None)
    assert row.last_error.startswith("sent, and not answered: ")


async def test_a_stopped_forwarder_waits_for_no_association(store: Store, start: Start) -> None:
    """Nothing has left: the peer takes connections and says nothing on them."""
    connected = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)  # the request for an association has come
        connected.set()
        while await reader.read(65536):
            pass
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    begin(store, "1.2.1")
    async with server:
        forwarder = await start(Receiver(), port=server.sockets[0].getsockname()[1], timeout=60)
        await connected.wait()

        await forwarder.stop(0)

    (row,) = rows(store)
    assert (row.state, row.lease_owner) == (PENDING, None)
    assert "did not answer the request for an association" in row.last_error


async def test_nothing_is_sent_to_whom_nothing_is_configured(
    store: Store, pacs: Receiver, start: Start
) -> None:
    """A peer that came later gets the steps that begin after it came, whole."""
    begin(store, "1.2.1", told=Onward())
    end(store, "1.2.1")
    begin(store, "1.2.2")

    await start(pacs)
    await settled(store, DELIVERED)

    assert said(pacs.told) == [("N-CREATE", "1.2.2")]


async def test_an_answer_that_could_not_be_recorded_counts_as_lost(
    store: Store, pacs: Receiver, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database went away for a moment: the request is sent again, and 0111 is no refusal."""
    record, failures = outbox.delivered, iter([True])

    def delivered(tx: Transaction, key: int) -> None:
        if next(failures, False):
            raise Unavailable("gone for a moment")
        record(tx, key)

    monkeypatch.setattr(outbox, "delivered", delivered)
    created = iter([0x0000])
    pacs.reply = lambda told: next(created, 0x0111)
    begin(store, "1.2.1")

    await start(pacs)
    (row,) = await settled(store, DELIVERED)

    assert (said(pacs.told), row.attempts) == ([("N-CREATE", "1.2.1")] * 2, 2)
