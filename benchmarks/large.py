"""A query that returns 5,000: when the first response leaves, what it holds, what a frozen reader costs.

    python benchmarks/large.py [--steps 1000000] [--runs 200] [--database sqlite]

The first response is timed where nothing is cached: what comes long before the end has left before the last
was encoded.  Memory is that of the broker: the most it takes above what it had, over many such queries; and
what it takes for each reader that asks and then reads nothing, while others go on asking.
"""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import servers
from asking import station_and_day, varied, whole_ward
from hospital import STATION, WARD, ward
from processes import KIB, forget_peak, memory, peak
from raw_client import Script, opened, pdu, record, script, statuses, whole_association
from stage import Figures, Stage, alone
from worklist import AE_TITLE, taken

_PROFILE = "profile: whole\nstatus: hypothesis\nlimit: {max: 10000}\n"
_SETTLED = 0.2  # seconds without a change of memory
_FIRST = 4  # frozen readers after which each of the broker's threads has worked
_RECEIVE = 4096  # bytes: as little as the kernel will hold for who does not read


@contextmanager
def broker(stage: Stage) -> Iterator[servers.Broker]:
    """Run a broker that lets one device have all of a list; others have 200 by default."""
    mappings = stage.folder / "mappings"
    (mappings / "devices").mkdir(parents=True, exist_ok=True)
    (mappings / "devices" / "whole.yaml").write_text(_PROFILE, "utf-8")
    devices = {WARD: {"profile": "whole"}, "*": {"profile": "generic"}}
    more = {"mappings": str(mappings), "devices": devices}
    with servers.broker(stage.folder, stage.hospital, **more) as running:
        yield running


def first_and_last(address: servers.Address, said: Script, count: int) -> tuple[float, float]:
    """Return when the first response was there, and the last (ms after the request)."""
    with closing(socket.create_connection(address, timeout=60)) as connection:
        stream = opened(connection, said)
        began = time.perf_counter()
        connection.sendall(said.find)
        found, first = 0, 0.0
        while True:
            _, body = pdu(stream)
            first = first or time.perf_counter() - began
            codes = statuses(body)
            found += len(codes)
            if 0 in codes:
                break
        spent = time.perf_counter() - began
    if found != count + 1:
        raise RuntimeError(f"{found} responses to a list of {count}")
    return first * 1000, spent * 1000


def measure(stage: Stage) -> Figures:
    """Return times (ms) and memory (KiB)."""
    count = len(ward(stage.steps))
    said = script(WARD, AE_TITLE, whole_ward())
    with broker(stage) as running:
        cold = [
            first_and_last(running.dicom, script(WARD, AE_TITLE, varied(whole_ward(), n)), count)
            for n in range(1, 1 + stage.some(5, 2))
        ]
        size = len(record(running.dicom, said).responses) / KIB
        warm = [first_and_last(running.dicom, said, count) for _ in range(stage.some(5, 2))]
        forget_peak(running.process)
        before = memory(running.process)
        for _ in range(stage.some(20, 2)):
            first_and_last(running.dicom, said, count)
        flat = peak(running.process) - before
        frozen = _frozen(running, said, stage)
    return {
        "responses": count,
        "list KiB": size,
        "cold first ms": statistics.median(first for first, _ in cold),
        "cold last ms": statistics.median(last for _, last in cold),
        "warm first ms": statistics.median(first for first, _ in warm),
        "warm last ms": statistics.median(last for _, last in warm),
        "growth KiB": flat,
        **frozen,
    }


def _frozen(running: servers.Broker, said: Script, stage: Stage) -> Figures:
    """Ask, and read nothing; return what each such reader costs, and a query beside them."""
    asked, readers = script(STATION, AE_TITLE, station_and_day()), stage.some(20, 2)
    quiet = [taken(lambda: whole_association(running.dicom, asked)) for _ in range(stage.some(100, 3))]
    with ExitStack() as stack:
        for count in (_FIRST, readers):
            before = memory(running.process)
            for _ in range(count):
                connection = stack.enter_context(closing(socket.socket()))
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE)
                connection.connect(running.dicom)
                opened(connection, said)
                connection.sendall(said.find)
            _settle(running.process)
        held = (memory(running.process) - before) / readers
        beside = [taken(lambda: whole_association(running.dicom, asked)) for _ in range(stage.some(100, 3))]
    return {
        "frozen readers": readers,
        "frozen KiB each": max(held, 0.0),
        "quiet ms": statistics.median(quiet),
        "beside frozen ms": statistics.median(beside),
    }


def _settle(process: int) -> None:
    """Wait until a process takes no more memory."""
    last = -1.0
    while (now := memory(process)) != last:
        last = now
        time.sleep(_SETTLED)


if __name__ == "__main__":
    alone(measure, __doc__)
