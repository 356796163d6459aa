"""Performed steps a second, each an N-CREATE and an N-SET answered after its commit, over eight associations.

    python benchmarks/performed.py [--steps 1000000] [--runs 200] [--database sqlite]

Every exam is one of the hospital's steps, as a device reports it; in the end each of these steps must be
linked and completed, or the figure would be of something else.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

import servers
from hospital import ward
from processes import Costs
from sqlalchemy import func, select
from stage import Figures, Stage, alone, progress

from mwl.lifecycle import StepState
from mwl.store import open_store, tables

_CLIENT = Path(__file__).with_name("performed_client.py")
_ASSOCIATIONS = 8


def reported(address: servers.Address, numbers: range) -> float:
    """Report the exams of steps with these numbers; return how many a second."""
    host, port = address
    words = map(str, (port, _ASSOCIATIONS, numbers.start, len(numbers)))
    done = subprocess.run([sys.executable, str(_CLIENT), host, *words], check=True, stdout=subprocess.PIPE)
    return len(numbers) / float(done.stdout)


def completed(url: str, numbers: range) -> int:
    """Return how many of the steps with these numbers are completed."""
    chosen = tables.steps.c.key.between(numbers.start, numbers.stop - 1)
    counting = select(func.count()).where(chosen, tables.steps.c.state == StepState.COMPLETED.value)
    store = open_store(url)
    try:
        return int(store.read_now(lambda tx: tx.connection.execute(counting).scalar_one()))
    finally:
        store.close_now()


def measure(stage: Stage) -> Figures:
    """Return pairs a second, and what a pair costs the broker (ms)."""
    turns, count = stage.some(4), stage.some(1_000, 16)
    numbers = ward(stage.steps)[: (turns + 1) * count]
    rates, grown = [], 0.0
    with stage.copy() as database:
        with servers.broker(stage.folder, database) as broker:
            costs = Costs(broker.process, stage.house.processor_time)
            reported(broker.dicom, numbers[:count])  # warms up
            for turn in range(1, turns + 1):
                chosen = numbers[turn * count : (turn + 1) * count]
                before = stage.house.size(database)
                with costs.of(lambda: count):
                    rates.append(reported(broker.dicom, chosen))
                grown += stage.house.size(database) - before
                progress(turn, turns)
        if (done := completed(database, numbers)) != len(numbers):
            raise RuntimeError(f"{done} of {len(numbers)} steps were completed")
    return {"pairs": statistics.median(rates), "bytes a pair": grown / (turns * count),
            "completed": done, **costs.figures()}  # fmt: skip


if __name__ == "__main__":
    alone(measure, __doc__)
