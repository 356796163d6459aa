"""`mwl steps`: what is scheduled, and what happened to it."""

from __future__ import annotations

from mwl.lifecycle import StepEvent
from mwl.store import messages, transitions
from mwl.store.messages import MessageRecord


def test_steps_are_listed_by_their_starts(mwl, ordered):
    """One line a step, its number first."""
    result = mwl("steps", "list")

    lines = [line.split() for line in result.out.splitlines()]
    assert result.code == 0
    assert lines[0] == ["STEP", "START", "STATION", "MOD", "PATIENT", "ID", "ACCESSION", "STATE", "SYSTEM"]
    assert [line[1:] for line in lines[1:]] == [
        ["20260705", "103000", "CT_ROOM1", "CT", "DOE^JANE", "PID002", "ACC1002", "SCHEDULED", "RIS"],
        ["20260707", "070000", "CT_ROOM2", "CT", "Wang^XiaoDong=王^小东", "PID005", "ACC1006", "SCHEDULED", "RIS"],
    ]  # fmt: skip


def test_a_step_on_hold_says_so(mwl, ordered):
    """It is on no worklist, but in the list, and marked."""
    ordered.write_now(lambda tx: transitions.hold(tx, 1, held=True, source="hl7 RIS 2"))

    lines = mwl("steps", "list").out.splitlines()
    held, other = mwl("steps", "list", "--json").json

    assert "SCHEDULED, held" in lines[1]
    assert (held["held"], other["held"]) == (True, False)


def test_steps_are_chosen_by_what_a_caller_knows(mwl, ordered):
    """Patient, accession, state and day narrow the list."""

    def listed(*options: str) -> list[str]:
        return [
            item["patient"]["00100020"]["Value"][0] for item in mwl("steps", "list", "--json", *options).json
        ]

    assert listed("--patient", "PID005") == ["PID005"]
    assert listed("--accession", "ACC1002") == ["PID002"]
    assert listed("--date", "2026-07-07") == ["PID005"]
    assert listed("--state", "scheduled", "--limit", "1") == ["PID002"]
    assert listed("--state", "COMPLETED") == []


def test_a_step_is_shown_by_level_with_its_history(mwl, ordered):
    """Every attribute with its tag and name; who did what, and when."""
    key = mwl("steps", "list", "--json").json[1]["key"]
    ordered.write_now(
        lambda tx: transitions.advance(tx, key, StepEvent.ARRIVE, source="hl7 RIS 2", reason="desk")
    )

    result = mwl("steps", "show", key)

    assert result.code == 0
    assert "  (0010,0010) PN PatientName: Wang^XiaoDong=王^小东" in result.out.splitlines()
    assert "  (0040,0020) CS ScheduledProcedureStepStatus: ARRIVED" in result.out.splitlines()
    assert result.out.splitlines()[-1].split()[1:] == [
        "arrive",
        "SCHEDULED",
        "ARRIVED",
        "hl7",
        "RIS",
        "2",
        "desk",
    ]


def test_a_step_as_json_holds_the_same(mwl, ordered):
    """Levels are documents of the DICOM JSON model."""
    key = mwl("steps", "list", "--json").json[0]["key"]

    shown = mwl("steps", "show", key, "--json").json

    assert shown["step"]["00080060"] == {"vr": "CS", "Value": ["CT"]}
    assert [entry["after"] for entry in shown["history"]] == ["SCHEDULED"]
    assert shown["links"] == {"messages": [], "performed": []}


def test_a_step_names_the_message_it_came_from(mwl, ordered):
    """From the step back to what the RIS sent."""
    key = mwl("steps", "list", "--json").json[0]["key"]

    def work(tx) -> None:
        message = messages.arrived(
            tx, MessageRecord("127.0.0.1:1", b"x", system="RIS", control_id="A1", kind="ORM^O01")
        )
        messages.answered(tx, message, "AA", None)
        messages.link(tx, message.key, steps=[key])

    ordered.write_now(work)

    assert mwl("steps", "show", key).out.splitlines()[-1].endswith("RIS  ORM^O01  A1  AA")


def test_an_unknown_step_is_refused(mwl, database):
    """Exit 1, and nothing on stdout."""
    result = mwl("steps", "show", 999)

    assert (result.code, result.out, result.err) == (1, "", "mwl: there is no step 999\n")


def test_items_of_a_sequence_are_indented():
    """A sequence shows how many items it has, then each."""
    from mwl.cli.described import described

    code = {"00080100": {"vr": "SH", "Value": ["A", "B"]}, "00080104": {"vr": "LO"}}

    assert list(described({"00400008": {"vr": "SQ", "Value": [code]}})) == [
        "(0040,0008) SQ ScheduledProtocolCodeSequence: 1 items",
        "  (0008,0100) SH CodeValue: A\\B",
        "  (0008,0104) LO CodeMeaning:",
    ]
