"""The file of a procedure catalogue: what a site knows of each procedure code, in CSV or YAML.

A CSV file has a header that names its columns, ``code`` among them; a row is a step, and rows of one code
are the steps of one procedure.  A YAML file maps a code to its columns, or to a list of such for several
steps.  Which attribute a column fills is said by the profile; two names are fixed:

* ``code``: what the order says; letter case does not count, ``*`` stands for any text;
* ``step``: what is added to the order's number to tell its steps apart; without it the first step has the
  number as it is, the others ``-2``, ``-3`` and so on.

A cell is written as HL7 writes a field: ``~`` between several values, ``^`` between the parts of a code.
In YAML several values may be a list.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from mwl import yamldoc
from mwl.errors import BadDocument, Problem
from mwl.mapping.systems.lookup import read_lines
from mwl.yamldoc import YamlDocument

CODE: Final = "code"
STEP: Final = "step"

Cell: TypeAlias = tuple[str, ...]
"""The values of a cell, as they are written; an empty one has none."""


@dataclass(frozen=True, slots=True)
class CatalogueRow:
    """One step of a procedure, and where it is written."""

    code: str
    step: str  # what its number ends in
    cells: Mapping[str, Cell]
    file: str
    line: int

    @property
    def origin(self) -> str:
        """``file:line``."""
        return f"{self.file}:{self.line}"

    def problem(self, message: str) -> Problem:
        """Return a mistake in this row."""
        return Problem(self.file, self.line, 1, message)


def read_catalogue(path: Path) -> tuple[CatalogueRow, ...]:
    """Return the rows of a file in their order; raise `BadDocument` with every mistake."""
    problems: list[Problem] = []
    rows = list(_yaml(path, problems) if path.suffix == ".yaml" else _csv(path, problems))
    numbered = tuple(_numbered(rows))
    seen: set[tuple[str, str]] = set()
    for row in numbered:
        step = (row.code.casefold(), row.step)
        if step in seen:
            problems.append(row.problem(f"the code {row.code!r} has two steps {row.step!r}"))
        seen.add(step)
    if problems:
        raise BadDocument(problems)
    return numbered


def _numbered(rows: Sequence[CatalogueRow]) -> Iterator[CatalogueRow]:
    """Yield the rows with the endings of their steps' numbers."""
    before: Counter[str] = Counter()
    for row in rows:
        code = row.code.casefold()
        before[code] += 1
        ending = "" if before[code] == 1 else f"-{before[code]}"
        written = row.cells.get(STEP)
        yield CatalogueRow(row.code, written[0] if written else ending, row.cells, row.file, row.line)


def _cell(text: str) -> Cell:
    return tuple(value.strip() for value in text.split("~") if value.strip())


def _csv(path: Path, problems: list[Problem]) -> Iterator[CatalogueRow]:
    name = str(path)
    reader = csv.reader(read_lines(path), strict=True)
    try:
        header = [each.strip().casefold() for each in next(reader, [])]
        if CODE not in header or len(set(header)) < len(header):
            problems.append(
                Problem(name, 1, 1, f"the first line names the columns, each once, {CODE!r} among them")
            )
            return
        for cells in reader:
            if not any(cells):
                continue
            row = dict(zip(header, cells, strict=False))
            code = row.pop(CODE).strip()
            if not code:
                problems.append(Problem(name, reader.line_num, 1, "this row has no code"))
            elif len(cells) > len(header):
                problems.append(
                    Problem(name, reader.line_num, 1, "this row has more cells than the first line")
                )
            else:
                values = {column: _cell(text) for column, text in row.items() if text.strip()}
                yield CatalogueRow(code, "", values, name, reader.line_num)
    except csv.Error as error:
        problems.append(Problem(name, reader.line_num, 1, f"is not CSV: {error}"))


def _yaml(path: Path, problems: list[Problem]) -> Iterator[CatalogueRow]:
    for document in yamldoc.load(path):
        if not isinstance(document.data, dict):
            problems.append(document.problem((), "a catalogue maps codes to their columns"))
            continue
        for code, written in document.data.items():
            listed = isinstance(written, list)
            for n, columns in enumerate(written if listed else [written]):
                place = (code, n) if listed else (code,)
                if isinstance(columns, dict):
                    cells = {str(name).casefold(): _written(document, (*place, name), value, problems)
                             for name, value in columns.items()}  # fmt: skip
                    line = document.problem(place, "").line
                    yield CatalogueRow(
                        str(code), "", {k: v for k, v in cells.items() if v}, document.name, line
                    )
                else:
                    problems.append(document.problem(place, "the columns of a step stand here"))


def _written(document: YamlDocument, place: tuple[Any, ...], value: Any, problems: list[Problem]) -> Cell:
    values = value if isinstance(value, list) else [value]
    if any(isinstance(each, (dict, list)) for each in values):
        problems.append(document.problem(place, "a text stands here, or a list of texts"))
        return ()
    return tuple(part for each in values if each is not None for part in _cell(str(each)))
