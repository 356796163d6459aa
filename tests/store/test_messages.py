"""Messages are kept as they came, once however often they come, with their answers and their numbers."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from mwl.store import Store, Transaction, journal, messages, open_store
from mwl.store.allowances import Allowance, Limit
from mwl.store.messages import Attempt, KeyKind, MessageRecord, OnRecord, SearchKey
from mwl.store.tables import message_keys, message_links, patients, procedures, steps
from mwl.store.tables import messages as table

MESSAGE = MessageRecord(
    peer="127.0.0.1:50000",
    raw=b"MSH|^~\\&|RIS|HOSP\rPID|\xff\x00",
    system="RIS",
    application="RIS",
    facility="HOSP",
    control_id="4711",
    kind="ORM^O01",
    keys=(SearchKey(KeyKind.PATIENT, "PID001"), SearchKey(KeyKind.ACCESSION, "ACC1")),
)
ROOM = Limit(Allowance.REFUSED, 1_000_000)


def keep(
    store: Store,
    message: MessageRecord,
    outcome: str = "AA",
    answer: bytes | None = b"ACK",
    error: str = "",
) -> OnRecord:
    def work(tx: Transaction) -> OnRecord:
        arrival = messages.arrived(tx, message)
        messages.answered(tx, arrival, outcome, answer, error)
        return arrival

    return store.write_now(work)


def replayed(
    store: Store, key: int, message: MessageRecord, outcome: str, answer: bytes = b"ACK"
) -> OnRecord:
    def work(tx: Transaction) -> OnRecord:
        arrival = messages.resumed(tx, key, message)
        assert arrival is not None
        messages.answered(tx, arrival, outcome, answer)
        return arrival

    return store.write_now(work)


def stored(store: Store, key: int) -> journal.StoredMessage:
    found = store.read_now(lambda tx: journal.read(tx, key))
    assert found is not None
    return found


def count(store: Store) -> int:
    found = store.read_now(lambda tx: tx.connection.scalar(select(func.count()).select_from(table)))
    assert found is not None
    return found


def test_a_message_is_kept_as_it_came(store: Store) -> None:
    """Raw bytes, whatever they are, and what the header says."""
    key = keep(store, MESSAGE).key

    (row,) = store.read_now(lambda tx: tx.connection.execute(select(table)).all())
    assert (row.key, row.raw, row.peer) == (key, MESSAGE.raw, MESSAGE.peer)
    assert (row.system, row.kind, row.outcome, row.receipts) == ("RIS", "ORM^O01", "AA", 1)
    assert row.digest == messages.digest_of(MESSAGE.raw)
    assert row.received_at.endswith("+00:00")
    assert row.received_at == row.last_at == row.attempted_at


def test_a_repeated_message_finds_its_first_answer(store: Store) -> None:
    """Same sender, same control ID, same bytes (D-30): one row, counted."""
    first = keep(store, MESSAGE)
    again = keep(store, MESSAGE)

    assert first.earlier is None
    assert again == OnRecord(MESSAGE, first.key, Attempt("AA", b"ACK", ""))
    assert stored(store, first.key).entry.receipts == 2


def test_a_broker_that_answers_meanwhile_is_seen(store: Store) -> None:
    """What a message had come to is read from the row as it is when it is counted."""
    key = keep(store, MESSAGE, "AE", b"NAK", "error").key
    replayed(store, key, MESSAGE, "AA")

    assert keep(store, MESSAGE).earlier == Attempt("AA", b"ACK", "")


@pytest.mark.parametrize(
    "other", [replace(MESSAGE, raw=b"MSH|other"), replace(MESSAGE, control_id="4712", raw=b"MSH|4712")]
)
def test_anything_else_is_another_message(store: Store, other: MessageRecord) -> None:
    """Senders reset their counters."""
    keep(store, MESSAGE)

    assert keep(store, other).earlier is None
    assert count(store) == 2


def test_a_refused_message_that_comes_again_and_again_is_one(store: Store) -> None:
    """A sender that repeats every minute fills neither disk nor list; each time is counted."""
    for _ in range(50):
        arrival = keep(store, MESSAGE, "AE", b"NAK", "error: OBR-18: too long [102]")

    found = stored(store, arrival.key)
    assert count(store) == 1
    assert (found.entry.receipts, found.entry.outcome, found.other) == (50, "AE", ())
    assert found.entry.last_at > found.entry.received_at


def test_what_a_sender_was_told_before_is_kept(store: Store) -> None:
    """A message that was refused and, repeated, accepted shows both."""
    keep(store, MESSAGE, "AE", b"NAK", "error: OBR-18: too long [102]")
    key = keep(store, MESSAGE).key

    found = stored(store, key)

    assert (found.entry.outcome, found.acknowledgement, found.entry.error) == ("AA", b"ACK", "")
    assert [(each.outcome, each.acknowledgement, each.error) for each in found.other] == [
        ("AE", b"NAK", "error: OBR-18: too long [102]")
    ]
    assert found.other[0].attempted_at == found.entry.received_at


def test_a_replay_is_a_new_attempt_at_the_same_message(store: Store) -> None:
    """It is not counted as having come again, and every replay is told, even one that changed nothing."""
    key = keep(store, MESSAGE, "AE", b"NAK", "error").key
    replayed(store, key, MESSAGE, "AE", b"NAK2")
    replayed(store, key, MESSAGE, "AA")

    found = stored(store, key)

    assert (found.entry.receipts, found.entry.replayed, found.entry.outcome) == (1, True, "AA")
    assert [(each.outcome, each.replayed) for each in found.other] == [("AE", False), ("AE", True)]
    assert count(store) == 1


def test_a_replay_that_fails_takes_back_nothing(store: Store) -> None:
    """What the message did stands, and so does its answer; the attempt is told beside it."""
    key = keep(store, MESSAGE).key
    replayed(store, key, MESSAGE, "AE", b"NAK")

    found = stored(store, key)

    assert (found.entry.outcome, found.acknowledgement, found.entry.replayed) == ("AA", b"ACK", False)
    assert [(each.outcome, each.replayed) for each in found.other] == [("AE", True)]
    assert keep(store, MESSAGE).earlier == Attempt("AA", b"ACK", "")


def test_a_message_that_was_purged_cannot_be_taken_up_again(store: Store) -> None:
    """There is nothing to apply."""
    assert store.write_now(lambda tx: messages.resumed(tx, 999, MESSAGE)) is None


def test_what_is_known_of_a_message_is_what_is_known_now(store: Store) -> None:
    """Its system was configured, its profile mended: it is found under both from the replay on."""
    strange = replace(MESSAGE, system="", keys=())
    key = keep(store, strange, "AE", b"NAK", "error: MSH-3: this sender is not configured [103]").key

    replayed(store, key, MESSAGE, "AA")

    found = stored(store, key)
    assert (found.entry.system, found.keys) == ("RIS", tuple(sorted(MESSAGE.keys, key=lambda k: k.kind)))


def test_refused_messages_are_kept_while_there_is_room(store: Store) -> None:
    """What comes above the day's allowance is answered and counted; what is kept already costs none."""
    size = len(MESSAGE.raw)
    other = replace(MESSAGE, raw=MESSAGE.raw[:-1] + b"!")

    def refuse(message: MessageRecord) -> bool:
        limit = Limit(Allowance.REFUSED, size)

        def work(tx: Transaction) -> bool:
            if (arrival := messages.refused(tx, message, limit)) is not None:
                messages.answered(tx, arrival, "AE", b"NAK")
            return arrival is not None

        return store.write_now(work)

    assert [refuse(MESSAGE), refuse(other), refuse(MESSAGE)] == [True, False, True]
    assert count(store) == 1


def test_a_message_without_an_answer_has_none(store: Store) -> None:
    """An acknowledgement is never acknowledged."""
    key = keep(store, MESSAGE, "ignored", None).key

    assert stored(store, key).acknowledgement is None


def test_hostile_headers_and_numbers_are_kept_and_found(store: Store) -> None:
    """Nothing a message says is too long, too odd or too often to be kept and indexed."""
    numbers = tuple(SearchKey(KeyKind.ORDER, f"\x00\ud800{n}" + "9" * 10_000) for n in range(1000))
    odd = replace(
        MESSAGE,
        control_id="\x00\ud800" + "9" * 100_000,
        application="ä" * 5000,
        kind="\x00" * 500,
        peer="\x00",
        keys=(SearchKey(KeyKind.PATIENT, ""), *numbers),
    )
    key = keep(store, odd).key

    assert keep(store, odd).key == key
    assert keep(store, replace(odd, control_id=odd.control_id + "9")).key != key
    assert len(stored(store, key).keys) == messages.KEYS


def touched(tx: Transaction) -> None:
    tx.connection.execute(patients.insert(), {"key": 1, "patient_id": "P1", "document": "{}"})
    tx.connection.execute(patients.insert(), {"key": 9, "patient_id": "P9", "document": "{}"})
    tx.connection.execute(
        procedures.insert(),
        {"key": 2, "patient_key": 1, "system": "RIS", "study_instance_uid": "1.2.3", "document": "{}"},
    )
    tx.connection.execute(
        steps.insert(),
        {"key": 3, "procedure_key": 2, "step_id": "S1", "state": "SCHEDULED", "document": "{}"}
        | {"created_at": tx.stamp, "updated_at": tx.stamp},
    )


def test_a_message_is_linked_to_what_it_touched(store: Store) -> None:
    """Each patient, procedure and step is a row; a procedure brings its patient, and twice is once."""

    def work(tx: Transaction) -> int:
        touched(tx)
        arrival = messages.arrived(tx, MESSAGE)
        messages.answered(tx, arrival, "AA", b"ACK")
        key = arrival.key
        messages.link(tx, key, procedures=[2, 2], steps=[3])
        messages.link(tx, key, patients=[9], procedures=[2], steps=[3])
        messages.link(tx, key)
        return key

    key = store.write_now(work)

    names = ("message_key", "patient_key", "procedure_key", "step_key")
    links = select(*(message_links.c[name] for name in names))
    assert sorted(map(str, store.read_now(lambda tx: tx.connection.execute(links).all()))) == sorted(
        map(str, [(key, 1, None, None), (key, 9, None, None), (key, None, 2, None), (key, None, None, 3)])
    )


def test_numbers_are_rows_of_the_index_alone(store: Store) -> None:
    """One row a number, whatever padding it has."""
    padded = replace(MESSAGE, keys=(SearchKey(KeyKind.PATIENT, " P1 "), SearchKey(KeyKind.PATIENT, "P1")))
    key = keep(store, padded).key

    rows = store.read_now(lambda tx: tx.connection.execute(select(message_keys)).all())

    assert [tuple(row) for row in rows] == [("patient", "P1", key)]


def test_a_replay_and_the_sender_who_repeats_do_not_both_apply(store: Store, database_url: str) -> None:
    """Whoever comes second waits for the first, and learns that the message had its effect."""
    key = keep(store, MESSAGE, "AE", b"NAK", "error").key
    other = open_store(database_url, migrate=False)
    begun, sent = threading.Event(), threading.Event()

    def replay(tx: Transaction) -> None:
        taken = messages.resumed(tx, key, MESSAGE)
        assert taken is not None
        begun.set()
        assert sent.wait(10)
        messages.answered(tx, taken, "AA", b"ACK")

    replaying = store._writer.submit(replay)
    assert begun.wait(10)
    repeated = other._writer.submit(lambda tx: messages.arrived(tx, MESSAGE))
    sent.set()
    replaying.result(10)

    assert repeated.result(10).earlier == Attempt("AA", b"ACK", "")
    other.close_now()
