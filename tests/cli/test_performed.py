"""`mwl performed`: what devices say they did, and what a person decides about it."""

from __future__ import annotations

import datetime as dt

import pytest
from store.exams import ALL, U1, U2, began, ended, item, order, unscheduled

from mwl.store import orders, outbox, performed, spool


@pytest.fixture
def exams(database, tmp_path):
    """A store with order 1001 (step 1), an exam of another patient's of it, and one without an order."""
    with (tmp_path / "mwl.yaml").open("a") as configuration:
        configuration.write(
            'systems: {RIS: {status: {to: "127.0.0.1:2576"}}}\nsite: {timezone: Europe/Berlin}\n'
        )

    def work(tx) -> None:
        orders.apply(tx, order("1001", "S1"), source="hl7 RIS 1", uid_root=None, told=ALL)
        performed.create(tx, U1, began(unscheduled()), calling_ae="CT1", told=ALL)
        performed.create(tx, U2, began(item("1001"), patient="PID999"), calling_ae="CT2", told=ALL)
        performed.update(tx, U2, ended(), calling_ae="CT2", told=ALL)

    database.write_now(work)
    return database


def events(store) -> list[str]:
    return [row.facts["event"] for row in reversed(store.read_now(outbox.browse))]


def test_performed_steps_are_listed_with_what_is_remarkable(mwl, exams):
    """The newest first; what nobody has looked at is marked."""
    result = mwl("performed", "list")

    head, second, first = result.out.splitlines()
    assert result.code == 0
    assert head.split() == ["NO", "CAME", "DEVICE", "MOD", "PATIENT", "ID", "ACCESSION", "STATE", "STEPS"]
    assert second.split()[0] == "2"
    assert second.endswith("COMPLETED    1      ! its patient is not the order's")
    assert first.split()[0] == "1"
    assert first.split()[-1] != "-"
    assert "! no scheduled step is meant by it" in first


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ((), [2, 1]),
        (("--unlinked",), [1]),
        (("--open",), [1]),
        (("--unsettled",), [2, 1]),
        (("--device", "CT2"), [2]),
        (("--limit", "1"), [2]),
    ],
)
def test_the_list_is_chosen_by_what_a_person_looks_for(mwl, exams, options, keys):
    """Filters narrow it; as JSON it holds all there is."""
    found = mwl("performed", "list", "--json", *options).json

    assert [each["key"] for each in found] == keys


def test_a_performed_step_is_shown_with_the_steps_it_may_mean(mwl, exams):
    """What the device said, then what fits, with what agrees and what differs."""
    result = mwl("performed", "show", 1)

    lines = result.out.splitlines()
    assert result.code == 0
    assert f"  {U1} of CT1, IN PROGRESS" in lines
    assert "  ! no scheduled step is meant by it" in lines
    assert "  (0040,0241) AE PerformedStationAETitle: CT1" in lines
    assert lines[-1].split()[0] == "1"
    assert "PatientID Station time" in lines[-1]
    assert lines[-1].endswith("StudyInstanceUID")


def test_as_json_it_holds_the_same(mwl, exams):
    """By its UID as well."""
    shown = mwl("performed", "show", U1, "--json").json

    [possible] = shown["possible"]
    assert (shown["key"], shown["links"], shown["state"]) == (1, [], "IN PROGRESS")
    assert (possible["step_key"], possible["differs"]) == (1, ["StudyInstanceUID"])
    assert possible["item"]["00080050"]["Value"] == ["ACC1001"]
    linked = mwl("performed", "show", U2, "--json").json
    assert linked["links"] == [{"step": 1, "rule": "step ID + requested procedure ID; patient differs"}]


def test_a_performed_step_is_linked_and_unlinked(mwl, exams):
    """The step follows, its history says who and why, the RIS is told."""
    mwl("performed", "unlink", 2, "--by", "anna", "--reason", "wrong patient")

    linked = mwl("performed", "link", U1, 1, "--by", "anna", "--reason", "emergency")

    assert (linked.code, linked.out) == (0, "performed step 1 is linked to step 1, which is STARTED\n")
    history = mwl("steps", "show", 1, "--json").json["history"]
    assert [(each["event"], each["source"], each["reason"]) for each in history[-2:]] == [
        ("reopen", "console anna", "wrong patient"), ("begin", "console anna", "emergency"),
    ]  # fmt: skip
    assert events(exams) == ["IP", "SC", "IP"]
    assert mwl("performed", "list", "--unlinked", "--json").json[0]["uid"] == U2


def test_a_link_is_confirmed(mwl, exams):
    """F51: the patient who differs holds it up no longer."""
    result = mwl("performed", "link", 2, 1)

    assert result.out == "performed step 2 is linked to step 1, which is COMPLETED\n"
    assert [each["key"] for each in mwl("performed", "list", "--unsettled", "--json").json] == [1]


@pytest.mark.parametrize(("option", "state"), [((), "COMPLETED"), (("--discontinued",), "DISCONTINUED")])
def test_a_performed_step_is_ended(mwl, exams, option, state):
    """One that its device will not end; it takes a reason."""
    mwl("performed", "link", 1, 1)

    result = mwl("performed", "close", 1, *option, "--reason", "switched off")

    assert (result.code, result.out.splitlines()[0]) == (0, f"performed step 1 is {state}")
    notes = mwl("performed", "show", 1, "--json").json["notes"]
    assert notes[-1].endswith(f"ended as {state}: switched off")
    assert mwl("performed", "close", 1, "--reason", "x").code == 1
    assert mwl("performed", "close", 1).code == 2


def test_several_are_looked_at_at_once(mwl, exams):
    """All, or none where one is not there."""
    refused = mwl("performed", "settle", 1, 99)
    unsettled = mwl("performed", "list", "--unsettled", "--json").json

    settled = mwl("performed", "settle", 1, U2, "--reason", "phantom")

    assert (refused.code, len(unsettled)) == (1, 2)
    assert settled.out == "performed step 1 is settled\nperformed step 2 is settled\n"
    assert mwl("performed", "list", "--unsettled", "--json").json == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "99"),
        ("link", "99", "1"),
        ("link", "1", "99"),
        ("unlink", "1"),
        ("close", "9.9", "--reason", "x"),
    ],
)
def test_what_is_not_there_is_refused(mwl, exams, arguments):
    """Exit 1, and nothing on stdout."""
    result = mwl("performed", *arguments)

    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("mwl: ")


def test_a_profile_decides_how_an_exam_counts(mwl, exams, tmp_path):
    """What a person links goes by the device's profile, as it stands in the files."""
    folder = tmp_path / "mappings" / "devices"
    folder.mkdir(parents=True)
    (folder / "ours.yaml").write_text("profile: ours\nstatus: hypothesis\nmpps: {state: {ncreate: READY}}\n")
    with (tmp_path / "mwl.yaml").open("a") as configuration:
        configuration.write("devices: {CT1: {profile: ours}}\n")
    mwl("performed", "unlink", 2)

    result = mwl("performed", "link", 1, 1)

    assert result.out == "performed step 1 is linked to step 1, which is SCHEDULED\n"


def test_the_audit_hears_what_a_person_decided(mwl, exams, tmp_path):
    """Linked, ended, unlinked: each with the performed step; looking at one changes nothing."""
    with (tmp_path / "mwl.yaml").open("a") as configuration:
        configuration.write('audit: {to: "collector:6514"}\n')

    mwl("performed", "link", 1, 1)
    mwl("performed", "close", 1, "--reason", "switched off")
    mwl("performed", "unlink", 2)
    mwl("performed", "settle", 2)

    found = exams.write_now(lambda tx: spool.claim(tx, "test", dt.timedelta(0), 10))
    assert [b"<MPPS UID=" in each.message for each in found] == [True, True, True]
