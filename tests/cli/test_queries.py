"""`mwl queries`: what devices asked is found as an engineer looks for it, and readable."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from cli.asked import CT, ask, keys

from mwl.dicom.encoding import decode_dataset
from mwl.store import Store
from mwl.store.queries import LeftOut
from mwl.workbench import dcmdump

ELE = "1.2.840.10008.1.2.1"


@pytest.fixture
def asked(database: Store, tmp_path: Any) -> Store:
    """Three queries of CT1, one of US1, one of a caller in quarantine."""
    path = tmp_path / "mwl.yaml"
    path.write_text(path.read_text() + "site: {timezone: Europe/Berlin}\n")
    for n in range(2):
        ask(database, sent=4, matched=5, last_at=f"2026-07-05T08:0{n}:00.000000+00:00", left_out_count=1,
            left_out=(LeftOut(7, "longer than 16", "PatientID", "ours.yaml:3"),))  # fmt: skip
    ask(database, identifier=keys(t00080060="MR"), status="A900", last_at="2026-07-05T08:02:00.000000+00:00")
    ask(database, "US1", last_at="2026-07-05T08:03:00.000000+00:00", microseconds=1500)
    ask(database, "CT9", status="0124", profile="", last_at="2026-07-05T08:04:00.000000+00:00")
    return database


def listed(result: Any) -> list[str]:
    """Return the numbers of the queries in a table."""
    assert result.code == 0, result.err
    return [line.split()[0] for line in result.out.splitlines()[1:]]


def test_a_line_says_who_asked_when_what_and_what_came_of_it(mwl, asked):
    """In the site's time; a repeated query is one line."""
    lines = mwl("queries", "list").out.splitlines()

    assert " ".join(lines[0].split()) == "QUERY ASKED DEVICE PROFILE STATUS MATCHED SENT LEFT OUT KEYS"
    expected = "1 2026-07-05 10:01:00 (2x) CT1 generic 0000 5 4 1 Modality=CT PatientName=DOE*"
    assert " ".join(lines[-1].split()) == expected
    assert lines[1].split()[3:6] == ["CT9", "held", "0124"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", "4 3 2 1"),
        ("--device CT1", "2 1"),
        ("--empty", "4 3 2"),
        ("--device CT1 --empty", "2"),
        ("--status a900 --status 0124", "4 2"),
        ("--held", "4"),
        ("--since 2026-07-05T10:03", "4 3"),
        ("--limit 1", "4"),
        ("--device CT7", ""),
    ],
)
def test_filters_find_what_an_engineer_looks_for(mwl, asked, options, expected):
    """Every one that is given must hold."""
    assert " ".join(listed(mwl("queries", "list", *options.split()))) == expected


def test_a_program_gets_the_keys_as_well(mwl, asked):
    """In the DICOM JSON model."""
    (found,) = mwl("queries", "list", "--device", "US1", "--json").json

    assert found["identifier"] == CT
    assert (found["key"], found["status"], found["held"]) == (3, "0000", False)
    assert found["association"]["fuzzy"]
    assert found["association"]["contexts"][0]["transfer_syntaxes"][0] == ELE


@pytest.mark.parametrize("status", ["A90", "list", "0x"])
def test_a_status_has_four_digits(mwl, asked, status):
    """Anything else is wrong usage."""
    result = mwl("queries", "list", "--status", status)

    assert result.code == 2
    assert "four hexadecimal digits" in result.err


def test_a_query_is_shown_with_all_that_is_known_of_it(mwl, asked):
    """Who asked, what, and what was left out by which line."""
    result = mwl("queries", "show", 1)

    assert result.code == 0
    for expected in (
        "CT1 at 10.0.0.7, calling MWL",
        "SCANNER_1 1.2.840.113619.6.50",
        "Modality Worklist Information Model - FIND (1.2.840.10008.5.1.4.31)",
        "Implicit VR Little Endian (1.2.840.10008.1.2)",
        "fuzzy names",
        "2026-07-05 10:01:00, 2 times, first at 2026-07-05 10:00:00",
        "0000 a list",
        "5 matched, 4 sent, 1 left out",
        "(0008,0060) CS [CT]                                     # Modality",
    ):
        assert expected in result.out
    assert "7     longer than 16  PatientID  ours.yaml:3" in result.out


def test_what_is_shown_can_be_learned_from(mwl, asked):
    """The identifier is a dump as engineers send each other."""
    assert dcmdump.parse(mwl("queries", "show", 1).out) == CT


def test_a_query_of_a_caller_in_quarantine_says_so(mwl, asked):
    """It had no profile."""
    result = mwl("queries", "show", 4)

    assert "none: held in quarantine" in result.out
    assert "0124 not a configured device" in result.out


def test_what_cannot_be_read_is_said(mwl, asked):
    """Its bytes are there all the same."""
    ask(asked, "XX", b"\x08\x00\x05", status="C002", last_at="2026-07-05T09:00:00.000000+00:00")

    assert "cannot be read" in mwl("queries", "list", "--device", "XX").out
    assert "cannot be read (3 bytes): --raw writes them" in mwl("queries", "show", 5).out
    assert mwl("queries", "list", "--device", "XX", "--json").json[0]["identifier"] is None


def test_the_bytes_are_written_as_they_came(asked, tmp_path):
    """For another tool."""
    done = subprocess.run(
        [sys.executable, "-m", "mwl", "queries", "show", "3", "--raw"],
        capture_output=True, check=True, cwd=tmp_path, timeout=60,
    )  # fmt: skip

    assert decode_dataset(done.stdout, ELE) == CT


def test_a_query_that_is_not_there_is_refused(mwl, asked):
    """With where to look."""
    result = mwl("queries", "show", 99)

    assert result.code == 1
    assert "there is no query 99: mwl queries list" in result.err
