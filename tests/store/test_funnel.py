"""Steps counted within bounds, and those that come closest: as the selection for devices finds them."""

from __future__ import annotations

import pytest

from mwl.model import OrderAction, OrderMessage, ProcedureChange, WorklistItem
from mwl.query import START_DATE, Criterion, Op
from mwl.store import Store, conditions, funnel, links, orders, steps, transitions
from mwl.store.funnel import Count

CT = Criterion(conditions.MODALITY, Op.IN, ("CT",))
DESCRIBED = Criterion(("00321060",), Op.WILDCARD, ("Procedure RP1*",))  # decided on documents
DAY = Criterion(START_DATE, Op.RANGE, ("20260705", "20260705"))


@pytest.fixture
def filled(store: Store, f0_items: dict[str, WorklistItem]) -> Store:
    """The store with the standard's data set, in the order of its steps."""
    for item in f0_items.values():
        change = ProcedureChange(OrderAction.CREATE, item.procedure, (item.step,))
        message = OrderMessage("RIS", item.patient, (change,))
        store.write_now(lambda tx, m=message: orders.apply(tx, m, source="hl7 RIS 1", uid_root=None, told=()))
    return store


def ids(store: Store, refs) -> list[str]:
    """Return the step IDs of references, in their order."""
    found = store.read_now(lambda tx: steps.load(tx, refs))
    return [item.step["00400009"]["Value"][0] for item in found]


@pytest.mark.parametrize(
    ("criteria", "number"),
    [((), 12), ((CT,), 6), ((CT, DAY), 5), ((DESCRIBED,), 11), ((CT, DESCRIBED), 5)],
)
def test_steps_are_counted_as_they_are_matched(filled, criteria, number):
    """Whether columns decide, or documents."""
    assert filled.read_now(lambda tx: funnel.count(tx, criteria)) == Count(number)


@pytest.mark.parametrize("criteria", [(CT,), (DESCRIBED,)])
def test_counting_ends_at_its_bound_and_says_so(filled, monkeypatch, criteria):
    """A million steps must not hold up the database that answers devices."""
    monkeypatch.setattr(funnel, "COUNTED", 3)
    monkeypatch.setattr(funnel, "EXAMINED", 3)

    counted = filled.read_now(lambda tx: funnel.count(tx, criteria))

    assert counted.at_least
    assert counted.number <= 3


def test_a_count_that_meets_its_bound_exactly_is_exact(filled, monkeypatch):
    """Nothing is left uncounted."""
    monkeypatch.setattr(funnel, "COUNTED", 6)

    assert filled.read_now(lambda tx: funnel.count(tx, (CT,))) == Count(6)


def test_steps_on_hold_count_where_they_are_asked_for(filled):
    """On a device's list they never are."""
    filled.write_now(lambda tx: transitions.hold(tx, 1, held=True, source="hl7 RIS 2"))

    shown, all_ = filled.read_now(lambda tx: (funnel.count(tx, (CT,)), funnel.count(tx, (CT,), held=True)))

    assert (shown, all_) == (Count(5), Count(6))


@pytest.mark.parametrize(("criteria", "wanted"), [((CT,), ["S12", "S11"]), ((DESCRIBED,), ["S11", "S10"])])
def test_the_newest_came_last(filled, criteria, wanted):
    """Whenever they start."""
    assert ids(filled, filled.read_now(lambda tx: funnel.newest(tx, criteria, 2))) == wanted


@pytest.mark.parametrize(
    ("criteria", "wanted"), [((CT,), ["S2", "S11", "S1"]), ((DESCRIBED,), ["S2", "S11", "S1"])]
)
def test_the_nearest_start_around_the_instant(filled, criteria, wanted):
    """Before it and after it, the nearest first."""
    found = filled.read_now(lambda tx: funnel.nearest(tx, criteria, "20260705104500", 3))

    assert ids(filled, found) == wanted


def test_a_patient_id_leads_to_the_patient_it_was_merged_into(filled, f0_items):
    """Whoever issued it; an ID nobody has leads nowhere."""
    known, unknown = filled.read_now(
        lambda tx: (links.of_patient_id(tx, "PID001"), links.of_patient_id(tx, "PID999"))
    )

    assert sorted((each.issuer, each.merged_into) for each in known) == [("HOSP_A", None), ("HOSP_B", None)]
    assert unknown == []
