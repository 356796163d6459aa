"""`mwl devices list`: who may ask, and who was turned away."""

from __future__ import annotations

import pytest

from mwl.store import callers
from mwl.store.callers import CallerFacts


@pytest.fixture
def refused(database, tmp_path):
    """A configured device, and a stranger that tried twice."""
    path = tmp_path / "mwl.yaml"
    path.write_text(path.read_text() + "devices: {CT1: {profile: generic, vars: {room: 2}}}\n")
    facts = CallerFacts("CT9", "MWL", "127.0.0.1", "calling AE title not configured", "1.2.3", "VENDOR_1")
    for _ in range(2):
        database.write_now(lambda tx: callers.refused(tx, facts))


def test_both_are_listed(mwl, refused):
    """The engineer sees at once that the scanner calls itself something else."""
    result = mwl("devices", "list")

    lines = result.out.splitlines()
    assert result.code == 0
    assert lines[1].split() == ["CT1", "generic", "room=2"]
    assert lines[4].split()[:4] == ["CT9", "MWL", "127.0.0.1", "2"]
    assert lines[4].endswith("calling AE title not configured  VENDOR_1")


def test_both_are_json(mwl, refused):
    """A program gets configured and refused apart."""
    listed = mwl("devices", "list", "--json").json

    assert listed["configured"] == {"CT1": {"profile": "generic", "vars": {"room": 2}}}
    assert [(each["calling_ae"], each["count"]) for each in listed["refused"]] == [("CT9", 2)]
