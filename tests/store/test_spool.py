"""The spool of audit messages: in order, one claim at a time, bounded, forgotten once they are sent."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import insert

from mwl.store import Store, open_store, spool
from mwl.store.spool import Backlog
from mwl.store.tables import audit_spool

START = dt.datetime(2026, 7, 5, 9, tzinfo=dt.UTC)
LEASE = dt.timedelta(minutes=1)


class Clock:
    """A clock that a test moves."""

    now = START

    def __call__(self) -> dt.datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept(database_url: str, clock: Clock):
    """A store whose clock the test moves."""
    store = open_store(database_url, clock=clock)
    yield store
    store.close_now()


def put(store: Store, *messages: bytes, limit: int = 1000) -> int:
    return store.write_now(lambda tx: spool.put(tx, messages, limit=limit))


def claim(store: Store, owner: str = "a", most: int = 10) -> list[bytes]:
    return [each.message for each in store.write_now(lambda tx: spool.claim(tx, owner, LEASE, most))]


def send(store: Store, owner: str = "a", most: int = 10) -> list[bytes]:
    """Claim, and forget what was claimed."""

    def work(tx):
        found = spool.claim(tx, owner, LEASE, most)
        spool.sent(tx, [each.key for each in found])
        return found

    return [each.message for each in store.write_now(work)]


def test_messages_leave_in_the_order_in_which_they_were_written(kept):
    """Whatever they were written with; each once."""
    put(kept, b"1", b"2")
    put(kept, b"3")

    assert [send(kept, most=2), send(kept), send(kept)] == [[b"1", b"2"], [b"3"], []]


def test_one_broker_at_a_time_has_a_claim(kept, clock):
    """Another would overtake it; when its lease has run out, another sends the same again."""
    put(kept, b"1", b"2")
    claim(kept, "a", 1)

    meanwhile = claim(kept, "b")
    clock.now += LEASE
    afterwards = claim(kept, "b")

    assert (meanwhile, afterwards) == ([], [b"1", b"2"])


def test_a_claim_holds_for_a_broker_whose_clock_is_ahead(database_url, back_end, monkeypatch):
    """It ends by the clock of the server that both ask."""
    if back_end == "sqlite":
        pytest.skip("one broker serves a file")
    here = open_store(database_url)
    monkeypatch.setattr("mwl.store.store.utc_now", lambda: dt.datetime.now(dt.UTC) + 10 * LEASE)
    ahead = open_store(database_url)
    put(here, b"1", b"2")

    assert (claim(here, "here", 1), claim(ahead, "ahead")) == ([b"1"], [])
    for each in (here, ahead):
        each.close_now()


def test_what_is_given_back_is_claimed_again(kept):
    """By whoever comes first."""
    put(kept, b"1")
    claim(kept, "a")

    kept.write_now(lambda tx: spool.released(tx, "a"))

    assert claim(kept, "b") == [b"1"]


def test_a_broker_that_was_killed_goes_on_where_it_was(kept, back_end):
    """On SQLite, where it is the only one; on PostgreSQL the lease runs out."""
    put(kept, b"1")
    claim(kept, "killed")

    kept.write_now(spool.recover)

    assert claim(kept, "next") == ([b"1"] if back_end == "sqlite" else [])


def test_what_comes_when_the_spool_is_full_is_dropped(kept):
    """What is there stays; there is room again once something was sent."""
    dropped = [put(kept, b"1", b"2", b"3", limit=2), put(kept, b"4", limit=2)]
    sent = send(kept, most=1)
    room = put(kept, b"5", b"6", limit=2)

    assert dropped == [1, 1]
    assert sent == [b"1"]
    assert room == 1
    assert send(kept) == [b"2", b"5"]


def test_what_is_taken_back_was_never_written(kept):
    """A message stands or falls with the change that it reports."""

    def work(tx):
        spool.put(tx, [b"1"], limit=10)
        raise LookupError

    with pytest.raises(LookupError):
        kept.write_now(work)

    assert claim(kept) == []


def test_the_backlog_is_how_many_and_since_when(kept, clock):
    """Nothing at all is no age."""
    nothing = kept.read_now(spool.backlog)
    put(kept, b"1")
    clock.now += LEASE
    put(kept, b"2", b"3")

    assert nothing == Backlog(0, None)
    assert kept.read_now(spool.backlog) == Backlog(3, START)


async def test_writing_announces_the_topic(kept):
    """The sender need not ask."""
    heard: list[set[str]] = []
    kept.on_commit(heard.append)

    await kept.write(lambda tx: spool.put(tx, [b"1"], limit=10))
    await kept.write(lambda tx: spool.put(tx, [], limit=10))
    await kept.read(spool.backlog)

    assert heard == [{spool.TOPIC}]


def test_a_full_spool_is_found_without_counting(kept):
    """A hundred thousand messages that wait cost an order nothing: two ends of an index are looked at."""
    rows = [{"created_at": "", "message": b""}] * 5000
    kept.write_now(lambda tx: tx.connection.execute(insert(audit_spool), rows))

    assert put(kept, b"1", limit=5000) == 1
    assert put(kept, b"1", limit=5001) == 0
