"""Each limit that strikes is counted, and the event that tells of it names the setting that moves it."""

from __future__ import annotations

import asyncio
import logging
import ssl
import struct
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import REGISTRY

from mwl.config import model
from mwl.dicom import status
from mwl.dicom.association import Limits, Timeouts
from mwl.dicom.dimse import MessageLimits
from mwl.dicom.limits import SETTINGS, Limit
from mwl.dicom.service import Reply, Request
from mwl.dicom.upper_layer import PduLimits

WORKLIST, IMPLICIT = "1.2.840.10008.5.1.4.31", "1.2.840.10008.1.2"
SHORT = 0.05  # seconds


async def succeed(request: Request, reply: Reply) -> None:
    await reply.send(status.SUCCESS)


@pytest.fixture
def struck(caplog: pytest.LogCaptureFixture) -> Callable[[Limit], list[dict[str, Any]]]:
    """Return the fields of the events that name a limit, after a look at the figure: it must have moved."""
    caplog.set_level(logging.DEBUG, "mwl")
    before = {limit: counted(limit) for limit in Limit}

    def look(limit: Limit) -> list[dict[str, Any]]:
        assert counted(limit) > before[limit]
        assert [other for other in Limit if other != limit and counted(other) != before[other]] == []
        found = [{"event": record.message, **getattr(record, "fields", {})} for record in caplog.records]
        return [fields for fields in found if fields.get("limit") == limit]

    return look


def counted(limit: Limit) -> float:
    return REGISTRY.get_sample_value("mwl_dicom_limits_total", {"limit": limit.value}) or 0.0


def test_every_setting_that_is_named_exists() -> None:
    """An operator can write what the log tells her to."""
    for setting in SETTINGS.values():
        section: Any = model.Settings()
        for key in setting.split("."):
            assert key in type(section).model_fields, setting
            section = getattr(section, key)


async def test_artim(start: Any, struck: Any) -> None:
    """A peer that asks for nothing in time."""
    peer = await (await start(timeouts=Timeouts(artim=SHORT))).connect()
    await peer.closed()
    (fields,) = struck(Limit.ARTIM)

    assert (fields["event"], fields["how"], fields["setting"]) == (
        "association ended", "no request", "dicom.limits.artim",
    )  # fmt: skip


async def test_idle(start: Any, answers: Any, struck: Any) -> None:
    """An association that is silent for too long."""
    peer = await (await start(answers(succeed), timeouts=Timeouts(idle=SHORT))).associated()
    await peer.receive()
    (fields,) = struck(Limit.IDLE)

    assert (fields["how"], fields["setting"]) == ("aborted", "dicom.limits.idle")


async def test_half_a_message(start: Any, answers: Any, struck: Any) -> None:
    """A message that does not end."""
    peer = await (await start(answers(succeed), timeouts=Timeouts(message=SHORT))).associated()
    peer.send(b"\x04\0")
    await peer.receive()
    (fields,) = struck(Limit.MESSAGE)

    assert fields["setting"] == "dicom.limits.message"


async def test_a_peer_that_does_not_read(start: Any, answers: Any, struck: Any) -> None:
    """Its answer waits for a time, then it is dropped."""
    over = asyncio.Event()

    async def endless(request: Request, reply: Reply) -> None:
        try:
            while True:
                await reply.stream([bytes(1000)] * 50, status.PENDING)
        finally:
            over.set()

    running = await start(answers(endless), timeouts=Timeouts(write=SHORT), limits=Limits(buffer=64 * 1024))
    peer = await running.connect(receive_buffer=32 * 1024)
    await peer.associate()
    peer.find()
    peer.reader._transport.pause_reading()
    await over.wait()
    (fields,) = struck(Limit.WRITE)

    assert fields["how"] == "aborted"


@pytest.mark.parametrize(
    ("associated", "kind", "length"), [(True, 4, 1001), (False, 1, 1001), (False, 2, 1001)]
)
async def test_a_pdu_too_long(
    start: Any, answers: Any, struck: Any, associated: bool, kind: int, length: int
) -> None:
    """The event tells its type and length, from the header alone."""
    running = await start(answers(succeed), limits=Limits(pdu=PduLimits(request=1000, data=1000)))
    peer = await (running.associated() if associated else running.connect())
    peer.send(struct.pack(">BxI", kind, length))
    await peer.receive()
    (fields,) = struck(Limit.PDU)

    assert (fields["how"], fields["detail"]) == (
        "protocol violation", f"PDU of type {kind:02X}H and length 1001",
    )  # fmt: skip


async def test_a_command_set_too_long(start: Any, answers: Any, struck: Any) -> None:
    """It is malformed before it is whole."""
    limits = Limits(message=MessageLimits(command_set=100))
    peer = await (await start(answers(succeed), limits=limits)).associated()
    peer.find(elements={0x1000: "1." * 60})
    await peer.receive()
    (fields,) = struck(Limit.COMMAND_SET)

    assert fields["how"] == "protocol violation"


@pytest.mark.parametrize(
    ("operation", "limit", "code"),
    [(0x20, Limit.IDENTIFIER, status.OUT_OF_RESOURCES), (0x140, Limit.DATA_SET, status.RESOURCE_LIMITATION)],
)
async def test_a_data_set_too_long(
    start: Any, answers: Any, struck: Any, operation: int, limit: Limit, code: int
) -> None:
    """The request is refused in its own protocol; the event tells who sent it, and what moves the limit."""
    limits = Limits(message=MessageLimits(data_set=100, identifier=100))
    peer = await (await start(answers(succeed), limits=limits)).associated()
    peer.request(operation, data=bytes(102))
    command, _ = await peer.response()
    (fields,) = struck(limit)

    assert command.get(0x900) == code
    assert {
        "event": "data set longer than taken", "calling_ae": "CT1", "operation": f"{operation:04X}",
        "setting": SETTINGS[limit],
    }.items() <= fields.items()  # fmt: skip


async def test_one_association_too_many(start: Any, answers: Any, request_octets: Any, struck: Any) -> None:
    """It is counted here; who hears of rejections tells of it (tests/broker/test_refusals.py)."""
    running = await start(answers(succeed), limits=Limits(associations=1))
    await running.associated()
    peer = await running.connect()
    peer.send(request_octets((WORKLIST, [IMPLICIT])))

    assert (await peer.receive())[0] == 3
    assert struck(Limit.ASSOCIATIONS) == []


async def test_one_connection_too_many(start: Any, struck: Any) -> None:
    """Told once for the crowd, counted each time."""
    running = await start(limits=Limits(associations=1))
    before = counted(Limit.CONNECTIONS)
    kept = [await running.connect() for _ in range(2)]
    for _ in range(3):
        await (await running.connect()).closed()
    (fields,) = struck(Limit.CONNECTIONS)

    assert (fields["event"], fields["open"], fields["setting"]) == (
        "too many connections", len(kept), "dicom.limits.associations",
    )  # fmt: skip
    assert counted(Limit.CONNECTIONS) - before == 3


async def test_a_handshake_that_takes_too_long(start: Any, struck: Any) -> None:
    """A silent client of the TLS port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    peer = await (await start(tls=context, timeouts=Timeouts(tls_handshake=SHORT))).connect()
    await peer.closed()
    (fields,) = struck(Limit.HANDSHAKE)

    assert fields["event"] == "TLS handshake failed"


async def test_one_association_too_many_from_an_address(
    start: Any, answers: Any, request_octets: Any, struck: Any
) -> None:
    """Refused for now, while there is room for others."""
    refused: list[Any] = []
    running = await start(
        answers(succeed), limits=Limits(per_address=1), on_rejected=lambda _, why: refused.append(why)
    )
    await running.associated()
    peer = await running.connect()
    peer.send(request_octets((WORKLIST, [IMPLICIT])))
    kind, body = await peer.receive()
    other = await running.connect(local="127.0.0.2")
    await other.associate()
    struck(Limit.PER_ADDRESS)

    assert (kind, body[1:]) == (3, bytes((2, 3, 2)))
    assert [each.setting for each in refused] == ["dicom.limits.per_address"]


async def test_one_connection_too_many_from_an_address(start: Any, struck: Any) -> None:
    """Closed, while another address finds room."""
    running = await start(limits=Limits(per_address=1))
    for _ in range(2):
        await running.connect()
    await (await running.connect()).closed()
    other = await running.connect(local="127.0.0.2")
    (fields,) = struck(Limit.PER_ADDRESS)

    assert (fields["event"], fields["address"], fields["from_address"], fields["setting"]) == (
        "too many connections", "127.0.0.1", 2, "dicom.limits.per_address",
    )  # fmt: skip
    assert not other.reader.at_eof()


async def test_a_tls_hello_on_a_plain_port_is_named_as_the_cause(start: Any, caplog: Any) -> None:
    """One line: who it was, and the setting."""
    caplog.set_level(logging.INFO, "mwl")
    running = await start()
    peer = await running.connect()
    peer.send(bytes.fromhex("160301020001"))
    await peer.receive()

    (fields,) = [record.fields for record in caplog.records if record.message == "association ended"]
    assert (fields["how"], fields["detail"]) == (
        "protocol violation", "TLS hello on a port without TLS (dicom.tls)",
    )  # fmt: skip
