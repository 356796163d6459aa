"""`mwl db`: the schema is created on demand, and its revision is shown."""

from __future__ import annotations

import pytest

from mwl.store.migrations import HEAD


@pytest.fixture(autouse=True)
def _configured(tmp_path):
    """Name a database that does not exist yet."""
    (tmp_path / "mwl.yaml").write_text(f"database: sqlite:///{tmp_path / 'new.db'}\n")


def test_a_database_that_does_not_exist_is_unavailable(mwl):
    """Looking never makes one."""
    assert mwl("db", "current").code == 69


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
