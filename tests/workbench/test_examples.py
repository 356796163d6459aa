"""The examples of profiles, run: what holds, what does not, and the line that says so."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest
from workbench.at_hand import SHIPPED, load

from mwl.mapping.devices.device import load_devices
from mwl.workbench.examples import Result, run

STEP = 'PatientName: "", PatientID: "", SPS.Modality: CT'


@pytest.fixture
def results(tmp_path: Path):
    """Run the examples of a profile of a few lines; return what became of them."""

    def work(lines: str, **others: str) -> list[Result]:
        profiles = load(tmp_path, site=textwrap.dedent(lines), **others)
        return list(run(profiles, ["site"]))

    return work


@pytest.fixture
def mistakes(results):
    """Run one example; return its mistakes with their lines, without the folder."""

    def work(lines: str) -> list[str]:
        (found,) = results(lines)
        return [f"{each.line}:{each.column}: {each.message}" for each in found.mistakes]

    return work


def test_an_example_that_holds_has_no_mistakes(results):
    """Values, order, what every item has and what none has, and what is left out."""
    (found,) = results(
        """
        set: {SPS.ScheduledProcedureStepLocation: CT 1}
        tests:
          - name: the room is shown, in the order of the start
            query: {PatientName: "", SPS.Modality: CT, SPS.ScheduledProcedureStepLocation: ""}
            steps:
              - {PatientName: ROE^A, SPS.ScheduledProcedureStepStartTime: "100000"}
              - {PatientName: DOE^B, SPS.ScheduledProcedureStepStartTime: "080000"}
              - {SPS.Modality: MR}
              - {SPS.ScheduledProcedureStepStatus: COMPLETED}
            expect:
              items: [{PatientName: DOE^B}, {PatientName: ROE^A}]
              every: {SPS.ScheduledProcedureStepLocation: CT 1, PatientID: null}
              absent: [AccessionNumber]
              left_out: {3: SPS.Modality, 4: COMPLETED}
        """
    )

    assert found.mistakes == ()
    assert (found.profile, found.name) == ("site", "the room is shown, in the order of the start")
    assert (Path(found.file).name, found.line) == ("site.yaml", 6)


def test_a_wrong_value_is_told_with_the_line_that_expects_it_and_the_one_that_made_it(mistakes):
    """Both are what an engineer looks at next."""
    (mistake,) = mistakes(
        """
        set: {AdmissionID: A17}
        tests:
          - name: the admission
            query: {PatientName: "", AdmissionID: ""}
            steps: [{}]
            expect:
              items:
                - {AdmissionID: A18}
        """
    )

    place, _, message = mistake.partition(": ")
    assert place == "11:12"
    assert message.startswith("item 1, AdmissionID: expected 'A18', is 'A17' (set, ")
    assert message.endswith("site.yaml:4)")


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ("items: [{}, {}]", "expected 2 sent, 1 are; not sent: step 2: SPS.Modality: wants CT, finds MR"),
        ("count: 0", "expected 0 sent, 1 are; not sent: step 2: SPS.Modality: wants CT, finds MR"),
        ("status: A900", "status: expected A900, is 0000"),
        ("every: {PatientID: PID2}", "item 1, PatientID: expected 'PID2', is 'PID001'"),
        ("every: {PatientID: null}", "item 1, PatientID: expected absent, is 'PID001'"),
        ('every: {PatientID: ""}', "item 1, PatientID: expected empty, is 'PID001'"),
        ("every: {AccessionNumber: A}", "item 1, AccessionNumber: expected 'A', is absent"),
        ("absent: [PatientID]", "item 1, PatientID: expected absent, is 'PID001'"),
        ("left_out: {1: SPS.Modality}", "step 1: expected to be left out, is sent"),
        (
            "left_out: {2: PatientID}",
            "step 2: expected to be left out by 'PatientID', is by 'SPS.Modality: wants CT",
        ),
        ("left_out: {3: PatientID}", "left_out: there is no step 3"),
    ],
)
def test_whatever_is_not_as_expected_is_told(mistakes, expected, message):
    """One mistake each, in words."""
    (mistake,) = mistakes(
        f"""
        tests:
          - name: x
            query: {{{STEP}}}
            steps: [{{}}, {{SPS.Modality: MR}}]
            expect: {{{expected}}}
        """
    )

    assert message in mistake


def test_a_failing_query_is_told_with_what_the_device_would_hear(mistakes):
    """A status says little; the comment says which key."""
    (mistake,) = mistakes(
        """
        tests:
          - name: x
            query: {SPS.ScheduledProcedureStepStartDate: heute}
            expect: {count: 0}
        """
    )

    assert (
        "status: expected 0000, is A900 (ScheduledProcedureStepStartDate: the key is not a date)" in mistake
    )


def test_items_of_sequences_are_compared_by_what_is_written_of_them(results):
    """An item may hold more than the example says; there are no more items."""
    lines = """
        tests:
          - name: codes
            query: {{PatientName: "", SPS.ScheduledProtocolCodeSequence: ""}}
            steps:
              - SPS.ScheduledProtocolCodeSequence:
                  - {{CodeValue: A, CodingSchemeDesignator: L, CodeMeaning: a}}
                  - {{CodeValue: B, CodingSchemeDesignator: L, CodeMeaning: b}}
            expect: {{every: {{SPS.ScheduledProtocolCodeSequence: {}}}}}
        """

    (holds,) = results(lines.format("[{CodeValue: A}, {CodeMeaning: b}]"))
    (other,) = results(lines.format("[{CodeValue: B}, {CodeMeaning: b}]"))
    (fewer,) = results(lines.format("[{CodeValue: A}]"))

    assert [len(each.mistakes) for each in (holds, other, fewer)] == [0, 1, 1]


def test_facts_and_variables_are_the_examples_own(results):
    """Who asks and when, and what the device gives the profile."""
    (found,) = results(
        """
        vars: {room: null}
        set: {SPS.ScheduledProcedureStepDescription: "$calling_ae in $var.room on $today"}
        tests:
          - name: x
            vars: {room: ER 2}
            facts: {calling_ae: CT7, now: 2026-12-24T23:59}
            query: {PatientName: "", SPS.ScheduledStationAETitle: "", SPS.ScheduledProcedureStepDescription: ""}
            steps: [{}]
            expect:
              items:
                - SPS.ScheduledProcedureStepDescription: CT7 in ER 2 on 20261224
                  SPS.ScheduledStationAETitle: CT7
        """
    )

    assert found.mistakes == ()


def test_a_variable_that_is_missing_fails_its_example_alone(results):
    """The other examples are run."""
    first, second = results(
        """
        vars: {room: null}
        set: {SPS.ScheduledProcedureStepLocation: $var.room}
        tests:
          - {name: without, query: {PatientName: ""}, expect: {}}
          - {name: with, vars: {room: A}, query: {PatientName: ""}, expect: {}}
        """
    )

    assert "the variable 'room' has no value" in first.mistakes[0].message
    assert second.mistakes == ()


def test_a_query_may_be_that_of_a_played_device(results):
    """With keys beside it that take the place of its own."""
    (found,) = results(
        """
        extends: ge-ct-connectpro
        tests:
          - name: x
            query: {emulator: sim-ge-ct, asking: this scanner/today, SPS.Modality: MR}
            facts: {calling_ae: CT1}
            steps: [{SPS.Modality: MR}, {SPS.Modality: MR, SPS.ScheduledStationAETitle: CT2}]
            expect:
              items: [{SpecificCharacterSet: ISO_IR 100}]
              left_out: {2: SPS.ScheduledStationAETitle}
        """
    )

    assert found.mistakes == ()


def test_a_query_may_come_from_a_file_beside_the_profiles(results, tmp_path):
    """As an engineer saves one that a device made."""
    (tmp_path / "queries").mkdir()
    keys = {"00100010": {"vr": "PN"}, "00100020": {"vr": "LO", "Value": ["PID002"]}}
    (tmp_path / "queries" / "one.json").write_text(json.dumps(keys))

    (found,) = results(
        """
        tests:
          - name: x
            query: {file: one.json}
            steps: [{}, {}]
            expect: {items: [{PatientID: PID002}]}
        """
    )

    assert found.mistakes == ()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("{file: ../secret.json}", "5:19: file: there is no '../secret.json' in"),
        ("{emulator: sim-ge-cd}", "sim-ge-ct"),
        ("{PatientName: Müller}", "5:12: query: "),
    ],
)
def test_a_query_that_cannot_be_made_is_told_at_its_line(mistakes, query, message):
    """Neither a file elsewhere, nor an unknown device, nor text that the default repertoire lacks."""
    (mistake,) = mistakes(f"tests:\n  - name: x\n    query: {query}\n    expect: {{}}\n")

    assert message in mistake


def test_a_profile_runs_its_own_examples_and_not_those_it_rests_on(tmp_path):
    """What holds for the vendor's profile need not hold for the site's."""
    lines = "tests: [{name: x, query: {PatientName: ''}, expect: {count: 0}}]"
    profiles = load(tmp_path, vendor=lines, site="extends: vendor")

    assert [each.profile for each in run(profiles, ["vendor", "site"])] == ["vendor"]


def test_examples_do_not_change_what_a_profile_amounts_to(tmp_path):
    """Who adds an example has not changed one answer, and nothing cached is thrown away."""
    from mwl.mapping.facts import SiteFacts

    plain = load(tmp_path / "a", site="clear: [AdmissionID]")
    tested = load(
        tmp_path / "b", site="clear: [AdmissionID]\ntests: [{name: x, query: {PatientName: ''}, expect: {}}]"
    )

    digests = [each.bind("site", {}, SiteFacts()).digest for each in (plain, tested)]
    assert digests[0] == digests[1]


def test_the_shipped_examples_hold():
    """`mwl mapping test` of a fresh installation finds nothing wrong."""
    found = list(run(load_devices([SHIPPED])))

    assert [each for each in found if each.mistakes] == []
    assert {each.profile for each in found} >= {"generic", "ge-ct-connectpro"}
