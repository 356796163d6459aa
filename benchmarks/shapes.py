"""What a query costs as work grows: a thousand steps beside a million, for each thing that devices ask.

    python benchmarks/shapes.py [--steps 1000000] [--runs 200] [--database sqlite]

Two brokers take turns; each query has the same matches in both hospitals.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import servers
from asking import shapes
from hospital import STATION
from raw_client import Script, script, whole_association
from stage import Figures, Stage, alone, progress
from worklist import AE_TITLE, taken

_SMALL = 1_000  # steps
_WARM_UP = 3


def measure(stage: Stage) -> Figures:
    """Return, for each shape, the medians (ms) in the small and in the large hospital."""
    small = stage.house.hospital(min(_SMALL, stage.steps))
    asked = {name: (script(STATION, AE_TITLE, keys), matches) for name, (keys, matches) in shapes().items()}
    times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in asked}
    with servers.broker(stage.folder, small) as few, servers.broker(stage.folder, stage.hospital) as many:
        for run in range(-_WARM_UP, stage.runs):
            for name, (said, matches) in asked.items():
                for broker, found in zip((few, many), times[name], strict=True):
                    spent = taken(_asking(broker.dicom, said), matches)
                    if run >= 0:
                        found.append(spent)
            progress(run + _WARM_UP + 1, stage.runs + _WARM_UP)
    return {
        name: {"small": statistics.median(of_few), "large": statistics.median(of_many)}
        for name, (of_few, of_many) in times.items()
    }


def _asking(address: servers.Address, said: Script) -> Callable[[], int]:
    return lambda: whole_association(address, said)


if __name__ == "__main__":
    alone(measure, __doc__)
