"""The disk fills up under SQLite: what cannot be kept is refused, and all goes on once there is room."""

from __future__ import annotations

import itertools
import os
import random
import resource
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from endurance.campaign import ANSWERED, DOUBTED, PUT_OFF
from endurance.clients import Device, Sender, Status, TryAgain
from endurance.exams import SUCCESS, Exam, Fate, begun, ended, keys
from endurance.ledger import judge, waiting
from endurance.serving import Serving
from endurance.stage import Stage, staged

FILLED = 3
ROOM = "8m"


class Disk(Protocol):
    """What a broker's database is on."""

    stage: Stage

    def fill(self, broker: Serving) -> None:
        """Leave no room."""

    def free(self, broker: Serving) -> None:
        """Leave room again."""


class Quota:
    """A limit of the process on the length of files: to write above it fails, with EFBIG."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage, self._log = stage, folder / "mwl.db-wal"

    def fill(self, broker: Serving) -> None:
        self._limit(broker, self._log.stat().st_size)

    def free(self, broker: Serving) -> None:
        self._limit(broker, resource.RLIM_INFINITY)

    @staticmethod
    def _limit(broker: Serving, octets: int) -> None:
        resource.prlimit(broker.process.pid, resource.RLIMIT_FSIZE, (octets, resource.RLIM_INFINITY))


class Volume:
    """A small file system of its own, filled up by another file: ENOSPC."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage, self._other = stage, folder / "other"

    def fill(self, broker: Serving) -> None:
        with self._other.open("wb", buffering=0) as other:
            for size in (65536, 4096, 1):
                try:
                    for _ in itertools.count():
                        other.write(b"x" * size)
                except OSError:
                    continue

    def free(self, broker: Serving) -> None:
        self._other.unlink()


@pytest.fixture(params=["quota", "volume"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """A disk that can be filled up, with a database on it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    small = request.param == "volume"
    if small:
        if os.geteuid() != 0:
            pytest.skip("only root may mount a file system")
        mounting = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(folder)]
        if subprocess.run(mounting, capture_output=True, check=False).returncode:
            pytest.skip("this machine lets nobody mount a file system")
    try:
        with staged(tmp_path, f"sqlite:///{folder / 'mwl.db'}") as stage:
            yield (Volume if small else Quota)(stage, folder)
    finally:
        if small:
            subprocess.run(["umount", str(folder)], check=True)


def test_what_cannot_be_kept_is_refused_and_leaves_nothing(disk):
    """F-M29 and design 4.4: AR and never AA, 0110 and never 0000; lists go on; then all goes on by itself."""
    broker = disk.stage.broker()
    broker.start()
    sender = Sender(lambda: broker.address("hl7"))
    device = Device("CT1", lambda: broker.address("dicom"))
    known, new = (Exam(n, n, Fate.DONE, moved=False, finished=True) for n in (1, 2))
    assert sender.send(known.order("NW")) == "AA"
    assert device.create(known.uid, begun(known)) == Status(SUCCESS)

    disk.fill(broker)
    with pytest.raises(TryAgain, match="AR 207"):
        sender.send(new.order("NW"))
    with pytest.raises(TryAgain, match="MPPS 0110"):
        device.create(new.uid, begun(new))
    with pytest.raises(TryAgain, match="MPPS 0110"):
        device.set(known.uid, ended("COMPLETED"))
    during = [device.find(keys(exam.accession)) for exam in (known, new)]
    disk.free(broker)

    assert [[item.AccessionNumber for item in items] for items in during] == [[known.accession], []]
    assert sender.send(new.order("NW")) == "AA"
    assert device.create(new.uid, begun(new)) == Status(SUCCESS)
    for exam in (known, new):
        assert device.set(exam.uid, ended("COMPLETED")) == Status(SUCCESS)
        exam.messages.append(exam.order("NW").split("|", 10)[9])
    assert disk.stage.ris.until(lambda: not waiting(disk.stage.database), 60)
    sender.close()
    device.close()
    assert broker.stop() == 0
    assert judge(disk.stage.database, [known, new], disk.stage.ris.receipts).all() == []


def test_a_full_disk_under_load_costs_nothing_that_was_acknowledged(disk, campaign):
    """Commits that fail half way included; the database is sound, the broker is not started again."""
    broker, moments, chosen = disk.stage.broker(), disk.stage.moments, random.Random(4)
    moments.patient = room = threading.Event()
    room.set()
    broker.start()

    with campaign(disk.stage, broker.address) as exams:
        for _ in range(FILLED):
            moments.any(chosen)
            room.clear()
            before = moments.counts[PUT_OFF]
            disk.fill(broker)
            moments.wait(PUT_OFF, 1, since=before)
            disk.free(broker)
            room.set()
    assert broker.stop() == 0
    report = exams.report(FILLED, [broker])

    assert report.wrong == []
    assert report.counts[ANSWERED] > FILLED
    assert report.counts[DOUBTED] == 0  # no client lost a connection
    with sqlite3.connect(disk.stage.database.removeprefix("sqlite:///")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
