"""The servers that are measured: the broker, its peers, and the floor; each a process of its own.

Every one is a context manager that yields the address it listens at, and ends what it started.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from pydicom.dataset import Dataset, FileMetaDataset

Address: TypeAlias = tuple[str, int]
_HERE = Path(__file__).parent
_START = 60.0  # seconds a server may take until it listens


@contextmanager
def broker(folder: Path, database: str, **more: object) -> Iterator[dict[str, Address]]:
    """Run `mwl serve` on *database*; yield its addresses by door, and ``("", its process ID)`` as ``pid``."""
    configuration = {
        "database": database,
        **{door: {"listen": "127.0.0.1:0"} for door in ("dicom", "hl7", "web")},
        **more,
    }
    (folder / "mwl.yaml").write_text(json.dumps(configuration), "utf-8")
    command = [sys.executable, "-m", "mwl", "serve", "--config", str(folder / "mwl.yaml")]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stderr=log)
        try:
            yield {**_ready(folder / "log", process), "pid": ("", process.pid)}
        finally:
            _end(process)


def _ready(log: Path, process: subprocess.Popen[bytes]) -> dict[str, Address]:
    until = time.monotonic() + _START
    while time.monotonic() < until and process.poll() is None:
        for line in log.read_text("utf-8").splitlines():
            event = json.loads(line)
            if event["event"] == "ready":
                return {door: _address(event[door]) for door in ("dicom", "hl7", "web")}
        time.sleep(0.02)
    raise RuntimeError("the broker did not start: " + log.read_text("utf-8"))


def _address(written: str) -> Address:
    host, _, port = written.rpartition(":")
    return host, int(port)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(30)


@contextmanager
def wlmscpfs(folder: Path, items: list[Dataset], *, no_delay: bool) -> Iterator[Address]:
    """Run DCMTK's worklist server on *items*, one file each."""
    program = shutil.which("wlmscpfs")
    if program is None:
        raise FileNotFoundError("wlmscpfs is not here: it comes with Debian's dcmtk")
    area = folder / "MWL"
    area.mkdir(parents=True)
    (area / "lockfile").touch()
    for number, item in enumerate(items):
        item.file_meta = FileMetaDataset()
        item.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        item.file_meta.MediaStorageSOPClassUID = "1.2.276.0.7230010.3.1.0.1"
        item.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number + 1}"
        item.save_as(area / f"{number:06}.wl", enforce_file_format=True)
    port = _free_port()
    environment = {key: value for key, value in os.environ.items() if key != "TCP_NODELAY"}
    environment |= {"TCP_NODELAY": "1"} if no_delay else {}
    process = subprocess.Popen(
        [program, "-dfp", str(folder), str(port)], env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield _listening(port, process)
    finally:
        _end(process)


@contextmanager
def script(*arguments: str) -> Iterator[Address]:
    """Run a Python file of this folder that prints the port it listens on."""
    command = [sys.executable, str(_HERE / arguments[0]), *arguments[1:]]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield "127.0.0.1", int(process.stdout.readline())
    finally:
        _end(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listening(port: int, process: subprocess.Popen[bytes]) -> Address:
    until = time.monotonic() + _START
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return "127.0.0.1", port
    raise RuntimeError(f"{process.args} does not listen")
