"""What devices would not be sent, or may refuse, is shown wherever an order is looked at."""

from __future__ import annotations

import asyncio

import pytest

NAMELESS = "PID001"


@pytest.fixture
def doubtful(ris):
    """An order without a name, and a sound one; both were looked at."""
    ris.knows("CTHEAD: CT, MRKNEE: MR")
    nameless = ris.order(1).replace(b"DOE^JANE", b"")
    assert nameless != ris.order(1)
    ris.sends(nameless, ris.order(2))
    look(ris)
    return ris


def look(ris) -> None:
    """Hold the orders against the devices, as the broker does beside its work."""
    from mwl import config
    from mwl.broker import bind
    from mwl.broker.preflight import Preflight, View
    from mwl.store.outcome import Outcome

    profiles = bind(config.load(ris.folder / "mwl.yaml", {}))
    looking = Preflight(ris.store, View(profiles.devices, "MWL", profiles.zone))
    for key in (1, 2):
        looking.note(key, Outcome(steps=(key,)))
    asyncio.run(looking.finish())


def test_a_message_shows_the_doubts_about_its_steps(mwl, doubtful):
    """With device, attribute and line."""
    result = mwl("hl7", "show", "1")

    lines = result.out.splitlines()
    (row,) = lines[lines.index("doubts") + 2 :]
    assert row.startswith(
        "1     *       is not sent it  PatientName  a value that the device requires is missing"
    )
    assert "generic.yaml:" in row
    assert "doubts" not in mwl("hl7", "show", "2").out.splitlines()


def test_programs_get_every_part_of_a_doubt(mwl, doubtful):
    """Of a message, and of a step."""
    (doubt,) = mwl("hl7", "show", "1", "--json").json["doubts"]

    assert (doubt["step_key"], doubt["message_key"], doubt["calling_ae"], doubt["path"]) == (
        1,
        1,
        "*",
        "PatientName",
    )
    assert doubt["withheld"] is True
    assert mwl("steps", "show", "1", "--json").json["doubts"] == [doubt]
    assert mwl("steps", "show", "2", "--json").json["doubts"] == []


def test_a_step_shows_its_doubts(mwl, doubtful):
    """Below its history and links."""
    assert "is not sent it" in mwl("steps", "show", "1").out
    assert "doubts" not in mwl("steps", "show", "2").out.splitlines()


def test_the_messages_in_doubt_are_listed(mwl, doubtful):
    """With any other filter."""
    assert [entry["key"] for entry in mwl("hl7", "list", "--doubtful", "--json").json] == [1]
    assert mwl("hl7", "list", "--doubtful", "--patient", "PID002", "--json").json == []


def test_a_replay_looks_again(mwl, doubtful):
    """The profile gives the patient a name now; a running broker hears nothing of a replay."""
    text = doubtful.profile.read_text()
    doubtful.profile.write_text(f"{text}patient:\n  PatientName: {{from: PID-5, default: UNKNOWN}}\n")

    assert mwl("hl7", "replay", "--doubtful", "--again", "--dry-run").code == 0
    assert len(mwl("hl7", "list", "--doubtful", "--json").json) == 1
    assert mwl("hl7", "replay", "--doubtful", "--again").code == 0

    assert mwl("hl7", "list", "--doubtful", "--json").json == []
