"""The state diagrams of `docs/states.md`, drawn from the tables that the broker runs by.

``python docs/diagrams.py > docs/states.md`` writes the page anew; ``tests/test_docs.py`` fails while it
is out of date.
"""

# ruff: noqa: E501, INP001  prose has a sentence a line; a script, not a package

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, TypeAlias

from mwl.dicom.upper_layer import TABLE, Action, State
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
)

Edges: TypeAlias = Mapping[tuple[Any, Any], str]
"""What leads from one state to another; the states of one diagram are of one kind."""


def diagram(states: Iterable[Enum], first: Enum, edges: Edges, *, ends: Iterable[Enum] = ()) -> str:
    """Return a Mermaid state diagram; *ends* are the states nothing leads out of."""
    lines = ["stateDiagram-v2"]
    lines += [f'state "{_label(each)}" as {_name(each)}' for each in states]
    lines.append(f"[*] --> {_name(first)}")
    lines += [
        f"{_name(one)} --> {_name(other)}" + (f" : {text}" if text else "")
        for (one, other), text in edges.items()
    ]
    lines += [f"{_name(each)} --> [*]" for each in ends]
    return "```mermaid\n" + "\n    ".join(lines) + "\n```\n"


def _name(state: Enum) -> str:
    return str(state.value).replace(" ", "_")


def _label(state: Enum) -> str:
    # PS3.8 numbers its states; the number alone tells a reader little.
    return f"{state.value} {state.name.lower().replace('_', ' ')}" if state in State else str(state.value)


def step() -> str:
    """Return the life of a scheduled step."""
    edges = {
        (state, move.after): event.value for state, events in STEP.items() for event, move in events.items()
    }
    return diagram(StepState, StepState.SCHEDULED, edges)


_WHO = {
    Actor.ORDER: "an order",
    Actor.DEVICE: "a performed step",
    Actor.PERSON: "a person",
    Actor.CLOCK: "the clock",
}


def causes() -> str:
    """Return who may cause what in which state, as a table."""
    lines = ["event", *(each.value for each in StepState)], ["---"] * (len(StepState) + 1)
    rows = [[event.value, *(_cause(state, event) for state in StepState)] for event in StepEvent]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (*lines, *rows))


def _cause(state: StepState, event: StepEvent) -> str:
    move = STEP[state].get(event)
    if move is None:
        return ""
    return ", ".join(_WHO[each] for each in Actor if each in move.by) + (" *" if move.resting else "")


def performed() -> str:
    """Return the life of a performed step."""
    edges = {
        (one, other): "N-SET" if one is other else "N-SET, mwl performed close, watch.performed.close"
        for one, other in _pairs(PERFORMED)
    }
    return diagram(PerformedState, PerformedState.IN_PROGRESS, edges, ends=_last(PERFORMED))


def outbox() -> str:
    """Return the life of an outbox row."""
    told = {
        (OutboxState.PENDING, OutboxState.DELIVERED): "AA or CA",
        (OutboxState.PENDING, OutboxState.PARKED): "AE, AR, CE or CR",
        (OutboxState.PARKED, OutboxState.PENDING): "mwl outbox retry",
        (OutboxState.PENDING, OutboxState.DISCARDED): "mwl outbox discard",
        (OutboxState.PARKED, OutboxState.DISCARDED): "mwl outbox discard",
    }
    edges = {pair: told[pair] for pair in _pairs(OUTBOX)}
    return diagram(OutboxState, OutboxState.PENDING, edges, ends=_last(OUTBOX))


def _pairs(table: Mapping[Any, Collection[Any]]) -> list[tuple[Any, Any]]:
    """Return the steps of a table in the order in which its states are defined: sets have none."""
    return [(one, other) for one in table for other in table if other in table[one]]


def _last(table: Mapping[Any, Collection[Any]]) -> list[Any]:
    return [state for state, following in table.items() if not following]


def association() -> str:
    """Return the life of an association, without the cells in which nothing happens."""
    edges: dict[tuple[Enum, Enum], str] = {}
    for state in State:
        for after, text in _leaving(state):
            edges[state, after] = text
    return diagram(State, State.IDLE, edges)


def _leaving(state: State) -> Iterator[tuple[State, str]]:
    grouped: dict[State, dict[Action, list[str]]] = {}
    for event, (action, after) in TABLE[state].items():
        if action not in (Action.NOTHING, Action.REFUSE):
            grouped.setdefault(after, {}).setdefault(action, []).append(event.value)
    for after, actions in grouped.items():
        yield after, "<br/>".join(f"{', '.join(events)}, {action}" for action, events in actions.items())


def page() -> str:
    """Return the whole page."""
    closed, waiting = (
        ", ".join(state.value for state in StepState if state in states) for states in (CLOSED, WAITING)
    )
    return f"""# States

This page is made by `docs/diagrams.py` from the tables the broker runs by; do not edit it.

## A scheduled step

The table is `STEP` in `mwl/lifecycle.py`: for each state what can happen, where it leads, and who may cause it.
An order brings a step into being as SCHEDULED.
An order message arrives, makes ready, cancels, discontinues or completes it; a new order reopens one that is {StepState.CANCELLED}.
A performed step begins, completes or discontinues it, and reopens it where the wrong worklist entry had been selected, or withdraws it where its order was cancelled meanwhile.
A person does all of this but begin and withdraw, by `mwl steps`, and moves it by linking a performed step, or unlinking one (`mwl performed`).
The clock ends what runs, where it has ended the performed step (`watch.performed.close`), and touches nothing that is finished.
An event that a state does not name, or by somebody it does not name, changes nothing.
A step that is {closed} is off the worklist unless a device asks for it by name.
One that is {waiting} can be on hold, by its order or by the clock (`watch.steps.idle`): it is on no worklist, and keeps its state.
Every change is a line of the step's history: when, who, why (`mwl steps show`).

{step()}
{causes()}
\\* only while no performed step of it is IN PROGRESS.

## A performed step

The table is `PERFORMED` in `mwl/lifecycle.py`.
N-CREATE brings it into being; a final one takes no further N-SET.
One that its device does not end a person ends, or the clock, where the configuration says so.

{performed()}
## An outbox row

The table is `OUTBOX` in `mwl/lifecycle.py`.
A row without an answer stays pending and is tried again.

{outbox()}
## An association

The table is `TABLE` in `mwl/dicom/upper_layer.py`.
States, events and actions have the numbers of PS3.8 section 9.2.
`Evt6a` is a request of another protocol version, and `AE-6a` its rejection.
Cells in which nothing happens are left out.

{association()}"""


if __name__ == "__main__":
    print(page(), end="")
