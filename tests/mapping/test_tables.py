"""Tables of words, and the CSV files they stand in."""

from __future__ import annotations

from pathlib import Path

import pytest

from mwl.errors import BadDocument
from mwl.mapping.tables import ColumnFiles, Lookup


def files(tmp_path: Path, **tables: str) -> ColumnFiles:
    """Write tables into the nearer of two folders and return both."""
    for folder in ("near", "far"):
        (tmp_path / folder / "tables" / "site").mkdir(parents=True, exist_ok=True)
    for name, text in tables.items():
        path = tmp_path / "near" / "tables" / f"{name.replace('__', '/')}.csv"
        path.write_text(text, "utf-8")
    return ColumnFiles([tmp_path / "near", tmp_path / "far"])


def test_a_key_may_hold_stars_and_exact_ones_go_first():
    """Case and outer blanks do not count; of several patterns the first that is written."""
    table = Lookup([("CT*", 1), ("ct head", 2), ("*", 3), ("CT HEAD", 4)])

    assert [table.get(text) for text in (" CT Head ", "ct chest", "MR")] == [2, 1, 3]
    assert Lookup([("A", 1)]).get("B") is None


def test_a_table_is_found_in_the_nearest_folder(tmp_path):
    """With or without its ending, and in folders below `tables`; columns by their names."""
    found = files(tmp_path, exams="exam, FCR ,text\nX1,F1\n\nX2,F2,Chest\n", site__more="a,b\n1,2\n")
    (tmp_path / "far" / "tables" / "exams.csv").write_text("exam,FCR\nX1,other\n", "utf-8")

    table = found.get("exams.csv")

    assert table.names == ("exam", "FCR", "text")
    assert [dict(row) for row in table.rows] == [
        {"exam": "X1", "FCR": "F1", "text": ""},
        {"exam": "X2", "FCR": "F2", "text": "Chest"},
    ]
    assert found.get("site/more").names == ("a", "b")
    assert found.digests.keys() == {"exams.csv", "site/more"}


def test_a_changed_file_has_another_fingerprint(tmp_path):
    """It is read once by one reader."""
    before = files(tmp_path, exams="a,b\n1,2\n").get("exams").digest

    same, other = files(tmp_path).get("exams").digest, files(tmp_path, exams="a,b\n1,3\n").get("exams").digest

    assert before == same != other


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("exems", "there is no table 'exems.csv' in 'tables': did you mean 'exams.csv'"),
        ("../secret", "named by its path below"),
        ("/etc/passwd", "named by its path below"),
        ("..\\x", "named by its path below"),
    ],
)
def test_a_table_that_is_none_is_named(tmp_path, name, message):
    """Nothing outside the folder is ever read."""
    with pytest.raises(KeyError) as error:
        files(tmp_path, exams="a,b\n").get(name)

    assert message in error.value.args[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("only\nx\n", "1:1: error: the first line names the columns"),
        ("a,a\n1,2\n", "1:1: error: the first line names the columns"),
        ("", "1:1: error: the first line names the columns"),
        ("a,b\n1,2,3\n", "2:1: error: this row has more columns"),
        ('a,b\n"1,2\n', "is not CSV"),
    ],
)
def test_a_file_that_is_no_table_is_reported_where_it_is_wrong(tmp_path, text, message):
    """Like any mistake in a profile: file, line and words."""
    with pytest.raises(BadDocument, match=message):
        files(tmp_path, exams=text).get("exams")


def test_stars_of_a_key_are_not_tried_in_every_way():
    """What is looked up comes from a peer."""
    table = Lookup([("*a*a*a*a*a*a*a*a*b", 1), ("a*c*", 2)])

    assert table.get("a" * 20_000) is None
    assert table.get("a" * 20_000 + "b") == 1
    assert table.get("AxxCyy") == 2
    assert table.get("xa") is None
