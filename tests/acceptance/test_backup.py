"""A backup is made while orders come in, and a broker goes on from it with all that was acknowledged before."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

from hl7.client import MLLPClient

from acceptance.test_chain import order


class Sender(threading.Thread):
    """Sends one order after the other by python-hl7, and counts what was acknowledged."""

    def __init__(self, broker: Any) -> None:
        super().__init__()
        self.address = broker.addresses["hl7"]
        self.acknowledged = 0
        self.heard = threading.Condition()
        self.over = threading.Event()
        self.answer = b""

    def run(self) -> None:
        with MLLPClient(*self.address) as client:
            client.socket.settimeout(30)
            while not self.over.is_set():
                text = order(self.acknowledged + 1).replace("\n", "\r").replace("PID00", "PID")
                self.answer = client.send(b"\x0b" + text.encode() + b"\x1c\x0d")
                with self.heard:
                    if b"MSA|AA|" not in self.answer:
                        self.over.set()
                    else:
                        self.acknowledged += 1
                    self.heard.notify_all()

    def until(self, count: int) -> None:
        with self.heard:
            assert self.heard.wait_for(lambda: self.acknowledged >= count or self.over.is_set(), 60)
            assert self.acknowledged >= count, self.answer


def test_a_backup_under_load_is_whole(start_broker: Callable[..., Any]) -> None:
    """What was acknowledged before it began is in it, and a broker answers devices from it."""
    broker = start_broker()
    sender = Sender(broker)
    sender.start()
    sender.until(100)
    before = sender.acknowledged

    backup = broker.run("db", "backup", "copy.db")
    after = sender.acknowledged
    sender.until(after + 10)
    refused = broker.run("db", "restore", "copy.db", "--force")
    sender.over.set()
    sender.join()
    broker.stop()
    restored = broker.run("db", "restore", "copy.db", "--force")
    broker.start()
    found = broker.run("find", "PatientID=PID1", "--ae", "CT1", "--json")

    assert (backup.returncode, refused.returncode, restored.returncode) == (0, 1, 0), backup.stderr
    assert after > before, "nothing came in while the backup was made"
    with closing(sqlite3.connect(broker.folder / "copy.db")) as copy:
        (kept,) = copy.execute("SELECT count(*) FROM steps").fetchone()
    assert before <= kept <= after
    assert found.returncode == 0
    assert "ACC1" in found.stdout
