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
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, cast

from pydicom.dataset import Dataset, FileMetaDataset

Address: TypeAlias = tuple[str, int]
_HERE = Path(__file__).parent
_START = 60.0  # seconds a server may take until it listens
_ORTHANC_PLUGIN = Path("/usr/share/orthanc/plugins/libModalityWorklists.so")  # where Debian puts it
# All devices of a benchmark are one, at one address.
_UNBOUND = {"associations": 2_000, "per_address": 2_000, "queries": None, "idle": 3_600}


class Missing(Exception):
    """A peer is not installed; the message says what it comes with."""


@dataclass(frozen=True)
class Broker:
    """A running broker: its doors, its process, and how long it took until it was ready (seconds)."""

    dicom: Address
    hl7: Address
    web: Address
    process: int
    start: float


@contextmanager
def broker(folder: Path, database: str, **more: object) -> Iterator[Broker]:
    """Run `mwl serve` on *database*, in a folder of its own under *folder*; *more* is configuration."""
    configuration = {
        "database": database,
        **{door: {"listen": "127.0.0.1:0"} for door in ("hl7", "web")},
        "dicom": {"listen": "127.0.0.1:0", "limits": _UNBOUND},
        **more,
    }
    with tempfile.TemporaryDirectory(prefix="broker-", dir=folder) as own, Path(own, "log").open("w") as log:
        Path(own, "mwl.yaml").write_text(json.dumps(configuration), "utf-8")
        command = [sys.executable, "-m", "mwl", "serve", "--config", str(Path(own, "mwl.yaml"))]
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=own, stderr=log)
        try:
            ready = _ready(Path(own, "log"), process)
            spent = time.perf_counter() - began
            yield Broker(**{door: _address(ready[door]) for door in ("dicom", "hl7", "web")},
                         process=process.pid, start=spent)  # fmt: skip
        finally:
            _end(process)


def _ready(log: Path, process: subprocess.Popen[bytes]) -> dict[str, str]:
    """Return the event that says where it listens."""
    until = time.monotonic() + _START
    while time.monotonic() < until and process.poll() is None:
        for line in log.read_text("utf-8").splitlines(keepends=True):
            if '"event": "ready"' in line and line.endswith("\n"):
                return cast("dict[str, str]", json.loads(line))
        time.sleep(0.002)
    raise RuntimeError("the broker did not start: " + log.read_text("utf-8"))


def _address(written: str) -> Address:
    host, _, port = written.rpartition(":")
    return host, int(port)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(30)


@contextmanager
def wlmscpfs(folder: Path, items: Iterable[Dataset], *, no_delay: bool) -> Iterator[Address]:
    """Run DCMTK's worklist server on *items*, one file each."""
    program = shutil.which("wlmscpfs")
    if program is None:
        raise Missing("wlmscpfs is not here: it comes with Debian's dcmtk")
    _save(items, folder / "MWL")
    (folder / "MWL" / "lockfile").touch()
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


def _save(items: Iterable[Dataset], area: Path) -> None:
    """Write worklist files, as both peers read them."""
    area.mkdir(parents=True)
    for number, item in enumerate(items):
        item.file_meta = FileMetaDataset()
        item.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        item.file_meta.MediaStorageSOPClassUID = "1.2.276.0.7230010.3.1.0.1"
        item.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number + 1}"
        item.save_as(area / f"{number:06}.wl", enforce_file_format=True)


@contextmanager
def orthanc(folder: Path, items: Iterable[Dataset]) -> Iterator[Address]:
    """Run Orthanc with its worklist plugin on *items*, one file each; its other settings are the default."""
    program = shutil.which("Orthanc", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None or not _ORTHANC_PLUGIN.exists():
        raise Missing("Orthanc is not here: it comes with Debian's orthanc")
    _save(items, folder / "worklists")
    port = _free_port()
    configuration = {
        "Plugins": [str(_ORTHANC_PLUGIN)],
        "Worklists": {"Enable": True, "Database": str(folder / "worklists")},
        "StorageDirectory": str(folder / "storage"),
        "HttpServerEnabled": False,
        "DicomPort": port,
        "DicomAet": "MWL",
        "DicomAlwaysAllowFindWorklist": True,
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration), "utf-8")
    process = subprocess.Popen(
        [program, str(folder / "orthanc.json")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield _listening(port, process)
    finally:
        _end(process)


@contextmanager
def started(*arguments: str) -> Iterator[tuple[Address, int]]:
    """Run a Python file of this folder that prints the port it listens on; yield address and process."""
    command = [sys.executable, str(_HERE / arguments[0]), *arguments[1:]]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        with process.stdout:
            yield ("127.0.0.1", int(process.stdout.readline())), process.pid
    finally:
        _end(process)


@contextmanager
def script(*arguments: str) -> Iterator[Address]:
    """Do as `started`; yield the address alone."""
    with started(*arguments) as (address, _):
        yield address


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
