"""A copy of the database while the broker runs, and its way back.

Theory of operation
-------------------
SQLite: the backup API copies pages from one snapshot.  The source holds a read transaction for as long as
that takes: without one, the copy would begin anew whenever the broker commits, and never end under load;
and a reader keeps no writer waiting (WAL).  PostgreSQL: pg_dump does the same (`mwl.store.dump`).

A copy is made beside the file it is to be, checked, and then takes its name: a file of that name is whole.
What is restored takes the place of the database in the same way, while nobody else has it open.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from mwl.errors import Refusal, Refused, Unavailable
from mwl.store import dump, migrations
from mwl.store.engine import LOCK_TIMEOUT, SECONDS, file_of
from mwl.store.tables import metadata

PAGES = 2000
"""Pages copied at a time: 8 MiB, after which it is told how far it is."""

Advance = Callable[[int, int], None]
"""Told how many pages are done, and how many there are."""

_WHY = Refusal.NOT_TAKEN
_TABLES = ("patients", "messages", "outbox", "performed", "queries")  # nothing is kept without one of these
_OURS = frozenset({"alembic_version", *metadata.tables})  # a table of somebody else's would be lost as well
_LOCKS, _LOCKED = 0x40000000, 512  # the octets of a file that SQLite locks, whether they are there or not


@dataclass(frozen=True, slots=True)
class Backup:
    """A file that can be restored."""

    revision: str  # of its schema
    octets: int


def backup(engine: Engine, to: Path, *, advance: Advance | None = None) -> Backup:
    """Copy the database to the file *to*, which takes the place of what was there; the broker may run.

    Raises `Unavailable`, or `Refused` where the copy would be damaged; *to* is then as it was.
    """
    with _beside(to) as made:
        if (source := file_of(engine)) is None:
            revision = dump.dump(engine, made)
        else:
            with _failures("the database cannot be copied"):
                _copy(source, made, advance)
            revision = _checked(made)
        os.replace(made, to)
    return Backup(revision, to.stat().st_size)


def restore(engine: Engine, source: Path, *, force: bool = False) -> Backup:
    """Put the copy *source* in the place of the database, of which nobody else may have a connection.

    Raises `Refused` where *source* is no backup or a damaged one, or the database is in use or, unless with
    *force*, not empty; `SchemaTooNew`; `Unavailable`.
    """
    target = file_of(engine)
    revision = dump.revision(source) if target is None else _checked(source)
    migrations.require_known(revision)
    if target is None:
        _restore_dump(engine, source, force=force)
    else:
        _restore_file(source, target, force=force)
    return Backup(revision, source.stat().st_size)


def _restore_dump(engine: Engine, source: Path, *, force: bool) -> None:
    if dump.used(engine):
        raise _in_use()
    if not force and (dump.holds(engine, _TABLES) or not _OURS.issuperset(dump.tables(engine))):
        raise _not_empty()
    dump.restore(engine, source)


def _restore_file(source: Path, target: Path, *, force: bool) -> None:
    with _beside(target) as made:
        with _failures("the database file cannot be written"):
            _copy(source, made, None)
            if not target.exists():
                _put_alone(made, target)
                return
        _put_in_place(made, target, force=force)


def _copy(source: Path, to: Path, advance: Advance | None) -> None:
    def told(_status: int, remaining: int, total: int) -> None:
        if advance is not None:
            advance(total - remaining, total)

    # Open for writing, where it may be: only so can a write-ahead log in use be read.
    mode = "rw" if os.access(source, os.W_OK) else "ro"
    with (
        closing(_opened(source, mode)) as reader,
        closing(sqlite3.connect(to, isolation_level=None)) as writer,
    ):
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # from here on it is one snapshot
        reader.backup(writer, pages=PAGES, progress=told)
        reader.execute("COMMIT")
        writer.execute("PRAGMA journal_mode = DELETE")  # one file, without a -wal beside it
    with to.open("rb") as copied:
        os.fsync(copied.fileno())


def _opened(path: Path, mode: str = "rw") -> sqlite3.Connection:
    file = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(file, uri=True, isolation_level=None, timeout=LOCK_TIMEOUT / SECONDS)


def _checked(path: Path) -> str:
    """Return the revision of a copy that is sound."""
    try:
        with closing(_opened(path, "ro")) as copy:
            damage = [row[0] for row in copy.execute("PRAGMA integrity_check(1)")]
            broken = copy.execute("PRAGMA foreign_key_check").fetchone()
            row = copy.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise Refused(_WHY, "not a backup of this program", file=str(path), cause=str(error)) from None
    if damage != ["ok"] or broken is not None or row is None:
        raise Refused(_WHY, "the backup is damaged", file=str(path), cause=damage[0])
    return str(row[0])


def _put_in_place(made: Path, target: Path, *, force: bool) -> None:
    with _failures("the database cannot be replaced"):
        try:
            _replace(made, target, force=force)
        except sqlite3.OperationalError as error:
            if "lock" in str(error):
                raise _in_use() from None
            raise
        except sqlite3.DatabaseError as error:  # that is why it is restored
            if not force:
                raise Refused(
                    _WHY, "the database is damaged: with --force it is replaced, and lost", cause=str(error)
                ) from None
            _replace_damaged(made, target)


def _replace(made: Path, target: Path, *, force: bool) -> None:
    with closing(_opened(target)) as old:
        old.execute("PRAGMA busy_timeout = 0")
        # Leaving the write-ahead log is granted to the only connection; then nobody else gets in.
        old.execute("PRAGMA journal_mode = DELETE")
        old.execute("BEGIN EXCLUSIVE")
        if not force and _holds_something(old):
            raise _not_empty()
        os.replace(made, target)


def _replace_damaged(made: Path, target: Path) -> None:
    with target.open("r+b") as old:
        try:
            # Whoever has it open holds a lock of its own here, which SQLite cannot be asked for any more.
            fcntl.lockf(old, fcntl.LOCK_EX | fcntl.LOCK_NB, _LOCKED, _LOCKS)
        except OSError:
            raise _in_use() from None
        _put_alone(made, target)


def _put_alone(made: Path, target: Path) -> None:
    """Put *made* there without the log of what was there before, which SQLite would apply to it."""
    for rest in ("-wal", "-shm", "-journal"):
        target.with_name(f"{target.name}{rest}").unlink(missing_ok=True)
    os.replace(made, target)


def _holds_something(connection: sqlite3.Connection) -> bool:
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if any(name not in _OURS and not name.startswith("sqlite_") for name in names):
        return True
    present = names.intersection(_TABLES)
    rows = (connection.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchone() for name in present)  # noqa: S608  names of ours
    return any(row is not None for row in rows)


def _in_use() -> Refused:
    """Return the refusal of a database that somebody is connected to."""
    return Refused(_WHY, "the database is in use: stop the broker, and every command, first")


def _not_empty() -> Refused:
    """Return the refusal of a database that holds something."""
    return Refused(_WHY, "the database is not empty: with --force it is replaced, and lost")


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Yield a new file in the folder of *target*, readable by its owner alone, and gone at the end."""
    made = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        made.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        raise Unavailable(f"cannot write beside {target}", cause=error.strerror) from None
    try:
        yield made
    finally:
        made.unlink(missing_ok=True)


@contextmanager
def _failures(what: str) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise Unavailable(what, cause=f"{type(error).__name__}: {error}") from None
