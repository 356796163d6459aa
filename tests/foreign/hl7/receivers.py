"""HL7 receivers that are not ours: two from npm, each a process that says on its output what it was told."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from foreign.dicom.presence import program
from foreign.hl7.clients import HERE, TIMEOUT, modules

Segments = dict[str, list[list[str]]]
"""The fields of each segment of a message, by the segment's name; a field has its number for an index."""


class Receiver:
    """A receiver that listens."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.port = port
        self._process = process
        self._said: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.put(json.loads(line))

    def wait(self) -> None:
        """Wait until it listens."""
        assert self._said.get(timeout=TIMEOUT) == {"listening": True}

    def next(self) -> str:
        """Return the next message as it was received."""
        message: str = self._said.get(timeout=TIMEOUT)["message"]
        return message

    def heard_more(self) -> bool:
        """Tell whether there is a message that was not asked for yet."""
        return not self._said.empty()


def segments(message: str) -> Segments:
    """Return the fields of a message; those of MSH are counted as HL7 counts them."""
    found: Segments = {}
    for line in filter(None, message.replace("\n", "\r").split("\r")):
        fields = line.split("|")
        found.setdefault(fields[0], []).append(
            [*fields[:1], "|", *fields[1:]] if fields[0] == "MSH" else fields
        )
    return found


def field(message: str, segment: str, number: int) -> str:
    """Return a field of the first segment of a name, "" where there is none."""
    fields = segments(message).get(segment, [[]])[0]
    return fields[number] if number < len(fields) else ""


@contextlib.contextmanager
def listening(
    script: str, *, answers: Sequence[str] = ("AA",), port: int = 0, **more: object
) -> Iterator[Receiver]:
    """Run one of the servers beside this file."""
    node, path = program("node", "Debian: nodejs"), modules()
    port = port or free_port()
    process = subprocess.Popen(
        [node, str(HERE / script)], env={**os.environ, "NODE_PATH": str(path)}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    with process.stdin as order:
        order.write(json.dumps({"port": port, "answers": list(answers), **_texts(more)}))
    receiver = Receiver(process, port)
    try:
        receiver.wait()
        yield receiver
    finally:
        process.kill()
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


def free_port() -> int:
    """Return a port of the loopback nobody listens on."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
        return port


def _texts(more: dict[str, object]) -> dict[str, object]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in more.items()}
