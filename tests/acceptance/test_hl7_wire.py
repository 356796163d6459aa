"""The listener as configured: TLS, limits, silence, rubbish; with peers that are not ours."""

from __future__ import annotations

import json
import random
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from acceptance.hl7_wire import ORDER, Wire, block, changed, connected, text, told

MIB = 1024 * 1024
RUBBISH = 12_000  # messages


def order(n: int, *changes: str) -> str:
    return text(changed(ORDER, *changes), n, f"N{n}")


def certificate(folder: Path, name: str) -> tuple[str, str]:
    """Make a certificate that vouches for itself, and its key."""
    made, key = str(folder / f"{name}.pem"), str(folder / f"{name}.key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", key, "-out", made, "-subj", f"/CN={name}",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return made, key


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wire")


@pytest.fixture(scope="module")
def server(folder: Path) -> tuple[str, str]:
    return certificate(folder, "localhost")


@pytest.fixture(scope="module")
def client(folder: Path) -> tuple[str, str]:
    return certificate(folder, "ris")


def hl7(**more: Any) -> dict[str, Any]:
    return {"listen": "127.0.0.1:0", **more}


@pytest.fixture(scope="module")
def secured(folder: Path, serving: Callable[..., Any], server: tuple[str, str]) -> Iterator[Any]:
    """TLS: the broker shows its certificate and asks for none."""
    (folder / "secured").mkdir()
    tls = {"certificate": server[0], "key": server[1]}
    with serving(folder / "secured", systems={"any": {}}, hl7=hl7(tls=tls)) as running:
        yield running


@pytest.fixture(scope="module")
def mutual(
    folder: Path, serving: Callable[..., Any], server: tuple[str, str], client: tuple[str, str]
) -> Iterator[Any]:
    """Mutual TLS: it asks for a certificate, and knows one client's."""
    (folder / "mutual").mkdir()
    tls = {"certificate": server[0], "key": server[1], "clients": client[0]}
    with serving(folder / "mutual", systems={"any": {}}, hl7=hl7(tls=tls)) as running:
        yield running


@pytest.fixture(scope="module")
def limited(folder: Path, serving: Callable[..., Any]) -> Iterator[Any]:
    """Small limits, so that they are met soon."""
    (folder / "limited").mkdir()
    limits = {"connections": 3, "idle": 1.0, "silence": 0.5, "frame": 8192}
    with serving(folder / "limited", systems={"any": {}}, hl7=hl7(limits=limits)) as running:
        yield running


# ── TLS ──


def s_client(broker: Any, message: str, *options: str) -> subprocess.CompletedProcess[bytes]:
    """Send a message with ``openssl s_client``; its output ends with the answer, where there is one."""
    host, port = broker.addresses["hl7"]
    command = [
        "openssl",
        "s_client",
        "-quiet",
        "-connect",
        f"{host}:{port}",
        "-servername",
        "localhost",
        *options,
    ]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            process.stdin.write(block(message))
            process.stdin.flush()
        except BrokenPipeError:
            pass
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        output = b""
        while not output.endswith(b"\x1c\r") and (more := process.stdout.read(1)):
            output += more
        process.terminate()
        errors = process.stderr.read()
        process.wait(30)
        watchdog.cancel()
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_speaks_tls_with_the_broker(secured: Any, server: tuple[str, str], version: str) -> None:
    """1.2 and 1.3; the certificate is verified (E-01)."""
    done = s_client(secured, order(100), "-CAfile", server[0], "-verify_return_error", version)

    assert told(done.stdout.strip(b"\x0b\x1c\r")) == ("AA", "N100"), done.stderr


@pytest.mark.parametrize(
    "options",
    [
        ("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"),
        ("-tls1_2", "-cipher", "AES128-SHA:AES256-SHA:@SECLEVEL=0"),
    ],
    ids=["an old version", "an old cipher"],
)
def test_what_tls_gave_up_is_refused(secured: Any, server: tuple[str, str], options: tuple[str, ...]) -> None:
    """No downgrade (PS3.15 B.12, E-01)."""
    done = s_client(secured, order(110), "-CAfile", server[0], *options)

    assert done.stdout == b""
    assert done.returncode != 0


def test_a_client_that_shows_a_known_certificate_is_served(
    mutual: Any, server: tuple[str, str], client: tuple[str, str]
) -> None:
    """Mutual TLS as ATNA has it (E-03): openssl, then Python's ssl."""
    done = s_client(mutual, order(120), "-CAfile", server[0], "-cert", client[0], "-key", client[1])
    known = ssl.create_default_context(cafile=server[0])
    known.load_cert_chain(*client)
    with connected(mutual, known) as wire:
        answer = wire.ask(order(121))

    assert told(done.stdout.strip(b"\x0b\x1c\r")) == ("AA", "N120"), done.stderr
    assert told(answer) == ("AA", "N121")


@pytest.mark.parametrize("shown", ["none", "a stranger's"])
def test_a_client_without_a_known_certificate_is_not_read(
    mutual: Any, server: tuple[str, str], shown: str
) -> None:
    """Nothing it sends is taken in; the log says why."""
    context = ssl.create_default_context(cafile=server[0])
    if shown != "none":
        context.load_cert_chain(*server)  # good for the broker, which is not a client it knows
    n = 130 + len(shown)

    with pytest.raises((OSError, AssertionError)), connected(mutual, context) as wire:  # noqa: PT012 - TLS 1.3 refuses late
        wire.send(order(n))
        wire.answer()

    assert f"ACC{n}" not in mutual.run("steps", "list", "--json").stdout
    assert any(event["event"] == "TLS handshake failed" for event in mutual.events)


def test_a_plain_client_gets_nothing_from_a_tls_listener(secured: Any) -> None:
    """There is no way round the handshake."""
    with connected(secured) as wire:
        wire.send(order(140))

        data = b""
        while more := _received(wire):
            data += more

    assert b"MSA" not in data  # a TLS alert at most


def _received(wire: Wire) -> bytes:
    try:
        return wire.socket.recv(65536)
    except ConnectionError:
        return b""


def test_silent_tls_clients_delay_nobody(secured: Any, server: tuple[str, str]) -> None:
    """Twenty connect and say nothing, or half of a greeting; the next one is served at once."""
    trusting = ssl.create_default_context(cafile=server[0])
    with ExitStack() as stack:
        silent = [stack.enter_context(connected(secured)) for _ in range(20)]
        for wire in silent[10:]:
            wire.raw(b"\x16\x03\x01")
        with connected(secured, trusting) as wire:
            answer = wire.ask(order(150))

        assert told(answer) == ("AA", "N150")
        for each in silent:  # none of them has been let go meanwhile: nobody waited for their time limit
            each.socket.setblocking(False)
            with pytest.raises(BlockingIOError):
                each.socket.recv(1)


# ── limits ──


def test_a_connection_above_the_limit_is_closed_and_a_place_is_given_again(limited: Any) -> None:
    """The others are not disturbed."""
    with ExitStack() as stack:
        first, *others = [stack.enter_context(connected(limited)) for _ in range(3)]
        assert [told(wire.ask(order(200 + at))) for at, wire in enumerate([first, *others])] == [
            ("AA", f"N{200 + at}") for at in range(3)
        ]
        with connected(limited) as fourth:
            assert fourth.closed()
        assert told(first.ask(order(203))) == ("AA", "N203")
    for attempt in range(50):  # its end reaches the broker a moment after it is ours
        with connected(limited) as again:
            try:
                assert told(again.ask(order(210 + attempt))) == ("AA", f"N{210 + attempt}")
            except (AssertionError, ConnectionError):
                continue
            break
    else:
        pytest.fail("no place was given again")


def test_a_connection_may_be_silent_as_long_as_it_is_allowed_to(limited: Any) -> None:
    """Inside a message for `silence`, between messages for `idle` seconds."""
    with connected(limited) as stuck, connected(limited) as idle:
        assert told(idle.ask(order(300))) == ("AA", "N300")
        stuck.raw(b"\x0bMSH|^~\\&|half")

        assert stuck.closed()
        assert idle.closed()
    reasons = [event["event"] for event in limited.events]
    assert "message never ended" in reasons


def test_a_message_above_the_configured_size_is_refused(limited: Any) -> None:
    """To its sender, under its number; the next one is taken."""
    with connected(limited) as wire:
        wire.send(order(310) + "ZBG|" + "x" * 10_000, order(311))

        assert told(wire.answer()) == ("AR", "N310")
        assert told(wire.answer()) == ("AA", "N311")


def test_a_sender_that_does_not_read_holds_up_only_itself(limited: Any) -> None:
    """Its answers fill its own buffers; others are served, and it is let go."""
    with connected(limited) as deaf, connected(limited) as other:
        deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.socket.settimeout(0.2)
        sent = 0
        try:
            while sent < 50 * MIB:
                sent += deaf.socket.send(block("X" * 100) * 100)
        except OSError:  # its own buffers are full, or it was let go
            pass

        assert sent < 50 * MIB
        assert told(other.ask(order(320))) == ("AA", "N320")


# ── rubbish ──


def _rubbish(numbers: random.Random, n: int) -> bytes:
    """Return a block of one of many kinds of nonsense; every one is answered."""
    noise = numbers.randbytes(numbers.randrange(1, 1500)).replace(b"\x0b", b"x").replace(b"\x1c", b"y")
    kinds = (
        b"x" + noise,
        b"MSH|^~\\&|" + noise,
        b"MSH|^~\\&|RIS%d|HOSP|||2026||ORM^O01|R%d|P|2.3\r" % (n, n) + noise,
        b"MSH|^~\\&|RIS|HOSP|||2026||Z%02d^Z99|R%d|P|2.5\rPID|1||" % (n % 100, n) + noise,
        b"MSH|^~\\&|RIS|HOSP|||2026||ORM^O01|R%d|P|2.5||||||8859/1\rPID|1||P\rORC|NW\rOBX|" % n + noise,
        b"BHS|^~\\&|RIS\r" + b"MSH|^~\\&|RIS\r" * 5 + b"BTS|4\r",
        order(n).encode()[: numbers.randrange(3, 150)],
    )
    return block(kinds[n % len(kinds)].replace(b"\rMSA", b"\rXXX"))


def _resident(broker: Any) -> int:
    """Return the octets a broker's process has in memory."""
    status = Path(f"/proc/{broker.process.pid}/status").read_text("ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the size of a process is read from /proc")
@pytest.mark.timeout(600)
def test_rubbish_leaves_memory_and_disk_bounded(folder: Path, serving: Callable[..., Any]) -> None:
    """After 3,000 messages of rubbish 9,000 more cost next to nothing, and an order is taken as before."""
    (folder / "rubbish").mkdir()
    numbers = random.Random(7)
    with (
        serving(
            folder / "rubbish",
            systems={"RIS": {"application": "RIS"}},
            retention={"unknown": "1 MiB", "refused": "1 MiB"},
        ) as broker,
        connected(broker) as wire,
    ):
        sizes = []
        for begin in range(0, RUBBISH, 100):
            pieces = [_rubbish(numbers, n) for n in range(begin, begin + 100)]
            wire.raw(b"between\r\n".join(pieces))
            for _ in pieces:
                wire.answer()
            if begin % 3000 == 2900:
                sizes.append(_resident(broker))
        answer = wire.ask(order(400))
        stored = sum(file.stat().st_size for file in broker.folder.glob("mwl.db*"))

        assert told(answer) == ("AA", "N400")
        assert sizes[-1] - sizes[0] < 16 * MIB, sizes
        assert stored < 32 * MIB
        (only,) = json.loads(broker.run("steps", "list", "--json").stdout)
        assert only["procedure"]["00080050"]["Value"] == ["ACC400"]
