"""Orders a second, acknowledged after their commit, beside bare commits of the same bytes.

    python benchmarks/orders.py [--steps 1000000] [--runs 200] [--database sqlite]

The broker, its client and this program are processes of their own.  Three things take turns, so that
whatever else the machine does meets them all alike: eight connections that each send an order when the last
one is acknowledged; one connection that does; and a table of one column that the same bytes are committed
to, one row a commit, as the broker's database commits them (SQLite, write-ahead log, synchronous=FULL; or
PostgreSQL).  Medians count.  Every order is another one, and all of them stay in the database.
"""

from __future__ import annotations

import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import servers
from ordering import orders
from processes import Costs
from stage import Figures, Stage, alone, progress

_CLIENT = Path(__file__).with_name("mllp_client.py")
_MANY = 8  # connections
_SHARE = 4  # of the orders of many connections one connection sends a quarter, and bare commits as many
WARM_UP = 25
"""The run whose orders do not count."""

ANYONE = {"systems": {"RIS": {"application": "RIS", "facility": "HOSP", "profile": "generic"}}}
"""Configuration: who the orders are from."""


def sent(address: servers.Address, connections: int, run: int, count: int) -> float:
    """Send *count* new orders over so many connections; return how many were acknowledged a second."""
    host, port = address
    command = [sys.executable, str(_CLIENT), host, *map(str, (port, connections, run, count))]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return count / float(done.stdout.split()[-1])


def committed(rows: list[bytes], url: str, folder: Path) -> float:
    """Commit *rows* one by one to a table of their own; return how many a second."""
    write = _postgresql(url, rows) if url.startswith("postgresql") else _sqlite(folder / "bare.db", rows)
    began = time.perf_counter()
    for _ in write:
        pass
    return len(rows) / (time.perf_counter() - began)


def _sqlite(path: Path, rows: list[bytes]) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            database.execute(f"PRAGMA {pragma}")
        database.execute("CREATE TABLE IF NOT EXISTS bare (key INTEGER PRIMARY KEY, raw BLOB)")
        for row in rows:
            yield None
            database.execute("INSERT INTO bare (raw) VALUES (?)", (row,))


def _postgresql(url: str, rows: list[bytes]) -> Iterator[None]:
    import psycopg

    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True) as database:
        database.execute("CREATE TABLE IF NOT EXISTS bare (key BIGSERIAL PRIMARY KEY, raw BYTEA)")
        for row in rows:
            yield None
            database.execute("INSERT INTO bare (raw) VALUES (%s)", (row,))


def measure(stage: Stage) -> Figures:
    """Return orders and rows a second, and what an order costs the broker (ms)."""
    count = stage.some(4_000, 80)
    few, turns = count // _SHARE, stage.some(5)
    many, one, bare = [], [], []
    with (
        stage.copy() as database,
        tempfile.TemporaryDirectory(dir=stage.folder) as folder,
        servers.broker(stage.folder, database, **ANYONE) as broker,
    ):
        costs = Costs(broker.process, stage.house.processor_time)
        sent(broker.hl7, _MANY, WARM_UP, stage.some(200, 20))
        grown = 0.0
        for turn in range(turns):
            before = stage.house.size(database)
            with costs.of(lambda: count):
                many.append(sent(broker.hl7, _MANY, 2 * turn, count))
            grown += stage.house.size(database) - before
            one.append(sent(broker.hl7, 1, 2 * turn + 1, few))
            bare.append(committed(list(orders(2 * turn + 1, few)), database, Path(folder)))
            progress(turn + 1, turns)
    return {
        "eight connections": statistics.median(many),
        "one connection": statistics.median(one),
        "bare commits": statistics.median(bare),
        "one connection / bare": statistics.median(a / b for a, b in zip(one, bare, strict=True)),
        "bytes an order": grown / (turns * count),
        **costs.figures(),
    }


if __name__ == "__main__":
    alone(measure, __doc__)
