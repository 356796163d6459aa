"""Who was refused is on record, once a caller, and the record stays small."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest

from mwl.store import Store, callers, open_store
from mwl.store.callers import CallerFacts

NOON = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """A store whose clock goes on by a second whenever it is asked."""
    seconds = iter(range(10**6))
    opened = open_store(database_url, clock=lambda: NOON + dt.timedelta(seconds=next(seconds)))
    yield opened
    opened.close_now()


def knock(store: Store, title: str, reason: str = "unknown", version: str = "") -> None:
    facts = CallerFacts(title, "MWL", "127.0.0.1", reason, "1.2.3", version)
    store.write_now(lambda tx: callers.refused(tx, facts))


def test_a_caller_that_comes_again_is_counted(store: Store) -> None:
    """The row keeps the first time, the last time and the last reason."""
    knock(store, "CT9", "unknown calling AE title", "OLD")
    knock(store, "CT9", "wrong called AE title", "NEW")

    (caller,) = store.read_now(callers.browse)
    assert (caller.calling_ae, caller.called_ae, caller.address) == ("CT9", "MWL", "127.0.0.1")
    assert (caller.reason, caller.implementation_version) == ("wrong called AE title", "NEW")
    assert (caller.first_seen, caller.last_seen) == (
        "2026-01-05T12:00:00.000000+00:00",
        "2026-01-05T12:00:01.000000+00:00",
    )
    assert caller.count == 2


def test_the_latest_caller_comes_first(store: Store) -> None:
    """It is the one the engineer stands before."""
    for title in ("CT1", "CT2", "CT1"):
        knock(store, title)

    assert [caller.calling_ae for caller in store.read_now(callers.browse)] == ["CT1", "CT2"]
    assert [caller.calling_ae for caller in store.read_now(lambda tx: callers.browse(tx, limit=1))] == ["CT1"]


def test_made_up_titles_do_not_fill_the_database(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are forgotten."""
    monkeypatch.setattr(callers, "KEPT", 3)
    for number in range(5):
        knock(store, f"X{number}")

    assert [caller.calling_ae for caller in store.read_now(callers.browse)] == ["X4", "X3", "X2"]


def test_hostile_text_is_cut_and_cleaned(store: Store) -> None:
    """An AE title has 16 characters, and no database stores NUL everywhere."""
    knock(store, "A\x00" * 1000, "r" * 1000, "v" * 1000)

    (caller,) = store.read_now(callers.browse)
    assert caller.calling_ae == "A\ufffd" * 8
    assert (len(caller.reason), len(caller.implementation_version)) == (200, 16)
