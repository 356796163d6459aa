"""TLS as foreign clients meet it: DCMTK, OpenSSL, curl's own library; certificates that are renewed."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ORDER = (
    "MSH|^~\\&|RIS|HOSP|MWL|HOSP|20260701120000||ORM^O01|C1|P|2.3.1||||||UNICODE UTF-8\r"
    "PID|1||PID001^^^HOSP||DOE^JANE||19700101|F\r"
    "ORC|NW|PL1^RIS|FI1^RIS||||1^once^^20260705093000^^S|||||||||||CT1\r"
    "OBR|1|PL1^RIS|FI1^RIS|CT01^CT head^L||||||||||||||ACC1|RP1|SPS1||||CT|||1^once^^20260705093000^^S\r"
)
PROFILES = {"+py": "non-downgrading", "+px": "BCP 195", "+pz": "extended"}


class Authority:
    """A certificate authority of our own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate = folder / "ca.pem"
        self._run("req", "-x509", *self._new("ca", "/CN=Hospital CA"), "-out", "ca.pem", "-days", "30")

    def make(self, name: str, common_name: str, *alternative: str) -> tuple[Path, Path]:
        """Return a certificate and its key."""
        self._run("req", *self._new(name, f"/CN={common_name}"), "-out", f"{name}.csr")
        names = ",".join(alternative or ("IP:127.0.0.1", "DNS:localhost"))
        (self.folder / "extensions").write_text(f"subjectAltName={names}\n")
        self._run(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "30", "-extfile", "extensions", "-out", f"{name}.pem",
        )  # fmt: skip
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def _new(self, name: str, subject: str) -> list[str]:
        key = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-keyout",
            f"{name}.key",
        ]
        return [*key, "-subj", subject]

    def _run(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs certificates of brokers and devices."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def secure(serving: Any, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A broker whose listeners all speak TLS; devices show a certificate, and some are bound to theirs."""
    folder = tmp_path_factory.mktemp("secure")
    certificate, key = authority.make("broker", "localhost")
    for source, name in ((certificate, "broker.pem"), (key, "broker.key")):
        shutil.copy(source, folder / name)
    tls = {"certificate": str(folder / "broker.pem"), "key": str(folder / "broker.key")}
    mutual = {**tls, "clients": str(authority.certificate)}
    with serving(
        folder,
        dicom={"ae_title": "MWL", "listen": "127.0.0.1:0", "tls": mutual},
        hl7={"listen": "127.0.0.1:0", "tls": tls, "limits": {"handshake": 1}},
        web={"listen": "127.0.0.1:0", "tls": {**tls, "version": "1.3"}},
        devices={
            "CT1": {"certificate": ["ct1.example.org"]},
            "CT2": {"certificate": ["CT two"]},
            "CT3": {"address": ["127.0.0.2"]},
            "ANY": {},
        },
    ) as broker:
        yield broker


@pytest.fixture
def ask(
    secure: Any, authority: Authority, foreign: Callable[[str], str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Query with DCMTK's findscu under TLS, showing the certificate of CT1."""
    certificate, key = authority.folder / "ct1.pem", authority.folder / "ct1.key"
    if not certificate.exists():
        authority.make("ct1", "CT one", "DNS:ct1.example.org")

    def run(calling: str, *options: str) -> subprocess.CompletedProcess[str]:
        host, port = secure.addresses["dicom"]
        command = [
            foreign("findscu"), "-v", "-W", "-aet", calling, "-aec", "MWL", "+tls", key, certificate,
            "+cf", authority.certificate, *options, "-k", "PatientName", host, str(port),
        ]  # fmt: skip
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    return run


@pytest.mark.parametrize("profile", PROFILES, ids=PROFILES.get)
def test_dcmtk_asks_under_each_bcp_195_profile(ask: Any, profile: str) -> None:
    """PS3.15 B.9 to B.13: what an old profile and a new one have in common is spoken."""
    done = ask("ANY", profile)

    assert done.returncode == 0, done.stderr
    assert "Received Final Find Response (Success)" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("calling", "setting"),
    [("CT1", None), ("CT2", "devices.CT2.certificate"), ("CT3", "devices.CT3.address")],
)
def test_e03_an_ae_title_belongs_to_its_certificate_or_address(
    secure: Any, ask: Any, calling: str, setting: str | None
) -> None:
    """By common or alternative name; who calls with another's title is rejected, and told of with the setting."""
    since = len(secure.events)
    done = ask(calling)

    assert (done.returncode == 0) is (setting is None), done.stderr
    if setting is not None:
        assert "Calling AE Title Not Recognized" in done.stdout + done.stderr
        assert secure.until("association refused", since)["setting"] == setting


def test_a_device_without_a_certificate_is_told_of(secure: Any, authority: Authority, foreign: Any) -> None:
    """Where authorities are named, one that shows none gets no association."""
    since = len(secure.events)
    host, port = secure.addresses["dicom"]
    command = [foreign("echoscu"), "-v", "+tla", "+cf", authority.certificate, host, str(port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode != 0
    assert "CERTIFICATE" in secure.until("TLS handshake failed", since)["reason"]


@pytest.mark.parametrize(("version", "accepted"), [("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)])
def test_openssl_finds_what_bcp_195_allows(
    secure: Any, authority: Authority, version: str, accepted: bool
) -> None:
    """MLLP: 1.2 and 1.3 and nothing older (E-01)."""
    host, port = secure.addresses["hl7"]
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"{host}:{port}", "-CAfile", authority.certificate, version,
         "-verify_return_error", "-brief"],
        input=b"", capture_output=True, timeout=60, check=False,
    )  # fmt: skip

    assert (done.returncode == 0) is accepted, done.stderr


def test_an_order_comes_by_tls_while_another_sender_says_nothing(secure: Any, authority: Authority) -> None:
    """The handshake of the silent one holds up nobody; it is closed in time, counted, and named."""
    since = len(secure.events)
    with socket.create_connection(secure.addresses["hl7"], timeout=60) as silent:
        context = ssl.create_default_context(cafile=authority.certificate)
        with (
            socket.create_connection(secure.addresses["hl7"], timeout=60) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as sender,
        ):
            sender.sendall(b"\x0b" + ORDER.encode() + b"\x1c\r")
            answer = b""
            while not answer.endswith(b"\x1c\r"):
                answer += sender.recv(4096)
        assert b"MSA|AA|C1" in answer
        assert silent.recv(1) == b""
    told = secure.until("TLS handshake failed", since)

    assert (told["limit"], told["setting"]) == ("handshake", "hl7.limits.handshake")
    assert 'mwl_hl7_limits_total{limit="handshake"} 1.0' in page(secure, authority, "/metrics")


def page(broker: Any, authority: Authority, path: str) -> str:
    """Get a page by HTTPS."""
    context = ssl.create_default_context(cafile=authority.certificate)
    host, port = broker.addresses["web"]
    with urllib.request.urlopen(f"https://{host}:{port}{path}", timeout=60, context=context) as answer:
        return str(answer.read().decode())


def test_pages_come_by_https(secure: Any, authority: Authority) -> None:
    """And the listeners that speak TLS prove that they accept."""
    parts = json.loads(page(secure, authority, "/readyz"))["parts"]

    assert parts == {"database": True, "dicom": True, "hl7": True}
    context = ssl.create_default_context(cafile=authority.certificate)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # web.tls.version is 1.3
    host, port = secure.addresses["web"]
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"https://{host}:{port}/healthz", timeout=60, context=context)


def shown(broker: Any, door: str) -> bytes:
    """Return the certificate a listener shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(broker.addresses[door], timeout=60) as plain,
        context.wrap_socket(plain) as under,
    ):
        found = under.getpeercert(binary_form=True)
    assert found is not None
    return found


def test_a_renewed_certificate_is_shown_without_a_restart(secure: Any, authority: Authority) -> None:
    """A change of its files is a reload; a bad one is told of and the old one stays (all doors)."""
    before = {door: shown(secure, door) for door in ("dicom", "hl7", "web")}
    since = len(secure.events)
    (secure.folder / "broker.pem").write_text("no certificate")
    refused = secure.until("not reloaded: the old configuration stays", since)
    meanwhile = {door: shown(secure, door) for door in before}
    certificate, key = authority.make("renewed", "localhost")
    since = len(secure.events)
    shutil.copy(key, secure.folder / "broker.key")
    shutil.copy(certificate, secure.folder / "broker.pem")
    secure.until("reloaded", since)
    after = {door: shown(secure, door) for door in before}

    assert "certificate: cannot be used" in refused["problems"][0]
    assert meanwhile == before
    assert len({*before.values(), *after.values()}) == 2
    assert before.keys() == {door for door in after if after[door] != before[door]}


def test_sighup_reads_a_renewed_certificate_too(secure: Any, authority: Authority) -> None:
    """Without waiting for the files to be looked at."""
    certificate, key = authority.make("again", "localhost")
    shutil.copy(key, secure.folder / "broker.key")
    shutil.copy(certificate, secure.folder / "broker.pem")
    secure.reload()

    assert ssl.DER_cert_to_PEM_cert(shown(secure, "dicom")) == certificate.read_text()


HELLO = "TLS hello on a port without TLS"


def test_a_tls_hello_on_a_plain_port_leaves_one_trace_that_names_the_cause(broker: Any) -> None:
    """A peer that speaks TLS where the broker does not: the line says so, and which setting."""
    for door, name in (("dicom", "association ended"), ("hl7", HELLO), ("web", HELLO)):
        since = len(broker.events)
        host, port = broker.addresses[door]
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"{host}:{port}"], input=b"", capture_output=True, timeout=60,
            check=False,
        )  # fmt: skip
        broker.until(name, since)
        told = [json.dumps(each) for each in broker.events[since:] if each["level"] == "warning"]

        assert done.returncode != 0
        assert len(told) == 1
        assert HELLO in told[0]
        assert f"{door}.tls" in told[0]
