"""A profile as it stands in a file, and as it works once all it extends is merged in.

Both are YAML documents that can say where each of their values comes from; an effective profile's
values come from several files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from mwl.errors import Problem
from mwl.yamldoc import Key, Mark, Place, YamlDocument

Blame: TypeAlias = Callable[[str, str], Problem]
"""Makes a problem of a variable's name and a message, at the line that gave the variable its value."""


@dataclass(frozen=True, slots=True)
class Written:
    """One profile as it stands in a file."""

    name: str
    document: YamlDocument
    parents: tuple[str, ...]

    @property
    def data(self) -> dict[str, Any]:
        """The profile's plain data."""
        return dict(self.document.data)

    @property
    def file(self) -> str:
        """The file it was read from, as the folder was named."""
        return self.document.name


@dataclass(frozen=True, slots=True)
class Effective(YamlDocument):
    """A profile with everything it extends merged in; each value still knows its own file."""

    files: Mapping[Place, str] = field(repr=False, default_factory=dict)
    chain: tuple[str, ...] = ()  # from the most general profile to this one
    unfilled: frozenset[Place] = frozenset()  # values that wait for a variable without a default
    given: Mapping[Place, str] = field(repr=False, default_factory=dict)  # values that a variable gave
    blame: Blame | None = field(repr=False, default=None)  # for those: None blames the profile's line

    def problem(self, place: Sequence[Key], message: str, *, at_key: bool = False, **extra: Any) -> Problem:
        """Return a `Problem` at *place*, in the file that wrote it, or gave the variable it is made of."""
        place = nearest(self.values, place)
        mark = (self.keys.get(place) if at_key else None) or self.values.get(place, Mark(1, 1))
        file = self.files.get(place, self.name)
        if self.blame and place in self.given:
            name = self.given[place]
            return self.blame(name, f"{message} (this is $var.{name} of {file}:{mark.line})")
        return Problem(file, mark.line, mark.column, message, **extra)

    def origin(self, *place: Key) -> str:
        """Return ``file:line`` of what wrote *place*, as `explain` shows it."""
        found = nearest(self.values, place)
        mark = self.keys.get(found) or self.values.get(found, Mark(1, 1))
        return f"{self.files.get(found, self.name)}:{mark.line}"

    @property
    def digest(self) -> str:
        """A fingerprint of the data: the same lines have the same, whichever operation stands first."""
        return digest(in_order(self.data))


def in_order(data: Mapping[str, Any]) -> dict[str, str]:
    """Return each value of *data* as a text that tells the order of its lines, which is how they run."""
    return {key: json.dumps(value, ensure_ascii=True, default=str) for key, value in data.items()}


def digest(data: Any) -> str:
    """Return a short, stable fingerprint of plain data."""
    text = json.dumps(data, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def nearest(marks: Mapping[Place, Mark], place: Sequence[Key]) -> Place:
    """Return *place*, or the closest value around it that has a mark."""
    place = tuple(place)
    while place and place not in marks:
        place = place[:-1]
    return place
