"""`mwl hl7 list`: the journal, searched by what an analyst knows."""

from __future__ import annotations

import pytest


@pytest.fixture
def journal(ris):
    """Four messages: an order, a refused one that came three times, a patient, rubbish."""
    patient = b"MSH|^~\\&|RIS|HOSP|||20260704||ADT^A08|A1|P|2.3.1\rPID|||PID001^^^HOSP||DOE^JANE\r"
    ris.sends(ris.order(1, code="CTHEAD"), ris.order(2), ris.order(2), ris.order(2), patient, b"rubbish")
    return ris


def numbers(result) -> list[str]:
    """Return the first column."""
    return [line.split()[0] for line in result.out.splitlines()[1:]]


def test_messages_are_listed_those_that_came_last_first(mwl, journal):
    """Who, what, whom it is about, what became of it and why; one line however often it came."""
    result = mwl("hl7", "list")

    lines = result.out.splitlines()
    assert numbers(result) == ["4", "3", "2", "1"]
    assert lines[3].split()[3:] == [
        "(3x)", "RIS", "ORM^O01", "C2", "PID002", "ACC2", "AE", "OBR-4:", "Modality", "stands", "in", "no",
        "row", "of", "its", "table", "[103]",
    ]  # fmt: skip
    assert lines[4].split()[3:] == ["RIS", "ORM^O01", "C1", "PID001", "ACC1", "AA"]
    assert lines[1].split()[3:5] == ["AR", "MSH:"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--accession", "ACC2"], ["2"]),
        (["--patient", "PID001"], ["3", "1"]),
        (["--order", "PL2"], ["2"]),
        (["--control-id", "C1"], ["1"]),
        (["--system", "RIS"], ["3", "2", "1"]),
        (["--type", "adt"], ["3"]),
        (["--type", "ORM^O01", "--patient", "PID001"], ["1"]),
        (["--outcome", "refused"], ["4", "2"]),
        (["--outcome", "ae", "--outcome", "AA", "--type", "ORM"], ["2", "1"]),
        (["--since", "1h"], ["4", "3", "2", "1"]),
        (["--until", "1h"], []),
        (["--since", "2031-01-01"], []),
        (["--limit", "1"], ["4"]),
    ],
)
def test_filters_must_all_hold(mwl, journal, options, expected):
    """What is known of a message finds it, a refused one too."""
    assert numbers(mwl("hl7", "list", *options)) == expected


def test_a_list_as_json_holds_everything_but_the_bytes(mwl, journal):
    """Instants are UTC there; the numbers it is found by are beside it."""
    (message,) = mwl("hl7", "list", "--accession", "ACC2", "--json").json

    assert (message["key"], message["outcome"], message["receipts"], message["replayed"]) == (
        2,
        "AE",
        3,
        False,
    )
    assert message["last_at"].endswith("+00:00")
    assert {"kind": "accession", "value": "ACC2"} in message["numbers"]
    assert message["peer"] == "10.0.0.5:40000"


def test_times_are_the_sites(mwl, journal, tmp_path):
    """The analyst reads the clock on the wall."""
    utc = mwl("hl7", "list", "--control-id", "C1", "--json").json[0]["last_at"]
    (tmp_path / "mwl.yaml").write_text(
        (tmp_path / "mwl.yaml").read_text().replace("Europe/Berlin", "Pacific/Honolulu")
    )

    shown = mwl("hl7", "list", "--control-id", "C1").out.splitlines()[1].split()[2]

    assert (int(utc[11:13]) - int(shown[:2])) % 24 == 10


def test_a_wrong_time_is_wrong_usage(mwl, journal):
    """The message says what to write."""
    result = mwl("hl7", "list", "--since", "long ago")

    assert (result.code, result.out) == (2, "")
    assert "2h, 3d, today" in result.err


def test_messages_that_were_not_kept_are_told_of(mwl, ris, tmp_path):
    """An analyst who looks in vain learns that the bound was reached."""
    with (tmp_path / "mwl.yaml").open("a") as configuration:
        configuration.write("retention: {unknown: 7}\n")
    ris.sends(b"rubbish", b"more rubbish")

    result = mwl("hl7", "list")

    assert len(result.out.splitlines()) == 2
    assert "1 refused messages were answered and not kept" in result.err


def test_a_long_error_is_cut_and_controls_are_shown(mwl, ris):
    """The table stays one; nothing a sender writes moves the cursor."""
    ris.sends(ris.order(1, control="\x1b[2J", control_id="\x1b[2J", code="X" * 10, patient="P" * 70))

    result = mwl("hl7", "list")

    assert "\x1b" not in result.out
    assert all(len(line) < 400 for line in result.out.splitlines())
