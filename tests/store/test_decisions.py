"""Criteria that only documents decide: before the limit, and once for each step as it is."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from mwl.model import OrderAction, OrderMessage, ProcedureChange
from mwl.query import SOURCE, Criterion, Op, WorklistQuery
from mwl.store import Store, Transaction, orders, steps, tables

DESCRIPTION = ("00321060",)
EVEN = Criterion(DESCRIPTION, Op.REGEX, ("^Exam [0-9]*[02468]$",))


def order(tx: Transaction, number: int, system: str = "RIS", text: str = "") -> None:
    """Store an order with one step at minute *number* of the day."""
    procedure: dict[str, Any] = {
        "00401001": {"vr": "SH", "Value": [f"RP{number}"]},
        "00080050": {"vr": "SH", "Value": [f"A{number}"]},
        "0020000D": {"vr": "UI", "Value": [f"1.2.{number}"]},
        "00321060": {"vr": "LO", "Value": [text or f"Exam {number}"]},
    }
    step: dict[str, Any] = {
        "00400009": {"vr": "SH", "Value": [f"S{number}"]},
        "00400002": {"vr": "DA", "Value": ["20260705"]},
        "00400003": {"vr": "TM", "Value": [f"{number // 60:02}{number % 60:02}00"]},
    }
    patient: dict[str, Any] = {"00100020": {"vr": "LO", "Value": [f"P{number}"]}}
    change = ProcedureChange(OrderAction.CREATE, procedure, (step,))
    orders.apply(tx, OrderMessage(system, patient, (change,)), source="hl7", uid_root=None, told=())


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many steps each read of documents asked for."""
    found: list[int] = []
    load = steps.load
    monkeypatch.setattr(steps, "load", lambda tx, refs: (found.append(len(refs)), load(tx, refs))[1])
    return found


@pytest.mark.parametrize(
    ("nearest", "expected"),
    [(None, ["S2", "S4", "S6", "S8"]), ("20260705001000", ["S8", "S10", "S12", "S6"])],
    ids=["first", "nearest"],
)
def test_a_limit_counts_what_the_filter_leaves(
    store: Store, nearest: str | None, expected: list[str]
) -> None:
    """P10, P15: a regular expression is decided before the list is cut, and one more tells of overflow."""
    store.write_now(lambda tx: [order(tx, number) for number in range(1, 31)])
    query = WorklistQuery((EVEN,), limit=3, nearest=nearest)

    def work(tx: Transaction) -> list[str]:
        return [item.step["00400009"]["Value"][0] for item in steps.load(tx, steps.match(tx, query))]

    assert store.read_now(work) == expected


def test_what_was_decided_is_not_read_again(store: Store, loaded: list[int]) -> None:
    """A device polls: only a step that changed is looked at, and by its new words."""
    store.write_now(lambda tx: [order(tx, number) for number in range(1, 11)])
    decisions, query = steps.Decisions(), WorklistQuery((EVEN,))

    first = store.read_now(lambda tx: steps.match(tx, query, decisions))
    again = store.read_now(lambda tx: steps.match(tx, query, decisions))
    store.write_now(lambda tx: order(tx, 2, text="Something else"))
    changed = store.read_now(lambda tx: steps.match(tx, query, decisions))

    assert again == first
    assert len(changed) == len(first) - 1
    assert loaded == [10, 0, 1]


def test_decisions_are_of_their_own_criteria(store: Store) -> None:
    """The same steps asked something else are decided anew."""
    store.write_now(lambda tx: [order(tx, number) for number in range(1, 5)])
    decisions = steps.Decisions()
    odd = WorklistQuery((Criterion(DESCRIPTION, Op.REGEX, ("[13]$",)),))

    even = store.read_now(lambda tx: steps.match(tx, WorklistQuery((EVEN,)), decisions))
    others = store.read_now(lambda tx: steps.match(tx, odd, decisions))

    assert {ref.key for ref in even}.isdisjoint(ref.key for ref in others)
    assert len(even) + len(others) == 4


def test_decisions_are_bounded(store: Store, loaded: list[int]) -> None:
    """What has no room is decided again, and comes out the same."""
    store.write_now(lambda tx: [order(tx, number) for number in range(1, 7)])
    decisions, query = steps.Decisions(4), WorklistQuery((EVEN,))

    answers = [store.read_now(lambda tx: steps.match(tx, query, decisions)) for _ in range(3)]

    assert answers[0] == answers[1] == answers[2]
    assert len(decisions._made) <= 4
    assert loaded[1] > 0


def test_p11_the_system_that_ordered_is_a_condition_of_the_database(store: Store, loaded: list[int]) -> None:
    """No document is read for it, and the oracle says the same."""
    store.write_now(lambda tx: [order(tx, n, ("RIS", "CARDIO")[n % 2]) for n in range(1, 7)])
    for negate in (False, True):
        criterion = Criterion(SOURCE, Op.IN, ("CARDIO", "PORTAL"), negate)
        refs = store.read_now(lambda tx, c=criterion: steps.match(tx, WorklistQuery((c,))))
        assert loaded == []
        systems = {item.system for item in store.read_now(lambda tx, refs=refs: steps.load(tx, refs))}
        loaded.clear()

        assert len(refs) == 3
        assert systems == {"RIS" if negate else "CARDIO"}


def test_r5_a_document_that_is_none_does_not_cost_the_list(store: Store) -> None:
    """It counts as found: who sends the list leaves it out, and says why."""
    store.write_now(lambda tx: [order(tx, number) for number in range(1, 5)])
    broken = (
        update(tables.procedures)
        .where(tables.procedures.c.accession == "A1")
        .values(document='{"00321060": 7}')
    )
    store.write_now(lambda tx: tx.connection.execute(broken))

    found = store.read_now(lambda tx: steps.match(tx, WorklistQuery((EVEN,))))

    assert [ref.key for ref in found] == [1, 2, 4]
