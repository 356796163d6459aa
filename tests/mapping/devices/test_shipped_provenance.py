"""Where the facts of the shipped profiles come from: each says its grade and its source, and none is grade D.

A fact is a line of a profile that does something.  Its comment stands behind it, above it, or behind or
above what it is part of: ``# A [1]`` with the sources numbered at the head of the profile, a clause of the
standard, or ``no evidence`` with a reason.  What is a rumour is a comment that begins ``# D:``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mwl import yamldoc
from mwl.mapping.devices.device import load_devices
from mwl.yamldoc import Place, YamlDocument

FOLDER = Path(__file__).parents[3] / "mappings" / "devices"
SPOKEN = {"profile", "status", "extends", "vars", "notes", "tests", "priority"}
"""Keys that speak of the profile: they are no facts."""

SOURCE = re.compile(r"^# \[(?P<number>\d+)\] (?P<text>.+)$")
GRADES = re.compile(r"\((?P<grades>[A-Z](/[A-Z])*)\)$")
CITED = re.compile(r"\b(?P<grade>[A-Z]) (?P<numbers>\[\d+\](, \[\d+\])*)")
STANDARD = re.compile(r"\bPS3\.\d+ [A-Z0-9]|\bPS3\.\d+ Table")
ADMITTED = "no evidence"


@dataclass(frozen=True)
class Shipped:
    """A profile as it stands in its file: the lines of its document, and their marks."""

    document: YamlDocument
    lines: dict[int, str]  # by their number in the file

    @property
    def name(self) -> str:
        return str(self.document.data["profile"])

    @property
    def head(self) -> list[str]:
        """The comment lines above the profile's name, sources that go on joined."""
        first = self.document.keys[("profile",)].line
        above = [self.lines[number] for number in sorted(self.lines) if number < first]
        return "\n".join(above).replace("\n#     ", " ").splitlines()

    @property
    def sources(self) -> dict[str, set[str]]:
        """The grades of each source, by its number."""
        found = {}
        for line in self.head:
            if match := SOURCE.match(line):
                graded = GRADES.search(match["text"])
                found[match["number"]] = set(graded["grades"].split("/")) if graded else set()
        return found

    def comment(self, number: int) -> str:
        """Return the comment behind a line."""
        line = self.lines.get(number, "")
        return line.partition(" #")[2] if not line.lstrip().startswith("#") else ""

    def above(self, number: int) -> str:
        """Return the comment lines directly above a line."""
        found = []
        while self.lines.get(number := number - 1, "").lstrip().startswith("#"):
            found.append(self.lines[number].lstrip(" #"))
        return " ".join(reversed(found))

    def facts(self) -> Iterator[Place]:
        """Yield what does something: each line of each operation that stands on a line of its own."""
        yield from (
            place for key in self.document.data if key not in SPOKEN for place in self._inside((key,))
        )

    def _inside(self, place: Place) -> Iterator[Place]:
        here = self.line(place)
        value: Any = self.document.data
        for key in place:
            value = value[key]
        keys: list[Any] = (
            list(value)
            if isinstance(value, dict)
            else list(range(len(value)))
            if isinstance(value, list)
            else []
        )
        inner = [(*place, key) for key in keys]
        if inner and all(self.line(each) != here for each in inner):
            yield from (fact for each in inner for fact in self._inside(each))
        else:
            yield place

    def line(self, place: Place) -> int:
        """Return the line on which something stands."""
        return (self.document.keys.get(place) or self.document.values[place]).line

    def said(self, place: Place) -> str:
        """Return the comments on a fact: its own, and those on what it is part of."""
        found = []
        for depth in range(1, len(place) + 1):
            number = self.line(place[:depth])
            found += [self.comment(number), self.above(number)]
        return " ".join(found)


def read() -> Iterator[Shipped]:
    """Yield every profile that ships."""
    for path in sorted(FOLDER.glob("*.yaml")):
        lines = path.read_text("utf-8").splitlines()
        parts: list[dict[int, str]] = [{}]
        for number, line in enumerate(lines, 1):
            if line == "---":
                parts.append({})
            else:
                parts[-1][number] = line
        yield from (Shipped(document, part) for document, part in zip(yamldoc.load(path), parts, strict=True))


PROFILES = {each.name: each for each in read()}


def test_every_profile_that_is_loaded_is_looked_at():
    """Those of files with several documents, too."""
    assert set(PROFILES) == set(load_devices([FOLDER.parent]).names)


@pytest.mark.parametrize("name", PROFILES)
def test_its_head_says_what_it_is_for_and_numbers_its_sources(name):
    """A document or a thread each, with its grade: A, B or C."""
    profile = PROFILES[name]

    assert [line for line in profile.head if line.startswith("# For: ")]
    assert list(profile.sources) == [str(number) for number in range(1, len(profile.sources) + 1)]
    assert profile.sources
    assert all(grades and grades <= {"A", "B", "C"} for grades in profile.sources.values())


@pytest.mark.parametrize("name", PROFILES)
def test_every_fact_says_where_it_comes_from(name):
    """A grade with a source, a clause of the standard, or that there is no evidence."""
    profile = PROFILES[name]

    unsaid = [
        place
        for place in profile.facts()
        if not (CITED.search(said := profile.said(place)) or STANDARD.search(said) or ADMITTED in said)
    ]

    assert unsaid == []


@pytest.mark.parametrize("name", PROFILES)
def test_what_is_cited_is_a_source_of_that_grade(name):
    """And every source is of use."""
    profile = PROFILES[name]
    cited = {
        (match["grade"], number)
        for line in profile.lines.values()
        if "#" in line and not SOURCE.match(line)
        for match in CITED.finditer(line.partition("#")[2])
        for number in re.findall(r"\d+", match["numbers"])
    }
    used = {
        number
        for line in profile.lines.values()
        if not SOURCE.match(line)
        for number in re.findall(r"\[(\d+)\]", line)
    }

    assert [each for each in cited if each[0] not in profile.sources.get(each[1], ())] == []
    assert set(profile.sources) <= used


def hints(profile: Shipped) -> list[str]:
    """Return the grade D lines, as lines of a profile."""
    return [line.removeprefix("# D: ") for line in profile.lines.values() if line.startswith("# D: ")]


def test_rumours_are_comments():
    """No D stands behind a line that does something, nor above one."""
    for profile in PROFILES.values():
        for place in profile.facts():
            assert not re.search(r"(^| )D(:| \[)", profile.said(place)), (profile.name, place)


@pytest.mark.parametrize(
    ("name", "hint"), [(name, hint) for name, profile in PROFILES.items() for hint in hints(profile)]
)
def test_a_rumour_can_be_tried(name, hint, write):
    """Uncommented in a site's profile it loads, and it is not what the shipped one says already."""
    lines = yamldoc.parse(hint, "hint")[0].data

    found = load_devices(
        [write(site=f"profile: site\nstatus: hypothesis\nextends: {name}\n{hint}\n"), FOLDER.parent]
    )

    assert found.names
    assert all(PROFILES[name].document.data.get(key) != value for key, value in lines.items())


MISTAKES = {
    "no comment": "wire: {ts: [ILE]}",
    "a grade without a source": "wire: {ts: [ILE]} # A",
    "one of several": "accept:\n  private: ignore # A [1]\n  qr_level: ignore",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_fact_without_its_source_would_be_found(mistake):
    """So that the tests above can fail."""
    text = f"# For: nothing\n# [1] Nobody (A)\nprofile: x\nstatus: partial\n{MISTAKES[mistake]}\n"
    (document,) = yamldoc.parse(text, "x.yaml")
    profile = Shipped(document, dict(enumerate(text.splitlines(), 1)))

    assert any(not CITED.search(profile.said(place)) for place in profile.facts())
