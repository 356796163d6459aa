"""The state tables, checked by enumeration: every state with every event."""

from __future__ import annotations

import itertools

import pytest

from mwl.lifecycle import (
    CLOSED,
    OUTBOX,
    PERFORMED,
    STEP,
    WAITING,
    Actor,
    OutboxState,
    PerformedState,
    StepEvent,
    StepState,
    actor,
    advance,
)

S, E = StepState, StepEvent

# Columns in the order of StepEvent: arrive, make ready, begin, complete, discontinue, cancel, reopen, withdraw.
EXPECTED = {
    S.SCHEDULED: (S.ARRIVED, S.READY, S.STARTED, S.COMPLETED, S.DISCONTINUED, S.CANCELLED, None, None),
    S.ARRIVED: (None, S.READY, S.STARTED, S.COMPLETED, S.DISCONTINUED, S.CANCELLED, S.SCHEDULED, None),
    S.READY: (None, None, S.STARTED, S.COMPLETED, S.DISCONTINUED, S.CANCELLED, S.SCHEDULED, None),
    S.STARTED: (None, None, None, S.COMPLETED, S.DISCONTINUED, None, S.SCHEDULED, S.CANCELLED),
    S.COMPLETED: (None, None, S.STARTED, None, None, None, S.SCHEDULED, S.CANCELLED),
    S.DISCONTINUED: (None, None, S.STARTED, S.COMPLETED, None, None, S.SCHEDULED, S.CANCELLED),
    S.CANCELLED: (None, None, S.STARTED, None, None, None, S.SCHEDULED, None),
}
# Who may cause it: o an order, d a device, p a person, c the clock.
WHO = {
    S.SCHEDULED: ("op", "op", "dp", "odp", "odp", "op", "", ""),
    S.ARRIVED: ("", "op", "dp", "odp", "odp", "op", "p", ""),
    S.READY: ("", "", "dp", "odp", "odp", "op", "p", ""),
    S.STARTED: ("", "", "", "odpc", "odpc", "", "dpc", "dpc"),
    S.COMPLETED: ("", "", "dp", "", "", "", "p", "p"),
    S.DISCONTINUED: ("", "", "dp", "odp", "", "", "p", "p"),
    S.CANCELLED: ("", "", "dp", "", "", "", "op", ""),
}
LETTERS = {"o": Actor.ORDER, "d": Actor.DEVICE, "p": Actor.PERSON, "c": Actor.CLOCK}
CELLS = list(itertools.product(StepState, StepEvent))


def after(state: StepState, event: StepEvent, by: Actor = Actor.PERSON) -> StepState | None:
    """Return where an event leads; a person may cause all there is."""
    move = advance(state, event, by)
    return None if move is None else move.after


@pytest.mark.parametrize(("state", "event"), CELLS)
def test_each_state_answers_each_event_as_the_standard_has_it(state, event):
    """The whole table of the scheduled step, cell by cell."""
    assert after(state, event) == EXPECTED[state][list(StepEvent).index(event)]


@pytest.mark.parametrize(("state", "event"), CELLS)
def test_each_event_is_caused_by_those_alone_who_may(state, event):
    """The guards of the table, cell by cell."""
    may = {LETTERS[letter] for letter in WHO[state][list(StepEvent).index(event)]}

    assert {by for by in Actor if advance(state, event, by) is not None} == may


@pytest.mark.parametrize("state", sorted(CLOSED))
def test_the_clock_touches_nothing_that_is_finished(state):
    """Peer failure 23: an idle job that would also move what is COMPLETED."""
    assert [event for event in StepEvent if advance(state, event, Actor.CLOCK)] == []


@pytest.mark.parametrize("state", sorted(CLOSED - {S.CANCELLED}))
def test_no_message_takes_back_an_exam_that_is_over(state):
    """Only a person puts what was done back on the worklist, or takes it back."""
    assert {(by, event) for event in (E.REOPEN, E.WITHDRAW) for by in Actor if advance(state, event, by)} == {
        (Actor.PERSON, E.REOPEN),
        (Actor.PERSON, E.WITHDRAW),
    }


def test_every_way_back_is_closed_while_an_exam_runs():
    """What is performed now cannot be scheduled."""
    back = [STEP[state][event] for state in S for event in (E.REOPEN, E.WITHDRAW) if event in STEP[state]]

    assert all(move.resting for move in back)
    assert not any(move.resting for moves in STEP.values() for move in moves.values() if move not in back)


def test_the_source_of_a_line_says_who_it_was():
    """Its first word; whoever is nobody of these has no door."""
    sources = ["hl7 RIS 12345", "mpps 1.2.3 CT1", "console anna", "clock"]

    assert [actor(source) for source in sources] == list(Actor)
    with pytest.raises(ValueError, match="anna"):
        actor("anna")


def test_what_waits_can_be_held():
    """What has begun or is closed cannot."""
    assert {S.SCHEDULED, S.ARRIVED, S.READY} == WAITING


def test_every_state_has_a_row():
    """No state can be entered that the tables do not know."""
    assert (set(STEP), set(PERFORMED), set(OUTBOX)) == (set(StepState), set(PerformedState), set(OutboxState))


def test_every_state_can_be_reached_from_the_first():
    """A state nothing leads to would be dead."""
    reached, frontier = {S.SCHEDULED}, [S.SCHEDULED]
    while frontier:
        new = {move.after for move in STEP[frontier.pop()].values()} - reached
        reached |= new
        frontier += new

    assert reached == set(StepState)


def test_an_order_cancelled_while_the_exam_runs_does_not_stop_it():
    """F-H09: CANCEL is no event of a step that has begun."""
    assert after(S.STARTED, E.CANCEL) is None


def test_a_late_order_never_sends_a_running_step_back():
    """An order repeated after the exam began arrives or makes ready nothing."""
    assert {after(S.STARTED, event) for event in (E.ARRIVE, E.MAKE_READY, E.BEGIN)} == {None}


@pytest.mark.parametrize("state", sorted(CLOSED))
def test_a_performed_step_begins_any_closed_step_again(state):
    """B-34: what the modality did is the truth, whatever the order said."""
    assert after(state, E.BEGIN, Actor.DEVICE) == S.STARTED


def test_the_closed_states_are_those_hidden_from_the_worklist():
    """A-48: completed, discontinued, cancelled; the wire spells the last with one L."""
    assert {state.value for state in CLOSED} == {"COMPLETED", "DISCONTINUED", "CANCELED"}


def test_a_final_performed_step_never_changes():
    """PS3.4 F.7.2: only IN PROGRESS may be set, to itself or to a final state."""
    assert PERFORMED[PerformedState.IN_PROGRESS] == set(PerformedState)
    assert not PERFORMED[PerformedState.COMPLETED]
    assert not PERFORMED[PerformedState.DISCONTINUED]


def test_what_was_delivered_or_discarded_is_never_sent_again():
    """A finished outbox row has no way back; a parked one waits for a person."""
    assert not OUTBOX[OutboxState.DELIVERED]
    assert not OUTBOX[OutboxState.DISCARDED]
    assert OUTBOX[OutboxState.PARKED] == {OutboxState.PENDING, OutboxState.DISCARDED}
