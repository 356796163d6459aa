"""Messages are kept as they came, with their answer, and found again by who sent what."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import select

from mwl.store import Store, Transaction, messages
from mwl.store.messages import MessageRecord, StoredMessage
from mwl.store.tables import message_links, patients, procedures, steps
from mwl.store.tables import messages as table

MESSAGE = MessageRecord(
    peer="127.0.0.1:50000",
    raw=b"MSH|^~\\&|RIS|HOSP\rPID|\xff\x00",
    system="RIS",
    application="RIS",
    facility="HOSP",
    control_id="4711",
    kind="ORM^O01",
)


def keep(store: Store, message: MessageRecord, outcome: str = "AA", answer: bytes | None = b"ACK") -> int:
    def work(tx: Transaction) -> int:
        key = messages.record(tx, message)
        messages.answered(tx, key, outcome, answer)
        return key

    return store.write_now(work)


def find(store: Store, message: MessageRecord) -> StoredMessage | None:
    return store.read_now(
        lambda tx: messages.find(
            tx, message.application, message.facility, message.control_id, message.digest
        )
    )


def test_a_message_is_kept_as_it_came(store: Store) -> None:
    """Raw bytes, whatever they are, and what the header says."""
    keep(store, MESSAGE)

    (row,) = store.read_now(lambda tx: tx.connection.execute(select(table)).all())
    assert (row.raw, row.peer, row.system, row.kind) == (MESSAGE.raw, MESSAGE.peer, "RIS", "ORM^O01")
    assert row.digest == messages.digest_of(MESSAGE.raw)
    assert row.received_at.endswith("+00:00")


def test_a_repeated_message_finds_its_first_answer(store: Store) -> None:
    """Same sender, same control ID, same bytes (D-30)."""
    key = keep(store, MESSAGE)

    found = find(store, MESSAGE)

    assert found is not None
    assert (found.key, found.outcome, found.acknowledgement, found.error) == (key, "AA", b"ACK", "")


def test_anything_else_is_another_message(store: Store) -> None:
    """Senders reset their counters, and two senders may count alike."""
    keep(store, MESSAGE)

    assert find(store, replace(MESSAGE, raw=b"MSH|other")) is None
    assert find(store, replace(MESSAGE, application="HIS")) is None
    assert find(store, replace(MESSAGE, facility="")) is None
    assert find(store, replace(MESSAGE, control_id="4712")) is None


def test_the_latest_of_equal_messages_is_found(store: Store) -> None:
    """One that was refused may have been accepted when it came again."""
    keep(store, MESSAGE, "AE", b"NAK")
    keep(store, MESSAGE)

    found = find(store, MESSAGE)

    assert found is not None
    assert found.outcome == "AA"


def test_a_message_without_an_answer_has_none(store: Store) -> None:
    """An acknowledgement is never acknowledged."""
    keep(store, MESSAGE, "ignored", None)

    found = find(store, MESSAGE)

    assert found is not None
    assert (found.outcome, found.acknowledgement) == ("ignored", None)


def test_hostile_headers_are_kept_and_found(store: Store) -> None:
    """Nothing a header says is too long or too odd to be indexed."""
    odd = replace(MESSAGE, control_id="\x00\ud800" + "9" * 100_000, application="ä" * 5000, kind="\x00" * 500)
    key = keep(store, odd)

    found = find(store, odd)

    assert found is not None
    assert found.key == key
    assert find(store, replace(odd, control_id=odd.control_id + "9")) is None


def test_a_message_is_linked_to_what_it_touched(store: Store) -> None:
    """Each procedure and each step is a row."""

    def work(tx: Transaction) -> int:
        tx.connection.execute(patients.insert(), {"key": 1, "patient_id": "P1", "document": "{}"})
        tx.connection.execute(
            procedures.insert(),
            {"key": 2, "patient_key": 1, "system": "RIS", "study_instance_uid": "1.2.3", "document": "{}"},
        )
        tx.connection.execute(
            steps.insert(),
            {"key": 3, "procedure_key": 2, "step_id": "S1", "state": "SCHEDULED", "document": "{}"}
            | {"created_at": tx.stamp, "updated_at": tx.stamp},
        )
        key = messages.record(tx, MESSAGE)
        messages.link(tx, key, procedures=[2], steps=[3])
        messages.link(tx, key)
        return key

    key = store.write_now(work)

    links = select(message_links.c.message_key, message_links.c.procedure_key, message_links.c.step_key)
    assert set(store.read_now(lambda tx: tx.connection.execute(links).all())) == {
        (key, 2, None),
        (key, None, 3),
    }
