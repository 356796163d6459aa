"""P30: what a device refuses to go without."""

from __future__ import annotations

import copy
import re

import pytest

from mwl.errors import BadDocument
from mwl.mapping.devices.device import Report, SiteFacts, Withheld
from mwl.mapping.paths import parse_path, vr

STATION = "SPS.ScheduledStationAETitle"
FULL = {
    "PatientName": "DOE^JANE",
    "PatientID": "P1",
    "AccessionNumber": "ACC1",
    "StudyInstanceUID": "1.2.3",
    "RequestedProcedureID": "RP1",
    "SPS.ScheduledProcedureStepID": "S1",
    STATION: "CT9",
    "SPS.ScheduledProcedureStepStartDate": "20260705",
    "SPS.ScheduledProcedureStepStartTime": "090000",
    "SPS.Modality": "CT",
}


def test_f26_a_missing_station_is_the_callers(answer):
    """GE CT, no AE assigned: the answer names the caller, and a station that is there stays."""
    assert answer("", {**FULL, STATION: ""}, base="generic")[STATION] == "CT1"
    assert answer("", FULL, base="generic")[STATION] == "CT9"


def test_f26_the_canonical_item_is_unchanged(shipped, item, doc, facts):
    """Filling is for one answer alone."""
    stored = item({**FULL, STATION: ""})
    before = copy.deepcopy(stored)

    shipped.bind("generic", {}, SiteFacts()).respond(stored, doc(dict.fromkeys(FULL, "")), facts)

    assert stored == before


def test_ids_are_filled_from_one_another_in_the_order_written(answer):
    """A-17: the step's ID from the procedure's, that from the accession number, even where it was not asked for."""
    stored = {**FULL, "RequestedProcedureID": "", "SPS.ScheduledProcedureStepID": ""}
    short = {"RequestedProcedureID": "", "SPS.ScheduledProcedureStepID": ""}

    found = answer("", stored, short, base="generic")

    assert found == {"RequestedProcedureID": "ACC1", "SPS.ScheduledProcedureStepID": "ACC1"}


@pytest.mark.parametrize(
    ("missing", "path"),
    [
        ("PatientName", "PatientName"),
        ("PatientID", "PatientID"),
        ("SPS.ScheduledProcedureStepStartDate", "SPS.ScheduledProcedureStepStartDate"),
        ("SPS.Modality", "SPS.Modality"),
    ],
)
def test_an_item_without_what_is_required_is_withheld(answer, missing, path):
    """It names the attribute and the profile's line, and no patient."""
    with pytest.raises(Withheld) as error:
        answer("", {**FULL, missing: ""}, base="generic")

    assert error.value.path == path
    assert re.search(r"generic\.yaml:\d+$", error.value.origin)
    assert str(error.value) == "a value that the device requires is missing"


def test_f27_a_value_of_the_wrong_form_counts_as_missing(answer):
    """A corrupt date costs its own item and no other: R5."""
    with pytest.raises(Withheld):
        answer("", {**FULL, "SPS.ScheduledProcedureStepStartDate": "tomorrow"}, base="generic")


def test_what_nobody_asked_for_cannot_hide_an_item(answer):
    """Only what is sent is judged."""
    assert answer("", {"PatientName": "", "PatientID": "P1"}, {"PatientID": ""}, base="generic") == {
        "PatientID": "P1"
    }


def test_a_missing_study_uid_is_derived_from_the_procedure(bind, item, doc, flat, facts):
    """The same for each step and each query, under the site's root; without any identity the item stays behind."""
    keys = doc({"StudyInstanceUID": ""})

    def uid(root: str | None, **lines: str) -> str:
        profile = bind("", base="generic", site=SiteFacts(uid_root=root))
        return flat(profile.respond(item(lines), keys, facts))["StudyInstanceUID"]

    assert uid("1.2.276.0", AccessionNumber="A") == uid("1.2.276.0", AccessionNumber="A")
    assert uid("1.2.276.0", AccessionNumber="A") != uid("1.2.276.0", AccessionNumber="B")
    assert uid("1.2.276.0", AccessionNumber="A").startswith("1.2.276.0.")
    assert re.fullmatch(r"2\.25\.[1-9]\d{0,38}", uid(None, AccessionNumber="A"))
    assert len(uid("1." + "2" * 60, AccessionNumber="A")) <= 64
    with pytest.raises(Withheld):
        uid(None)


def test_each_profiles_requirements_have_their_own_consequence(answer):
    """GE CT's `report` for a long ID does not soften what generic refuses."""
    with pytest.raises(Withheld):
        answer("", {**FULL, "PatientName": ""}, base="ge-ct-connectpro")


@pytest.mark.parametrize("policy", ["report", "send_anyway", "[fill, send_anyway]"])
def test_an_item_may_be_sent_all_the_same(answer, policy):
    """Without skip_item the answer leaves as it is."""
    found = answer(
        f"require: {{type1: [PatientID], on_fail: {policy}}}", {"PatientID": "", "AdmissionID": "A"}
    )

    assert found == {"PatientID": "", "AdmissionID": "A"}


def test_a_value_that_is_too_long_may_cost_the_item(answer):
    """P30 max_len: characters, of each group in a name."""
    lines = "require: {max_len: {PatientID: 4, PatientName: 4}, on_fail: skip_item}"

    assert answer(lines, {"PatientID": "1234", "PatientName": "ABCD=EFGH"})
    for stored in ({"PatientID": "12345"}, {"PatientName": "ABCD=EFGHI"}):
        with pytest.raises(Withheld, match="longer"):
            answer(lines, stored)


def test_f30_ge_ct_reports_a_long_id_and_does_not_cut_it(shipped, item, doc, flat, facts):
    """12.3 c: the answer carries the whole ID, the review says that the device may refuse it."""
    profile = shipped.bind("ge-ct-connectpro", {}, SiteFacts())
    stored = {
        **FULL,
        "PatientID": "12345678901234567",
        "PatientName": "SCHMIDT-WEISSENBERGER^ANNA KATHARINA MARIA",
    }

    found = profile.respond(item(stored), doc(dict.fromkeys(FULL, "")), facts)

    assert flat(found)["PatientID"] == "12345678901234567"
    assert flat(found)["PatientName"] == "SCHMIDT-WEISSENBERGER^ANNA"
    (shortfall,) = profile.review([found])
    assert (shortfall.index, shortfall.path) == (0, "PatientID")
    assert "longer" in shortfall.message
    assert "ge-ct-connectpro.yaml:" in shortfall.origin


def test_f30_a_site_may_have_switched_to_64_characters(shipped, item, doc, flat, facts):
    """The variable of S1 switches the cuts off."""
    profile = shipped.bind("ge-ct-connectpro", {"long": True}, SiteFacts())
    stored = {**FULL, "PatientName": "SCHMIDT-WEISSENBERGER^ANNA KATHARINA MARIA"}

    found = flat(profile.respond(item(stored), doc(dict.fromkeys(FULL, "")), facts))

    assert found["PatientName"] == stored["PatientName"]


def test_f28_values_that_should_be_unique_are_reported(bind, doc):
    """LOGIQ 7 shows one line for each study: every later double is named."""
    profile = bind("require:\n  unique: [StudyInstanceUID]\n  type1: [PatientID]\n")
    answers = [
        doc({"StudyInstanceUID": uid, "PatientID": who}) for uid, who in [("1", "A"), ("2", ""), ("1", "C")]
    ]

    found = [(each.index, each.path, each.origin.rpartition("/")[2]) for each in profile.review(answers)]

    assert found == [(1, "PatientID", "site.yaml:6"), (2, "StudyInstanceUID", "site.yaml:5")]


# --- more that a device may insist on ------------------------------------------------------------


@pytest.fixture
def told(bind, item, doc, facts):
    """Answer by a profile of a few lines; return what was reported: path, message, whether it is serious."""

    def run(lines: str, stored: dict, wanted: dict | None = None) -> list[tuple[str, str, bool]]:
        reports: list[Report] = []
        keys = doc(dict.fromkeys(stored, "") if wanted is None else wanted)
        bind(lines).respond(item(stored), keys, facts, None, reports)
        return [(each.path, each.message, each.serious) for each in reports]

    return run


MISSING, REFUSED = (
    "a value that the device requires is missing",
    "a value has a character that the device refuses",
)


@pytest.mark.parametrize(
    ("lines", "stored", "expected"),
    [
        ("type1: [PatientID]", {"PatientID": ""}, [("PatientID", MISSING, True)]),
        ("type1: [PatientID], on_fail: send_anyway", {"PatientID": ""}, [("PatientID", MISSING, False)]),
        ("type1: [PatientID], on_fail: [fill, report]", {"PatientID": ""}, [("PatientID", MISSING, True)]),
        ("type1: PatientName.family", {"PatientName": "^JANE"}, [("PatientName", MISSING, True)]),
        ("type1: PatientName.family", {"PatientName": "DOE"}, []),
        ("type1: PatientName.given", {"PatientName": "DOE"}, [("PatientName", MISSING, True)]),
        ("type1: PatientName.given", {"PatientName": "=山田^太郎"}, []),
        ("forbid_chars: {PatientID: '\\^'}", {"PatientID": "A^1"}, [("PatientID", REFUSED, True)]),
        ("forbid_chars: {PatientID: '^'}", {"PatientID": "A1"}, []),
        ("max_len: {PatientID: 3}, when: {AdmissionID: x}", {"PatientID": "1234", "AdmissionID": "y"}, []),
        ("max_len: {PatientID: 3}, when: {AdmissionID: x}", {"PatientID": "1234", "AdmissionID": "x"},
         [("PatientID", "a value is longer than the device takes", True)]),
    ],
)  # fmt: skip
def test_p30_what_fails_and_is_sent_is_reported(told, lines, stored, expected):
    """With the attribute and its line; a component of a name counts by itself, in any group."""
    assert told(f"require: {{{lines}}}", stored) == expected


def test_a_guard_looks_at_the_whole_item(told):
    """P3: it may name what nobody asked for."""
    lines = "require: {type1: [PatientID], when: {AdmissionID: x}}"

    assert told(lines, {"PatientID": "", "AdmissionID": "x"}, {"PatientID": ""}) == [
        ("PatientID", MISSING, True)
    ]


@pytest.mark.parametrize(
    ("policy", "sent", "reported"),
    [("report", {"PatientID": "1"}, 1), ("[fill, report]", {"PatientID": "1", "PatientWeight": ""}, 0)],
)
def test_p30_type_2_attributes_are_sent_asked_for_or_not(answer, told, policy, sent, reported):
    """`fill` sends them with what is stored, or zero-length; without it their absence is reported."""
    lines = f"require: {{type2: [PatientWeight], on_fail: {policy}}}"
    weighed = {"PatientID": "1", "PatientWeight": "70"}

    assert answer(lines, {"PatientID": "1"}) == sent
    assert len(told(lines, {"PatientID": "1"})) == reported
    assert answer(lines, weighed, {"PatientID": ""}) == (sent if reported else weighed)


def test_p30_type_2_may_cost_the_item(answer):
    """A device that drops its list for an absent attribute is not sent one without it."""
    with pytest.raises(Withheld, match="an attribute that the device requires is missing"):
        answer("require: {type2: [PatientWeight], on_fail: skip_item}", {"PatientID": "1"})


LEGAL = {
    "PatientBirthDate": ["20260705"], "StudyTime": ["0930", "093000.123456", "23"], "PatientAge": ["045Y"],
    "Modality": ["CT", "A_B 1"], "StudyInstanceUID": ["1.2.0.3"], "PatientWeight": ["70.5", "-1e3"],
    "AdmissionID": ["x" * 64], "AccessionNumber": ["x" * 16], "PregnancyStatus": [4, 0],
    "PatientName": [{"Alphabetic": "DOE^JANE^^^", "Ideographic": "山"}], "PatientComments": ["a\\b\r\nc"],
    "SeriesNumber": ["12"], "RetrieveAETitle": ["CT 1"],
}  # fmt: skip
ILLEGAL = {
    "PatientBirthDate": ["2026-07-05", "20260231", 20260705], "StudyTime": ["25", "9:30", "0930.5"],
    "PatientAge": ["45Y", "045"], "Modality": ["ct", "X" * 17], "StudyInstanceUID": ["1.02", "x", "1." + "2" * 64],
    "PatientWeight": ["70 kg", "1" * 17], "AdmissionID": ["x" * 65, "a\\b", "a\x07"], "AccessionNumber": ["x" * 17],
    "PregnancyStatus": [-1, 70000, "4"], "PatientName": [{"Alphabetic": "A=B"}, {"Alphabetic": "x" * 65}, "DOE",
    {"Alphabetic": "A^B^C^D^E^F"}], "PatientComments": ["\x00"], "SeriesNumber": ["1.5"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "legal"),
    [(name, value, True) for name, values in LEGAL.items() for value in values]
    + [(name, value, False) for name, values in ILLEGAL.items() for value in values],
)
def test_p30_a_value_must_be_one_of_its_vr(bind, item, facts, name, value, legal):
    """PS3.5 6.2: form, characters and length, for identities too; what is empty is no matter of form."""
    (tag,) = parse_path(name)
    stored = item({})
    stored.procedure[tag] = {"vr": vr(tag), "Value": [value]}
    profile = bind("require: {vr: ['*'], on_fail: skip_item}")

    if legal:
        assert tag in profile.respond(stored, {tag: {"vr": vr(tag)}}, facts)
    else:
        with pytest.raises(Withheld, match="a value is none that its VR allows") as error:
            profile.respond(stored, {tag: {"vr": vr(tag)}}, facts)
        assert error.value.path == name


def test_p30_values_in_sequences_are_judged_by_pattern_and_path(told):
    """The report names where it stands."""
    stored = {"SPS.ScheduledProtocolCodeSequence": [{"CodeValue": "x" * 17}], "SPS.Modality": "ct"}
    illegal = "a value is none that its VR allows"

    assert told("require: {vr: ['Code*']}", stored, {"SPS.ScheduledProtocolCodeSequence": []}) == [
        ("SPS.ScheduledProtocolCodeSequence.CodeValue", illegal, True)
    ]
    assert told("require: {vr: [SPS.Modality]}", stored) == [("SPS.Modality", illegal, True)]
    assert told("require: {vr: ['SPS.Mod*']}", stored) == [("SPS.Modality", illegal, True)]


@pytest.mark.parametrize("policy", ["[skip_item, report]", "[report, fill]", "[send_anyway, skip_item]"])
def test_p30_nothing_is_tried_after_a_decision(bind, policy):
    """A list that goes on says something that never happens."""
    with pytest.raises(BadDocument, match="nothing else is tried"):
        bind(f"require: {{type1: [PatientID], on_fail: {policy}}}")


def test_p30_doubles_are_reported_of_every_answer_but_the_first(bind, doc):
    """Of several values one is enough; what is empty is nobody's double."""
    profile = bind("require: {unique: [StudyInstanceUID], on_fail: send_anyway}")
    answers = [doc({"StudyInstanceUID": uid}) for uid in ("1", ["2", "1"], "", "", "3", "2")]

    found = list(profile.doubles([profile.marks(each) for each in answers]))

    assert [(index, report.path, report.serious) for index, report in found] == [
        (1, "StudyInstanceUID", False), (5, "StudyInstanceUID", False)]  # fmt: skip
