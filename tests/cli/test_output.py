"""Tables for people: aligned whatever the script, and obeyed by no terminal."""

from __future__ import annotations

import pytest

from mwl.cli.output import print_json, print_table, printable


def test_columns_are_as_wide_as_their_content(capsys):
    """Ideographs take two columns, combining marks none."""
    print_table(["NAME", "ID"], [("王^小东", 1), ("Łukasz", 2), ("e\u0301", None)])

    assert capsys.readouterr().out.splitlines() == [
        "NAME     ID",
        "王^小东  1",
        "Łukasz   2",
        "e\u0301",
    ]


def test_a_table_without_rows_shows_its_headers(capsys):
    """An empty list looks empty, not broken."""
    print_table(["A", "B"], [])

    assert capsys.readouterr().out == "A  B\n"


@pytest.mark.parametrize("text", ["\x1b[2J", "a\nb", "a\rb", "\u202eabc", "\x9b1m", "\x00"])
def test_what_a_peer_sent_cannot_move_the_cursor(text):
    """Escape sequences, line ends and directional overrides are shown, not obeyed."""
    assert printable(text).isprintable()


def test_json_keeps_every_script_readable(capsys):
    """Unicode is written as it is."""
    print_json({"name": "王"})

    assert '"王"' in capsys.readouterr().out
