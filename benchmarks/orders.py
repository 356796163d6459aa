"""Orders a second, acknowledged after their commit, beside bare commits of the same bytes.

    python benchmarks/orders.py [--turns 5] [--orders 4000] [--database URL]

The broker, its client and this program are processes of their own.  Three things take turns, so that
whatever else the machine does meets them all alike: eight connections that each send an order when the last
one is acknowledged; one connection that does; and a table of one column that the same bytes are committed
to, one row a commit, as the broker's database commits them (SQLite, write-ahead log, synchronous=FULL; or
PostgreSQL).  Medians count.  Every order is another one, and all of them stay in the database.
"""

from __future__ import annotations

import argparse
import os
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

_CLIENT = Path(__file__).with_name("mllp_client.py")
_MANY = 8  # connections
_SHARE = 4  # of the orders of many connections one connection sends a quarter, and bare commits as many
_ANYONE = {"systems": {"RIS": {"application": "RIS", "facility": "HOSP", "profile": "generic"}}}


def sent(address: servers.Address, connections: int, run: int, count: int) -> float:
    """Send *count* new orders over so many connections; return how many were acknowledged a second."""
    host, port = address
    command = [sys.executable, str(_CLIENT), host, *map(str, (port, connections, run, count))]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return count / float(done.stdout)


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


def processor_time(process: int) -> float:
    """Return the seconds a process has spent on the processors; 0 where /proc does not tell."""
    try:
        words = Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=5, help="at most 12")
    parser.add_argument("--orders", type=int, default=4_000, help="over eight connections, each turn")
    parser.add_argument("--database", help="a database URL, instead of SQLite in a temporary folder")
    options = parser.parse_args()
    few = options.orders // _SHARE
    many, one, bare, spent = [], [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = options.database or f"sqlite:///{folder / 'bench.db'}"
        with servers.broker(folder, database, **_ANYONE) as doors:
            process = int(doors["pid"][1])
            sent(doors["hl7"], _MANY, 25, 200)  # warms up
            for turn in range(min(options.turns, 12)):
                before = processor_time(process)
                many.append(sent(doors["hl7"], _MANY, 2 * turn, options.orders))
                spent.append((processor_time(process) - before) * 1000 / options.orders)
                one.append(sent(doors["hl7"], 1, 2 * turn + 1, few))
                bare.append(committed(list(orders(2 * turn + 1, few)), database, folder))
                print(f"\r{turn + 1} of {options.turns}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    ratios = [ours / floor for ours, floor in zip(one, bare, strict=True)]
    _tell("eight connections", many, "orders a second")
    _tell("one connection", one, "orders a second")
    _tell("bare commits", bare, "rows a second")
    _tell("one connection / bare commits", ratios, "")
    _tell("the broker's processor time, eight", spent, "ms an order")


def _tell(what: str, found: list[float], unit: str) -> None:
    low, high = min(found), max(found)
    print(f"{what:36} median {statistics.median(found):9.2f}   {low:9.2f} to {high:9.2f}   {unit}")


if __name__ == "__main__":
    main()
