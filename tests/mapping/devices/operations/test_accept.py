"""P4: identifiers that are not as they should be."""

from __future__ import annotations

import copy

import pytest

from mwl.mapping.trace import Recorder

STEP = "00400100"
LIFT = "accept: {root_sps_keys: lift}"


@pytest.fixture
def accepted(bind, flat):
    """Accept an identifier with a profile of a few lines; both as documents, the result as paths."""

    def accept(lines: str, keys: dict) -> dict:
        before = copy.deepcopy(keys)
        result = flat(bind(lines).accept(keys))
        assert keys == before
        return result

    return accept


def test_f06_root_keys_are_lifted_into_the_step(accepted, doc, flat):
    """Keys of the step at the root give the nested query, a patient's key stays where it is."""
    stray = doc({"Modality": "CT", "ScheduledProcedureStepStartDate": "20250301", "PatientID": ""})

    assert accepted(LIFT, stray) == {
        "PatientID": "",
        "SPS.Modality": "CT",
        "SPS.ScheduledProcedureStepStartDate": "20250301",
    }


def test_f06_a_key_inside_the_step_is_stronger(accepted, doc):
    """The item's own value stays; its double at the root goes."""
    keys = doc({"Modality": "MR", "SPS.Modality": "CT", "SPS.ScheduledStationAETitle": ""})

    assert accepted(LIFT, keys) == {"SPS.Modality": "CT", "SPS.ScheduledStationAETitle": ""}


def test_f06_lifting_into_a_step_that_was_asked_for_whole_keeps_it_whole(bind, doc, item, flat, facts):
    """A zero-length step sequence beside root keys is both a filter and a wish for everything (A-44)."""
    profile = bind(LIFT)
    keys = profile.accept({**doc({"Modality": "CT"}), STEP: {"vr": "SQ"}})

    found = profile.respond(item({"SPS.Modality": "CT", "SPS.ScheduledStationName": "ROOM"}), keys, facts)

    assert flat(found) == {"SPS.Modality": "CT", "SPS.ScheduledStationName": "ROOM"}


def test_an_identifier_as_it_should_be_is_returned_as_it_is(shipped, doc):
    """No tolerance touches what needs none."""
    from mwl.mapping.devices.device import SiteFacts

    keys = doc({"PatientID": "", "SPS.Modality": "CT", "SPS.ScheduledProcedureStepStartDate": "20250301-"})

    assert shipped.bind("generic", {}, SiteFacts()).accept(keys) is keys


def test_f07_the_first_of_two_step_items_is_used(accepted, doc):
    """`first` keeps one item."""
    keys = doc({STEP: [{"Modality": "CT"}, {"Modality": "MR"}]})

    assert accepted("accept: {extra_sps_items: first}", keys) == {"SPS.Modality": "CT"}


@pytest.mark.parametrize("lines", ["accept: {extra_sps_items: reject}", "accept: {}"])
def test_f07_two_step_items_are_left_to_the_matcher_by_default(bind, doc, lines):
    """A-43: without the tolerance the identifier stays wrong, and the query fails."""
    keys = doc({STEP: [{"Modality": "CT"}, {"Modality": "MR"}]})

    assert bind(lines).accept(keys) is keys


@pytest.mark.parametrize("key", [{"vr": "SQ"}, {"vr": "SQ", "Value": []}, {"vr": "SQ", "Value": [{}]}])
def test_f08_an_empty_step_is_expanded(bind, item, flat, facts, key):
    """F-C24, F-C25: all that is stored comes, and what the worklist's table has besides is zero-length."""
    profile = bind("accept: {empty_sps: expand}")
    stored = item({"SPS.Modality": "CT", "SPS.CommentsOnTheScheduledProcedureStep": "x"})

    found = flat(profile.respond(stored, profile.accept({STEP: key}), facts))

    assert found["SPS.Modality"] == "CT"
    assert found["SPS.CommentsOnTheScheduledProcedureStep"] == "x"
    assert found["SPS.ScheduledStationAETitle"] == ""
    assert found["SPS.ScheduledProtocolCodeSequence"] == []


def test_a_20_unknown_and_private_keys_match_nothing_and_everything(accepted):
    """Their values go, so they filter nothing; the keys stay, so that the matcher can say FF01."""
    keys = {
        "00091001": {"vr": "LO", "Value": ["x"]},
        "0008FFF0": {"vr": "UN", "Value": ["x"]},
        STEP: {"vr": "SQ", "Value": [{"00431001": {"vr": "LO", "Value": ["x"]}}]},
    }

    assert accepted("accept: {private: ignore, unknown_keys: ignore}", keys) == {
        "(0009,1001)": "",
        "(0008,fff0)": "",
        "SPS.(0043,1001)": "",
    }
    assert accepted("accept: {private: as_sent}", keys)["(0009,1001)"] == "x"


def test_f_c44_a_query_retrieve_level_is_taken_out(accepted, doc):
    """A-02: a worklist has no levels, and the key is not echoed."""
    keys = doc({"QueryRetrieveLevel": "PATIENT", "PatientID": ""})

    assert accepted("accept: {qr_level: ignore}", keys) == {"PatientID": ""}


@pytest.mark.parametrize(
    ("value", "expected"),
    [("*", ""), ("20250301-", "20250301-"), ("20250301", "20250301"), ("", "")],
)
def test_f16_a_star_for_a_date_is_every_date(accepted, doc, value, expected):
    """The key is universal; any other date stays."""
    keys = doc({"SPS.ScheduledProcedureStepStartDate": value})

    found = accepted("accept: {bad_values: {DA: star_is_universal}}", keys)

    assert found == {"SPS.ScheduledProcedureStepStartDate": expected}


@pytest.mark.parametrize(
    ("value", "expected"),
    [("12-14", "12-14"), ("8-12", "08-12"), ("8", "08"), ("*", ""), ("080000-10", "080000-10")],
)
def test_f17_hours_may_have_one_digit(accepted, doc, value, expected):
    """Hours alone are legal; a single digit is written with two."""
    keys = doc({"SPS.ScheduledProcedureStepStartTime": value})

    found = accepted("accept: {bad_values: {TM: hours_ok}}", keys)

    assert found == {"SPS.ScheduledProcedureStepStartTime": expected}


@pytest.mark.parametrize(("value", "expected"), [(0, ""), (3, 3), ("", "")])
def test_a_binary_zero_is_an_empty_key(accepted, doc, value, expected):
    """Some libraries write 0 for a number that is not given; a number that is given stays."""
    found = accepted("accept: {bad_values: {US: zero_is_universal}}", doc({"PregnancyStatus": value}))

    assert found == {"PregnancyStatus": expected}


def test_f52_flags_for_the_services(bind):
    """What the acceptor and the matcher need to know is data of the profile."""
    assert bind("accept: {missing_message_id: 1, lenient: true}").missing_message_id == 1
    assert bind("accept: {missing_message_id: reject}").missing_message_id is None
    assert bind("accept: {lenient: true}").lenient
    assert not bind("").lenient


def test_a_tolerance_explains_itself(bind, doc):
    """The note names the option's line, the key, and its value before and after."""
    recorder = Recorder()

    bind("accept:\n  root_sps_keys: lift\n").accept(doc({"Modality": "CT"}), recorder)

    gone, came = sorted(recorder.notes, key=lambda note: note.after is not None)
    assert (gone.stage, gone.operation, gone.path) == ("accept", "accept", "Modality")
    assert gone.origin.endswith("site.yaml:5")
    assert gone.before == {"vr": "CS", "Value": ["CT"]}
    assert came.after == {"vr": "SQ", "Value": [{"00080060": {"vr": "CS", "Value": ["CT"]}}]}


MODALITIES = {"ScheduledProcedureStepSequence": [{"Modality": "CR"}, {"Modality": "DX"}]}
EITHER = "accept: {extra_sps_items: or}"


@pytest.fixture
def chosen(bind, doc, item, facts):
    """Which of some items satisfy keys, with a profile of a few lines."""
    from mwl.dicom.matching import understand
    from mwl.query import holds

    def choose(lines: str, keys: dict, *items: dict) -> list[int]:
        profile = bind(lines)
        rewritten = profile.rewrite(profile.accept(doc(keys)), facts)
        criteria = (*understand(rewritten).criteria, *profile.filters(rewritten, facts))
        return [n for n, each in enumerate(items) if all(holds(c, item(each)) for c in criteria)]

    return choose


def test_p4_what_any_item_asks_for_is_found(chosen):
    """Two modalities are two wishes; what stands beside them holds for both."""
    items = [
        {"SPS.Modality": "CR", "PatientID": "1"},
        {"SPS.Modality": "DX", "PatientID": "1"},
        {"SPS.Modality": "DX", "PatientID": "2"},
        {"SPS.Modality": "CT", "PatientID": "1"},
    ]

    assert chosen(EITHER, MODALITIES, *items) == [0, 1, 2]
    assert chosen(EITHER, {**MODALITIES, "PatientID": "1"}, *items) == [0, 1]


def test_p4_the_keys_of_an_item_belong_together(chosen):
    """A CT of today or an MR of tomorrow is no CT of tomorrow."""
    today, tomorrow = "20260705", "20260706"
    wanted = [
        {"Modality": "CT", "ScheduledProcedureStepStartDate": today},
        {"Modality": "MR", "ScheduledProcedureStepStartDate": tomorrow},
    ]
    items = [
        {"SPS.Modality": kind, "SPS.ScheduledProcedureStepStartDate": day}
        for kind in ("CT", "MR")
        for day in (today, tomorrow)
    ]

    assert chosen(EITHER, {"ScheduledProcedureStepSequence": wanted}, *items) == [0, 3]


def test_p4_an_item_that_asks_for_nothing_asks_for_all(chosen):
    """It is satisfied by every step."""
    keys = {"ScheduledProcedureStepSequence": [{"Modality": "CR"}, {"Modality": ""}]}

    assert chosen(EITHER, keys, {"SPS.Modality": "CR"}, {"SPS.Modality": "CT"}) == [0, 1]


def test_p4_each_item_is_rewritten_by_itself(chosen):
    """Aliases and default keys reach all of them."""
    lines = f"{EITHER}\nalias: {{tag: SPS.Modality, query: {{DX: [DX, RF]}}}}\nstation: CT1"
    station = "SPS.ScheduledStationAETitle"
    items = [
        {"SPS.Modality": "CR", station: "CT1"},
        {"SPS.Modality": "RF", station: "CT1"},
        {"SPS.Modality": "RF", station: "CT2"},
    ]

    assert chosen(lines, MODALITIES, *items) == [0, 1]


def test_p4_every_item_asks_for_the_attributes_of_each(bind, doc, flat):
    """The answer has them all."""
    keys = doc({"ScheduledProcedureStepSequence": [{"Modality": "CR"}, {"ScheduledStationName": "X"}]})

    accepted = bind(EITHER).accept(keys)

    assert flat(accepted)["ScheduledProcedureStepSequence"] == [
        {"Modality": "CR", "ScheduledStationName": ""},
        {"Modality": "", "ScheduledStationName": "X"},
    ]


@pytest.mark.parametrize("value", ["-1", "65536", "x"])
def test_f52_a_message_id_is_a_number_of_two_bytes(problems, value):
    """What cannot be sent is refused with the profile."""
    (found,) = problems(site=f"profile: site\nstatus: evidence\naccept: {{missing_message_id: {value}}}\n")

    assert found.startswith("site.yaml:3:")
