"""Audit messages leave the spool in order, each once, for as long as the collector takes to come back."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from mwl.audit.collector import Address
from mwl.audit.syslog import DATAGRAM
from mwl.broker import audit_sender
from mwl.broker.audit_sender import AuditSender
from mwl.errors import BadDocument, Unavailable
from mwl.hl7.courier import Pace
from mwl.store import Store, open_store, spool

SOON = Pace(backoff=lambda failures: 0.01, poll=0.05)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with an empty spool."""
    opened = open_store(f"sqlite:///{tmp_path / 'spool.db'}")
    yield opened
    opened.close_now()


class Collectors:
    """Stand in for the collector: what was sent to it, and how often it fails before that."""

    def __init__(self) -> None:
        self.failures = 0
        self.sent: list[bytes] = []
        self.closed = 0
        self.loop = asyncio.get_running_loop()
        self.heard, self.failed = asyncio.Event(), asyncio.Event()

    def __call__(self, _address: Address) -> Collectors:
        return self

    def send(self, messages: list[bytes]) -> None:
        if self.failures:
            self.failures -= 1
            self.loop.call_soon_threadsafe(self.failed.set)
            raise Unavailable("nobody there")
        self.sent += messages
        self.loop.call_soon_threadsafe(self.heard.set)

    def close(self) -> None:
        self.closed += 1

    async def until(self, number: int) -> list[bytes]:
        async with asyncio.timeout(60):
            while len(self.sent) < number:
                await self.heard.wait()
                self.heard.clear()
        return self.sent


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> Collectors:
    """The collector every sender finds."""
    found = Collectors()
    monkeypatch.setattr(audit_sender, "Collector", found)
    monkeypatch.setattr(audit_sender, "REST", 0.0)
    return found


def sender(store: Store, tls: bool = False) -> AuditSender:
    import ssl

    context = ssl.create_default_context() if tls else None
    return AuditSender(store, Address("127.0.0.1", 1, context), owner="a", pace=SOON)


async def put(store: Store, *messages: bytes) -> None:
    await store.write(lambda tx: spool.put(tx, messages, limit=100_000))


async def waiting(store: Store) -> int:
    return (await store.read(spool.backlog)).waiting


def figure(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_more_than_one_round_is_sent_in_order(store: Store, collector: Collectors):
    """What waited before the start and what comes later, all of it, and nothing is left."""
    wanted = [b"%d" % n for n in range(audit_sender.BATCH + 50)]
    await put(store, *wanted[:-1])
    part = sender(store)
    await part.start()
    await collector.until(len(wanted) - 1)
    await put(store, wanted[-1])
    await collector.until(len(wanted))
    await part.stop()

    assert collector.sent == wanted
    assert await waiting(store) == 0


async def test_a_collector_that_is_away_is_tried_again(store: Store, collector: Collectors, caplog):
    """It is told once that it is away, and once that it is back; what was tried stays first."""
    before, collector.failures = figure("mwl_audit_failed_total"), 3
    await put(store, b"1", b"2")
    part = sender(store)
    with caplog.at_level(logging.INFO):
        await part.start()
        await collector.until(2)
        await part.stop()

    told = [record.getMessage() for record in caplog.records if record.name == audit_sender.__name__]
    assert collector.sent == [b"1", b"2"]
    assert told == ["audit messages cannot be sent", "audit messages are sent again"]
    assert figure("mwl_audit_failed_total") - before == 3


async def test_what_is_written_last_is_sent_before_the_end(store: Store, collector: Collectors):
    """The report that the broker ends is one."""
    part = sender(store)
    await part.start()
    await put(store, b"1")
    await collector.until(1)
    await put(store, b"the end")
    await part.stop()

    assert collector.sent == [b"1", b"the end"]
    assert collector.closed == 1


async def test_an_end_does_not_wait_for_a_collector_that_is_away(store: Store, collector: Collectors):
    """What waits is given back, and sent after the next start."""
    collector.failures = 1_000_000
    await put(store, b"1")
    part = sender(store)
    await part.start()
    await collector.failed.wait()
    await part.stop()

    found = await store.write(lambda tx: spool.claim(tx, "b", audit_sender._LEASE, 10))
    assert [each.message for each in found] == [b"1"]


async def test_what_was_sent_is_not_sent_again_where_deleting_failed(
    store: Store, collector: Collectors, monkeypatch: pytest.MonkeyPatch
):
    """The database answers again: first it hears what was sent, then the next message leaves."""
    outage, forget = itertools.chain([True, True], itertools.repeat(False)), spool.sent

    def sent(tx, keys):
        if next(outage):
            raise Unavailable("away")
        forget(tx, keys)

    monkeypatch.setattr(spool, "sent", sent)
    await put(store, b"1")
    part = sender(store)
    await part.start()
    await collector.until(1)
    await put(store, b"2")
    await collector.until(2)
    await part.stop()

    assert collector.sent == [b"1", b"2"]
    assert await waiting(store) == 0


async def test_what_no_datagram_can_carry_is_dropped(store: Store, collector: Collectors):
    """It is counted, and holds up nothing."""
    label = {"reason": "too long for a datagram"}
    before = figure("mwl_audit_dropped_total", **label)
    await put(store, bytes(DATAGRAM + 1), b"2")
    part = sender(store)
    await part.start()
    await collector.until(1)
    await part.stop()

    assert collector.sent == [b"2"]
    assert figure("mwl_audit_dropped_total", **label) - before == 1


async def test_tls_carries_messages_of_any_length(store: Store, collector: Collectors):
    """Only a datagram has an end."""
    await put(store, bytes(DATAGRAM + 1))
    part = sender(store, tls=True)
    await part.start()
    await collector.until(1)
    await part.stop()

    assert len(collector.sent[0]) == DATAGRAM + 1


async def test_without_a_collector_nothing_is_claimed(store: Store, collector: Collectors):
    """What waits, waits for the section to come back."""
    await put(store, b"1")
    part = AuditSender(store, None, owner="a", pace=SOON)
    await part.start()
    await part.stop()
    await part.stop()

    assert collector.sent == []
    assert await waiting(store) == 1


def test_the_address_is_the_configurations(file):
    """Absent: none.  TLS is the default; datagrams have none."""
    none = audit_sender.address(file.load())
    tls = audit_sender.address(file.change("hl7:", 'audit: {to: "collector:6514", tls: {name: other}}\nhl7:'))
    udp = audit_sender.address(file.change("tls: {name: other}", "transport: udp"))

    assert none is None
    assert tls is not None
    assert (str(tls), tls.name, tls.tls is None) == ("collector:6514", "other", False)
    assert udp == Address("collector", 6514)


def test_authorities_that_are_not_there_are_told_at_their_line(file):
    """Before anything is started."""
    file.change("hl7:", 'audit:\n  to: "collector:6514"\n  tls: {authorities: nowhere.pem}\nhl7:')

    with pytest.raises(BadDocument) as refused:
        audit_sender.address(file.load())

    assert [(each.line, each.message) for each in refused.value.problems] == [
        (7, "authorities: cannot be used: No such file or directory")
    ]
