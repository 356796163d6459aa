"""The state tables, checked by enumeration: every state with every event."""

from __future__ import annotations

import itertools

import pytest

from mwl.lifecycle import (
    CLOSED,
    OUTBOX,
    PERFORMED,
    STEP,
    OutboxState,
    PerformedState,
    StepEvent,
    StepState,
    advance,
)

S, E = StepState, StepEvent

# Columns in the order of StepEvent: arrive, make ready, begin, complete, discontinue, cancel, reopen.
EXPECTED = {
    S.SCHEDULED: (S.ARRIVED, S.READY, S.STARTED, S.COMPLETED, S.DISCONTINUED, S.CANCELLED, None),
    S.ARRIVED: (None, S.READY, S.STARTED, S.COMPLETED, S.DISCONTINUED, S.CANCELLED, None),
    S.READY: (None, None, S.STARTED, S.COMPLETED, S.DISCONTINUED, S.CANCELLED, None),
    S.STARTED: (None, None, None, S.COMPLETED, S.DISCONTINUED, None, S.SCHEDULED),
    S.COMPLETED: (None, None, S.STARTED, None, None, None, None),
    S.DISCONTINUED: (None, None, S.STARTED, S.COMPLETED, None, None, S.SCHEDULED),
    S.CANCELLED: (None, None, S.STARTED, None, None, None, S.SCHEDULED),
}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(StepState, StepEvent)))
def test_each_state_answers_each_event_as_the_standard_has_it(state, event):
    """The whole table of the scheduled step, cell by cell."""
    assert advance(state, event) == EXPECTED[state][list(StepEvent).index(event)]


def test_every_state_has_a_row():
    """No state can be entered that the tables do not know."""
    assert (set(STEP), set(PERFORMED), set(OUTBOX)) == (set(StepState), set(PerformedState), set(OutboxState))


def test_every_state_can_be_reached_from_the_first():
    """A state nothing leads to would be dead."""
    reached, frontier = {S.SCHEDULED}, [S.SCHEDULED]
    while frontier:
        new = set(STEP[frontier.pop()].values()) - reached
        reached |= new
        frontier += new

    assert reached == set(StepState)


def test_an_order_cancelled_while_the_exam_runs_does_not_stop_it():
    """F-H09: CANCEL is no event of a step that has begun."""
    assert advance(S.STARTED, E.CANCEL) is None


def test_a_late_order_never_sends_a_running_step_back():
    """An order repeated after the exam began arrives or makes ready nothing."""
    assert {advance(S.STARTED, event) for event in (E.ARRIVE, E.MAKE_READY, E.BEGIN)} == {None}


@pytest.mark.parametrize("state", sorted(CLOSED))
def test_a_performed_step_begins_any_closed_step_again(state):
    """B-34: what the modality did is the truth, whatever the order said."""
    assert advance(state, E.BEGIN) == S.STARTED


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
