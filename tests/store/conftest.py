"""A fresh database a test, on SQLite and on PostgreSQL, through the same fixture.

PostgreSQL is $MWL_TEST_DATABASE_URL, else a server of Debian's binaries on a UNIX socket, started once
a session.  Databases are copied from one that was migrated once.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import URL, NullPool, create_engine, make_url, text
from store.exams import House

from mwl.store import Store, open_store
from mwl.store import engine as engines
from mwl.store.migrations import upgrade

AS_POSTGRES: dict = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


def _missing(reason: str) -> None:
    """Skip, or fail where the peers were promised."""
    if os.environ.get("MWL_REQUIRE_PEERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def _migrate(url: str) -> None:
    engine = engines.create(url)
    upgrade(engine)
    engine.dispose()


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server that tests may make databases on."""

    url: URL

    def run(self, statement: str) -> None:
        engine = create_engine(self.url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            connection.execute(text(statement))

    def make(self, template: str = "template0") -> str:
        """Create a database with a name of its own and return its name."""
        name = f"mwl_{uuid.uuid4().hex}"
        self.run(f"CREATE DATABASE {name} ENCODING 'UTF8' LOCALE 'C' TEMPLATE {template}")
        return name

    def drop(self, name: str) -> None:
        self.run(f"DROP DATABASE {name} WITH (FORCE)")

    def disconnect(self, name: str) -> None:
        """Cut every connection to the database, as a restart of the server would."""
        self.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    def at(self, name: str) -> str:
        return self.url.set(database=name).render_as_string(hide_password=False)


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    return found[-1] if found else None


def _memory() -> Path | None:
    """A file system in memory with room: a new database is 300 files, and a test makes one."""
    memory = Path("/dev/shm")
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2**31
    return memory if roomy else None


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server for the session."""
    pytest.importorskip("psycopg")
    if given := os.environ.get("MWL_TEST_DATABASE_URL"):
        yield Server(make_url(given).set(drivername="postgresql+psycopg"))
        return
    if (binaries := _binaries()) is None:
        _missing("no PostgreSQL binaries in /usr/lib/postgresql")
        return
    # Not pytest's temporary directory: user postgres may not enter it, and socket paths are short.
    folder = Path(tempfile.mkdtemp(prefix="mwl-pg-", dir=_memory()))
    if AS_POSTGRES:
        shutil.chown(folder, "postgres", "postgres")
    data = folder / "data"

    try:
        initdb = [binaries / "initdb", "--auth=trust", "--username=mwl", "--encoding=UTF8", "--no-locale"]
        subprocess.run(
            [*initdb, "-D", data],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            timeout=60,
            **AS_POSTGRES,
        )
        with (data / "postgresql.conf").open("a") as settings:
            settings.write(f"unix_socket_directories = '{folder}'\nlisten_addresses = ''\n")
            # Speed: what these tests write may be lost.
            settings.write("fsync = off\nfull_page_writes = off\nsynchronous_commit = off\n")
        with _running([binaries / "postgres", "-D", data], folder):
            # A socket's path cannot stand in the host's place of a URL.
            yield Server(
                URL.create("postgresql+psycopg", "mwl", database="postgres", query={"host": str(folder)})
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(command: list[str | Path], folder: Path) -> Iterator[None]:
    """Run PostgreSQL from the line that says it is ready to its end."""
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=folder, **AS_POSTGRES)
    assert server.stderr is not None
    drain = threading.Thread(target=lambda: deque(server.stderr, maxlen=0), daemon=True)
    try:
        if not any("ready to accept connections" in line for line in server.stderr):
            pytest.fail("PostgreSQL did not start")
        drain.start()  # nobody reads the log, and it must not fill the pipe
        yield
    finally:
        server.send_signal(signal.SIGQUIT)  # PostgreSQL's "immediate shutdown"
        server.wait(30)
        if drain.is_alive():
            drain.join()
        server.stderr.close()


@pytest.fixture(scope="session")
def postgresql_template(postgresql: Server) -> Iterator[str]:
    """The name of a migrated database to copy."""
    name = postgresql.make()
    _migrate(postgresql.at(name))
    yield name
    postgresql.drop(name)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database file to copy."""
    path = tmp_path_factory.mktemp("template") / "mwl.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def back_end(request: pytest.FixtureRequest) -> str:
    """The kind of database the test runs on."""
    return request.param


@pytest.fixture
def empty_url(back_end: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without any table."""
    if back_end == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: Server = request.getfixturevalue("postgresql")
    name = server.make()
    yield server.at(name)
    server.drop(name)


@pytest.fixture
def database_url(back_end: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh, migrated database."""
    if back_end == "sqlite":
        path = tmp_path / "mwl.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    server: Server = request.getfixturevalue("postgresql")
    name = server.make(request.getfixturevalue("postgresql_template"))
    yield server.at(name)
    server.drop(name)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """An open store on a fresh database; closed after the test."""
    opened = open_store(database_url)
    yield opened
    opened.close_now()


@pytest.fixture
def house(database_url: str) -> Iterator[House]:
    """Orders and exams on a fresh database, at an hour the test decides."""
    made = House()
    made.store = open_store(database_url, clock=lambda: made.now)
    yield made
    made.store.close_now()
