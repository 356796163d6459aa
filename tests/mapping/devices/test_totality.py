"""R7: whatever is stored, an operation handles it, leaves it as its policy says, or withholds its item."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mwl.mapping import paths
from mwl.mapping.devices.device import Facts, Report, SiteFacts, Withheld, load_devices
from mwl.mapping.trace import Recorder
from mwl.model import STEP_SEQUENCE, Document, StepRef, WorklistItem, name_value

RP, PROTOCOL = "RequestedProcedureCodeSequence", "SPS.ScheduledProtocolCodeSequence"
EVERYTHING = f"""
profile: generic
status: evidence
vars: {{rooms: [ER 1, ER 2]}}
filter: {{include: [{{PatientName: {{regex: "^[A-Z]"}}}}, {{age: {{from: 1Y}}}}, {{source: RIS}}], exclude: [{{PatientID: {{len_gt: 9}}}}]}}
sources: {{allow: [RIS], order: [RIS], prefer: {{PatientName: RIS}}}}
split: per_protocol_code
merge: {{by: [AccessionNumber], study_uid: first, join: {{SPS.ScheduledProcedureStepDescription: " + "}},
  union_codes: {PROTOCOL}, earliest: SPS.ScheduledProcedureStepStartDate, min: PatientWeight, first: AdmissionID}}
dedupe: {{by: [PatientName], keep: earliest, codes: union}}
sort: [{{by: PatientName, descending: true}}, SPS.Modality]
limit: {{max: 3, overflow: notice_item, unsafe: true}}
set: {{SPS.ScheduledProcedureStepLocation: $calling_ae, PatientState: [a, b]}}
default: {{PatientSex: O, unsafe: true}}
clear: [MedicalAlerts]
remove: [SPS.PreMedication]
copy: [{{from: PatientName, to: PatientState}}, {{from: AdmissionID, to: PregnancyStatus}}]
move: {{from: RequestedProcedureComments, to: SPS.CommentsOnTheScheduledProcedureStep}}
template: {{RequestedProcedureDescription: "{{RequestedProcedureDescription}}[ *{{PatientState}}*]", PatientWeight: "{{AdmissionID}}"}}
map:
  - {{table: {{A: {{c: F1, t: Chest}}, "B*": {{c: F2, t: ""}}}}, key: "{RP}[*].CodeValue", out: {{code: c, scheme: 99X, meaning: t}}, miss: drop_code}}
  - {{table: {{A: "1"}}, key: AdmissionID, out: {{PregnancyStatus: value}}, miss: default, default: x, unsafe: true}}
replace: {{tag: "*Description", from: "(.)[0-9]", to: "\\\\1"}}
text:
  - {{tags: "*", ops: [strip_control, one_line, collapse, trim, "replace:=|,| "]}}
  - {{tags: [PatientName, "SPS.*"], ops: [ascii, title, upper, lower, "allow:A-Za-z0-9 ."]}}
pn: {{tag: [PatientName, ReferringPhysicianName], derive: {{alphabetic: pinyin, phonetic: fullwidth_kana}}, swap: [ideographic, phonetic],
  drop: [suffix], order: [given, family], prefix: {{family: "{{AdmissionID}}"}}, suffix: {{given: "[ {{PatientState}}]"}},
  emit: [alphabetic, ideographic], max_per_group: 20}}
truncate: {{PatientName: 12, RequestedProcedureDescription: {{max: 9, bytes: GB18030, keep: tail, mark: "~"}},
  SPS.ScheduledProcedureStepDescription: {{max: 5, keep: middle}}}}
format: {{"*Date": YYYYMMDD, "*Time": HHMMSS, PatientAge: age, PatientWeight: kg, PatientSize: decimal}}
code:
  - {{tag: "*CodeSequence", drop_incomplete: true, rename_scheme: {{L: 99L}}, default_scheme: 99D}}
  - {{tag: {RP}, from_text: AdmissionID, default_scheme: 99T, complete: [meaning], max: 2, copy_to: [{PROTOCOL}, SPS.{RP}]}}
respond:
  - set: {{AdmissionID: x}}
    when: {{any: [{{PatientName: {{glob: "D*"}}}}, {{age: {{under: 18Y}}}}], not: {{source: X}}, PatientID: {{charset_fits: ISO_IR 100}}}}
seq: {{default: {{empty: omit, max_items: 2}}, ReferencedStudySequence: {{empty: one_empty_item}}, {PROTOCOL}: {{prune_empty_items: false}}}}
return: {{mode: all, always: [SpecificCharacterSet, PatientWeight, SPS.Modality], never: [PatientComments], unknown: omit}}
require:
  - {{type1: [PatientName.family, AccessionNumber], type2: [PatientWeight], fill: {{AccessionNumber: PatientID}}, on_fail: [fill, report], unsafe: true}}
  - {{vr: ["*"], max_len: {{PatientName: 9}}, forbid_chars: {{PatientID: "^"}}, unique: [StudyInstanceUID], on_fail: send_anyway}}
charset: {{prefer: [from_request, ISO_IR 100], unfit: transliterate}}
"""

TAGS = [
    "00100010", "00100020", "00100030", "00101010", "00101030", "00101020", "001021C0", "00102000", "00080050",
    "00080090", "0020000D", "00321060", "00401400", "00380010", "00380500", "00104000", "00091001", "0008FFF0",
]  # fmt: skip
STEP_TAGS = ["00080060", "00400001", "00400002", "00400003", "00400007", "00400009", "00400012", "00400020"]
CODE_TAGS = ["00080100", "00080102", "00080104", "00080119"]
SEQUENCES = ["00321064", "00400008", "00081110", "00400260"]

texts = st.text(max_size=12) | st.sampled_from(
    [
        "A",
        "B1",
        "DOE^JANE",
        "王^小明",
        "山田^太郎",
        "ﾔﾏﾀﾞ^ﾀﾛｳ",
        "홍^길동",
        "20260705",
        "0930",
        "045Y",
        "70,5 kg",
        "x" * 70,
        "\\",
        "=",
        "1e999",
    ]
)


def element(tag: str) -> st.SearchStrategy[dict[str, Any]]:
    """A well-formed element: the VR of its tag, texts of any kind."""
    vr = paths.vr(tag)
    values: st.SearchStrategy[Any] = st.integers(0, 70_000) if vr == "US" else texts
    if vr == "PN":
        values = texts.map(name_value)
    return st.lists(values, max_size=3).map(lambda found: {"vr": vr, "Value": found} if found else {"vr": vr})


def elements(tags: list[str]) -> st.SearchStrategy[Document]:
    """A document of some of *tags*."""
    return st.fixed_dictionaries({}, optional={tag: element(tag) for tag in tags})


sequences = st.dictionaries(
    st.sampled_from(SEQUENCES),
    st.lists(elements(CODE_TAGS), max_size=3).map(lambda found: {"vr": "SQ", "Value": found}),
    max_size=3,
)
level = st.builds(lambda a, b: {**a, **b}, elements(TAGS), sequences)
step = st.builds(lambda a, b: {**a, **b}, elements(STEP_TAGS), sequences)

junk: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["vr", "Value", "Alphabetic", "00080100"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
broken_element = st.builds(
    lambda vr, value: {"vr": vr, "Value": value}, st.sampled_from(["PN", "SQ", "LO", "DA", "US", "XX"]), st.lists(junk, max_size=3)
)  # fmt: skip
broken = st.dictionaries(st.sampled_from([*TAGS, *STEP_TAGS, *SEQUENCES]), broken_element, max_size=5)


def item(patient: Document, procedure: Document, scheduled: Document, system: str = "RIS") -> WorklistItem:
    """A stored step."""
    return WorklistItem(StepRef(1, 1, 1, 1), patient, procedure, scheduled, system)


requests = st.builds(
    lambda root, steps: {**root, STEP_SEQUENCE: {"vr": "SQ", "Value": steps}},
    level,
    st.lists(step, max_size=2),
)
SETTINGS = settings(
    max_examples=80, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
FACTS = Facts("CT1", "MWL", "127.0.0.1", "1.2.3", "CTOS_1")


class Everything:
    """A profile with every operation on items and lists; Hypothesis prints it by its name."""

    def __init__(self, folder: Path) -> None:
        (folder / "devices").mkdir()
        (folder / "devices" / "generic.yaml").write_text(EVERYTHING, "utf-8")
        self.bound = load_devices([folder]).bind("generic", {}, SiteFacts())

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bound, name)

    def __repr__(self) -> str:
        return "profile"


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Everything:
    """Every operation at once."""
    return Everything(tmp_path_factory.mktemp("everything"))


def respond(
    profile: Everything, stored: WorklistItem, keys: Document
) -> tuple[Document | None, list[Report]]:
    """Answer with everything the profile has; None for an item that is withheld."""
    reports: list[Report] = []
    try:
        document = profile.respond(stored, keys, FACTS, None, reports)
        _, fitted, _ = profile.choose_charset(document, ("ISO_IR 100",))
    except Withheld:
        return None, reports
    return fitted, reports


@SETTINGS
@given(patient=level, procedure=level, scheduled=step, keys=requests)
def test_no_operation_fails_on_what_is_well_formed(profile, patient, procedure, scheduled, keys):
    """Any text in any attribute: there is an answer or a reason, never a defect, and nothing is changed."""
    stored = item(patient, procedure, scheduled)
    before = copy.deepcopy((stored, keys))

    answer, reports = respond(profile, stored, keys)

    assert [each for each in reports if each.message.startswith("defect")] == []
    assert (stored, keys) == before
    assert answer is None or all(isinstance(each, dict) for each in answer.values())
    assert all(each.origin.rpartition(":")[2].isdigit() for each in reports)


@SETTINGS
@given(patient=broken, procedure=broken, scheduled=broken, keys=requests)
def test_no_operation_raises_on_what_is_no_document(profile, patient, procedure, scheduled, keys):
    """What no intake would store: the item is answered, or withheld; the others of its list never hear of it."""
    stored = item(patient, procedure, scheduled)
    before = copy.deepcopy((stored, keys))

    respond(profile, stored, keys)

    assert (stored, keys) == before


@SETTINGS
@given(patients=st.lists(st.tuples(level, level, step) | st.tuples(broken, broken, broken), max_size=6))
def test_no_list_is_lost(profile, patients):
    """Every step that came in stands in some line, whatever is stored of it."""
    items = [
        WorklistItem(StepRef(key, 1, 1, 1), *documents, ("RIS", "CARDIO")[key % 2])
        for key, documents in enumerate(patients, start=1)
    ]
    reports: list[Report] = []

    entries = profile.arranged(items, FACTS, None, reports)
    profile.limit.cut(entries, FACTS.now)

    assert {ref for entry in entries for ref in entry.refs} == {each.ref for each in items}
    assert len({(entry.refs, entry.part) for entry in entries}) == len(entries)


@SETTINGS
@given(patient=level, procedure=level, scheduled=step, keys=requests)
def test_explaining_changes_nothing(profile, patient, procedure, scheduled, keys):
    """R6: the trace of every operation, and the same answer with it."""
    stored, recorder = item(patient, procedure, scheduled), Recorder()
    try:
        traced = profile.respond(stored, keys, FACTS, recorder)
    except Withheld:
        traced = None
    try:
        plain = profile.respond(stored, keys, FACTS)
    except Withheld:
        plain = None

    assert traced == plain
