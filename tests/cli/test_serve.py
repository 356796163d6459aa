"""`mwl serve` as a process: it says when it is ready, and does what signals say."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from mwl.cli import serve

WRITTEN = """\
database: sqlite:///mwl.db
dicom: {listen: "127.0.0.1:0"}
hl7: {listen: "127.0.0.1:0"}
web: {listen: "127.0.0.1:0"}
devices: {CT1: {}}
"""


class Process:
    """A running `mwl serve`; its log lines are read one by one."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mwl", "serve"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def until(self, event: str) -> dict:
        """Read log lines up to one of *event* and return it."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            fields = json.loads(line)
            if fields["event"] == event:
                return fields
        raise AssertionError(f"ended without {event!r}")

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """Wait for the end; return exit code and stdout."""
        out, _ = self._process.communicate(timeout=60)
        return self._process.returncode, out

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=60)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    """A broker process in the test's folder."""
    (tmp_path / "mwl.yaml").write_text(WRITTEN)
    started = Process(tmp_path)
    yield started
    started.kill()


def test_one_line_says_when_it_is_ready_and_where(process):
    """On stderr, as JSON when no person reads it; then every address answers."""
    ready = process.until("ready")

    for part in ("dicom", "hl7", "web"):
        host, port = ready[part].rsplit(":", 1)
        socket.create_connection((host, int(port)), timeout=10).close()
    with urllib.request.urlopen(f"http://{ready['web']}/readyz", timeout=10) as answer:
        assert json.load(answer)["ready"] is True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_drains_and_ends_with_0(process, number):
    """Both signals mean the same; stdout stays empty."""
    process.until("ready")

    process.signal(number)

    process.until("stopped")
    assert process.end() == (0, "")


def test_a_reload_that_fails_says_so_and_keeps_the_old_set(process, tmp_path):
    """SIGHUP reads the files again; every problem is in the line."""
    process.until("ready")
    (tmp_path / "mwl.yaml").write_text(WRITTEN.replace("CT1: {}", "CT1: {profle: x}"))

    process.signal(signal.SIGHUP)

    (problem,) = process.until("not reloaded: the old configuration stays")["problems"]
    assert "did you mean 'profile'?" in problem


def test_a_reload_names_what_waits_for_a_restart(process, tmp_path):
    """The rest has taken effect."""
    process.until("ready")
    (tmp_path / "mwl.yaml").write_text(WRITTEN.replace("mwl.db", "other.db"))

    process.signal(signal.SIGHUP)

    assert process.until("reloaded")["waits_for_restart"] == ["database"]


def test_a_wrong_configuration_ends_with_78(mwl, tmp_path):
    """The service manager does not try again."""
    (tmp_path / "mwl.yaml").write_text("nonsense: 1\n")

    assert mwl("serve").code == 78


def test_a_taken_port_ends_with_69(mwl, tmp_path):
    """The address is named."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        at = f"127.0.0.1:{taken.getsockname()[1]}"
        (tmp_path / "mwl.yaml").write_text(
            WRITTEN.replace('web: {listen: "127.0.0.1:0"', f'web: {{listen: "{at}"')
        )

        outcome = mwl("serve")

    assert outcome.code == 69
    assert f"cannot listen on {at}" in outcome.err


def test_a_database_of_a_later_version_ends_with_78(mwl, tmp_path, database):
    """It is left as it is."""
    import sqlite3

    with sqlite3.connect(tmp_path / "mwl.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()

    outcome = mwl("serve")

    assert outcome.code == 78
    assert "install the later version" in outcome.err


async def test_signals_come_in_order_and_a_second_stop_aborts(monkeypatch):
    """Whoever does not want to wait for the drain says it twice."""
    aborted = asyncio.Event()
    monkeypatch.setattr(serve.os, "_exit", lambda code: aborted.set())
    signals = serve.Signals()

    for number in (signal.SIGHUP, signal.SIGTERM):
        os.kill(os.getpid(), number)
        assert await asyncio.wait_for(signals.next(), 10) is number
    assert not aborted.is_set()
    os.kill(os.getpid(), signal.SIGTERM)

    await asyncio.wait_for(aborted.wait(), 10)
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(number)
