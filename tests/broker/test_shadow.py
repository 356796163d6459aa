"""A draft in the shadow: compared behind the devices' backs, bounded, and at nobody's cost."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from prometheus_client import REGISTRY
from workbench.at_hand import ELE, bound, step

from mwl.broker import bind, shadow
from mwl.broker.shadow import Shadow
from mwl.dicom.devices import Devices
from mwl.dicom.emulators.keys import data_set, encoded
from mwl.dicom.observing import Observation
from mwl.dicom.service import AssociationFacts
from mwl.errors import BadDocument, Unavailable
from mwl.mapping.devices.device import DeviceProfile
from mwl.model import OrderAction, OrderMessage, ProcedureChange
from mwl.store import Store, open_store, orders, shadows
from mwl.store.shadows import Shadowed

DRAFT = "filter: {exclude: [{AccessionNumber: ACC002}]}\ntruncate: {PatientName: 3}"
BERLIN = ZoneInfo("Europe/Berlin")


class Watched:
    """A store that tells of each write, and that can be away."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.away = False
        self.written: asyncio.Queue[None] = asyncio.Queue()

    async def read(self, work: Any) -> Any:
        if self.away:
            self.written.put_nowait(None)
            raise Unavailable("away")
        return await self.store.read(work)

    async def write(self, work: Any) -> Any:
        found = await self.store.write(work)
        self.written.put_nowait(None)
        return found


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A database with two orders for CT1."""
    opened = open_store(f"sqlite:///{tmp_path / 'mwl.db'}")
    for each in (step(1, PatientName="SECRET^ONE"), step(2, PatientName="SECRET^TWO")):
        change = ProcedureChange(OrderAction.CREATE, each.procedure, (each.step,))
        message = OrderMessage("RIS", each.patient, (change,))
        opened.write_now(lambda tx, m=message: orders.apply(tx, m, source="test", uid_root=None, told=()))
    yield opened
    opened.close_now()


class Setting:
    """A shadow at work beside a device's own profile."""

    def __init__(self, store: Store, folder: Path, draft: str = DRAFT) -> None:
        self.own = bound(folder / "own", "", "own")
        self.draft = bound(folder / "draft", draft, "draft")
        self.store = Watched(store)
        self.time = 1000.0
        self.shadow = Shadow(self.store, clock=lambda: self.time)  # type: ignore[arg-type]
        self.use(self.draft)

    def use(self, draft: DeviceProfile | None) -> None:
        """Take over a configuration."""
        now = dt.datetime(2026, 7, 5, 8, tzinfo=dt.UTC)
        devices = Devices("MWL", {"CT1": self.own}, BERLIN, clock=lambda: now)
        self.shadow.use({} if draft is None else {"CT1": draft}, devices)

    def seen(self, *keys: str, device: str = "CT1", **facts: Any) -> Observation:
        """Return a query that was answered."""
        lines = keys or ("PatientName", "AccessionNumber", "SPS.Modality=CT")
        known = {"profile": self.own, "status": 0, "identifier": encoded(data_set(lines, {}), ELE)}
        association = AssociationFacts(device, "MWL", "10.0.0.7")
        return Observation(association, device=device, transfer_syntax=ELE, **{**known, **facts})

    def rows(self) -> list[Shadowed]:
        """Return what is on record."""
        return self.store.store.read_now(shadows.browse)


@pytest.fixture
async def setting(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A shadow that was started, and rests for no time."""
    monkeypatch.setattr(shadow, "REST", 0.0)
    made = Setting(store, tmp_path)
    await made.shadow.start()
    yield made
    await made.shadow.stop()


def counted(outcome: str) -> float:
    """Return how many queries of CT1 had that outcome."""
    labels = {"device": "CT1", "outcome": outcome}
    return REGISTRY.get_sample_value("mwl_shadow_queries_total", labels) or 0.0


async def test_what_the_draft_would_change_is_on_record(setting, caplog):
    """With what appears, vanishes and changes; in the log without a patient."""
    caplog.set_level(logging.INFO)
    before = counted("differs")

    setting.shadow.answered(setting.seen())
    await setting.store.written.get()
    await setting.shadow.stop()

    (row,) = setting.rows()
    assert (row.calling_ae, row.profile, row.profile_digest) == ("CT1", "draft", setting.draft.digest)
    assert row.differences["counts"] == {"vanishes": 1, "changes": 1}
    assert row.differences["paths"] == {"PatientName": 1}
    assert counted("differs") == before + 1
    (told,) = [record.fields for record in caplog.records if record.getMessage() == "draft would differ"]
    assert told == {
        "device": "CT1", "profile": "draft", "sent": [2, 1], "status": ["0000", "0000"], "vanishes": 1, "changes": 1,
    }  # fmt: skip
    assert "SECRET" not in caplog.text


async def test_a_draft_that_changes_nothing_is_told_so(setting):
    """The row is there: silence would leave the question open."""
    before = counted("same")

    setting.shadow.answered(setting.seen("SPS.Modality=MR"))
    await setting.store.written.get()
    await setting.shadow.stop()

    assert [row.differences for row in setting.rows()] == [{}]
    assert counted("same") == before + 1


async def test_a_poll_is_compared_once_and_again_after_a_while(setting):
    """A device that asks every five seconds costs one comparison in five minutes."""
    setting.shadow.answered(setting.seen())
    setting.shadow.answered(setting.seen())
    await setting.store.written.get()
    setting.time += shadow.AGAIN - 1
    setting.shadow.answered(setting.seen())
    setting.time += 2
    setting.shadow.answered(setting.seen())
    await setting.store.written.get()
    await setting.shadow.stop()

    assert [row.count for row in setting.rows()] == [2]


@pytest.mark.parametrize(
    "facts",
    [{"device": "US1"}, {"profile": None}, {"identifier": b""}],
    ids=["no draft", "unknown caller", "no keys"],
)
async def test_nothing_is_compared_that_has_no_draft(setting, facts):
    """A device without one, a caller in quarantine, a request without keys."""
    setting.shadow.answered(setting.seen(**facts))
    setting.shadow.answered(setting.seen())
    await setting.store.written.get()
    await setting.shadow.stop()

    assert len(setting.rows()) == 1


async def test_a_reload_takes_the_draft_away(setting):
    """And what comes then costs nothing."""
    setting.use(None)
    setting.shadow.answered(setting.seen())
    await setting.shadow.stop()

    assert setting.rows() == []


async def test_a_full_queue_drops_what_comes(store, tmp_path, monkeypatch):
    """Counted, and compared when it comes again."""
    monkeypatch.setattr(shadow, "WAITING", 2)
    made, before = Setting(store, tmp_path), counted("dropped")

    for number in range(5):
        made.shadow.answered(made.seen("PatientName", f"PatientID=P{number}"))

    assert counted("dropped") == before + 3


async def test_a_list_too_long_to_compare_is_dropped(setting, monkeypatch):
    """A draft without a limit must not load the hospital."""
    monkeypatch.setattr("mwl.workbench.shadow.MOST", 1)
    before, last = counted("dropped"), setting.seen("AccessionNumber=ACC001", "PatientName")

    setting.shadow.answered(setting.seen())
    setting.shadow.answered(last)
    await setting.store.written.get()
    await setting.shadow.stop()

    assert counted("dropped") == before + 1
    assert len(setting.rows()) == 1


async def test_a_database_that_is_away_is_told_once(setting, caplog):
    """And the next query is compared."""
    setting.store.away = True
    before = counted("failed")

    for number in range(3):
        setting.shadow.answered(setting.seen("PatientName", f"PatientID=P{number}"))
        await setting.store.written.get()
    setting.store.away = False
    setting.shadow.answered(setting.seen())
    await setting.store.written.get()
    await setting.shadow.stop()

    told = [record.fields for record in caplog.records if record.getMessage() == "draft not compared"]
    assert [each["reason"] for each in told] == ["away"]
    assert counted("failed") == before + 3
    assert len(setting.rows()) == 1


async def test_a_defect_of_the_comparison_ends_nothing(setting, monkeypatch, caplog):
    """Its kind is told, and not what it says: that may quote a patient."""
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def broken(*_: Any) -> None:
        loop.call_soon_threadsafe(done.set)
        raise KeyError("SECRET^ONE")

    with monkeypatch.context() as patched:
        patched.setattr(shadow, "compared", broken)
        setting.shadow.answered(setting.seen("PatientName"))
        await done.wait()
    setting.shadow.answered(setting.seen())
    await setting.store.written.get()
    await setting.shadow.stop()

    told = [record.fields for record in caplog.records if record.getMessage() == "draft not compared"]
    assert [each["reason"] for each in told] == ["defect: KeyError"]
    assert "SECRET" not in caplog.text


async def test_the_loop_goes_on_while_answers_are_compared(setting, monkeypatch):
    """The work is done in another thread."""
    threads: set[int] = set()
    real = shadow.compared

    def watched(*arguments: Any) -> Any:
        threads.add(threading.get_ident())
        return real(*arguments)

    monkeypatch.setattr(shadow, "compared", watched)
    setting.shadow.answered(setting.seen())
    await setting.store.written.get()

    assert threads
    assert threading.get_ident() not in threads


async def test_starting_and_stopping_twice_is_allowed(setting):
    """As for every part."""
    await setting.shadow.start()
    await setting.shadow.stop()
    await setting.shadow.stop()
    await setting.shadow.start()
    setting.shadow.answered(setting.seen())
    await setting.store.written.get()

    assert len(setting.rows()) == 1


def test_a_draft_is_bound_with_its_devices_variables(file):
    """As the profile that it may take the place of."""
    drafts = file.folder / "mappings" / "devices"
    drafts.mkdir(parents=True)
    (drafts / "draft.yaml").write_text("profile: draft\nstatus: partial\nvars: {room: null}\n")
    (drafts / "ours.yaml").write_text("profile: ours\nstatus: partial\nvars: {room: null}\n")

    bound = bind(file.change("{profile: generic}", "{profile: ours, shadow: draft, vars: {room: A}}"))

    assert bound.shadows["CT1"].name == "draft"
    assert bound.shadows["CT1"].written.data["vars"] == {"room": "A"}


def test_a_draft_that_is_not_there_is_a_mistake_of_the_configuration(file):
    """At its line, with the name that was meant."""
    with pytest.raises(BadDocument) as caught:
        bind(file.change("{profile: generic}", "{profile: generic, shadow: genric}"))

    (problem,) = caught.value.problems
    assert (problem.line, problem.message) == (
        8, "there is no profile 'genric' for devices: did you mean 'generic'?",
    )  # fmt: skip


async def test_a_stop_does_not_wait_for_the_comparison_under_way(setting, monkeypatch):
    """Nobody needs it any more; what waits is dropped as well."""
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()
    real = shadow.compared

    def slow(twice: Any, taken: Any, pause: Any) -> Any:
        loop.call_soon_threadsafe(begun.set)
        while True:  # a list without end
            real(twice, taken, pause)

    monkeypatch.setattr(shadow, "compared", slow)
    setting.shadow.answered(setting.seen())
    setting.shadow.answered(setting.seen("PatientName"))
    await begun.wait()
    await setting.shadow.stop()

    assert setting.rows() == []


async def test_a_rush_of_many_devices_is_bounded(store, tmp_path, monkeypatch):
    """So much waits, so much is remembered, and the rest is dropped and counted."""
    monkeypatch.setattr(shadow, "REMEMBERED", 300)
    made, titles = Setting(store, tmp_path), [f"CT{n}" for n in range(60)]
    devices = Devices("MWL", dict.fromkeys(titles, made.own), BERLIN)
    made.shadow.use(dict.fromkeys(titles, made.draft), devices)
    waiting, before = 0, counted("dropped")

    for number in range(20):
        for title in titles:
            made.shadow.answered(made.seen(device=title, identifier=b"%d" % number))
            waiting = max(waiting, len(made.shadow._queue))
        if number < 10:
            made.shadow._queue.clear()  # as if they had been compared

    assert waiting == shadow.WAITING
    assert len(made.shadow._seen) == shadow.REMEMBERED
    assert counted("dropped") > before
