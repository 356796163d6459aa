"""What the clock sees to, on the database."""

from __future__ import annotations

import asyncio
import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from store.exams import COMPLETED, DISCONTINUED, U1, U2, House, began, item, order

from mwl.errors import Refusal, Refused
from mwl.lifecycle import WAITING, PerformedState, StepState
from mwl.model import OrderAction
from mwl.store import Store, messages, open_store, queries, tables, transitions, watching
from mwl.store.linking import Remark
from mwl.store.messages import MessageRecord
from mwl.store.queries import CapturedQuery
from mwl.store.transaction import stamp
from mwl.store.watching import Idleness, Mark

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)


# ── exams that nobody ends ──


def report(house: House, after: dt.timedelta = 12 * HOUR) -> list[str]:
    found = house.store.write_now(lambda tx: watching.report_open(tx, tx.now - after))
    return [step.uid for step in found]


def close(house: House, after: dt.timedelta, state: PerformedState = DISCONTINUED) -> list[str]:
    found = house.store.write_now(lambda tx: watching.close_open(tx, tx.now - after, state, house.under))
    return [step.uid for step in found]


def test_an_exam_that_nobody_ends_is_remarked_on_once(house: House) -> None:
    """It stands before a person; nothing else changes, and its end takes the remark away."""
    house.send(order("1001", "S1"))
    house.create()
    early = report(house)
    house.now += 13 * HOUR

    late, again = report(house), report(house)

    assert (early, late, again) == ([], [U1], [])
    assert (house.exam().remarks, house.exam().unsettled) == ((Remark.OPEN_TOO_LONG,), True)
    assert (house.states, house.exam().state, house.heard) == (
        ["STARTED"],
        PerformedState.IN_PROGRESS,
        ["IP"],
    )
    assert house.store.read_now(lambda tx: watching.count_open(tx, tx.now - 12 * HOUR)) == 1
    house.update()
    assert house.exam().remarks == ()


def test_an_exam_that_was_heard_of_since_is_not_left_open(house: House) -> None:
    """An intermediate N-SET is a sign of life."""
    house.create()
    house.now += 11 * HOUR
    house.update(U1, {"00400254": {"vr": "LO", "Value": ["THORAX"]}})
    house.now += 2 * HOUR

    assert report(house) == []


@pytest.mark.parametrize("state", [COMPLETED, DISCONTINUED])
def test_b_08_the_clock_ends_an_exam(house: House, state: PerformedState) -> None:
    """The step follows, the RIS hears; what the device sends then is refused."""
    [key] = house.send(order("1001", "S1"))
    house.create()
    house.now += 3 * DAY

    closed, again = close(house, 2 * DAY, state), close(house, 2 * DAY, state)

    assert (closed, again) == ([U1], [])
    assert (house.states, house.heard[-1]) == ([state.value], "CM" if state is COMPLETED else "DC")
    last = house.history(key)[-1]
    assert (last.source, last.reason) == ("clock", "its device has not ended it")
    assert house.exam().notes == (
        f"2026-07-08T10:00:00Z clock: ended as {state}: its device has not ended it",
    )
    with pytest.raises(Refused) as refused:
        house.update()
    assert refused.value.reason is Refusal.FINAL


def test_the_clock_ends_nothing_that_is_younger_or_over(house: House) -> None:
    """What runs since yesterday, and what has ended, stays."""
    house.send(order("1001", "S1"))
    house.send(order("1002", "S2"))
    house.create(U1)
    house.update(U1)
    house.now += 2 * DAY
    house.create(U2, began(item("1002", "S2")))

    assert close(house, DAY) == []
    assert house.states == ["COMPLETED", "STARTED"]


async def test_of_several_brokers_one_ends_an_exam(house: House, database_url: str) -> None:
    """Two that look at the same moment: one finds it, the RIS hears once."""
    house.send(order("1001", "S1"))
    house.create()
    house.now += 3 * DAY
    other = open_store(database_url, clock=lambda: house.now)

    def work(tx) -> list[str]:
        found = watching.close_open(tx, tx.now - DAY, COMPLETED, house.under)
        return [step.uid for step in found]

    found = await asyncio.gather(house.store.write(work), other.write(work))
    other.close_now()

    assert sorted(found) == [[], [U1]]
    assert (house.states, house.heard) == (["COMPLETED"], ["IP", "CM"])


# ── steps that nobody reports ──


def idle(house: House, idleness: Idleness, behind: Mark = Mark()) -> list[int]:  # noqa: B008  frozen
    found: list[int] = []
    mark: Mark | None = behind
    while mark is not None:
        at = mark
        keys, mark = house.store.read_now(lambda tx, at=at: watching.idle(tx, idleness, BERLIN, at))
        found += keys
    return found


def hide(house: House, *keys: int) -> list[int]:
    return house.store.write_now(lambda tx: watching.hide(tx, keys))


SITE = Idleness({}, 12 * HOUR)


@pytest.mark.parametrize(
    ("start", "hours", "gone"),
    [
        ("20260705 090000", 10, False),  # 22 o'clock in Berlin
        ("20260705 090000", 13, True),
        ("20260705", 13, False),  # all day
        ("20260705", 26, False),
        ("20260705", 28, True),  # 13 o'clock of the next day
        ("", 1000, False),
        ("20260706 235900", 13, False),
    ],
)
def test_m12_a_step_that_nobody_reports_is_idle(house: House, start: str, hours: int, gone: bool) -> None:
    """So long after its start on the site's clock; one without a date never."""
    house.now = dt.datetime(2026, 7, 5, 7, 0, tzinfo=dt.UTC)  # 9 o'clock in Berlin
    [key] = house.send(order("1001", "S1", start=start))

    house.now += hours * HOUR

    assert idle(house, SITE) == ([key] if gone else [])


def test_m12_an_idle_step_leaves_the_worklists_with_its_reason(house: House) -> None:
    """It keeps its state, and nobody is told that it was cancelled or done."""
    [key] = house.send(order("1001", "S1"))
    house.now += DAY

    hidden, again = hide(house, *idle(house, SITE)), idle(house, SITE)

    [row] = house.rows(tables.steps)
    last = house.history(key)[-1]
    assert (hidden, again) == ([key], [])
    assert (row.held, row.state, house.heard) == (True, "SCHEDULED", [])
    assert (last.event, last.source, last.reason) == ("hold", "clock", "idle")


def test_m12_an_exam_of_an_idle_step_begins_it(house: House) -> None:
    """A device that was off-line all night reports in the end."""
    house.send(order("1001", "S1"))
    house.now += DAY
    hide(house, *idle(house, SITE))

    house.create()
    house.update()

    assert (house.states, house.heard) == (["COMPLETED"], ["IP", "CM"])


def test_m12_a_step_that_is_scheduled_anew_is_back(house: House) -> None:
    """Its order gives it another day; one that its own system holds stays on hold."""
    house.send(order("1001", "S1"))
    house.send(order("1002", "S2"))
    house.send(order("1002", "S2", action=OrderAction.HOLD))
    house.now += DAY
    hide(house, *idle(house, SITE))

    for n, step in (("1001", "S1"), ("1002", "S2")):
        house.send(order(n, step, action=OrderAction.UPDATE, start="20260709 090000"))

    first, second = house.rows(tables.steps)
    assert (first.held, second.held) == (False, True)
    assert house.history(1)[-1].reason == "it has a new start"


def test_m12_what_was_put_back_is_not_taken_off_at_once(house: House) -> None:
    """Whoever puts it back has as long as before."""
    [key] = house.send(order("1001", "S1"))
    house.now += DAY
    hide(house, *idle(house, SITE))
    house.store.write_now(lambda tx: transitions.hold(tx, key, held=False, source="console anna"))

    house.now += 11 * HOUR
    soon = idle(house, SITE)
    house.now += 2 * HOUR

    assert (soon, idle(house, SITE)) == ([], [key])


@pytest.mark.parametrize("state", sorted(set(StepState) - WAITING))
def test_what_has_begun_or_is_finished_is_never_idle(house: House, state: StepState) -> None:
    """Peer failure 23."""
    [key] = house.send(order("1001", "S1"))
    house.store.write_now(lambda tx: tx.connection.execute(tables.steps.update().values(state=state.value)))
    house.now += 100 * DAY

    assert (idle(house, SITE), hide(house, key)) == ([], [])
    assert house.states == [state.value]


def test_idleness_is_the_devices_own(house: House) -> None:
    """One device reports nothing, the other always does; a step of both waits for the latter."""
    at_us, at_ct, at_both, nowhere = (
        house.send(order(f"100{n}", f"S{n}", station=station))[0]
        for n, station in enumerate(("US_1", "CT_1", "US_1", "XX"))
    )
    house.store.write_now(
        lambda tx: tx.connection.execute(
            tables.step_stations.insert().values(
                step_key=at_both, ae_title="CT_1", start="20260705090000.000000"
            )
        )
    )
    house.now += 2 * DAY

    own = Idleness({"US_1": 12 * HOUR, "CT_1": None}, None)
    shorter = Idleness({"US_1": 12 * HOUR, "CT_1": 7 * DAY}, 1 * DAY)

    assert idle(house, own) == [at_us]
    assert idle(house, shorter) == [at_us, nowhere]
    assert at_ct not in idle(house, shorter)
    assert idle(house, Idleness({"CT_1": None}, None)) == []


def test_more_than_a_page_of_idle_steps_is_found(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many start at the same minute."""
    monkeypatch.setattr(watching, "PAGE", 3)
    keys = [house.send(order(str(n), f"S{n}"))[0] for n in range(7)]
    house.now += DAY

    assert idle(house, SITE) == keys
    assert idle(house, SITE, Mark("20260705090000.000000", keys[4])) == keys[5:]
    assert idle(house, SITE, Mark("20260706")) == []


def test_idle_steps_are_counted(house: House) -> None:
    """Those of the last month that are still on a worklist."""
    for n, start in enumerate(("20260705 090000", "20260704 090000", "20260401 090000", "20260706 090000")):
        house.send(order(str(n), f"S{n}", start=start))
    house.now += 2 * HOUR

    assert house.store.read_now(lambda tx: watching.count_idle(tx, 4 * HOUR, BERLIN)) == 0  # just ordered
    house.now += 4 * HOUR
    assert house.store.read_now(lambda tx: watching.count_idle(tx, 4 * HOUR, BERLIN)) == 2


# ── who has been heard ──


def test_a_device_is_heard_by_its_queries_and_its_exams(house: House) -> None:
    """The later of the two; what was reported long ago is not looked for."""
    asked = house.now - 3 * HOUR
    seen = [
        CapturedQuery(title, b"%d" % n, "1.2.840.10008.1.2", stamp(asked + n * HOUR), "0000")
        for n, title in enumerate(("CT1", "CT1", "MR1"))
    ]
    house.store.write_now(lambda tx: queries.record(tx, seen, per_device=100))
    house.create(U1, ae="CT1")
    house.create(U2, ae="XR1")

    def heard(since: dt.datetime) -> dict[str, dt.datetime]:
        return house.store.read_now(lambda tx: watching.devices_heard(tx, since))

    assert heard(house.now - DAY) == {"CT1": house.now, "MR1": asked + 2 * HOUR, "XR1": house.now}
    assert heard(house.now + HOUR) == {"CT1": asked + HOUR, "MR1": asked + 2 * HOUR}


def test_a_system_is_heard_by_its_messages(store: Store) -> None:
    """One that never sent anything is left out."""
    record = MessageRecord("x", b"MSH|", system="RIS")
    store.write_now(lambda tx: messages.answered(tx, messages.arrived(tx, record), "AA", None))

    heard = store.read_now(lambda tx: watching.systems_heard(tx, ["RIS", "HIS"]))

    assert heard.keys() == {"RIS"}
    assert heard["RIS"].tzinfo is not None
