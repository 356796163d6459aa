"""Group commit: what is acknowledged is committed, and what fails fails alone."""

from __future__ import annotations

import asyncio
import datetime as dt
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import create_engine, func, insert, make_url, select, text
from sqlalchemy.exc import IntegrityError

from mwl.errors import Refusal, Refused, Unavailable
from mwl.store import Store, Transaction, open_store
from mwl.store import engine as engines
from mwl.store.tables import patients
from mwl.store.writer import Change, Writer


def patient(patient_id: str) -> dict[str, str]:
    return {"patient_id": patient_id, "issuer": "", "document": "{}"}


def add(patient_id: str) -> Callable[[Transaction], str]:
    """A change that stores a patient."""

    def work(tx: Transaction) -> str:
        tx.connection.execute(insert(patients), patient(patient_id))
        return patient_id

    return work


def stored(url: str) -> set[str]:
    """The patients that another connection sees."""
    engine = engines.create(url)
    with engines.Link(engine, writing=False) as link, link.transaction() as connection:
        return set(connection.execute(select(patients.c.patient_id)).scalars())


def remove(url: str) -> None:
    """Delete the file of an SQLite database."""
    Path(str(make_url(url).database)).unlink(missing_ok=True)


class Gate:
    """A change that holds the writer until it is opened, so that what comes behind it is one batch."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self, _: Transaction) -> None:
        self.reached.set()
        assert self.opened.wait(30)

    async def hold(self, store: Store) -> asyncio.Task[None]:
        """Occupy the writer and return the task that waits for it."""
        task = asyncio.create_task(store.write(self))
        assert await asyncio.to_thread(self.reached.wait, 30)
        return task


async def together(store: Store, *works: Callable[[Transaction], object]) -> list[object]:
    """Run *works* in one batch and return their results or exceptions."""
    gate = Gate()
    holding = await gate.hold(store)
    waiting = [asyncio.ensure_future(store.write(work)) for work in works]
    await asyncio.sleep(0)  # one turn of the loop: each has queued its work
    gate.opened.set()
    await holding
    return await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_change_is_committed_when_it_is_acknowledged(store: Store, database_url: str) -> None:
    """Another connection sees the change the moment `write` returns."""
    assert await store.write(add("P1")) == "P1"

    assert stored(database_url) == {"P1"}


async def test_nothing_is_acknowledged_before_its_commit(store: Store, database_url: str) -> None:
    """A change that is done waits for the slower ones that share its commit."""
    gate, slow = Gate(), Gate()
    holding = await gate.hold(store)
    done = asyncio.ensure_future(store.write(add("P1")))
    late = asyncio.ensure_future(store.write(slow))
    await asyncio.sleep(0)
    gate.opened.set()
    await holding
    assert await asyncio.to_thread(slow.reached.wait, 30)

    assert not done.done()
    assert stored(database_url) == set()

    slow.opened.set()
    await asyncio.gather(done, late)
    assert stored(database_url) == {"P1"}


async def test_changes_that_arrive_during_a_commit_share_the_next_one(store: Store) -> None:
    """Everything that waited runs in one transaction."""

    def transaction_of(tx: Transaction) -> int:
        return id(tx.connection.get_transaction())

    seen = await together(store, *[transaction_of] * 5)

    assert len(set(seen)) == 1


async def test_a_failing_change_is_rolled_back_alone(store: Store, database_url: str) -> None:
    """Its error reaches its caller as it was raised; the rest of the batch is committed."""

    def refuse(tx: Transaction) -> None:
        add("half")(tx)
        raise Refused(Refusal.FINAL, "no more", instance="1.2.3")

    first, refused, last = await together(store, add("P1"), refuse, add("P2"))

    assert (first, last) == ("P1", "P2")
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.fields) == (Refusal.FINAL, {"instance": "1.2.3"})
    assert stored(database_url) == {"P1", "P2"}


async def test_a_batch_is_done_over_once_when_a_change_raises(store: Store, database_url: str) -> None:
    """What was made before it is made again, and what comes behind it once; the next batches are prepared."""
    runs: list[str] = []

    def counted(name: str, error: Exception | None = None) -> Callable[[Transaction], None]:
        def work(tx: Transaction) -> None:
            runs.append(name)
            add(f"{name}{len(runs)}")(tx)
            if error:
                raise error

        return work

    no = Refused(Refusal.FINAL, "no")
    await together(store, counted("A"), counted("B", no), counted("C"))
    assert runs == ["A", "B", "A", "B", "C"]
    runs.clear()
    await together(store, counted("D"), counted("E", no), counted("F"))

    assert runs == ["D", "E", "F"]
    assert stored(database_url) == {"A3", "C5", "D1", "F3"}


async def test_a_change_that_raises_alone_leaves_nothing(store: Store, database_url: str) -> None:
    """It runs once, and what it had made is gone."""
    runs: list[int] = []

    def refuse(tx: Transaction) -> None:
        runs.append(1)
        add("half")(tx)
        raise Refused(Refusal.FINAL, "no more")

    with pytest.raises(Refused):
        await store.write(refuse)

    assert len(runs) == 1
    assert stored(database_url) == set()


async def test_a_violated_constraint_costs_one_change_only(store: Store, database_url: str) -> None:
    """The duplicate is tried once more, alone, and then fails; its neighbours stay."""
    tries: list[int] = []

    def duplicate(tx: Transaction) -> None:
        tries.append(id(tx.connection.get_transaction()))
        add("P1")(tx)

    first, failed, last = await together(store, add("P1"), duplicate, add("P2"))

    assert (first, last) == ("P1", "P2")
    assert isinstance(failed, IntegrityError)
    assert len(tries) == 2
    assert stored(database_url) == {"P1", "P2"}


async def test_a_change_that_lost_a_race_succeeds_at_the_second_look(store: Store) -> None:
    """Where another broker inserted the row between look and insert, the second try finds it."""
    tries: list[int] = []

    def find_or_add(tx: Transaction) -> str:
        tries.append(1)
        if len(tries) > 1:
            return "found"
        return add("P1")(tx)

    await store.write(add("P1"))

    assert await store.write(find_or_add) == "found"


async def test_an_error_that_a_change_keeps_to_itself_costs_its_neighbours_nothing(
    store: Store, database_url: str, back_end: str
) -> None:
    """PostgreSQL then takes the transaction back at COMMIT, and says nothing: none of it is acknowledged."""

    def hush(tx: Transaction) -> str:
        add("P2")(tx)
        with suppress(IntegrityError):
            add("P2")(tx)
        return "done"

    first, last, hushed = await together(store, add("P1"), add("P3"), hush)

    assert (first, last) == ("P1", "P3")
    if back_end == "sqlite":  # where a statement that failed is all there is to it
        assert (hushed, stored(database_url)) == ("done", {"P1", "P2", "P3"})
    else:
        assert isinstance(hushed, Unavailable)
        assert stored(database_url) == {"P1", "P3"}


@pytest.fixture
def deferred(store: Store) -> Store:
    """A store with a constraint that is checked at COMMIT."""

    def work(tx: Transaction) -> None:
        tx.connection.execute(
            text(
                "CREATE TABLE visits (patient_key BIGINT REFERENCES patients (key)"
                " DEFERRABLE INITIALLY DEFERRED)"
            )
        )

    store.write_now(work)
    return store


async def test_a_failing_commit_costs_only_the_change_that_broke_it(
    deferred: Store, database_url: str
) -> None:
    """Each change of a batch whose COMMIT failed is tried alone: one fails again, the others are kept."""

    def poison(tx: Transaction) -> None:
        tx.connection.execute(text("INSERT INTO visits VALUES (4711)"))

    first, failed, last = await together(deferred, add("P1"), poison, add("P2"))

    assert (first, last) == ("P1", "P2")
    assert isinstance(failed, Unavailable)
    assert stored(database_url) == {"P1", "P2"}


async def test_a_connection_that_breaks_in_the_middle_of_a_batch_costs_and_doubles_nothing(
    store: Store, database_url: str, back_end: str, request: pytest.FixtureRequest
) -> None:
    """Before a change raised, and again while the batch is done over: each is made once, one is refused."""
    if back_end == "sqlite":
        pytest.skip("a file has no connection to lose")
    server = request.getfixturevalue("postgresql")
    cuts = iter((False, True, False, True))

    def cut(tx: Transaction) -> str:
        if next(cuts, False):
            server.disconnect(make_url(database_url).database)
        return add("P2")(tx)

    def refuse(tx: Transaction) -> None:
        add("half")(tx)
        raise Refused(Refusal.FINAL, "no")

    first, second, refused, last = await together(store, add("P1"), cut, refuse, add("P3"))

    assert (first, second, last) == ("P1", "P2", "P3")
    assert isinstance(refused, Refused)
    assert stored(database_url) == {"P1", "P2", "P3"}


async def test_a_transaction_that_the_file_ended_by_itself_acknowledges_nothing(
    store: Store, database_url: str, back_end: str
) -> None:
    """SQLite rolls back when a disk is full; whoever were to go on would be in no transaction at all."""
    if back_end != "sqlite":
        pytest.skip("as SQLite does it")

    def work(tx: Transaction) -> None:
        add("P1")(tx)
        tx.connection.exec_driver_sql("ROLLBACK")

    with pytest.raises(Unavailable):
        await store.write(work)

    assert await store.write(add("P2")) == "P2"
    assert stored(database_url) == {"P2"}


async def test_each_change_sees_the_time_of_its_own_work(database_url: str) -> None:
    """The clock is the one the store was opened with."""
    ticks = iter(dt.datetime(2026, 1, 5, 10, minute, tzinfo=dt.UTC) for minute in range(60))
    opened = open_store(database_url, clock=lambda: next(ticks))

    seen = [await opened.write(lambda tx: tx.stamp) for _ in range(2)]
    await opened.close()

    assert seen == ["2026-01-05T10:00:00.000000+00:00", "2026-01-05T10:01:00.000000+00:00"]


# --- the database does not answer ----------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, database_url: str) -> Iterator[Store]:
    """A store that waits a twentieth of a second for a lock."""
    monkeypatch.setattr(engines, "LOCK_TIMEOUT", 50)
    opened = open_store(database_url)
    yield opened
    opened.close_now()


@pytest.fixture
def locked(impatient: Store, database_url: str, back_end: str) -> Iterator[Callable[[], None]]:
    """Somebody else holds a lock on what the store wants to write; the value lets it go."""
    if back_end == "sqlite":
        other = sqlite3.connect(make_url(database_url).database, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        yield other.rollback
        other.close()
        return
    engine = create_engine(database_url)
    connection = engine.connect()
    connection.execute(text("LOCK TABLE patients IN EXCLUSIVE MODE"))
    yield connection.rollback
    connection.close()
    engine.dispose()


async def test_a_locked_database_is_unavailable_and_nothing_is_half_done(
    impatient: Store, locked: Callable[[], None], database_url: str
) -> None:
    """Every change of the batch fails; when the lock is gone the store goes on."""
    failures = await asyncio.gather(
        impatient.write(add("P1")), impatient.write(add("P2")), return_exceptions=True
    )
    locked()

    assert [type(failure).__mro__.count(Unavailable) for failure in failures] == [1, 1]
    assert failures[0] is not failures[1]
    assert stored(database_url) == set()
    assert await impatient.write(add("P3")) == "P3"


async def test_a_database_that_is_gone_is_unavailable(
    store: Store, database_url: str, back_end: str, request: pytest.FixtureRequest
) -> None:
    """Neither a write into a deleted file nor a read from it counts as done."""
    await store.write(add("P1"))
    if back_end == "sqlite":
        remove(database_url)
    else:
        server = request.getfixturevalue("postgresql")
        server.run(f"ALTER DATABASE {make_url(database_url).database} ALLOW_CONNECTIONS false")
        server.disconnect(make_url(database_url).database)

    with pytest.raises(Unavailable):
        await store.write(add("P2"))
    with pytest.raises(Unavailable):
        await store.read(lambda tx: tx.connection.execute(select(patients)).all())
    with pytest.raises(Unavailable):
        await store.ping()


async def test_a_file_that_vanishes_before_the_commit_acknowledges_nothing(
    store: Store, database_url: str, back_end: str
) -> None:
    """SQLite would commit into the deleted file; the store notices."""
    if back_end != "sqlite":
        pytest.skip("only SQLite is a file of ours")

    def work(tx: Transaction) -> None:
        add("P1")(tx)
        remove(database_url)

    with pytest.raises(Unavailable):
        await store.write(work)


async def test_a_lost_connection_costs_nobody_an_error(
    store: Store, database_url: str, back_end: str, request: pytest.FixtureRequest
) -> None:
    """After a restart of the server, the next read and the next writes open new connections."""
    if back_end == "sqlite":
        pytest.skip("a file has no connection to lose")
    await store.write(add("P1"))
    count = select(func.count()).select_from(patients)
    await asyncio.gather(*(store.read(lambda tx: tx.connection.execute(count).scalar()) for _ in range(8)))
    request.getfixturevalue("postgresql").disconnect(make_url(database_url).database)

    results = await together(store, add("P2"), add("P3"))
    reads = await asyncio.gather(
        *(store.read(lambda tx: tx.connection.execute(count).scalar()) for _ in range(8))
    )

    assert results == ["P2", "P3"]
    assert reads == [3] * 8


# --- the queue -----------------------------------------------------------------------------------


async def test_a_full_queue_refuses(database_url: str) -> None:
    """What would wait behind too many others is told to come again."""
    writer = Writer(
        engines.create(database_url), lambda: dt.datetime.now(dt.UTC), lambda topics: None, waiting=2
    )
    gate = Gate()
    held = writer.submit(gate)
    assert await asyncio.to_thread(gate.reached.wait, 30)
    accepted = [writer.submit(add("P1")), writer.submit(add("P2"))]

    with pytest.raises(Unavailable):
        writer.submit(add("P3"))

    gate.opened.set()
    writer.close()
    assert [future.result(0) for future in (held, *accepted)] == [None, "P1", "P2"]


async def test_what_finds_no_room_fails_and_the_rest_is_done(database_url: str) -> None:
    """Of changes that are handed over together, too; whoever has gone is no trouble."""
    writer = Writer(
        engines.create(database_url), lambda: dt.datetime.now(dt.UTC), lambda topics: None, waiting=2
    )
    gate = Gate()
    writer.submit(gate)
    assert await asyncio.to_thread(gate.reached.wait, 30)
    changes = [Change(add(f"P{n}")) for n in range(4)]
    assert changes[3].future.cancel()
    writer.take(changes)
    gate.opened.set()
    writer.close()

    assert [changes[n].future.result(0) for n in (0, 1)] == ["P0", "P1"]
    assert isinstance(changes[2].future.exception(0), Unavailable)
    assert stored(database_url) == {"P0", "P1"}


async def test_closing_commits_what_is_queued_and_refuses_the_rest(store: Store, database_url: str) -> None:
    """Draining loses nothing; closing twice is allowed."""
    gate = Gate()
    holding = await gate.hold(store)
    queued = [asyncio.ensure_future(store.write(add(f"P{n}"))) for n in range(20)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(store.close())
    gate.opened.set()
    await closing
    await store.close()

    assert await holding is None
    assert await asyncio.gather(*queued) == [f"P{n}" for n in range(20)]
    assert len(stored(database_url)) == 20
    with pytest.raises(Unavailable):
        await store.write(add("late"))
    with pytest.raises(Unavailable):
        await store.read(lambda tx: None)


async def test_a_change_whose_caller_has_gone_before_its_turn_is_not_made(
    store: Store, database_url: str
) -> None:
    """Cancelling the wait takes the change out of the queue."""
    gate = Gate()
    holding = await gate.hold(store)
    waiting = asyncio.ensure_future(store.write(add("P1")))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)
    gate.opened.set()
    await holding
    await store.write(add("P2"))

    assert waiting.cancelled()
    assert stored(database_url) == {"P2"}


async def test_a_defect_of_a_change_does_not_stop_the_writer(store: Store) -> None:
    """Even an exception that is not an error reaches its caller, and the next change is made."""

    def defect(_: Transaction) -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await store.write(defect)

    assert await store.write(add("P1")) == "P1"


# --- topics --------------------------------------------------------------------------------------


async def test_listeners_hear_of_committed_topics_in_their_loop(store: Store) -> None:
    """The union of a batch's topics is announced once; what failed or touched nothing is not."""
    heard: asyncio.Queue[tuple[set[str], int]] = asyncio.Queue()
    store.on_commit(lambda topics: heard.put_nowait((topics, threading.get_ident())))

    def touch(topic: str, error: Exception | None = None) -> Callable[[Transaction], None]:
        def work(tx: Transaction) -> None:
            tx.topics.add(topic)
            if error:
                raise error

        return work

    await together(
        store, touch("outbox"), touch("steps"), touch("lost", Refused(Refusal.FINAL, "")), add("P1")
    )

    assert await heard.get() == ({"outbox", "steps"}, threading.get_ident())
    assert heard.empty()


async def test_a_listener_that_was_ended_hears_no_more(store: Store) -> None:
    """Whoever is replaced leaves nothing behind; ending twice is allowed."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    end = store.on_commit(lambda _: heard.put_nowait("ended"))
    store.on_commit(lambda _: heard.put_nowait("other"))
    end()
    end()

    await store.write(lambda tx: tx.topics.add("outbox"))

    assert await heard.get() == "other"
    assert heard.empty()
