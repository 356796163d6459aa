"""Tables, in profiles and in files."""

from __future__ import annotations

from pathlib import Path

import pytest

from mwl.errors import BadDocument
from mwl.mapping.systems.lookup import Table, TableFiles, read_csv


def test_case_and_blanks_do_not_count_and_exact_rows_come_first() -> None:
    """A row without a star is asked before one with, wherever it stands; of equal rows the first counts."""
    table = Table([("CT*", "glob"), ("*", "any"), ("CTA", "exact"), ("cta", "later")])

    assert [table.get(text) for text in (" cta ", "CTB", "MR")] == ["exact", "glob", "any"]
    assert Table([("a", "1")]).get("b") is None


def test_the_nearest_folder_wins(tmp_path: Path) -> None:
    """A site's table takes the place of the shipped one of its name."""
    for folder, value in (("site", "X"), ("shipped", "Y")):
        (tmp_path / folder / "tables").mkdir(parents=True)
        (tmp_path / folder / "tables" / "sex.csv").write_text(f"a,b\nM,{value}\n")
    files = TableFiles([tmp_path / "site", tmp_path / "shipped"])

    assert files.names == ["sex"]
    assert files.rows("sex") == (("M", "X"),)


def test_a_wrong_file_is_reported_line_by_line(tmp_path: Path) -> None:
    """Every mistake of a file is found, at its line."""
    path = tmp_path / "t.csv"
    path.write_text("a,b\nM,1\nF\n\nm,2\n")

    with pytest.raises(BadDocument) as bad:
        read_csv(path)
    assert [(each.line, each.message) for each in bad.value.problems] == [
        (3, "this row has one column: the value is missing"),
        (5, "'m' stands already in line 2"),
    ]


@pytest.mark.parametrize(
    ("raw", "line"), [(b"a\nM,1\n", 1), (b"a,b\nM,\xff\n", 2), (b'a,b\n"M,1\n', 2), (b"", 1)]
)
def test_what_is_no_table_is_refused(tmp_path: Path, raw: bytes, line: int) -> None:
    """A header of one column, bytes that are not UTF-8, an open quote: each at its line."""
    path = tmp_path / "t.csv"
    path.write_bytes(raw)

    with pytest.raises(BadDocument) as bad:
        read_csv(path)
    assert [each.line for each in bad.value.problems] == [line]
