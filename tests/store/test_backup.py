"""A copy of the database can be put back, over nothing that anybody needs, and from no file that is not whole."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Connection, select, text
from store.exams import House, order

from mwl.errors import MwlError, Refused, SchemaTooNew, Unavailable
from mwl.store import Store, dump, migrations, open_store, outbox, tables
from mwl.store import engine as engines
from mwl.store.backup import Backup, backup, restore
from mwl.store.engine import Link


@pytest.fixture
def copy(house: House, tmp_path: Path) -> Path:
    """A backup of a database with an order and what is to be told of it."""
    house.send(order("1001", "S1"))
    house.create()
    made = backup(house.store.engine, tmp_path / "copy")
    assert made == Backup(migrations.HEAD, (tmp_path / "copy").stat().st_size)
    return tmp_path / "copy"


def seen(url: str) -> list[object]:
    """Return what a broker finds in the database at *url*."""
    store = open_store(url)
    try:
        return store.read_now(
            lambda tx: [
                *tx.connection.scalars(select(tables.procedures.c.accession)),
                *outbox.destinations(tx),
                *tx.connection.scalars(select(tables.performed.c.state)),
            ]
        )
    finally:
        store.close_now()


WHOLE = ["ACC1001", "RIS", "IN PROGRESS"]


def test_a_copy_is_readable_by_its_owner_alone_and_put_back_into_an_empty_database(
    copy: Path, empty_url: str
) -> None:
    """Orders, exams and what waits to be sent."""
    restored = restore(engines.create(empty_url), copy)

    assert copy.stat().st_mode & 0o777 == 0o600
    assert restored.revision == migrations.HEAD
    assert seen(empty_url) == WHOLE


@pytest.mark.parametrize("back_end", ["sqlite"])  # pg_dump has its own snapshot
def test_a_copy_is_of_one_moment(store: Store, tmp_path: Path) -> None:
    """Commits made while pages are copied are not in it, and do not make it begin anew."""
    store.write_now(lambda tx: [_row(tx.connection, n) for n in range(20_000)] and None)
    told: list[tuple[int, int]] = []

    def advance(done: int, total: int) -> None:
        told.append((done, total))
        store.write_now(lambda tx: _row(tx.connection, -len(told)))

    backup(store.engine, tmp_path / "copy", advance=advance)

    with closing(sqlite3.connect(tmp_path / "copy")) as copied:
        assert copied.execute("SELECT count(*), min(control_id) FROM messages").fetchone() == (20_000, "0")
    assert len(told) > 1
    assert told[-1][0] == told[-1][1]


def _row(connection: Connection, n: int) -> None:
    values = {"received_at": "", "last_at": "", "peer": "x" * 1000, "control_id": str(n)}
    connection.execute(tables.messages.insert().values(**values, digest="", raw=b"", outcome="AA"))


def test_a_database_with_something_in_it_is_replaced_by_force_alone(
    copy: Path, house: House, database_url: str
) -> None:
    """An order that came since the backup was made is worth a question."""
    house.send(order("1002", "S2"))
    house.store.close_now()
    engine = engines.create(database_url)

    with pytest.raises(Refused, match="not empty"):
        restore(engine, copy)
    kept = seen(database_url)
    restore(engine, copy, force=True)

    assert kept == ["ACC1001", "ACC1002", "RIS", "IN PROGRESS"]
    assert seen(database_url) == WHOLE


def test_an_empty_schema_is_replaced_without_force(copy: Path, empty_url: str) -> None:
    """What ``mwl db upgrade`` made holds nothing."""
    open_store(empty_url).close_now()

    restore(engines.create(empty_url), copy)

    assert seen(empty_url) == WHOLE


@pytest.mark.parametrize("back_end", ["sqlite"])
def test_the_log_of_a_file_that_was_removed_is_not_applied_to_the_copy(copy: Path, empty_url: str) -> None:
    """Who removes ``mwl.db`` after a crash forgets ``mwl.db-wal``."""
    file = Path(str(engines.file_of(engines.create(empty_url))))
    open_store(empty_url).close_now()
    with closing(sqlite3.connect(file, isolation_level=None)) as crashed:
        crashed.execute("UPDATE alembic_version SET version_num = 'of the log'")
        log = file.with_name(f"{file.name}-wal").read_bytes()
    file.unlink()
    file.with_name(f"{file.name}-wal").write_bytes(log)

    restore(engines.create(empty_url), copy)

    assert seen(empty_url) == WHOLE


def damage(file: Path, kept: int) -> None:
    """Leave so many octets of a database as they were."""
    with file.open("r+b") as damaged:
        damaged.truncate(kept)
        damaged.seek(0, os.SEEK_END)
        damaged.write(b"rubbish, " * 1000)


@pytest.mark.parametrize("back_end", ["sqlite"])
@pytest.mark.parametrize("kept", [0, 8, 60_000], ids=["not a database", "no header", "half"])
def test_a_damaged_database_is_replaced_by_force_alone(copy: Path, empty_url: str, kept: int) -> None:
    """That is what a backup is for."""
    open_store(empty_url).close_now()
    engine = engines.create(empty_url)
    damage(Path(str(engines.file_of(engine))), kept)

    with pytest.raises(Refused, match="damaged"):
        restore(engine, copy)
    restore(engine, copy, force=True)

    assert seen(empty_url) == WHOLE


_USER = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM steps').fetchall(); "


@pytest.mark.parametrize("back_end", ["sqlite"])
def test_a_damaged_database_in_use_is_not_replaced(copy: Path, empty_url: str) -> None:
    """A broker that has it open would go on in what is gone."""
    open_store(empty_url).close_now()
    engine = engines.create(empty_url)
    file = Path(str(engines.file_of(engine)))
    command = [sys.executable, "-c", _USER + "print(flush=True); sys.stdin.read()", str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as user:
        assert user.stdout is not None
        user.stdout.readline()
        damage(file, 0)

        with pytest.raises(Refused, match="in use"):
            restore(engine, copy, force=True)
        user.communicate()

    assert file.read_bytes().startswith(b"rubbish")


def test_a_table_of_somebody_else_is_lost_by_force_alone(copy: Path, empty_url: str) -> None:
    """A wrong URL names another program's database."""
    engine = engines.create(empty_url)
    engines.make_file(engine)
    with Link(engine, writing=True) as link, link.transaction() as connection:
        connection.execute(text("CREATE TABLE theirs (key INTEGER)"))
    engine.dispose()

    with pytest.raises(Refused, match="not empty"):
        restore(engine, copy)
    restore(engine, copy, force=True)

    assert seen(empty_url) == WHOLE


@pytest.mark.parametrize("back_end", ["postgresql"])  # a file is checked as a whole first
def test_a_dump_that_ends_early_changes_nothing(
    copy: Path, house: House, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its head can be read, and says that it is one of ours."""
    house.store.close_now()
    engine = engines.create(database_url)
    copy.write_bytes(copy.read_bytes()[:-200])
    monkeypatch.setattr(dump, "revision", lambda _source: migrations.HEAD)

    with pytest.raises(Unavailable, match="pg_restore failed"):
        restore(engine, copy, force=True)

    assert seen(database_url) == WHOLE


def test_a_database_in_use_is_not_replaced(copy: Path, house: House, database_url: str) -> None:
    """Not by force either: a broker would go on in what is gone."""
    with pytest.raises(Refused, match="in use"):
        restore(engines.create(database_url), copy, force=True)

    assert house.states == ["STARTED"]


def test_a_backup_of_an_earlier_version_replaces_a_later_schema_and_is_brought_up_to_date(
    house: House, empty_url: str, tmp_path: Path
) -> None:
    """What the later schema has besides does not stay behind, where an upgrade would stumble over it."""
    earlier = min(migrations._known())
    old = engines.create(empty_url)
    engines.make_file(old)
    with Link(old, writing=True) as link, link.transaction() as connection:
        configuration = migrations._configuration()
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, earlier)
    backup(old, tmp_path / "old")
    house.send(order("1001", "S1"))
    url = house.store.engine.url.render_as_string(hide_password=False)
    house.store.close_now()

    restored = restore(engines.create(url), tmp_path / "old", force=True)

    assert restored.revision == earlier
    assert seen(url) == []


def test_a_backup_of_a_later_version_is_refused(house: House, empty_url: str, tmp_path: Path) -> None:
    """Nothing is changed."""
    with Link(house.store.engine, writing=True) as link, link.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    backup(house.store.engine, tmp_path / "copy")

    with pytest.raises(SchemaTooNew, match="9999"):
        restore(engines.create(empty_url), tmp_path / "copy")


@pytest.mark.parametrize("spoil", [
    lambda path: path.write_bytes(b"rubbish" * 1000),
    lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    lambda path: path.write_bytes(b""),
], ids=["rubbish", "half", "nothing"])  # fmt: skip
def test_what_is_no_whole_backup_is_refused(
    copy: Path, empty_url: str, spoil: Callable[[Path], object]
) -> None:
    """The database stays as it was."""
    spoil(copy)
    engine = engines.create(empty_url)

    with pytest.raises(MwlError):
        restore(engine, copy)

    file = engines.file_of(engine)
    assert migrations.current(engine) is None if file is None else not file.exists()


def test_a_folder_that_cannot_be_written_is_unavailable(house: House, tmp_path: Path) -> None:
    """And nothing half-made stays behind."""
    with pytest.raises(Unavailable):
        backup(house.store.engine, tmp_path / "nowhere" / "copy")

    assert not any(name.endswith(".part") for name in os.listdir(tmp_path))


def test_without_pg_dump_it_is_said_what_is_missing(
    postgresql: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """PostgreSQL's tools come with a package of their own."""
    monkeypatch.setattr(dump.shutil, "which", lambda _name: None)

    with pytest.raises(Unavailable, match="pg_dump, which is not installed"):
        backup(engines.create("postgresql://mwl@localhost/none"), tmp_path / "copy")

    assert list(tmp_path.iterdir()) == []
