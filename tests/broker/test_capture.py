"""Queries are put on record behind the devices' backs: bounded, batched, and at nobody's cost."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from mwl.broker import capture
from mwl.broker.capture import QueryCapture
from mwl.config import Capture
from mwl.dicom.observing import UNKNOWN, Observation
from mwl.dicom.quarantine import QUERIES, Quarantine
from mwl.dicom.service import AssociationFacts
from mwl.errors import Unavailable
from mwl.store import Store, open_store, queries
from mwl.store.queries import CapturedQuery

EXPLICIT = "1.2.840.10008.1.2.1"


class Profile:
    """What the capture reads of a profile."""

    name, digest = "generic", "d1"


def seen(n: int = 0, calling: str = "CT1", **facts: Any) -> Observation:
    """Return a query; each *n* has an identifier of its own."""
    association = AssociationFacts(calling, "MWL", "10.0.0.7")
    known = {"device": "CT1", "profile": Profile(), "status": 0, "identifier": b"key %d" % n}
    return Observation(association, transfer_syntax=EXPLICIT, **{**known, **facts})


def held(n: int = 0) -> Observation:
    """Return a query of a caller in quarantine."""
    return seen(n, "CT9", device=UNKNOWN, profile=None, status=0x0124)


class Watched:
    """A store that counts writes, that can be held back, and that can be away."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.writes = 0
        self.away = False
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.begun: asyncio.Queue[None] = asyncio.Queue()

    async def write(self, work: Any) -> Any:
        self.writes += 1
        self.begun.put_nowait(None)
        await self.go_on.wait()
        if self.away:
            raise Unavailable("away")
        return await self.store.write(work)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty database."""
    opened = open_store(f"sqlite:///{tmp_path / 'mwl.db'}")
    yield opened
    opened.close_now()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No rest between writes."""
    monkeypatch.setattr(capture, "REST", 0.0)
    monkeypatch.setattr(capture, "SHORT_REST", 0.0)


@pytest.fixture
def watched(store: Store) -> Watched:
    """The store as the capture sees it."""
    return Watched(store)


def made(watched: Watched, **settings: Any) -> QueryCapture:
    """Return a capture that keeps the time for itself."""
    days = iter(range(10**6))
    begun = dt.datetime(2026, 7, 5, tzinfo=dt.UTC)
    return QueryCapture(
        watched,  # type: ignore[arg-type]
        Capture(**settings),
        Quarantine(9, lambda _: None),
        lambda: begun + dt.timedelta(days=next(days)),
    )


def kept(store: Store) -> list[CapturedQuery]:
    return store.read_now(lambda tx: queries.browse(tx, limit=1000))


def octets(folder: Path) -> int:
    """Return how much of the disk the database takes."""
    return sum(each.stat().st_size for each in folder.glob("mwl.db*"))


def lost(reason: str) -> float:
    return REGISTRY.get_sample_value("mwl_capture_lost_total", {"reason": reason}) or 0.0


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.fields["reason"] for each in caplog.records if each.getMessage() == "queries not captured"]


async def test_a_query_is_on_record_with_who_asked_and_what_it_got(store: Store, watched: Watched) -> None:
    """At once: an engineer looks while the device still shows its list."""
    part = made(watched)
    await part.start()

    part.answered(seen(status=0xA700, matched=3, sent=2, seconds=0.0015, missing_message_id=True))
    await part.stop()

    (found,) = kept(store)
    assert (found.calling_ae, found.called_ae, found.address) == ("CT1", "MWL", "10.0.0.7")
    assert (found.identifier, found.transfer_syntax) == (b"key 0", EXPLICIT)
    assert (found.status, found.matched, found.sent, found.microseconds) == ("A700", 3, 2, 1500)
    assert (found.profile, found.profile_digest) == ("generic", "d1")
    assert found.association.missing_message_id
    assert found.first_at == found.last_at == "2026-07-05T00:00:00.000000+00:00"


async def test_a_device_that_hung_up_has_no_status(store: Store, watched: Watched) -> None:
    """Which is a finding by itself."""
    part = made(watched)
    await part.start()

    part.answered(seen(status=None))
    await part.stop()

    assert [each.status for each in kept(store)] == [""]


async def test_what_comes_while_one_is_written_shares_the_next_change(store: Store, watched: Watched) -> None:
    """Equal queries are one row, counted, with the latest answer."""
    part = made(watched)
    watched.go_on.clear()
    await part.start()
    part.answered(seen(0))
    await watched.begun.get()

    for sent in (1, 2, 3):
        part.answered(seen(1, sent=sent))
    part.answered(seen(1, "CT2"))
    watched.go_on.set()
    await part.stop()

    assert watched.writes == 2
    assert [(each.calling_ae, each.count, each.sent) for each in kept(store)] == [
        ("CT2", 1, 0),
        ("CT1", 3, 3),
        ("CT1", 1, 0),
    ]
    assert kept(store)[1].first_at < kept(store)[1].last_at


async def test_stopping_writes_what_waits(store: Store, watched: Watched, monkeypatch: Any) -> None:
    """However much that is, a batch at a time."""
    monkeypatch.setattr(capture, "BATCH", 2)
    part = made(watched)
    for n in range(5):
        part.answered(seen(n))

    await part.start()
    await part.stop()

    assert len(kept(store)) == 5
    assert watched.writes == 3


async def test_a_queue_that_is_full_loses_and_says_so_once(
    store: Store, watched: Watched, monkeypatch: Any, caplog: Any
) -> None:
    """It never makes a device wait, and never grows."""
    monkeypatch.setattr(capture, "WAITING", 3)
    before = lost("too many waiting")
    part = made(watched)

    for n in range(10):
        part.answered(seen(n))
    await part.start()
    await part.stop()

    assert len(kept(store)) == 3
    assert lost("too many waiting") == before + 7
    assert told(caplog) == ["too many waiting"]


async def test_a_database_that_is_away_loses_and_says_so_once_an_outage(
    store: Store, watched: Watched, caplog: Any
) -> None:
    """One line and a figure; once it is back, queries are kept again."""
    before = lost("database unavailable")
    part = made(watched)
    watched.away = True
    await part.start()
    for n in range(3):
        part.answered(seen(n))
        await watched.begun.get()
    watched.away = False
    part.answered(seen(3))
    await watched.begun.get()
    watched.away = True
    part.answered(seen(4))
    await part.stop()

    assert [each.identifier for each in kept(store)] == [b"key 3"]
    assert lost("database unavailable") == before + 4
    assert told(caplog) == ["database unavailable"] * 2


async def test_a_defect_costs_one_batch(store: Store, watched: Watched, caplog: Any) -> None:
    """The part goes on."""
    part = made(watched)
    await part.start()
    part.answered(seen(0, matched=object()))
    await watched.begun.get()
    part.answered(seen(1))
    await part.stop()

    assert [each.identifier for each in kept(store)] == [b"key 1"]
    assert "query capture failed" in caplog.messages
    assert "key 0" not in caplog.text


async def test_an_identifier_that_is_too_long_is_not_kept(
    store: Store, watched: Watched, caplog: Any
) -> None:
    """No device has one; memory and disk are bounded."""
    part = made(watched)
    await part.start()

    part.answered(seen(identifier=bytes(queries.IDENTIFIER + 1)))
    part.answered(seen(identifier=bytes(queries.IDENTIFIER)))
    await part.stop()

    assert [len(each.identifier) for each in kept(store)] == [queries.IDENTIFIER]
    assert told(caplog) == ["identifier too long"]


async def test_callers_in_quarantine_are_kept_where_the_configuration_holds_them(
    store: Store, watched: Watched
) -> None:
    """A device that a reload took away is none of them."""
    rejecting, holding = made(watched), made(watched, unknown="hold")
    for part in (rejecting, holding):
        await part.start()
        part.answered(held())
        await part.stop()

    (found,) = kept(store)
    assert (found.calling_ae, found.status, found.held) == ("CT9", "0124", True)


async def test_a_flood_from_quarantine_is_not_kept(store: Store, watched: Watched, caplog: Any) -> None:
    """So many queries of an address, and no more."""
    part = made(watched, unknown="hold")
    await part.start()
    for n in range(QUERIES + 20):
        part.answered(held(n))
    part.answered(seen())
    await part.stop()

    assert sum(each.held for each in kept(store)) == QUERIES
    assert sum(not each.held for each in kept(store)) == 1
    assert told(caplog) == ["too many of unknown callers"]


async def test_nothing_is_kept_where_that_is_configured(store: Store, watched: Watched) -> None:
    """A reload takes effect with the next query."""
    part = made(watched, per_device=0)
    await part.start()
    part.answered(seen(0))
    part.use(Capture(per_device=1))
    part.answered(seen(1))
    part.answered(seen(2))
    await part.stop()

    assert [each.identifier for each in kept(store)] == [b"key 2"]


async def test_starting_and_stopping_twice_is_allowed(store: Store, watched: Watched) -> None:
    """Like every part."""
    part = made(watched)

    await part.stop()
    await part.start()
    await part.start()
    part.answered(seen())
    await part.stop()
    await part.stop()

    assert len(kept(store)) == 1


async def test_a_rush_of_many_devices_is_bounded(
    store: Store, watched: Watched, monkeypatch: Any, tmp_path: Path
) -> None:
    """In memory by the queue, on disk by rows of a device and of all, each no longer than is kept."""
    monkeypatch.setattr(queries, "KEPT", 120)
    before, part = lost("too many waiting"), made(watched, per_device=10)
    waiting, sizes = 0, []
    await part.start()

    for rush in range(3):
        for n in range(40):
            for device in range(20):
                words = b"%d %d" % (rush, n)
                part.answered(seen(calling=f"CT{device}", identifier=words.ljust(queries.IDENTIFIER)))
            waiting = max(waiting, len(part._queue))
        part._woken.set()
        while part._queue:
            await watched.begun.get()
        await store.read(lambda tx: queries.browse(tx, limit=1))
        sizes.append(octets(tmp_path))
    await part.stop()

    rows = kept(store)
    assert waiting <= capture.WAITING
    assert lost("too many waiting") > before
    assert len(rows) == 120
    assert max(Counter(each.calling_ae for each in rows).values()) <= 10
    assert sizes[2] < sizes[1] * 1.2  # what is forgotten makes room for what comes


async def test_a_flood_of_strangers_is_bounded_and_takes_no_room_from_devices(
    store: Store, watched: Watched
) -> None:
    """From ever new addresses, under ever new titles."""
    part = made(watched, unknown="hold")
    part.answered(seen())
    await part.start()
    for n in range(2000):
        stranger = AssociationFacts(f"X{n}", "MWL", f"10.1.{n >> 8}.{n & 255}")
        part.answered(Observation(stranger, UNKNOWN, EXPLICIT, b"key %d" % n, None, 0x0124))
        if n % 100 == 0:
            await watched.begun.get()
    await part.stop()

    rows = kept(store)
    assert sum(each.held for each in rows) <= queries.HELD
    assert [each.calling_ae for each in rows if not each.held] == ["CT1"]
    assert len(part._quarantine._allowances) <= 1000
