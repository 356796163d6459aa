"""HAProxy in front of two brokers, with the configuration that the operator's guide shows."""

from __future__ import annotations

import itertools
import re
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from endurance.serving import Address, Serving

PAGE = Path(__file__).parents[2] / "docs" / "operator.md"
PROGRAM = Path("/usr/sbin/haproxy")  # not on everybody's path
DOORS = ("hl7", "dicom")


def shown() -> str:
    """Return the configuration as it stands in the guide."""
    found = re.search(r"^```haproxy\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


@contextmanager
def in_front_of(brokers: Sequence[Serving], folder: Path) -> Iterator[dict[str, Address]]:
    """Run it on free ports; yield where it listens, by door."""
    listening = {door: socket.create_server(("127.0.0.1", 0)) for door in DOORS}
    (folder / "haproxy.cfg").write_text(_written(brokers, listening), "utf-8")
    process = subprocess.Popen(
        [PROGRAM, "-db", "-f", folder / "haproxy.cfg"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        pass_fds=[each.fileno() for each in listening.values()],
    )  # fmt: skip
    try:
        yield {door: each.getsockname() for door, each in listening.items()}
    finally:
        process.terminate()
        process.wait(30)
        for each in listening.values():
            each.close()


def _written(brokers: Sequence[Serving], listening: dict[str, socket.socket]) -> str:
    """Return what is shown, with the addresses of these brokers in the place of those in the guide."""
    written, door, turn = [], "", itertools.cycle(brokers)
    for line in shown().splitlines():
        if found := re.match(r"(?:frontend|backend) (\w+)$", line):
            door = found[1]
        if re.match(r" +bind ", line):
            line = f"    bind fd@{listening[door].fileno()}"
        elif found := re.match(r"( +server \w+) \S+ (.*port) \d+$", line):
            at = next(turn)
            (host, port), (_, web) = at.address(door), at.address("web")
            line = f"{found[1]} {host}:{port} {found[2]} {web}"
        written.append(line)
    return "\n".join([*written, ""])
