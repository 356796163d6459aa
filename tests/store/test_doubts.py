"""Doubts about steps: what is found anew is all there is, and what is done is in nobody's way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import update

from mwl.lifecycle import StepState
from mwl.model import OrderAction, OrderMessage, ProcedureChange
from mwl.store import Store, Transaction, doubts, journal, messages, orders
from mwl.store.doubts import Found
from mwl.store.journal import Wanted
from mwl.store.messages import MessageRecord
from mwl.store.outcome import Outcome
from mwl.store.tables import steps

WITHHELD = Found("CT1", "PatientName", "a value that the device requires is missing", True, "ct.yaml:7")
REFUSED = Found("CT2", "PatientID", "a value is longer than the device takes", False, "ct.yaml:9")


class Orders:
    """The steps S2 and S6, ordered by messages on record."""

    def __init__(self, store: Store, items) -> None:
        self.store = store
        self.message: dict[str, int] = {}
        self.step: dict[str, int] = {}
        self.done: dict[str, Outcome] = {}
        for name in ("S2", "S6"):
            self.order(name, items[name])

    def order(self, name: str, item) -> None:
        change = ProcedureChange(OrderAction.CREATE, item.procedure, (item.step,))
        order = OrderMessage("RIS", item.patient, (change,))

        def work(tx: Transaction) -> tuple[int, Outcome]:
            arrival = messages.arrived(tx, MessageRecord("127.0.0.1", name.encode(), control_id=name))
            done = orders.apply(tx, order, source="hl7 RIS 1", uid_root=None, told=())
            messages.answered(tx, arrival, "AA", b"")
            messages.link(tx, arrival.key, procedures=done.procedures, steps=done.steps)
            return arrival.key, done

        self.message[name], self.done[name] = self.store.write_now(work)
        (self.step[name],) = self.done[name].steps

    def found(self, name: str, *found: Found, message: bool = True) -> None:
        """Have this be what is doubtful about a step."""
        step, cause = self.step[name], self.message[name] if message else None
        self.store.write_now(lambda tx: doubts.replace(tx, {step: found}, {step: cause}))

    def close(self, name: str) -> None:
        """Have the exam done."""
        done = update(steps).where(steps.c.key == self.step[name]).values(state=StepState.COMPLETED.value)
        self.store.write_now(lambda tx: tx.connection.execute(done))

    def of(self, name: str) -> list[Found]:
        kept = self.store.read_now(lambda tx: doubts.of_steps(tx, [self.step[name]]))
        return [each.found for each in kept.get(self.step[name], ())]


@pytest.fixture
def placed(store: Store, f0_items) -> Iterator[Orders]:
    """Two orders."""
    return Orders(store, f0_items)


def test_what_was_found_is_kept_with_its_message(placed: Orders) -> None:
    """And found again by the step, and by the message that touched it."""
    placed.found("S2", WITHHELD, REFUSED)

    kept = placed.store.read_now(lambda tx: doubts.of_message(tx, placed.message["S2"]))
    (found,) = kept.values()
    assert [each.found for each in found] == [WITHHELD, REFUSED]
    assert {each.message_key for each in found} == {placed.message["S2"]}
    assert placed.of("S6") == []


def test_what_is_found_anew_takes_the_place_of_what_was_found_before(placed: Orders) -> None:
    """What is mended is gone; what stays keeps its time and its message."""
    placed.found("S2", WITHHELD, REFUSED)
    before = placed.store.read_now(lambda tx: doubts.of_steps(tx, [placed.step["S2"]]))

    placed.found("S2", REFUSED, message=False)

    after = placed.store.read_now(lambda tx: doubts.of_steps(tx, [placed.step["S2"]]))
    assert after == {placed.step["S2"]: [before[placed.step["S2"]][1]]}
    placed.found("S2")
    assert placed.of("S2") == []


def test_a_line_that_moved_is_told_where_it_stands_now(placed: Orders) -> None:
    """The same doubt with another line; and two lines that ask for one thing are one doubt."""
    moved = Found(WITHHELD.calling_ae, WITHHELD.path, WITHHELD.message, True, "ct.yaml:8")
    placed.found("S2", WITHHELD)

    placed.found("S2", WITHHELD, moved)
    assert placed.of("S2") == [moved]
    placed.found("S2", moved, WITHHELD)

    assert placed.of("S2") == [WITHHELD]


def test_of_one_step_a_bounded_number_is_kept(placed: Orders) -> None:
    """A profile with a thousand requirements fills no database."""
    many = [Found("CT1", f"(0019,{n:04X})", "missing", True) for n in range(doubts.PER_STEP + 1)]

    placed.found("S2", *many)

    assert len(placed.of("S2")) == doubts.PER_STEP


def test_a_step_that_is_gone_is_passed_over(store: Store) -> None:
    """It may have been purged between the look and the note."""
    store.write_now(lambda tx: doubts.replace(tx, {99: [WITHHELD]}, {}))

    assert store.read_now(doubts.doubtful) == []


def test_doubts_about_what_is_done_are_neither_shown_nor_kept(placed: Orders) -> None:
    """The exam was made: whatever the device thought of it."""
    placed.found("S2", WITHHELD)
    placed.found("S6", WITHHELD)
    placed.close("S2")

    assert (placed.of("S2"), placed.of("S6")) == ([], [WITHHELD])
    assert placed.store.write_now(doubts.forget_closed) == 1
    assert placed.store.read_now(doubts.doubtful) == [placed.step["S6"]]


def test_the_steps_in_doubt_are_listed_page_by_page(placed: Orders) -> None:
    """Each once, however many doubts there are."""
    placed.found("S2", WITHHELD, REFUSED)
    placed.found("S6", WITHHELD)

    first = placed.store.read_now(lambda tx: doubts.doubtful(tx, limit=1))
    rest = placed.store.read_now(lambda tx: doubts.doubtful(tx, after=first[0]))
    assert first + rest == sorted(placed.step.values())


def test_what_a_message_may_have_changed_are_the_open_steps_of_its_patients(placed: Orders) -> None:
    """By the patient, the procedure or the step it touched; a patient's name is in all of them."""
    done, step = placed.done["S2"], placed.step["S2"]

    def concerned(**keys):
        return placed.store.read_now(lambda tx: doubts.concerned(tx, **keys))

    assert concerned(procedures=done.procedures) == [step]
    assert concerned(steps=done.steps) == [step]
    assert concerned() == []
    placed.close("S2")
    assert concerned(steps=done.steps) == []


def test_the_journal_finds_the_messages_whose_steps_are_in_doubt(placed: Orders) -> None:
    """`mwl hl7 list --doubtful`."""
    placed.found("S6", REFUSED)

    entries = placed.store.read_now(lambda tx: journal.search(tx, Wanted(doubtful=True), limit=10))
    assert [entry.key for entry in entries] == [placed.message["S6"]]
