"""PostgreSQL's own tools, which copy a database and put it back: pg_dump, pg_restore and psql.

They are called with the broker's connection parameters; the password goes through the environment, where
other users of the machine do not see it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Engine, inspect, text

from mwl.errors import Refusal, Refused, Unavailable
from mwl.store.engine import Link

_OURS = (
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "service",
)
_REVISION = re.compile(r"^COPY \S*alembic_version .*\n(?P<revision>\S+)$", re.MULTILINE)


def dump(engine: Engine, to: Path) -> str:
    """Write the database to *to*, in pg_dump's custom format, of one snapshot; return its revision.

    Raises `Unavailable`, with pg_dump's last words, and where there is no pg_dump.
    """
    _run("pg_dump", ["--format=custom", "--no-owner", "--no-privileges", f"--file={to}"], engine)
    return revision(to)


def revision(source: Path) -> str:
    """Return the revision of the schema in a dump; raises `Refused` for what is no dump of a broker's."""
    listed = ["--data-only", "--table=alembic_version", "--file=-", str(source)]
    try:
        found = _REVISION.search(_run("pg_restore", listed))
    except _Failed as error:
        raise Refused(
            Refusal.NOT_TAKEN, "not a dump by pg_dump", file=str(source), cause=error.fields["cause"]
        ) from None
    if found is None:
        raise Refused(Refusal.NOT_TAKEN, "not a backup of this program", file=str(source))
    return found["revision"]


def restore(engine: Engine, source: Path) -> None:
    """Put a dump in the place of all tables there are, all of it or nothing; raises `Unavailable`.

    pg_restore drops what is in the dump alone: a table that came with a later schema would stay, and an
    upgrade stumble over it.  So it writes, and psql runs, with that before it and the commit behind it.
    """
    connected, environment = _connection(engine)
    psql = [_program("psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", connected]
    pg_restore = [_program("pg_restore"), "--file=-", "--no-owner", "--no-privileges", str(source)]
    first = f"BEGIN;\n{_dropping(engine)}\n".encode()
    with tempfile.TemporaryFile() as told:
        with subprocess.Popen(  # noqa: S603  a program by its full path, no shell
            psql, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=told
        ) as running:
            whole = _fed(running, first, pg_restore, told)
        if running.returncode or not whole:
            told.seek(0)
            raise _failed("pg_restore", told.read(), running.returncode)


def _fed(running: subprocess.Popen[bytes], first: bytes, command: Sequence[str], told: IO[bytes]) -> bool:
    """Write to psql what *command* prints, as one transaction; tell whether that is to be kept."""
    assert running.stdin is not None  # noqa: S101  it was asked for
    with suppress(BrokenPipeError), running.stdin as pipe:  # broken: psql has ended, and says why
        pipe.write(first)
        pipe.flush()
        written = subprocess.run(  # noqa: S603  a program by its full path, no shell
            command, stdout=pipe, stderr=told, check=False, stdin=subprocess.DEVNULL
        )
        if not written.returncode:  # else psql comes to its end without a commit
            pipe.write(b"\nCOMMIT;\n")
            return True
    return False


def _dropping(engine: Engine) -> str:
    """Return the statements that take away all tables of the schema."""
    quoted = engine.dialect.identifier_preparer.quote_identifier
    names = ", ".join(map(quoted, tables(engine)))
    return f"SET client_min_messages = warning;\nDROP TABLE {names} CASCADE;" if names else ""


def used(engine: Engine) -> bool:
    """Tell whether another broker, or command of one, is connected to the database."""
    return bool(_ask(engine, _CONNECTED))


def tables(engine: Engine) -> list[str]:
    """Return the names of all tables of the schema."""
    with Link(engine, writing=False) as link, link.transaction() as connection:
        return inspect(connection).get_table_names()


def holds(engine: Engine, names: Iterable[str]) -> bool:
    """Tell whether one of these tables has a row."""
    present = set(tables(engine)).intersection(names)
    return any(_ask(engine, f"SELECT 1 FROM {name} LIMIT 1") for name in present)  # noqa: S608  names of ours


_CONNECTED = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND application_name = 'mwl' AND pid <> pg_backend_pid()"
)


def _ask(engine: Engine, statement: str) -> Any:
    with Link(engine, writing=False) as link, link.transaction() as connection:
        return connection.execute(text(statement)).scalar()


class _Failed(Unavailable):
    """A tool that ended with something else than 0."""


def _run(tool: str, arguments: Sequence[str], engine: Engine | None = None) -> str:
    """Run a tool, on the database of *engine* where it needs one; return what it prints."""
    program, environment = _program(tool), None
    if engine is not None:
        connected, environment = _connection(engine)
        arguments = [connected, *arguments]
    done = subprocess.run(  # noqa: S603  a program by its full path, no shell
        [program, *arguments], capture_output=True, env=environment, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        raise _failed(tool, done.stderr, done.returncode)
    return done.stdout.decode("utf-8", "replace")


def _program(tool: str) -> str:
    if (program := shutil.which(tool)) is None:
        raise Unavailable(
            f"PostgreSQL is copied by {tool}, which is not installed (Debian: postgresql-client)"
        )
    return program


def _failed(tool: str, told: bytes, code: int) -> _Failed:
    words = told.decode("utf-8", "replace").strip().splitlines()
    return _Failed(f"{tool} failed", cause=words[0] if words else f"exit code {code}")


def _connection(engine: Engine) -> tuple[str, dict[str, str]]:
    """Return the argument by which a tool finds the database, and the environment with the password."""
    environment = dict(os.environ)
    parameters = engine.dialect.create_connect_args(engine.url)[1]
    if password := parameters.get("password"):
        environment["PGPASSWORD"] = str(password)
    return f"--dbname={_written(parameters)}", environment


def _written(parameters: Mapping[str, Any]) -> str:
    from psycopg.conninfo import make_conninfo

    return make_conninfo(**{name: parameters[name] for name in _OURS if name in parameters})
