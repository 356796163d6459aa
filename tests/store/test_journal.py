"""The journal is searched by number, sender, kind, outcome and time, and numbers are not searched by scanning."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from sqlalchemy import event

from mwl.store import Store, Transaction, journal, messages
from mwl.store.journal import Wanted
from mwl.store.messages import KeyKind, MessageRecord, SearchKey

BEGAN = dt.datetime(2026, 7, 5, 8, 0, tzinfo=dt.UTC)
NOW = [BEGAN]


def number(kind: str, value: str) -> SearchKey:
    return SearchKey(KeyKind(kind), value)


def message(n: int, **changes: object) -> MessageRecord:
    keys = (number("patient", f"P{n % 3}"), number("accession", f"ACC{n}"), number("order", f"PL{n}"))
    made = MessageRecord("10.0.0.1:1", f"MSH|{n}".encode(), "RIS", "RIS", "HOSP", f"C{n}", "ORM^O01", keys)
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.fixture
def filled(store: Store) -> Store:
    """Six messages, one an hour; the clock then stands at the sixth."""
    rows = [
        (message(1), "AA"),
        (message(2), "AE"),
        (message(3, system="HIS", kind="ADT^A08"), "AA"),
        (message(4, kind="ORM"), "AR"),
        (message(5, control_id="C1"), "AA"),
        (message(6, system="", kind=""), "AR"),
    ]
    for hour, (record, outcome) in enumerate(rows):
        now = BEGAN + dt.timedelta(hours=hour)
        store._writer._clock = lambda now=now: now

        def work(tx: Transaction, record: MessageRecord = record, outcome: str = outcome) -> None:
            messages.answered(tx, messages.arrived(tx, record), outcome, None, "" if outcome == "AA" else "x")

        store.write_now(work)
    return store


def found(store: Store, wanted: Wanted, limit: int = 100) -> list[int]:
    return [entry.key for entry in store.read_now(lambda tx: journal.search(tx, wanted, limit=limit))]


@pytest.mark.parametrize(
    ("wanted", "keys"),
    [
        (Wanted(), [6, 5, 4, 3, 2, 1]),
        (Wanted(keys=(number("accession", "ACC2"),)), [2]),
        (Wanted(keys=(number("accession", " ACC2 "),)), [2]),
        (Wanted(keys=(number("accession", "PL2"),)), []),
        (Wanted(keys=(number("order", "PL2"),)), [2]),
        (Wanted(keys=(number("patient", "P0"),)), [6, 3]),
        (Wanted(keys=(number("patient", "P0"), number("accession", "ACC3"))), [3]),
        (Wanted(control_id="C1"), [5, 1]),
        (Wanted(control_id="C"), []),
        (Wanted(system="HIS"), [3]),
        (Wanted(kind="ORM"), [5, 4, 2, 1]),
        (Wanted(kind="ORM^O01"), [5, 2, 1]),
        (Wanted(kind="%"), []),
        (Wanted(outcomes=("AE", "AR")), [6, 4, 2]),
        (Wanted(since=BEGAN + dt.timedelta(hours=4)), [6, 5]),
        (Wanted(until=BEGAN + dt.timedelta(hours=1)), [1]),
        (Wanted(outcomes=("AR",), since=BEGAN, until=BEGAN + dt.timedelta(hours=4)), [4]),
    ],
)
def test_a_search_finds_what_was_asked_for(filled: Store, wanted: Wanted, keys: list[int]) -> None:
    """Newest first; everything that is asked holds; for a replay the other way round."""
    assert found(filled, wanted) == keys
    assert filled.read_now(lambda tx: journal.in_order(tx, wanted)) == keys[::-1]


def test_the_newest_are_shown_when_there_are_too_many(filled: Store) -> None:
    """The limit cuts the oldest."""
    assert found(filled, Wanted(), limit=2) == [6, 5]


def test_a_message_that_comes_again_is_new_again(filled: Store) -> None:
    """It stands where it came last; its place in the order of a replay stays where it came first."""

    def work(tx: Transaction) -> None:
        messages.answered(tx, messages.arrived(tx, message(2)), "AE", None, "x")

    filled.write_now(work)

    assert found(filled, Wanted(outcomes=("AE", "AR")), limit=1) == [6]
    filled._writer._clock = lambda: BEGAN + dt.timedelta(hours=9)
    filled.write_now(work)
    assert found(filled, Wanted(outcomes=("AE", "AR")), limit=1) == [2]
    assert filled.read_now(lambda tx: journal.in_order(tx, Wanted(outcomes=("AE",)))) == [2]


@pytest.mark.parametrize(
    ("text", "key"), [("2", 2), (" 2 ", 2), ("C1", 5), ("C2", 2), ("99", None), ("9" * 40, None), ("", None)]
)
def test_a_message_is_named_by_its_key_or_its_control_id(filled: Store, text: str, key: int | None) -> None:
    """Of several with one control ID the latest is meant."""
    assert filled.read_now(lambda tx: journal.named(tx, text)) == key


def test_a_message_is_read_whole(filled: Store) -> None:
    """Bytes, numbers, the newest attempt."""
    read = filled.read_now(lambda tx: journal.read(tx, 2))

    assert read is not None
    assert (read.raw, read.entry.octets, read.entry.error, read.other) == (b"MSH|2", 5, "x", ())
    assert [key.value for key in read.keys] == ["ACC2", "PL2", "P2"]
    assert filled.read_now(lambda tx: journal.read(tx, 99)) is None


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(keys=(number("accession", "ACC2"),)),
        Wanted(keys=(number("patient", "P2"),), kind="ORM", system="RIS", since=BEGAN),
        Wanted(keys=(number("patient", "P2"),), outcomes=("AE",), since=BEGAN, until=BEGAN),
        Wanted(keys=(number("patient", "P2"),), system="RIS"),
        Wanted(control_id="C2"),
        Wanted(control_id="C2", outcomes=("AE",), until=BEGAN + dt.timedelta(days=1)),
    ],
)
@pytest.mark.parametrize("newest_first", [True, False])
def test_a_number_is_looked_up_and_not_looked_for(
    filled: Store, back_end: str, wanted: Wanted, newest_first: bool
) -> None:
    """The plan begins at the number's index: a million other messages cost nothing."""
    statements = []

    def work(tx: Transaction) -> str:
        @event.listens_for(tx.connection, "before_cursor_execute")
        def _note(_c, _cursor, statement, parameters, _context, _many):
            statements.append((statement, parameters))

        if newest_first:
            journal.search(tx, wanted, limit=100)
        else:
            journal.in_order(tx, wanted)
        event.remove(tx.connection, "before_cursor_execute", _note)
        if back_end == "postgresql":  # with six rows a scan is cheapest; forbidden, the index is what is left
            tx.connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        explain = "EXPLAIN" if back_end == "postgresql" else "EXPLAIN QUERY PLAN"
        ((statement, parameters),) = statements
        rows = tx.connection.exec_driver_sql(f"{explain} {statement}", parameters).all()
        return "\n".join(str(tuple(row)) for row in rows)

    plan = filled.read_now(work)

    assert "Seq Scan" not in plan
    assert "SCAN" not in plan
    assert "pk_message_keys" in plan or "ix_messages_control_id_digest" in plan or "PRIMARY KEY" in plan
