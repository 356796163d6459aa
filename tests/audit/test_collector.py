"""Messages reach a collector that is not ours; what may not have arrived is said."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from foreign.audit import Rsyslog, collecting
from foreign.hl7.receivers import free_port
from mwl.audit.collector import Address, Collector
from mwl.audit.syslog import framed
from mwl.errors import Unavailable

HEADER = b"<85>1 2026-07-05T07:00:00.123456Z broker1 mwl 4711 DICOM+RFC3881 - \xef\xbb\xbf"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    made, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", key, "-out", made, "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return made, key


def context(authority: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority))


@contextmanager
def sending(address: Address, patience: float = 20.0) -> Iterator[Collector]:
    collector = Collector(address, patience)
    yield collector
    collector.close()


def said(collector: Rsyslog, number: int) -> list[str]:
    found = collector.until(lambda received: len(received) >= number)
    return [each.document for each in found]


def test_rsyslog_takes_messages_over_tls_in_their_order(tmp_path: Path, certificate: tuple[Path, Path]):
    """Small ones and one of 100 KiB, with letters of all kinds, on one connection."""
    wanted = ["<a/>", "ü胸部" * 10_000, "<b/>"]
    with collecting(tmp_path, certificate) as collector:
        with sending(Address("localhost", collector.port, context(certificate[0]))) as sender:
            sender.send([HEADER + each.encode() for each in wanted[:2]])
            sender.send([HEADER + wanted[2].encode()])

        found = said(collector, 3)

    assert found == wanted


def test_a_collector_that_was_restarted_is_connected_to_anew(tmp_path: Path, certificate: tuple[Path, Path]):
    """What it closed while nothing was sent is noticed before the next message is."""
    with collecting(tmp_path, certificate) as collector:
        address = Address("localhost", collector.port, context(certificate[0]))
        with sending(address) as sender:
            sender.send([HEADER + b"before"])
            collector.stop()
            collector.start()
            sender.send([HEADER + b"after"])

        found = said(collector, 2)

    assert found == ["before", "after"]


def test_datagrams_carry_one_message_each(tmp_path: Path, certificate: tuple[Path, Path]):
    """RFC 5426."""
    with collecting(tmp_path, certificate, "udp") as collector:
        with sending(Address("127.0.0.1", collector.port)) as sender:
            sender.send([HEADER + b"first", HEADER + b"second"])

        found = said(collector, 2)

    assert found == ["first", "second"]


def test_a_certificate_of_somebody_else_is_not_accepted(tmp_path: Path, certificate: tuple[Path, Path]):
    """Nothing is told to a collector that cannot prove who it is (RFC 5425 4.2)."""
    with collecting(tmp_path, certificate) as collector:
        strangers = Address("localhost", collector.port, ssl.create_default_context())
        other_name = Address("localhost", collector.port, context(certificate[0]), "collector.example")
        for address in (strangers, other_name):
            with (
                sending(address) as sender,
                pytest.raises(Unavailable, match="its certificate is not accepted"),
            ):
                sender.send([HEADER + b"secret"])

        assert collector.received() == []


def test_nobody_there_is_told():
    """A refused connection is the collector's absence, not a defect."""
    nowhere = Address("127.0.0.1", free_port(), ssl.create_default_context())

    with sending(nowhere) as sender, pytest.raises(Unavailable, match="refused"):
        sender.send([HEADER])


class Peer:
    """The other end of one TLS connection: it does as the test says."""

    def __init__(self, certificate: tuple[Path, Path]) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*certificate)
        self._door = socket.create_server(("127.0.0.1", 0))
        self._door.settimeout(20)
        self.port = self._door.getsockname()[1]
        self.read = threading.Event()
        self.heard = b""
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        plain, _ = self._door.accept()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.settimeout(20)
        with self._context.wrap_socket(plain, server_side=True) as line:
            self.read.wait(20)
            while octets := line.recv(65536):
                self.heard += octets

    def end(self) -> None:
        self.read.set()
        self._thread.join(20)
        self._door.close()


def test_what_the_peers_kernel_has_not_taken_is_not_sent(certificate: tuple[Path, Path]):
    """A collector that does not read: what it may never see stays with the broker."""
    peer = Peer(certificate)
    address = Address("localhost", peer.port, context(certificate[0]))
    with sending(address, 0.5) as sender, pytest.raises(Unavailable):
        sender.send([bytes(16 << 20)])
    peer.end()

    assert len(peer.heard) < 16 << 20


def test_what_was_sent_is_what_the_peer_reads(certificate: tuple[Path, Path]):
    """Every octet, framed, once `send` has returned and the peer reads on."""
    peer, messages = Peer(certificate), [b"x" * 100_000, b"y"]
    peer.read.set()
    with sending(Address("localhost", peer.port, context(certificate[0]))) as sender:
        sender.send(messages)
    peer.end()

    assert peer.heard == framed(messages)
