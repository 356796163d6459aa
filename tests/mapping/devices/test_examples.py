"""The written form of examples: what is refused, and where."""

from __future__ import annotations

import pytest

HEADER = "profile: site\nstatus: partial\ntests:\n  - name: x\n"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            "    query: {PatientNam: x}\n    expect: {}",
            "5:13: error: unknown attribute 'PatientNam': did you",
        ),
        (
            "    query: {PregnancyStatus: yes}\n    expect: {}",
            "5:30: error: PregnancyStatus: 'yes' is no value of VR US",
        ),
        (
            "    query: {PatientName: ''}\n    steps: [{SPS.ScheduledProtocolCodeSequence: [{CodeVal: A}]}]\n    expect: {}",
            "6:51: error: unknown attribute 'CodeVal'",
        ),
        (
            "    query: {RequestedProcedureCodeSequence: {CodeValue: A}}\n    expect: {}",
            "5:45: error: RequestedProcedureCodeSequence: several attributes are written as a list of mappings",
        ),
        (
            "    query: {RequestedProcedureCodeSequence: [{CodeValue: A}, B]}\n    expect: {}",
            "an item is a mapping of attributes to values",
        ),
        ("    query: {RequestedProcedureCodeSequence: A}\n    expect: {}", "'A' is no value of VR SQ"),
        (
            "    query: {emulator: sim-ge-ct, file: a.json}\n    expect: {}",
            "5:12: error: query: a query is an",
        ),
        ("    query: {PatientName: ''}", "4:5: error: the key 'expect' is missing here"),
        ("    query: {}\n    expect: {cuont: 1}", "6:14: error: unknown key 'cuont': did you mean 'count'?"),
        ("    query: {}\n    expect: {status: ok}", "6:22: error: status: string should match pattern"),
        ("    query: {}\n    expect: {left_out: {first: PatientID}}", "should be a valid integer"),
        (
            "    query: {}\n    facts: {now: today}\n    expect: {}",
            "6:18: error: now: input should be a valid datetime",
        ),
        (
            "    query: {}\n    facts: {now: 2026-07-05T10:00+02:00}\n    expect: {}",
            "should not have timezone info",
        ),
    ],
)
def test_a_mistake_is_reported_at_its_line_and_column(problems, lines, expected):
    """When the profile is loaded, not when the example is run."""
    found = problems(site=HEADER + lines)

    assert len(found) == 1
    assert expected in found[0]


def test_a_step_is_laid_over_a_plain_one():
    """`""` empties, null removes, a dotted path reaches into the step."""
    from mwl.mapping.devices.examples import ExampleFacts, ExampleStep
    from mwl.model import text, values

    written = {
        "PatientName": "Roe^R",
        "PatientSex": None,
        "AccessionNumber": "",
        "SPS.Modality": ["CT", "MR"],
    }
    made = ExampleStep.model_validate({**written, "system": "CARDIO"}).item(3, ExampleFacts(calling_ae="US1"))

    assert text(made.patient, "00100010") == "Roe^R"
    assert "00100040" not in made.patient
    assert made.procedure["00080050"] == {"vr": "SH"}
    assert values(made.step, "00080060") == ["CT", "MR"]
    assert (text(made.patient, "00100020"), text(made.step, "00400001")) == ("PID003", "US1")
    assert (made.system, made.ref.key) == ("CARDIO", 3)
