"""What `mwl mapping explain` says beside a running broker is what a foreign device gets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

FIXTURES = Path(__file__).parents[2] / "fixtures"
DATE = "20260705"
SITE = "profile: ours\nstatus: hypothesis\ntruncate: {PatientName: 5}\n"


@pytest.fixture
def profile(tmp_path):
    """The site's profile, a file."""
    path = tmp_path / "site" / "devices" / "ours.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(SITE)
    return path


@pytest.fixture
def broker(start_broker, mllp_send, profile):
    """A broker that uses it, and two orders of one day: for a CT and for an MR."""
    running = start_broker(devices={"CT1": {"profile": "ours"}}, mappings=str(profile.parent.parent))
    order = (FIXTURES / "hl7" / "orm-2.3-without-zds.hl7").read_text()
    assert "MSA|AA" in mllp_send(running, order)
    assert "MSA|AA" in mllp_send(running, order.replace("1101", "1102").replace("||||CT|", "||||MR|"))
    return running


def explained(broker, *arguments: str) -> tuple[int, dict]:
    """Run the command and return its exit code and what it says."""
    done = broker.run("mapping", "explain", "CT1", *arguments, "--json")
    return done.returncode, json.loads(done.stdout)


def keys(**values: str) -> list[str]:
    """Return keys for findscu and, after ``k=v``, for the command."""
    asked = {
        "PatientName": "",
        "AccessionNumber": "",
        "ScheduledProcedureStepSequence[0].Modality": values.get("modality", ""),
        "ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate": values.get("date", ""),
    }
    return [f"{name}={value}" for name, value in asked.items()]


def test_what_is_explained_is_what_findscu_gets(broker, findscu):
    """The number of items, and the value that the profile cut."""
    got = findscu(broker, "CT1", *keys(modality="CT", date=DATE))
    names = [line for line in got if "PatientName" in line and "DOE" in line]

    code, found = explained(broker, "SPS.Modality=CT", f"SPS.ScheduledProcedureStepStartDate={DATE}")

    assert code == 0
    assert found["result"]["sent"] == len(names) == 1
    (response,) = found["responses"]
    (name,) = (value for value in response["values"] if value["path"] == "PatientName")
    assert name["element"]["Value"] == [{"Alphabetic": "DOE^J"}]
    assert "[DOE^J]" in names[0].replace(" ", "")
    assert [change["operation"] for change in name["changes"]] == ["truncate"]


def test_an_empty_list_is_explained_by_the_query_that_the_device_made(broker, findscu):
    """The broker captured it; the key that findscu asked with is to blame."""
    got = findscu(broker, "CT1", *keys(modality="DX", date=DATE))
    broker.stop()  # what it captured is written then

    code, found = explained(broker, "--last")
    missed, sought = explained(broker, "--last", "--accession", "ACX1102")

    assert not [line for line in got if "AccessionNumber" in line and "ACX" in line]
    assert (code, missed) == (1, 1)
    assert found["caller"]["last_query"]["sent"] == 0
    assert found["query"]["sent"]["SPS.Modality"] == "DX"
    assert [(each["keys"], each["matching"]["number"]) for each in found["funnel"]["loosened"]] == [
        (["SPS.Modality"], 2)
    ]
    (step,) = sought["steps"]
    assert [(miss["name"], miss["wanted"], miss["found"]) for miss in step["misses"]] == [
        ("SPS.Modality", "DX", "MR")
    ]


def test_a_profile_that_changed_since_is_told_of(broker, findscu, profile):
    """The files are newer than what the broker answered with."""
    findscu(broker, "CT1", *keys(modality="CT"))
    broker.stop()  # what it captured is written then
    profile.write_text(SITE + "remove: [PatientWeight]\n")

    _, found = explained(broker, "--last")

    assert "profile changed" in {hint["kind"] for hint in found["hints"]}
