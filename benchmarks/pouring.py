"""The worklist while orders come in at 500 a second, beside the worklist when all is quiet.

    python benchmarks/pouring.py [--steps 1000000] [--runs 200] [--database sqlite]

Quiet and busy times take turns.  The orders are sent by a process of their own, over eight connections; how
many really came is among the figures, since a target is not met by orders that do not come.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

import servers
from asking import station_and_day
from hospital import STATION
from orders import ANYONE, WARM_UP, sent
from raw_client import Script, script, whole_association
from stage import Figures, Stage, alone, progress
from worklist import AE_TITLE, taken

_CLIENT = Path(__file__).with_name("mllp_client.py")
_RATE, _CONNECTIONS = 500, 8


def measure(stage: Stage) -> Figures:
    """Return the medians (ms), and the orders a second that came meanwhile."""
    said = script(STATION, AE_TITLE, station_and_day())
    turns, count = stage.some(5), stage.some(2_000, 100)
    quiet, busy, rates = [], [], []
    with stage.copy() as database, servers.broker(stage.folder, database, **ANYONE) as broker:
        sent(broker.hl7, _CONNECTIONS, WARM_UP, stage.some(500, 20))
        for turn in range(turns):
            quiet += [_once(broker, said) for _ in range(stage.some(500, 5))]
            found, rate = _meanwhile(broker, said, turn, count)
            busy += found
            rates.append(rate)
            progress(turn + 1, turns)
    return {
        "quiet ms": statistics.median(quiet),
        "busy ms": statistics.median(busy),
        "orders a second": statistics.median(rates),
        "queries": len(busy),
    }


def _once(broker: servers.Broker, said: Script) -> float:
    return taken(lambda: whole_association(broker.dicom, said))


def _meanwhile(broker: servers.Broker, said: Script, run: int, count: int) -> tuple[list[float], float]:
    """Ask for as long as orders come in; return the times, and the rate of the orders."""
    host, port = broker.hl7
    command = [sys.executable, str(_CLIENT), host, *map(str, (port, _CONNECTIONS, run, count, _RATE))]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        client.stdout.readline()  # it has begun
        found = []
        while client.poll() is None:
            found.append(_once(broker, said))
        if client.returncode:
            raise RuntimeError("the orders were not taken")
        return found, count / float(client.stdout.read())


if __name__ == "__main__":
    alone(measure, __doc__)
