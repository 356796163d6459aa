"""A thousand idle associations: what they cost the broker, and what a plain pynetdicom server can carry.

    python benchmarks/idle.py [--steps 1000000] [--runs 200] [--database sqlite]

Associations are opened and left alone; processor time and memory of the server are read before and after,
and a new query is timed with them and without them, in turns.  pynetdicom's threaded server carries fewer.
"""

from __future__ import annotations

import socket
import statistics
import time
from contextlib import ExitStack, closing

import servers
from asking import station_and_day
from hospital import STATION
from processes import memory, processor_time
from raw_client import Script, opened, script, whole_association
from stage import Figures, Stage, alone, progress
from worklist import AE_TITLE, taken


def carried(address: servers.Address, process: int, count: int, stage: Stage) -> Figures:
    """Return what *count* idle associations cost a server."""
    said = script(STATION, AE_TITLE, station_and_day())
    quiet, crowded, burnt, held = [], [], [], []
    _times(address, said, stage.some(20))  # warms up
    turns = stage.some(5)
    for turn in range(turns):
        quiet += _times(address, said, stage.some(50, 2))
        with ExitStack() as stack:
            for half in (count // 2, count - count // 2):
                before = memory(process)
                for _ in range(half):
                    connection = stack.enter_context(closing(socket.create_connection(address, timeout=60)))
                    opened(connection, said)
                held.append((memory(process) - before) / half)
            burnt.append(_share(process, stage.some(500, 20) / 100))
            crowded += _times(address, said, stage.some(50, 2))
        progress(turn + 1, turns)
    return {
        "associations": count,
        "processor percent": statistics.median(burnt),
        # What something else, or an association that has ended, has left free is used before more is taken:
        # only where nothing is free does it tell what one takes.
        "memory KiB each": max(held),
        "quiet ms": statistics.median(quiet),
        "crowded ms": statistics.median(crowded),
    }


def _times(address: servers.Address, said: Script, count: int) -> list[float]:
    return [taken(lambda: whole_association(address, said)) for _ in range(count)]


def _share(process: int, seconds: float) -> float:
    """Return how much of one processor a process takes (percent)."""
    began, spent = time.perf_counter(), processor_time(process)
    time.sleep(seconds)
    return (processor_time(process) - spent) / (time.perf_counter() - began) * 100


def measure(stage: Stage) -> Figures:
    """Return the figures of the broker and of pynetdicom."""
    with servers.broker(stage.folder, stage.hospital) as broker:
        ours = carried(broker.dicom, broker.process, stage.some(1_000, 20), stage)
    with servers.started("plain.py") as (address, process):
        plain = carried(address, process, stage.some(90, 5), stage)
    return {"mwl": ours, "plain pynetdicom": plain}


if __name__ == "__main__":
    alone(measure, __doc__)
