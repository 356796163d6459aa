"""A foreign collector and a foreign judge: rsyslog takes audit messages over TLS, xmllint holds them against
the standard's schema.  Nothing here is of the broker's code.
"""

from __future__ import annotations

import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from foreign.dicom.presence import program
from foreign.hl7.receivers import free_port

SCHEMA = Path(__file__).parent.parent / "audit" / "ps3_15_a5.rng"
PATIENCE = 60.0  # seconds; for a machine that is busy with other tests

_CONFIGURATION = """
global(workDirectory="{folder}" maxMessageSize="256k" parser.escapeControlCharactersOnReceive="off"
       defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile="{certificate}"
       defaultNetstreamDriverCertFile="{certificate}" defaultNetstreamDriverKeyFile="{key}")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
module(load="imudp")
template(name="fields" type="list") {{
  property(name="pri") constant(value=" ") property(name="protocol-version") constant(value=" ")
  property(name="timestamp" dateFormat="rfc3339") constant(value=" ") property(name="hostname")
  constant(value=" ") property(name="app-name") constant(value=" ") property(name="procid")
  constant(value=" ") property(name="msgid") constant(value=" ") property(name="structured-data")
  constant(value=" ") property(name="msg") constant(value="\\n")
}}
ruleset(name="audit") {{ action(type="omfile" file="/dev/stdout" template="fields") }}
input(type="{input}" port="{port}" address="127.0.0.1" ruleset="audit")
"""
_LINE = re.compile(
    r"<?(?P<priority>\d+)>? (?P<version>\d+) (?P<time>\S+) (?P<host>\S+) (?P<application>\S+) (?P<process>\S+) "
    r"(?P<kind>\S+) (?P<data>\S+) (?P<message>.*)"
)


@dataclass(frozen=True)
class Received:
    """One message as rsyslog has parsed it."""

    priority: str
    application: str
    process: str
    kind: str
    document: str

    @property
    def tree(self) -> ET.Element:
        return ET.fromstring(self.document.encode())

    @property
    def event(self) -> tuple[str, str, str, tuple[str, ...]]:
        """EventID, action, outcome, types."""
        found = self.tree.find("EventIdentification")
        assert found is not None
        types = tuple(each.attrib["csd-code"] for each in found.findall("EventTypeCode"))
        code = found.find("EventID")
        assert code is not None
        return (
            code.attrib["csd-code"], found.attrib["EventActionCode"], found.attrib["EventOutcomeIndicator"], types,
        )  # fmt: skip

    @property
    def objects(self) -> list[str]:
        """Participant Object IDs."""
        found = self.tree.findall("ParticipantObjectIdentification")
        return [each.attrib["ParticipantObjectID"] for each in found]


class Rsyslog:
    """A collector that may be stopped and started again, on the same port."""

    def __init__(self, folder: Path, certificate: tuple[Path, Path], transport: str = "tls") -> None:
        self._program = program("rsyslogd", "Debian: rsyslog rsyslog-gnutls")
        self._folder, self._certificate, self._transport = folder, certificate, transport
        self.port = free_port()
        self._process: subprocess.Popen[str] | None = None
        self._heard = threading.Condition()
        self._received: list[Received] = []

    def start(self) -> None:
        """Start it, and wait until it listens."""
        made, key = self._certificate
        file = self._folder / "rsyslog.conf"
        file.write_text(
            _CONFIGURATION.format(
                folder=self._folder, certificate=made, key=key, port=self.port,
                input="imtcp" if self._transport == "tls" else "imudp",
            )
        )  # fmt: skip
        with (self._folder / "rsyslog.err").open("a") as errors:
            self._process = subprocess.Popen(
                [self._program, "-n", "-iNONE", "-f", str(file)],
                stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8",
            )  # fmt: skip
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        self._await_door(self._process)

    def _await_door(self, process: subprocess.Popen[str]) -> None:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and process.poll() is None:
            if self._listens():
                return
            time.sleep(0.02)  # it says nothing when it is ready
        pytest.fail("rsyslog does not listen:\n" + (self._folder / "rsyslog.err").read_text())

    def _listens(self) -> bool:
        kind = socket.SOCK_STREAM if self._transport == "tls" else socket.SOCK_DGRAM
        with socket.socket(type=kind) as trial:
            if kind is socket.SOCK_STREAM:  # what an earlier one has closed is no listener
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", self.port))
            except OSError:
                return True
        return False

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            found = _parsed(line.rstrip("\n"))
            with self._heard:
                self._received.append(found)
                self._heard.notify_all()

    def stop(self) -> None:
        """End it, and hear what it had to say."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(PATIENCE)
            self._reader.join(PATIENCE)
            assert process.stdout is not None
            process.stdout.close()

    def received(self) -> list[Received]:
        """Return what it has received, in order."""
        with self._heard:
            return list(self._received)

    def until(self, enough: Callable[[list[Received]], bool]) -> list[Received]:
        """Wait until it has received *enough*; return all."""
        with self._heard:
            came = self._heard.wait_for(lambda: enough(self._received), PATIENCE)
            found = list(self._received)
        assert came, [each.event for each in found]
        return found


def _parsed(line: str) -> Received:
    match = _LINE.fullmatch(line.replace("\ufeff", ""))
    assert match, line
    assert match["version"] == "1", line
    return Received(
        match["priority"], match["application"], match["process"], match["kind"], match["message"]
    )


@contextmanager
def collecting(folder: Path, certificate: tuple[Path, Path], transport: str = "tls") -> Iterator[Rsyslog]:
    """Have a collector listen."""
    collector = Rsyslog(folder, certificate, transport)
    collector.start()
    try:
        yield collector
    finally:
        collector.stop()


def judged(documents: list[str], folder: Path) -> str:
    """Return what xmllint says of documents that are not valid; "" where all are."""
    judge = program("xmllint", "Debian: libxml2-utils")
    files = []
    for number, document in enumerate(documents):
        files.append(folder / f"audit{number}.xml")
        files[-1].write_text(document, "utf-8")
    done = subprocess.run(
        [judge, "--noout", "--relaxng", str(SCHEMA), *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else done.stderr
