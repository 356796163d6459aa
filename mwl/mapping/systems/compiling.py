"""What compiling any part of a system profile needs: paths, attributes and tables, mistakes in place.

A wrong word becomes a `Problem` at its file, line and column, with the nearest right one where there is
one; compiling goes on, so that an engineer sees all mistakes at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from mwl.errors import BadDocument, Problem
from mwl.mapping import paths
from mwl.mapping.systems.catalogue import Catalogue
from mwl.mapping.systems.hl7paths import AnyPath, BadPath, Hl7Path, Which, parse_path
from mwl.mapping.systems.lookup import Row, Table, TableFiles
from mwl.mapping.systems.source import FieldKey
from mwl.mapping.systems.system_form import StationForm, TableForm
from mwl.mapping.written import Effective
from mwl.query import Path
from mwl.yamldoc import Key, suggestion

_SEGMENT: Final = re.compile(r"[A-Z][A-Z0-9]{2}")


@dataclass
class Compiler:
    """Compiles one profile; *problems* grows, *tables_used* is what its digest must cover."""

    profile: Effective
    files: TableFiles
    problems: list[Problem] = field(default_factory=list)
    picks: Mapping[FieldKey, tuple[Which, ...]] = field(default_factory=dict)
    tables_used: dict[str, tuple[Row, ...]] = field(default_factory=dict)
    catalogue: Catalogue | None = None
    columns_used: set[str] = field(default_factory=set)  # of the catalogue
    stations: Mapping[str, StationForm] = field(default_factory=dict)
    stations_used: bool = False  # whether a line names the rules
    partial: bool = False  # it is not all there: what it lacks may stand in what could not be read

    def problem(self, place: Sequence[Key], message: str, *, at_key: bool = False) -> None:
        """Note a mistake at *place*; steps that the profile leaves out by writing shorthand do not count."""
        written: tuple[Key, ...] = ()
        for key in place:
            if (*written, key) in self.profile.values:
                written = (*written, key)
        if not self._waits(written):
            self.problems.append(self.profile.problem(written, message, at_key=at_key))

    def lack(self, place: Sequence[Key], message: str, *, at_key: bool = False) -> None:
        """Note that something is missing, or that nothing names it, unless that may be elsewhere."""
        if not self.partial:
            self.problem(place, message, at_key=at_key)

    def _waits(self, place: tuple[Key, ...]) -> bool:
        """Tell whether what stands at *place* waits for a variable, or holds what does."""
        unfilled = self.profile.unfilled
        return any(place[: len(each)] == each or each[: len(place)] == place for each in unfilled)

    # ── what stands in many places ──

    def path(self, text: str, place: Sequence[Key]) -> AnyPath | None:
        """Return the HL7 path *text*; note where it is none."""
        try:
            found = parse_path(text)
        except BadPath as error:
            self.problem(place, str(error))
            return None
        return found.bound(self.picks) if isinstance(found, Hl7Path) else found

    def absolute(self, text: str, place: Sequence[Key]) -> Hl7Path | None:
        """Return the HL7 path *text*, which names a segment."""
        found = self.path(text, place)
        if found is None or isinstance(found, Hl7Path):
            return found
        self.problem(place, f"{text!r} begins with a dot: that has a meaning only inside 'items'")
        return None

    def tags(self, text: str, place: Sequence[Key], *, at_key: bool = False) -> Path | None:
        """Return the DICOM path *text*; note where it is none."""
        try:
            return paths.parse_path(text)
        except ValueError as error:
            self.problem(place, str(error), at_key=at_key)
            return None

    def segments(self, names: Sequence[str], place: Sequence[Key]) -> None:
        """Note where a name is none of a segment."""
        for index, name in enumerate(names):
            if not _SEGMENT.fullmatch(name):
                self.problem((*place, index), f"{name!r} is no segment such as OBR")

    def table(self, forms: Sequence[TableForm], place: Sequence[Key]) -> Table:
        """Return the rows of all *forms* as one table."""
        rows: list[Row] = []
        for form in forms:
            rows += form.rows.items()
            if form.file is not None:
                rows += self._file(form.file, place)
        return Table(rows)

    def _file(self, name: str, place: Sequence[Key]) -> Sequence[Row]:
        try:
            self.tables_used[name] = self.files.rows(name)
        except KeyError:
            self.problem(place, f"there is no table {name!r}{suggestion(name, self.files.names)}")
        except BadDocument as error:
            self.problems += error.problems
        return self.tables_used.get(name, ())
