"""Steps at hand answer a query as the store does."""

from __future__ import annotations

from dataclasses import replace

import pytest
from workbench.at_hand import step

from mwl.model import STEP_SEQUENCE, StepRef
from mwl.query import START_DATE, Criterion, Op, WorklistQuery
from mwl.store import Store, open_store, orders, steps
from mwl.workbench.in_memory import AtHand

EVERYTHING = WorklistQuery()


def keys(refs: list[StepRef]) -> list[int]:
    return [ref.key for ref in refs]


@pytest.mark.parametrize("limit", [None, 1, 2, 3, 9])
@pytest.mark.parametrize("nearest", [None, "20260705100000", "20260101000000"])
@pytest.mark.parametrize(
    "criteria",
    [
        (),
        (Criterion(START_DATE, Op.RANGE, ("20260705", "20260706")),),
        (Criterion((STEP_SEQUENCE, "00080060"), Op.IN, ("CT",)),),
        (Criterion((STEP_SEQUENCE, "00400007"), Op.WILDCARD, ("*2",)),),
    ],
)
def test_they_are_those_of_the_database_in_its_order(stored, criteria, limit, nearest):
    """Whatever is asked, with the one that tells of more behind a limit."""
    store, items = stored
    query = WorklistQuery(criteria, limit, nearest)

    found = AtHand(items).match(query)

    assert found == store.read_now(lambda tx: steps.match(tx, query))


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> tuple[Store, list]:
    """Five steps, in the database and as it gives them back."""
    from mwl.model import OrderAction, OrderMessage, ProcedureChange

    store = open_store(f"sqlite:///{tmp_path_factory.mktemp('db') / 'mwl.db'}")
    days = ["20260706", "20260705", "20260704", "20260705", "20260710"]
    made = [step(n, SPS__ScheduledProcedureStepStartDate=day) for n, day in enumerate(days, 1)]
    made[3].step["00080060"] = {"vr": "CS", "Value": ["MR"]}
    for each in made:
        change = ProcedureChange(OrderAction.CREATE, each.procedure, (each.step,))
        message = OrderMessage("RIS", each.patient, (change,))
        store.write_now(lambda tx, m=message: orders.apply(tx, m, source="test", uid_root=None, told=()))
    yield store, store.read_now(lambda tx: steps.load(tx, steps.match(tx, EVERYTHING)))
    store.close_now()


def test_a_step_on_hold_is_not_among_them():
    """It is on no worklist."""
    items = [step(1), replace(step(2), held=True)]

    assert keys(AtHand(items).match(EVERYTHING)) == [1]
    assert keys(AtHand(items).match(replace(EVERYTHING, held=True))) == [1, 2]


def test_what_is_loaded_comes_in_the_order_asked_for():
    """One that is gone is left out."""
    items = AtHand([step(1), step(2)])

    loaded = items.load([step(2).ref, StepRef(9, 1, 1, 1), step(1).ref])

    assert [item.ref.key for item in loaded] == [2, 1]
