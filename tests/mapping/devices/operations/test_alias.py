"""P9: other words, in all directions."""

from __future__ import annotations

import pytest

from mwl.model import STEP_SEQUENCE
from mwl.query import Op

MODALITY = (STEP_SEQUENCE, "00080060")


@pytest.fixture
def reported(bind, doc, flat, facts):
    """What a performed step says of its modality, led back."""

    def lead(lines: str, modality: str) -> str:
        return flat(bind(lines).canonical(doc({"Modality": modality}), facts))["Modality"]

    return lead


def test_f05_both_says_two_directions_in_one_line(bind, doc, answer, facts, reported):
    """TC is CT: in what is asked, answered and performed."""
    lines = "alias: {tag: SPS.Modality, both: {TC: CT, RM: MR}}"

    rewritten = bind(lines).rewrite(doc({"SPS.Modality": "TC"}), facts)

    assert rewritten == doc({"SPS.Modality": "CT"})
    assert answer(lines, {"SPS.Modality": ["CT", "MR", "US"]}) == {"SPS.Modality": ["TC", "RM", "US"]}
    assert [reported(lines, word) for word in ("TC", "RM", "US")] == ["CT", "MR", "US"]


@pytest.mark.parametrize(
    ("table", "word", "meant"),
    [
        ("query: {DX: [DX, CR]}, response: {CR: DX}", "DX", "DX"),  # F04: may be either, and stays
        ("query: {DX: CR}, response: {CR: DX}", "DX", "CR"),
        ("response: {CR: DX, DX: XX}", "DX", "CR"),
        ("response: {CR: DX}", "CR", "CR"),  # it was never shown, and stays
        ("query: {TC: CT}", "TC", "CT"),
        ("query: {TC: [CT, PT]}", "TC", "TC"),
    ],
)
def test_m16_a_word_is_led_back_where_it_means_one_thing(reported, table, word, meant):
    """Where it may stand for several, what the device says stays."""
    assert reported(f"alias: {{tag: SPS.Modality, {table}}}", word) == meant


def test_an_alias_leaves_what_does_not_count_in_comparing(bind, doc, facts):
    """P7 and P9 on one key: several meanings, each compared without capitals."""
    lines = """
        wildcard: {AdmissionID: {fold: case}}
        alias: {tag: AdmissionID, query: {A: [A, B]}}
        """
    profile = bind(lines)
    (criterion,) = profile.filters(profile.rewrite(doc({"AdmissionID": "A"}), facts), facts)

    assert (criterion.op, criterion.values, criterion.folds) == (Op.IN, ("A", "B"), ("case",))


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("{tag: SPS.Modality, response: {CR: [DX, XA]}}", "L4"),
        ("{tag: SPS.Modality, both: {TC: [CT, PT]}}", "L4"),
        ("{tag: SPS.Modality, both: {TC: CT, XC: CT}}", "L4"),
        ("{tag: SPS.Modality, both: {TC: CT}, response: {CT: XC}}", "L4"),
        ("{tag: AccessionNumber, both: {A: B}}", "L2"),
        ("{tag: PatientID, response: {A: B}}", "L2"),
    ],
)
def test_an_answer_is_a_function_and_leaves_identities_alone(problems, line, code):
    """L4, L2: two patients would be one."""
    found = problems(site=f"profile: site\nstatus: evidence\nalias: {line}\n")

    assert len(found) == 1
    assert found[0].endswith(f"[{code}]")


def test_r2_an_identity_is_renamed_where_that_is_meant(problems):
    """With `unsafe: true`; asking for more than one needs none."""
    lines = """
        profile: site
        status: evidence
        alias:
          - {tag: PatientID, response: {A: B}, unsafe: true}
          - {tag: SPS.ScheduledStationAETitle, query: {CT1: [CT1, CT2]}}
        """

    assert problems(site=lines) == []
