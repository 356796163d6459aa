"""A PostgreSQL server of the benchmarks' own: Debian's binaries, default settings, data on the disk.

What it has committed survives a power cut, as with the broker's SQLite: nothing is set that would make it
quicker than a site's.  It listens on a UNIX socket alone.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from processes import family_time
from servers import Missing
from sqlalchemy import URL, NullPool, create_engine, text

_END = 120.0  # seconds


class Server:
    """A running server."""

    def __init__(self, folder: Path, process: int) -> None:
        self._folder, self._process = folder, process

    def at(self, name: str) -> str:
        """Return the URL of a database."""
        url = URL.create("postgresql+psycopg", "mwl", database=name, query={"host": str(self._folder)})
        return url.render_as_string()

    def run(self, name: str, statement: str) -> list[Any]:
        """Run a statement outside a transaction; return its rows."""
        engine = create_engine(self.at(name), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        try:
            with engine.connect() as connection:
                result = connection.execute(text(statement))
                return list(result) if result.returns_rows else []
        finally:
            engine.dispose()

    def processor_time(self) -> float:
        """Return what its processes have spent on the processors (seconds)."""
        return family_time(self._process)

    def has(self, name: str) -> bool:
        """Tell whether there is a database of that name."""
        return bool(self.run("postgres", f"SELECT 1 FROM pg_database WHERE datname = '{name}'"))


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Run a server on *folder*; its data is made there unless it is there already."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not binaries:
        raise Missing("PostgreSQL is not here: it comes with Debian's postgresql")
    # PostgreSQL refuses to run as root.
    root = os.geteuid() == 0
    as_postgres: dict[str, Any] = (
        {"user": "postgres", "group": "postgres", "extra_groups": []} if root else {}
    )
    folder.mkdir(exist_ok=True)
    if root:
        shutil.chown(folder, "postgres", "postgres")
    data = folder / "data"
    if not (data / "PG_VERSION").exists():
        initdb = [binaries[-1] / "initdb", "--auth=trust", "--username=mwl", "--encoding=UTF8", "--no-locale"]
        subprocess.run(
            [*initdb, "-D", data], check=True, stdout=subprocess.DEVNULL, cwd=folder, **as_postgres
        )
    options = [f"unix_socket_directories={folder}", "listen_addresses="]
    command = [binaries[-1] / "postgres", "-D", data, *(word for each in options for word in ("-c", each))]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=folder, **as_postgres)
    assert process.stderr is not None
    log = process.stderr
    if not any("ready to accept connections" in line for line in log):
        raise RuntimeError("PostgreSQL did not start")
    # Nobody reads the log, and it must not fill the pipe.
    drain = threading.Thread(target=deque, args=(log, 0), daemon=True)
    drain.start()
    try:
        yield Server(folder, process.pid)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(_END)
        drain.join(_END)
        log.close()
