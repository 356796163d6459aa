"""A PostgreSQL server of our own, that may be stopped, killed and started again.

Debian's binaries, a UNIX socket, data in memory.  What it has committed survives its own end (it flushes to
the kernel, which nobody kills), so that what a broker was promised can be held against it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, NullPool, create_engine, text

WITHIN = 60  # seconds
_SETTINGS = """
unix_socket_directories = '{folder}'
listen_addresses = ''
fsync = off
full_page_writes = off
"""


class Missing(Exception):
    """There are no binaries."""


class Postgres:
    """One server; `making` makes and removes it."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self.folder, self._binaries = folder, binaries
        # PostgreSQL refuses to run as root.
        root = os.geteuid() == 0
        self._as: dict[str, Any] = (
            {"user": "postgres", "group": "postgres", "extra_groups": []} if root else {}
        )
        if root:
            shutil.chown(folder, "postgres", "postgres")
        initdb = [
            binaries / "initdb",
            "--auth=trust",
            "--username=mwl",
            "--encoding=UTF8",
            "--no-locale",
            "-N",
        ]
        subprocess.run(
            [*initdb, "-D", folder / "data"], check=True, stdout=subprocess.DEVNULL, cwd=folder, **self._as
        )
        with (folder / "data" / "postgresql.conf").open("a") as settings:
            settings.write(_SETTINGS.format(folder=folder))

    def start(self) -> None:
        """Start it; return when it accepts connections."""
        self._process = subprocess.Popen(
            [self._binaries / "postgres", "-D", self.folder / "data"],
            stderr=subprocess.PIPE, text=True, cwd=self.folder, **self._as,
        )  # fmt: skip
        log = self._process.stderr
        assert log is not None
        if not any("ready to accept connections" in line for line in log):
            raise RuntimeError("PostgreSQL did not start")
        # Nobody reads the log, and it must not fill the pipe.
        self._drain = threading.Thread(target=deque, args=(log, 0), daemon=True)
        self._drain.start()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT ends all sessions in order, SIGQUIT ends them at once, as a crash does."""
        if self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(WITHIN)
            self._drain.join(WITHIN)
            assert self._process.stderr is not None
            self._process.stderr.close()

    def make(self, name: str) -> str:
        """Create a database and return its URL."""
        self.run("postgres", f"CREATE DATABASE {name}")
        return self.at(name)

    def run(self, name: str, statement: str) -> None:
        """Run a statement on a database."""
        engine = create_engine(self.at(name), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()

    def at(self, name: str) -> str:
        """Return the URL of a database."""
        url = URL.create("postgresql+psycopg", "mwl", database=name, query={"host": str(self.folder)})
        return url.render_as_string()


@contextmanager
def making() -> Iterator[Postgres]:
    """Run a server; raise `Missing` where there is none to run."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not binaries:
        raise Missing("no PostgreSQL binaries in /usr/lib/postgresql")
    memory = Path("/dev/shm")
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2**31
    # Not pytest's folder: user postgres may not enter it, and socket paths are short.
    folder = Path(tempfile.mkdtemp(prefix="mwl-pg-", dir=memory if roomy else None))
    try:
        server = Postgres(folder, binaries[-1])
        server.start()
        try:
            yield server
        finally:
            server.stop(signal.SIGQUIT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
