"""Who gets performed steps, and who hears of them: rows that are written with the change."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest

from mwl.conduct import STANDARD
from mwl.lifecycle import PerformedState
from mwl.model import Document
from mwl.store import Store, Transaction, onward, outbox, performed, retention, settling
from mwl.store.attaching import Situation
from mwl.store.onward import CREATE, FORWARD, NOTIFICATION, SET, Copy, Notice, Onward, Route
from mwl.store.settling import Decision

STEP: Document = {"00400252": {"vr": "CS", "Value": ["IN PROGRESS"]}, "00400250": {"vr": "DA"}}
DONE: Document = {"00400252": {"vr": "CS", "Value": ["COMPLETED"]}}
BOTH = Onward((Route("PACS"), Route("DOSE", frozenset({"CT1"}))), ("VIEWER",))


def create(store: Store, uid: str = "1.2.3", *, calling: str = "CT1", to: Onward = BOTH) -> int:
    """Create a performed step that is sent on; return its key."""

    def work(tx: Transaction) -> int:
        step = performed.create(tx, uid, STEP, calling_ae=calling, told=()).step
        onward.send_first(tx, step, [Copy(CREATE, request=1)], to)
        onward.notify(tx, step, [Notice.IN_PROGRESS], to)
        return step.key

    return store.write_now(work)


def change(store: Store, uid: str = "1.2.3", *, to: Onward = BOTH) -> None:
    """Send a later request on."""

    def work(tx: Transaction) -> None:
        step = performed.get(tx, uid)
        assert step is not None
        onward.send_next(tx, step, [Copy(SET, request=2, ends=True)], to)

    store.write_now(work)


def rows(store: Store, kind: str = FORWARD) -> list[tuple[str, str]]:
    """Return destination and event of the rows of a kind, oldest first."""
    found = reversed(store.read_now(outbox.browse))
    return [(row.destination, row.event) for row in found if row.kind == kind]


def test_a_step_goes_to_all_that_get_this_device_s(store: Store) -> None:
    """A route without devices gets everybody's; every subscriber hears."""
    create(store)
    create(store, "1.2.4", calling="MR1")

    assert rows(store) == [("PACS", "N-CREATE"), ("DOSE", "N-CREATE"), ("PACS", "N-CREATE")]
    assert rows(store, NOTIFICATION) == [("VIEWER", "IN PROGRESS")] * 2


@pytest.mark.parametrize("settle", [outbox.delivered, outbox.discard])
def test_a_later_request_follows_the_first(store: Store, settle: Callable[[Transaction, int], None]) -> None:
    """To whom the first was sent, whatever became of it there, as long as it is configured; to no other."""
    create(store, to=Onward((Route("PACS"), Route("GONE"))))
    for row in store.read_now(outbox.browse):
        store.write_now(lambda tx, row=row: settle(tx, row.key))

    change(store)

    assert rows(store)[-1:] == [("PACS", "N-SET")]
    assert len(rows(store)) == 3


def test_rows_of_one_step_leave_in_order(store: Store) -> None:
    """Of one peer a claim holds one row of a step, the first; of another step, or another peer, it does not wait."""
    for uid in ("1.2.3", "1.2.4"):
        create(store, uid)
        change(store, uid)

    def claim(tx: Transaction) -> list[str]:
        claimed = outbox.claim(tx, "one", dt.timedelta(minutes=1), 16, destination="PACS", kind=FORWARD)
        return [row.event for row in claimed]

    assert store.write_now(claim) == ["N-CREATE", "N-CREATE"]
    assert store.write_now(claim) == []


def test_b08_a_step_that_a_person_ends_is_sent_on_as_well(store: Store) -> None:
    """An N-SET with what there is of an end, and the notification."""
    key = create(store)
    under = Situation(STANDARD, (), BOTH)

    store.write_now(
        lambda tx: settling.close(
            tx, key, PerformedState.DISCONTINUED, Decision("console anna", "left"), under
        )
    )

    last = [row for row in store.read_now(outbox.browse) if row.event == "N-SET"]
    assert {row.destination for row in last} == {"PACS", "DOSE"}
    assert last[0].facts["document"] == {"00400252": {"vr": "CS", "Value": ["DISCONTINUED"]}}
    assert rows(store, NOTIFICATION) == [("VIEWER", "IN PROGRESS"), ("VIEWER", "DISCONTINUED")]


def test_f_m27_subscribers_hear_of_what_is_not_kept_any_more(store: Store) -> None:
    """Event type 5, behind what they have not got yet of the same step."""
    create(store, to=Onward((), BOTH.subscribers))
    store.write_now(lambda tx: performed.update(tx, "1.2.3", DONE, calling_ae="CT1", told=()))

    def purge(tx: Transaction) -> int:
        return retention.purge_performed(tx, tx.now + dt.timedelta(days=1), told=BOTH)

    assert store.write_now(purge) == 1
    last, first = [row for row in store.read_now(outbox.browse) if row.kind == NOTIFICATION]
    assert (last.facts["type"], last.facts["uid"], last.thread) == (Notice.DELETED, "1.2.3", first.thread)


def test_nobody_is_configured(store: Store) -> None:
    """Nothing is written."""
    create(store, to=onward.NOBODY)
    change(store, to=onward.NOBODY)

    assert store.read_now(outbox.browse) == []
