"""`mwl devices`: who may ask and when it did, who was turned away, and how one is let in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cli.asked import ask, keys, knock

from mwl import config
from mwl.store import Store, callers
from mwl.store.callers import CallerFacts

GE_CT, OTHER = "1.2.840.113619.6.50", "1.2.3.4"


@pytest.fixture
def devices(database: Store, tmp_path: Path) -> Path:
    """A configuration with comments: a device, and below it a line for another that waits."""
    path = tmp_path / "mwl.yaml"
    path.write_text(
        f"{path.read_text()}"
        "site: {timezone: Europe/Berlin}\n"
        f"mappings: {tmp_path}/mappings\n"
        "devices: # who may ask\n"
        "  CT1: {profile: generic, vars: {}} # the old scanner\n"
        "  # CT2: next year\n"
    )
    return path


def rows(result: Any) -> dict[str, list[str]]:
    """Return the cells of each line of a result, by the first."""
    assert result.code == 0, result.err
    return {line.split()[0]: line.split()[1:] for line in result.out.splitlines() if line}


# --- list ----------------------------------------------------------------------------------------


def test_a_device_is_listed_with_what_it_asked_last(mwl, devices, database):
    """When, with which status, how much it got, and when it last got anything."""
    ask(database, sent=4, matched=4, count=7)
    ask(database, identifier=keys(), status="A900", last_at="2026-07-05T09:00:00.000000+00:00")

    found = rows(mwl("devices", "list"))

    assert found["CT1"] == (
        ["generic", "2026-07-05", "11:00:00", "A900", "0", "0", "8", "2026-07-05", "10:00:00"]
    )


def test_a_device_that_never_asked_says_so(mwl, devices):
    """It is the first thing to look at."""
    assert rows(mwl("devices", "list"))["CT1"] == ["generic", "never"]


def test_who_asks_as_anyone_is_listed_below(mwl, devices, database):
    """By its own AE title, with the profile that answered."""
    devices.write_text(devices.read_text() + "  '*': {profile: ge-ct-connectpro, vars: {long: true}}\n")
    ask(database, "XY", profile="ge-ct-connectpro", sent=1, matched=1)

    result = mwl("devices", "list")

    assert rows(result)["*"] == ["ge-ct-connectpro", "never", "long=True"]
    assert rows(result)["XY"][0] == "ge-ct-connectpro"
    assert "\n  XY" in result.out


def test_unknown_callers_are_listed_with_the_profile_that_names_them(mwl, devices, database):
    """Refused or held; the engineer sees at once that the scanner calls itself something else."""
    knock(database)
    knock(database)
    knock(database, "US9", held=True, uid=OTHER)

    result = mwl("devices", "list")
    found = rows(result)

    assert found["CT9"][:3] == ["MWL", "10.0.0.7", "2"]
    assert " ".join(found["CT9"][5:]) == f"calling AE title not configured ge-ct-connectpro SCANNER_1 {GE_CT}"
    assert found["US9"][5:] == ["held", "in", "quarantine", "SCANNER_1", OTHER]
    assert "mwl devices admit" in result.err


def test_a_caller_that_is_a_device_by_now_is_unknown_no_more(mwl, devices, database):
    """Why a device was refused for another reason stays to be seen."""
    knock(database, "CT1")
    wrong = CallerFacts("CT1", "OTHER", "10.0.0.7", "called AE title is not this broker's")
    database.write_now(lambda tx: callers.refused(tx, wrong))

    refused = mwl("devices", "list", "--json").json["refused"]

    assert [each["called_ae"] for each in refused] == ["OTHER"]


def test_all_of_it_is_json(mwl, devices, database):
    """A program gets configured, asked and refused apart."""
    ask(database, sent=1)
    ask(database, "CT9", profile="", status="0124")
    knock(database, held=True)

    listed = mwl("devices", "list", "--json").json

    assert listed["configured"]["CT1"]["profile"] == "generic"
    assert {each["calling_ae"]: (each["device"], each["sent"]) for each in listed["asked"]} == {
        "CT1": ("CT1", 1),
        "CT9": (None, 0),
    }
    (caller,) = listed["refused"]
    assert (caller["calling_ae"], caller["held"], caller["suggested"]) == ("CT9", True, "ge-ct-connectpro")
    assert caller["association"]["max_pdu"] == 16384


def test_a_profile_that_is_wrong_keeps_nobody_from_looking(mwl, devices, database, tmp_path):
    """Nothing is suggested then, and why is said."""
    knock(database)
    (tmp_path / "mappings" / "devices").mkdir(parents=True)
    (tmp_path / "mappings" / "devices" / "bad.yaml").write_text("profile: bad\nnonsense: 1\n")

    result = mwl("devices", "list")

    assert "ge-ct-connectpro" not in result.out
    assert "no profile is suggested" in result.err


# --- admit ---------------------------------------------------------------------------------------


def test_a_caller_gets_the_profile_that_names_it(mwl, devices, database):
    """Printed, and nothing is written; what is left to do is said."""
    knock(database)
    before = devices.read_text()

    result = mwl("devices", "admit", "CT9")

    assert result.code == 0
    assert result.out.endswith("devices:\n  CT9: {profile: ge-ct-connectpro}\n")
    assert "mwl check" in result.err
    assert devices.read_text() == before


def test_a_caller_that_no_profile_names_gets_the_generic_one(mwl, devices, database):
    """Unless another is named; a profile that is not there is none."""
    knock(database, uid=OTHER)

    assert "CT9: {profile: generic}" in mwl("devices", "admit", "CT9").out
    assert "CT9: {profile: ge-ct-connectpro}" in (
        mwl("devices", "admit", "CT9", "--profile", "ge-ct-connectpro").out
    )
    absent = mwl("devices", "admit", "CT9", "--profile", "generics")
    assert (absent.code, absent.out) == (1, "")
    assert "did you mean 'generic'" in absent.err


def test_a_draft_is_printed_with_the_line_that_names_it(mwl, devices, database):
    """From what it asked in quarantine."""
    knock(database, held=True, uid=OTHER)
    ask(database, "CT9", profile="", status="0124", implementation_uid=OTHER)

    result = mwl("devices", "admit", "CT9", "--draft")

    assert result.code == 0
    assert "  CT9: {profile: ct9}\n" in result.out
    assert "profile: ct9\nstatus: hypothesis" in result.out
    assert '"matches SPS.Modality: CT"' in result.out
    assert "mappings/devices/ct9.yaml" in result.out


def test_what_is_written_is_a_device(mwl, devices, database, tmp_path):
    """One line more in the file, the profile in its folder; the broker would load both."""
    ask(database, "CT9", profile="", status="0124", implementation_uid=OTHER)
    before = devices.read_text().splitlines()

    result = mwl("devices", "admit", "CT9", "--draft", "--write")

    assert result.code == 0, result.err
    after = devices.read_text().splitlines()
    assert [line for line in after if line not in before] == ["  CT9: {profile: ct9}"]
    assert [line for line in after if line in before] == before
    assert after.index("  CT9: {profile: ct9}") < after.index("  # CT2: next year")
    assert config.load(devices, {}).devices["CT9"].profile == "ct9"
    assert (
        (tmp_path / "mappings" / "devices" / "ct9.yaml")
        .read_text()
        .startswith("# Drafted from 1 query of CT9")
    )
    assert mwl("devices", "list").code == 0
    assert "devices: 2" in mwl("check").out


def test_a_caller_that_calls_itself_anybody_is_not_admitted(mwl, devices, database):
    """Under `devices` its AE title would let everybody in."""
    ask(database, "*", profile="", status="0124")
    before = devices.read_text()

    result = mwl("devices", "admit", "*", "--write")

    assert (result.code, result.out) == (1, "")
    assert "* under devices means anybody: give the device another AE title" in result.err
    assert devices.read_text() == before


def test_a_draft_needs_a_query(mwl, devices, database):
    """A refused caller never came to ask: how to let it is said."""
    knock(database)

    result = mwl("devices", "admit", "CT9", "--draft")

    assert (result.code, result.out) == (1, "")
    assert "set capture.unknown to hold" in result.err


def test_a_device_is_not_admitted_twice(mwl, devices):
    """Its line is named."""
    result = mwl("devices", "admit", "CT1", "--write")

    assert result.code == 1
    assert "CT1 is a device already, by mwl.yaml:5: edit it there" in result.err


def test_a_file_of_another_form_is_left_alone(mwl, devices, database):
    """The line to add is said, and no profile is left without it."""
    devices.write_text(
        devices.read_text()
        .replace("devices: # who may ask\n  CT1:", "devices: {CT1:")
        .replace("# the old scanner", "}")
    )
    ask(database, "CT9", profile="", status="0124", implementation_uid=OTHER)
    before = devices.read_text()

    result = mwl("devices", "admit", "CT9", "--draft", "--write")

    assert result.code == 1
    assert "add by hand: CT9: {profile: ct9}" in result.err
    assert devices.read_text() == before
    assert not (devices.parent / "mappings" / "devices").exists()


def test_a_variable_that_stands_for_the_file_is_named(mwl, devices, monkeypatch):
    """A line in the file would have no effect."""
    monkeypatch.setenv("MWL_DEVICES", "{CT1: {profile: generic}}")
    before = devices.read_text()

    result = mwl("devices", "admit", "CT9", "--write")

    assert result.code == 1
    assert "$MWL_DEVICES stands for what mwl.yaml says of devices" in result.err
    assert devices.read_text() == before


def test_a_profile_that_is_there_is_never_written_over(mwl, devices, database, monkeypatch):
    """Whoever made it meanwhile."""
    from mwl.workbench import learn

    ask(database, "CT9", profile="", status="0124", implementation_uid=OTHER)
    folder = devices.parent / "mappings" / "devices"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("profile: other\nstatus: partial\n")
    monkeypatch.setattr(learn, "free_name", lambda *_: "mine")
    before = devices.read_text()

    result = mwl("devices", "admit", "CT9", "--draft", "--write")

    assert result.code == 1
    assert "mine.yaml cannot be written: File exists" in result.err
    assert (folder / "mine.yaml").read_text() == "profile: other\nstatus: partial\n"
    assert devices.read_text() == before


def test_a_title_nobody_used_is_admitted_with_a_note(mwl, devices):
    """A misspelt title is the most usual mistake."""
    result = mwl("devices", "admit", "CT_9")

    assert result.code == 0
    assert "no caller CT_9 is on record" in result.err


@pytest.mark.parametrize("arguments", [["CT9", "--draft", "--profile", "generic"], ["A" * 17], []])
def test_wrong_usage_is_told(mwl, devices, arguments):
    """Two ways at once, no AE title at all."""
    assert mwl("devices", "admit", *arguments).code == 2
