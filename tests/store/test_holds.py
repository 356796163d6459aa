"""A step on hold is on no worklist, however it is asked for; people see it."""

from __future__ import annotations

import pytest
from store.ris import Ris, bind, order

from mwl.model import STEP_SEQUENCE
from mwl.query import START_DATE, Criterion, Op, WorklistQuery
from mwl.store import Store, steps

QUERIES = {
    "everything": (),
    "its station": (Criterion((STEP_SEQUENCE, "00400001"), Op.IN, ("CT_1",)),),
    "its day": (Criterion(START_DATE, Op.RANGE, ("20260705", "20260705")),),
    "its patient's name": (Criterion(("00100010",), Op.NAME, ("DOE*",)),),
    "its study": (Criterion(("0020000D",), Op.IN, ("1.2.276.0.99.1",)),),
    "its state, by name": (Criterion((STEP_SEQUENCE, "00400020"), Op.IN, ("SCHEDULED",)),),
    "what no column holds": (Criterion((STEP_SEQUENCE, "00400007"), Op.PRESENT),),
}


@pytest.fixture
def ris(store: Store) -> Ris:
    """A system with one order for CT_1."""
    system = Ris(store, bind())
    system.send(order(ORC_18="CT_1"))
    return system


@pytest.mark.parametrize("asked", QUERIES)
@pytest.mark.parametrize("limited", [{}, {"limit": 10}, {"limit": 10, "nearest": "20260705"}])
def test_a_held_step_matches_nothing(ris: Ris, asked: str, limited: dict) -> None:
    """Whatever condition leads to it, and however many are asked for."""
    query = WorklistQuery(QUERIES[asked], **limited)

    def found() -> tuple[int, int]:
        return ris.store.read_now(lambda tx: (len(steps.match(tx, query)), steps.count(tx, query)))

    before = found()
    ris.send(order(ORC_1="HD"))
    held = found()
    ris.send(order(ORC_1="RL"))

    assert (before, held, found()) == ((1, 1), (0, 0), (1, 1))


def test_people_see_what_is_on_hold(ris: Ris) -> None:
    """Browsing finds it, and says that it is held."""
    ris.send(order(ORC_1="HD"))

    (found,) = ris.store.read_now(lambda tx: steps.browse(tx, accession="ACC1"))

    assert found.held
