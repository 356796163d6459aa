"""A query answered twice on one snapshot."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from workbench.at_hand import FACTS, asked, bound, step

from mwl.model import OrderAction, OrderMessage, ProcedureChange, WorklistItem
from mwl.store import Store, open_store, orders
from mwl.workbench.shadow import Twice, compared, snapshot


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'mwl.db'}")
    for number in (1, 2):
        order(opened, step(number))
    yield opened
    opened.close_now()


def order(store: Store, item: WorklistItem) -> None:
    message = OrderMessage(
        "RIS", item.patient, (ProcedureChange(OrderAction.CREATE, item.procedure, (item.step,)),)
    )
    store.write_now(lambda tx: orders.apply(tx, message, source="test", uid_root=None, told=()))


@pytest.fixture
def twice(tmp_path: Path) -> Twice:
    """A query by a profile, and by a draft that leaves a step out."""
    own = bound(tmp_path / "own", "", "own")
    draft = bound(tmp_path / "draft", "filter: {exclude: [{AccessionNumber: ACC002}]}", "draft")
    return Twice(asked(), FACTS, own, draft, dt.UTC)


def test_both_sides_see_one_moment(store, twice):
    """An order that comes between reading and comparing is on neither list."""
    taken = store.read_now(lambda tx: snapshot(tx, twice))
    order(store, step(3))

    found = compared(twice, taken, lambda: None)

    assert [len(side.sent) for side in (found.before, found.after)] == [2, 1]
    assert [(each.kind.value, each.item.ref.key) for each in found.differences] == [("vanishes", 2)]


def test_there_is_a_pause_after_each_item(store, twice):
    """So that who has work to do for a device gets its turn."""
    pauses: list[int] = []

    compared(twice, store.read_now(lambda tx: snapshot(tx, twice)), lambda: pauses.append(1))

    assert len(pauses) == 3


def test_a_query_that_one_side_refuses_is_compared_all_the_same(store, tmp_path):
    """The refusal is the difference."""
    question = asked("PatientName", "SPS.ScheduledProcedureStepStartDate=heute")
    own = bound(tmp_path / "own", "accept: {lenient: true}", "own")
    twice = Twice(question, FACTS, own, bound(tmp_path / "draft", "", "draft"), dt.UTC)

    found = compared(twice, store.read_now(lambda tx: snapshot(tx, twice)), lambda: None)

    assert (found.before.status, found.after.status) == (0x0000, 0xA900)


def test_a_list_that_is_too_long_is_not_taken(store, twice, monkeypatch):
    """Whichever side asks for it."""
    monkeypatch.setattr("mwl.workbench.shadow.MOST", 1)

    assert store.read_now(lambda tx: snapshot(tx, twice)) is None
