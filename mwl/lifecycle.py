"""The life of a scheduled step, of a performed step and of an outbox row.

Every state and every transition of the three is in this file, and nowhere else.
Whoever asks, HL7, MPPS, console or clock, feeds it the same events; who may cause which stands
beside each transition, so no door into the broker can be laxer than another.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


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
    WITHDRAW = "withdraw"  # the same, of an order that was cancelled meanwhile


class Actor(StrEnum):
    """Who makes something happen to a step: the first word of a source in its history."""

    ORDER = "hl7"
    DEVICE = "mpps"
    PERSON = "console"
    CLOCK = "clock"


def actor(source: str) -> Actor:
    """Return who a *source* such as "hl7 RIS 12345" is; raises `ValueError` for nobody of these."""
    return Actor(source.partition(" ")[0])


@dataclass(frozen=True, slots=True)
class Move:
    """Where an event leads, and who may cause it."""

    after: StepState
    by: frozenset[Actor]
    resting: bool = False
    """Only while no performed step of it is IN PROGRESS: an exam that runs is not taken back."""


_S = StepState
_E = StepEvent
_ORDER, _DEVICE, _PERSON, _CLOCK = Actor.ORDER, Actor.DEVICE, Actor.PERSON, Actor.CLOCK


def _to(after: StepState, *by: Actor) -> Move:
    return Move(after, frozenset(by))


def _back(*by: Actor, to: StepState = _S.SCHEDULED) -> Move:
    return Move(to, frozenset(by), resting=True)


# fmt: off
STEP: Final[dict[StepState, dict[StepEvent, Move]]] = {
    _S.SCHEDULED: {
        _E.ARRIVE: _to(_S.ARRIVED, _ORDER, _PERSON),
        _E.MAKE_READY: _to(_S.READY, _ORDER, _PERSON),
        _E.BEGIN: _to(_S.STARTED, _DEVICE, _PERSON),
        _E.COMPLETE: _to(_S.COMPLETED, _ORDER, _DEVICE, _PERSON),
        _E.DISCONTINUE: _to(_S.DISCONTINUED, _ORDER, _DEVICE, _PERSON),
        _E.CANCEL: _to(_S.CANCELLED, _ORDER, _PERSON),
    },
    _S.ARRIVED: {
        _E.MAKE_READY: _to(_S.READY, _ORDER, _PERSON),
        _E.BEGIN: _to(_S.STARTED, _DEVICE, _PERSON),
        _E.COMPLETE: _to(_S.COMPLETED, _ORDER, _DEVICE, _PERSON),
        _E.DISCONTINUE: _to(_S.DISCONTINUED, _ORDER, _DEVICE, _PERSON),
        _E.CANCEL: _to(_S.CANCELLED, _ORDER, _PERSON),
        _E.REOPEN: _back(_PERSON),  # the patient had not come
    },
    _S.READY: {
        _E.BEGIN: _to(_S.STARTED, _DEVICE, _PERSON),
        _E.COMPLETE: _to(_S.COMPLETED, _ORDER, _DEVICE, _PERSON),
        _E.DISCONTINUE: _to(_S.DISCONTINUED, _ORDER, _DEVICE, _PERSON),
        _E.CANCEL: _to(_S.CANCELLED, _ORDER, _PERSON),
        _E.REOPEN: _back(_PERSON),
    },
    # An order cancelled while the exam runs does not stop the exam: CANCEL is absent (C.4, F-H09).
    # Of all states the clock ends this one alone, where it has ended the performed step (B-08).
    _S.STARTED: {
        _E.COMPLETE: _to(_S.COMPLETED, _ORDER, _DEVICE, _PERSON, _CLOCK),
        _E.DISCONTINUE: _to(_S.DISCONTINUED, _ORDER, _DEVICE, _PERSON, _CLOCK),
        _E.REOPEN: _back(_DEVICE, _PERSON, _CLOCK),
        _E.WITHDRAW: _back(_DEVICE, _PERSON, _CLOCK, to=_S.CANCELLED),
    },
    # MPPS is the truth of what happened: a further performed step begins it again (B-34 append, B-36).
    # What is finished, a person alone takes back.
    _S.COMPLETED: {
        _E.BEGIN: _to(_S.STARTED, _DEVICE, _PERSON),
        _E.REOPEN: _back(_PERSON),
        _E.WITHDRAW: _back(_PERSON, to=_S.CANCELLED),
    },
    _S.DISCONTINUED: {
        _E.BEGIN: _to(_S.STARTED, _DEVICE, _PERSON),
        _E.COMPLETE: _to(_S.COMPLETED, _ORDER, _DEVICE, _PERSON),
        _E.REOPEN: _back(_PERSON),
        _E.WITHDRAW: _back(_PERSON, to=_S.CANCELLED),
    },
    _S.CANCELLED: {
        _E.BEGIN: _to(_S.STARTED, _DEVICE, _PERSON),
        _E.REOPEN: _back(_ORDER, _PERSON),
    },
}
# fmt: on

CLOSED = frozenset({_S.COMPLETED, _S.DISCONTINUED, _S.CANCELLED})
"""States in which a step is off the worklist unless a device asks for it (A-48)."""


WAITING = frozenset({_S.SCHEDULED, _S.ARRIVED, _S.READY})
"""States in which nothing was done yet.  These alone can be put on hold, which takes a step off every
worklist and leaves it its state: by an order (C.4), or by the clock, when its day has long passed (M12)."""


class PerformedState(StrEnum):
    """(0040,0252) of a performed procedure step (PS3.4 F.7.2)."""

    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"


# PS3.4 F.7.2.2.3: only a step IN PROGRESS may be set; what is final answers 0110 with Error ID A710.
# Beside its device, a person or the clock may end one that nobody will end (B-08).
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


def advance(state: StepState, event: StepEvent, by: Actor) -> Move | None:
    """Return what *event* does in *state*, or None where the table lets *by* do no such thing."""
    move = STEP[state].get(event)
    return move if move is not None and by in move.by else None
