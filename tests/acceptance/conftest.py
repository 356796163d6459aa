"""The real broker as a process of its own, and clients that are not ours.

A foreign peer that is missing skips its tests with the reason; with ``MWL_REQUIRE_PEERS=1`` they fail.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

STARTED_WITHIN = 60.0  # seconds; two cores that also run other tests
CONFIGURATION: Mapping[str, Any] = {
    "site": {"name": "HOSP", "timezone": "Europe/Berlin"},
    "dicom": {"ae_title": "MWL", "listen": "127.0.0.1:0"},
    "hl7": {"listen": "127.0.0.1:0"},
    "web": {"listen": "127.0.0.1:0"},
    "devices": {"CT1": {"profile": "ge-ct-connectpro"}, "US1": {"profile": "generic"}},
    "systems": {"RIS": {"application": "RIS", "facility": "HOSP"}},
}


class Broker:
    """A `mwl serve` process; its log lines are kept."""

    def __init__(self, folder: Path, configuration: Mapping[str, Any]) -> None:
        self.folder = folder
        self.events: list[dict[str, Any]] = []
        self.raw_log: list[str] = []
        self.addresses: dict[str, tuple[str, int]] = {}
        self._ready = threading.Event()
        self._heard = threading.Condition()
        self.configure(configuration)
        self.start()

    def configure(self, configuration: Mapping[str, Any]) -> None:
        """Write the configuration file that the next start, or SIGHUP, reads."""
        settings = {"database": f"sqlite:///{self.folder / 'mwl.db'}", **configuration}
        (self.folder / "mwl.yaml").write_text(yaml.safe_dump(settings, allow_unicode=True), "utf-8")

    def start(self) -> None:
        """Start the process and wait until every listener accepts."""
        self._ready.clear()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MWL_")}
        command = [sys.executable, "-m", "mwl", "serve", "--config", str(self.folder / "mwl.yaml")]
        self.process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()
        if not self._ready.wait(STARTED_WITHIN) or self.process.poll() is not None:
            self.kill()
            pytest.fail("the broker did not become ready:\n" + "".join(self.raw_log[-40:]))

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self.raw_log.append(line)
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                with self._heard:
                    self.events.append(event)
                    self._heard.notify_all()
                if event["event"] == "ready":
                    self.addresses = {name: _address(event[name]) for name in ("dicom", "hl7", "web")}
                    self._ready.set()
        self._ready.set()  # an end without ready is noticed by start

    def until(self, name: str, since: int = 0) -> dict[str, Any]:
        """Wait for a log event of this name behind the first *since* ones, and return it."""

        def heard() -> dict[str, Any] | None:
            return next((each for each in self.events[since:] if each["event"] == name), None)

        with self._heard:
            found = self._heard.wait_for(heard, STARTED_WITHIN)
        assert found is not None, f"no event {name!r}:\n" + "".join(self.raw_log[-40:])
        return found

    def reload(self) -> None:
        """Have the broker read its files again, and wait until it has."""
        since = len(self.events)
        self.process.send_signal(signal.SIGHUP)
        self.until("reloaded", since)

    def stop(self) -> int:
        """End the process by SIGTERM; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        self._close()
        return code

    def kill(self) -> None:
        """End the process by SIGKILL."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)
        self._close()

    def _close(self) -> None:
        self._reader.join(10)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def run(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run another `mwl` command with this broker's configuration and bound addresses."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MWL_")}
        environment["MWL_CONFIG"] = str(self.folder / "mwl.yaml")
        environment.update(
            {f"MWL_{name.upper()}__LISTEN": f"{h}:{p}" for name, (h, p) in self.addresses.items()}
        )
        return subprocess.run(
            [sys.executable, "-m", "mwl", *arguments], capture_output=True, text=True, timeout=timeout,
            env=environment, cwd=self.folder, check=False,
        )  # fmt: skip


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


@pytest.fixture(scope="session")
def serving() -> Callable[..., contextlib.AbstractContextManager[Broker]]:
    """Make a broker that many tests share: ``with serving(folder, devices=...) as broker``."""

    @contextlib.contextmanager
    def serve(folder: Path, **changes: Any) -> Iterator[Broker]:
        broker = Broker(folder, {**CONFIGURATION, **changes})
        try:
            yield broker
        finally:
            if broker.process.poll() is None:
                broker.kill()

    return serve


@pytest.fixture
def start_broker(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    """Start brokers, each with its own folder; what still runs at the end is stopped."""
    running: list[Broker] = []

    def start(**changes: Any) -> Broker:
        folder = tmp_path / f"broker{len(running)}"
        folder.mkdir()
        running.append(Broker(folder, {**CONFIGURATION, **changes}))
        return running[-1]

    yield start
    for broker in running:
        if broker.process.poll() is None:
            broker.kill()


@pytest.fixture
def broker(start_broker: Callable[..., Broker]) -> Broker:
    """A broker with the configuration above."""
    return start_broker()


def require(program: str) -> str:
    """Return the path of a foreign program; skip, or fail where peers are required."""
    if found := shutil.which(program):
        return found
    if os.environ.get("MWL_REQUIRE_PEERS") == "1":
        pytest.fail(f"{program} is required and not installed (Debian: dcmtk)")
    pytest.skip(f"{program} is not installed (Debian: dcmtk)")


@pytest.fixture
def foreign() -> Callable[[str], str]:
    """Find a program that is not ours, or skip, or fail."""
    return require


@pytest.fixture
def findscu() -> Callable[..., list[str]]:
    """Query with DCMTK's findscu; returns its lines of output, one response's dump after the other."""
    program = require("findscu")

    def query(broker: Broker, calling: str, *keys: str, options: tuple[str, ...] = ()) -> list[str]:
        host, port = broker.addresses["dicom"]
        arguments = [part for key in keys for part in ("-k", key)]
        command = [program, "-v", "-W", "-aet", calling, "-aec", "MWL", *options, *arguments, host, str(port)]
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
        output = (done.stdout + done.stderr).decode("utf-8", "surrogateescape")
        assert done.returncode == 0, output
        return output.splitlines()

    return query


@pytest.fixture
def mllp_send() -> Callable[[Broker, str | bytes], str]:
    """Send one message with python-hl7's client, which is not ours; returns the acknowledgement."""
    from hl7.client import MLLPClient

    def send(broker: Broker, message: str | bytes) -> str:
        host, port = broker.addresses["hl7"]
        raw = message.encode("utf-8") if isinstance(message, str) else message
        with MLLPClient(host, port) as client:
            client.socket.settimeout(30)
            answer = client.send(b"\x0b" + raw.replace(b"\n", b"\r") + b"\x1c\x0d")
        return answer.decode("utf-8").strip("\x0b\x1c\r")

    return send


class Ris:
    """The receiving side of a RIS on python-hl7's server, which is not ours."""

    def __init__(self) -> None:
        self.port = 0
        self.told: asyncio.Queue[str] = asyncio.Queue()
        self.answer = "AA"
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        """Listen, on the port of the first time."""
        from hl7.mllp import start_hl7_server

        self._server = await start_hl7_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: Any, writer: Any) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while not writer.is_closing():
                message = await reader.readmessage()
                await self.told.put(str(message))
                writer.writemessage(message.create_ack(self.answer))
                await writer.drain()
        writer.close()

    def deaf(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    async def next(self) -> dict[str, list[str]]:
        """Return the next message it was told: the fields of each segment, by name."""
        async with asyncio.timeout(60):
            message = await self.told.get()
        lines = [line.split("|") for line in message.replace("\r", "\n").splitlines() if line]
        return {line[0]: line for line in lines}


@pytest.fixture
async def ris() -> AsyncIterator[Ris]:
    """A RIS that listens for status messages."""
    system = Ris()
    await system.listen()
    yield system
    system.deaf()


@pytest.fixture(scope="session")
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
