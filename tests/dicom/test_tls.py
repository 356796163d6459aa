"""TLS in front of the acceptor: good peers, silent peers, and peers that speak something else."""

from __future__ import annotations

import asyncio
import logging
import shutil
import ssl
from pathlib import Path
from typing import Any

import pytest

from mwl.dicom.association import Timeouts
from mwl.dicom.verification import VERIFICATION

IMPLICIT = "1.2.840.10008.1.2"


@pytest.fixture
async def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A self-signed certificate and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    key, chain = tmp_path / "key.pem", tmp_path / "certificate.pem"
    process = await asyncio.create_subprocess_exec(
        openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(chain),
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await process.wait() == 0
    return chain, key


@pytest.fixture
def server(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(*certificate)
    return context


@pytest.fixture
def client(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate[0]))


async def test_an_association_runs_under_tls(
    start: Any, server: ssl.SSLContext, client: ssl.SSLContext, request_octets: Any
) -> None:
    """Associate, echo and release as without it."""
    running = await start(tls=server)
    peer = await running.connect(tls=client)
    await peer.associate(request_octets((VERIFICATION, [IMPLICIT])))
    peer.echo()
    statuses = await peer.statuses()
    await peer.release()

    assert statuses == [0]


async def test_p1_a_client_is_known_by_the_name_in_its_certificate(
    start: Any,
    server: ssl.SSLContext,
    client: ssl.SSLContext,
    certificate: tuple[Path, Path],
    request_octets: Any,
) -> None:
    """Where the listener asks for a certificate; without one there is no name."""
    seen: list[str] = []
    server.load_verify_locations(certificate[0])
    server.verify_mode = ssl.CERT_OPTIONAL
    running = await start(tls=server, admit=lambda facts: seen.append(facts.common_name))
    for shows in (False, True):
        if shows:
            client.load_cert_chain(*certificate)
        peer = await running.connect(tls=client)
        await peer.associate(request_octets((VERIFICATION, [IMPLICIT])))
        await peer.release()

    assert seen == ["", "localhost"]


async def test_dcmtk_speaks_tls(
    start: Any, server: ssl.SSLContext, certificate: tuple[Path, Path], dcmtk: Any
) -> None:
    """`echoscu` with TLS is answered."""
    running = await start(tls=server)
    code, output = await dcmtk(
        "echoscu", "-v", "+tla", "+cf", str(certificate[0]), "127.0.0.1", str(running.port)
    )

    assert code == 0, output
    assert "Received Echo Response (Success)" in output


async def test_silent_tls_clients_delay_nobody(
    start: Any, server: ssl.SSLContext, client: ssl.SSLContext, request_octets: Any
) -> None:
    """A peer is served while others have connected and say nothing (stack 2.1)."""
    running = await start(tls=server)
    silent = [await running.connect() for _ in range(20)]
    peer = await running.connect(tls=client)
    await peer.associate(request_octets((VERIFICATION, [IMPLICIT])))
    peer.echo()

    assert await peer.statuses() == [0]
    assert not any(quiet.reader.at_eof() for quiet in silent)


async def test_a_handshake_has_a_time_limit(start: Any, server: ssl.SSLContext) -> None:
    """A silent client is closed when it is over."""
    running = await start(tls=server, timeouts=Timeouts(tls_handshake=0.05))
    peer = await running.connect()

    assert await peer.receive() == (0, b"")


@pytest.mark.parametrize("hello", [b"", b"GET / HTTP/1.0\r\n\r\n"], ids=["DICOM", "HTTP"])
async def test_a_plain_client_is_closed_and_logged_once(
    start: Any, server: ssl.SSLContext, request_octets: Any, hello: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """It gets no DICOM from the TLS port (F-A11)."""
    running = await start(tls=server)
    peer = await running.connect()
    peer.send(hello or request_octets((VERIFICATION, [IMPLICIT])))
    await peer.closed()
    await running.acceptor.stop(1)

    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == [
        "TLS handshake failed"
    ]


async def test_an_old_tls_version_is_refused(start: Any, server: ssl.SSLContext) -> None:
    """TLS 1.1 does not get in (F-A10)."""
    running = await start(tls=server)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1

    with pytest.raises(ssl.SSLError):
        await running.connect(tls=old)


async def test_a_stop_ends_handshakes(start: Any, server: ssl.SSLContext) -> None:
    """A peer in the middle of a handshake does not hold a shutdown up."""
    running = await start(tls=server)
    peer = await running.connect()
    await running.acceptor.stop(60)

    assert await peer.receive() == (0, b"")
