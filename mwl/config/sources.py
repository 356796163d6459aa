"""Where a configuration comes from: a file, the environment, credentials; and which came from where.

One tree of plain data is put together from the sources, each laid over the one before:
the file, ``$CREDENTIALS_DIRECTORY/database``, ``MWL_…`` variables.  Every place of the tree keeps its
`Origin`, so that a mistake and an effective value can both say where they were written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mwl import yamldoc
from mwl.errors import BadDocument, Problem
from mwl.yamldoc import Key, Mark, Place, YamlDocument

PREFIX = "MWL_"
NESTED = "__"
SEARCHED = (Path("mwl.yaml"), Path("/etc/mwl/mwl.yaml"))
"""Files looked for when neither ``--config`` nor ``$MWL_CONFIG`` names one, in this order."""

_NO_SETTINGS = frozenset({"MWL_CONFIG", "MWL_LOG_LEVEL", "MWL_REQUIRE_PEERS"})
_TESTS = "MWL_TEST_"
_DATABASE: Place = ("database",)
_NAMES: frozenset[Place] = frozenset({("devices",), ("systems",), ("dicom", "users")})


@dataclass(frozen=True, slots=True)
class Origin(Mark):
    """Where a value was written: a line of a file, a variable, a credential."""

    source: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" if self.line else self.source


@dataclass(frozen=True)
class Written(YamlDocument):
    """All that was written, as one document whose marks are origins."""

    mistakes: list[Problem] = field(default_factory=list)

    def problem(self, place: Iterable[Key], message: str, *, at_key: bool = False, **extra: Any) -> Problem:
        """Return a `Problem` that names the file or variable *place* was written in."""
        place = tuple(place)
        marks = {**self.values, **self.keys} if at_key else self.values
        while place and place not in marks:
            place = place[:-1]
        mark = marks.get(place, Mark(1, 1))
        source = mark.source if isinstance(mark, Origin) else self.name
        return Problem(source, mark.line or 1, mark.column or 1, message, **extra)


def find(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return the file to read: *path*, else ``$MWL_CONFIG``, else the first that exists; None for none."""
    if path is None and environ.get("MWL_CONFIG"):
        path = Path(environ["MWL_CONFIG"])
    return path or next((each for each in SEARCHED if each.is_file()), None)


def gather(path: Path | None, environ: Mapping[str, str]) -> Written:
    """Return what file and environment hold; raise `BadDocument` where the file is unreadable or not YAML."""
    tree = _Tree(str(path) if path else "defaults")
    if path is not None:
        tree.lay((), _single(path), str(path))
        tree.strip_titles()
    tree.credential(environ)
    tree.variables(environ)
    return tree.written()


def _single(path: Path) -> YamlDocument:
    documents = yamldoc.load(path)
    if len(documents) > 1:
        raise BadDocument([documents[1].problem((), "a second document: a configuration is one")])
    document = documents[0] if documents else YamlDocument(str(path), None, {}, {})
    if not isinstance(document.data, dict | None):
        raise BadDocument([document.problem((), "a configuration is keys and values")])
    return document


class _Tree:
    """Plain data under construction."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.data: dict[str, Any] = {}
        self.keys: dict[Place, Mark] = {}
        self.values: dict[Place, Mark] = {}
        self.mistakes: list[Problem] = []

    def written(self) -> Written:
        return Written(self.name, self.data, self.keys, self.values, self.mistakes)

    def lay(self, place: Place, document: YamlDocument, source: str, *, lines: bool = True) -> None:
        """Put the document at *place*, in the stead of what was there."""
        for marks, new in ((self.keys, document.keys), (self.values, document.values)):
            for old in [each for each in marks if each[: len(place)] == place]:
                del marks[old]
            for each, mark in new.items():
                line, column = (mark.line, mark.column) if lines else (0, 0)
                marks[*place, *each] = Origin(line, column, source)
        self._put(place, document.data)

    def _put(self, place: Place, value: Any) -> None:
        if not place:
            self.data = value or {}
            return
        inner: dict[Key, Any] = self.data  # type: ignore[assignment]  # a dict of str is one of its keys' union
        for key in place[:-1]:
            if not isinstance(inner.get(key), dict):
                inner[key] = {}
            inner = inner[key]
        inner[place[-1]] = value

    def strip_titles(self) -> None:
        """Take the insignificant blanks from the AE titles that are keys (E-05)."""
        devices = self.data.get("devices")
        if not isinstance(devices, dict) or all(title == title.strip() for title in devices):
            return
        bare: dict[str, Any] = {}
        for title, device in devices.items():
            if title.strip() in bare:
                message = f"the AE title {title.strip()!r} stands here twice: blanks around it do not count"
                self.mistakes.append(self.written().problem(("devices", title), message, at_key=True))
            bare[title.strip()] = device
        self.data["devices"] = bare
        self.keys = {_stripped(place): mark for place, mark in self.keys.items()}
        self.values = {_stripped(place): mark for place, mark in self.values.items()}

    def credential(self, environ: Mapping[str, str]) -> None:
        """Take the database's URL from systemd's credentials (LoadCredential=database:…)."""
        if folder := environ.get("CREDENTIALS_DIRECTORY"):
            path = Path(folder, "database")
            if path.is_file():
                self._secret(path, "credential database")

    def variables(self, environ: Mapping[str, str]) -> None:
        """Take every ``MWL_…`` variable; a parent comes before its parts."""
        if environ.get("MWL_DATABASE") and environ.get("MWL_DATABASE_FILE"):
            self._mistake("$MWL_DATABASE_FILE", "MWL_DATABASE is set too: keep one of them")
        for name, value in sorted(environ.items()):
            if not name.startswith(PREFIX) or name in _NO_SETTINGS or name.startswith(_TESTS) or not value:
                continue
            if name == "MWL_DATABASE_FILE":
                self._secret(Path(value), f"${name}")
            else:
                self._variable(name, value)

    def _variable(self, name: str, value: str) -> None:
        place = self._place(name.removeprefix(PREFIX).split(NESTED))
        source = f"${name}"
        try:
            self.lay(place, _read(value, source), source, lines=False)
        except BadDocument as error:
            self.mistakes.extend(error.problems)

    def _place(self, parts: Iterable[str]) -> Place:
        """Return the place a variable names: keys are lower case, names are as the file spells them."""
        place: Place = ()
        inner: Any = self.data
        for part in parts:
            names_follow = place in _NAMES or place[-1:] == ("vars",)
            key = _spelled(part, inner) if names_follow else part.lower()
            place = (*place, key)
            inner = inner.get(key) if isinstance(inner, dict) else None
        return place

    def _secret(self, path: Path, source: str) -> None:
        try:
            text = path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            self._mistake(source, f"{path} cannot be read: {getattr(error, 'strerror', 'not UTF-8')}")
        else:
            self.lay(_DATABASE, _text(text, source), source, lines=False)

    def _mistake(self, source: str, message: str) -> None:
        self.mistakes.append(Problem(source, 1, 1, message))


def _stripped(place: Place) -> Place:
    if place[:1] != ("devices",) or len(place) == 1:
        return place
    return (place[0], str(place[1]).strip(), *place[2:])


def _spelled(part: str, known: Any) -> str:
    names = list(known) if isinstance(known, dict) else []
    alike = [name for name in names if name.casefold() == part.casefold()]
    return part if part in names or len(alike) != 1 else alike[0]


def _read(value: str, source: str) -> YamlDocument:
    """Read a variable: a whole section is written as ``{key: value}``, all else is text as it stands."""
    return yamldoc.parse(value, source)[0] if value.startswith("{") else _text(value, source)


def _text(value: str, source: str) -> YamlDocument:
    return YamlDocument(source, value, {(): Mark(1, 1)}, {(): Mark(1, 1)})
