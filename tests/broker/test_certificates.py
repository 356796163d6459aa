"""The end of a certificate is read from its file, whatever else the file holds."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from mwl.broker import certificates, tls
from mwl.config import load


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two certificates, one that ends in this century's time format and one behind 2049."""
    if shutil.which("openssl") is None:
        if os.environ.get("MWL_REQUIRE_PEERS") == "1":
            pytest.fail("openssl is required")
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("certificates")
    for name, days in (("soon", "30"), ("late", "15000")):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", days, "-subj", "/CN=mwl",
             "-keyout", f"{name}.key", "-out", f"{name}.pem"],
            cwd=folder, check=True, capture_output=True, timeout=60,
        )  # fmt: skip
    return folder


def said(path: Path) -> dt.datetime:
    """Return the end as openssl tells it."""
    command = ["openssl", "x509", "-enddate", "-noout", "-in", str(path)]
    written = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    return dt.datetime.fromtimestamp(ssl.cert_time_to_seconds(written.strip().partition("=")[2]), dt.UTC)


def test_the_end_is_that_which_openssl_tells(made: Path) -> None:
    """Before 2050 and after it, which DER writes in two ways."""
    found = certificates.ends({name: made / f"{name}.pem" for name in ("soon", "late")})

    assert found == {name: said(made / f"{name}.pem") for name in ("soon", "late")}
    assert found["late"].year > 2049


def test_of_a_chain_the_first_counts(made: Path, tmp_path: Path) -> None:
    """It is the broker's own; a key before it does not matter."""
    parts = [(made / name).read_text() for name in ("soon.key", "soon.pem", "late.pem")]
    (tmp_path / "chain.pem").write_text("".join(parts))

    assert certificates.ends({"x": tmp_path / "chain.pem"}) == {"x": said(made / "soon.pem")}


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    """Others still have their figure."""
    (tmp_path / "empty.pem").write_text("")
    (tmp_path / "rubbish.pem").write_text("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n")

    files = {name: tmp_path / name for name in ("empty.pem", "rubbish.pem", "none.pem")}
    assert certificates.ends(files) == {}


def test_all_certificates_of_a_configuration_are_looked_at(tmp_path: Path) -> None:
    """Those of listeners, and those for peers."""
    own = "certificate: own.pem, key: own.key"
    (tmp_path / "mwl.yaml").write_text(
        f"hl7: {{tls: {{{own}}}}}\n"
        f"systems: {{RIS: {{application: RIS, status: {{to: 'ris:1', tls: {{{own}}}}}}}}}\n"
        "forward: {PACS: {ae_title: PACS, to: 'pacs:104', tls: {}}}\n"
    )

    found = tls.own(load(tmp_path / "mwl.yaml", {}))

    assert found.keys() == {"hl7.tls", "systems.RIS"}
