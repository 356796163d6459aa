"""Comparisons with a draft are on record, one row a query and draft, and the record stays small."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from mwl.store import Store, open_store, queries, shadows
from mwl.store.queries import CapturedQuery
from mwl.store.shadows import Shadowed

NOON = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)
EXPLICIT = "1.2.840.10008.1.2.1"


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """A store whose clock goes on by a second whenever it is asked."""
    seconds = iter(range(10**6))
    opened = open_store(database_url, clock=lambda: NOON + dt.timedelta(seconds=next(seconds)))
    yield opened
    opened.close_now()


def note(store: Store, digest: str = "q1", draft: str = "d1", ae: str = "CT1", **differences: Any) -> None:
    row = Shadowed(ae, digest, "our-ct", draft, differences)
    store.write_now(lambda tx: shadows.record(tx, row))


def found(store: Store, **wanted: Any) -> list[Shadowed]:
    return store.read_now(lambda tx: shadows.browse(tx, **wanted))


def test_a_query_that_comes_again_is_counted_with_its_latest_differences(store: Store) -> None:
    """Even where nothing differs any more."""
    note(store, differs=True, name="王^小明")
    (before,) = found(store)
    note(store)
    (after,) = found(store)

    assert (before.count, before.differences) == (1, {"differs": True, "name": "王^小明"})
    assert (after.count, after.differences) == (2, {})
    assert after.last_at > before.last_at


def test_each_version_of_a_draft_has_its_own_rows(store: Store) -> None:
    """What an earlier version would have changed says nothing of this one."""
    note(store, draft="d1")
    note(store, draft="d2", differs=True)
    note(store, draft="d2", ae="CT2")

    rows = found(store, calling_ae="CT1", profile_digest="d2")

    assert [(row.profile_digest, row.differences) for row in rows] == [("d2", {"differs": True})]


def test_a_row_names_the_captured_query_while_it_is_on_record(store: Store) -> None:
    """The engineer goes on with `mwl queries show`."""
    query = CapturedQuery("CT1", b"keys", EXPLICIT, "2026-01-05T12:00:00+00:00", "0000", profile="our-ct")
    store.write_now(lambda tx: queries.record(tx, [query], per_device=10))
    note(store, query.digest)
    note(store, query.digest, ae="CT2")
    note(store, "gone")

    (number,) = [each.key for each in store.read_now(queries.browse)]
    assert [(row.calling_ae, row.query) for row in found(store)] == [
        ("CT1", None), ("CT2", None), ("CT1", number),
    ]  # fmt: skip


def test_the_oldest_are_forgotten(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that asks another question each time does not fill the database."""
    monkeypatch.setattr(shadows, "KEPT", 3)
    for number in range(5):
        note(store, f"q{number}")

    assert [row.query_digest for row in found(store)] == ["q4", "q3", "q2"]


def test_what_is_too_old_is_purged_in_pieces(store: Store) -> None:
    """A few rows a transaction."""
    for number in range(5):
        note(store, f"q{number}")
    middle = dt.datetime.fromisoformat(found(store)[2].last_at)

    purged = [store.write_now(lambda tx: shadows.purge(tx, middle, most=1)) for _ in range(3)]

    assert purged == [1, 1, 0]
    assert [row.query_digest for row in found(store)] == ["q4", "q3", "q2"]
