"""From the acknowledgement to the next query: two brokers of one database, orders at one, queries at both.

    python benchmarks/visible.py [--steps 1000000] [--runs 200] [--database sqlite]

As soon as an order is acknowledged it is asked for by its accession number, at the broker that took it and
at the other, in turns; a query that does not find it is a failure.
"""

from __future__ import annotations

import socket
from contextlib import closing

import servers
from asking import keys
from hospital import STATION
from mllp_client import BEGIN, END, send
from ordering import accession, orders
from orders import ANYONE
from raw_client import script, whole_association
from stage import Figures, Stage, alone, progress
from worklist import AE_TITLE

_RUN = 1


def measure(stage: Stage) -> Figures:
    """Return how many orders were sent, how many queries were made, and how many of these failed."""
    count = stage.some(1_000, 4)
    failures = queries = 0
    with (
        stage.copy() as database,
        servers.broker(stage.folder, database, **ANYONE) as one,
        servers.broker(stage.folder, database, **ANYONE) as other,
        closing(socket.create_connection(one.hl7, timeout=60)) as to_one,
        closing(socket.create_connection(other.hl7, timeout=60)) as to_other,
    ):
        for n, order in enumerate(orders(_RUN, count)):
            said = script(STATION, AE_TITLE, keys(AccessionNumber=accession(_RUN, n)))
            failed: list[bytes] = []
            send((to_one, to_other)[n % 2], [BEGIN + order + END], [0.0], failed)
            if failed:
                raise RuntimeError(f"not accepted: {failed[0]!r}")
            # First at the broker that did not take it: what it has is the older.
            for broker in ((other, one), (one, other))[n % 2]:
                failures += whole_association(broker.dicom, said) != 1
                queries += 1
        progress(count, count)
    return {"orders": count, "queries": queries, "failures": failures}


if __name__ == "__main__":
    alone(measure, __doc__)
