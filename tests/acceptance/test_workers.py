"""`mwl serve --workers`: several processes that are one broker to whoever asks, and a parent over them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from endurance.postgres import Missing, making
from foreign.dicom.presence import missing

ORDER = (
    "MSH|^~\\&|RIS|HOSP|MWL|HOSP|20260701120000||ORM^O01|{0}|P|2.3.1||||||UNICODE UTF-8\n"
    "PID|1||PID{0}^^^HOSP||DOE^JANE||19700101|F\n"
    "ORC|NW|PL{0}^RIS|FI{0}^RIS||||1^once^^20260705093000^^S|||||||||||CT1\n"
    "OBR|1|PL{0}^RIS|FI{0}^RIS|CT01^CT head^L||||||||||||||ACC{0}|RP{0}|SPS{0}||||CT"
    "|||1^once^^20260705093000^^S\n"
)
WITHIN = 60.0  # seconds
WORKERS = 2


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """A database of a PostgreSQL of our own."""
    try:
        with making() as server:
            yield server.make("workers")
    except Missing:
        missing("PostgreSQL", "Debian: postgresql")


class Broker:
    """A `mwl serve --workers` process; its log lines are kept."""

    def __init__(self, folder: Path, database: str, workers: int = WORKERS) -> None:
        self.folder, self.events = folder, list[dict[str, Any]]()
        self._heard = threading.Condition()
        listen = {"listen": "127.0.0.1:0"}
        self.settings: dict[str, Any] = {
            "database": database, "dicom": {"ae_title": "MWL", **listen}, "hl7": listen, "web": listen,
            "devices": {"CT1": {}}, "systems": {"RIS": {"application": "RIS"}},
        }  # fmt: skip
        self.write()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MWL_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mwl", "serve", "--workers", str(workers), "--config", "mwl.yaml"],
            cwd=folder, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def write(self) -> None:
        """Write the configuration."""
        (self.folder / "mwl.yaml").write_text(yaml.safe_dump(self.settings))

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with contextlib.suppress(ValueError), self._heard:
                self.events.append(json.loads(line))
                self._heard.notify_all()
        with self._heard:
            self.events.append({"event": "end"})
            self._heard.notify_all()

    def until(self, name: str, count: int = 1, since: int = 0) -> list[dict[str, Any]]:
        """Wait for so many events of a name."""

        def found() -> list[dict[str, Any]]:
            return [each for each in self.events[since:] if each["event"] == name]

        with self._heard:
            assert self._heard.wait_for(lambda: len(found()) >= count, WITHIN), self.events[-20:]
        return found()

    @property
    def addresses(self) -> dict[str, tuple[str, int]]:
        """Where it listens, from the line that says so."""
        (ready,) = self.until("ready")
        found = {door: ready[door].rpartition(":") for door in ("dicom", "hl7", "web")}
        return {door: (host, int(port)) for door, (host, _, port) in found.items()}

    def page(self, path: str) -> tuple[int, str]:
        """Get a page, whoever answers it."""
        host, port = self.addresses["web"]
        try:
            with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=WITHIN) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def workers(self) -> list[int]:
        """Return the process IDs of the workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(number) for number in children.split()]

    def kill(self) -> None:
        """End it, if it still runs."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(WITHIN)
        self._reader.join(10)
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture(scope="module")
def both(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Two workers for the tests of this file."""
    broker = Broker(tmp_path_factory.mktemp("workers"), database)
    try:
        broker.until("ready")
        yield broker
    finally:
        broker.kill()


def answering(broker: Broker) -> dict[str, float]:
    """Return how many queries each worker has answered."""
    _, figures = broker.page("/metrics")
    lines = [line for line in figures.splitlines() if line.startswith("mwl_worklist_queries_total{")]
    return {line.split('worker="')[1].split('"')[0]: float(line.rsplit(" ", 1)[1]) for line in lines}


def gone(number: int) -> bool:
    """Wait until a process is no more."""
    over = time.monotonic() + WITHIN
    while time.monotonic() < over:
        try:
            if Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        threading.Event().wait(0.05)
    return False


def test_an_order_taken_by_one_is_answered_by_all(both: Broker, mllp_send: Any, findscu: Any) -> None:
    """One truth: the very next query finds it, at whichever worker; the figures are those of all."""
    for number in range(10):
        assert f"MSA|AA|{number}" in mllp_send(both, ORDER.format(number))
        assert any(f"ACC{number}" in line for line in findscu(both, "CT1", f"AccessionNumber=ACC{number}"))
    count = 10
    while len(answering(both)) < WORKERS and count < 200:  # who is idle takes the next connection
        findscu(both, "CT1", "AccessionNumber=ACC1")
        count += 1

    assert set(answering(both)) == {"1", "2"}
    assert sum(answering(both).values()) == count


def test_ready_is_said_once_and_every_other_line_names_its_worker(both: Broker) -> None:
    """With the addresses and the number of workers."""
    (ready,) = both.until("ready")

    assert (ready["workers"], "worker" in ready) == (WORKERS, False)
    assert {each["worker"] for each in both.until("profiles in use", WORKERS)} == {1, 2}


def test_readiness_is_of_all(both: Broker) -> None:
    """Whoever answers has asked the others."""
    status, body = both.page("/readyz")
    parts = json.loads(body)["parts"]

    assert status == 200
    assert [name for name in parts if name.startswith("worker ")]
    assert all(parts.values())


def test_a_reload_reaches_all(both: Broker, findscu: Any) -> None:
    """By SIGHUP to the parent, and by a change of the file."""
    since = len(both.events)
    both.process.send_signal(signal.SIGHUP)
    both.until("reloaded", WORKERS, since)
    since = len(both.events)
    both.settings["devices"] = {"CT1": {}, "NEW": {}}
    both.write()
    changed = both.until("reloaded", WORKERS, since)
    for _ in range(8):
        findscu(both, "NEW", "AccessionNumber=ACC1")

    assert {each["worker"] for each in changed} == {1, 2}


def test_a_worker_that_is_frozen_is_not_ready_and_others_serve(both: Broker, findscu: Any) -> None:
    """Its listener accepts nothing, though the socket that it shares does."""
    frozen = both.workers()[0]
    os.kill(frozen, signal.SIGSTOP)
    try:
        status, body = both.page("/readyz")
    finally:
        os.kill(frozen, signal.SIGCONT)

    assert status == 503
    assert [name for name in json.loads(body)["not_ready"] if name.startswith("worker ")]


def test_a_worker_that_dies_is_started_anew_and_others_serve_meanwhile(
    both: Broker, findscu: Any, mllp_send: Any
) -> None:
    """No connection that is made after its end fails."""
    since = len(both.events)
    os.kill(both.workers()[0], signal.SIGKILL)
    (ended,) = both.until("worker ended", since=since)
    for number in range(100, 110):
        assert f"MSA|AA|{number}" in mllp_send(both, ORDER.format(number))
        assert any(f"ACC{number}" in line for line in findscu(both, "CT1", f"AccessionNumber=ACC{number}"))
    both.until("worker accepts again", since=since)

    assert (ended["level"], ended["code"]) == ("error", -signal.SIGKILL)
    assert both.page("/readyz")[0] == 200


def test_signals_that_reach_the_group_do_not_abort(both: Broker) -> None:
    """A service manager sends SIGTERM to every process; a terminal SIGINT: the parent alone heeds it."""
    before = both.workers()
    for number in before:
        os.kill(number, signal.SIGTERM)
        os.kill(number, signal.SIGINT)

    assert both.page("/readyz")[0] == 200
    assert both.workers() == before


def test_sigterm_drains_all(database: str, tmp_path: Path) -> None:
    """Nothing is accepted any more, every worker ends, and the parent with 0."""
    broker = Broker(tmp_path, database)
    at, workers = broker.addresses["hl7"], broker.workers()
    broker.process.send_signal(signal.SIGTERM)

    assert broker.process.wait(WITHIN) == 0
    assert all(gone(each) for each in workers)
    assert len(broker.until("stopped", WORKERS + 1)) == WORKERS + 1
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(at, timeout=WITHIN)
    broker.kill()


def test_no_worker_outlives_its_parent(database: str, tmp_path: Path) -> None:
    """Who has no parent any more stops by itself."""
    broker = Broker(tmp_path, database)
    broker.until("ready")
    workers = broker.workers()
    broker.process.kill()

    assert all(gone(each) for each in workers)
    broker.kill()


@pytest.mark.parametrize(
    ("database_url", "code", "said"),
    [
        ("sqlite:///mwl.db", 78, "several workers need PostgreSQL"),
        ("postgresql+psycopg://mwl@127.0.0.1:1/nowhere", 69, "the database cannot answer now"),
    ],
)
def test_what_cannot_run_is_told_once_with_its_exit_code(
    tmp_path: Path, database_url: str, code: int, said: str
) -> None:
    """SQLite is one process's; a database that is not there is told by the first worker alone."""
    (tmp_path / "mwl.yaml").write_text(f"database: {database_url}\ndicom: {{listen: '127.0.0.1:0'}}\n"
                                       "hl7: {listen: '127.0.0.1:0'}\nweb: {listen: '127.0.0.1:0'}\n")  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "mwl", "serve", "--workers", "2", "--config", "mwl.yaml"], cwd=tmp_path,
        capture_output=True, text=True, timeout=WITHIN, check=False,
    )  # fmt: skip

    assert done.returncode == code
    assert done.stderr.count(said) == 1
