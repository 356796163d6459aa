"""Exams that came before their orders."""

from __future__ import annotations

import datetime as dt

import pytest
from store.exams import (
    ACCESSION,
    DISCONTINUED,
    FILLER,
    PLACER,
    REQUESTED,
    STEP_ID,
    U1,
    U2,
    WRONG_ENTRY,
    House,
    began,
    element,
    ended,
    merge,
    order,
    study,
    unscheduled,
)

from mwl.conduct import Conduct, Conducts, Key, Rung
from mwl.model import OrderAction
from mwl.store import adopting
from mwl.store.linking import Remark


@pytest.mark.parametrize(
    ("number", "rule"),
    [
        pytest.param({PLACER: element("LO", "P1001")}, "placer number", id="placer"),
        pytest.param({FILLER: element("LO", "F1001")}, "filler number", id="filler"),
        pytest.param({ACCESSION: element("SH", "ACC1001")}, "accession number + station", id="accession"),
        pytest.param(
            {STEP_ID: element("SH", "S1"), REQUESTED: element("SH", "RP1001")},
            "step ID + requested procedure ID",
            id="step and procedure",
        ),
        pytest.param({"0020000D": element("UI", study("1001"))}, "Study Instance UID", id="F-M19 study"),
    ],
)
def test_an_order_finds_its_exam_by_any_number(house: House, number: dict, rule: str) -> None:
    """The exam that waited starts the step of the order, and the RIS hears of it."""
    house.create(U1, began(unscheduled() | number))
    house.update()

    [key] = house.send(order("1001", "S1"))

    assert (house.states, house.heard, house.rules) == (["COMPLETED"], ["IP", "CM"], {key: rule})
    assert Remark.UNSCHEDULED not in house.exam().remarks


def test_an_order_finds_its_exam_when_its_number_comes_later(house: House) -> None:
    """The accession number of a known order is told by an update."""
    house.create(U1, began(unscheduled(t00080050=element("SH", "ACC77"))))
    house.send(order("1001", "S1"))
    before = house.states

    house.send(order("1001", "S1", action=OrderAction.UPDATE, t00080050=element("SH", "ACC77")))

    assert (before, house.states) == (["SCHEDULED"], ["STARTED"])


EMERGENCY = Rung((Key.PATIENT, Key.STATION), dt.timedelta(hours=2))


def test_an_order_finds_its_exam_by_patient_and_time_where_a_profile_says_so(house: House) -> None:
    """Ordered after the emergency, for the time at which it was."""
    house.device("CT1", ladder=(EMERGENCY,))
    house.create(U1, began(unscheduled(), start="20260705 083000"))

    house.send(order("1001", "S1", start="20260705 090000"))

    assert house.states == ["STARTED"]


def test_an_order_finds_none_by_patient_and_time_by_itself(house: House) -> None:
    """The patient's next exam is not the one that was done: it stays on the worklist, and is proposed."""
    house.create(U1, began(unscheduled(), start="20260705 083000"))

    house.send(order("1001", "S1", start="20260705 090000"))

    assert (house.states, house.rules) == (["SCHEDULED"], {})


def test_of_two_exams_in_the_time_neither_is_the_orders(house: House) -> None:
    """Each of the two would be: which one is a person's decision."""
    house.device("CT1", ladder=(EMERGENCY,))
    house.create(U1, began(unscheduled(), start="20260705 083000"))
    house.create(U2, began(unscheduled("1.2.3.4.6"), start="20260705 084500"))

    house.send(order("1001", "S1", start="20260705 090000"))
    house.send(order("1002", "S2", start="20260705 091500"))

    assert (house.rules, house.states) == ({}, ["SCHEDULED"] * 2)
    assert Remark.AMBIGUOUS in house.exam(U1).remarks


def test_an_exam_of_long_ago_is_found_by_its_study_alone(house: House) -> None:
    """Accession numbers begin anew; a study is for ever."""
    house.create(U1, began(unscheduled(t00080050=element("SH", "ACC1001"))))
    house.create(U2, began(unscheduled(study("1002"))))
    house.now += adopting.RECENT + dt.timedelta(minutes=1)

    house.send(order("1001", "S1"))
    house.send(order("1002", "S2"))

    assert house.states == ["SCHEDULED", "STARTED"]


def test_a_number_that_is_part_of_another_finds_nothing(house: House) -> None:
    """ACC1 is not ACC11, and a wildcard no wildcard."""
    house.create(U1, began(unscheduled(t00080050=element("SH", "ACC11"))))
    house.create(U2, began(unscheduled(t00080050=element("SH", "%"))))

    house.send(order("1", "S1"))
    house.send(order("2", "S2", t00080050=element("SH", "_%")))

    assert (house.states, house.rules) == (["SCHEDULED"] * 2, {})


def test_a_number_in_any_letters_is_found(house: House) -> None:
    """What is stored is ASCII; what is looked for is not."""
    house.create(U1, began(unscheduled(t00080050=element("SH", 'Ä"1\\'))))

    house.send(order("1", "S1", t00080050=element("SH", 'Ä"1\\')))

    assert house.states == ["STARTED"]


def test_an_exam_that_a_person_has_unlinked_stays_unlinked(house: House) -> None:
    """The order is sent again: nothing is undone of what she did."""
    [key] = house.send(order("1001", "S1"))
    house.create(U1, began(unscheduled(study("1001"))))
    house.unlink(house.exam().key)

    house.send(order("1001", "S2", action=OrderAction.UPDATE))

    assert (house.rules, key) == ({}, 1)
    assert Remark.UNLINKED in house.exam().remarks


def test_a_wrong_entry_is_not_adopted(house: House) -> None:
    """What was begun by mistake starts no order that comes later."""
    house.create(U1, began(unscheduled(t00402016=element("LO", "P1001"))))
    house.update(U1, ended(DISCONTINUED, WRONG_ENTRY))

    house.send(order("1001", "S1"))

    assert house.states == ["SCHEDULED"]


def test_an_exam_under_a_prior_id_is_adopted_after_the_merge(house: House) -> None:
    """Study alone does not join two patients; once they are one, it does."""
    house.create(U1, began(unscheduled(study("1001")), patient="PID999"))
    house.send(order("1001", "S1"))
    before = house.states

    house.send(merge("PID001", "PID999"))

    assert (before, house.states) == (["SCHEDULED"], ["STARTED"])


def test_only_profiles_that_link_by_patient_ask_for_patients() -> None:
    """Every other order spares the search."""
    stated = Conduct(ladder=(EMERGENCY,))

    assert not Conducts().by_patient
    assert Conducts({"CT1": stated}).by_patient
    assert Conducts(anyone=stated).by_patient
