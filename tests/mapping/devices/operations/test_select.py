"""P10, P15: which items a device gets to see."""

from __future__ import annotations

import pytest

from mwl.mapping.devices.device import Excluded, Facts
from mwl.query import STEP_SEQUENCE, Op, holds

STATUS = (STEP_SEQUENCE, "00400020")
HIDDEN = "hide_status: [COMPLETED, CANCELED]"


@pytest.fixture
def kept(bind, item, doc, facts):
    """Tell whether a profile of a few lines keeps an item, by its criteria and on the loaded item."""

    def decide(lines: str, stored: dict, keys: dict | None = None) -> bool:
        profile, document, requested = bind(lines), item(stored), doc(keys or {"PatientID": ""})
        if not all(holds(criterion, document) for criterion in profile.filters(requested, facts)):
            return False
        try:
            profile.respond(document, requested, facts)
        except Excluded:
            return False
        return True

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


ER = {"SPS.ScheduledProcedureStepLocation": "ER 1", "SPS.Modality": "CT", "PatientID": "P1"}


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
        # What no criterion says is decided on the item.
        ("include: [{SPS.ScheduledProcedureStepLocation: {regex: '^ER [0-9]$'}}]", True, 0),
        ("include: [{SPS.ScheduledProcedureStepLocation: {regex: '^ER$'}, SPS.Modality: CT}]", False, 1),
        ("include: [{SPS.Modality: MR}, {SPS.ScheduledProcedureStepLocation: 'ER 1'}]", True, 0),
        ("include: [{SPS.Modality: MR}, {SPS.ScheduledProcedureStepLocation: X}]", False, 0),
        ("exclude: [{SPS.Modality: CT, PatientID: P1}]", False, 0),
        ("exclude: [{SPS.Modality: CT, PatientID: P2}]", True, 0),
        ("exclude: [{SPS.ScheduledProcedureStepLocation: {len_gt: 3}}]", False, 0),
        ("include: [{any: [{SPS.Modality: MR}, {PatientID: P1}]}]", True, 0),
        ("exclude: [{not: {SPS.Modality: CT}}]", True, 0),
        ("include: [{SPS.ScheduledProcedureStepLocation: {in: $var.rooms}}]", True, 1),
    ],
)
def test_f12_items_are_included_and_excluded_by_what_they_hold(
    kept, bind, doc, facts, lines, shown, criteria
):
    """P10: the store decides what it can, the loaded item the rest; both keep the same items."""
    text = f"vars: {{rooms: [ER 1, ER 2]}}\nfilter: {{{lines}}}"

    assert kept(text, ER) is shown
    assert len(bind(text).filters(doc({}), facts)) == criteria


def test_a_filter_may_name_the_caller(bind, doc):
    """A variable in a test is filled when the query comes."""
    profile = bind("filter: {include: [{SPS.ScheduledStationName: $calling_ae}]}")

    (criterion,) = profile.filters(doc({}), Facts("US2"))

    assert criterion.values == ("US2",)


def test_a_47_items_are_sorted_by_several_attributes(bind, item):
    """P15: named values first and in that order, an item without a value last, equal ones stay as they were."""
    lines = """
        sort:
          - by: RequestedProcedurePriority
            order: [STAT, HIGH]
          - {by: PatientName, descending: true}
        """
    rows = [("ROUTINE", "A"), ("", "B"), ("HIGH", "C"), ("STAT", "D"), ("STAT", "E"), ("ROUTINE", "A")]
    items = [item({"RequestedProcedurePriority": p, "PatientName": n, "AdmissionID": str(i)})
             for i, (p, n) in enumerate(rows)]  # fmt: skip

    order = [each.procedure["00380010"]["Value"][0] for each in bind(lines).ordered(items)]

    assert order == ["4", "3", "2", "0", "5", "1"]


def test_without_sort_the_order_of_the_store_stays(bind, item):
    """The store orders by start."""
    items = [item({"PatientID": "2"}), item({"PatientID": "1"})]

    assert bind("").ordered(items) == items


def test_f22_the_limit_is_data(bind, shipped):
    """P15: the store needs the number and what happens above it."""
    from mwl.mapping.devices.device import SiteFacts

    limit = bind("limit: {max: 7, overflow: status_a700}").limit

    assert (limit.max, limit.overflow) == (7, "status_a700")
    assert bind("").limit.max is None
    assert shipped.bind("generic", {}, SiteFacts()).limit.max == 200
