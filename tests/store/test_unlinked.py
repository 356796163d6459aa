"""What is remembered of exams without an order: no more is read than came, and nothing that came is missed."""

from __future__ import annotations

import datetime as dt

import pytest
from store.exams import IN_PROGRESS, U1, U2, U3, House, began, element, ended, order, unscheduled

from mwl.store import open_store, performed, unlinked
from mwl.store.transaction import stamp
from mwl.store.unlinked import Unlinked


def find(house: House, known: Unlinked, *numbers: str, days: float = 3) -> list[int]:
    since = stamp(house.now - dt.timedelta(days=days))
    return house.store.write_now(lambda tx: known.find(tx, numbers, since))


def exam(house: House, uid: str, accession: str) -> None:
    house.create(uid, began(unscheduled(t00080050=element("SH", accession)), patient=f"P{uid[-1]}"))


def test_exams_are_found_by_their_numbers_as_they_come(house: House) -> None:
    """Those that were there before, those that come later, and by their patients."""
    known = Unlinked()
    exam(house, U1, "A1")
    before = find(house, known, "A1"), find(house, known, "A2")
    exam(house, U2, "A2")

    assert before == ([1], [])
    assert (find(house, known, "A2"), find(house, known, "A1", "A2")) == ([2], [1, 2])
    assert find(house, known, "P1") == [1]


def test_a_linked_exam_is_not_remembered(house: House) -> None:
    """It waits for nobody."""
    house.send(order("1001", "S1"))
    house.create(U1)

    assert find(house, Unlinked(), "ACC1001", "PID001") == []


def test_a_key_that_was_given_anew_is_read_anew(house: House) -> None:
    """What was rolled back had the key that another exam has now."""
    known = Unlinked()

    def rolled_back(tx) -> None:
        sent = began(unscheduled(t00080050=element("SH", "A1")))
        performed.create(tx, U1, sent, calling_ae="CT1", told=())
        assert known.find(tx, ["A1"], "") == [1]
        raise ValueError("taken back")

    with pytest.raises(ValueError, match="taken back"):
        house.store.write_now(rolled_back)
    exam(house, U2, "A2")
    exam(house, U3, "A3")

    found = {number: find(house, known, number) for number in ("A2", "A3")}
    keys = {each.uid: each.key for each in map(house.exam, (U2, U3))}
    assert found == {"A2": [keys[U2]], "A3": [keys[U3]]}


def test_a_key_that_was_given_anew_is_forgotten_once(house: House) -> None:
    """To the same patient's next exam: days later the order that comes then is none the worse for it."""
    known = Unlinked()

    def rolled_back(tx) -> None:
        performed.create(tx, U1, began(unscheduled(), patient="P1"), calling_ae="CT1", told=())
        known.find(tx, ["P1"], "")
        raise ValueError("taken back")

    with pytest.raises(ValueError, match="taken back"):
        house.store.write_now(rolled_back)
    house.create(U2, began(unscheduled(), patient="P1"))
    found = find(house, known, "P1")
    house.now += dt.timedelta(days=4)

    assert house.exam(U2).key in found
    assert find(house, known, "P1") == []


def test_what_is_heard_of_again_is_not_old(house: House) -> None:
    """The exam of three days ago goes on today: it may still be an order's that comes now."""
    known = Unlinked()
    exam(house, U1, "A1")
    find(house, known, "A1")
    house.now += dt.timedelta(days=2)
    house.update(U1, ended(IN_PROGRESS) | {"00400254": element("LO", "goes on")})
    house.now += dt.timedelta(days=2)

    assert find(house, known, "A1") == [1]
    assert find(house, known, "A1", days=1) == []


def test_a_document_is_read_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many orders come after the exam: it may name thousands of images."""
    known, read = Unlinked(), []
    monkeypatch.setattr(unlinked, "load", lambda document: read.append(document) or {})
    exam(house, U1, "A1")

    for _ in range(3):
        find(house, known, "A1")

    assert len(read) == 1


def test_what_is_old_is_forgotten(house: House) -> None:
    """Memory holds the exams of some days, not of years."""
    known = Unlinked()
    exam(house, U1, "A1")
    find(house, known, "A1")
    house.now += dt.timedelta(days=4)
    exam(house, U2, "A1")

    assert find(house, known, "A1") == [2]
    assert len(known._known) == 1


def test_each_database_has_a_memory_of_its_own(house: House, tmp_path) -> None:
    """Keys of one mean nothing in another."""
    other = open_store(f"sqlite:///{tmp_path / 'other.db'}")
    first = house.store.write_now(unlinked.of)
    again = house.store.write_now(unlinked.of)
    second = other.write_now(unlinked.of)
    other.close_now()

    assert first is again is not second
