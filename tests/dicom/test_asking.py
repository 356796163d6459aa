"""Whatever a device asks or reports, a profile that does everything handles it (R7)."""

from __future__ import annotations

import copy
import dataclasses
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mwl.dicom.matching import BadIdentifier, understand
from mwl.handles import shortened, step_study
from mwl.mapping import paths
from mwl.mapping.devices.device import DeviceProfile, Facts, SiteFacts, load_devices
from mwl.mapping.trace import Recorder
from mwl.model import STEP_SEQUENCE, Document, StepRef, WorklistItem, name_value
from mwl.query import holds

EVERYTHING = """
    profile: generic
    status: evidence
    accept: {extra_sps_items: or, empty_sps: expand, root_sps_keys: lift, private: ignore, unknown_keys: ignore,
      bad_values: {DA: star_is_universal, TM: hours_ok, US: zero_is_universal}}
    default_key: {AdmissionID: [A, "B*"]}
    wildcard:
      PatientName: {mode: prefix, fold: [case, diacritics, kana], components: true}
      PatientID: {mode: strip_edges, fold: case}
      AccessionNumber: contains
      RequestedProcedureID: none
    window: {back: 6h, ahead: 2d, empty: today, time: separate}
    dates: as_asked
    query:
      - window: {mode: clamp, back: 9d}
        when: {PatientID: {present: true}}
      - station: any
        when: {SPS.Modality: US}
    alias: [{tag: SPS.Modality, query: {DX: [DX, CR]}, both: {TC: CT}}, {tag: AdmissionID, query: {A: [C, D]}}]
    codec:
      - {tag: PatientID, op: upper}
      - {tag: PatientID, op: pad, width: 8}
      - {tag: AccessionNumber, op: shorten}
      - {tag: RequestedProcedureID, op: slice, table: {RP: R, X: Y}}
      - {tag: SPS.ScheduledProcedureStepID, op: suffix, text: /1}
      - {tag: SPS.ScheduledStationAETitle, op: station_map, table: {CT_1: CT1}}
    uid: {StudyInstanceUID: {per_sps: derive}}
    """
FACTS = Facts("CT1", now=dataclasses.replace(Facts("")).now.replace(2026, 7, 5, 0, 10))
DERIVED = step_study("1.2.3", "S1", 1, None)

texts = st.text("0129*?-.\\^=ABab/", max_size=9) | st.sampled_from(
    ["20260705", "20260701-20260731", "-", "0900-1000", "8", "*", "TC", "DX", "CT1", "RP1", "0000AB12", "ü", "王",
     DERIVED, shortened("x" * 20)]
)  # fmt: skip
ROOT = [
    "00100010",
    "00100020",
    "00080050",
    "00401001",
    "0020000D",
    "00380010",
    "00400002",
    "00091001",
    "00080061",
]
STEP = ["00400001", "00400002", "00400003", "00080060", "00400009", "00400006"]


def element(tag: str) -> st.SearchStrategy[dict[str, Any]]:
    """A key as some device writes it: of its VR, or of another."""
    values = texts | texts.map(name_value) if paths.vr(tag) == "PN" else texts
    vrs = st.sampled_from([paths.vr(tag)] * 5 + ["LO", "UN"])
    written = st.builds(
        lambda vr, found: {"vr": vr, "Value": found} if found else {"vr": vr},
        vrs,
        st.lists(values, max_size=2),
    )
    nested = st.sampled_from([{"vr": "SQ"}, {"vr": "SQ", "Value": [{}]}])
    return st.one_of(written, written, written, nested)


def keys_of(tags: list[str]) -> st.SearchStrategy[Document]:
    """Some keys."""
    return st.fixed_dictionaries({}, optional={tag: element(tag) for tag in tags})


identifiers = st.builds(
    lambda root, steps: root if steps is None else {**root, STEP_SEQUENCE: {"vr": "SQ", "Value": steps}},
    keys_of(ROOT),
    st.none() | st.lists(keys_of(STEP), max_size=3),
)
performed = st.builds(
    lambda root, items: {**root, "00400270": {"vr": "SQ", "Value": items}},
    keys_of([*ROOT, "00400241", "00080060"]),
    st.lists(keys_of(["00080050", "00401001", "0020000D", "00400009"]), max_size=2),
)


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> DeviceProfile:
    """A profile with every operation on keys and identities."""
    folder: Path = tmp_path_factory.mktemp("mappings")
    (folder / "devices").mkdir()
    (folder / "devices" / "generic.yaml").write_text(textwrap.dedent(EVERYTHING), "utf-8")
    return load_devices([folder]).bind("generic", {}, SiteFacts())


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(keys=identifiers)
def test_an_identifier_is_understood_or_refused_by_name(profile: DeviceProfile, keys: Document) -> None:
    """Nothing else is raised, nothing is changed in place, and a trace changes nothing."""
    before = copy.deepcopy(keys)
    requested = profile.accept(keys)
    rewritten = profile.rewrite(requested, FACTS)
    traced = profile.rewrite(profile.accept(keys, Recorder()), FACTS, Recorder())
    try:
        criteria = (*understand(rewritten).criteria, *profile.filters(rewritten, FACTS, requested))
    except BadIdentifier as refused:
        criteria, tag = (), refused.tag
        assert int(tag, 16) > 0

    assert keys == before
    assert traced == rewritten
    item = WorklistItem(StepRef(1, 1, 1, 1), {}, {}, {}, "RIS")
    assert all(holds(each, item) in (True, False) for each in criteria)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(document=performed)
def test_whatever_is_performed_is_led_back_or_stays(profile: DeviceProfile, document: Document) -> None:
    """The exam has taken place: nothing is raised, and nothing is lost."""
    before, reports = copy.deepcopy(document), []

    lookups = profile.lookups(document)
    led = profile.canonical(document, FACTS, reports=reports)

    assert document == before
    assert reports == []
    assert led.keys() >= document.keys()
    assert all(tag in ("00100020", "00080050") for tag, _ in lookups.handles)
    assert lookups.studies <= {DERIVED}
