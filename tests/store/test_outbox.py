"""The outbox: leases, order within a thread, retries, what a person decides."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
from collections import defaultdict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mwl import lifecycle
from mwl.errors import Refusal, Refused
from mwl.lifecycle import OutboxState
from mwl.store import Store, Transaction, open_store, outbox, tables
from mwl.store.outbox import Backlog, OutboxRow

START = dt.datetime(2026, 7, 5, 9, tzinfo=dt.UTC)
LEASE = dt.timedelta(minutes=1)
PENDING, DELIVERED, PARKED, DISCARDED = OutboxState


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> dt.datetime:
        return self.now

    def pass_by(self, interval: dt.timedelta) -> None:
        self.now += interval


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept(database_url: str, clock: Clock):
    """A store whose clock the test moves."""
    store = open_store(database_url, clock=clock)
    yield store
    store.close_now()


def put(store: Store, thread: str = "procedure:1", event: str = "IP", destination: str = "RIS") -> None:
    facts = {"event": event}
    store.write_now(lambda tx: outbox.enqueue(tx, destination=destination, thread=thread, facts=facts))


def claim(store: Store, owner: str = "a", limit: int = 10) -> list[OutboxRow]:
    return store.write_now(lambda tx: outbox.claim(tx, owner, LEASE, limit))


def do(store: Store, change, row: OutboxRow, *more):
    return store.write_now(lambda tx: change(tx, row.key, *more))


def told(rows: list[OutboxRow]) -> list[tuple[str, str]]:
    return [(row.thread, row.facts["event"]) for row in rows]


def only(store: Store) -> OutboxRow:
    return store.read_now(only_in)


def test_a_row_is_due_when_it_is_written(kept):
    """A claim returns it with its facts, under a lease."""
    put(kept)

    [row] = claim(kept, "worker 1")

    assert (row.kind, row.destination, row.thread, row.facts) == (
        "status",
        "RIS",
        "procedure:1",
        {"event": "IP"},
    )
    assert (row.state, row.attempts, row.payload) == (PENDING, 1, None)
    assert (row.lease_owner, row.lease_until, row.due_at) == ("worker 1", START + LEASE, START)


def test_writing_and_closing_a_row_announce_the_topic(kept):
    """The notifier is woken by what may have made something due."""

    def work(change):
        def topics(tx: Transaction) -> set[str]:
            change(tx)
            return tx.topics

        return kept.write_now(topics)

    written = work(lambda tx: outbox.enqueue(tx, destination="RIS", thread="t", facts={}))
    closed = work(lambda tx: outbox.delivered(tx, only_in(tx).key))

    assert (written, closed) == ({"outbox"}, {"outbox"})


def only_in(tx: Transaction) -> OutboxRow:
    [row] = outbox.browse(tx)
    return row


def test_a_leased_row_is_not_claimed_again(kept, clock):
    """One worker at a time, until the very end of the lease."""
    put(kept)
    claim(kept, "a")
    clock.pass_by(LEASE - dt.timedelta(microseconds=1))

    assert claim(kept, "b") == []


def test_what_a_worker_could_not_settle_it_gives_back(kept):
    """The database went away; nobody waits for the end of a lease that its own worker knows to be over."""
    for destination in ("RIS", "HIS"):
        put(kept, destination=destination)
    claim(kept, "a")
    kept.write_now(lambda tx: outbox.relinquish(tx, "b", destination="RIS"))
    of_another = claim(kept, "a")
    kept.write_now(lambda tx: outbox.relinquish(tx, "a", destination="RIS"))
    found = claim(kept, "a")

    assert of_another == []
    assert [(row.destination, row.attempts) for row in found] == [("RIS", 2)]


def test_f_m28_a_lease_that_runs_out_is_claimable_under_the_same_control_id(kept, clock):
    """A worker that died leaves the row to the next one, with its control ID and its composed bytes."""
    put(kept)
    [first] = claim(kept, "a")
    do(kept, outbox.composed, first, b"MSH|1")
    clock.pass_by(LEASE)

    [second] = claim(kept, "b")

    assert (second.key, second.control_id, second.payload) == (first.key, first.control_id, b"MSH|1")
    assert (second.lease_owner, second.attempts) == ("b", 2)


def test_a_row_is_composed_once(kept):
    """The bytes that were kept first are the ones that count."""
    put(kept)
    [row] = claim(kept)

    composed = [do(kept, outbox.composed, row, payload) for payload in (b"first", b"second")]

    assert composed == [b"first", b"first"]
    assert only(kept).payload == b"first"


def test_control_ids_are_unique_short_and_in_the_order_of_time(kept, clock):
    """MSH-10 is an ST of 20 characters."""
    for _ in range(5):
        put(kept)
        clock.pass_by(dt.timedelta(milliseconds=1))

    ids = [row.control_id for row in reversed(kept.read_now(outbox.browse))]

    assert len(set(ids)) == 5
    assert ids == sorted(ids)
    assert all(len(each) == 20 and each.isalnum() for each in ids)


def test_f_m29_a_thread_leaves_in_order(kept, clock):
    """COMPLETED waits while IN PROGRESS is leased, waits for its next attempt, or is not tried yet."""
    put(kept, event="IP")
    put(kept, event="CM")
    put(kept, "procedure:2", "IP")

    first = claim(kept, "a")
    second = claim(kept, "b")
    do(kept, outbox.failed, first[0], "no route to host", clock.now + dt.timedelta(minutes=5))
    third = claim(kept, "b")
    clock.pass_by(dt.timedelta(minutes=5))
    [fourth] = [row for row in claim(kept, "b") if row.thread == "procedure:1"]
    do(kept, outbox.delivered, fourth)
    fifth = claim(kept, "b")

    assert told(first) == [("procedure:1", "IP"), ("procedure:2", "IP")]
    assert (second, third) == ([], [])
    assert fourth.facts["event"] == "IP"
    assert told(fifth) == [("procedure:1", "CM")]


def test_the_same_thread_to_another_destination_does_not_wait(kept):
    """Order is kept per destination: one that is down holds up no other."""
    put(kept, destination="RIS")
    put(kept, destination="HIS")

    assert [row.destination for row in claim(kept)] == ["RIS", "HIS"]


def test_a_claim_takes_the_oldest_up_to_its_limit(kept):
    """The limit bounds a claim; nothing is left behind for good."""
    for n in range(5):
        put(kept, f"procedure:{n}")

    claims = [[row.thread[-1] for row in claim(kept, limit=2)] for _ in range(4)]

    assert claims == [["0", "1"], ["2", "3"], ["4"], []]


def test_a_claim_may_be_for_one_destination(kept):
    """A worker serves its own destination and leaves the others' rows alone."""
    put(kept, destination="RIS")
    put(kept, destination="HIS")

    rows = kept.write_now(lambda tx: outbox.claim(tx, "a", LEASE, 10, destination="HIS"))

    assert [row.destination for row in rows] == ["HIS"]
    assert [row.destination for row in claim(kept)] == ["RIS"]


def test_rows_given_back_untried_are_due_as_before(kept):
    """A worker that stops releases its lease; nothing counts as an attempt, nothing settled is reopened."""
    put(kept, "procedure:1")
    put(kept, "procedure:2")
    tried, untried = claim(kept, "a")
    do(kept, outbox.delivered, tried)

    kept.write_now(lambda tx: outbox.released(tx, [tried.key, untried.key]))
    kept.write_now(lambda tx: outbox.released(tx, [untried.key]))

    [again] = claim(kept, "b")
    assert (again.key, again.attempts) == (untried.key, 1)


def test_a_failed_row_comes_back_when_it_is_due(kept, clock):
    """The lease ends, the error is kept, the control ID stays."""
    put(kept)
    [row] = claim(kept)
    later = clock.now + dt.timedelta(seconds=30)
    do(kept, outbox.failed, row, "timeout", later)

    early = claim(kept)
    clock.now = later
    [again] = claim(kept)

    assert early == []
    assert (again.control_id, again.attempts, again.last_error) == (row.control_id, 2, "timeout")


def test_a_clock_that_is_put_back_holds_nothing_up(kept, clock):
    """By hours: neither what was never tried nor what is tried again waits for as long."""
    put(kept)
    [row] = claim(kept)
    do(kept, outbox.failed, row, "timeout", clock.now + dt.timedelta(seconds=60))
    put(kept, thread="procedure:2")
    clock.pass_by(-dt.timedelta(hours=3))

    assert [row.thread for row in claim(kept)] == ["procedure:1", "procedure:2"]


def test_a_hostile_error_is_bounded_and_storable(kept):
    """What a peer said is kept only in part, and never breaks the database."""
    put(kept)
    [row] = claim(kept)

    do(kept, outbox.failed, row, "\x00\ud800" + "x" * 10_000, START)

    assert len(only(kept).last_error) == outbox.ERROR


def test_a_parked_row_does_not_hold_up_its_thread(kept):
    """A person decides about the refused one; what comes after it is sent meanwhile."""
    put(kept, event="IP")
    put(kept, event="CM")
    [refused] = claim(kept)

    do(kept, outbox.parked, refused, "AR 201")

    assert told(claim(kept)) == [("procedure:1", "CM")]


def test_a_parked_row_is_sent_again_under_the_same_control_id(kept):
    """Retrying is a person's decision; the receiver can still tell that it is the same message."""
    put(kept)
    [row] = claim(kept)
    do(kept, outbox.parked, row, "AE 204")
    silent = claim(kept)

    do(kept, outbox.retry, row)

    [again] = claim(kept)
    assert silent == []
    assert (again.key, again.control_id, again.last_error) == (row.key, row.control_id, "AE 204")


MOVES = {DELIVERED: outbox.delivered, DISCARDED: outbox.discard, PENDING: outbox.retry}


@pytest.mark.parametrize("before", list(OutboxState))
def test_only_the_changes_of_the_table_are_made(kept, before):
    """What `mwl.lifecycle.OUTBOX` does not allow is refused and leaves the row as it was."""
    for after in OutboxState:
        put(kept, f"to {after}")
        row = kept.read_now(outbox.browse)[0]
        if before is not PENDING:
            move(kept, row, before)
        stood = kept.read_now(outbox.browse)[0]

        allowed = moved(kept, row, after)

        now = kept.read_now(outbox.browse)[0]
        assert allowed == (after in lifecycle.OUTBOX[before])
        assert now.state is after if allowed else now == stood
        assert (now.finished_at is not None) == (now.state in (DELIVERED, DISCARDED))


def moved(store: Store, row: OutboxRow, state: OutboxState) -> bool:
    try:
        move(store, row, state)
    except Refused as refused:
        return refused.reason is not Refusal.FINAL
    return True


def move(store: Store, row: OutboxRow, state: OutboxState) -> None:
    if state is PARKED:
        do(store, outbox.parked, row, "refused")
    else:
        do(store, MOVES[state], row)


@pytest.mark.parametrize("state", [DELIVERED, PARKED, DISCARDED])
def test_a_row_that_is_settled_cannot_fail(kept, state):
    """A worker that comes too late does not bring a settled row back."""
    put(kept)
    [row] = claim(kept)
    move(kept, row, state)

    with pytest.raises(Refused):
        do(kept, outbox.failed, row, "timeout", START)

    assert only(kept).state is state


def test_an_unknown_row_is_refused(kept):
    """There is nothing to deliver."""
    with pytest.raises(Refused) as caught:
        kept.write_now(lambda tx: outbox.delivered(tx, 404))

    assert caught.value.reason is Refusal.UNKNOWN


def test_browse_and_backlog_show_what_waits(kept, clock):
    """Newest first, by state and destination, as many as asked for."""
    for n, destination in enumerate(("RIS", "RIS", "HIS")):
        put(kept, f"procedure:{n}", destination=destination)
        clock.pass_by(LEASE)
    do(kept, outbox.parked, claim(kept, limit=1)[0], "AR")

    parked = kept.read_now(lambda tx: outbox.browse(tx, state=PARKED))
    to_ris = kept.read_now(lambda tx: outbox.browse(tx, destination="RIS", limit=1))

    assert [row.thread for row in parked] == ["procedure:0"]
    assert [row.thread for row in to_ris] == ["procedure:1"]
    assert kept.read_now(outbox.backlog) == {
        "RIS": Backlog(pending=1, parked=1, oldest=START + LEASE),
        "HIS": Backlog(pending=1, oldest=START + 2 * LEASE),
    }


def test_what_is_parked_alone_has_no_age(kept):
    """It waits for a person, not for the peer."""
    put(kept)
    do(kept, outbox.parked, claim(kept)[0], "AE")

    assert kept.read_now(outbox.backlog) == {"RIS": Backlog(parked=1)}


def test_keys_are_those_of_a_state_and_a_destination(kept):
    """The oldest first, however many there are: a person decides about all of them at once."""
    for n, destination in enumerate(("RIS", "HIS", "RIS")):
        put(kept, f"procedure:{n}", destination=destination)
    first, second, third = reversed(kept.read_now(outbox.browse))

    assert kept.read_now(lambda tx: outbox.keys(tx, PENDING)) == [first.key, second.key, third.key]
    assert kept.read_now(lambda tx: outbox.keys(tx, PENDING, "RIS")) == [first.key, third.key]
    assert kept.read_now(lambda tx: outbox.keys(tx, PARKED)) == []
    assert kept.read_now(lambda tx: outbox.get(tx, third.key)) == third
    assert kept.read_now(lambda tx: outbox.get(tx, 404)) is None


def test_a_claim_takes_rows_of_its_kind_alone(kept):
    """A system and a device that is forwarded to may share a name."""
    put(kept, "procedure:1")
    kept.write_now(lambda tx: outbox.enqueue(tx, destination="RIS", thread="x", facts={}, kind="forward"))

    forwarded = kept.write_now(lambda tx: outbox.claim(tx, "b", LEASE, 10, kind="forward"))

    assert [row.kind for row in claim(kept)] == ["status"]
    assert [row.kind for row in forwarded] == ["forward"]


def test_f_m28_a_broker_that_starts_on_sqlite_takes_over_at_once(kept, clock, back_end):
    """One broker serves such a file: whoever held a lease is gone.  Elsewhere the lease has to run out."""
    put(kept)
    [row] = claim(kept, "dead")
    do(kept, outbox.composed, row, b"MSH|1")
    kept.write_now(outbox.recover)

    [again] = claim(kept, "new") or [None]

    if back_end == "sqlite":
        assert (again.key, again.control_id, again.payload) == (row.key, row.control_id, b"MSH|1")
    else:
        assert again is None


def test_a_lease_holds_for_a_broker_whose_clock_is_ahead(database_url, back_end, monkeypatch):
    """It ends by the clock of the server that both ask; on SQLite there is one broker, and one clock."""
    if back_end == "sqlite":
        pytest.skip("one broker serves a file")
    here = open_store(database_url)
    monkeypatch.setattr("mwl.store.store.utc_now", lambda: dt.datetime.now(dt.UTC) + 10 * LEASE)
    ahead = open_store(database_url)
    put(here)

    assert len(claim(here, "here")) == 1
    assert claim(ahead, "ahead") == []

    put(ahead, thread="procedure:2")
    monkeypatch.setattr("mwl.store.store.utc_now", lambda: dt.datetime.now(dt.UTC) + 20 * LEASE)
    further = open_store(database_url)
    assert len(claim(ahead, "ahead")) == 1
    assert claim(further, "further") == []
    for each in (here, ahead, further):
        each.close_now()


# --- what was overtaken --------------------------------------------------------------------------


def tell(store: Store, event: str, *about: int, thread: str = "procedure:1") -> OutboxRow:
    """Write a row about some steps and return it."""

    def work(tx: Transaction) -> OutboxRow:
        outbox.enqueue(tx, destination="RIS", thread=thread, facts={"event": event, "about": list(about)})
        return outbox.browse(tx, limit=1)[0]

    return store.write_now(work)


def refused(store: Store, change, row: OutboxRow) -> str:
    with pytest.raises(Refused) as caught:
        do(store, change, row)
    assert caught.value.reason is Refusal.FINAL
    return str(caught.value)


def test_c_33_a_row_that_was_overtaken_is_not_sent_any_more(kept):
    """IN PROGRESS was parked, COMPLETED was delivered: whoever asks for it is told why not."""
    begun = tell(kept, "IP", 7)
    do(kept, outbox.parked, claim(kept)[0], "AE")
    ended = tell(kept, "CM", 7)
    do(kept, outbox.delivered, claim(kept)[0])

    text = refused(kept, outbox.retry, begun)

    assert text.startswith(f"row {begun.key} (IP) was overtaken: row {ended.key} (CM) about the same step")
    assert claim(kept) == []
    do(kept, outbox.discard, begun)


def test_c_33_what_may_have_arrived_is_not_followed_by_what_came_before(kept, clock):
    """COMPLETED was sent and not answered: IN PROGRESS waits for its answer, and can go if that is a refusal."""
    begun = tell(kept, "IP", 7)
    do(kept, outbox.parked, claim(kept)[0], "AE")
    ended = tell(kept, "CM", 7)
    do(kept, outbox.composed, claim(kept)[0], b"MSH")
    do(kept, outbox.failed, ended, "no answer", clock() + LEASE)

    text = refused(kept, outbox.retry, begun)
    do(kept, outbox.parked, ended, "AE")
    do(kept, outbox.retry, begun)

    assert (
        text
        == f"row {begun.key} (IP) has to wait: row {ended.key} (CM) about the same step was sent meanwhile"
        " and may have arrived"
    )
    assert [row.key for row in claim(kept)] == [begun.key]


@pytest.mark.parametrize(
    ("about", "thread"), [((8,), "procedure:1"), ((7,), "procedure:2"), ((), "procedure:1")]
)
def test_only_a_row_about_the_same_steps_overtakes(kept, about, thread):
    """Another step of the order, which has been completed meanwhile, says nothing about this one."""
    begun = tell(kept, "IP", 7)
    do(kept, outbox.parked, claim(kept)[0], "AE")
    tell(kept, "CM", *about, thread=thread)
    do(kept, outbox.delivered, claim(kept)[0])

    do(kept, outbox.retry, begun)

    assert [row.key for row in claim(kept)] == [begun.key]


def test_rows_that_are_sent_again_together_leave_in_their_order(kept):
    """Both were parked; the later one waits for the earlier one as it would have done at first."""
    begun, ended = tell(kept, "IP", 7), tell(kept, "CM", 7)
    for _ in range(2):
        do(kept, outbox.parked, claim(kept)[0], "AE")
    do(kept, outbox.retry, ended)
    do(kept, outbox.retry, begun)

    order = []
    while rows := claim(kept):
        order += [row.facts["event"] for row in rows]
        do(kept, outbox.delivered, rows[0])

    assert order == ["IP", "CM"]


def test_what_is_sent_again_waits_for_what_is_under_way(kept):
    """And is parked anew where that has arrived meanwhile: COMPLETED was on the wire when IN PROGRESS was retried."""
    begun = tell(kept, "IP", 7)
    do(kept, outbox.parked, claim(kept)[0], "AE")
    tell(kept, "CM", 7)
    [ended] = claim(kept, "a")
    do(kept, outbox.retry, begun)
    meanwhile = claim(kept, "b")
    do(kept, outbox.delivered, ended)

    afterwards = claim(kept, "b")

    state = kept.read_now(lambda tx: outbox.get(tx, begun.key))
    assert (meanwhile, afterwards) == ([], [])
    assert (state.state, state.lease_owner) == (PARKED, None)
    assert state.last_error.startswith(f"row {begun.key} (IP) was overtaken")


def test_a_status_that_is_sent_again_is_composed_anew(kept):
    """What the peer refused would be refused again; the profile may have been mended since."""
    put(kept)
    [row] = claim(kept)
    do(kept, outbox.composed, row, b"MSH|wrong")
    do(kept, outbox.parked, row, "AE")
    do(kept, outbox.retry, row)

    [again] = claim(kept)

    assert (again.control_id, again.payload) == (row.control_id, None)


def test_a_row_that_waits_need_not_be_sent_again(kept):
    """It is told so."""
    put(kept)

    assert "is pending" in refused(kept, outbox.retry, only(kept))


def test_a_remark_leaves_the_state(kept):
    """A receiver that took the message may still complain of it."""
    put(kept)
    [row] = claim(kept)
    do(kept, outbox.delivered, row)
    kept.write_now(lambda tx: outbox.remark(tx, row.control_id, "accepted, then AE"))

    assert (only(kept).state, only(kept).last_error) == (DELIVERED, "accepted, then AE")


def test_next_due_is_when_a_claim_will_find_something(kept, clock):
    """Leases and back-off of the heads count; what waits behind them does not."""

    def due() -> dt.datetime | None:
        return kept.read_now(outbox.next_due)

    empty = due()
    put(kept, event="IP")
    put(kept, event="CM")
    written = due()
    [head] = claim(kept)
    leased = due()
    do(kept, outbox.failed, head, "timeout", START + dt.timedelta(hours=1))
    failed = due()

    assert (empty, written, leased, failed) == (None, START, START + LEASE, START + dt.timedelta(hours=1))


async def test_two_claimers_send_everything_once_and_in_order(database_url):
    """Two brokers drain one outbox: no row twice, no row of a thread before an earlier one of it."""
    brokers = [open_store(database_url) for _ in range(2)]
    for event, thread in itertools.product(("IP", "CM", "SC"), range(8)):
        put(brokers[0], f"procedure:{thread}", event)
    sent: defaultdict[str, list[str]] = defaultdict(list)

    async def drain(broker: Store, owner: str) -> None:
        while await broker.read(outbox.next_due):
            for row in await broker.write(lambda tx: outbox.claim(tx, owner, LEASE, 3)):
                sent[row.thread].append(row.facts["event"])
                await broker.write(lambda tx, key=row.key: outbox.delivered(tx, key))

    try:
        await asyncio.gather(*(drain(broker, f"broker {n}") for n, broker in enumerate(brokers)))
    finally:
        for broker in brokers:
            await broker.close()

    assert sent == {f"procedure:{thread}": ["IP", "CM", "SC"] for thread in range(8)}


async def test_many_claimers_at_once_share_the_rows(database_url):
    """Claims that meet return every row exactly once between them."""
    brokers = [open_store(database_url) for _ in range(2)]
    for n in range(40):
        put(brokers[0], f"procedure:{n}")

    def work(tx: Transaction) -> list[OutboxRow]:
        return outbox.claim(tx, "x", LEASE, 5)

    try:
        claims = await asyncio.gather(*(broker.write(work) for _ in range(8) for broker in brokers))
    finally:
        for broker in brokers:
            await broker.close()

    keys = [row.key for rows in claims for row in rows]
    assert len(keys) == len(set(keys)) == 40


WORK = st.lists(
    st.tuples(st.sampled_from(["put", "claim", "deliver", "fail", "park", "retry", "discard", "wait"]), st.integers(0, 3)),
    max_size=25,
)  # fmt: skip


@given(work=WORK)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_overtakes_within_a_thread(kept, clock, work):
    """Whatever workers and people do, a claimed row has no earlier pending row in its thread."""
    kept.write_now(lambda tx: tx.connection.execute(tables.outbox.delete()))
    claimed: list[OutboxRow] = []
    for action, n in work:
        match action:
            case "put":
                put(kept, f"procedure:{n % 2}")
            case "wait":
                clock.pass_by(LEASE / 2 * n)
            case "claim":
                rows = claim(kept, limit=n)
                pending = kept.read_now(lambda tx: outbox.browse(tx, state=PENDING))
                for row in rows:
                    earlier = [p for p in pending if p.thread == row.thread and p.key < row.key]
                    assert earlier == []
                claimed += rows
            case _ if claimed:
                settle(kept, action, claimed[n % len(claimed)], clock)


def settle(store: Store, action: str, row: OutboxRow, clock: Clock) -> None:
    changes = {
        "deliver": lambda tx: outbox.delivered(tx, row.key),
        "fail": lambda tx: outbox.failed(tx, row.key, "timeout", clock.now + LEASE),
        "park": lambda tx: outbox.parked(tx, row.key, "AR"),
        "retry": lambda tx: outbox.retry(tx, row.key),
        "discard": lambda tx: outbox.discard(tx, row.key),
    }
    try:
        store.write_now(changes[action])
    except Refused as refused:
        assert refused.reason is Refusal.FINAL  # noqa: PT017 - settling twice may be refused, and only for that
