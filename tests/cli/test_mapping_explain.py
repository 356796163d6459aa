"""`mwl mapping explain`: why a device is, or is not, sent a step, on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from workbench.house import NOW, House

from mwl.lifecycle import StepEvent
from mwl.store import queries
from mwl.workbench import bench

TODAY = "SPS.ScheduledProcedureStepStartDate=20260705"


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A hospital in the working directory, on 5 July 2026."""
    made = House(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench, "_utc_now", lambda: NOW)
    yield made
    made.store.close_now()


def captured(house: House, *keys: str, **facts: object) -> int:
    """Put a query on record and return its number."""
    query = house.captured(*keys, **facts)
    house.store.write_now(lambda tx: queries.record(tx, [query], per_device=10))
    found = house.store.read_now(lambda tx: queries.last(tx, query.calling_ae))
    assert found is not None
    return found.key


def test_the_first_line_is_the_answer(mwl, house):
    """With the number of steps that one key keeps away; nothing is sent, so it ends with 1."""
    house.order(1, SPS__ScheduledStationAETitle="ROOM1")
    house.order(2, SPS__ScheduledStationAETitle="ROOM1")

    done = mwl("mapping", "explain", "CT1", "SPS.ScheduledStationAETitle=CT1", TODAY)

    assert done.code == 1
    assert done.out.splitlines()[0] == (
        "CT1 is sent nothing: 0 match; 2 if SPS.ScheduledStationAETitle is ignored."
    )
    assert "2 if SPS.ScheduledStationAETitle is ignored: they have ROOM1 (2)" in done.out


def test_a_list_that_is_not_empty_ends_with_0(mwl, house):
    """And tells what the profile changed in it."""
    house.profile("truncate: {PatientName: 3}\n")
    house.order(1)

    done = mwl("mapping", "explain", "CT1", TODAY)

    assert done.code == 0
    assert done.out.startswith("CT1 is sent 1.\n")
    row = next(line for line in done.out.splitlines() if "DOE^JANE^1" in line)
    assert row.split() == [
        "PatientName", "1x", "DOE^JANE^1", "becomes", "DOE", "truncate,", "mappings/devices/site.yaml:4",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("--accession=ACC1", "Step 1 (ACC1, CT, 20260705 090000) is sent to CT1, entry 1 of 1."),
        ("--accession=ACC2", ("Step 2 (ACC2, MR, 20260705 100000) is not sent: "
         "the device asks for SPS.Modality CT, and the step has MR.")),
        ("--step=3", ("Step 3 (ACC3, CT, 20260705 110000) is hidden: "
         "it is COMPLETED since 2026-07-05 09:30:00, by mpps 1.2.3 CT1 (late).")),
        ("--patient=PID004", ("Step 4 (ACC4, CT, 20260705 120000) is not sent: "
         "its order is cancelled since 2026-07-05 09:30:00, by hl7 RIS 7.")),
        ("--step=5", ("Step 5 (ACC5, CT, 20260705 130000) is not sent: "
         "its order is on hold since 2026-07-05 09:30:00, by hl7 RIS 99.")),
        ("--step=77", "There is no step 77."),
        ("--accession=ACC9", ("The order was refused: message 1, ORM^O01 of 2026-07-05 09:30:00 from RIS, "
         "answered AE, OBR-4: no such code [207].")),
        ("--accession=ACC8", ("No message on record holds the accession number ACC8: "
         "the order never arrived under it, or longer ago than messages are kept.")),
        ("--patient=NOBODY", "No message on record holds the patient NOBODY: "),
    ],
)  # fmt: skip
def test_a_step_that_is_named_gets_a_verdict_in_a_sentence(mwl, house, option, sentence):
    """Whatever keeps it away; it ends with 0 only where the step is sent."""
    for n in range(1, 6):
        house.order(n, SPS__Modality="MR" if n == 2 else "CT")
    house.happen(3, StepEvent.COMPLETE, "mpps 1.2.3 CT1", "late")
    house.happen(4, StepEvent.CANCEL, "hl7 RIS 7")
    house.hold(5)
    house.message("AE", "error: OBR-4: no such code [207]", accession="ACC9")

    done = mwl("mapping", "explain", "CT1", "SPS.Modality=CT", option)

    assert done.out.splitlines()[0].startswith(sentence)
    assert done.code == (0 if "is sent" in sentence else 1)


def test_of_many_steps_the_verdicts_are_told_and_no_more(mwl, house):
    """Each in a line; one that is named has its history and values."""
    for n in range(1, 6):
        house.order(n, PatientID="PID001")

    many = mwl("mapping", "explain", "CT1", "SPS.Modality=CT", "--patient=PID001")
    one = mwl("mapping", "explain", "CT1", "SPS.Modality=CT", "--step=1")

    assert many.out.count("is sent to CT1") == 5
    assert "values sent" not in many.out
    assert "step 1: values sent" in one.out


def test_a_patient_without_an_order_is_told_of(mwl, house):
    """And one whose ID is another's now."""
    house.order(1, PatientID="OLD")
    house.merge("OLD", "NEW")

    merged = mwl("mapping", "explain", "CT1", "SPS.Modality=CT", "--patient=OLD")
    other = mwl("mapping", "explain", "CT1", "--patient=NEW", "--accession=ACC9")

    assert "The patient OLD was merged into NEW." in merged.out
    assert "is sent to CT1" in merged.out
    assert "The patient NEW is on record, and has no such step." in other.out


def test_the_last_query_of_the_device_is_explained(mwl, house):
    """Also where none is named; another one by its number."""
    house.order(1)
    first = captured(house, "SPS.Modality=CT")
    captured(house, "SPS.Modality=MR", last_at="2026-07-05T07:31:00.000000+00:00")

    last, by_default = mwl("mapping", "explain", "CT1", "--last"), mwl("mapping", "explain", "CT1")
    other = mwl("mapping", "explain", "CT1", "--captured", first)

    assert last.out == by_default.out
    assert last.out.startswith("CT1 is sent nothing: 0 match; 1 if SPS.Modality is ignored.")
    assert "from 10.0.0.7" in last.out
    assert other.out.startswith("CT1 is sent 1.")


def test_without_a_query_on_record_everything_is_asked_for(mwl, house):
    """But not where the last one was meant."""
    house.order(1, SPS__Modality="MR")

    everything, last = mwl("mapping", "explain", "CT1"), mwl("mapping", "explain", "CT1", "--last")
    unknown = mwl("mapping", "explain", "CT1", "--captured", 7)

    assert everything.out.startswith("CT1 is sent 1.")
    assert (last.code, last.err) == (1, "mwl: no query of CT1 is on record\n")
    assert (unknown.code, unknown.err) == (1, "mwl: no query has the number 7\n")


def test_an_identifier_may_come_from_a_file(mwl, house, tmp_path):
    """In the DICOM JSON model."""
    house.order(1)
    step = {"00080060": {"vr": "CS", "Value": ["MR"]}}
    (tmp_path / "q.json").write_text(json.dumps({"00400100": {"vr": "SQ", "Value": [step]}}))
    (tmp_path / "bad.json").write_text("[]")

    done = mwl("mapping", "explain", "CT1", "--query", tmp_path / "q.json")
    wrong = mwl("mapping", "explain", "CT1", "--query", tmp_path / "bad.json")

    assert done.out.startswith("CT1 is sent nothing: 0 match; 1 if SPS.Modality is ignored.")
    assert wrong.code == 78
    assert wrong.err.startswith(f"{tmp_path}/bad.json:1:1: error: not a data set")


def test_a_query_is_named_in_one_way(mwl, house):
    """Two are wrong usage, as is a key that is none."""
    two = mwl("mapping", "explain", "CT1", "SPS.Modality=CT", "--last")
    wrong = mwl("mapping", "explain", "CT1", "SPS.Modalitty=CT")

    assert (two.code, wrong.code) == (2, 2)
    assert "name one query" in two.err
    assert "did you mean 'Modality'" in wrong.err


def test_a_caller_that_is_no_device_is_told_apart(mwl, house):
    """What it may have been refused as stands below."""
    done = mwl("mapping", "explain", "CT9")

    assert done.code == 1
    assert done.out.splitlines()[0] == (
        "CT9 gets no list: CT9 is not under devices: its associations are rejected."
    )


def test_a_key_that_cannot_be_read_is_told_with_its_status(mwl, house):
    """As the device gets it."""
    done = mwl("mapping", "explain", "CT1", "PatientBirthDate=today")

    assert done.code == 1
    assert done.out.splitlines()[0] == (
        "CT1 gets no list: its query is refused with A900, the key is not a date (PatientBirthDate)."
    )


def test_json_has_the_same_with_names(mwl, house):
    """The structure that the field engineer's guide documents."""
    house.profile("default_key: {SPS.ScheduledStationAETitle: CT1}\ntruncate: {PatientName: 3}\n")
    house.order(1)
    house.order(2, SPS__ScheduledStationAETitle="ROOM1")

    found = mwl("mapping", "explain", "CT1", "SPS.Modality=CT", "--patient=PID002", "--json").json

    assert found["sent"] is False
    assert found["conclusion"] == [
        (
            "Step 2 (ACC2, CT, 20260705 100000) is not sent: the profile (default_key, "
            "mappings/devices/site.yaml:4) asks for SPS.ScheduledStationAETitle CT1, and the step has ROOM1."
        )
    ]
    assert found["device"]["files"][0]["profile"] == "site"
    assert found["query"]["sent"] == {"SPS.Modality": "CT"}
    assert found["query"]["matched"]["SPS.ScheduledStationAETitle"] == "CT1"
    assert [(key["name"], key["left"]["number"]) for key in found["funnel"]["keys"]] == [
        ("SPS.Modality", 2),
        ("SPS.ScheduledStationAETitle", 1),
        ("SPS.ScheduledProcedureStepStatus", 1),
    ]
    assert [(each["keys"], each["matching"]["number"]) for each in found["funnel"]["loosened"]] == [
        (["SPS.ScheduledStationAETitle"], 2)
    ]
    assert found["result"]["sent"] == 1
    (response,) = found["responses"]
    name = next(value for value in response["values"] if value["path"] == "PatientName")
    assert (name["source"], name["element"]["Value"]) == ("profile", [{"Alphabetic": "DOE"}])
    assert [change["operation"] for change in name["changes"]] == ["truncate"]
    (step,) = found["steps"]
    assert (step["step"], step["verdict"]) == (2, "not matched")
    assert [(miss["name"], miss["wanted"], miss["found"]) for miss in step["misses"]] == [
        ("SPS.ScheduledStationAETitle", "CT1", "ROOM1")
    ]
    assert [entry["event"] for entry in step["history"]] == ["create"]


def test_json_of_a_query_that_fails_has_no_funnel(mwl, house):
    """What is known of the device is there."""
    found = mwl("mapping", "explain", "CT1", "PatientBirthDate=today", "--json").json

    assert found["failure"] == {
        "status": "A900", "text": "the key is not a date", "attribute": "PatientBirthDate",
    }  # fmt: skip
    assert "funnel" not in found
    assert found["device"]["profile"] == "site"


def test_a_wrong_profile_ends_with_78_and_a_missing_database_with_69(mwl, house, tmp_path):
    """As every command does."""
    house.profile("truncate: {PatientNme: 3}\n")
    wrong = mwl("mapping", "explain", "CT1")
    house.profile("")
    house.configure("database: sqlite:///nowhere/mwl.db\n")
    missing = mwl("mapping", "explain", "CT1")

    assert (wrong.code, missing.code) == (78, 69)
    assert "did you mean 'PatientName'" in wrong.err


def test_what_a_device_sent_cannot_move_the_cursor(mwl, house):
    """Control characters are shown as what they are."""
    house.order(1, RequestedProcedureDescription="Chest\x1b[2J")

    done = mwl("mapping", "explain", "CT1", "SPS.Modality=CT", "RequestedProcedureDescription", "--step=1")

    assert "\x1b[2J" not in done.out
    assert "Chest\\x1b[2J" in done.out


def test_what_the_device_did_not_get_was_not_changed(mwl, house):
    """Lines work on the whole order; what they did to attributes that nobody asked for is not told."""
    house.profile("truncate: {PatientName: 3, RequestedProcedureComments: 2}\nremove: [PatientSex]\n")
    house.order(1, PatientSex="F", RequestedProcedureComments="with contrast")
    captured(house, "PatientName")

    narrow, wide = mwl("mapping", "explain", "CT1"), mwl("mapping", "explain", "CT1", TODAY)
    (response,) = mwl("mapping", "explain", "CT1", "--json").json["responses"]
    (all_of_it,) = mwl("mapping", "explain", "CT1", TODAY, "--json").json["responses"]

    assert "PatientName" in narrow.out
    assert "RequestedProcedureComments" not in narrow.out
    assert "RequestedProcedureComments" in wide.out
    assert "PatientSex" in wide.out
    assert [each["path"] for each in response["dropped"]] == []
    assert [each["path"] for each in all_of_it["dropped"]] == ["PatientSex"]


@pytest.mark.parametrize("command", [("explain", "CT1", "--query"), ("learn", "CT1", "--file")])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{\n"00100010": {"vr": "PN", "Value": ["DOE"]}}', "2:1: error: (0010,0010) PN: not a person name"),
        ('{"00400100": {"vr": "SQ", "Value": [{\n"00080060": {"vr": "CS", "Value": ["C\\\\T"]}}]}}',
         "2:1: error: (0008,0060) CS: a backslash inside a value"),
        (json.dumps({"00080060": {"vr": "CS", "Value": ["C" * 70_000]}}), "1:1: error: (0008,0060): too long for CS"),
    ],
)  # fmt: skip
def test_a_wrong_value_in_a_file_is_a_mistake_at_its_line(mwl, house, tmp_path, command, text, message):
    """As a file that cannot be read is: with the attribute, and the same end."""
    (tmp_path / "q.json").write_text(text)

    done = mwl("mapping", *command, tmp_path / "q.json")

    assert done.code == 78
    assert done.err == f"{tmp_path}/q.json:{message}\n"


def test_a_value_that_its_character_set_lacks_is_told_with_the_file(mwl, house, tmp_path):
    """A name in Chinese without a character set cannot be asked."""
    name = {"vr": "PN", "Value": [{"Alphabetic": "\u738b^\u5c0f\u660e"}]}
    (tmp_path / "q.json").write_text(json.dumps({"00100010": name}))

    done = mwl("mapping", "explain", "CT1", "--query", tmp_path / "q.json")

    assert done.code == 78
    assert done.err.startswith(f"{tmp_path}/q.json:1:1: error: (0010,0010): ")
