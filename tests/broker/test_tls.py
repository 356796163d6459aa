"""From `tls:` in the configuration to a context, or to a problem at its line."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from mwl import config
from mwl.broker.tls import server_context
from mwl.errors import BadDocument


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
