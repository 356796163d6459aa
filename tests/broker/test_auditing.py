"""Queries, log-ins, alerts, start and stop are reported behind everybody's back, and bounded."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from prometheus_client import REGISTRY

from mwl import logs
from mwl.broker import auditing
from mwl.broker.audit_records import Records
from mwl.broker.auditing import Auditor
from mwl.broker.running import Broker
from mwl.dicom.observing import Observation
from mwl.dicom.performed import PERFORMED_STEP
from mwl.dicom.service import AssociationFacts
from mwl.dicom.worklist import WORKLIST_FIND
from mwl.errors import Unavailable
from mwl.store import Store, open_store, performed, spool

LOGGER = logging.getLogger("mwl.test_auditing")
START = dt.datetime(2026, 7, 5, 9, tzinfo=dt.UTC)


class Clock:
    """A clock that a test moves."""

    now = START

    def __call__(self) -> dt.datetime:
        return self.now


class Flaky:
    """A store that may be away."""

    def __init__(self, store: Store) -> None:
        self.store, self.away, self.refused = store, False, asyncio.Event()

    async def write(self, work: Callable[[Any], Any]) -> Any:
        if self.away:
            self.refused.set()
            raise Unavailable("away")
        return await self.store.write(work)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with an empty spool."""
    opened = open_store(f"sqlite:///{tmp_path / 'spool.db'}")
    yield opened
    opened.close_now()


@pytest.fixture
def reporting(file) -> Callable[[str], Records]:
    """Return what is reported under an `audit:` with these settings."""

    def made(settings: str = "") -> Records:
        more = f", {settings}" if settings else ""
        records = Records.of(file.change("hl7:", f'audit: {{to: "collector:6514"{more}}}\nhl7:'))
        assert records is not None
        return records

    return made


@pytest.fixture
async def auditor(store: Store, reporting, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Auditor]:
    """One that reports security alerts and log-ins alone, and rests for no time."""
    monkeypatch.setattr(auditing, "REST", 0.0)
    part = Auditor(store, reporting("events: [security, user, query]"), Clock())
    await part.start()
    yield part
    await part.stop()


def query(n: int = 0, **facts: Any) -> Observation:
    association = AssociationFacts("CT1", "MWL", "10.0.0.7", user=facts.pop("user", ""))
    known = {"device": "CT1", "profile": None, "status": 0, "identifier": b"key %d" % n}
    return Observation(association, transfer_syntax="1.2.840.10008.1.2", **{**known, **facts})


def reported(store: Store) -> list[ET.Element]:
    """Return all messages of the spool."""
    found = store.write_now(lambda tx: spool.claim(tx, "test", dt.timedelta(0), 10_000))
    return [ET.fromstring(each.message.partition(b"\xef\xbb\xbf")[2]) for each in found]


def kinds(store: Store) -> list[str]:
    found = [each.find("EventIdentification/EventID") for each in reported(store)]
    return [each.attrib["csd-code"] for each in found if each is not None]


def figure(reason: str) -> float:
    return REGISTRY.get_sample_value("mwl_audit_dropped_total", {"reason": reason}) or 0.0


async def test_start_and_stop_are_reported(store: Store, reporting):
    """As first and last; stopping what is stopped is nothing."""
    part = Auditor(store, reporting())
    await part.start()
    part.answered(query())
    await part.stop()
    await part.stop()

    assert kinds(store) == ["110100", "110112", "110100"]


async def test_a_query_that_failed_is_reported_as_such(store: Store, auditor: Auditor):
    """Refused, failed, or its association lost: a minor failure; answered and cancelled are none."""
    for status in (0x0000, 0xFE00, 0xA900, 0x0124, None):
        auditor.answered(query(status=status))
    await auditor.stop()

    found = [each[0].attrib["EventOutcomeIndicator"] for each in reported(store)]
    assert found == ["0", "0", "4", "4", "4"]


async def test_who_reads_a_performed_step_is_reported(store: Store, reporting):
    """By N-GET a device gets a patient's name, too (PS3.15 A.5.3.15: action R)."""
    part = Auditor(store, reporting("events: [procedure]"))
    patient = {
        "00100020": {"vr": "LO", "Value": ["PID001"]},
        "00400252": {"vr": "CS", "Value": ["IN PROGRESS"]},
    }
    step = store.write_now(
        lambda tx: performed.create(tx, "1.2.276.0.99.7", patient, calling_ae="CT1", told=()).step
    )
    await part.start()
    part.retrieved(AssociationFacts("PACS", "MWL", "10.0.0.9"), step)
    await part.stop()

    (message,) = reported(store)
    assert message[0].attrib["EventActionCode"] == "R"
    assert message[1].attrib["UserID"] == "PACS"
    assert message[-1].attrib["ParticipantObjectID"] == "PID001"


@pytest.mark.parametrize(
    ("level", "name", "fields", "node"),
    [
        (logging.WARNING, "association refused", {"calling_ae": "CT9", "address": "10.0.0.9"}, "10.0.0.9"),
        (logging.DEBUG, "association refused", {"calling_ae": "CT9", "address": "10.0.0.9"}, "10.0.0.9"),
        (logging.WARNING, "unknown caller held", {"calling_ae": "CT9", "address": "10.0.0.9"}, "10.0.0.9"),
        (logging.WARNING, "TLS handshake failed", {"peer": "10.0.0.9:4711", "reason": "no shared cipher"}, "10.0.0.9"),
        (logging.WARNING, "TLS handshake failed", {"peer": "[::1]:4711"}, "::1"),
        (logging.WARNING, "message", {"peer": "10.0.0.9:4711", "system": "", "outcome": "AE"}, "10.0.0.9"),
        (logging.WARNING, "too many connections", {"address": "10.0.0.9"}, "10.0.0.9"),
        (logging.WARNING, "connection turned away", {"peer": "10.0.0.9:4711"}, "10.0.0.9"),
        (logging.WARNING, "association ended", {"address": "10.0.0.9", "limit": "pdu"}, "10.0.0.9"),
    ],
)  # fmt: skip
async def test_what_the_log_warns_of_is_an_alert(store: Store, auditor: Auditor, level, name, fields, node):
    """Whatever level is logged; it is about the node that it came from."""
    logs.event(LOGGER, level, name, **fields)
    await asyncio.sleep(0)
    await auditor.stop()

    (alert,) = reported(store)
    subject = alert.find("ParticipantObjectIdentification")
    assert kinds(store) == ["110113"]
    assert subject is not None
    assert subject.attrib["ParticipantObjectID"] == node


@pytest.mark.parametrize(
    ("level", "name", "fields"),
    [
        (logging.WARNING, "message", {"peer": "10.0.0.9:4711", "system": "RIS", "outcome": "AE"}),
        (logging.INFO, "message", {"peer": "10.0.0.9:4711", "system": "", "outcome": "ignored"}),
        (logging.DEBUG, "TLS handshake failed", {"peer": "10.0.0.9:4711"}),
        (logging.DEBUG, "connection turned away", {"peer": "10.0.0.9:4711"}),
        (logging.WARNING, "worklist cut at the device's limit", {"device": "CT1", "limit": 50}),
        (logging.INFO, "association ended", {"address": "10.0.0.9"}),
    ],
)
async def test_what_is_no_attack_is_no_alert(store: Store, auditor: Auditor, level, name, fields):
    """A mistake in a known system's message, somebody who looks whether a port is open, a profile's limit."""
    logs.event(LOGGER, level, name, **fields)
    await asyncio.sleep(0)
    await auditor.stop()

    assert reported(store) == []


async def test_log_ins_are_reported_with_their_outcome(store: Store, auditor: Auditor):
    """Who proved it by name; who did not, by the device: what it claimed is not known to be true."""
    refused = {"calling_ae": "CT1", "address": "10.0.0.7", "reason": "user identity not accepted"}
    logs.event(LOGGER, logging.DEBUG, "user accepted", user="nora", calling_ae="CT1", address="10.0.0.7")
    logs.event(LOGGER, logging.WARNING, "association refused", **refused)
    await asyncio.sleep(0)
    await auditor.stop()

    found = reported(store)
    assert kinds(store) == ["110114", "110114"]
    assert [each[0].attrib["EventOutcomeIndicator"] for each in found] == ["0", "4"]
    assert [each[1].attrib["UserID"] for each in found] == ["nora", "CT1"]


async def test_the_same_alert_is_reported_once_a_minute(store: Store, auditor: Auditor):
    """A device that is refused tries again every few seconds."""
    for _ in range(20):
        logs.event(LOGGER, logging.DEBUG, "association refused", calling_ae="CT9", address="10.0.0.9")
    await asyncio.sleep(0)
    await auditor.stop()

    assert kinds(store) == ["110113"]


async def test_nobody_floods_the_spool_under_many_names(store: Store, auditor: Auditor):
    """Above so many a minute alerts are dropped and counted."""
    before = figure("too many alerts")
    for n in range(auditing.FLOOD + 7):
        logs.event(LOGGER, logging.DEBUG, "association refused", calling_ae=f"CT{n}", address="10.0.0.9")
    await asyncio.sleep(0)
    await auditor.stop()

    assert len(kinds(store)) == auditing.FLOOD
    assert figure("too many alerts") - before == 7


async def test_what_happens_while_the_database_is_away_is_reported_later(
    store: Store, reporting, monkeypatch: pytest.MonkeyPatch
):
    """In order; nothing is lost as long as the queue has room."""
    monkeypatch.setattr(auditing, "_AGAIN", 0.0)
    flaky = Flaky(store)
    part = Auditor(flaky, reporting("events: query"))
    flaky.away = True
    await part.start()
    part.answered(query(status=0))
    part.answered(query(status=0xA900))
    await flaky.refused.wait()
    flaky.away = False
    await part.stop()

    assert [each[0].attrib["EventOutcomeIndicator"] for each in reported(store)] == ["0", "4"]


async def test_a_queue_that_is_full_drops_what_comes(store: Store, reporting, caplog):
    """Counted, told once; a device never waits."""
    part, before = Auditor(store, reporting("events: query")), figure("too many waiting")
    for n in range(auditing.WAITING + 3):
        part.answered(query(n))
    await part.start()
    await part.stop()

    told = [each for each in caplog.records if each.getMessage() == "audit messages dropped"]
    assert len(kinds(store)) == auditing.WAITING
    assert figure("too many waiting") - before == 3
    assert len(told) == 1


async def test_what_cannot_be_written_before_the_end_is_counted(store: Store, reporting):
    """A database that is away does not hold up the end."""
    flaky, before = Flaky(store), figure("database unavailable")
    flaky.away = True
    part = Auditor(flaky, reporting("events: [query, application]"))
    await part.start()
    await part.stop()

    assert figure("database unavailable") - before == 2


async def test_what_is_not_wanted_is_not_reported(store: Store, reporting):
    """Whatever happens; and nothing at all without the section."""
    part = Auditor(store, reporting("events: order"))
    await part.start()
    part.answered(query())
    logs.event(LOGGER, logging.WARNING, "association refused", address="10.0.0.9")
    logs.event(LOGGER, logging.DEBUG, "user accepted", user="nora")
    part.use(None)
    part.answered(query())
    await asyncio.sleep(0)
    await part.stop()

    assert reported(store) == []


async def test_once_it_has_ended_it_hears_nothing(store: Store, auditor: Auditor):
    """A broker that is started anew in one process reports each alert once."""
    await auditor.stop()
    logs.event(LOGGER, logging.WARNING, "association refused", address="10.0.0.9")
    await asyncio.sleep(0)

    assert not logs._observers
    assert reported(store) == []


@pytest.mark.parametrize("name", auditing._ALERTS)
def test_an_alert_is_an_event_that_the_log_has(name: str):
    """The operator's guide lists all of them: one that is renamed would be no alert any more."""
    manual = Path(__file__).parent.parent.parent / "docs" / "operator.md"

    assert f"\n| `{name}`" in manual.read_text("utf-8")


async def test_without_the_section_nobody_pays(file):
    """No query and no order passes by the audit; a reload brings it in, and takes it out again."""

    def heard() -> list[bool]:
        observers = broker._services[WORKLIST_FIND]._observers
        changes = broker._services[PERFORMED_STEP]._changes
        return [
            broker._auditor in observers,
            broker._intake.on_effect is not None,
            changes.on_changed is not None,
        ]

    broker = Broker(file.load())
    await broker.start()
    without = heard()
    await broker.reload(
        file.change("hl7:", 'audit: {to: "127.0.0.1:9", transport: udp, events: [query, order]}\nhl7:')
    )
    reloaded = heard()
    await broker.reload(file.change(", events: [query, order]}", ", events: [order]}"))
    orders = heard()
    await broker.drain()

    assert (without, reloaded, orders) == ([False] * 3, [True] * 3, [False, True, True])
