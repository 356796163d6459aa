"""A database is brought to the schema of the code, by one broker at a time, and never backwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, inspect, text

from mwl.errors import SchemaTooNew, Unavailable
from mwl.store import engine as engines
from mwl.store import migrations, open_store
from mwl.store.engine import Link
from mwl.store.tables import metadata


def described(connection: Connection) -> dict[str, object]:
    """The schema as the database tells it, whoever made it; names included."""
    if connection.dialect.name == "sqlite":
        statements = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
        # The order of a table's constraints means nothing, nor does white space.
        parts = {name: "".join(sql.split()).partition("(") for name, sql in statements}
        found = {
            name: (head, sorted(body.rpartition(")")[0].split(",")), body.rpartition(")")[2])
            for name, (head, _, body) in parts.items()
        }
    else:
        inspector = inspect(connection)
        found = {
            table: (
                [{**column, "type": repr(column["type"])} for column in inspector.get_columns(table)],
                inspector.get_pk_constraint(table),
                sorted(inspector.get_foreign_keys(table), key=lambda each: each["name"]),
                sorted(inspector.get_unique_constraints(table), key=lambda each: each["name"]),
                sorted(inspector.get_check_constraints(table), key=lambda each: each["name"]),
                sorted(inspector.get_indexes(table), key=lambda each: each["name"]),
            )
            for table in inspector.get_table_names()
        }
    found.pop("alembic_version", None)
    return found


def schema(engine: Engine) -> dict[str, object]:
    with Link(engine, writing=False) as link, link.transaction() as connection:
        return described(connection)


@pytest.fixture
def engine(empty_url: str) -> Engine:
    created = engines.create(empty_url)
    engines.make_file(created)
    return created


def test_upgrading_makes_exactly_the_tables_of_the_code(engine: Engine) -> None:
    """Tables, columns, constraints and indexes, as `tables.py` has them, and with the same names."""

    with Link(engine, writing=True) as link, link.transaction() as connection:
        metadata.create_all(connection)
    wanted = schema(engine)
    with Link(engine, writing=True) as link, link.transaction() as connection:
        metadata.drop_all(connection)
    migrations.upgrade(engine)

    assert schema(engine) == wanted


def test_alembic_finds_nothing_to_add(engine: Engine) -> None:
    """The next revision that it would write is empty."""
    migrations.upgrade(engine)

    with Link(engine, writing=False) as link, link.transaction() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_code_names_the_latest_revision(engine: Engine) -> None:
    """`HEAD`, which saves importing Alembic, is what an upgrade ends at."""
    before = migrations.current(engine)
    migrations.upgrade(engine)

    assert (before, migrations.current(engine)) == (None, migrations.HEAD)


def test_upgrading_twice_changes_nothing(engine: Engine) -> None:
    """An up-to-date database is left alone."""
    migrations.upgrade(engine)
    first = schema(engine)
    migrations.upgrade(engine)

    assert schema(engine) == first


def test_brokers_that_start_at_once_do_not_collide(engine: Engine) -> None:
    """One of them upgrades, the others find it done."""
    with ThreadPoolExecutor(4) as brokers:
        upgrades = [brokers.submit(migrations.upgrade, engine) for _ in range(4)]
        assert [upgrade.result() for upgrade in upgrades] == [None] * 4

    assert migrations.current(engine) == migrations.HEAD


def test_a_failing_upgrade_leaves_nothing_behind(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole upgrade is one transaction, on SQLite as well."""
    upgrade = migrations._upgrade

    def upgrade_and_fail(connection: Connection) -> None:
        upgrade(connection)
        raise KeyError("in the last step")

    monkeypatch.setattr(migrations, "_upgrade", upgrade_and_fail)
    with pytest.raises(KeyError):
        migrations.upgrade(engine)

    assert schema(engine) == {}
    assert migrations.current(engine) is None


def later(engine: Engine) -> None:
    """Mark the database as written by a later version."""
    migrations.upgrade(engine)
    with Link(engine, writing=True) as link, link.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))


@pytest.mark.parametrize("migrate", [True, False])
def test_a_later_schema_is_refused(engine: Engine, empty_url: str, migrate: bool) -> None:
    """A broker does not touch what it does not know."""
    later(engine)

    with pytest.raises(SchemaTooNew, match="9999"):
        open_store(empty_url, migrate=migrate)

    assert migrations.current(engine) == "9999"


def test_without_migrating_an_old_schema_is_refused(empty_url: str, engine: Engine) -> None:
    """A command that only looks does not change the schema by the way."""
    with pytest.raises(Unavailable, match="mwl db upgrade"):
        open_store(empty_url, migrate=False)

    assert migrations.current(engine) is None


def test_without_migrating_a_current_schema_is_taken(database_url: str) -> None:
    """The usual case."""
    store = open_store(database_url, migrate=False)
    store.close_now()

    assert store.engine.url.database


def test_a_folder_that_does_not_exist_is_unavailable(tmp_path: Path) -> None:
    """The broker says so instead of making folders."""
    with pytest.raises(Unavailable):
        open_store(f"sqlite:///{tmp_path / 'nowhere' / 'mwl.db'}")
