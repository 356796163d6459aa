"""Scheduled steps moved by a person."""

from __future__ import annotations

import itertools

import pytest
from store.exams import ALL, U1, House, ended, order

from mwl import lifecycle
from mwl.errors import Refusal, Refused
from mwl.lifecycle import Actor, StepEvent, StepState
from mwl.store import by_hand, tables, transitions

E, S = StepEvent, StepState


def move(house: House, event: StepEvent, *keys: int, reason: str = "asked for") -> list[by_hand.Moved]:
    return house.store.write_now(
        lambda tx: by_hand.move(tx, keys, event, by="console anna", reason=reason, told=ALL)
    )


@pytest.fixture
def s1(house: House) -> int:
    """The key of step S1 of order 1001."""
    [key] = house.send(order("1001", "S1"))
    return key


def test_a_step_goes_its_way_by_hand(house: House, s1: int) -> None:
    """Each move is told and remembered: when, who, why."""
    for event in (E.ARRIVE, E.MAKE_READY, E.COMPLETE, E.REOPEN, E.CANCEL):
        move(house, event, s1, reason=f"why {event}")

    lines = [(line.event, line.after, line.source, line.reason) for line in house.history(s1)[1:]]
    assert lines == [
        ("arrive", "ARRIVED", "console anna", "why arrive"),
        ("make ready", "READY", "console anna", "why make ready"),
        ("complete", "COMPLETED", "console anna", "why complete"),
        ("reopen", "SCHEDULED", "console anna", "why reopen"),
        ("cancel", "CANCELED", "console anna", "why cancel"),
    ]
    assert house.heard == ["ARRIVED", "READY", "CM", "SC", "CA"]
    assert {line.at for line in house.history(s1)} == {"2026-07-05T10:00:00.000000+00:00"}


POSSIBLE = [event for event in StepEvent if event not in (E.BEGIN, E.WITHDRAW)]  # by performed steps alone


@pytest.mark.parametrize(("state", "event"), list(itertools.product(StepState, POSSIBLE)))
def test_a_person_does_what_the_table_lets_her(house: House, s1: int, state, event) -> None:
    """And is told what she could do instead."""
    house.store.write_now(lambda tx: tx.connection.execute(tables.steps.update().values(state=state.value)))
    allowed = lifecycle.advance(state, event, Actor.PERSON)

    if allowed is None:
        with pytest.raises(
            Refused, match=rf"step {s1} is {state}: {event} is not possible, .+ is$"
        ) as refused:
            move(house, event, s1)
        assert refused.value.reason is Refusal.FINAL
        assert (house.states, house.heard) == ([state], [])
    else:
        [moved] = move(house, event, s1)
        assert (moved.before, moved.after, house.states) == (state, allowed.after, [allowed.after])


def test_all_steps_move_or_none(house: House, s1: int) -> None:
    """A mistyped number changes nothing of the others."""
    with pytest.raises(Refused) as refused:
        move(house, E.CANCEL, s1, 404)

    assert (refused.value.reason, house.states, house.heard) == (Refusal.UNKNOWN, ["SCHEDULED"], [])


def test_a_step_that_is_named_twice_moves_once(house: House, s1: int) -> None:
    """No complaint about the second time."""
    assert len(move(house, E.CANCEL, s1, s1)) == 1


def test_an_exam_that_runs_is_ended_first(house: House, s1: int) -> None:
    """Else it would go on for a step that waits on the worklist."""
    house.create()

    with pytest.raises(Refused, match="has an exam that is IN PROGRESS: end or unlink that first"):
        move(house, E.REOPEN, s1)
    house.update()
    move(house, E.REOPEN, s1)

    assert house.states == ["SCHEDULED"]


def test_a_repeated_exam_of_a_reopened_step_is_an_exam(house: House, s1: int) -> None:
    """The images were useless: the step is scheduled, begun and completed once more."""
    house.create(U1)
    house.update(U1)
    move(house, E.REOPEN, s1)
    reopened = house.states

    house.create("1.2.9")
    house.update("1.2.9", ended())

    assert (reopened, house.states, house.heard) == (
        ["SCHEDULED"],
        ["COMPLETED"],
        ["IP", "CM", "SC", "IP", "CM"],
    )


def test_a_step_on_hold_is_released(house: House, s1: int) -> None:
    """Held by its order or by the clock: it is on the worklist again, as it was."""
    house.store.write_now(lambda tx: transitions.hold(tx, s1, held=True, source="clock", reason="idle"))

    [moved] = move(house, E.REOPEN, s1)

    [row] = house.rows(tables.steps)
    assert (row.held, row.state, moved.after) == (False, "SCHEDULED", "SCHEDULED")
    assert house.history(s1)[-1].event == "release"
    with pytest.raises(Refused, match="step 1 is SCHEDULED"):
        move(house, E.REOPEN, s1)
