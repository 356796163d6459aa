"""From `tls:` in the configuration to a context, or to a problem at its line."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from mwl import config
from mwl.broker import systems
from mwl.broker.tls import server_context
from mwl.errors import BadDocument, Unavailable
from mwl.hl7.destination import Destination
from mwl.hl7.sender import Connection
from mwl.mapping.systems.system import SystemProfile, load_systems


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate, its key, the key under a passphrase, and another key."""
    if shutil.which("openssl") is None:
        if os.environ.get("MWL_REQUIRE_PEERS") == "1":
            pytest.fail("openssl is required")
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("pem")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)

    new = (
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-subj",
        "/CN=localhost",
        "-days",
        "2",
    )
    openssl("req", "-x509", *new, "-keyout", "key.pem", "-out", "cert.pem")
    openssl("req", "-x509", *new, "-keyout", "other.pem", "-out", "unused.pem")
    openssl("ec", "-in", "key.pem", "-aes128", "-passout", "pass:secret", "-out", "locked.pem")
    return folder


def configured(tmp_path: Path, tls: str) -> config.Configuration:
    """Return a configuration with this `tls:` on the DICOM side."""
    path = tmp_path / "mwl.yaml"
    path.write_text(f"dicom:\n  tls:\n{tls}")
    return config.load(path, {})


def test_without_tls_there_is_no_context():
    """Plain is the default."""
    assert server_context(config.Configuration(), "dicom") is None


def test_a_certificate_and_its_key_make_a_context(pem, tmp_path):
    """E-01: nothing below TLS 1.2, forward secrecy, no compression; no certificate is asked for."""
    context = server_context(
        configured(tmp_path, f"    certificate: {pem}/cert.pem\n    key: {pem}/key.pem\n"), "dicom"
    )

    assert context is not None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.verify_mode is ssl.CERT_NONE
    assert {cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] == "TLSv1.2"} >= {
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES256-GCM-SHA384",
    }
    assert not [
        cipher["name"]
        for cipher in context.get_ciphers()
        if "CBC" in cipher["name"] or "SHA1" in cipher["name"]
    ]


def test_authorities_make_a_certificate_of_the_client_required(pem, tmp_path):
    """E-03: mutual authentication is a matter of one key."""
    tls = f"    certificate: {pem}/cert.pem\n    key: {pem}/key.pem\n    clients: {pem}/cert.pem\n"

    context = server_context(configured(tmp_path, tls), "dicom")

    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("certificate", "key", "reason"),
    [
        ("absent.pem", "key.pem", "No such file"),
        ("cert.pem", "other.pem", "KEY_VALUES_MISMATCH"),
        ("cert.pem", "locked.pem", "passphrase"),
        ("key.pem", "key.pem", "not in PEM form"),
    ],
)
def test_files_that_do_not_fit_are_a_problem_at_their_line(pem, tmp_path, certificate, key, reason):
    """A key with a passphrase never asks the terminal for it."""
    tls = f"    certificate: {pem}/{certificate}\n    key: {pem}/{key}\n"

    with pytest.raises(BadDocument, match=reason) as caught:
        server_context(configured(tmp_path, tls), "dicom")

    assert str(caught.value).startswith(f"{tmp_path}/mwl.yaml:3:18: error: certificate: cannot be used: ")


# --- connections of ours -------------------------------------------------------------------------


def towards(tmp_path: Path, tls: str, profile: SystemProfile) -> Destination:
    """Return the destination that a configuration with this `status.tls` makes."""
    path = tmp_path / "mwl.yaml"
    path.write_text(f"systems:\n  RIS:\n    status:\n      to: localhost:1\n      tls: {tls}\n")
    (found,) = systems.destinations(config.load(path, {}), {"RIS": profile})
    return found


@pytest.fixture(scope="module")
def generic() -> SystemProfile:
    """The shipped profile."""
    return load_systems([Path(__file__).parents[2] / "mappings"]).bind("generic")


def test_a_peer_is_told_in_the_clear_unless_tls_is_written(tmp_path, generic):
    """Plain is the default."""
    assert towards(tmp_path, "null", generic).tls is None


@pytest.mark.parametrize("tls", ["{}", "{authorities: cert.pem}", "{certificate: cert.pem, key: key.pem}"])
def test_a_peer_has_to_prove_who_it_is(pem, tmp_path, generic, monkeypatch, tls):
    """Whomever it is trusted by: there is no way to trust anybody."""
    monkeypatch.chdir(pem)

    context = towards(tmp_path, tls, generic).tls

    assert context is not None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    if "authorities" in tls:  # and nobody else
        assert [each["subject"] for each in context.get_ca_certs()] == [((("commonName", "localhost"),),)]


async def test_a_certificate_of_an_old_peer_has_its_name_in_the_subject_alone(pem, tmp_path, generic):
    """It is found there, or refused under another name; a certificate of nobody's is always refused."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(pem / "cert.pem", pem / "key.pem")
    other = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    other.load_cert_chain(pem / "unused.pem", pem / "other.pem")

    async def told(context: ssl.SSLContext, tls: str) -> bytes:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\x1c\x0d")
            writer.write(b"\x0bAA\x1c\x0d")

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        destination = towards(tmp_path, tls, generic)
        port = server.sockets[0].getsockname()[1]
        try:
            async with Connection(
                "127.0.0.1", port, tls=destination.tls, name=destination.certificate_name
            ) as connection:
                return await connection.request(b"x")
        finally:
            server.close()

    trusting = f"{{authorities: {pem}/cert.pem, name: NAME}}"
    assert await told(serving, trusting.replace("NAME", "localhost")) == b"AA"
    with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
        await told(serving, trusting.replace("NAME", "ris"))
    with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
        await told(other, trusting.replace("NAME", "localhost"))


@pytest.mark.parametrize(
    ("tls", "place", "reason"),
    [
        ("{authorities: PEM/absent.pem}", "5:26: error: authorities", "No such file"),
        ("{authorities: PEM/key.pem}", "5:26: error: authorities", "NO_CERTIFICATE_OR_CRL_FOUND"),
        ("{certificate: PEM/cert.pem, key: PEM/locked.pem}", "5:26: error: certificate", "passphrase"),
    ],
)
def test_files_of_a_peer_that_do_not_fit_are_a_problem_at_their_line(
    pem, tmp_path, generic, tls, place, reason
):
    """Before anything is told, and before a reload takes anything over."""
    with pytest.raises(BadDocument, match=reason) as caught:
        towards(tmp_path, tls.replace("PEM", str(pem)), generic)

    assert str(caught.value).startswith(f"{tmp_path}/mwl.yaml:{place}: cannot be used: ")
