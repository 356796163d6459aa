"""Eight clients at once: queries a second from one broker process, beside its peers and the floor.

    python benchmarks/eight.py [--steps 1000000] [--runs 200] [--database sqlite]

The clients are one process on raw sockets (`load.py`), the servers take turns.  The floor shows what the
clients and the machine are good for.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack, nullcontext
from dataclasses import asdict
from pathlib import Path

import servers
from asking import station_and_day
from hospital import STATION
from processes import Costs
from raw_client import script
from stage import Figures, Stage, alone, progress
from worklist import AE_TITLE, peers

_CLIENTS = 8
_LEFT_OUT = {"wlmscpfs, 10,000 items"}
_CLIENT = Path(__file__).with_name("load.py")


def rate(address: servers.Address, said: Path, clients: int, seconds: float) -> float:
    """Return how many whole associations a second a process of so many clients gets done."""
    host, port = address
    command = [sys.executable, str(_CLIENT), host, str(port), str(said), str(clients), str(seconds)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def measure(stage: Stage) -> Figures:
    """Return the median rate (queries a second) of each server, and what a query costs the broker (ms)."""
    with tempfile.TemporaryDirectory(dir=stage.folder) as name, ExitStack() as stack:
        folder = Path(name)
        said = script(STATION, AE_TITLE, station_and_day())
        (folder / "script.json").write_text(
            json.dumps({k: v.hex() for k, v in asdict(said).items()}), "utf-8"
        )
        broker = stack.enter_context(servers.broker(folder, stage.hospital))
        addresses = {"mwl": broker.dicom}
        for peer, server in peers(stage, folder, broker.dicom).items():
            if peer not in _LEFT_OUT:
                try:
                    addresses[peer] = stack.enter_context(server)
                except servers.Missing as error:
                    print(error, file=sys.stderr)
        rates: dict[str, list[float]] = {each: [] for each in addresses}
        costs = Costs(broker.process, stage.house.processor_time)
        turns, seconds = stage.some(5), stage.some(400, 20) / 100
        for turn in range(turns):
            for asked, address in addresses.items():
                with costs.of(lambda: rates["mwl"][-1] * seconds) if asked == "mwl" else nullcontext():
                    rates[asked].append(rate(address, folder / "script.json", _CLIENTS, seconds))
            progress(turn + 1, turns)
    return {**{each: statistics.median(found) for each, found in rates.items()}, **costs.figures()}


if __name__ == "__main__":
    alone(measure, __doc__)
