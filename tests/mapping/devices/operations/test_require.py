"""P30: what a device refuses to go without."""

from __future__ import annotations

import copy
import re

import pytest

from mwl.mapping.devices.device import SiteFacts, Withheld

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
