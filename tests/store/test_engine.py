"""From a URL to connections that keep the store's promises."""

from __future__ import annotations

import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, insert, make_url, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from mwl.errors import BadDocument, Unavailable
from mwl.store import engine as engines
from mwl.store import migrations
from mwl.store.engine import CannotBegin, Link
from mwl.store.tables import patient_names, patients


@pytest.fixture
def engine(database_url: str) -> Engine:
    return engines.create(database_url)


def row(patient_id: str) -> dict[str, str]:
    return {"patient_id": patient_id, "issuer": "", "document": "{}"}


def write(link: Link, *patient_ids: str, then: Exception | None = None) -> None:
    """Store patients in one transaction, each in a savepoint that is released, and then fail or not."""
    with link.transaction() as connection:
        for patient_id in patient_ids:
            with connection.begin_nested():
                connection.execute(insert(patients), row(patient_id))
        if then:
            raise then


def read(link: Link) -> list[str]:
    with link.transaction() as connection:
        return [found.patient_id for found in connection.execute(select(patients))]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mwl.db",
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://host/name",
        "postgresql+asyncpg://host/name",
        "://",
    ],
)
def test_a_url_that_cannot_be_used_is_a_bad_document(url: str) -> None:
    """What will not work at the next start either is a mistake of the configuration."""
    with pytest.raises(BadDocument):
        engines.create(url)


def test_a_bad_url_is_not_quoted() -> None:
    """It may hold a password."""
    with pytest.raises(BadDocument) as caught:
        engines.create("mysql://user:secret@host/name")

    assert "secret" not in str(caught.value)


def test_postgresql_without_its_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """psycopg is optional."""
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(BadDocument, match=r"mwl\[postgres\]"):
        engines.create("postgresql://host/name")


def test_sqlite_survives_a_power_cut_and_checks_foreign_keys(engine: Engine) -> None:
    """Every connection runs with the write-ahead log, full synchronisation and foreign keys."""
    if engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL does so by itself")
    names = ["journal_mode", "synchronous", "foreign_keys", "busy_timeout"]
    with Link(engine, writing=True) as link, link.transaction() as connection:
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    assert found == ["wal", 2, 1, engines.LOCK_TIMEOUT]


def test_foreign_keys_hold(engine: Engine) -> None:
    """A row cannot refer to what does not exist."""
    with Link(engine, writing=True) as link, pytest.raises(IntegrityError), link.transaction() as connection:
        connection.execute(insert(patient_names), {"patient_key": 4711, "representation": 0, "folded": "doe"})


def test_a_released_savepoint_does_not_survive_its_transaction(engine: Engine) -> None:
    """With the driver's own transactions on SQLite it would, and half a batch would stay."""
    with Link(engine, writing=True) as link:
        with pytest.raises(ZeroDivisionError):
            write(link, "P1", then=ZeroDivisionError())

        assert read(link) == []


def test_a_writer_takes_the_lock_when_it_begins(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second writer, another broker's too, waits at BEGIN, where nothing has been tried yet."""
    monkeypatch.setattr(engines, "LOCK_TIMEOUT", 10)
    impatient = engines.create(engine.url.render_as_string(hide_password=False))
    with (
        Link(engine, writing=True, alone=True) as first,
        Link(impatient, writing=True, alone=True) as second,
        first.transaction(),
        pytest.raises(CannotBegin),
        second.transaction(),
    ):
        pytest.fail("two writers at once")


def test_a_broker_that_is_frozen_does_not_keep_the_others_from_writing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL ends its transaction; what it had not committed it hears of when it goes on."""
    if engine.dialect.name == "sqlite":
        pytest.skip("one broker serves an SQLite database")
    monkeypatch.setattr(engines, "SILENCE_TIMEOUT", 50)
    freezing = engines.create(engine.url.render_as_string(hide_password=False))
    with Link(freezing, writing=True, alone=True) as first, Link(engine, writing=True, alone=True) as second:

        def freeze() -> None:
            with first.transaction() as connection:
                connection.execute(insert(patients), row("P1"))
                write(second, "P2")
                connection.execute(insert(patients), row("P3"))

        with pytest.raises(Unavailable):
            freeze()

    with Link(engine, writing=True) as link:
        assert read(link) == ["P2"]


def test_a_writer_sees_what_was_done_while_it_waited(
    engine: Engine, database_url: str, back_end: str, request: pytest.FixtureRequest
) -> None:
    """Whatever isolation the server gives by itself: with one snapshot the second would add the patient again."""
    if back_end == "sqlite":
        pytest.skip("a file has one writer")
    server = request.getfixturevalue("postgresql")
    name = make_url(database_url).database
    server.run(f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
    with ThreadPoolExecutor(1) as beside, Link(engine, writing=True, alone=True) as first:
        with first.transaction() as connection:
            connection.execute(insert(patients), row("P1"))
            second = Link(engines.create(database_url), writing=True, alone=True)
            seen = beside.submit(read, second)
            while not waiting_for_the_lock(connection):
                assert not seen.done()
        assert seen.result(30) == ["P1"]
        second.close()


def waiting_for_the_lock(connection: Connection) -> bool:
    """Tell whether somebody waits for the lock that writers take."""
    waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    return bool(connection.exec_driver_sql(waits).scalar())


def test_a_reader_sees_one_moment(engine: Engine) -> None:
    """What is committed meanwhile does not appear in the middle of a read."""
    with Link(engine, writing=False) as reader, Link(engine, writing=True) as writer:
        with reader.transaction() as reading:
            before = reading.execute(select(patients.c.key)).all()
            with writer.transaction() as writing:
                writing.execute(insert(patients), row("P1"))
            during = reading.execute(select(patients.c.key)).all()
        with reader.transaction() as reading:
            after = reading.execute(select(patients.c.key)).all()

    assert (len(before), len(during), len(after)) == (0, 0, 1)


def test_a_reader_cannot_write(engine: Engine) -> None:
    """The database itself refuses."""
    with Link(engine, writing=False) as link, pytest.raises(Unavailable), link.transaction() as connection:
        connection.execute(insert(patients), row("P1"))


def test_errors_quote_no_row(engine: Engine) -> None:
    """Neither parameters nor PostgreSQL's detail reach what may be logged."""
    with Link(engine, writing=True) as link, pytest.raises(IntegrityError) as caught:
        write(link, "SECRET", "SECRET")

    assert "SECRET" not in str(caught.value)
    assert "SECRET" not in str(caught.value.orig)


def test_a_link_is_whole_again_after_a_failure(engine: Engine) -> None:
    """A failed transaction leaves nothing behind that the next one would meet."""
    with Link(engine, writing=True) as link:
        with pytest.raises(Unavailable):
            write(link, "P1", then=Unavailable("as a work may say"))
        with pytest.raises(ZeroDivisionError):
            write(link, "P2", then=ZeroDivisionError())
        write(link, "P3")

        assert read(link) == ["P3"]


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    """SQLite says so with an error of another class than the one for a lock."""
    path = tmp_path / "mwl.db"
    path.write_bytes(b"not a database, but long enough to be looked at" * 100)

    with (
        Link(engines.create(f"sqlite:///{path}"), writing=True) as link,
        pytest.raises(Unavailable),
        link.transaction(),
    ):
        pytest.fail("began")


def test_a_damaged_page_is_unavailable(tmp_path: Path) -> None:
    """It is noticed only when it is read, in the middle of the work: the schema is whole."""
    path = tmp_path / "mwl.db"
    engine = engines.create(f"sqlite:///{path}")
    migrations.upgrade(engine)
    with Link(engine, writing=False) as link, link.transaction() as connection:
        size = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
        root = text("SELECT rootpage FROM sqlite_master WHERE name = 'patients'")
        page = connection.execute(root).scalar_one()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)

    with Link(engine, writing=False) as link, pytest.raises(Unavailable) as caught:
        read(link)

    assert not isinstance(caught.value, CannotBegin)


def test_a_missing_file_is_not_made_up(tmp_path: Path) -> None:
    """Only an upgrade creates a database."""
    path = tmp_path / "mwl.db"

    with (
        Link(engines.create(f"sqlite:///{path}"), writing=True) as link,
        pytest.raises(CannotBegin),
        link.transaction(),
    ):
        pytest.fail("began")

    assert not path.exists()


def test_the_file_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    """It holds patient data."""
    path = tmp_path / "a b#c é.db"
    engine = engines.create(f"sqlite:///{path}")
    engines.make_file(engine)
    with Link(engine, writing=True) as link, link.transaction() as connection:
        connection.execute(text("CREATE TABLE t (c INTEGER)"))

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_size > 0


def test_a_server_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    """No server listens on that socket."""
    pytest.importorskip("psycopg")
    engine = engines.create(f"postgresql://mwl@/mwl?host={tmp_path}")

    with Link(engine, writing=True) as link, pytest.raises(CannotBegin), link.transaction() as connection:
        connection.execute(text("SELECT 1"))


def test_limits_of_the_url_are_kept(database_url: str) -> None:
    """What an administrator states about the connection wins over the defaults."""
    if not database_url.startswith("postgresql"):
        pytest.skip("SQLite connects to nobody")
    url = make_url(database_url).update_query_dict({"application_name": "worklist"})
    engine = engines.create(url.render_as_string(hide_password=False))

    with Link(engine, writing=False) as link, link.transaction() as connection:
        assert connection.execute(text("SHOW application_name")).scalar() == "worklist"
        assert connection.execute(text("SHOW lock_timeout")).scalar() == "5s"


def test_a_connection_that_fails_is_dropped_without_a_word(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be in the middle of many statements at once, where nothing can be rolled back any more."""
    if not database_url.startswith("postgresql"):
        pytest.skip("a file has no connection to lose")
    engine = engines.create(database_url)

    def broken_off(connection: Connection) -> None:
        """As a server that stops leaves the driver, with statements on their way."""
        connection.execute(text("SELECT 1"))
        connection.connection.driver_connection.pgconn.enter_pipeline_mode()
        raise OperationalError("INSERT", None, Exception("the server closed the connection"))

    with Link(engine, writing=True) as link:
        with pytest.raises(Unavailable), link.transaction() as connection:
            broken_off(connection)
        assert caplog.messages == []
        with link.transaction() as connection:
            assert connection.scalar(text("SELECT 1")) == 1
