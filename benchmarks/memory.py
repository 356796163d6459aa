"""What a broker that works holds in memory, with a million steps stored.

    python benchmarks/memory.py [--steps 1000000] [--runs 200] [--database sqlite]

It is asked for lists, patients, accessions and names all over the hospital, and sent orders: what it caches
is full of what was asked last.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator

import servers
from asking import keys
from hospital import DAY, STATION
from orders import ANYONE, sent
from processes import KIB, memory, peak
from pydicom.dataset import Dataset
from raw_client import script, whole_association
from stage import Figures, Stage, alone
from worklist import AE_TITLE


def anything(steps: int, count: int) -> Iterator[Dataset]:
    """Yield queries of every shape, each about something else."""
    chosen = random.Random(1)
    for n in range(count):
        number = chosen.randrange(1, steps + 1)
        day = f"{DAY + dt.timedelta(days=chosen.randrange(60)):%Y%m%d}"
        yield (
            keys({"ScheduledStationAETitle": f"CT{number % 8}", "ScheduledProcedureStepStartDate": day}),
            keys({"Modality": "MR", "ScheduledProcedureStepStartDate": day}),
            keys(PatientID=f"PID{number:08}"),
            keys(AccessionNumber=f"ACC{number:08}"),
            keys(PatientName=f"SCHMIDT{number % 9973:04}*"),
        )[n % 5]


def measure(stage: Stage) -> Figures:
    """Return the resident set (MiB) when ready, at work, and at its height."""
    with stage.copy() as database, servers.broker(stage.folder, database, **ANYONE) as broker:
        ready = memory(broker.process) / KIB
        asked = stage.some(5_000, 50)
        for identifier in anything(stage.steps, asked):
            whole_association(broker.dicom, script(STATION, AE_TITLE, identifier))
        orders = stage.some(2_000, 50)
        sent(broker.hl7, 8, 24, orders)
        working = memory(broker.process) / KIB
        return {
            "ready MiB": ready,
            "working MiB": working,
            "peak MiB": peak(broker.process) / KIB,
            "database MiB": stage.house.size(stage.hospital) / KIB**2,
            "queries": asked,
            "orders": orders,
        }


if __name__ == "__main__":
    alone(measure, __doc__)
