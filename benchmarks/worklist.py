"""A query with 20 matches, side by side: the broker among a million steps, its peers, and the floor.

    python benchmarks/worklist.py [--steps 1000000] [--runs 200] [--database URL]

Every server is a process of its own.  They take turns, one whole association each (connect, associate,
query, release), so that whatever else the machine does meets them all alike; medians and ratios count.
The broker runs on SQLite with synchronous=FULL unless another database is named; the hospital is made
anew in a temporary folder, or taken from the URL if it is there already.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from pathlib import Path

import servers
from asking import items, station_and_day
from hospital import MATCHES, fill
from raw_client import Script, opened, query, record, script, whole_association

_WARM_UP = 5
_SLOW = 10  # every that many turns: a server that takes half a second for an answer


def taken(work: Callable[[], int]) -> float:
    """Return how long *work* takes (ms); it must find the 20 matches."""
    began = time.perf_counter()
    found = work()
    spent = (time.perf_counter() - began) * 1000
    if found != MATCHES:
        raise RuntimeError(f"{found} matches instead of {MATCHES}")
    return spent


@contextmanager
def contestants(folder: Path, database: str) -> Iterator[dict[str, Callable[[], int]]]:
    """Start every server; yield what asks each of them once."""
    said = script(STATION_AE, "MWL", station_and_day())
    with ExitStack() as stack:
        start = stack.enter_context
        ours = start(servers.broker(folder, database))["dicom"]
        recorded = {k: v.hex() if isinstance(v, bytes) else v for k, v in asdict(record(ours, said)).items()}
        (folder / "recorded.json").write_text(json.dumps(recorded), "utf-8")
        floor = start(servers.script("floor.py", str(folder / "recorded.json")))
        plain = start(servers.script("plain.py"))
        hundred, many = list(items(100)), list(items(10_000))
        installed = start(servers.wlmscpfs(folder / "installed", hundred, no_delay=False))
        tuned = start(servers.wlmscpfs(folder / "tuned", hundred, no_delay=True))
        large = start(servers.wlmscpfs(folder / "large", many, no_delay=False))
        kept = start(closing(socket.create_connection(ours, timeout=30)))
        stream = opened(kept, said)
        yield {
            "mwl, warm": lambda: whole_association(ours, said),
            "mwl, on a kept association": lambda: query(kept, stream, said),
            "mwl, nothing cached": _uncached(ours),
            "floor": lambda: whole_association(floor, said),
            "wlmscpfs, 100 items, TCP_NODELAY=1": lambda: whole_association(tuned, said),
            "wlmscpfs, 100 items": lambda: whole_association(installed, said),
            "plain pynetdicom": lambda: whole_association(plain, said),
            "wlmscpfs, 10,000 items": lambda: whole_association(large, said),
        }


STATION_AE = "BENCH"


def _uncached(address: servers.Address) -> Callable[[], int]:
    """Ask for another combination of attributes each time: nothing that was encoded before will do."""
    tags = iter(range(0x00101000, 0x7FFFFFFF))

    def ask() -> int:
        return whole_association(address, next(scripts))

    def made() -> Iterator[Script]:
        while True:
            asked = station_and_day()
            asked.OtherPatientIDs = None
            number = next(tags) & 0xFFFF
            for bit, keyword in enumerate(_OPTIONAL):
                if number >> bit & 1:
                    setattr(asked, keyword, None)
            yield script(STATION_AE, "MWL", asked)

    scripts = made()
    return ask


_OPTIONAL = (
    "PatientComments", "EthnicGroup", "Occupation", "SmokingStatus", "PatientState", "AdmissionID",
    "CurrentPatientLocation", "InstitutionName", "SpecialNeeds", "AdditionalPatientHistory",
    "ReasonForTheRequestedProcedure", "RequestedProcedureComments", "NamesOfIntendedRecipientsOfResults",
    "RequestedProcedurePriority", "PatientTransportArrangements", "RequestingService",
)  # fmt: skip


def measured(asked: dict[str, Callable[[], int]], runs: int) -> dict[str, list[float]]:
    """Ask all in turns; return the times (ms) of each."""
    times: dict[str, list[float]] = {name: [] for name in asked}
    for run in range(runs + _WARM_UP):
        for name, ask in asked.items():
            slow = times[name] and times[name][-1] > 100
            if not slow or run % _SLOW == 0:
                times[name].append(taken(ask))
        print(f"\r{run + 1} of {runs + _WARM_UP}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return {name: found[min(_WARM_UP, len(found) - 1) :] for name, found in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=1_000_000, help="steps in the broker's database")
    parser.add_argument("--runs", type=int, default=200, help="turns")
    parser.add_argument("--database", help="a database that benchmarks/hospital.py has filled")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = options.database or f"sqlite:///{folder / 'bench.db'}"
        if not options.database:
            fill(database, options.steps, progress=True)
        with contestants(folder, database) as asked:
            times = measured(asked, options.runs)
    ours = statistics.median(times["mwl, warm"])
    for server, found in times.items():
        median, ordered = statistics.median(found), sorted(found)
        low, high = ordered[len(ordered) // 20], ordered[-1 - len(ordered) // 20]
        print(
            f"{server:36} median {median:8.2f} ms   p5 {low:8.2f}   p95 {high:8.2f}   {median / ours:7.2f} x"
        )


if __name__ == "__main__":
    main()
