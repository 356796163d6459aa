"""Whatever happens to steps and exams, in whatever order: what is finished stays, and the history is complete."""

from __future__ import annotations

import datetime as dt
import itertools

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store.exams import (
    ALL,
    COMPLETED,
    DISCONTINUED,
    IN_PROGRESS,
    WRONG_ENTRY,
    House,
    began,
    ended,
    item,
    order,
    unscheduled,
)

from mwl import lifecycle
from mwl.conduct import Conduct, Conducts
from mwl.errors import MwlError, Refused
from mwl.lifecycle import PerformedState, StepEvent, StepState
from mwl.model import OrderAction
from mwl.store import by_hand, tables, watching

ORDERS = ("1", "2")
BY_HAND = "moved by hand"
EXAMS = range(2)
ACTIONS = [action for action in OrderAction if action is not OrderAction.NOTHING]
MOVES = [event for event in StepEvent if event not in (StepEvent.BEGIN, StepEvent.WITHDRAW)]

_EVENTS = st.one_of(
    st.tuples(st.just("order"), st.sampled_from(ORDERS), st.sampled_from(ACTIONS)),
    st.tuples(st.just("begin"), st.sampled_from(EXAMS), st.sampled_from([*ORDERS, "both", "none", "other"])),
    st.tuples(st.just("set"), st.sampled_from(EXAMS), st.sampled_from([*PerformedState, WRONG_ENTRY])),
    st.tuples(st.just("move"), st.sampled_from([1, 2]), st.sampled_from(MOVES)),
    st.tuples(st.just("link"), st.sampled_from([1, 2]), st.sampled_from([1, 2])),
    st.tuples(st.just("unlink"), st.sampled_from([1, 2]), st.just(None)),
    st.tuples(st.just("close"), st.sampled_from([1, 2]), st.sampled_from([COMPLETED, DISCONTINUED])),
    st.tuples(st.just("clock"), st.sampled_from([5, 50]), st.just(None)),
)
_CONDUCTS = st.sampled_from([
    Conduct(),
    Conduct(exams="any"),
    Conduct(processing="attach"),
    Conduct(begun=None),
    Conduct(discontinued=StepState.SCHEDULED),
    Conduct(completed=StepState.STARTED, steps="first"),
])  # fmt: skip


def happen(house: House, kind: str, which, what) -> None:
    """Let one thing happen; what is refused has not happened."""
    try:
        _DO[kind](house, which, what)
    except Refused as refused:
        assert str(refused)  # noqa: PT017  which one is the subject of other tests


def _order(house: House, n: str, action: OrderAction) -> None:
    try:
        house.send(order(n, f"S{n}", action=action))
    except MwlError as error:  # there is no such order yet
        assert str(error)  # noqa: PT017  as above


def _begin(house: House, n: int, of: str) -> None:
    items = {
        "both": [item("1", "S1"), item("2", "S2")], "none": [unscheduled()], "other": [item("1", "S1")],
    }.get(of, [item(of, f"S{of}")])  # fmt: skip
    house.create(f"1.2.{n}", began(*items, patient="PID999" if of == "other" else "PID001"))


def _set(house: House, n: int, state: PerformedState | str) -> None:
    document = ended(DISCONTINUED, WRONG_ENTRY) if state == WRONG_ENTRY else ended(PerformedState(state))
    house.update(f"1.2.{n}", document)


def _move(house: House, key: int, event: StepEvent) -> None:
    house.store.write_now(
        lambda tx: by_hand.move(tx, [key], event, by="console anna", reason=BY_HAND, told=ALL)
    )


def _clock(house: House, hours: int, _what: None) -> None:
    house.now += dt.timedelta(hours=hours)
    day = dt.timedelta(days=1)

    def work(tx) -> None:
        watching.report_open(tx, tx.now - day)
        watching.close_open(tx, tx.now - 2 * day, COMPLETED, house.under)
        keys, _ = watching.idle(tx, watching.Idleness({}, day), dt.UTC, watching.Mark())
        watching.hide(tx, keys)

    house.store.write_now(work)


_DO = {
    "order": _order,
    "begin": _begin,
    "set": _set,
    "move": _move,
    "link": lambda house, key, step: house.link(key, step),
    "unlink": lambda house, key, _: house.unlink(key),
    "close": lambda house, key, state: house.close(key, state),
    "clock": _clock,
}


@given(events=st.lists(_EVENTS, min_size=4, max_size=16), conduct=_CONDUCTS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sequence_of_events_keeps_what_must_hold(house: House, events: list, conduct: Conduct) -> None:
    """After each event: histories are whole, final exams unchanged, states those the table allows."""
    wipe(house)
    house.conducts = Conducts(anyone=conduct)
    house.now = dt.datetime(2026, 7, 5, 10, 0, tzinfo=dt.UTC)
    for n in ORDERS:
        house.send(order(n, f"S{n}"))
    final: dict[str, tuple] = {}
    for kind, which, what in events:
        before, begun = finished(house), house.heard.count("IP")
        happen(house, kind, which, what)
        for exam in house.rows(tables.performed):
            if exam.state != IN_PROGRESS:
                known = final.setdefault(exam.sop_instance_uid, (exam.state, exam.document))
                assert known == (exam.state, exam.document)
        for step in house.rows(tables.steps):
            whole(house, step)
        if kind == "clock":
            assert before.items() <= {step.key: step.state for step in house.rows(tables.steps)}.items()
        if kind in ("set", "close", "clock", "move"):  # what ends begins nothing: no IP after a CM
            assert house.heard.count("IP") == begun


def wipe(house: House) -> None:
    def work(tx) -> None:
        for table in (tables.patients, tables.performed, tables.outbox):
            tx.connection.execute(table.delete())
        for name in ("steps", "performed"):
            reset(tx, name)

    house.store.write_now(work)


def reset(tx, name: str) -> None:
    """Let keys begin at 1 again, on either database."""
    if tx.connection.dialect.name == "sqlite":
        tx.connection.exec_driver_sql(f"DELETE FROM sqlite_sequence WHERE name = '{name}'")
    else:
        tx.connection.exec_driver_sql(f"ALTER SEQUENCE {name}_key_seq RESTART WITH 1")


def finished(house: House) -> dict[int, str]:
    done = (StepState.COMPLETED, StepState.DISCONTINUED)
    return {step.key: step.state for step in house.rows(tables.steps) if step.state in done}


def whole(house: House, step) -> None:
    """Each line begins where the one before it ended, the table allows it, and the last one is the state."""
    lines = house.history(step.key)
    assert lines[0].event == "create"
    for one, other in itertools.pairwise(lines):
        assert other.before == one.after
        assert other.at >= one.at
        if other.event in list(StepEvent):
            move = lifecycle.advance(
                StepState(other.before), StepEvent(other.event), lifecycle.actor(other.source)
            )
            assert move is not None
            assert move.after == other.after
        else:
            assert other.before == other.after
    assert lines[-1].after == step.state
    cancelled = False
    for line in lines:  # what was cancelled an order puts back, or a person by name, and no exam
        if line.event == "reopen" and cancelled:
            assert line.source.startswith("hl7") or line.reason == BY_HAND
        if line.event in ("cancel", "asked to cancel", "reopen", "ordered again"):
            cancelled = line.event in ("cancel", "asked to cancel")
    holds = [line.event for line in lines if line.event in ("hold", "release")]
    assert step.held == (bool(holds) and holds[-1] == "hold")
