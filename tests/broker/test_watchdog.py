"""What the broker sees to by the clock: told once, done once, and never to what is finished."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from prometheus_client import REGISTRY
from store.exams import ALL, U1, U2, House, began, item, order

from mwl.broker import watchdog
from mwl.broker.watchdog import Watchdog, Watched
from mwl.conduct import Conduct, Conducts
from mwl.config import Watch
from mwl.errors import Unavailable
from mwl.store import messages, open_store, outbox, queries, tables
from mwl.store.attaching import Situation
from mwl.store.messages import MessageRecord
from mwl.store.queries import CapturedQuery
from mwl.store.transaction import stamp

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
SILENT: dict[str, Any] = {"devices": "never", "systems": "never", "outbox": "never"}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Orders and exams, at an hour the test decides."""
    made = House()
    made.store = open_store(f"sqlite:///{tmp_path / 'mwl.db'}", clock=lambda: made.now)
    yield made
    made.store.close_now()


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Return the events since it was asked last."""
    caplog.set_level(logging.INFO, "mwl.broker.watchdog")

    def events() -> list[str]:
        found = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return found

    return events


def watched(house: House, titles: dict[str, str] | None = None, **said: Any) -> Watched:
    return Watched(
        Watch.model_validate({**SILENT, **said}),
        Situation(house.conducts, ALL),
        ZoneInfo("Europe/Berlin"),
        {"CT1": "CT1", "*": "*"} if titles is None else titles,
        frozenset({"RIS", "HIS"}),
    )


def dog(house: House, **said: Any) -> Watchdog:
    return Watchdog(house.store, watched(house, **said))


def figure(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


async def test_an_open_exam_is_told_once_and_counted_always(house: House, told: Any) -> None:
    """Until it ends."""
    house.create()
    watching = dog(house, performed={"report": "12h"})
    house.now += 13 * HOUR

    await watching.look()
    await watching.look()
    counted = figure("mwl_watch_found", what="performed steps open")
    house.update()
    await watching.look()

    assert told() == ["performed step open too long"]
    assert (counted, figure("mwl_watch_found", what="performed steps open")) == (1, 0)


async def test_nothing_is_ended_by_default(house: House, told: Any) -> None:
    """Defaults report, and change no exam and no step."""
    house.send(order("1001", "S1"))
    house.send(order("1002", "S2"))
    house.create(U1)
    house.now += 365 * DAY

    await Watchdog(house.store, Watched(Watch(), house.under, dt.UTC, {}, frozenset())).look()

    assert (house.states, house.exam().state) == (["STARTED", "SCHEDULED"], "IN PROGRESS")
    assert [row.held for row in house.rows(tables.steps)] == [False, False]
    assert told() == ["performed step open too long", "outbox waits"]


async def test_an_exam_is_ended_where_the_configuration_says_so(house: House, told: Any) -> None:
    """After its time, and no other; the RIS hears."""
    house.send(order("1001", "S1"))
    house.create(U1)
    house.now += 2 * DAY
    house.create(U2, began(item("1002", "S2")))
    before = figure("mwl_watch_done_total", what="performed steps ended") or 0

    await dog(house, performed={"report": "never", "close": "1d", "ended_as": "COMPLETED"}).look()

    assert (house.states, house.exam(U2).state, house.heard) == (["COMPLETED"], "IN PROGRESS", ["IP", "CM"])
    assert told() == ["performed step ended by the clock"]
    assert figure("mwl_watch_done_total", what="performed steps ended") == before + 1


async def test_m12_idle_steps_leave_the_worklists(house: House, told: Any) -> None:
    """By the site's rule; told in one line, counted in a figure."""
    for n in range(3):
        house.send(order(str(n), f"S{n}"))
    house.now += DAY
    watching = dog(house, steps={"idle": "12h", "report": "4h"})

    await watching.look()
    await watching.look()

    assert [row.held for row in house.rows(tables.steps)] == [True] * 3
    assert told() == ["idle steps left the worklists"]
    assert figure("mwl_watch_found", what="steps idle") == 0


async def test_m12_a_device_that_never_reports_has_its_own_time(house: House) -> None:
    """`mpps.idle` in its profile: by any of its titles, whatever the site says, and no other device's."""
    house.conducts = Conducts({"US1": Conduct(titles=frozenset({"US1", "US_ROOM"}), idle=12 * HOUR)})
    titles = {"US1": "US1", "US_ROOM": "US1", "CT1": "CT1", "*": "*"}
    for n, station in enumerate(("US_ROOM", "CT1", "ELSEWHERE")):
        house.send(order(str(n), f"S{n}", station=station))
    house.now += DAY

    await dog(house, titles=titles).look()

    assert [row.held for row in house.rows(tables.steps)] == [True, False, False]


async def test_m12_whoever_is_no_device_by_itself_is_anyone(house: House) -> None:
    """The profile of "*" speaks for stations that are not configured."""
    house.conducts = Conducts({"CT1": Conduct()}, anyone=Conduct(idle=12 * HOUR))
    for n, station in enumerate(("CT1", "ELSEWHERE")):
        house.send(order(str(n), f"S{n}", station=station))
    house.now += DAY

    await dog(house).look()

    assert [row.held for row in house.rows(tables.steps)] == [False, True]


async def test_m12_what_started_long_ago_is_looked_at_once_a_day(house: House) -> None:
    """The first time and every day; between, the last days are."""
    house.send(order("1001", "S1", start="20260601 090000"))
    house.now += 11 * HOUR
    watching = dog(house, steps={"idle": "12h"})
    await watching.look()  # it was ordered a moment ago: not idle yet
    house.now += 2 * HOUR

    await watching.look()
    between = [row.held for row in house.rows(tables.steps)]
    house.now += DAY
    await watching.look()

    assert (between, [row.held for row in house.rows(tables.steps)]) == ([False], [True])


async def test_m12_a_clock_that_was_put_back_puts_nothing_off(house: House) -> None:
    """What started long ago is looked at again, and not when the time of the last look has come back."""
    watching = dog(house, steps={"idle": "12h"})
    house.now += 365 * DAY
    await watching.look()
    house.now -= 365 * DAY
    house.send(order("1001", "S1", start="20260601 090000"))
    house.now += 13 * HOUR

    await watching.look()

    assert [row.held for row in house.rows(tables.steps)] == [True]


def ask(house: House, title: str) -> None:
    seen = CapturedQuery(title, title.encode(), "1.2.840.10008.1.2", stamp(house.now), "0000")
    house.store.write_now(lambda tx: queries.record(tx, [seen], per_device=100))


async def test_a_device_that_falls_silent_is_told_once_a_silence(house: House, told: Any) -> None:
    """By any of its titles; strangers, and devices that were never heard, are not."""
    titles = {"NX_WL": "NX_WL", "NX_MPPS": "NX_WL", "CT9": "CT9", "*": "*"}
    watching = dog(house, titles=titles, devices="2h")
    ask(house, "NX_WL")
    ask(house, "STRANGER")
    heard = house.now.timestamp()

    events = []
    for hours in (1, 2, 2):
        house.now += hours * HOUR
        await watching.look()
        events.append(told())
    counted = figure("mwl_watch_found", what="devices silent")
    house.create(U1, ae="NX_MPPS")
    await watching.look()
    events.append(told())

    assert events == [[], ["silent"], [], ["heard again"]]
    assert counted == 1
    assert figure("mwl_device_heard_timestamp_seconds", device="NX_WL") == heard + 5 * 3600
    assert figure("mwl_device_heard_timestamp_seconds", device="STRANGER") is None
    assert figure("mwl_device_heard_timestamp_seconds", device="CT9") is None


def send(house: House, system: str) -> None:
    record = MessageRecord("x", f"MSH|{house.now}".encode(), system=system)
    house.store.write_now(lambda tx: messages.answered(tx, messages.arrived(tx, record), "AA", None))


async def test_a_system_that_falls_silent_is_told_once_a_silence(house: House, told: Any) -> None:
    """And its voice is told as well."""
    watching = dog(house, systems="1d")
    send(house, "RIS")
    house.now += 2 * DAY

    await watching.look()
    await watching.look()
    silent = told()
    send(house, "RIS")
    await watching.look()

    assert (silent, told()) == (["silent"], ["heard again"])
    assert figure("mwl_system_heard_timestamp_seconds", system="RIS") == house.now.timestamp()


async def test_what_waits_to_be_sent_is_told_once(house: House, told: Any) -> None:
    """Until it is gone."""
    house.send(order("1001", "S1"))
    house.create()
    watching = dog(house, outbox="1h")
    house.now += 2 * HOUR

    await watching.look()
    await watching.look()
    waits = told()
    house.store.write_now(lambda tx: [outbox.discard(tx, row.key) for row in outbox.browse(tx)])
    await watching.look()

    assert (waits, told()) == (["outbox waits"], ["outbox waits no longer"])


async def test_no_line_names_a_patient(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever the watchdog has to say."""
    caplog.set_level(logging.INFO, "mwl")
    house.send(order("1001", "S1"))
    house.send(order("1002", "S2"))
    house.create()
    house.now += 3 * DAY

    await dog(house, performed={"report": "1h", "close": "2d"}, steps={"idle": "1h"}, outbox="1h").look()

    lines = [str(getattr(record, "fields", {})) for record in caplog.records]
    assert len(lines) >= 3
    assert not any("PID001" in line or "DOE" in line or "ACC1001" in line for line in lines)


class Failing:
    """A store that fails a few times, and can be waited for."""

    def __init__(self, store: Any, failures: list[Exception]) -> None:
        self.store, self.failures = store, failures
        self.asked: asyncio.Queue[None] = asyncio.Queue()

    async def read(self, work: Any) -> Any:
        self.asked.put_nowait(None)
        if self.failures:
            raise self.failures.pop()
        return await self.store.read(work)

    async def write(self, work: Any) -> Any:
        return await self.store.write(work)


async def test_a_failure_is_told_and_the_watch_goes_on(
    house: House, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that is away for a moment, or a defect, ends nothing."""
    monkeypatch.setattr(watchdog, "EVERY", 0)
    store = Failing(house.store, [ValueError("a defect"), Unavailable("the database cannot answer now")])
    watching = Watchdog(store, watched(house))  # type: ignore[arg-type]

    await watching.start()
    for _ in range(5):
        await store.asked.get()
    await watching.stop()

    assert told()[:2] == ["watch not kept", "watchdog failed"]


async def test_a_reload_takes_effect_at_once(house: House) -> None:
    """Nobody waits for a minute to pass."""
    house.send(order("1001", "S1"))
    house.now += DAY
    store = Failing(house.store, [])
    watching = Watchdog(store, watched(house))  # type: ignore[arg-type]
    await watching.start()
    await store.asked.get()

    watching.use(watched(house, steps={"idle": "12h"}))
    while not house.rows(tables.steps)[0].held:
        await store.asked.get()
    await watching.stop()

    assert house.history(1)[-1].reason == "idle"


async def test_starting_and_stopping_twice_is_allowed(house: House) -> None:
    """Like every part."""
    watching = dog(house)

    await watching.stop()
    await watching.start()
    await watching.start()
    await watching.stop()
    await watching.stop()

    assert house.states == []
