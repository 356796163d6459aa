"""What a change was about is found by the keys of what it touched."""

from __future__ import annotations

import pytest
from store.exams import ALL, order

from mwl.model import text
from mwl.store import Store, concerned, open_store, orders


@pytest.fixture
def store(database_url: str):
    """A store with two orders of one patient."""
    opened = open_store(database_url)
    for n in (1, 2):
        placed = order(f"100{n}", f"S{n}")
        opened.write_now(
            lambda tx, o=placed: orders.apply(tx, o, source="hl7 RIS 1", uid_root=None, told=ALL)
        )
    yield opened
    opened.close_now()


def test_procedures_come_with_their_patients_in_the_order_asked_for(store: Store):
    """What is not there any more is left out."""
    found = store.read_now(lambda tx: concerned.procedures_of(tx, [2, 99, 1]))

    assert [text(each.procedure, "00080050") for each in found] == ["ACC1002", "ACC1001"]
    assert {text(each.patient, "00100020") for each in found} == {"PID001"}


def test_procedures_are_found_by_their_steps(store: Store):
    """Each once, with the key of its patient; no steps, no procedures."""
    found = store.read_now(lambda tx: concerned.procedures_with(tx, [1, 2]))

    assert [(patient, text(each.procedure, "00080050")) for patient, each in found] == [
        (1, "ACC1001"),
        (1, "ACC1002"),
    ]
    assert store.read_now(lambda tx: concerned.procedures_with(tx, [])) == []


def test_patients_are_found_by_their_keys(store: Store):
    """As they stand now."""
    found = store.read_now(lambda tx: concerned.patients_of(tx, [1, 99]))

    assert {key: text(document, "00100020") for key, document in found.items()} == {1: "PID001"}
