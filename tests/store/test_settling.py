"""What a person decides about a performed step."""

from __future__ import annotations

import pytest
from store.exams import (
    ANNA,
    COMPLETED,
    DISCONTINUED,
    U1,
    U2,
    House,
    began,
    element,
    ended,
    item,
    order,
    unscheduled,
)

from mwl.errors import Refusal, Refused
from mwl.lifecycle import Actor
from mwl.model import OrderAction
from mwl.store import performed_view, settling
from mwl.store.linking import Remark
from mwl.store.performed_view import Wanted
from mwl.store.settling import Decision


def refusal(work, *arguments, **more) -> Refused:
    with pytest.raises(Refused) as caught:
        work(*arguments, **more)
    return caught.value


@pytest.fixture
def s1(house: House) -> int:
    """The key of step S1 of order 1001."""
    [key] = house.send(order("1001", "S1"))
    return key


def test_an_unscheduled_exam_is_linked_by_hand(house: House, s1: int) -> None:
    """The step follows, the RIS hears, and who it was and why stands in the history and with the exam."""
    house.create(U1, began(unscheduled()))
    house.update()

    _, followed = house.link(house.exam().key, s1)

    exam = house.exam()
    assert (followed.after, house.states, house.heard) == ("COMPLETED", ["COMPLETED"], ["IP", "CM"])
    assert house.rules == {s1: "by hand"}
    last = house.history(s1)[-1]
    assert (last.before, last.source, last.reason) == ("SCHEDULED", "console anna", "asked on the telephone")
    assert (exam.remarks, exam.settled_by) == ((), "console anna")
    assert exam.notes == ("2026-07-05T10:00:00Z console anna: linked to step 1: asked on the telephone",)


def test_an_exam_that_runs_is_linked_by_hand(house: House, s1: int) -> None:
    """The step begins now, and ends when the device ends it."""
    house.create(U1, began(unscheduled()))

    house.link(house.exam().key, s1)
    linked = house.states
    house.update()

    assert (linked, house.states, house.heard) == (["STARTED"], ["COMPLETED"], ["IP", "CM"])


def test_linking_to_what_is_not_there_is_refused(house: House, s1: int) -> None:
    """Neither exam nor step is invented."""
    house.create(U1, began(unscheduled()))

    assert refusal(house.link, house.exam().key, 404).reason is Refusal.UNKNOWN
    assert refusal(house.link, 404, s1).reason is Refusal.UNKNOWN
    assert house.rules == {}


@pytest.mark.parametrize("end", [None, COMPLETED, DISCONTINUED])
def test_an_exam_is_taken_from_its_step(house: House, s1: int, end) -> None:
    """Linked to the wrong order: the step is back on the worklist, and the RIS hears SC."""
    house.create()
    if end:
        house.update(U1, ended(end))

    house.unlink(house.exam().key)

    assert (house.states, house.heard[-1], house.rules) == (["SCHEDULED"], "SC", {})
    assert house.history(s1)[-1].source == "console anna"
    assert house.exam().remarks == (Remark.UNLINKED,)
    assert not house.exam().unsettled


def test_another_exam_keeps_the_step_where_it_is(house: House, s1: int) -> None:
    """Of two, the one that was completed stays."""
    house.create(U1)
    house.create(U2)
    house.update(U1)

    house.unlink(house.exam(U2).key)

    assert (house.states, house.heard) == (["COMPLETED"], ["IP", "IP", "CM"])


def test_what_its_order_closed_stays_closed(house: House, s1: int) -> None:
    """The RIS discontinued it meanwhile: that is not the exam's doing."""
    house.create()
    house.send(order("1001", action=OrderAction.DISCONTINUE))

    house.unlink(house.exam().key)

    assert house.states == ["DISCONTINUED"]


def test_one_of_two_steps_is_taken_away(house: House) -> None:
    """The group was one item too many."""
    house.send(order("1001", "S1", "S2"))
    house.create(U1, began(item("1001", "S1"), item("1001", "S2")))

    house.unlink(house.exam().key, 2)

    assert (house.states, house.rules.keys()) == (["STARTED", "SCHEDULED"], {1})


def test_unlinking_what_is_not_linked_is_refused(house: House, s1: int) -> None:
    """With the step that was named."""
    house.create(U1, began(unscheduled()))
    key = house.exam().key

    assert "is not linked to a scheduled step" in str(refusal(house.unlink, key))
    assert "is not linked to step 1" in str(refusal(house.unlink, key, 1))


def test_an_exam_is_moved_to_the_right_step(house: House) -> None:
    """Unlinked from the wrong one, linked to the right one; both systems states follow."""
    house.send(order("1001", "S1"))
    house.send(order("1002", "S2"))
    house.create()
    house.update()
    key = house.exam().key

    house.unlink(key)
    house.link(key, 2)

    assert (house.states, house.heard) == (["SCHEDULED", "COMPLETED"], ["IP", "CM", "SC", "IP", "CM"])
    assert (house.exam().remarks, len(house.exam().notes)) == ((), 2)


def test_b_08_a_person_ends_what_the_device_will_not_end(house: House, s1: int) -> None:
    """The step follows, the RIS hears why; what the device sends later is refused."""
    house.create()

    house.close(house.exam().key, DISCONTINUED)

    assert (house.states, house.heard) == (["DISCONTINUED"], ["IP", "DC"])
    assert house.exam().state is DISCONTINUED
    assert house.exam().document["00400252"]["Value"] == ["DISCONTINUED"]
    assert refusal(house.update).reason is Refusal.FINAL
    assert house.history(s1)[-1][-2:] == ("console anna", "asked on the telephone")


def test_what_has_ended_is_not_ended_again(house: House, s1: int) -> None:
    """PS3.4 F.7.2.2.3 holds for people too."""
    house.create()
    house.update()

    assert refusal(house.close, house.exam().key).reason is Refusal.FINAL
    assert refusal(house.close, 404).reason is Refusal.UNKNOWN
    assert house.exam().state is COMPLETED


def test_the_clock_ends_no_step_that_is_finished(house: House, s1: int) -> None:
    """Peer failure 23: its order was discontinued meanwhile, and stays so."""
    house.create()
    house.send(order("1001", action=OrderAction.DISCONTINUE))
    heard = house.heard

    house.close(house.exam().key, COMPLETED, Decision(Actor.CLOCK, "its device has not ended it"))

    assert (house.states, house.exam().state, house.heard) == (["DISCONTINUED"], COMPLETED, heard)


def test_somebody_has_looked(house: House) -> None:
    """It is off the list of what is to be looked at, until something new is found."""
    house.create(U1, began(unscheduled()))

    house.store.write_now(lambda tx: settling.settle(tx, house.exam().key, ANNA))
    looked_at = house.exam().unsettled
    house.update(U1, ended(DISCONTINUED, "110514"))

    assert (looked_at, house.exam().unsettled) == (False, True)
    assert house.exam().notes == ("2026-07-05T10:00:00Z console anna: looked at: asked on the telephone",)


def test_a_reason_of_several_lines_is_one_note(house: House) -> None:
    """And no letter that a database refuses stays in it."""
    house.create(U1, began(unscheduled()))

    house.store.write_now(
        lambda tx: settling.settle(tx, house.exam().key, Decision("console anna", "a\nb\x00"))
    )

    [note] = house.exam().notes
    assert note.endswith("looked at: a b�")


def test_the_list_is_chosen_by_what_a_person_looks_for(house: House, s1: int) -> None:
    """Linked or not, open or not, to be looked at or not, of one device or of all."""
    house.create(U1)
    house.create(U2, began(unscheduled()), ae="CT2")
    house.update(U2)

    def listed(**wanted) -> list[str]:
        found = house.store.read_now(lambda tx: performed_view.browse(tx, Wanted(**wanted)))
        return [each.step.uid for each in found]

    assert listed() == [U2, U1]
    assert listed(unlinked=True) == listed(unsettled=True) == listed(device="CT2") == [U2]
    assert listed(open=True) == [U1]
    assert listed(open=True, unlinked=True) == []


def test_an_unlinked_exam_is_shown_with_what_it_may_mean(house: House) -> None:
    """The most alike first, and what else the patient has in those days."""
    house.send(order("1001", "S1"))
    house.send(order("1002", "S2", start="20260706 090000"))
    house.send(order("1003", "S3", start="20260720 090000"))
    house.send(order("1004", "S4", patient="PID002"))
    said = unscheduled(t00080050=element("SH", "ACC1003"))
    house.create(U1, began(said, t00400241=element("AE", "CT9")), ae="CT9")

    found = house.store.read_now(lambda tx: performed_view.detail(tx, U1, house.conducts))

    assert [each.item.ref.key for each in found.possible] == [3, 1, 2]
    assert [each.likeness.near for each in found.possible] == [False, True, True]
    assert found.possible[0].likeness.agrees == ("AccessionNumber", "PatientID")


def test_a_performed_step_is_named_by_number_or_uid(house: House) -> None:
    """And nothing else is one."""
    house.create(U1, began(unscheduled()))

    def named(name: str) -> str:
        return house.store.read_now(lambda tx: performed_view.named(tx, name)).uid

    assert named("1") == named(U1) == U1
    for wrong in ("2", "1.2.3", "", "9" * 30, "²"):
        assert refusal(named, wrong).reason is Refusal.UNKNOWN
