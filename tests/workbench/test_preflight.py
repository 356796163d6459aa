"""What devices will not be sent, or may refuse, is known before they ask; what is hidden on purpose is not told."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from mwl.config import shipped
from mwl.dicom import answering
from mwl.dicom.encoding import encode_dataset
from mwl.mapping import paths
from mwl.mapping.devices.device import DeviceProfile, SiteFacts, load_devices
from mwl.mapping.text.charset import DEFAULT
from mwl.model import (
    STEP_SEQUENCE,
    Document,
    OrderAction,
    OrderMessage,
    ProcedureChange,
    WorklistItem,
    name_value,
)
from mwl.store import Store, open_store, orders, queries
from mwl.store.doubts import Found, replace
from mwl.store.queries import CapturedQuery
from mwl.workbench.preflight import Examined, examine

EXPLICIT = "1.2.840.10008.1.2.1"
NOW = dt.datetime(2026, 7, 5, 9, 30, tzinfo=ZoneInfo("Europe/Berlin"))
MISSING, LONG = "a value that the device requires is missing", "a value is longer than the device takes"


def document(**lines: str) -> Document:
    """Make a document: ``SPS_Modality="CT"`` is a key of the step, "" is empty."""
    made: Document = {}
    for name, value in lines.items():
        path = paths.parse_path(name.replace("_", "."))
        vr = paths.vr(path[-1])
        held = name_value(value) if vr == "PN" else value
        made = paths.put(made, path, {"vr": vr, "Value": [held]} if value else {"vr": vr})
    return made


class Site:
    """A store, devices with profiles of a few lines, and what they asked."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self._folder = store, folder
        self._profiles: dict[str, str] = {}

    def device(self, label: str, lines: str = "") -> None:
        """Configure a device; its profile rests on `generic`."""
        self._profiles[label] = f"profile: p{len(self._profiles)}\nstatus: hypothesis\n{lines}"

    @property
    def profiles(self) -> dict[str, DeviceProfile]:
        (self._folder / "devices").mkdir(exist_ok=True)
        for number, text in enumerate(self._profiles.values()):
            (self._folder / "devices" / f"p{number}.yaml").write_text(text)
        known = load_devices([self._folder, shipped("mappings")])
        return {
            label: known.bind(f"p{number}", {}, SiteFacts()) for number, label in enumerate(self._profiles)
        }

    def asks(self, label: str, **keys: str) -> None:
        """Have a device ask; further keys are the usual ones."""
        usual = {"PatientName": "", "PatientID": "", "SPS_Modality": "", "SPS_ScheduledStationAETitle": ""}
        identifier = encode_dataset(document(**{**usual, **keys}), EXPLICIT, DEFAULT)
        self.asks_bytes(label, identifier)

    def asks_bytes(self, label: str, identifier: bytes) -> None:
        seen = CapturedQuery(label, identifier, EXPLICIT, "2026-07-01T10:00:00.000000+00:00", "0000")
        self.store.write_now(lambda tx: queries.record(tx, [seen], per_device=10))

    def order(self, item: WorklistItem) -> int:
        """Have *item* ordered; return its step."""
        change = ProcedureChange(OrderAction.CREATE, item.procedure, (item.step,))
        message = OrderMessage(item.system, item.patient, (change,))
        done = self.store.write_now(
            lambda tx: orders.apply(tx, message, source="hl7 RIS 1", uid_root=None, told=())
        )
        return done.steps[0]

    def examined(self, step: int) -> Examined:
        profiles = self.profiles
        return self.store.read_now(lambda tx: examine(tx, [step], profiles, "MWL", NOW))[step]

    def found(self, step: int) -> list[tuple[str, str, str, bool]]:
        """Return what is found about a step, without the lines."""
        found = self.examined(step).found
        return [(each.calling_ae, each.path, each.message, each.withheld) for each in found]


@pytest.fixture
def site(tmp_path) -> Iterator[Site]:
    """A house without devices."""
    store = open_store(f"sqlite:///{tmp_path / 'mwl.db'}")
    yield Site(store, tmp_path)
    store.close_now()


@pytest.fixture
def item(f0_items) -> Callable[..., WorklistItem]:
    """Make a step on CT1: a CT of a patient with a name, unless *lines* say otherwise."""

    def make(*, patient: Document | None = None, **lines: str) -> WorklistItem:
        stored = f0_items["S2"]
        changed = document(**{"SPS_ScheduledStationAETitle": "CT1", **lines})
        step = {**stored.step, **changed.pop(STEP_SEQUENCE)["Value"][0]}
        procedure = {**stored.procedure, **changed}
        return dataclasses.replace(
            stored, patient={**stored.patient, **(patient or {})}, procedure=procedure, step=step
        )

    return make


def nameless() -> Document:
    return {"00100010": {"vr": "PN"}}


def test_what_a_device_would_not_be_sent_is_found(site, item):
    """A scanner that insists on a name is not sent a step without one; with the line that says so."""
    site.device("CT1")

    found = site.examined(site.order(item(patient=nameless()))).found

    (withheld,) = found
    assert (withheld.calling_ae, withheld.path, withheld.message, withheld.withheld) == (
        "CT1", "PatientName", MISSING, True,
    )  # fmt: skip
    assert withheld.origin.rpartition(":")[0].endswith("generic.yaml")


def test_what_a_device_may_refuse_is_found(site, item):
    """It is sent all the same: the profile only reports."""
    site.device("CT1", "require: {max_len: {PatientID: 4}}\n")

    assert site.found(site.order(item())) == [("CT1", "PatientID", LONG, False)]


def test_of_a_sound_order_nothing_is_found(site, item):
    """Nor of one whose gap the profile fills."""
    site.device("CT1")

    assert site.found(site.order(item(RequestedProcedureID=""))) == []


def test_only_what_the_device_asks_for_is_judged(site, item):
    """The last query counts, whatever it looked for; a device that never asked asks for everything."""
    site.device("CT1", "require: {max_len: {PatientID: 4, RequestedProcedureDescription: 2}}\n")
    step = site.order(item())
    assert [path for _, path, _, _ in site.found(step)] == ["PatientID", "RequestedProcedureDescription"]

    site.asks("CT1", PatientName="NOBODY*", SPS_ScheduledProcedureStepStartDate="19990101", SPS_Modality="MR")

    assert [path for _, path, _, _ in site.found(step)] == ["PatientID"]


def test_what_a_device_sent_may_be_no_query(site, item):
    """Then it is taken to ask for everything, too."""
    site.device("CT1", "require: {max_len: {RequestedProcedureDescription: 2}}\n")
    step = site.order(item())

    site.asks_bytes("CT1", b"\x08\x00")

    assert [path for _, path, _, _ in site.found(step)] == ["RequestedProcedureDescription"]


def test_a_step_is_held_against_the_devices_it_names(site, item):
    """Its stations decide; what the others would make of it is nobody's concern."""
    for label in ("CT1", "CT2", "*"):
        site.device(label, "require: {max_len: {PatientID: 4}}\n")
    made = item()
    both = dataclasses.replace(made, step={**made.step, "00400001": {"vr": "AE", "Value": ["CT1", "CT2"]}})

    assert [label for label, *_ in site.found(site.order(made))] == ["CT1"]
    assert [label for label, *_ in site.found(site.order(both))] == ["CT1", "CT2"]


def test_a_step_that_names_no_device_is_held_against_those_that_would_ask_for_it(site, item):
    """By station and modality as their profiles rewrite them, at any date and for any patient."""
    requires = "require: {max_len: {PatientID: 4}}\n"
    site.device("CT1", requires)
    site.device("CT2", requires)
    site.device("MR1", requires)
    site.device("US1", requires)  # has never asked
    site.device("*", requires)
    site.asks("CT1", SPS_Modality="CT", PatientID="OTHER", SPS_ScheduledProcedureStepStartDate="19990101")
    site.asks("CT2", SPS_Modality="CT", SPS_ScheduledStationAETitle="CT2")
    site.asks("MR1", SPS_Modality="MR")

    step = site.order(item(SPS_ScheduledStationAETitle="ROOM_1"))

    assert [label for label, *_ in site.found(step)] == ["CT1"]


def test_where_no_device_would_ask_for_it_anyone_may(site, item):
    """The entry of anyone stands for whoever comes."""
    site.device("CT1", "require: {max_len: {PatientID: 4}}\n")
    site.device("*")
    site.asks("CT1", SPS_Modality="MR")
    step = site.order(item(SPS_ScheduledStationAETitle="ROOM_1", patient=nameless()))

    assert site.found(step) == [("*", "PatientName", MISSING, True)]


def test_where_nobody_would_be_offered_it_nothing_is_found(site, item):
    """There is no device whose profile it could offend."""
    site.device("CT1", "default_key: {SPS.ScheduledStationAETitle: $calling_ae}\n")

    assert site.found(site.order(item(SPS_ScheduledStationAETitle="ROOM_1", patient=nameless()))) == []


def test_a_device_that_never_asked_is_offered_what_its_profile_looks_for(site, item):
    """Before the first query of a new scanner nothing else is known of it."""
    requires = "require: {max_len: {PatientID: 4}}\n"
    site.device("CT1", f"set_key: {{SPS.Modality: CT}}\n{requires}")
    site.device("MR1", f"set_key: {{SPS.Modality: MR}}\n{requires}")
    site.device("*", requires)

    step = site.order(item(SPS_ScheduledStationAETitle="ROOM_1"))

    assert [label for label, *_ in site.found(step)] == ["CT1"]


@pytest.mark.parametrize(
    "lines",
    [
        "filter: {exclude: [{SPS.Modality: CT}]}\n",
        "filter: {include: [{SPS.ScheduledProcedureStepDescription: {regex: '^Chest'}}]}\n",
        "hide_status: [SCHEDULED]\n",
    ],
)
def test_what_the_profile_hides_on_purpose_is_no_doubt(site, item, lines):
    """Decided by the store, or on the item."""
    site.device("CT1", lines)

    assert site.found(site.order(item(patient=nameless()))) == []


def test_a_filter_on_dates_hides_nothing_from_preflight(site, item):
    """The step of next week is on the list next week."""
    site.device("CT1", "filter: {include: [{SPS.ScheduledProcedureStepStartDate: $today}]}\n")

    assert [path for _, path, _, _ in site.found(site.order(item(patient=nameless())))] == ["PatientName"]


def test_of_a_step_that_is_done_or_gone_nothing_is_found(site, item):
    """It is in nobody's list, and what was known of it is no news."""
    site.device("CT1")
    made = item(patient=nameless())
    step = site.order(made)
    change = ProcedureChange(OrderAction.CANCEL, made.procedure, ())
    message = OrderMessage(made.system, made.patient, (change,))
    site.store.write_now(lambda tx: orders.apply(tx, message, source="hl7 RIS 2", uid_root=None, told=()))

    assert site.examined(step) == Examined((), ())
    assert site.examined(99) == Examined((), ())


def test_what_is_known_already_is_no_news(site, item):
    """Nothing is written for it; a line that moved is news."""
    site.device("CT1")
    step = site.order(item(patient=nameless()))
    first = site.examined(step)
    assert first.news

    site.store.write_now(lambda tx: replace(tx, {step: first.found}, {}))

    assert not site.examined(step).news
    assert [each.found for each in site.examined(step).known] == list(first.found)
    moved = [dataclasses.replace(each, origin="elsewhere:1") for each in first.found]
    site.store.write_now(lambda tx: replace(tx, {step: moved}, {}))
    assert site.examined(step).news


def test_a_step_that_trips_the_answer_up_is_told_of(site, item, monkeypatch):
    """It would be left out of the list, and the others sent."""
    site.device("CT1")
    step = site.order(item())

    def broken(asked, item):
        raise KeyError("DOE^JANE")

    monkeypatch.setattr(answering, "compose", broken)

    assert site.found(step) == [("CT1", "", "defect: KeyError", True)]


def test_nothing_that_is_found_names_the_patient(site, item):
    """It goes to the log."""
    site.device("CT1", "require: {max_len: {PatientID: 4, PatientName: 2}}\n")
    made = item()

    told = repr(site.examined(site.order(made)).found)

    assert isinstance(site.examined(1).found[0], Found)
    assert str(made.patient["00100020"]["Value"][0]) not in told
    assert made.patient["00100010"]["Value"][0]["Alphabetic"] not in told
