"""A short read in the event loop waits for nobody: what cannot be had at once is had in a thread."""

from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy import text

from mwl.store import NotAtOnce, open_store


@pytest.fixture
def path(tmp_path):
    return tmp_path / "glance.db"


@pytest.fixture
def store(path):
    opened = open_store(f"sqlite:///{path}")
    yield opened
    opened.close_now()


def ask(tx) -> int:
    return tx.connection.execute(text("SELECT count(*) FROM steps")).scalar_one()


def test_a_glance_sees_what_was_committed(store) -> None:
    """It is a read like any other."""
    assert store.glance(ask) == 0


def test_a_glance_changes_nothing(store) -> None:
    """SQLite refuses: the connection is for reading alone."""
    with pytest.raises(NotAtOnce):
        store.glance(lambda tx: tx.connection.execute(text("DELETE FROM steps")))


def test_a_glance_does_not_wait_for_a_lock(store, path) -> None:
    """Somebody has the file to himself: the loop goes on, and a thread will wait."""
    alone = sqlite3.connect(path, isolation_level=None)
    alone.execute("PRAGMA journal_mode=DELETE")
    alone.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(NotAtOnce):
            store.glance(ask)
    finally:
        alone.close()
    assert store.glance(ask) == 0


def test_f54_a_glance_that_takes_long_is_none(store) -> None:
    """Who is served in the loop beside it does not wait; the next one is quick again."""
    counting = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"  # without end

    with pytest.raises(NotAtOnce):
        store.glance(lambda tx: tx.connection.execute(text(counting)))

    assert store.glance(ask) == 0


def test_a_database_that_vanished_is_no_glance(store, path) -> None:
    """Whoever asks then in a thread is told why."""
    store.glance(ask)
    path.unlink()

    with pytest.raises(NotAtOnce):
        store.glance(ask)


def test_postgresql_is_elsewhere(postgresql, postgresql_template) -> None:
    """A server across the network is never asked in the event loop."""
    name = postgresql.make(postgresql_template)
    opened = open_store(postgresql.at(name))
    try:
        with pytest.raises(NotAtOnce):
            opened.glance(ask)
    finally:
        opened.close_now()
        postgresql.drop(name)
