"""The life of a scheduled step, of a performed step and of an outbox row.

Every state and every transition of the three is in this file, and nowhere else.
Nothing in it knows who asks: HL7, MPPS, console and clock feed it the same events,
so no door into the broker can be laxer than another.
"""

from __future__ import annotations

from enum import StrEnum


class StepState(StrEnum):
    """(0040,0020) of a scheduled procedure step; the values are DICOM's own where it has them (A.3)."""

    SCHEDULED = "SCHEDULED"
    ARRIVED = "ARRIVED"
    READY = "READY"
    STARTED = "STARTED"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"
    CANCELLED = "CANCELED"  # one L on the wire: DICOM's and dcm4chee's spelling


class StepEvent(StrEnum):
    """What can happen to a scheduled step."""

    ARRIVE = "arrive"
    MAKE_READY = "make ready"
    BEGIN = "begin"  # a performed step that references it came into being
    COMPLETE = "complete"
    DISCONTINUE = "discontinue"
    CANCEL = "cancel"  # the order was cancelled
    REOPEN = "reopen"  # wrong worklist entry chosen, or performed step withdrawn (B-33)


_S = StepState
_E = StepEvent

# fmt: off
STEP: dict[StepState, dict[StepEvent, StepState]] = {
    _S.SCHEDULED: {
        _E.ARRIVE: _S.ARRIVED, _E.MAKE_READY: _S.READY, _E.BEGIN: _S.STARTED,
        _E.COMPLETE: _S.COMPLETED, _E.DISCONTINUE: _S.DISCONTINUED, _E.CANCEL: _S.CANCELLED,
    },
    _S.ARRIVED: {
        _E.MAKE_READY: _S.READY, _E.BEGIN: _S.STARTED,
        _E.COMPLETE: _S.COMPLETED, _E.DISCONTINUE: _S.DISCONTINUED, _E.CANCEL: _S.CANCELLED,
    },
    _S.READY: {
        _E.BEGIN: _S.STARTED,
        _E.COMPLETE: _S.COMPLETED, _E.DISCONTINUE: _S.DISCONTINUED, _E.CANCEL: _S.CANCELLED,
    },
    # An order cancelled while the exam runs does not stop the exam: CANCEL is absent (C.4, F-H09).
    _S.STARTED: {
        _E.COMPLETE: _S.COMPLETED, _E.DISCONTINUE: _S.DISCONTINUED, _E.REOPEN: _S.SCHEDULED,
    },
    # MPPS is the truth of what happened: a further performed step begins it again (B-34 append, B-36).
    _S.COMPLETED: {_E.BEGIN: _S.STARTED},
    _S.DISCONTINUED: {_E.BEGIN: _S.STARTED, _E.COMPLETE: _S.COMPLETED, _E.REOPEN: _S.SCHEDULED},
    _S.CANCELLED: {_E.BEGIN: _S.STARTED, _E.REOPEN: _S.SCHEDULED},
}
# fmt: on

CLOSED = frozenset({_S.COMPLETED, _S.DISCONTINUED, _S.CANCELLED})
"""States in which a step is off the worklist unless a device asks for it (A-48)."""


WAITING = frozenset({_S.SCHEDULED, _S.ARRIVED, _S.READY})
"""States in which nothing was done yet: an order that is put on hold takes these off the worklist (C.4)."""


class PerformedState(StrEnum):
    """(0040,0252) of a performed procedure step (PS3.4 F.7.2)."""

    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"


# PS3.4 F.7.2.2.3: only a step IN PROGRESS may be set; what is final answers 0110 with Error ID A710.
PERFORMED: dict[PerformedState, frozenset[PerformedState]] = {
    PerformedState.IN_PROGRESS: frozenset(PerformedState),
    PerformedState.COMPLETED: frozenset(),
    PerformedState.DISCONTINUED: frozenset(),
}


class OutboxState(StrEnum):
    """The state of something that must leave the house."""

    PENDING = "pending"  # due now or later; a claimed row stays pending under a lease
    DELIVERED = "delivered"  # the peer accepted it
    PARKED = "parked"  # the peer refused it for good: a person decides
    DISCARDED = "discarded"  # a person decided against it


OUTBOX: dict[OutboxState, frozenset[OutboxState]] = {
    OutboxState.PENDING: frozenset({OutboxState.DELIVERED, OutboxState.PARKED, OutboxState.DISCARDED}),
    OutboxState.PARKED: frozenset({OutboxState.PENDING, OutboxState.DISCARDED}),
    OutboxState.DELIVERED: frozenset(),
    OutboxState.DISCARDED: frozenset(),
}


def advance(state: StepState, event: StepEvent) -> StepState | None:
    """Return the state after *event*, or None where the table has no such transition."""
    return STEP[state].get(event)
