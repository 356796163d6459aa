"""From the start of the process until it is ready, with a million steps stored.

python benchmarks/start.py [--steps 1000000] [--runs 200] [--database sqlite]
"""

from __future__ import annotations

import statistics

import servers
from stage import Figures, Stage, alone


def measure(stage: Stage) -> Figures:
    """Return the median and the longest (seconds)."""
    found = []
    for _ in range(stage.some(7)):
        with servers.broker(stage.folder, stage.hospital) as broker:
            found.append(broker.start)
    return {"median s": statistics.median(found), "longest s": max(found)}


if __name__ == "__main__":
    alone(measure, __doc__)
