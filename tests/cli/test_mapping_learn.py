"""`mwl mapping learn`: a draft from what a device asked, or from a file of it."""

from __future__ import annotations

import json

import pytest
from cli.asked import CT, ask, keys

from mwl.config import shipped
from mwl.mapping.devices.device import load_devices
from mwl.store import Store
from mwl.workbench import dcmdump

OTHER = "1.2.3.4"


@pytest.fixture
def asked(database: Store) -> Store:
    """Two queries of CT9, the second at the root; one of CT1."""
    ask(database, "CT9", implementation_uid=OTHER)
    ask(database, "CT9", {"00080060": {"vr": "CS", "Value": ["MR"]}}, implementation_uid=OTHER,
        last_at="2026-07-05T09:00:00.000000+00:00")  # fmt: skip
    ask(database, "CT1", keys(t00080060="US"))
    return database


def test_its_last_query_is_learned_from(mwl, asked):
    """Unless more is asked for."""
    result = mwl("mapping", "learn", "CT9")

    assert result.code == 0, result.err
    assert "# Drafted from 1 query of CT9, asked once" in result.out
    assert "matches SPS.Modality: MR" in result.out


def test_all_of_its_queries_are_learned_from(mwl, asked):
    """And of no other device's."""
    result = mwl("mapping", "learn", "CT9", "--all")

    assert "# Drafted from 2 queries of CT9" in result.out
    assert 'matches SPS.Modality: CT" # seen in 1 of 2 queries' in result.out
    assert "root_sps_keys: lift # keys of the step at the root: seen in 1 of 2 queries" in result.out
    assert "matches SPS.Modality: US" not in result.out


def test_one_query_is_learned_from_by_its_number(mwl, asked):
    """One of another device is none of this one's."""
    assert "matches SPS.Modality: CT" in mwl("mapping", "learn", "CT9", "--query", 1).out

    wrong = mwl("mapping", "learn", "CT9", "--query", 3)
    assert (wrong.code, wrong.out) == (1, "")
    assert "CT9 has no query 3" in wrong.err


@pytest.mark.parametrize("form", ["dump", "json"])
def test_a_file_is_learned_from(mwl, database, tmp_path, form):
    """Without any query on record."""
    path = tmp_path / "query"
    path.write_text("\n".join(dcmdump.lines(CT)) if form == "dump" else json.dumps(CT))

    result = mwl("mapping", "learn", "CT9", "--file", path)

    assert result.code == 0, result.err
    assert "# Drafted from a query in a file." in result.out
    assert "DOE" not in result.out


def test_what_is_written_to_a_file_loads(mwl, asked, tmp_path):
    """And is never written over."""
    folder = tmp_path / "mappings" / "devices"
    folder.mkdir(parents=True)
    path = folder / "ct9.yaml"

    result = mwl("mapping", "learn", "CT9", "--all", "-o", path)

    assert (result.code, result.out) == (0, "")
    assert "the profile ct9, from 2 queries" in result.err
    assert "ct9" in load_devices([tmp_path / "mappings", shipped("mappings")]).names
    again = mwl("mapping", "learn", "CT9", "--all", "-o", path)
    assert again.code == 1
    assert "exists" in again.err


def test_a_query_that_cannot_be_read_is_named_and_left_out(mwl, asked):
    """One broken query does not keep the others from being learned from."""
    ask(asked, "CT9", b"\x08\x00\x05", status="C002")

    result = mwl("mapping", "learn", "CT9", "--all")

    assert "query 4 is left out" in result.err
    assert "# Drafted from 2 queries of CT9" in result.out
    assert mwl("mapping", "learn", "CT9", "--query", 4).code == 1


def test_a_device_that_never_asked_is_said_to(mwl, database):
    """With where to look."""
    result = mwl("mapping", "learn", "CT9")

    assert (result.code, result.out) == (1, "")
    assert "no query of CT9 is on record: mwl queries list" in result.err


@pytest.mark.parametrize(
    "arguments", [["CT9", "--all", "--query", "1"], ["CT9", "--file", "absent"], ["A\\B"], []]
)
def test_wrong_usage_is_told(mwl, database, arguments):
    """Two sources at once, a file that is not there, no AE title."""
    assert mwl("mapping", "learn", *arguments).code == 2
