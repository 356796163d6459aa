"""`mwl mapping try`: what a device would get for a pasted order, on the command line."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from workbench.house import House

from mwl.store import queries

ORDER = Path("hl7") / "orm-2.3-without-zds.hl7"
CT = "SPS.Modality=CT"


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A hospital in the working directory."""
    made = House(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield made
    made.store.close_now()


def row(out: str, tag: str) -> list[str]:
    """Return the cells of an element's row."""
    return next(line.split() for line in out.splitlines() if line.strip().startswith(tag))


def test_each_element_stands_with_length_field_and_lines(mwl, house, fixtures):
    """As a dump: tag, VR, length, keyword, value, field of the message, lines of the profiles."""
    house.profile("truncate: {PatientName: 5}\n")

    done = mwl("mapping", "try", fixtures / ORDER, "--ae", "CT1", CT)

    assert done.code == 0
    assert done.out.splitlines()[0] == "message 1: ORM^O01 FIX1101 of RIS (profile generic): AA"
    assert "Step 1 (ACX1101, CT, 20260705 090000) is sent to CT1, entry 1 of 1." in done.out
    name = row(done.out, "(0010,0010)")
    assert name[1:6] == ["PN", "6", "PatientName", "DOE^J", "PID-5"]
    assert name[-2:] == ["truncate,", "mappings/devices/site.yaml:4"]
    assert row(done.out, "(0040,0020)")[-3:] == ["by", "the", "broker"]


def test_the_bytes_are_shown_where_they_are_wanted(mwl, house, fixtures):
    """Offset, octets, text."""
    plain = mwl("mapping", "try", fixtures / ORDER, "--ae", "CT1", CT)
    hexed = mwl("mapping", "try", fixtures / ORDER, "--ae", "CT1", CT, "--hex")

    assert "response 1: bytes" not in plain.out
    assert any(line.startswith("  00000000  08 00 ") for line in hexed.out.splitlines())


def test_json_has_the_elements_and_where_they_come_from(mwl, house, fixtures):
    """And the bytes, where they are wanted."""
    found = mwl("mapping", "try", fixtures / ORDER, "--ae", "CT1", CT, "--json", "--hex").json
    (response,) = found["responses"]
    name = next(each for each in response["elements"] if each["tag"] == "00100010")

    assert found["sent"] is True
    assert [(each["outcome"], each["findings"]) for each in found["messages"]] == [("AA", [])]
    assert (name["vr"], name["length"], name["value"]) == ("PN", 10, [{"Alphabetic": "DOE^JOHN^Q"}])
    assert name["message"]["place"] == "PID-5"
    assert bytes.fromhex(response["bytes"]).count(b"DOE^JOHN^Q") == 1
    assert [step["verdict"] for step in found["steps"]] == ["sent"]


def test_a_refused_order_is_shown_with_its_error(mwl, house, fixtures, monkeypatch):
    """As `mwl hl7 check` shows it; it ends with 1.  The order may come from stdin."""
    raw = (fixtures / ORDER).read_bytes().replace(b"PIX1101^^^HOSP_A^MR", b"")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))

    done = mwl("mapping", "try", "-", "--ae", "CT1")

    assert done.code == 1
    assert "PID-3: PatientID is required [101]" in done.out
    assert "response" not in done.out


def test_a_step_that_is_not_sent_is_told_why(mwl, house, fixtures):
    """With the key that keeps it away."""
    done = mwl("mapping", "try", fixtures / ORDER, "--ae", "CT1", "SPS.Modality=MR")

    assert done.code == 1
    assert "the device asks for SPS.Modality MR, and the step has CT." in done.out


def test_the_device_asks_as_it_did_last(mwl, house, fixtures):
    """Without a query on record, and without a database, for everything."""
    captured = house.captured("PatientName")
    house.store.write_now(lambda tx: queries.record(tx, [captured], per_device=10))

    as_last = mwl("mapping", "try", fixtures / ORDER, "--ae", "CT1", "--json").json
    house.configure("mappings: mappings\ndatabase: sqlite:///nowhere/mwl.db\n")
    without = mwl("mapping", "try", fixtures / ORDER, "--ae", "CT1", "--json")

    assert as_last["captured"] == 1
    assert without.json["captured"] is None
    assert len(without.json["responses"][0]["elements"]) > len(as_last["responses"][0]["elements"])
    assert without.err.endswith(": asking for everything\n")


def test_nothing_is_stored(mwl, house, fixtures):
    """The configured database stays as it was."""
    mwl("mapping", "try", fixtures / ORDER, "--ae", "CT1", CT)

    assert mwl("steps", "list", "--json").json == []
    assert mwl("hl7", "list", "--json").json == []


def test_what_is_no_message_is_told_to_be_none(mwl, house, tmp_path):
    """Not whose it is not."""
    (tmp_path / "note.txt").write_text("call the ward\n")

    done = mwl("mapping", "try", tmp_path / "note.txt", "--ae", "CT1", CT)

    assert done.code == 1
    assert done.out.splitlines()[0] == "message 1: no HL7 message: AR"
    assert "the message does not begin with MSH" in done.out
    assert "nobody configured" not in done.out
