"""Tables that turn a sender's words into DICOM's: written in a profile, or in a CSV file beside it.

A CSV file has a header; its first column is what is looked up, the second what stands for it, further
ones are for the reader.  Letter case and outer blanks of what is looked up do not count.  A ``*`` in a
key stands for any text; rows without one are asked first, the others in the order they are written.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from mwl.errors import BadDocument, Problem
from mwl.mapping.tables import Lookup, fold, read_lines

__all__ = ["Row", "Table", "TableFiles", "read_csv", "read_lines"]

Row: TypeAlias = tuple[str, str]
Table: TypeAlias = Lookup[str]
"""What stands for which text."""

_CATALOGUES = (".csv", ".yaml")


class TableFiles:
    """The files under the ``tables`` of some folders, the nearest first; read when asked for."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._paths: dict[str, Path] = {}
        for folder in folders:
            for path in sorted((folder / "tables").glob("*.csv")):
                self._paths.setdefault(path.stem, path)
        self._read: dict[str, tuple[Row, ...]] = {}

    @property
    def names(self) -> list[str]:
        """The tables there are."""
        return sorted(self._paths)

    def rows(self, name: str) -> tuple[Row, ...]:
        """Return a table's rows; raise `KeyError` for an unknown one, `BadDocument` for a wrong file."""
        if name not in self._read:
            self._read[name] = read_csv(self._paths[name])
        return self._read[name]

    def catalogue(self, name: str) -> Path | None:
        """Return the file of a procedure catalogue, CSV or YAML; None where there is none of this name."""
        every = (folder / "tables" / f"{name}{ending}" for folder in self._folders for ending in _CATALOGUES)
        return next((path for path in every if path.is_file()), None)


def read_csv(path: Path) -> tuple[Row, ...]:
    """Return the first two columns of a CSV file below its header; raise `BadDocument` with every mistake."""
    problems: list[Problem] = []
    rows = tuple(_rows(str(path), read_lines(path), problems))
    if problems:
        raise BadDocument(problems)
    return rows


def _rows(name: str, lines: Sequence[str], problems: list[Problem]) -> Iterator[Row]:
    reader = csv.reader(lines, strict=True)
    seen: dict[str, int] = {}
    try:
        header = next(reader, [])
        if len(header) < 2:
            problems.append(Problem(name, 1, 1, "the first line names the columns, two at least"))
            return
        for cells in reader:
            if not any(cells):
                continue
            line = reader.line_num
            if len(cells) < 2:
                problems.append(Problem(name, line, 1, "this row has one column: the value is missing"))
                continue
            key = fold(cells[0])
            if key in seen:
                problems.append(Problem(name, line, 1, f"{cells[0]!r} stands already in line {seen[key]}"))
            seen.setdefault(key, line)
            yield cells[0], cells[1].strip()
    except csv.Error as error:
        problems.append(Problem(name, reader.line_num, 1, f"is not CSV: {error}"))
