"""A query with 20 matches, side by side: the broker among a million steps, its peers, and the floor.

    python benchmarks/worklist.py [--steps 1000000] [--runs 200] [--database sqlite]

Every server is a process of its own.  They take turns, one whole association each (connect, associate,
query, release), so that whatever else the machine does meets them all alike; medians and ratios count.
The broker runs on SQLite with synchronous=FULL, or on PostgreSQL with the same hospital on SQLite beside it.
"""

from __future__ import annotations

import json
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import asdict
from pathlib import Path

import servers
from asking import items, station_and_day, varied
from hospital import MATCHES, STATION
from raw_client import opened, query, record, script, whole_association
from stage import Figures, Stage, alone, progress, spread

_WARM_UP = 5
_SELDOM = {"wlmscpfs, 10,000 items": 10}  # it takes half a second: in every tenth turn only
AE_TITLE = "MWL"


def taken(work: Callable[[], int], matches: int = MATCHES) -> float:
    """Return how long *work* takes (ms); it must find what there is."""
    began = time.perf_counter()
    found = work()
    spent = (time.perf_counter() - began) * 1000
    if found != matches:
        raise RuntimeError(f"{found} matches instead of {matches}")
    return spent


@contextmanager
def contestants(stage: Stage, folder: Path) -> Iterator[dict[str, Callable[[], int]]]:
    """Start every server; yield what asks each of them once."""
    said = script(STATION, AE_TITLE, station_and_day())
    asked: dict[str, Callable[[], int]] = {}
    with ExitStack() as stack:
        start = stack.enter_context
        ours = start(servers.broker(folder, stage.hospital)).dicom
        kept = start(closing(socket.create_connection(ours, timeout=30)))
        stream = opened(kept, said)
        asked["mwl, warm"] = lambda: whole_association(ours, said)
        asked["mwl, on a kept association"] = lambda: query(kept, stream, said)
        asked["mwl, nothing cached"] = _uncached(ours, stage.runs + _WARM_UP)
        if stage.beside:
            other = start(servers.broker(folder, stage.beside)).dicom
            asked["mwl on SQLite, warm"] = lambda: whole_association(other, said)
        for name, server in peers(stage, folder, ours).items():
            try:
                address = start(server)
            except servers.Missing as error:
                print(error, file=sys.stderr)
            else:
                asked[name] = lambda address=address: whole_association(address, said)  # type: ignore[misc]
        yield asked


def peers(
    stage: Stage, folder: Path, ours: servers.Address
) -> dict[str, AbstractContextManager[servers.Address]]:
    """Return the floor and the other servers, not started yet."""
    said = script(STATION, AE_TITLE, station_and_day())
    recorded = {k: v.hex() if isinstance(v, bytes) else v for k, v in asdict(record(ours, said)).items()}
    (folder / "recorded.json").write_text(json.dumps(recorded), "utf-8")
    hundred, many = list(items(100)), items(stage.some(10_000, 200))
    return {
        "floor": servers.script("floor.py", str(folder / "recorded.json")),
        "wlmscpfs, 100 items, TCP_NODELAY=1": servers.wlmscpfs(folder / "tuned", hundred, no_delay=True),
        "wlmscpfs, 100 items": servers.wlmscpfs(folder / "installed", hundred, no_delay=False),
        "Orthanc, 100 items": servers.orthanc(folder / "orthanc", hundred),
        "plain pynetdicom, 20 items": servers.script("plain.py"),
        "wlmscpfs, 10,000 items": servers.wlmscpfs(folder / "large", many, no_delay=False),
    }


def _uncached(address: servers.Address, count: int) -> Callable[[], int]:
    """Ask for another combination of attributes each time; the bytes are made beforehand."""
    scripts = iter([script(STATION, AE_TITLE, varied(station_and_day(), n)) for n in range(1, count + 1)])
    return lambda: whole_association(address, next(scripts))


def in_turns(asked: dict[str, Callable[[], int]], runs: int) -> dict[str, list[float]]:
    """Ask all in turns; return the times (ms) of each."""
    times: dict[str, list[float]] = {name: [] for name in asked}
    for run in range(runs + _WARM_UP):
        for name, ask in asked.items():
            if run % _SELDOM.get(name, 1) == 0:
                times[name].append(taken(ask))
        progress(run + 1, runs + _WARM_UP)
    return {name: found[1 if name in _SELDOM else _WARM_UP :] or found for name, found in times.items()}


def measure(stage: Stage) -> Figures:
    """Return the times (ms) of each server."""
    with tempfile.TemporaryDirectory(dir=stage.folder) as name, contestants(stage, Path(name)) as asked:
        return {server: spread(found) for server, found in in_turns(asked, stage.runs).items()}


if __name__ == "__main__":
    alone(measure, __doc__)
