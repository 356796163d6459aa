"""A bound profile as a whole: purity, shape, order of the stages, traces."""

from __future__ import annotations

import copy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mwl.errors import BadDocument
from mwl.mapping import paths
from mwl.mapping.devices.device import DeviceProfiles, Facts, SiteFacts, Withheld, load_devices
from mwl.mapping.elements import has_value, holds_value
from mwl.mapping.trace import Recorder
from mwl.model import STEP_SEQUENCE, Document, StepRef, WorklistItem, name_value
from mwl.query import holds

CODE = ["00080100", "00080102", "00080103", "00080104"]
ROOT = [
    "00100010",
    "00100020",
    "00100030",
    "00101030",
    "00080050",
    "00401001",
    "0020000D",
    "00321060",
    "00102000",
]
STEP = ["00080060", "00400001", "00400002", "00400003", "00400009", "00400012", "00400020"]
SEQUENCES = {"00321064": CODE, "00081110": ["00081150", "00081155"]}

text = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF), max_size=12)


def element(tag: str, values: st.SearchStrategy[str]) -> st.SearchStrategy[dict]:
    """An element of *tag* with up to two values."""
    vr = paths.vr(tag)
    made = st.lists(values.map(name_value) if vr == "PN" else values, max_size=2)
    return made.map(lambda found: {"vr": vr, "Value": found} if found else {"vr": vr})


def elements(tags: list[str], values: st.SearchStrategy[str]) -> st.SearchStrategy[Document]:
    """A document of some of *tags*."""
    return st.fixed_dictionaries({}, optional={tag: element(tag, values) for tag in tags})


def sequences(values: st.SearchStrategy[str]) -> st.SearchStrategy[Document]:
    """Code and reference sequences of up to three items, empty ones among them."""
    return st.fixed_dictionaries(
        {},
        optional={
            tag: st.lists(elements(inner, values), max_size=3).map(lambda found: {"vr": "SQ", "Value": found})
            for tag, inner in SEQUENCES.items()
        },
    )


def level(tags: list[str], values: st.SearchStrategy[str]) -> st.SearchStrategy[Document]:
    """A document with elements and sequences."""
    return st.builds(lambda a, b: {**a, **b}, elements(tags, values), sequences(values))


stored = st.builds(
    lambda root, step: WorklistItem(StepRef(1, 1, 1, 1), {}, root, step, "RIS"),
    level(ROOT, text),
    level(STEP, text),
)
requests = st.builds(
    lambda root, steps: {**root, **({} if steps is None else {STEP_SEQUENCE: {"vr": "SQ", "Value": steps}})},
    level([*ROOT, "00091001", "0008FFF0", "00080005", "00080201", "00080052"], st.just("")),
    st.none() | st.lists(level(STEP, st.just("")), max_size=2),
)


@pytest.fixture(scope="module", params=["generic", "ge-ct-connectpro"])
def profile(request, shipped):
    """Each shipped profile."""
    return shipped.bind(request.param, {}, SiteFacts())


def outcome(profile, item: WorklistItem, requested: Document) -> Document | None:
    """The answer, None where the item is withheld."""
    try:
        return profile.respond(item, requested, Facts("CT1"))
    except Withheld:
        return None


def allowed(answer: Document, keys: Document, always: Document) -> bool:
    """Tell whether everything in *answer* was asked for or is always returned."""
    for tag, found in answer.items():
        asked = [keys[tag]] if tag in keys else []
        added = [always[tag]] if tag in always else []
        if not asked and not added:
            return False
        wanted = [item for key in (*asked, *added) for item in (key.get("Value") or [{}])[:1]]
        if found["vr"] != "SQ" or not all(wanted):
            continue
        whole = {inner: key for item in wanted for inner, key in item.items()}
        if any(inner not in whole for item in found.get("Value", ()) for inner in item):
            return False
    return True


SETTINGS = settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


@SETTINGS
@given(item=stored, keys=requests)
def test_nothing_is_returned_that_was_not_asked_for(profile, item, keys):
    """R1, A-10, A-45: beyond the request only what the profile's `always` lists."""
    requested = profile.accept(keys)
    always: Document = {}
    for name in profile.written.data["return"]["always"]:
        always = paths.put(always, paths.parse_path(name), {"vr": "LO"})

    answer = outcome(profile, item, requested)

    assert answer is None or allowed(answer, requested, always)
    assert answer is None or not {"00080005", "00080201", "00080052", "00091001"} & answer.keys()


@SETTINGS
@given(item=stored, keys=requests)
def test_r4_no_item_is_empty(profile, item, keys):
    """Every item of every sequence says something; the step has its one item (A-08)."""
    answer = outcome(profile, item, profile.accept(keys)) or {}

    for tag, found in answer.items():
        if tag == STEP_SEQUENCE:
            assert len(found["Value"]) == 1
            assert found["Value"][0]
            inner = [each for each in found["Value"][0].values() if each["vr"] == "SQ"]
        else:
            inner = [found] if found["vr"] == "SQ" else []
        assert all(holds_value(each) for sequence in inner for each in sequence.get("Value", ()))


@SETTINGS
@given(item=stored, keys=requests)
def test_nothing_that_is_given_is_changed(profile, item, keys):
    """Documents are never changed: not the item, not the identifier."""
    item_before, keys_before = copy.deepcopy(item), copy.deepcopy(keys)
    facts = Facts("CT1")

    accepted = profile.accept(keys)
    accepted_before = copy.deepcopy(accepted)
    profile.filters(profile.rewrite(accepted, facts), facts)
    answer = outcome(profile, item, accepted)
    if answer is not None:
        answer_before = copy.deepcopy(answer)
        try:
            profile.choose_charset(answer, ("ISO_IR 100",))
        except Withheld:
            pass
        assert answer == answer_before

    assert (item, keys, accepted) == (item_before, keys_before, accepted_before)


@SETTINGS
@given(item=stored, keys=requests)
def test_every_requested_attribute_is_answered(profile, item, keys):
    """A-18: what is known is never left out, with a value or without."""
    requested = profile.accept(keys)

    answer = outcome(profile, item, requested)

    if answer is not None:
        known = {tag for tag in requested if paths.known(tag)}
        assert known - answer.keys() <= {"00080005", "00080201", "00080052"}


@SETTINGS
@given(item=stored, keys=requests)
def test_a_trace_changes_nothing(profile, item, keys):
    """R6: explaining is not a second implementation."""
    facts, recorder = Facts("CT1"), Recorder()
    requested = profile.accept(keys)
    try:
        traced = profile.respond(item, profile.accept(keys, recorder), facts, recorder)
    except Withheld:
        traced = None

    assert traced == outcome(profile, item, requested)
    assert all(":" in note.origin and note.operation and note.stage for note in recorder.notes)


@SETTINGS
@given(item=stored, keys=requests)
def test_what_the_device_requires_is_there(profile, item, keys):
    """P30: an answer that leaves has a value for every type 1 attribute in it."""
    answer = outcome(profile, item, profile.accept(keys))

    for name in profile.written.data["require"][0]["type1"]:
        found = paths.get(answer or {}, paths.parse_path(name))
        assert found is None or has_value(found)


def test_each_change_names_stage_operation_line_path_before_and_after(bind, item, doc, facts):
    """What `explain` prints about one value, in the order in which it happened."""
    lines = "set: {AdmissionID: ab}\nrespond:\n  - text:\n      tags: AdmissionID\n      ops: upper\n"
    recorder = Recorder()

    bind(lines).respond(
        item({"AdmissionID": "x", "PatientID": "P"}), doc({"AdmissionID": ""}), facts, recorder
    )

    told = [
        (note.stage, note.operation, note.origin.rpartition("/")[2], note.path, note.text)
        for note in recorder.notes
    ]
    assert told == [
        ("respond", "set", "site.yaml:4", "AdmissionID", ""),
        ("respond", "text", "site.yaml:7", "AdmissionID", ""),
        ("conform", "return", "site.yaml:1", "PatientID", "not asked for"),
        ("conform", "return", "site.yaml:1", "ScheduledProcedureStepSequence", "not asked for"),
    ]
    assert [note.after and note.after["Value"] for note in recorder.notes[:2]] == [["ab"], ["AB"]]


def test_an_item_that_is_withheld_says_why_in_the_trace(bind, item, doc, facts):
    """The last note is the reason, with the line that decided."""
    recorder = Recorder()
    profile = bind("require:\n  type1: [PatientID]\n  on_fail: skip_item\n")

    with pytest.raises(Withheld):
        profile.respond(item({"PatientID": ""}), doc({"PatientID": ""}), facts, recorder)

    assert recorder.notes[-1].text == "a value that the device requires is missing"
    assert recorder.notes[-1].path == "PatientID"
    assert recorder.notes[-1].origin.endswith("site.yaml:5")


def test_the_digest_changes_with_anything_that_changes_an_answer(write):
    """Profile, variables and site are in it; notes and comments are not."""
    head = "profile: site\nstatus: evidence\nextends: []\nvars: {a: 1}\n"

    def digest(text: str, site: SiteFacts | None = None, **variables: object) -> str:
        return load_devices([write(site=head + text)]).bind("site", variables, site or SiteFacts()).digest

    same = {digest("limit: {max: 1}"), digest("# c\nlimit: {max: 1}"), digest("limit: {max: 1}\nnotes: [n]")}
    others = {
        digest("limit: {max: 2}"),
        digest("limit: {max: 1}", a=2),
        digest("limit: {max: 1}", SiteFacts(charset="ISO_IR 192")),
    }
    assert len(same) == 1
    assert len(same | others) == 4


def test_the_digest_changes_with_the_order_of_lines(write):
    """The second line reads what the first has made: kept answers of the other order would be wrong."""
    head = "profile: site\nstatus: evidence\nextends: []\n"
    lines = ["AdmissionID: '{PatientState}'", "PatientState: '{AdmissionID}'"]

    def digest(*parts: str) -> str:
        text = head + "".join(parts)
        return load_devices([write(site=text)]).bind("site", {}, SiteFacts()).digest

    assert digest(f"template: {{{', '.join(lines)}}}") != digest(
        f"template: {{{', '.join(reversed(lines))}}}"
    )
    assert digest("limit: {max: 1}\n", "hide_status: [COMPLETED]\n") == digest(
        "hide_status: [COMPLETED]\n", "limit: {max: 1}\n"
    )


def test_a_profile_says_which_facts_its_answers_depend_on(bind, shipped):
    """Who keeps encoded answers must key them by these."""
    assert shipped.bind("generic", {}, SiteFacts()).reads == {"calling_ae"}
    assert bind("set: {AdmissionID: $now}").reads == {"now"}
    assert bind("").reads == frozenset()


def test_the_f0_items_all_leave_under_generic(shipped, f0_items, facts):
    """F.0 through the shipped base profile: every visible step has an answer, the closed ones are filtered."""
    profile = shipped.bind("generic", {}, SiteFacts())
    keys = profile.accept({"00100010": {"vr": "PN"}, "00100020": {"vr": "LO"}, STEP_SEQUENCE: {"vr": "SQ"}})
    criteria = profile.filters(profile.rewrite(keys, facts), facts)

    visible = [name for name, item in f0_items.items() if all(holds(each, item) for each in criteria)]
    answers = [profile.respond(f0_items[name], keys, facts) for name in visible]

    assert visible == ["S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S12"]
    assert all(len(answer[STEP_SEQUENCE]["Value"]) == 1 for answer in answers)


def test_a_set_with_a_mistake_is_refused_whole(write, shipped):
    """Nothing of it can be used; who reloads keeps the old set."""
    folder = write(site="profile: site\nstatus: evidence\nlimit: {max: x}\n")

    with pytest.raises(BadDocument):
        load_devices([folder])
    assert isinstance(shipped, DeviceProfiles)
    assert shipped.names == sorted(shipped.names)
    with pytest.raises(KeyError):
        shipped.get("no-such-profile")
    with pytest.raises(KeyError):
        shipped.bind("no-such-profile", {}, SiteFacts())


def test_a_guarded_step_costs_nothing_when_it_does_not_run(bind, item, doc, facts):
    """It returns the document it was given."""
    profile = bind("respond: [{set: {AdmissionID: A}, when: {PatientID: X}}]")

    found = profile.respond(item({"AdmissionID": "B", "PatientID": "P"}), doc({"AdmissionID": ""}), facts)

    assert found == {"00380010": {"vr": "LO", "Value": ["B"]}}
