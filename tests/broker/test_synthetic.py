"""The broker's own order goes the whole way, tells where it ended, and is nobody else's to see."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import func, select

from mwl import config
from mwl.broker import Broker, synthetic
from mwl.dicom import requestor
from mwl.errors import Unavailable
from mwl.hl7.envelope import sender
from mwl.store import Store, open_store, queries, spool, tables
from mwl.store.synthetic import accession

ANYTHING = {"00100020": {"vr": "LO"}, "00080050": {"vr": "SH"}, "00400100": {"vr": "SQ", "Value": [{}]}}


def stage(name: str) -> float | None:
    return REGISTRY.get_sample_value("mwl_synthetic_ok", {"stage": name})


@pytest.fixture
async def broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Broker]:
    """A broker that runs, with its own order every minute; it waits for the test after the first stage."""
    (tmp_path / "mwl.yaml").write_text(
        f"database: sqlite:///{tmp_path / 'mwl.db'}\nsynthetic: {{every: 1m}}\n"
        "dicom: {listen: '127.0.0.1:0'}\nhl7: {listen: '127.0.0.1:0'}\nweb: {listen: '127.0.0.1:0'}\n"
        "devices: {CT1: {profile: generic}, MWL-SYNTHETIC: {profile: generic}}\n"
        "systems: {RIS: {application: RIS}}\n"
    )
    made = Broker(config.load(tmp_path / "mwl.yaml", {}))
    yield made
    await made.drain()


class Told:
    """Waits for an order to have gone its way."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ended = asyncio.Event()
        tell = synthetic.Synthetic._tell

        def told(part: Any, last: Any, reason: str) -> None:
            tell(part, last, reason)
            self.ended.set()

        monkeypatch.setattr(synthetic.Synthetic, "_tell", told)

    async def once(self) -> None:
        async with asyncio.timeout(60):
            await self.ended.wait()
        self.ended.clear()


def left(store: Store) -> list[int]:
    """Return how many steps, procedures and messages there are."""
    counted = (tables.steps, tables.procedures, tables.messages)
    return store.read_now(
        lambda tx: [tx.connection.scalar(select(func.count()).select_from(each)) or 0 for each in counted]
    )


async def test_an_order_goes_the_whole_way_and_leaves_nothing(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through both listeners; metrics and readiness tell of it, and two messages stay for an hour."""
    told = Told(monkeypatch)
    await broker.start()
    await told.once()

    assert [stage(name) for name in synthetic.STAGES] == [1, 1, 1, 1]
    shown = broker._synthetic.detail()["synthetic"]
    assert isinstance(shown, dict)
    assert (shown["ok"], shown["failed"]) == (True, "")
    assert left(broker._store) == [0, 0, 2]

    broker._store._writer._clock = lambda: dt.datetime.now(dt.UTC) + dt.timedelta(hours=2)
    broker._synthetic.use(broker.configuration)
    await told.once()
    assert left(broker._store)[:2] == [0, 0]


async def test_no_device_is_shown_it(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is on the worklist of the broker's own caller, a device that asks for everything gets nothing."""
    seen: list[tuple[int, int]] = []
    find = requestor.find

    def looked(peer: requestor.Peer, keys: Any) -> Any:
        device = requestor.Peer(peer.host, peer.port, "MWL", "CT1")
        found = find(peer, keys)
        seen.append((len(found), len(find(device, ANYTHING))))
        return found

    monkeypatch.setattr(requestor, "find", looked)
    told = Told(monkeypatch)
    await broker.start()
    await told.once()

    assert seen == [(1, 0), (0, 0)]


async def test_another_machine_cannot_ask_in_its_name(broker: Broker) -> None:
    """What is on hold is shown to a caller of this machine alone."""
    (binding,) = synthetic.participants(broker.configuration).bindings.values()

    def objection(address: str) -> Any:
        facts = requestor_facts(address)
        return binding.objection(facts)

    assert objection("127.0.0.1") is None
    assert objection("10.1.2.3") is not None


def requestor_facts(address: str) -> Any:
    from mwl.dicom.service import AssociationFacts

    return AssociationFacts(calling_ae=synthetic.TITLE, called_ae="MWL", address=address)


async def test_another_machine_cannot_send_in_its_name(broker: Broker) -> None:
    """An order that is not on hold would be on worklists, from whoever says MSH-3 so."""
    (own,) = synthetic.participants(broker.configuration).systems

    assert sender([own], synthetic.TITLE, "", "127.0.0.1:4711") is own
    assert sender([own], synthetic.TITLE, "", "10.1.2.3:4711") is None


async def test_nothing_is_reported_of_it(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is about nobody: neither audit messages nor captured queries tell of it, 6000 times a day."""
    settings = tmp_path / "mwl.yaml"
    settings.write_text(
        settings.read_text() + "audit: {to: 'localhost:1', events: [order, procedure, patient, query]}\n"
    )
    reporting = Broker(config.load(settings, {}))
    told = Told(monkeypatch)
    await reporting.start()
    await told.once()
    await reporting.drain()

    store = open_store(reporting.configuration.database)
    rows = store.read_now(lambda tx: (spool.backlog(tx).waiting, queries.browse(tx, limit=10)))
    store.close_now()
    assert rows == (0, [])


def test_two_brokers_on_one_database_have_orders_of_their_own() -> None:
    """Made within a second, and 16 characters long; the later one sorts behind."""
    at = dt.datetime(2026, 7, 5, 9, 0, 0, tzinfo=dt.UTC)
    numbers = [accession(at + dt.timedelta(seconds=n)) for n in (0, 0.02, 1, 86400 * 365)]

    assert numbers == sorted(set(numbers))
    assert {len(each) for each in numbers} == {16}


async def test_where_it_ended_is_told_once(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A listener that is dead: the stage is in the metrics, the log has one line, and one when it is over."""
    caplog.set_level(logging.INFO, "mwl.broker.synthetic")
    told = Told(monkeypatch)
    await broker.start()
    await told.once()
    part = broker._synthetic

    def dead(*_: Any) -> Any:
        raise Unavailable("MWL cannot be reached")

    with monkeypatch.context() as listener:
        listener.setattr(requestor, "find", dead)
        for _ in range(2):
            part.use(broker.configuration)
            await told.once()
        failed = [stage(name) for name in synthetic.STAGES]
    part.use(broker.configuration)
    await told.once()

    assert failed == [1, 0, None, None]
    assert [record.getMessage() for record in caplog.records] == [
        "synthetic order failed",
        "synthetic order arrives again",
    ]
    assert left(broker._store)[:2] == [0, 0]


async def test_it_is_off_unless_it_is_asked_for(broker: Broker, tmp_path: Path) -> None:
    """Then nobody plays a device or a RIS."""
    (tmp_path / "off.yaml").write_text("{}\n")

    nobody = synthetic.participants(config.load(tmp_path / "off.yaml", {}))

    assert (nobody.devices, nobody.bindings, nobody.systems) == ({}, {}, ())
