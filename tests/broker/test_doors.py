"""From the configuration to listeners: bounds, bindings, file descriptors."""

from __future__ import annotations

import asyncio
import logging
import resource
import ssl

import pytest

from mwl import config
from mwl.broker import Broker, doors
from mwl.dicom import requestor
from mwl.dicom.service import AssociationFacts
from mwl.errors import BadDocument


def peer(broker: Broker, calling: str = "CT1") -> requestor.Peer:
    """Return the broker as a device addresses it."""
    at = broker.addresses["dicom"]
    return requestor.Peer(at.host, at.port, "MWL", calling)


@pytest.fixture
async def broker(file):
    """A running broker."""
    made = Broker(file.load())
    await made.start()
    yield made
    await made.drain()


async def test_bounds_that_a_reload_brings_hold_for_what_begins_then(broker, file):
    """Whoever is attacked need not restart: what the log names can be moved at once."""
    await asyncio.to_thread(requestor.echo, peer(broker))
    waiting = await broker.reload(file.change("ae_title: MWL,", "ae_title: MWL, limits: {associations: 1},"))
    at = broker.addresses["dicom"]
    kept = [await asyncio.open_connection(at.host, at.port) for _ in range(2)]
    reader, writer = await asyncio.open_connection(at.host, at.port)

    assert waiting == []
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), 10)
    for each in (writer, *(writer for _, writer in kept)):
        each.transport.abort()


async def test_a_bound_title_is_refused_after_a_reload(broker, file):
    """And let in by the next one."""
    bound = 'CT1: {profile: generic, address: "10.0.0.1"}'
    await broker.reload(file.change("CT1: {profile: generic}", bound))
    assert broker._devices.known(AssociationFacts("CT1", "MWL", "127.0.0.1")) is None

    await broker.reload(file.change('address: "10.0.0.1"', "address: [10.0.0.1, 127.0.0.0/8]"))
    await asyncio.to_thread(requestor.echo, peer(broker))


async def test_a_certificate_that_cannot_be_used_changes_nothing(broker, file):
    """The whole reload is refused, at its line."""
    wrong = file.change('ae_title: MWL, listen: "127.0.0.1:0"',
                        'ae_title: MWL, listen: "127.0.0.1:0", tls: {certificate: none.pem, key: none.key}')  # fmt: skip
    with pytest.raises(BadDocument, match="certificate: cannot be used"):
        await broker.reload(wrong)

    await asyncio.to_thread(requestor.echo, peer(broker))


async def test_a_health_check_of_a_tls_port_is_no_warning(broker, caplog):
    """Readiness connects and leaves, every second."""
    caplog.set_level(logging.INFO, "mwl")
    broker._doors.dicom.use(
        broker._doors.dicom._settings.__class__(tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    )

    assert (await broker.readiness())["dicom"]
    await asyncio.gather(*broker._doors.dicom._tasks)
    assert "TLS handshake failed" not in caplog.messages


def test_files_are_allowed_as_bounds_need_them(monkeypatch, caplog):
    """The soft limit goes up, as far as the hard one lets it; a warning says where it does not."""
    limits, set_to = {"now": (256, 100_000)}, []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits["now"])
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: set_to.append(pair))
    doors.allow_files(config.Configuration())
    quiet = list(caplog.messages)
    limits["now"] = (256, 512)
    doors.allow_files(config.Configuration())
    limits["now"] = (100_000, 100_000)
    doors.allow_files(config.Configuration())

    assert set_to == [(1400, 100_000), (512, 512)]
    assert quiet == []
    assert caplog.messages == ["too few file descriptors"]
