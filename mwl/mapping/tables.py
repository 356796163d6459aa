"""Tables of words that stand for others: looking up in them, and the CSV files they may stand in.

Letter case and outer blanks of what is looked up do not count.  A ``*`` in a key stands for any text;
rows without one are asked first, the others in the order they are written.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Generic, TypeVar

from mwl.errors import BadDocument, Problem
from mwl.yamldoc import suggestion

Value = TypeVar("Value")

_MAX_BYTES = 16 << 20  # a procedure catalogue of 100,000 rows has 5 MiB


class Lookup(Generic[Value]):
    """What stands for which text."""

    def __init__(self, rows: Iterable[tuple[str, Value]]) -> None:
        """*rows* are (key, value); of equal keys the first counts."""
        self._exact: dict[str, Value] = {}
        self._patterns: list[tuple[re.Pattern[str], Value]] = []
        for key, value in rows:
            folded = fold(key)
            if "*" in folded:
                self._patterns.append((_starred(folded), value))
            else:
                self._exact.setdefault(folded, value)

    def get(self, text: str) -> Value | None:
        """Return what stands for *text*, None where no row fits."""
        folded = fold(text)
        found = self._exact.get(folded)
        if found is None and self._patterns:
            found = next((value for pattern, value in self._patterns if pattern.fullmatch(folded)), None)
        return found


def _starred(key: str) -> re.Pattern[str]:
    first, *rest = map(re.escape, key.split("*"))
    # Atomic groups: "*a*a*a*b" must not try every way to share out what a peer sends.
    inner = "".join(f"(?>.*?{part})" for part in rest[:-1])
    return re.compile(f"{first}{inner}.*{rest[-1]}", re.DOTALL)


def fold(text: str) -> str:
    """Return *text* as keys are compared."""
    return text.strip().casefold()


def read_lines(path: Path) -> list[str]:
    """Return the lines of a file of UTF-8; raise `BadDocument` where it cannot be read."""
    name = str(path)
    try:
        raw = path.read_bytes()
        if len(raw) > _MAX_BYTES:
            raise BadDocument([Problem(name, 1, 1, "is larger than 16 MiB")])
        return raw.decode("utf-8-sig").splitlines()
    except OSError as error:
        raise BadDocument([Problem(name, 1, 1, f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BadDocument([Problem(name, line, 1, "is not UTF-8")]) from None


@dataclass(frozen=True, slots=True)
class Columns:
    """A CSV file: the names of its columns, and its rows below the name of each."""

    names: tuple[str, ...]
    rows: tuple[Mapping[str, str], ...]
    digest: str  # of its text


class ColumnFiles:
    """The CSV files under the ``tables`` of some folders, the nearest first; each is read once."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)
        self._read: dict[str, Columns] = {}

    @property
    def digests(self) -> dict[str, str]:
        """What has been read, and its fingerprint."""
        return {name: table.digest for name, table in self._read.items()}

    def get(self, name: str) -> Columns:
        """Return the table *name*, ``exams.csv`` or ``site/exams``.

        Raises `KeyError` with words where there is none, `BadDocument` for a file that is wrong.
        """
        if name not in self._read:
            self._read[name] = _columns(self._path(name))
        return self._read[name]

    def _path(self, name: str) -> Path:
        wanted = PurePosixPath(name if name.endswith(".csv") else f"{name}.csv")
        if wanted.is_absolute() or ".." in wanted.parts or "\\" in name:
            raise KeyError(f"a table is named by its path below the folder 'tables', not {name!r}")
        for folder in self._folders:
            if (path := folder / "tables" / wanted).is_file():
                return path
        raise KeyError(
            f"there is no table {str(wanted)!r} in 'tables'{suggestion(str(wanted), self._names())}"
        )

    def _names(self) -> Iterator[str]:
        for folder in self._folders:
            for path in (folder / "tables").rglob("*.csv"):
                yield path.relative_to(folder / "tables").as_posix()


def _columns(path: Path) -> Columns:
    lines, file = read_lines(path), str(path)
    problems: list[Problem] = []
    names: list[str] = []
    rows: list[Mapping[str, str]] = []
    reader = csv.reader(lines, strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        if len(names) < 2 or len(set(names)) < len(names) or not all(names):
            problems.append(
                Problem(file, 1, 1, "the first line names the columns, two at least, all different")
            )
        for cells in reader:
            if len(cells) > len(names):
                problems.append(Problem(file, reader.line_num, 1, "this row has more columns than the first"))
            elif any(cells):
                filled = [cell.strip() for cell in cells] + [""] * (len(names) - len(cells))
                rows.append(dict(zip(names, filled, strict=True)))
    except csv.Error as error:
        problems.append(Problem(file, reader.line_num, 1, f"is not CSV: {error}"))
    if problems:
        raise BadDocument(problems)
    return Columns(tuple(names), tuple(rows), hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32])
