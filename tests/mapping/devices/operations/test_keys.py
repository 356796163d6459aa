"""P5, P6, P9: keys rewritten before they are matched."""

from __future__ import annotations

import copy

import pytest

from mwl.mapping.devices.device import Facts
from mwl.query import STEP_SEQUENCE, Criterion, Op

MODALITY = (STEP_SEQUENCE, "00080060")
STATION = "SPS.ScheduledStationAETitle"


@pytest.fixture
def rewritten(bind, doc, flat, facts):
    """Rewrite keys with a profile of a few lines: paths in, paths and criteria out."""

    def rewrite(lines: str, keys: dict) -> tuple[dict, list[tuple]]:
        profile, document = bind(lines), doc(keys)
        before = copy.deepcopy(document)
        result = profile.rewrite(document, facts)
        assert document == before
        criteria = profile.filters(result, facts)
        return flat(result), [(each.path, each.op, each.values) for each in criteria]

    return rewrite


def test_f01_an_ignored_key_matches_everything_and_stays(rewritten):
    """P5: the value goes, the key and the others stay; an absent key is not added."""
    found, criteria = rewritten(
        f"ignore_keys: [{STATION}, PatientID]", {STATION: "CT1", "SPS.Modality": "US"}
    )

    assert found == {STATION: "", "SPS.Modality": "US"}
    assert criteria == []


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, {STATION: "CT1"}),
        ({STATION: ""}, {STATION: "CT1"}),
        ({STATION: "CT2"}, {STATION: "CT2"}),
        ({STATION: "*"}, {STATION: "*"}),
    ],
)
def test_f02_a_default_fills_a_key_without_a_value(rewritten, keys, expected):
    """P6: a value the device sends stays, whatever it is (dcm4chee's semantics)."""
    assert rewritten(f"default_key: {{{STATION}: $calling_ae}}", keys)[0] == expected


@pytest.mark.parametrize("keys", [{}, {"SPS.Modality": ""}, {"SPS.Modality": "MR"}])
def test_p6_a_forced_key_takes_the_place_of_any(rewritten, keys):
    """`set_key` does not ask what was sent."""
    assert rewritten("set_key: {SPS.Modality: CT}", keys) == ({"SPS.Modality": "CT"}, [])


def test_p6_several_values_mean_any_of_them(rewritten):
    """A key of several values has no meaning in DICOM (A-31): a criterion says what is meant."""
    found, criteria = rewritten("set_key: {SPS.Modality: [CR, DX]}", {"SPS.Modality": "MR"})

    assert found == {"SPS.Modality": ""}
    assert criteria == [(MODALITY, Op.IN, ("CR", "DX"))]


@pytest.mark.parametrize(
    ("asked", "key", "criteria"),
    [
        ("DX", "", [(MODALITY, Op.IN, ("DX", "CR"))]),
        ("CR", "DX", []),
        ("MR", "MR", []),
        ("", "", []),
        (["DX", "MR"], "", [(MODALITY, Op.IN, ("DX", "CR", "MR"))]),
    ],
)
def test_f04_an_alias_widens_what_is_asked(rewritten, asked, key, criteria):
    """P9: one value may mean several; one without an entry means itself."""
    alias = "alias: {tag: SPS.Modality, query: {DX: [DX, CR], CR: DX}}"

    assert rewritten(alias, {"SPS.Modality": asked}) == ({"SPS.Modality": key}, criteria)


@pytest.mark.parametrize(
    ("stored", "shown"), [("CR", "DX"), ("MR", "MR"), (["CR", "MR"], ["DX", "MR"]), ("", "")]
)
def test_f04_an_alias_names_what_is_answered(answer, stored, shown):
    """P9: the device gets its own word, value by value."""
    alias = "alias: {tag: SPS.Modality, response: {CR: DX}}"

    assert answer(alias, {"SPS.Modality": stored}) == {"SPS.Modality": shown}


def test_p9_aliases_of_stacked_profiles_for_one_tag_merge(write, facts, doc):
    """A site's entry goes on with the vendor's table for the same attribute."""
    from mwl.mapping.devices.device import SiteFacts, load_devices

    text = """
        profile: generic
        status: evidence
        alias: {tag: SPS.Modality, query: {DX: [DX, CR], US: [US, USG]}}
        ---
        profile: site
        status: evidence
        alias: {tag: SPS.Modality, query: {DX: [DX, CR, RX]}}
        """
    profile = load_devices([write(site=text)]).bind("site", {}, SiteFacts())

    def asked(value):
        (criterion,) = profile.filters(profile.rewrite(doc({"SPS.Modality": value}), facts), facts)
        return criterion.values, criterion.origin.rpartition("/")[2]

    assert asked("DX") == (("DX", "CR", "RX"), "site.yaml:8")
    assert asked("US") == (("US", "USG"), "site.yaml:8")


def test_p9_wildcards_and_names_keep_their_way_of_matching(bind, doc, facts):
    """Alternatives with * are wildcards, names are compared as names."""
    lines = "set_key: {PatientName: ['A*', 'B*'], AdmissionID: ['1*', '2']}"
    profile = bind(lines)

    criteria = profile.filters(profile.rewrite(doc({}), facts), facts)

    assert [criterion.op for criterion in criteria] == [Op.NAME, Op.WILDCARD]


def test_p3_a_step_of_the_list_has_its_guard(rewritten):
    """In the query stage a guard looks at the keys as they are at that moment, in the order written."""
    lines = """
        query:
          - default_key: {SPS.Modality: US}
            when: {SPS.ScheduledStationAETitle: {present: false}}
          - ignore_keys: [PatientID]
            when: {SPS.Modality: US}
        """

    assert rewritten(lines, {"PatientID": "1"})[0] == {"PatientID": "", "SPS.Modality": "US"}
    assert rewritten(lines, {"PatientID": "1", STATION: "X"})[0] == {"PatientID": "1", STATION: "X"}


def test_a_variable_follows_the_association(bind, doc):
    """The same profile serves every device it is bound to."""
    profile = bind(f"set_key: {{{STATION}: $calling_ae, AdmissionID: '$ip/$called_ae'}}")

    found = profile.rewrite(doc({}), Facts("CT9", "MWL", "10.0.0.9"))

    assert found[STEP_SEQUENCE]["Value"][0]["00400001"]["Value"] == ["CT9"]
    assert found["00380010"]["Value"] == ["10.0.0.9/MWL"]
    assert profile.reads == {"calling_ae", "called_ae", "ip"}


def test_criteria_name_the_line_that_meant_them(bind, doc, facts):
    """`explain` prints the origin of a criterion."""
    profile = bind("alias:\n  tag: SPS.Modality\n  query: {DX: [DX, CR]}\n")

    (criterion,) = profile.filters(profile.rewrite(doc({"SPS.Modality": "DX"}), facts), facts)

    assert isinstance(criterion, Criterion)
    assert criterion.origin.endswith("site.yaml:6")


@pytest.mark.parametrize("keys", [{}, {STATION: ""}, {STATION: "MR9"}, {STATION: "*"}])
@pytest.mark.parametrize(
    ("line", "expected", "criteria"),
    [
        ("calling", {STATION: "CT1"}, []),
        ("XR7", {STATION: "XR7"}, []),
        ("[CT1, CT2]", {STATION: ""}, [("CT1", "CT2")]),
    ],
)
def test_p6_station_says_whose_list_it_is(rewritten, keys, line, expected, criteria):
    """Its own, another's, or that of several, whatever the device asks."""
    found, stated = rewritten(f"station: {line}", keys)

    assert found == expected
    assert [values for _, _, values in stated] == criteria


def test_p6_station_any_asks_for_no_station(rewritten):
    """The key matches everything; one that is not there is not made."""
    assert rewritten("station: any", {STATION: "CT1"}) == ({STATION: ""}, [])
    assert rewritten("station: any", {}) == ({}, [])


def test_a_key_of_several_meanings_is_ignored_as_well(rewritten):
    """What one line set, a later one takes back."""
    lines = """
        set_key: {SPS.Modality: [CR, DX]}
        query:
          - ignore_keys: [SPS.Modality]
        """

    assert rewritten(lines, {}) == ({"SPS.Modality": ""}, [])


ALL_KEYS = """
      - SPS.ScheduledStationAETitle
      - SPS.ScheduledProcedureStepStartDate
      - SPS.ScheduledProcedureStepStartTime
      - SPS.Modality
      - SPS.ScheduledPerformingPhysicianName
      - PatientName
      - PatientID
"""


def test_l9_all_keys_are_ignored_only_where_that_is_meant(problems):
    """It sends the whole hospital (12.3 d)."""
    (found,) = problems(site=f"profile: site\nstatus: evidence\nignore_keys:{ALL_KEYS}")

    assert found.endswith("[L9]")
    unsafe = f"profile: site\nstatus: evidence\nignore_keys:\n    unsafe: true\n    keys:{ALL_KEYS}"
    assert problems(site=unsafe) == []


@pytest.mark.parametrize(
    "lines",
    [
        (
            "query: [{ignore_keys: [SPS.ScheduledStationAETitle, SPS.Modality, PatientName, PatientID]}, "
            "{ignore_keys: [SPS.ScheduledProcedureStepStartDate, SPS.ScheduledProcedureStepStartTime, "
            "SPS.ScheduledPerformingPhysicianName]}]"
        ),
        (
            "station: any\nset_key: {SPS.ScheduledProcedureStepStartDate: '', SPS.Modality: '*', PatientName: '*', "
            "PatientID: '**', SPS.ScheduledProcedureStepStartTime: '', SPS.ScheduledPerformingPhysicianName: '*'}"
        ),
    ],
)
def test_l9_is_about_all_lines_together(problems, lines):
    """Nobody gets around it by several lines, or by other words."""
    (found,) = problems(site=f"profile: site\nstatus: evidence\n{lines}")

    assert found.endswith("[L9]")
