"""What every benchmark is run on: a hospital of the size asked for, made once, and copies of it.

A benchmark is a function from a `Stage` to its figures.  Those that only ask share the hospital; those that
change it take a copy.  `alone` makes such a function a command of its own.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import postgresql
from hospital import fill
from processes import allow_files

Figures: TypeAlias = dict[str, Any]
"""What a benchmark found: numbers by name, or by name of a server and name."""

_FULL = 200  # turns of a whole run


class House(Protocol):
    """Where databases are kept."""

    def hospital(self, steps: int) -> str:
        """Return the URL of a hospital with so many steps; make it where there is none."""

    def copied(self, url: str) -> AbstractContextManager[str]:
        """Yield the URL of a copy of a database; it is deleted in the end."""

    def size(self, url: str) -> float:
        """Return what a database takes on the disk (bytes)."""

    def processor_time(self) -> float:
        """Return what the database's server has spent on the processors (seconds); 0 where there is none."""


@dataclass(frozen=True)
class Stage:
    """What one benchmark needs."""

    folder: Path
    house: House
    steps: int
    runs: int
    beside: str | None = None
    """The same hospital on SQLite, where this one is on another database."""

    @property
    def hospital(self) -> str:
        """The URL of the hospital that is asked and not changed."""
        return self.house.hospital(self.steps)

    def copy(self) -> AbstractContextManager[str]:
        """Yield the URL of a copy that may be changed."""
        return self.house.copied(self.hospital)

    def some(self, many: int, least: int = 1) -> int:
        """Return how many of something: *many* in a whole run, fewer in a shorter one."""
        return max(least, many * min(self.runs, _FULL) // _FULL)


class SqliteHouse:
    """Files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def hospital(self, steps: int) -> str:
        path = self._folder / f"hospital-{steps}.db"
        if not path.exists():
            path.with_suffix(".new").unlink(missing_ok=True)
            fill(f"sqlite:///{path.with_suffix('.new')}", steps, progress=True)
            path.with_suffix(".new").rename(path)
        return f"sqlite:///{path}"

    @contextmanager
    def copied(self, url: str) -> Iterator[str]:
        original = Path(url.removeprefix("sqlite:///"))
        with closing(sqlite3.connect(original)) as database:  # a broker that asked may have left a log
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            shutil.copyfile(original, Path(folder) / "copy.db")
            with (Path(folder) / "copy.db").open("rb+") as copy:  # else it is written while others wait
                os.fsync(copy.fileno())
            yield f"sqlite:///{Path(folder) / 'copy.db'}"

    def size(self, url: str) -> float:
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
            pages = [database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")]
        return float(pages[0] * pages[1])

    def processor_time(self) -> float:
        return 0.0


class PostgresqlHouse:
    """Databases of one server."""

    def __init__(self, server: postgresql.Server) -> None:
        self._server = server

    def hospital(self, steps: int) -> str:
        name = f"hospital_{steps}"
        if not self._server.has(name):
            self._server.run("postgres", f"DROP DATABASE IF EXISTS {name}_new")
            self._server.run("postgres", f"CREATE DATABASE {name}_new")
            fill(self._server.at(f"{name}_new"), steps, progress=True)
            # The server does so by itself before long; not in the middle of a measurement.
            self._server.run(f"{name}_new", "VACUUM (FREEZE, ANALYZE)")
            self._server.run("postgres", f"ALTER DATABASE {name}_new RENAME TO {name}")
        return self._server.at(name)

    @contextmanager
    def copied(self, url: str) -> Iterator[str]:
        name = _name(url)
        self._server.run("postgres", f"DROP DATABASE IF EXISTS {name}_copy")
        self._server.run("postgres", f"CREATE DATABASE {name}_copy TEMPLATE {name} STRATEGY FILE_COPY")
        try:
            yield self._server.at(f"{name}_copy")
        finally:
            self._server.run("postgres", f"DROP DATABASE {name}_copy WITH (FORCE)")

    def size(self, url: str) -> float:
        ((found,),) = self._server.run("postgres", f"SELECT pg_database_size('{_name(url)}')")
        return float(found)

    def processor_time(self) -> float:
        return self._server.processor_time()


def _name(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what all benchmarks can be told."""
    parser.add_argument("--steps", type=int, default=1_000_000, help="steps of the hospital")
    parser.add_argument("--runs", type=int, default=_FULL, help="turns; 200 is a whole run")
    parser.add_argument("--folder", type=Path, help="keep the hospitals here, and use those that are here")


@contextmanager
def folder_for(given: Path | None) -> Iterator[Path]:
    """Yield a folder that PostgreSQL's user may enter."""
    with ExitStack() as stack:
        folder = given or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mwl-bench-")))
        folder.mkdir(exist_ok=True)
        folder = folder.resolve()
        folder.chmod(0o711)
        yield folder


@contextmanager
def stages(options: argparse.Namespace, databases: Sequence[str]) -> Iterator[dict[str, Stage]]:
    """Yield a stage for each kind of database asked for."""
    allow_files(20_000)
    with folder_for(options.folder) as folder, ExitStack() as stack:
        sqlite = Stage(folder, SqliteHouse(folder), options.steps, options.runs)
        found = {"sqlite": sqlite}
        if "postgresql" in databases:
            house = PostgresqlHouse(stack.enter_context(postgresql.serving(folder / "postgresql")))
            found["postgresql"] = Stage(folder, house, options.steps, options.runs, sqlite.hospital)
        yield {name: found[name] for name in databases}


def alone(measure: Callable[[Stage], Figures], about: str | None) -> None:
    """Run one benchmark as a command, and print its figures."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    options = parser.parse_args()
    with stages(options, [options.database]) as found:
        tell(measure(found[options.database]))


def tell(figures: Figures) -> None:
    """Print figures, a line each."""
    for name, value in figures.items():
        inner = value if isinstance(value, dict) else {"": value}
        print(f"{name:40}", "  ".join(f"{key} {_short(each)}".strip() for key, each in inner.items()))


def _short(value: Any) -> str:
    return f"{value:,.3f}" if isinstance(value, float) else str(value)


def spread(found: Sequence[float]) -> Figures:
    """Return the median of some figures, and how far they lie apart."""
    ordered = sorted(found)
    edge = len(ordered) // 20
    return {
        "median": statistics.median(ordered),
        "p5": ordered[edge],
        "p95": ordered[-1 - edge],
        "count": len(ordered),
    }


def progress(done: int, of: int) -> None:
    """Say on stderr how far a benchmark is."""
    print(f"\r{done} of {of} ", end="\n" if done == of else "", file=sys.stderr, flush=True)
