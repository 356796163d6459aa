"""P11 to P15: what becomes of a list as a whole."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from mwl.mapping.devices.device import Report
from mwl.mapping.devices.operations import order
from mwl.mapping.trace import Recorder
from mwl.model import StepRef

STUDY, ACCESSION, DESCRIPTION = "StudyInstanceUID", "AccessionNumber", "SPS.ScheduledProcedureStepDescription"
DATE, TIME = "SPS.ScheduledProcedureStepStartDate", "SPS.ScheduledProcedureStepStartTime"
PROTOCOL = "SPS.ScheduledProtocolCodeSequence"


def code(value: str, scheme: str = "99X", meaning: str = "m") -> dict[str, str]:
    """Return a code item."""
    return {"CodeValue": value, "CodingSchemeDesignator": scheme, "CodeMeaning": meaning}


@pytest.fixture
def made(item):
    """Make stored steps with keys 1, 2, 3, ... of mappings; "system" is who ordered."""

    def make(*rows: dict) -> list:
        items = []
        for number, row in enumerate(rows, start=1):
            lines = {"PatientID": "P1", **row}
            system = lines.pop("system", "RIS")
            items.append(replace(item(lines), ref=StepRef(number, 1, 1, 1), system=system))
        return items

    return make


@pytest.fixture
def arranged(bind, made, facts):
    """Arrange steps by a profile of a few lines."""

    def arrange(lines: str, *rows: dict) -> list:
        return bind(lines).arranged(made(*rows), facts)

    return arrange


def keys(entries) -> list[tuple[int, ...]]:
    """Return the steps that each entry stands for."""
    return [tuple(ref.key for ref in entry.refs) for entry in entries]


def test_a_profile_that_says_nothing_of_lists_arranges_nothing(bind, shipped, made, facts):
    """Its lists are the steps as the store gives them, and nobody needs to load them."""
    from mwl.mapping.devices.device import SiteFacts

    profile, items = bind("split: per_step"), made({}, {})

    assert not profile.arranges
    assert not shipped.bind("generic", {}, SiteFacts()).arranges
    assert [(entry.item, entry.refs, entry.part) for entry in profile.arranged(items, facts)] == [
        (items[0], (StepRef(1, 1, 1, 1),), 0),
        (items[1], (StepRef(2, 1, 1, 1),), 0),
    ]


# --- P12 split -----------------------------------------------------------------------------------


def test_p12_a_step_is_split_by_its_protocols(arranged, flat):
    """One line for each code; a step with one code, or none, is one line and a whole one."""
    entries = arranged(
        "split: per_protocol_code", {PROTOCOL: [code("A"), code("B")]}, {PROTOCOL: [code("C")]}, {}
    )

    assert [(keys([entry])[0], entry.part) for entry in entries] == [
        ((1,), 1),
        ((1,), 2),
        ((2,), 0),
        ((3,), 0),
    ]
    assert [
        [each["CodeValue"] for each in flat(entry.item.merged()).get(PROTOCOL, [])] for entry in entries
    ] == [["A"], ["B"], ["C"], []]


# --- P13 merge -----------------------------------------------------------------------------------

THREE = (
    {STUDY: "1.2", ACCESSION: "A1", DESCRIPTION: "Head", DATE: "20260706", TIME: "0900", PROTOCOL: [code("H")]},
    {STUDY: "1.2", ACCESSION: "A1", DESCRIPTION: "Neck", DATE: "20260705", TIME: "1000",
     PROTOCOL: [code("N"), code("H")], "PatientWeight": "80"},
    {STUDY: "1.2", ACCESSION: "A1", DESCRIPTION: "Head", DATE: "20260707", TIME: "0800", "PatientWeight": "7.5"},
    {STUDY: "1.3", ACCESSION: "A2", DESCRIPTION: "Foot"},
)  # fmt: skip


def test_f29_steps_of_one_study_are_one_line(arranged, flat):
    """LOGIQ 7: the line says what the first step says, but for what the rules combine."""
    lines = f"""
        merge:
          by: [StudyInstanceUID]
          join: {{{DESCRIPTION}: " + "}}
          union_codes: {PROTOCOL}
          earliest: [{DATE}]
          min: PatientWeight
          first: [AdmissionID]
        """
    first, *rest = THREE
    merged, single = arranged(
        lines, {**first, "AdmissionID": ""}, {**rest[0], "AdmissionID": "V1"}, *rest[1:]
    )

    found = flat(merged.item.merged())
    assert keys([merged, single]) == [(1, 2, 3), (4,)]
    assert found[DESCRIPTION] == "Head + Neck"
    assert [each["CodeValue"] for each in found[PROTOCOL]] == ["H", "N"]
    assert (found[DATE], found[TIME]) == ("20260705", "1000")
    assert found["PatientWeight"] == "7.5"
    assert found["AdmissionID"] == "V1"
    assert found[ACCESSION] == "A1"


def test_l6_studies_stay_apart_unless_the_profile_says_which_counts(arranged):
    """One accession number with two studies: `study_uid: first` is a decision, not a default."""
    rows = ({STUDY: "1.2", ACCESSION: "A"}, {STUDY: "1.3", ACCESSION: "A"}, {STUDY: "1.2", ACCESSION: "A"})

    assert keys(arranged("merge: {by: AccessionNumber, study_uid: same}", *rows)) == [(1, 3), (2,)]
    assert keys(arranged("merge: {by: AccessionNumber, study_uid: first}", *rows)) == [(1, 2, 3)]


@pytest.mark.parametrize("operation", ["merge: {by: [StudyInstanceUID]}", "dedupe: {by: [StudyInstanceUID]}"])
def test_two_patients_never_share_a_line(arranged, operation):
    """12.3 a: whatever their numbers say; and what has no number is like nothing else."""
    rows = ({STUDY: "1.2"}, {STUDY: "1.2", "PatientID": "P2"}, {STUDY: ""}, {STUDY: ""}, {STUDY: "1.2"})

    assert keys(arranged(operation, *rows)) == [(1, 5), (2,), (3,), (4,)]


def test_a_guard_says_which_steps_are_merged(arranged):
    """P3: the others stay as they are."""
    lines = "merge: {by: [StudyInstanceUID], when: {SPS.Modality: US}}"
    rows = [{STUDY: "1.2", "SPS.Modality": modality} for modality in ("US", "CT", "US", "CT")]

    assert keys(arranged(lines, *rows)) == [(1, 3), (2,), (4,)]


def test_f29_what_is_performed_of_a_line_is_performed_of_all_its_steps(bind, made, facts):
    """The MPPS names the leading step; the profile tells which others the device was shown in that line."""
    items = made(*THREE)

    merging = bind("merge: {by: [StudyInstanceUID]}").together(items[1], items, facts)
    plain = bind("").together(items[1], items, facts)

    assert [each.ref.key for each in merging] == [2, 1, 3]
    assert plain == [items[1]]


def test_lines_of_the_same_steps_have_different_parts(arranged):
    """What is kept of one response is never sent for another: split by protocol, then merged by it."""
    lines = f"""
        split: per_protocol_code
        merge: {{by: [StudyInstanceUID, {PROTOCOL}.CodeValue]}}
        """
    two = {STUDY: "1.2", PROTOCOL: [code("A"), code("B")]}
    rows = (two, two, {STUDY: "1.2", PROTOCOL: [code("A")]})

    alone, together = arranged(lines, *rows[:2]), arranged(lines, *rows)

    assert keys(alone) == [(1, 2), (1, 2)]
    assert keys(together) == [(1, 2, 3), (1, 2)]
    assert alone[0].part != alone[1].part
    assert together[1].part == alone[1].part


# --- P14 dedupe, P11 precedence ------------------------------------------------------------------

TWO_FEEDS = (
    {"system": "CARDIO", ACCESSION: "A", DATE: "20260706", "PatientName": "DOE^J", "PatientWeight": "70",
     "AdmissionID": "c", PROTOCOL: [code("A")]},
    {"system": "RIS", ACCESSION: "A", DATE: "20260707", "PatientName": "DOE^JANE", "AdmissionID": "r",
     PROTOCOL: [code("B"), code("A")]},
    {"system": "CARDIO", ACCESSION: "A", DATE: "20260705"},
    {"system": "RIS", ACCESSION: "B", DATE: "20260705"},
)  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("dedupe: {by: AccessionNumber}", [(1, 2, 3), (4,)]),
        ("dedupe: {by: AccessionNumber, keep: last}", [(3, 1, 2), (4,)]),
        ("dedupe: {by: AccessionNumber, keep: earliest}", [(3, 1, 2), (4,)]),
        ("dedupe: {by: [AccessionNumber]}\nsources: {order: [RIS, CARDIO]}", [(2, 1, 3), (4,)]),
        ("dedupe: {by: AccessionNumber, keep: last}\nsources: {order: [CARDIO]}", [(3, 1, 2), (4,)]),
        ("dedupe: {by: AccessionNumber, when: {source: CARDIO}}", [(1, 3), (2,), (4,)]),
    ],
)  # fmt: skip
def test_f11_one_of_several_is_on_the_list(arranged, lines, expected):
    """The first that stands leads, where a better system says nothing else; no step is forgotten."""
    assert keys(arranged(lines, *TWO_FEEDS)) == expected


def test_p11_a_system_is_believed_about_some_attributes(arranged, flat):
    """The leading step's values, but for those that another system is known to have right."""
    lines = """
        sources: {order: [CARDIO], prefer: {PatientName: RIS, AdmissionID: [PORTAL, RIS], PatientWeight: RIS}}
        dedupe: {by: [AccessionNumber], codes: union}
        """
    found = flat(arranged(lines, *TWO_FEEDS)[0].item.merged())

    assert (found["PatientName"], found["AdmissionID"], found["PatientWeight"]) == ("DOE^JANE", "r", "70")
    assert [each["CodeValue"] for each in found[PROTOCOL]] == ["A", "B"]


def test_codes_of_doubles_are_left_alone_unless_they_are_united(arranged, flat):
    """`codes: own` is the default."""
    found = flat(arranged("dedupe: {by: [AccessionNumber]}", *TWO_FEEDS)[0].item.merged())

    assert [each["CodeValue"] for each in found[PROTOCOL]] == ["A"]


# --- P15 sort, limit -----------------------------------------------------------------------------


def test_a_47_items_are_sorted_by_several_attributes(arranged):
    """P15: named values first and in that order, an item without a value last, equal ones stay as they were."""
    lines = """
        sort:
          - by: RequestedProcedurePriority
            order: [STAT, HIGH]
          - {by: PatientName, descending: true}
        """
    rows = [("ROUTINE", "A"), ("", "B"), ("HIGH", "C"), ("STAT", "D"), ("STAT", "E"), ("ROUTINE", "A")]

    entries = arranged(lines, *({"RequestedProcedurePriority": p, "PatientName": n} for p, n in rows))

    assert keys(entries) == [(5,), (4,), (3,), (1,), (6,), (2,)]


@pytest.mark.parametrize(
    ("overflow", "expected"),
    [("truncate", [1, 2]), ("status_a700", [1, 2]), ("nearest_now", [2, 4]), ("notice_item", [2, 4])],
)
def test_p15_a_list_is_cut_to_the_limit(bind, made, facts, overflow, expected):
    """The first, or those that start nearest to now (5 July, 9:30); a step without a date is the farthest."""
    limit = bind(f"limit: {{max: 2, overflow: {overflow}, unsafe: true}}").limit
    starts = [("20260704", "0930"), ("20260705", "0900"), ("", ""), ("20260705", ""), ("20260706", "0930")]
    items = made(*({DATE: date, TIME: time} for date, time in starts))

    entries = bind("").arranged(items, facts)
    cut = limit.cut(entries, facts.now)

    assert [entry.refs[0].key for entry in cut] == expected
    assert limit.cut(entries[:2], facts.now) == entries[:2]


def test_p15_a_notice_says_that_there_is_more(bind, made, facts, flat):
    """A line of its own that stands for no step, in words of the profile, and the same all day."""
    limit = bind("limit: {max: 1, overflow: notice_item, notice: 'MORE^CALL RIS', unsafe: true}").limit
    entries = bind("").arranged(made({"SPS.Modality": "MR"}), facts)

    notice, again = (limit.notice_of(entries, replace(facts, now=facts.now + dt.timedelta(hours=hours)))
                     for hours in (0, 5))  # fmt: skip

    assert notice is not None
    assert notice == again
    assert notice.refs == ()
    found = flat(notice.item.merged())
    assert found["PatientName"] == "MORE^CALL RIS"
    assert (found["SPS.Modality"], found["SPS.ScheduledStationAETitle"], found[DATE]) == (
        "MR",
        "CT1",
        "20260705",
    )
    assert bind("limit: {max: 1}").limit.notice_of(entries, facts) is None


# --- explaining and failing ----------------------------------------------------------------------


def test_the_trace_tells_what_became_of_steps(bind, made, facts):
    """Each line that is new, with the operation and its place in the profile."""
    lines = "split: per_protocol_code\ndedupe: {by: [StudyInstanceUID]}"
    recorder = Recorder()

    bind(lines).arranged(
        made({PROTOCOL: [code("A"), code("B")]}, {STUDY: "1"}, {STUDY: "1"}), facts, recorder
    )

    told = [
        (note.stage, note.operation, note.origin.rpartition("/")[2], note.text) for note in recorder.notes
    ]
    assert told == [
        ("select", "split", "site.yaml:4", "part 1 of step 1"),
        ("select", "split", "site.yaml:4", "part 2 of step 1"),
        ("select", "dedupe", "site.yaml:5", "steps 2, 3 are one line"),
    ]


@pytest.mark.parametrize(
    "lines", ["merge: {by: [StudyInstanceUID]}", "sort: [StudyInstanceUID, PatientName]"]
)
def test_r5_what_is_no_document_does_not_keep_a_list_from_being_arranged(bind, made, facts, lines):
    """It goes behind the others, where it is left out; the others are as if it were not there."""
    items = made({STUDY: "2"}, {STUDY: "1"}, {STUDY: "1"})
    broken = replace(items[0], procedure={"0020000D": "no element"})

    entries = bind(lines).arranged([broken, *items[1:]], facts)

    assert keys(entries) == ([(2, 3), (1,)] if "merge" in lines else [(2,), (3,), (1,)])


def test_a_list_that_cannot_be_arranged_is_sent_as_it_is(bind, made, facts, monkeypatch):
    """R7: a defect of an operation is reported with its line, and hides nobody."""
    profile, reports = bind("sort: [StudyInstanceUID]"), list[Report]()
    monkeypatch.setattr(order, "gather", lambda *_: 1 / 0)

    entries = profile.arranged(made({STUDY: "2"}, {STUDY: "1"}), facts, None, reports)

    assert keys(entries) == [(1,), (2,)]
    assert [(each.operation, each.message) for each in reports] == [("sort", "defect: ZeroDivisionError")]
