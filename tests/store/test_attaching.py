"""Linking and following by a device's profile: what links, what it does, what it leaves as it is."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from store.exams import (
    DISCONTINUED,
    IN_PROGRESS,
    U1,
    U2,
    U3,
    WRONG_ENTRY,
    House,
    began,
    element,
    ended,
    item,
    merge,
    order,
    unscheduled,
)

from mwl.conduct import ACCESSION_AND_STATION, PATIENT_AND_TIME, Conduct, Conducts, Key, Rung
from mwl.discontinuation import REASONS
from mwl.errors import Refusal, Refused
from mwl.lifecycle import Actor, StepState
from mwl.model import OrderAction
from mwl.store import tables
from mwl.store.linking import Remark
from mwl.store.settling import Decision

S = StepState


@pytest.fixture
def s1(house: House) -> int:
    """The key of step S1 of order 1001, at 9 o'clock on CT1."""
    [key] = house.send(order("1001", "S1"))
    return key


# ── linking ──


def test_m06_an_unscheduled_exam_closes_no_order(house: House, s1: int) -> None:
    """Numbers are empty; patient, station and time fit: it waits for a person, with the step proposed."""
    outcome = house.create(U1, began(unscheduled()))
    house.update()

    assert (house.states, house.heard, house.rules) == (["SCHEDULED"], [], {})
    assert set(outcome.findings) == {Remark.UNSCHEDULED, Remark.PROBABLE}
    assert set(house.exam().remarks) == {Remark.UNSCHEDULED, Remark.PROBABLE}
    assert house.exam().unsettled


def test_m06_a_profile_may_link_it_by_patient_station_and_time(house: House, s1: int) -> None:
    """P35: the ladder ends with a rung that the site has decided to trust."""
    rung = Rung((Key.PATIENT, Key.STATION), dt.timedelta(hours=6))
    house.device("CT1", ladder=(rung,))

    house.create(U1, began(unscheduled()))

    assert (house.states, house.rules) == (["STARTED"], {s1: "patient ID + station + within 6h"})


def test_m07_an_edited_accession_number_is_linked_by_study(house: House, s1: int) -> None:
    """The right order is closed, the difference reported, an empty image list accepted."""
    typed = item(t00080050=element("SH", "TYPED"), t00400009=element("SH"), t00401001=element("SH"))

    outcome = house.create(U1, began(typed, t00400340=element("SQ")))
    house.update()

    assert (house.states, house.rules) == (["COMPLETED"], {s1: "Study Instance UID"})
    assert outcome.findings == (Remark.NUMBERS_DIFFER,)


def test_m08_one_exam_closes_both_procedures_of_a_group(house: House) -> None:
    """Two items, two orders, one performed step."""
    house.send(order("1001", "S1"))
    house.send(order("1002", "S2"))

    house.create(U1, began(item("1001", "S1"), item("1002", "S2")))
    house.update()

    assert (house.states, house.heard) == (["COMPLETED"] * 2, ["IP", "IP", "CM", "CM"])


def test_m08_a_profile_may_move_the_first_step_alone(house: House) -> None:
    """A device that lists the whole study, whatever it did."""
    house.send(order("1001", "S1", "S2"))
    house.device("CT1", steps="first")

    house.create(U1, began(item("1001", "S2"), item("1001", "S1")))

    assert house.states == ["SCHEDULED", "STARTED"]


def test_m11_worklist_and_mpps_of_one_workstation_are_one_station(house: House) -> None:
    """Ordered on NX_WL, reported by NX_MPPS, with an accession number alone."""
    [key] = house.send(order("1001", "S1", station="NX_WL"))
    house.conducts = Conducts(
        {"NX_WL": Conduct(titles=frozenset({"NX_WL", "NX_MPPS"}), ladder=(ACCESSION_AND_STATION,))}
    )
    report = began(unscheduled(t00080050=element("SH", "ACC1001")), t00400241=element("AE", "NX_MPPS"))

    house.create(U1, report, ae="NX_WL")

    assert house.rules == {key: "accession number + station"}


def test_m14_an_exam_without_a_patient_is_linked(house: House, s1: int) -> None:
    """By step, procedure and study; an empty Patient ID is no other patient."""
    outcome = house.create(U1, began(patient=""))

    assert (outcome.linked, outcome.findings, house.states) == ((s1,), (), ["STARTED"])


def test_m15_an_exam_of_a_cancelled_order_is_taken_and_reported(house: House, s1: int) -> None:
    """The scanner had the list from before; what happened, happened."""
    house.send(order("1001", action=OrderAction.CANCEL))

    outcome = house.create()

    assert (outcome.findings, house.states) == ((Remark.CANCELLED_ORDER,), ["STARTED"])
    assert house.history(s1)[-1].reason == "the order was cancelled"


def test_m15_a_profile_may_refuse_it(house: House, s1: int) -> None:
    """Nothing is stored then."""
    house.device("CT1", cancelled="refuse")
    house.send(order("1001", action=OrderAction.CANCEL))

    with pytest.raises(Refused, match="its order was cancelled") as refused:
        house.create()

    assert (refused.value.reason, house.rows(tables.performed)) == (Refusal.NOT_TAKEN, [])
    assert house.states == ["CANCELED"]


def test_p35_a_profile_may_refuse_what_is_not_scheduled(house: House, s1: int) -> None:
    """`none: reject`; what means a step is taken."""
    house.device("CT1", unscheduled="refuse")

    with pytest.raises(Refused, match="no scheduled step") as refused:
        house.create(U1, began(unscheduled()))
    house.create(U2, began())

    assert refused.value.reason is Refusal.NOT_TAKEN
    assert (len(house.rows(tables.performed)), house.states) == (1, ["STARTED"])


def test_what_is_refused_for_a_new_exam_is_no_reason_to_lose_an_accepted_one(house: House) -> None:
    """Its order comes later and is cancelled: the exam is linked all the same."""
    house.create(U1, began(item()))
    house.device("CT1", cancelled="refuse", unscheduled="refuse")

    house.send(order("1001", "S1"))

    assert house.states == ["STARTED"]


# ── identity ──


def test_f51_an_exam_of_another_patient_does_not_close_its_order(house: House, s1: int) -> None:
    """The IDs link and the step begins; it is not completed by itself, and the RIS is told no CM."""
    outcome = house.create(U1, began(patient="PID999"))

    house.update()

    assert outcome.findings == (Remark.PATIENT_DIFFERS,)
    assert (house.states, house.heard) == (["STARTED"], ["IP"])
    assert house.exam().unsettled


def test_f51_a_person_confirms_it(house: House, s1: int) -> None:
    """Then it counts as it ended, and is nobody's business any more."""
    house.create(U1, began(patient="PID999"))
    house.update()

    house.link(house.exam().key, s1)

    assert (house.states, house.heard, house.rules) == (["COMPLETED"], ["IP", "CM"], {s1: "by hand"})
    assert (house.exam().remarks, house.exam().unsettled) == ((), False)
    assert house.history(s1)[-1][-2:] == ("console anna", "asked on the telephone")


def test_f51_a_merge_shows_that_it_was_one_patient(house: House, s1: int) -> None:
    """Whichever of the two IDs survives."""
    house.create(U1, began(patient="PID999"))
    house.update()

    house.send(merge("PID001", "PID999"))

    assert (house.states, house.heard) == (["COMPLETED"], ["IP", "CM"])
    assert (house.exam().remarks, house.rules) == ((), {s1: "step ID + requested procedure ID"})


def test_f51_a_merge_of_other_patients_shows_nothing(house: House, s1: int) -> None:
    """The difference stays."""
    house.create(U1, began(patient="PID999"))
    house.update()

    house.send(merge("PID001", "PID555"))

    assert (house.states, house.exam().remarks) == (["STARTED"], (Remark.PATIENT_DIFFERS,))


def test_f51_a_wrong_entry_needs_nobody(house: House, s1: int) -> None:
    """The device says itself that it was not this patient's: the step is back."""
    house.create(U1, began(patient="PID999"))

    house.update(U1, ended(DISCONTINUED, WRONG_ENTRY))

    assert (house.states, house.heard) == (["SCHEDULED"], ["IP", "SC"])


# ── what becomes of the step ──


def test_f_m17_the_wrong_entry_puts_the_right_step_back(house: House) -> None:
    """Of two steps the one that was chosen by mistake; the other, chosen then, runs."""
    house.send(order("1001", "S1"))
    house.send(order("1002", "S2"))
    house.create(U1, began(item("1001", "S1")))
    house.update(U1, ended(DISCONTINUED, WRONG_ENTRY))

    house.create(U2, began(item("1002", "S2")))

    assert (house.states, house.heard) == (["SCHEDULED", "STARTED"], ["IP", "SC", "IP"])
    assert [line.reason for line in house.history(1)] == ["", "", "incorrect worklist entry selected"]
    assert house.exam(U1).remarks == (Remark.WRONG_ENTRY,)


CANCEL, AGAIN = OrderAction.CANCEL, OrderAction.CREATE


@pytest.mark.parametrize(
    ("before", "meanwhile", "after", "told"),
    [
        ([CANCEL], [], "CANCELED", ["IP", "CA"]),
        ([], [CANCEL], "CANCELED", ["IP", "CA"]),
        ([], [CANCEL, CANCEL], "CANCELED", ["IP", "CA"]),
        ([CANCEL], [AGAIN], "SCHEDULED", ["IP", "SC"]),
        ([], [CANCEL, AGAIN], "SCHEDULED", ["IP", "SC"]),
        ([CANCEL, AGAIN], [], "SCHEDULED", ["IP", "SC"]),
    ],
)
def test_f_m17_what_was_cancelled_is_not_put_back(
    house: House, s1: int, before: list, meanwhile: list, after: str, told: list[str]
) -> None:
    """The wrong entry was that of a cancelled order: nobody must be examined because of it."""
    for action in before:
        house.send(order("1001", "S1", action=action))
    house.create()
    for action in meanwhile:
        house.send(order("1001", "S1", action=action))

    house.update(U1, ended(DISCONTINUED, WRONG_ENTRY))

    assert (house.states, house.heard) == ([after], told)


def test_an_unlinked_exam_leaves_a_cancelled_order_cancelled(house: House, s1: int) -> None:
    """A person takes the exam from the step: as it was before, so it is again."""
    house.send(order("1001", "S1", action=CANCEL))
    house.create()
    house.update()
    house.unlink(1)

    assert (house.states, house.heard) == (["CANCELED"], ["IP", "CM", "CA"])
    assert house.history(s1)[-1].event == "withdraw"


def test_m10_what_the_clock_ends_goes_back_where_a_profile_says_so(house: House, s1: int) -> None:
    """Else the step would stay STARTED for ever, with no exam that runs."""
    house.device(discontinued=S.SCHEDULED)
    house.create()

    house.close(1, DISCONTINUED, Decision(Actor.CLOCK, "its device has not ended it"))

    assert (house.states, house.heard) == (["SCHEDULED"], ["IP", "SC"])


@pytest.mark.parametrize("code", sorted(REASONS))
def test_every_reason_of_the_standard_is_understood(house: House, s1: int, code: str) -> None:
    """110500 to 110516: one puts the step back, the others end it, and the history says why."""
    house.create()

    house.update(U1, ended(DISCONTINUED, code))

    assert house.states == ["SCHEDULED" if code == WRONG_ENTRY else "DISCONTINUED"]
    assert house.history(s1)[-1].reason == REASONS[code]
    assert (Remark.ORDER_AT_FAULT in house.exam().remarks) == (
        code in {"110502", "110509", "110510", "110512"}
    )


def test_m10_a_profile_may_put_every_discontinued_step_back(house: House, s1: int) -> None:
    """Agfa NX says DISCONTINUED when the images were moved to another study."""
    house.device("CT1", discontinued=S.SCHEDULED)
    house.create()

    house.update(U1, ended(DISCONTINUED))

    assert (house.states, house.heard) == (["SCHEDULED"], ["IP", "SC"])


def test_a_profile_may_say_it_reason_by_reason(house: House, s1: int) -> None:
    """After a failure of the equipment the patient is to be examined elsewhere."""
    house.device("CT1", reasons={"110501": S.SCHEDULED, WRONG_ENTRY: S.DISCONTINUED})
    house.create(U1)
    house.update(U1, ended(DISCONTINUED, "110501"))
    failed = house.states

    house.create(U2)
    house.update(U2, ended(DISCONTINUED, WRONG_ENTRY))

    assert (failed, house.states) == (["SCHEDULED"], ["DISCONTINUED"])


def test_a_profile_may_leave_the_begin_to_others(house: House, s1: int) -> None:
    """A device that creates its step before the patient has come."""
    house.device("CT1", begun=None)
    house.create()
    before = house.states

    house.update()

    assert (before, house.states, house.heard) == (["SCHEDULED"], ["COMPLETED"], ["CM"])


def test_a_profile_may_leave_the_end_to_the_ris(house: House, s1: int) -> None:
    """COMPLETED leaves the step STARTED."""
    house.device("CT1", completed=S.STARTED)
    house.create()

    house.update()

    assert (house.states, house.heard) == (["STARTED"], ["IP"])


def test_f_m22_all_exams_of_a_step_must_have_ended(house: House, s1: int) -> None:
    """B-32: the step runs while any of them does, whichever message was the last."""
    house.create(U1)
    house.create(U2)

    house.update(U1)
    between = house.states
    house.update(U2, ended(DISCONTINUED))

    assert (between, house.states) == (["STARTED"], ["COMPLETED"])


def test_a_profile_may_let_any_completed_exam_complete_the_step(house: House, s1: int) -> None:
    """`multi: any`: what still runs, or is appended, changes nothing, and no IP follows the CM."""
    house.device("CT1", exams="any")
    house.create(U1)
    house.create(U2)

    house.update(U1)
    first = house.states
    house.create(U3)

    assert (first, house.states, house.heard) == (["COMPLETED"], ["COMPLETED"], ["IP", "IP", "CM"])


PROCESSED = {"t00081032": element("SQ"), "t00400260": element("SQ")}


def test_m09_processing_of_an_exam_is_attached(house: House, s1: int) -> None:
    """GE CT: no codes, the exam's start; the order stays COMPLETED and hears nothing."""
    house.device("CT1", processing="attach")
    house.create(U1, began(**PROCESSED))
    house.update(U1)

    outcome = house.create(U2, began(**PROCESSED))
    house.update(U2)

    assert (house.states, house.heard) == (["COMPLETED"], ["IP", "CM"])
    assert (outcome.linked, outcome.findings) == ((s1,), (Remark.PROCESSING,))


@pytest.mark.parametrize(
    "further",
    [
        pytest.param(began(start="20260705 093000", **PROCESSED), id="F-M20 begun later"),
        pytest.param(began(t00081032=element("SQ", {"00080100": element("SH", "CT1")})), id="of a procedure"),
    ],
)
def test_f_m20_an_exam_that_is_appended_is_no_processing(house: House, s1: int, further: dict) -> None:
    """It begins the step again."""
    house.device("CT1", processing="attach")
    house.create(U1, began(**PROCESSED))
    house.update(U1)

    house.create(U2, further)

    assert (house.states, house.heard) == (["STARTED"], ["IP", "CM", "IP"])


def test_f_m20_without_a_word_in_the_profile_all_is_an_exam(house: House, s1: int) -> None:
    """A second performed step with the same attributes begins the step again."""
    house.create(U1, began(**PROCESSED))
    house.update(U1)

    house.create(U2, began(**PROCESSED))

    assert house.states == ["STARTED"]


def test_another_device_may_not_end_what_a_profile_reserves(house: House, s1: int) -> None:
    """`closed_by: same_device`; updates in between are taken."""
    house.device("CT1", closed_by="same_device")
    house.create(U1)
    house.update(U1, ended(IN_PROGRESS), ae="CT2")

    with pytest.raises(Refused, match="another device began it") as refused:
        house.update(U1, ae="CT2")
    house.update(U1, ae="CT1")

    assert (refused.value.reason, house.states) == (Refusal.NOT_TAKEN, ["COMPLETED"])


def test_exams_of_two_devices_count_each_by_its_own_profile(house: House, s1: int) -> None:
    """The DISCONTINUED of one puts back, that of the other ends."""
    house.device("NX", discontinued=S.SCHEDULED)
    house.create(U1, ae="NX")
    house.create(U2, ae="CT1")

    house.update(U1, ended(DISCONTINUED), ae="NX")
    running = house.states
    house.update(U2, ended(DISCONTINUED))

    assert (running, house.states) == (["STARTED"], ["DISCONTINUED"])


# ── one line of several steps ──


def all_of_a_study(item, among, _now):
    """Stand in for a profile that merges by study."""
    same = [each for each in among if each.procedure["0020000D"] == item.procedure["0020000D"]]
    return [item, *(each for each in same if each.ref != item.ref)]


def test_f29_an_exam_of_one_line_closes_all_of_its_steps(house: House) -> None:
    """The device was shown one entry "A + B + C", and names the step that led it."""
    house.send(order("1001", "S1", "S2", "S3"))
    house.device("CT1", together=all_of_a_study)

    house.create(U1, began(item("1001", "S1")))
    house.update()

    assert (house.states, house.heard) == (["COMPLETED"] * 3, ["IP", "CM"])
    assert house.rules == {
        1: "step ID + requested procedure ID",
        2: "one line with step 1",
        3: "one line with step 1",
    }


def test_f29_steps_that_were_not_on_the_line_stay(house: House) -> None:
    """Another modality's, another station's, a cancelled one, one on another order."""
    house.send(order("1001", "S1", "S2"))
    house.send(order("1001", "S3", modality="MR"))
    house.send(order("1001", "S4", station="CT2"))
    house.send(order("1002", "S5"))
    house.store.write_now(
        lambda tx: tx.connection.execute(
            tables.steps.update().where(tables.steps.c.key == 2).values(held=True)
        )
    )
    house.device("CT1", together=all_of_a_study)

    house.create(U1, began(item("1001", "S1")))

    assert house.rules.keys() == {1}


def test_f29_no_step_is_linked_twice(house: House) -> None:
    """The device lists two items of one line."""
    house.send(order("1001", "S1", "S2"))
    house.device("CT1", together=all_of_a_study)

    outcome = house.create(U1, began(item("1001", "S1"), item("1001", "S2")))

    assert outcome.linked == (1, 2)


# ── whose value counts ──


def told(house: House, tag: str) -> list:
    """Return an attribute of the performed step as the RIS is told it."""
    [row] = house.rows(tables.outbox)[-1:]
    facts = json.loads(row.facts)["performed"]
    return facts[tag].get("Value", []) if tag in facts else facts["00400270"]["Value"][0][tag]["Value"]


@pytest.mark.parametrize(
    ("preferred", "accession", "stored"),
    [({}, ["TYPED"], "TYPED"), ({("00080050",): "worklist"}, ["ACC1001"], "TYPED"),
     ({("00080050",): "device"}, ["TYPED"], "TYPED")],
)  # fmt: skip
def test_p35_the_preferred_value_is_told(house: House, s1: int, preferred, accession, stored) -> None:
    """What the operator typed is stored as it was; who is told hears what the profile prefers."""
    house.device("CT1", preferred=preferred)

    house.create(U1, began(item(t00080050=element("SH", "TYPED"))))

    assert told(house, "00080050") == accession
    assert house.exam().document["00400270"]["Value"][0]["00080050"]["Value"] == [stored]


def test_p35_nothing_is_added_that_the_device_did_not_say(house: House, s1: int) -> None:
    """A description of the step is no part of this report."""
    house.device("CT1", preferred={("00400100", "00400007"): "worklist", ("00100020",): "worklist"})

    house.create(U1, began(patient="PID999"))

    assert told(house, "00100020") == ["PID001"]
    assert "00400007" not in house.rows(tables.outbox)[-1].facts.split('"performed"')[1].split('"reason"')[0]


def test_patient_and_time_propose_and_stay_the_last() -> None:
    """The broker's own ladder ends with what links nothing."""
    assert Conduct().ladder[-1] == PATIENT_AND_TIME
    assert PATIENT_AND_TIME.proposes


def test_a_reason_is_that_of_its_own_exam(house: House, s1: int) -> None:
    """What was chosen by mistake yesterday does not explain what begins today."""
    house.create(U1)
    house.update(U1, ended(DISCONTINUED, WRONG_ENTRY))

    house.create(U2)
    house.update(U2, ended(DISCONTINUED, "110504"))

    assert [line.reason for line in house.history(s1)] == [
        "", "", "incorrect worklist entry selected", "", "patient died",
    ]  # fmt: skip
