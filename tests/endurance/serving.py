"""A broker as a process that is killed, stopped and started again while its clients go on.

Clients ask `Serving.address` where it listens, and wait there while it is down: it comes back on other ports.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

WITHIN = 60.0  # seconds; for a machine that is busy with other tests
KEPT = 200  # lines of the log

CONFIGURATION: Mapping[str, Any] = {
    "site": {"name": "HOSP", "timezone": "Europe/Berlin"},
    "dicom": {"ae_title": "MWL", "listen": "127.0.0.1:0"},
    "hl7": {"listen": "127.0.0.1:0"},
    "web": {"listen": "127.0.0.1:0"},
    "devices": {"CT1": {"profile": "generic"}},
}

Address = tuple[str, int]


class DidNotStart(Exception):
    """The broker ended, or was silent, before it was ready; the text is the end of its log."""


class Serving:
    """One `mwl serve`, in as many lives as it takes."""

    def __init__(self, folder: Path, database: str, *, ris: int | None = None, workers: int = 1) -> None:
        """*ris* is the port of the RIS that is told of status; None: nobody is told."""
        self.folder, self.lives = folder, 0
        self._options = ["--workers", str(workers)] if workers > 1 else []
        self.log: deque[str] = deque(maxlen=KEPT)
        self.errors: list[dict[str, Any]] = []
        """Log events of level error: defects, or what a person must decide."""
        self.ended: list[int] = []
        """Process IDs of the lives that are over."""
        self._up = threading.Condition()
        self._addresses: dict[str, Address] = {}
        folder.mkdir(parents=True, exist_ok=True)
        told = {} if ris is None else {"status": {"to": f"127.0.0.1:{ris}", "message": "ORM^O01"}}
        system = {"application": "RIS", "facility": "HOSP", **told}
        written = {**CONFIGURATION, "database": database, "systems": {"RIS": system}}
        (folder / "mwl.yaml").write_text(yaml.safe_dump(written), "utf-8")

    def begin(self) -> None:
        """Start the process, without waiting for it."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MWL_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mwl", "serve", *self._options, "--config", "mwl.yaml"],
            cwd=self.folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.lives += 1
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()

    def start(self) -> None:
        """Start the process and wait until every listener accepts."""
        self.begin()
        self.ready()

    def ready(self) -> None:
        """Wait until every listener accepts; raise `DidNotStart`."""
        with self._up:
            self._up.wait_for(lambda: self._addresses or self.process.poll() is not None, WITHIN)
            if self._addresses:
                return
        self.kill()
        raise DidNotStart("".join(self.log))

    def address(self, door: str) -> Address:
        """Return where it listens for dicom, hl7 or web; wait while it is down."""
        with self._up:
            if not self._up.wait_for(lambda: self._addresses, WITHIN):
                raise TimeoutError("the broker stays away")
            return self._addresses[door]

    def told(self, event: str) -> dict[str, Any]:
        """Wait for an event in the log, and return the first there is."""
        mark, found = f'"event": "{event}"', list[str]()

        def is_there() -> bool:
            found[:] = [line for line in tuple(self.log) if mark in line]
            return bool(found)

        with self._up:
            if not self._up.wait_for(is_there, WITHIN):
                raise TimeoutError(f"nothing was told of {event}")
        read: dict[str, Any] = json.loads(found[0])
        return read

    def kill(self) -> None:
        """End the process by SIGKILL."""
        self._down()
        self.process.kill()
        self._ended()

    def stop(self) -> int:
        """End the process by SIGTERM and return its exit code."""
        self._down()
        self.process.terminate()
        return self._ended()

    def workers(self) -> list[int]:
        """Return the process IDs of its workers."""
        pid = self.process.pid
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def kill_worker(self, pid: int) -> None:
        """End one worker by SIGKILL; its parent starts another."""
        os.kill(pid, signal.SIGKILL)
        self.ended.append(pid)

    def close(self) -> None:
        """Leave no process behind."""
        if self.lives and self.process.poll() is None:
            self.kill()

    def _down(self) -> None:
        with self._up:
            self._addresses = {}

    def _ended(self) -> int:
        code = self.process.wait(WITHIN)
        self.ended.append(self.process.pid)
        self._reader.join(WITHIN)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            with self._up:
                self.log.append(line)
                self._up.notify_all()
            try:
                event = json.loads(line)
            except ValueError:  # the last line of one that was killed
                continue
            if event.get("level") == "error":
                self.errors.append(event)
            if event.get("event") == "ready":
                with self._up:
                    self._addresses = {door: _address(event[door]) for door in ("dicom", "hl7", "web")}
                    self._up.notify_all()
        with self._up:
            self._up.notify_all()


def _address(written: str) -> Address:
    host, _, port = written.rpartition(":")
    return host, int(port)
