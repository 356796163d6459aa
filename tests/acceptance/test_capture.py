"""A scanner nobody configured, from the engineer's first look at it to its list: with DCMTK as the scanner."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

FIXTURES = Path(__file__).parents[2] / "fixtures"
KEYS = ("(0040,0100)[0].Modality=CT", "(0040,0100)[0].ScheduledStationAETitle", "PatientName", "PatientID")


def final(lines: list[str]) -> str:
    """Return the final status as findscu tells it."""
    (told,) = [line for line in lines if "Received Final Find Response" in line]
    return told


def found(lines: list[str]) -> int:
    """Return the number of responses."""
    return sum("Find Response:" in line for line in lines)


@pytest.fixture
def holding(start_broker):
    """A broker that holds unknown callers, with an order for a CT."""
    broker = start_broker(capture={"unknown": "hold"}, systems={"RIS": {"application": "*"}})
    assert broker.run("hl7", "send", str(FIXTURES / "hl7" / "orm-2.3-without-zds.hl7")).returncode == 0
    return broker


def test_an_unknown_scanner_is_held_looked_at_and_let_in(holding, findscu):
    """0124 at first; what it asked is on record; a line, a profile and a reload later it has its list."""
    refused = findscu(holding, "CT9", *KEYS)
    echoed = holding.run("echo", "--ae", "CT9")
    assert "0x124" in final(refused)
    assert (found(refused), echoed.returncode) == (0, 0)

    listed = holding.run("queries", "list", "--held", "--json")
    (query,) = json.loads(listed.stdout)
    assert (query["calling_ae"], query["status"], query["sent"]) == ("CT9", "0124", 0)
    shown = holding.run("queries", "show", str(query["key"])).stdout
    assert re.search(r"\(0008,0060\) CS \[CT\] +# Modality", shown)
    assert "CT9" in holding.run("devices", "list").stdout.partition("UNKNOWN")[2]

    admitted = holding.run("devices", "admit", "CT9", "--draft", "--write")
    assert admitted.returncode == 0, admitted.stderr
    holding.reload()

    answered = findscu(holding, "CT9", *KEYS)
    assert "Success" in final(answered)
    assert found(answered) == 1
    again = json.loads(holding.run("queries", "list", "--device", "CT9", "--json").stdout)
    assert [(each["status"], each["sent"], each["profile"], each["count"]) for each in again] == [
        ("0000", 1, "ct9", 2)
    ]
    assert "CT9" not in holding.run("devices", "list").stdout.partition("UNKNOWN")[2]


def test_where_strangers_are_rejected_what_they_proposed_is_kept(broker):
    """The default: no association, and enough to know the scanner by."""
    stranger = broker.run("find", "--ae", "CT9")
    listed = json.loads(broker.run("devices", "list", "--json").stdout)

    assert stranger.returncode == 69
    (caller,) = listed["refused"]
    assert (caller["calling_ae"], caller["held"]) == ("CT9", False)
    assert caller["association"]["contexts"][0]["abstract_syntax"] == "1.2.840.10008.5.1.4.31"
    assert json.loads(broker.run("queries", "list", "--json").stdout) == []


def test_what_was_asked_survives_a_stop(holding, findscu):
    """Queries that wait to be written are written."""
    for number in range(5):
        findscu(holding, "CT1", f"PatientID=P{number}")
    assert holding.stop() == 0

    asked = json.loads(holding.run("queries", "list", "--device", "CT1", "--json").stdout)
    assert len(asked) == 5
