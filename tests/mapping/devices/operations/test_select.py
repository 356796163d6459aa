"""P10, P11, P15: which items a device gets to see."""

from __future__ import annotations

import pytest

from mwl.errors import BadDocument
from mwl.mapping.devices.device import Facts
from mwl.query import SOURCE, STEP_SEQUENCE, Op, holds

STATUS = (STEP_SEQUENCE, "00400020")
HIDDEN = "hide_status: [COMPLETED, CANCELED]"


@pytest.fixture
def kept(bind, item, doc, facts):
    """Tell whether the criteria of a profile of a few lines keep an item."""

    def decide(lines: str, stored: dict, keys: dict | None = None) -> bool:
        profile, document, requested = bind(lines), item(stored), doc(keys or {"PatientID": ""})
        return all(holds(criterion, document) for criterion in profile.filters(requested, facts))

    return decide


@pytest.mark.parametrize(
    ("state", "asked", "shown"),
    [
        ("SCHEDULED", None, True),
        ("COMPLETED", None, False),
        ("", None, True),
        ("COMPLETED", "", False),
        ("COMPLETED", "*", False),
        ("COMPLETED", "COMPLETED", True),
    ],
)
def test_f10_closed_steps_are_hidden_until_asked_for(kept, state, asked, shown):
    """A-48, F-C47: an empty status key does not bring them back, an explicit one does."""
    keys = {} if asked is None else {"SPS.ScheduledProcedureStepStatus": asked}

    assert kept(HIDDEN, {"SPS.ScheduledProcedureStepStatus": state}, keys or None) is shown


def test_f10_a_status_the_profile_asks_for_counts_as_explicit(bind, doc, facts):
    """A key that the query stage set to several states overrides the hiding as well."""
    profile = bind(HIDDEN + "\nset_key: {SPS.ScheduledProcedureStepStatus: [COMPLETED, SCHEDULED]}")

    criteria = profile.filters(profile.rewrite(doc({}), facts), facts)

    assert [(each.path, each.negate) for each in criteria] == [(STATUS, False)]


def test_the_shipped_generic_hides_closed_steps_by_one_criterion(shipped, doc, facts):
    """It carries the line that says so."""
    from mwl.mapping.devices.device import SiteFacts

    (criterion,) = shipped.bind("generic", {}, SiteFacts()).filters(doc({"PatientID": ""}), facts)

    assert (criterion.path, criterion.op, criterion.negate) == (STATUS, Op.IN, True)
    assert criterion.values == ("COMPLETED", "DISCONTINUED", "CANCELED")
    assert "generic.yaml:" in criterion.origin


ER = {
    "SPS.ScheduledProcedureStepLocation": "ER 1",
    "SPS.Modality": "CT",
    "PatientID": "P1",
    "PatientBirthDate": "19760705",  # fifty today
}


@pytest.mark.parametrize(
    ("lines", "shown", "criteria"),
    [
        # One include: criteria for the store.
        ("include: [{SPS.ScheduledProcedureStepLocation: {in: ['ER 1', TRAUMA]}}]", True, 1),
        ("include: [{SPS.ScheduledProcedureStepLocation: [TRAUMA]}]", False, 1),
        ("include: [{SPS.ScheduledProcedureStepLocation: {glob: 'ER*'}, SPS.Modality: CT}]", True, 2),
        ("include: [{SPS.ScheduledProcedureStepLocation: {glob: 'ER*'}, SPS.Modality: MR}]", False, 2),
        ("include: [{AdmissionID: {present: true}}]", False, 1),
        ("include: [{AdmissionID: {empty: true}}]", True, 1),
        ("include: [{PatientID: {empty: true}}]", False, 1),
        ("exclude: [{SPS.Modality: CT}]", False, 1),
        ("exclude: [{SPS.Modality: MR}, {AdmissionID: {present: true}}]", True, 2),
        ("exclude: [{AdmissionID: {empty: true}}]", False, 1),
        # What columns cannot say is a criterion all the same: it is decided before the limit is.
        ("include: [{SPS.ScheduledProcedureStepLocation: {regex: '^ER [0-9]$'}}]", True, 1),
        ("include: [{SPS.ScheduledProcedureStepLocation: {regex: '^ER$'}, SPS.Modality: CT}]", False, 2),
        ("include: [{SPS.Modality: MR}, {SPS.ScheduledProcedureStepLocation: 'ER 1'}]", True, 1),
        ("include: [{SPS.Modality: MR}, {SPS.ScheduledProcedureStepLocation: X}]", False, 1),
        ("exclude: [{SPS.Modality: CT, PatientID: P1}]", False, 1),
        ("exclude: [{SPS.Modality: CT, PatientID: P2}]", True, 1),
        ("exclude: [{SPS.ScheduledProcedureStepLocation: {len_gt: 3}}]", False, 1),
        ("exclude: [{SPS.ScheduledProcedureStepLocation: {len_gt: 4}}]", True, 1),
        ("include: [{any: [{SPS.Modality: MR}, {PatientID: P1}]}]", True, 1),
        ("include: [{all: [{SPS.Modality: CT}, {PatientID: P2}]}]", False, 2),
        ("exclude: [{not: {SPS.Modality: CT}}]", True, 1),
        ("include: [{not: {any: [{SPS.Modality: CT}, {PatientID: P2}]}}]", False, 1),
        ("include: [{SPS.ScheduledProcedureStepLocation: {in: $var.rooms}}]", True, 1),
        ("include: [{SPS.ScheduledProcedureStepLocation: {glob: 'ER*', len_gt: 9}}]", False, 2),
        # Who ordered, and how old the patient is.
        ("include: [{source: [RIS, CARDIO]}]", True, 1),
        ("exclude: [{source: RIS}]", False, 1),
        ("include: [{age: {from: 18Y}}]", True, 1),
        ("include: [{age: {under: 18Y}}]", False, 1),
        ("include: [{age: {from: 50Y, under: 60Y}}]", True, 1),
        # What is known when the query comes needs no criterion, or lets nothing pass.
        ("include: [{$calling_ae: CT1, SPS.Modality: CT}]", True, 1),
        ("include: [{$calling_ae: MR1, SPS.Modality: CT}]", False, 2),
        ("exclude: [{$calling_ae: MR1, SPS.Modality: CT}]", True, 0),
        ("exclude: [{var.rooms: ER 2, SPS.Modality: CT}]", False, 1),
        ("include: [{PatientID: {requested: true}}]", True, 0),
        ("include: [{PatientID: {requested: false}}]", False, 1),
    ],
)
def test_f12_items_are_included_and_excluded_by_what_they_hold(
    kept, bind, doc, facts, lines, shown, criteria
):
    """P10: every condition on an item is a criterion with the line that says so."""
    text = f"vars: {{rooms: [ER 1, ER 2]}}\nfilter: {{{lines}}}"

    found = bind(text).filters(doc({"PatientID": ""}), facts)

    assert kept(text, ER) is shown
    assert len(found) == criteria
    assert all("site.yaml:" in each.origin for each in found)


@pytest.mark.parametrize(
    ("birth", "age", "shown"),
    [
        ("20080705", "from: 18Y", True),
        ("20080706", "from: 18Y", False),
        ("20080706", "under: 18Y", True),
        ("20080705", "under: 18Y", False),
        ("20260605", "from: 1M", True),
        ("20260606", "from: 1M", False),
        ("20260628", "from: 1W", True),
        ("20260629", "under: 1W", True),
        ("20260705", "under: 1D", True),
        ("", "from: 0D", False),
        ("", "under: 150Y", False),
        ("unknown", "under: 150Y", False),
    ],
)
def test_p10_an_age_is_that_of_the_day(kept, answer, birth, age, shown):
    """5 July 2026: a birthday is part of the age it brings; without a date of birth there is no age."""
    stored = {"PatientBirthDate": birth, "AdmissionID": "no"}
    guarded = f"respond: [{{set: {{AdmissionID: yes}}, when: {{age: {{{age}}}}}}}]"

    assert kept(f"filter: {{include: [{{age: {{{age}}}}}]}}", stored) is shown
    assert (answer(guarded, stored)["AdmissionID"] == "yes") is shown


def test_a_filter_cannot_ask_what_only_text_can_answer(bind):
    """`charset_fits` is for guards: the store has no character sets."""
    with pytest.raises(BadDocument, match="a filter cannot ask it"):
        bind("filter: {include: [{PatientName: {charset_fits: ISO_IR 100}}]}")


def test_p11_sources_are_allowed_and_denied(kept, bind, doc, facts):
    """By the names systems have in the configuration; the items of the tests are of RIS."""
    stored = {"PatientID": "P1"}

    assert kept("sources: {allow: [RIS, CARDIO]}", stored)
    assert not kept("sources: {allow: CARDIO}", stored)
    assert not kept("sources: {allow: [RIS], deny: RIS}", stored)
    (criterion,) = bind("sources: {deny: [PORTAL]}").filters(doc({}), facts)
    assert (criterion.path, criterion.op, criterion.values) == (SOURCE, Op.IN, ("PORTAL",))


def test_a_filter_may_name_the_caller(bind, doc):
    """A variable in a test is filled when the query comes."""
    profile = bind("filter: {include: [{SPS.ScheduledStationName: $calling_ae}]}")

    (criterion,) = profile.filters(doc({}), Facts("US2"))

    assert criterion.values == ("US2",)


def test_f22_the_limit_is_data(bind, shipped):
    """P15: the store needs the number and what happens above it."""
    from mwl.mapping.devices.device import SiteFacts

    limit = bind("limit: {max: 7, overflow: status_a700}").limit

    assert (limit.max, limit.overflow) == (7, "status_a700")
    assert bind("").limit.max is None
    assert shipped.bind("generic", {}, SiteFacts()).limit.max == 200
