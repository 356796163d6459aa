"""C-ECHO, asked by foreign peers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mwl.dicom.verification import VERIFICATION


@pytest.mark.parametrize(
    "options",
    [(), ("-pts", "38"), ("-ppc", "128"), ("-pdu", "4096"), ("-pdu", "131072"), ("--repeat", "5")],
    ids=" ".join,
)
async def test_dcmtk_is_answered(start: Any, dcmtk: Any, options: tuple[str, ...]) -> None:
    """`echoscu` succeeds with few and many transfer syntaxes and contexts, small and large PDUs."""
    running = await start()
    code, output = await dcmtk("echoscu", "-v", *options, "127.0.0.1", str(running.port))

    assert code == 0, output
    assert "Received Echo Response (Success)" in output
    assert "Releasing Association" in output


async def test_dcmtk_may_abort_instead_of_releasing(start: Any, dcmtk: Any) -> None:
    """An abort after the answer is as good an end."""
    running = await start()
    code, output = await dcmtk("echoscu", "-v", "--abort", "127.0.0.1", str(running.port))

    assert code == 0, output


async def test_pynetdicom_is_answered(start: Any, scu: Any) -> None:
    """Its SCU gets status 0 and is released."""
    running = await start()
    scu.add_requested_context(VERIFICATION)

    def ask() -> tuple[int, bool]:
        association = scu.associate("127.0.0.1", running.port, ae_title="MWL")
        code = association.send_c_echo().Status
        association.release()
        return code, association.is_released

    assert await asyncio.to_thread(ask) == (0, True)


async def test_an_echo_without_message_id_is_answered(start: Any, request_octets: Any) -> None:
    """As message 1 (F52)."""
    peer = await (await start()).associated(request_octets((VERIFICATION, ["1.2.840.10008.1.2"])))
    peer.echo(None)
    command, _ = await peer.response()

    assert (command.field, command.message_id_responded_to, command.get(0x900)) == (0x8030, 1, 0)
