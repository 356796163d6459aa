"""From the section ``catalogue`` of a profile and the file it names to a catalogue; mistakes in place.

Every cell that a line reads is read once while the profile is bound: what is no value of the attribute is
a mistake in the file, at its line, and never one of an order.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

from mwl.errors import BadDocument, Problem
from mwl.mapping.systems.catalogue import Catalogue, Column, in_cell
from mwl.mapping.systems.catalogue_file import CODE, STEP, CatalogueRow, Cell, read_catalogue
from mwl.mapping.systems.compiling import Compiler
from mwl.mapping.systems.conversion import Conversion, Mistake
from mwl.mapping.systems.hl7paths import Found
from mwl.mapping.systems.lookup import Table
from mwl.mapping.systems.reading import Reading
from mwl.mapping.systems.source import FieldKey, Repetition, Source
from mwl.mapping.systems.system_form import CatalogueForm
from mwl.model import Document
from mwl.yamldoc import suggestion

_PLACE = ("catalogue",)


def compile_catalogue(form: CatalogueForm, compiler: Compiler) -> Catalogue | None:
    """Return the catalogue of a profile, None where it names no file."""
    paths = [compiler.absolute(text, (*_PLACE, "code", n)) for n, text in enumerate(form.code)]
    if form.file is None:
        return None
    if not form.code:
        compiler.lack(_PLACE, "catalogue: the key 'code' is missing")
    rows = _rows(form.file, compiler)
    compiler.tables_used[form.file] = tuple((row.code, repr((row.step, row.cells))) for row in rows)
    by_code: dict[str, list[CatalogueRow]] = {}
    for row in rows:
        by_code.setdefault(row.code.casefold(), []).append(row)
    return Catalogue(
        tuple(each for each in paths if each),
        {code: tuple(found) for code, found in by_code.items()},
        Table((code, code) for code in by_code),
        refuses=form.miss == "error",
    )


def _rows(name: str, compiler: Compiler) -> Sequence[CatalogueRow]:
    if (path := compiler.files.catalogue(name)) is None:
        compiler.problem((*_PLACE, "file"), f"there is no table {name!r}, neither CSV nor YAML")
        return ()
    try:
        return read_catalogue(path)
    except BadDocument as error:
        compiler.problems += error.problems
        return ()


def check_cells(conversion: Conversion, origins: Iterable[object], compiler: Compiler) -> None:
    """Note every cell of which a line's conversion makes no value, or another one than is written."""
    for column in origins:
        if not isinstance(column, Column):
            continue
        told: dict[Cell, list[str]] = {}  # most cells of a column say the same
        for row in _every(column.catalogue):
            if cell := row.cells.get(column.name):
                if cell not in told:
                    told[cell] = _mistakes(conversion, cell)
                compiler.problems += [row.problem(f"column {column.name!r}: {each}") for each in told[cell]]


def check_columns(compiler: Compiler) -> None:
    """Note columns that no line reads, where they look like one that is read; others are for people."""
    if compiler.catalogue is None:
        return
    written = {name: row for row in _every(compiler.catalogue) for name in row.cells}
    for name in sorted(written.keys() - compiler.columns_used - {STEP}):
        if hint := suggestion(name, [*compiler.columns_used, STEP, CODE]):
            message = f"no line of the profile reads the column {name!r}{hint}"
            compiler.problems.append(Problem(written[name].file, 1, 1, message))


def _every(catalogue: Catalogue) -> list[CatalogueRow]:
    return [row for rows in catalogue.rows.values() for row in rows]


def _mistakes(conversion: Conversion, cell: Cell) -> list[str]:
    reading = Reading(dt.UTC, known=_START)
    try:
        made = conversion.values(in_cell(cell, _NOWHERE), reading)
    except Mistake as mistake:
        return [mistake.text]
    remarks = [each.text for each in reading.warnings]
    return remarks or ([] if made else ["this is no value of its attribute"])


_START: Document = {
    "00400002": {"vr": "DA", "Value": ["20000101"]},
    "00400003": {"vr": "TM", "Value": ["000000"]},
}


class _NoMessage:
    """What a cell stands in while it is checked; a `mwl.mapping.systems.source.Source`."""

    @property
    def filled(self) -> frozenset[FieldKey]:
        return frozenset()

    def count(self, segment: str) -> int:
        del segment
        return 0

    def field(self, segment: str, occurrence: int, field: int) -> tuple[Repetition, ...]:
        del segment, occurrence, field
        return ()

    def groups(self, starts: Sequence[str]) -> Sequence[Source]:
        del starts
        return ()

    def location(self, segment: str, occurrence: int) -> tuple[str, int]:
        return segment, occurrence


_NOWHERE = Found((), "^", _NoMessage(), "OBR", 1, 4, 1)
