"""Old messages go while the broker runs: in batches, at once and every hour, and not for ever."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mwl.broker import cleaner
from mwl.broker.cleaner import Cleaner
from mwl.config import Capture, Retention
from mwl.errors import Unavailable
from mwl.store import Store, Transaction, journal, messages, open_store, outbox, patients, queries, retention
from mwl.store.journal import Wanted
from mwl.store.messages import MessageRecord
from mwl.store.queries import CapturedQuery
from mwl.store.transaction import stamp

NOW = dt.datetime(2026, 7, 5, 12, 0, tzinfo=dt.UTC)
KEPT = Retention(messages="30d", sent="forever")  # type: ignore[arg-type]
FOREVER = Retention(messages="forever", sent="forever")  # type: ignore[arg-type]
CAPTURED = Capture(age="forever")  # type: ignore[arg-type]


class Watched:
    """A store whose writes can be waited for, and can fail."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.written: asyncio.Queue[Any] = asyncio.Queue()
        self.failures: list[Exception] = []

    async def read(self, work: Any) -> Any:
        return await self.store.read(work)

    async def write(self, work: Any) -> Any:
        if self.failures:
            self.written.put_nowait(None)
            raise self.failures.pop()
        result = await self.store.write(work)
        self.written.put_nowait(result)
        return result


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with messages that are 0, 20, 40 and 60 days old."""
    opened = open_store(f"sqlite:///{tmp_path / 'mwl.db'}", clock=lambda: NOW)
    for age in (0, 20, 40, 60):
        opened._writer._clock = lambda age=age: NOW - dt.timedelta(days=age)
        record = MessageRecord("x", f"MSH|{age}".encode(), control_id=str(age))
        opened.write_now(
            lambda tx, record=record: messages.answered(tx, messages.arrived(tx, record), "AA", None)
        )
    opened._writer._clock = lambda: NOW
    yield opened
    opened.close_now()


def left(store: Store) -> list[str]:
    found = store.read_now(lambda tx: journal.search(tx, Wanted(), limit=10))
    return [entry.control_id for entry in found]


async def cleaned(store: Store, kept: Retention, writes: int) -> None:
    watched = Watched(store)
    made = Cleaner(watched, kept, CAPTURED)  # type: ignore[arg-type]
    await made.start()
    for _ in range(writes):
        await watched.written.get()
    await made.stop()


async def test_what_is_too_old_goes_as_soon_as_the_broker_runs(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """How many that were is said once."""
    caplog.set_level(logging.INFO, "mwl")

    await cleaned(store, KEPT, 1)

    assert left(store) == ["0", "20"]
    (line,) = [record for record in caplog.records if record.getMessage() == "old messages deleted"]
    assert line.fields == {"messages": 2}


async def test_it_goes_a_few_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's acknowledgement waits for all of it."""
    monkeypatch.setattr(retention, "BATCH", 1)
    monkeypatch.setattr(retention.purge_messages, "__kwdefaults__", {"most": 1})
    monkeypatch.setattr(cleaner, "REST", 0)

    await cleaned(store, KEPT, 3)

    assert left(store) == ["0", "20"]


async def test_old_queries_go_too(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """By their age, and by their number; how many that were is said once."""
    caplog.set_level(logging.INFO, "mwl")
    seen = [
        CapturedQuery("CT1", b"%d" % age, "1.2.840.10008.1.2", stamp(NOW - dt.timedelta(days=age)), "0000")
        for age in (0, 1, 2, 20, 40)
    ]
    store.write_now(lambda tx: queries.record(tx, seen, per_device=100))
    watched = Watched(store)
    made = Cleaner(
        watched,  # type: ignore[arg-type]
        FOREVER,
        Capture(age="30d", per_device=3),  # type: ignore[arg-type]
    )

    await made.start()
    await watched.written.get()
    await made.stop()

    assert [each.identifier for each in store.read_now(queries.browse)] == [b"0", b"1", b"2"]
    (line,) = [record for record in caplog.records if record.getMessage() == "old queries deleted"]
    assert line.fields == {"queries": 2}


async def test_what_was_sent_and_who_is_left_without_procedures_go_too(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """How many rows and patients that were is said once."""
    caplog.set_level(logging.INFO, "mwl")
    store._writer._clock = lambda: NOW - dt.timedelta(days=40)

    def old(tx: Transaction) -> None:
        outbox.enqueue(tx, destination="RIS", thread="a", facts={})
        outbox.delivered(tx, 1)
        outbox.enqueue(tx, destination="RIS", thread="b", facts={})
        patients.create(tx, {"00100020": {"vr": "LO", "Value": ["PID001"]}})

    store.write_now(old)
    store._writer._clock = lambda: NOW
    watched = Watched(store)
    kept = Retention(messages="forever", finished="30d", sent="30d")  # type: ignore[arg-type]
    made = Cleaner(watched, kept, CAPTURED)  # type: ignore[arg-type]

    await made.start()
    for _ in ("queries", "exams", "patients", "rows"):
        await watched.written.get()
    await made.stop()

    assert [row.key for row in store.read_now(outbox.browse)] == [2]
    told = {record.getMessage(): record.fields for record in caplog.records}
    assert told == {"patients without procedures deleted": {"patients": 1}, "sent rows deleted": {"rows": 1}}


async def test_a_failure_is_told_and_the_cleaner_goes_on(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that is away for a moment, or a defect, keeps nobody from cleaning an hour later."""
    monkeypatch.setattr(cleaner, "EVERY", 0)
    watched = Watched(store)
    watched.failures = [ValueError("a defect"), Unavailable("the database cannot answer now")]
    made = Cleaner(watched, KEPT, CAPTURED)  # type: ignore[arg-type]

    await made.start()
    while await watched.written.get() is None:
        pass
    await made.stop()

    assert left(store) == ["0", "20"]
    told = [record.getMessage() for record in caplog.records if record.name == "mwl.broker.cleaner"]
    assert told[:2] == ["old messages not deleted", "cleaner failed"]


async def test_a_reload_takes_effect_at_once(store: Store) -> None:
    """From keeping for ever to thirty days: nobody waits for an hour to pass."""
    watched = Watched(store)
    made = Cleaner(watched, FOREVER, CAPTURED)  # type: ignore[arg-type]
    await made.start()
    await asyncio.sleep(0)  # it finds nothing to do, and rests

    made.use(KEPT, CAPTURED)
    await watched.written.get()
    await made.stop()

    assert left(store) == ["0", "20"]


async def test_starting_and_stopping_twice_is_allowed(store: Store) -> None:
    """Like every part."""
    made = Cleaner(store, FOREVER, CAPTURED)

    await made.stop()
    await made.start()
    await made.start()
    await made.stop()
    await made.stop()

    assert left(store) == ["0", "20", "40", "60"]
