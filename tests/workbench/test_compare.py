"""Two outcomes of one query: which steps come and go, which values change, and who is to blame."""

from __future__ import annotations

from pathlib import Path

import pytest
from workbench.at_hand import asked, bound, compared, step

from mwl.workbench.compare import Comparison, Kind


@pytest.fixture
def differ(tmp_path: Path):
    """Compare two profiles of a few lines on steps."""

    def work(before: str, after: str, *items, question=None) -> Comparison:
        old = bound(tmp_path / "old", before, "old")
        new = bound(tmp_path / "new", after, "new")
        return compared(old, new, *items, question=question)

    return work


def kinds(comparison: Comparison) -> list[tuple[str, tuple[int, ...]]]:
    """Return the kind and the steps of each difference."""
    return [(each.kind.value, each.steps) for each in comparison.differences]


def line(origin: str) -> str:
    """Return a line of a profile without the folder."""
    return "/".join(origin.split("/")[-1:])


def test_equal_profiles_give_equal_answers(differ):
    """Nothing changes where nothing was changed."""
    found = differ("set: {AdmissionID: A}", "set: {AdmissionID: A}", step(1), step(2))

    assert (found.differs, found.same, found.differences) == (False, 2, ())
    assert found.octets[0] == found.octets[1] > 0


def test_a_step_that_is_matched_now_appears_with_what_kept_it_away(differ):
    """The engineer sees what let it in."""
    elsewhere = step(2, SPS__ScheduledStationAETitle="CT2")
    keys = ("PatientName", "SPS.ScheduledStationAETitle=CT1", "SPS.Modality")

    found = differ(
        "", "ignore_keys: [SPS.ScheduledStationAETitle]", step(1), elsewhere, question=asked(*keys)
    )

    assert kinds(found) == [("appears", (2,))]
    assert str(found.differences[0].reason) == "SPS.ScheduledStationAETitle: wants CT1, finds CT2"
    assert found.differences[0].octets[0] == 0 < found.differences[0].octets[1]
    assert found.same == 1


def test_a_step_that_is_filtered_now_vanishes_by_the_line_that_does_it(differ):
    """Line and file of the draft stand beside it."""
    found = differ("", "filter: {exclude: [{AccessionNumber: ACC002}]}", step(1), step(2))

    assert kinds(found) == [("vanishes", (2,))]
    reason = found.differences[0].reason
    assert reason is not None
    assert (reason.path, line(reason.origin)) == ("AccessionNumber", "new.yaml:3")


def test_a_step_that_is_withheld_now_vanishes_by_its_attribute(differ):
    """An item that lacks what the device requires is told apart from one that does not match."""
    draft = "require: {type1: [PatientName], max_len: {PatientID: 3}, on_fail: skip_item}"

    found = differ("", draft, step(1))

    assert kinds(found) == [("vanishes", (1,))]
    reason = found.differences[0].reason
    assert reason is not None
    assert (reason.path, line(reason.origin)) == ("PatientID", "new.yaml:3")


def test_what_is_beyond_the_limit_is_said_to_be(differ):
    """A smaller limit hides patients."""
    found = differ("limit: {overflow: truncate}", "limit: {max: 1, overflow: truncate}", step(1), step(2))

    assert kinds(found) == [("vanishes", (2,))]
    assert str(found.differences[0].reason) == "beyond the limit of 1"


def test_a_line_that_says_that_there_are_more_is_no_step(differ):
    """It appears, and nothing kept it away (P15)."""
    draft = "limit: {max: 1, overflow: notice_item, unsafe: true}"

    found = differ("limit: {max: 1, overflow: nearest_now}", draft, step(1), step(2))

    assert kinds(found) == [("appears", ())]
    assert found.differences[0].reason is None


def test_a_changed_value_is_shown_with_the_line_that_changes_it(differ):
    """Path, before, after, operation and line."""
    found = differ("", "truncate: {PatientName: 3}", step(1))

    (difference,) = found.differences
    (change,) = difference.changes
    assert (change.path, change.operation, line(change.origin), change.gone) == (
        "PatientName", "truncate", "new.yaml:3", False,
    )  # fmt: skip
    assert (change.before, change.after) == (
        {"vr": "PN", "Value": [{"Alphabetic": "DOE^JANE"}]},
        {"vr": "PN", "Value": [{"Alphabetic": "DOE"}]},
    )
    assert found.count(Kind.CHANGES) == 1


def test_a_line_that_was_taken_out_is_blamed_as_gone(differ):
    """What changes because something is not done any more has a line, too: the old one."""
    lines = 'replace: {tag: RequestedProcedureDescription, from: "Procedure ", to: ""}'

    found = differ(lines, "", step(1))

    (change,) = found.differences[0].changes
    assert (change.operation, line(change.origin), change.gone) == ("replace", "old.yaml:3", True)


def test_of_two_lines_the_one_that_differs_is_blamed(differ):
    """Not the last that touched the value, which is the same on both sides."""
    lines = "respond:\n  - set: {{AdmissionID: {}}}\n  - text: {{tags: AdmissionID, ops: [lower]}}"
    question = asked("PatientName", "AdmissionID")

    found = differ(lines.format("A"), lines.format("B"), step(1), question=question)

    (change,) = found.differences[0].changes
    assert (change.operation, line(change.origin)) == ("set", "new.yaml:4")


def test_an_attribute_that_comes_or_goes_is_absent_on_one_side(differ):
    """Absent is not empty."""
    draft = "remove: [SPS.ScheduledProcedureStepDescription]\nclear: [RequestedProcedureDescription]"

    found = differ("", draft, step(1))

    changes = {
        each.path: (each.before and each.before.get("Value"), each.after)
        for each in found.differences[0].changes
    }
    assert changes == {
        "SPS.ScheduledProcedureStepDescription": (["Step 1"], None),
        "RequestedProcedureDescription": (["Procedure 1"], {"vr": "LO"}),
    }


def test_values_inside_sequences_are_named_by_their_path(differ):
    """The second code of the step's protocol."""
    codes = [
        {"CodeValue": "A", "CodingSchemeDesignator": "L", "CodeMeaning": "a"},
        {"CodeValue": "B", "CodingSchemeDesignator": "L", "CodeMeaning": "b"},
    ]
    draft = "code: {tag: SPS.ScheduledProtocolCodeSequence, rename_scheme: {L: 99L}}"

    found = differ("", draft, step(1, SPS__ScheduledProtocolCodeSequence=codes))

    assert [each.path for each in found.differences[0].changes] == [
        "SPS.ScheduledProtocolCodeSequence.CodingSchemeDesignator",
        "SPS.ScheduledProtocolCodeSequence[1].CodingSchemeDesignator",
    ]


def test_another_order_is_noticed(differ):
    """The same items, read from another end."""
    items = [step(1, PatientName="ROE^A"), step(2, PatientName="DOE^B")]

    found = differ("", "sort: [PatientName]", *items)

    assert (found.reordered, found.differs, found.differences) == (True, True, ())


def test_another_status_is_noticed(differ):
    """A query that is refused by the draft, and what of it is refused."""
    question = asked("PatientName", "SPS.ScheduledProcedureStepStartDate=heute")

    found = differ("accept: {lenient: true}", "", step(1), question=question)

    assert (found.before.status, found.after.status, found.differs) == (0x0000, 0xA900, True)
    assert found.after.comment == "ScheduledProcedureStepStartDate: the key is not a date"


def test_entries_that_are_joined_are_not_called_vanished(differ):
    """Three steps of one study on one line (F29): nobody is lost."""
    items = [
        step(n, PatientID="PID7", StudyInstanceUID="2.25.7", SPS__ScheduledProcedureStepDescription=f"S{n}")
        for n in (1, 2, 3)
    ]
    draft = 'merge: {by: [StudyInstanceUID], join: {SPS.ScheduledProcedureStepDescription: " + "}}'

    found = differ("", draft, *items)
    back = differ(draft, "", *items)

    assert kinds(found) == [("changes", (1, 2, 3)), ("joins", (2,)), ("joins", (3,))]
    assert str(found.differences[1].reason) == "in one entry with step 1"
    assert kinds(back) == [("changes", (1,)), ("parts", (2,)), ("parts", (3,))]
