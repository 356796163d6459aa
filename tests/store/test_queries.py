"""Queries are on record as they came, a repeated one once, and the record stays small."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest

from mwl.store import Store, queries
from mwl.store.associations import AssociationRecord
from mwl.store.queries import CapturedQuery, LeftOut

NOON = dt.datetime(2026, 7, 5, 12, tzinfo=dt.UTC)
EXPLICIT = "1.2.840.10008.1.2.1"
FIND = "1.2.840.10008.5.1.4.31"
LEFT_OUT = LeftOut(7, "too long", "PatientID", "ours.yaml:3")


def at(seconds: float) -> str:
    """Return an instant as the tables hold it."""
    return (NOON + dt.timedelta(seconds=seconds)).isoformat(timespec="microseconds")


def query(n: int = 0, calling: str = "CT1", **facts: Any) -> CapturedQuery:
    """Return a query as it is seen *n* seconds after noon; each n has an identifier of its own."""
    seen = {"identifier": b"key %d" % n, "transfer_syntax": EXPLICIT, "last_at": at(n), "status": "0000"}
    return CapturedQuery(calling, **{**seen, "profile": "generic", "profile_digest": "d1", **facts})


def record(store: Store, *seen: CapturedQuery, per_device: int = 100) -> None:
    store.write_now(lambda tx: queries.record(tx, seen, per_device=per_device))


def kept(store: Store, **wanted: Any) -> list[str]:
    """Return identifiers on record."""
    return [each.identifier.decode() for each in store.read_now(lambda tx: queries.browse(tx, **wanted))]


def test_a_query_is_read_as_it_was_recorded(store: Store) -> None:
    """With who asked, and all that became of it."""
    seen = query(
        called_ae="MWL",
        address="10.0.0.7",
        implementation_uid="1.2.3",
        implementation_version="SCANNER_1",
        association=AssociationRecord.of([(FIND, [EXPLICIT])], max_pdu=16384, fuzzy=True),
        matched=3,
        sent=2,
        left_out=(LEFT_OUT,),
        left_out_count=1,
        microseconds=1234,
    )

    record(store, seen)

    found = store.read_now(lambda tx: queries.get(tx, 1))
    assert found == dataclasses.replace(seen, key=1, first_at=at(0))
    assert (found.fuzzy, found.timezone, found.held) == (True, False, False)


def test_a_repeated_query_is_one_row_with_the_latest_answer(store: Store) -> None:
    """A poll is counted; when it came first is kept."""
    record(store, query(0, status="C001"))
    record(store, query(0, last_at=at(30), count=2, sent=4, matched=4, profile_digest="d2"))

    (found,) = store.read_now(queries.browse)
    assert (found.count, found.first_at, found.last_at) == (3, at(0), at(30))
    assert (found.status, found.sent, found.profile_digest) == ("0000", 4, "d2")


def test_the_same_keys_of_another_device_or_in_another_syntax_are_others(store: Store) -> None:
    """What is compared is who asked, and the bytes with how they are to be read."""
    record(store, query(0), query(0, "CT2"), query(0, transfer_syntax="1.2.840.10008.1.2"))

    assert len(store.read_now(queries.browse)) == 3


def test_queries_are_found_as_an_engineer_asks_for_them(store: Store) -> None:
    """By device, status, emptiness, quarantine and time; the latest first."""
    record(
        store,
        query(1, sent=2),
        query(2),
        query(3, status="A900"),
        query(4, "CT2"),
        query(5, "CT9", status="0124", profile=""),
    )

    assert kept(store) == ["key 5", "key 4", "key 3", "key 2", "key 1"]
    assert kept(store, calling_ae="CT1") == ["key 3", "key 2", "key 1"]
    assert kept(store, calling_ae="CT1", empty=True) == ["key 3", "key 2"]
    assert kept(store, statuses=["A900", "0124"]) == ["key 5", "key 3"]
    assert kept(store, held=True) == ["key 5"]
    assert kept(store, since=NOON + dt.timedelta(seconds=4)) == ["key 5", "key 4"]
    assert kept(store, limit=1) == ["key 5"]


def test_the_last_query_of_a_device(store: Store) -> None:
    """None of one that never asked."""
    record(store, query(1), query(2), query(3, "CT2"))

    last = store.read_now(lambda tx: queries.last(tx, "CT1"))
    assert last is not None
    assert last.identifier == b"key 2"
    assert store.read_now(lambda tx: queries.last(tx, "CT3")) is None
    assert store.read_now(lambda tx: queries.get(tx, 99)) is None


def test_of_each_device_the_latest_are_kept(store: Store) -> None:
    """One that asks much takes no room from another."""
    record(store, *(query(n) for n in range(5)), query(0, "CT2"), per_device=2)

    assert kept(store, calling_ae="CT1") == ["key 4", "key 3"]
    assert kept(store, calling_ae="CT2") == ["key 0"]


def test_made_up_titles_do_not_fill_the_database(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """All devices together have a bound, and callers in quarantine a smaller one."""
    monkeypatch.setattr(queries, "KEPT", 4)
    monkeypatch.setattr(queries, "HELD", 2)

    record(store, query(0))
    for n in range(1, 6):
        record(store, query(n, f"X{n}", profile="", status="0124"))

    assert kept(store) == ["key 5", "key 4", "key 0"]
    for n in range(6, 12):
        record(store, query(n, f"Y{n}"))
    assert kept(store) == ["key 11", "key 10", "key 9", "key 8"]


def test_what_is_old_and_what_is_too_much_is_purged(store: Store) -> None:
    """A number that a reload made smaller counts for devices that ask no more, too."""
    record(store, *(query(n) for n in range(6)))

    def purge(before: float | None, per_device: int, most: int = 10) -> int:
        instant = None if before is None else NOON + dt.timedelta(seconds=before)
        return store.write_now(lambda tx: queries.purge(tx, instant, per_device, most=most))

    assert purge(None, 100) == 0
    assert purge(2, 100) == 2
    assert kept(store) == ["key 5", "key 4", "key 3", "key 2"]
    assert purge(3, 2, most=1) == 1
    assert purge(None, 2) == 1
    assert kept(store) == ["key 5", "key 4"]


def test_who_asked_is_listed_with_what_it_asked_last(store: Store) -> None:
    """How often, and when it was last sent anything."""
    record(store, query(1, sent=3, count=4), query(2), query(3, "CT2"))

    first, second = store.read_now(queries.askers)
    assert (first.latest.calling_ae, first.times, first.last_sent_at) == ("CT2", 1, "")
    assert (second.latest.calling_ae, second.latest.identifier) == ("CT1", b"key 2")
    assert (second.times, second.last_sent_at) == (5, at(1))


def test_hostile_text_is_cut_and_cleaned(store: Store) -> None:
    """No database stores NUL everywhere, and a list of what was left out has an end."""
    many = tuple(LeftOut(n, "r\x00") for n in range(500))
    record(
        store,
        query(0, "A\x00" * 100, implementation_version="v" * 99, left_out=many, left_out_count=500),
    )

    (found,) = store.read_now(queries.browse)
    assert (found.calling_ae, found.implementation_version) == ("A\ufffd" * 8, "v" * 16)
    assert (len(found.left_out), found.left_out_count) == (queries.LISTED, 500)
