"""`mwl db`: the schema is created on demand, and its revision is shown."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from mwl.store.migrations import HEAD


@pytest.fixture(autouse=True)
def _configured(tmp_path):
    """Name a database that does not exist yet."""
    (tmp_path / "mwl.yaml").write_text(f"database: sqlite:///{tmp_path / 'new.db'}\n")


def test_a_database_that_does_not_exist_is_unavailable(mwl, tmp_path):
    """Looking never makes one; what makes one is told, and where it would be."""
    for words in (("db", "current"), ("steps", "list"), ("hl7", "list")):
        result = mwl(*words)

        assert result.code == 69
        assert f"there is no database at {tmp_path / 'new.db'}" in result.err
        assert '"mwl db upgrade"' in result.err
        assert "--config" in result.err
    assert not (tmp_path / "new.db").exists()


def test_upgrade_makes_the_schema_once(mwl):
    """A second upgrade finds it done."""
    assert mwl("db", "upgrade").code == 0
    assert mwl("db", "upgrade").code == 0

    result = mwl("db", "current", "--json")
    assert (result.code, result.json) == (0, {"database": HEAD, "program": HEAD})


def test_a_database_without_schema_is_a_finding(mwl, tmp_path):
    """An empty file is not what this program needs."""
    (tmp_path / "new.db").touch()

    result = mwl("db", "current")

    assert result.code == 1
    assert "without schema" in result.out


def test_a_backup_is_put_back(mwl, ris):
    """With what it holds; a file that exists, and a database with something in it, take a second word."""
    ris.sends(ris.order(code="CTHEAD"))
    made = mwl("db", "backup", "monday.db")
    again = mwl("db", "backup", "monday.db")
    forced = mwl("db", "backup", "monday.db", "--force")
    ris.store.close_now()

    refused = mwl("db", "restore", "monday.db")
    restored = mwl("db", "restore", "monday.db", "--force")

    assert (made.code, again.code, forced.code) == (0, 2, 0)
    assert made.out.startswith(f"monday.db: schema {HEAD}, ")
    assert (refused.code, restored.code) == (1, 0)
    assert "not empty" in refused.err
    assert restored.out == f"the database is that of monday.db, schema {HEAD}\n"
    assert "ACC1" in mwl("steps", "list", "--json").out


def test_a_database_that_does_not_exist_cannot_be_backed_up(mwl, tmp_path):
    """And no empty file is made that looks like a backup."""
    result = mwl("db", "backup", "monday.db")

    assert result.code == 69
    assert not (tmp_path / "monday.db").exists()


def test_a_file_that_is_no_backup_is_not_put_back(mwl, tmp_path):
    """What is wrong with it is said."""
    (tmp_path / "notes.txt").write_text("buy milk")

    result = mwl("db", "restore", "notes.txt")

    assert result.code == 1
    assert "not a backup of this program" in result.err


def test_a_schema_of_a_later_version_is_bad_configuration(mwl, tmp_path):
    """Every command ends with 78, so that no service manager starts the broker again and again."""
    mwl("db", "upgrade")
    with contextlib.closing(sqlite3.connect(tmp_path / "new.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()

    ended = [mwl(*each).code for each in (("db", "upgrade"), ("steps", "list"), ("serve",), ("import", "."))]

    assert ended == [78, 78, 78, 78]
    assert mwl("db", "current").code == 1
