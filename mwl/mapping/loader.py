"""Profile files into effective profiles, the same way for both sides of the broker.

A folder of profiles holds YAML files, each with one or more documents, each document one profile with
a name.  `read_folder` reads them all; of two profiles with one name the one in the nearer folder wins,
so a site shadows what is shipped.  `resolve` stacks a profile on those it extends (`mwl.mapping.stacking`
says how), `fill` puts its variables in place.  Every value of the result knows the line of the file that
wrote it; a mistake is reported there, and all mistakes at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mwl import yamldoc
from mwl.errors import BadDocument, Problem
from mwl.mapping.stacking import HEADER, Adding, alone, lineage, resolve
from mwl.mapping.written import Blame, Effective, Written, digest
from mwl.yamldoc import Mark, Place, YamlDocument, suggestion

__all__ = [
    "BASE",
    "HEADER",
    "Adding",
    "Blame",
    "Effective",
    "Folder",
    "Written",
    "alone",
    "digest",
    "fill",
    "filled",
    "lineage",
    "load_folder",
    "read_folder",
    "resolve",
    "unrooted",
]

BASE = "generic"
"""What a profile rests on when it names nothing else; `generic` itself rests on nothing."""

_UNNAMED = "unnamed"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VARIABLE = re.compile(r"\$var\.([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True, slots=True)
class Folder:
    """What was read of the profiles of some folders, and what could not be."""

    written: Mapping[str, Written]
    problems: tuple[Problem, ...]
    unread: frozenset[str] = frozenset()  # files that could not be read as profiles, by their names
    misnamed: tuple[
        Written, ...
    ] = ()  # of no use, their `profile` or `extends` is wrong; the rest may be, too

    def rooted(self, name: str) -> bool:
        """Tell whether *name* can be stacked: all it rests on was read, and nothing rests on itself."""
        below = {name, *_ancestors(name, self.written)}
        return below <= self.written.keys() and not any(
            each in _ancestors(each, self.written) for each in below
        )


def load_folder(
    folders: Sequence[Path], kind: str, *, base: str = BASE, drafts: Sequence[Path] = ()
) -> dict[str, Written]:
    """Do as `read_folder`; raise `BadDocument` where anything is wrong."""
    found = read_folder(folders, kind, base=base, drafts=drafts)
    if found.problems:
        raise BadDocument(found.problems)
    return dict(found.written)


def read_folder(
    folders: Sequence[Path], kind: str, *, base: str = BASE, drafts: Sequence[Path] = ()
) -> Folder:
    """Read every profile of *kind* (``devices``, ``systems``) under *folders*, the nearest first.

    *drafts* are files that stand in none of them; they are nearer than all.  Mistakes of all files are
    found: unreadable YAML, a profile without a name, two of one name in a folder, an unknown or circular
    ``extends``.
    """
    problems: list[Problem] = []
    written: dict[str, Written] = {}
    misnamed: list[Written] = []
    for paths in (drafts, *(sorted((folder / kind).glob("*.yaml")) for folder in folders)):
        here: dict[str, Written] = {}
        for path in paths:
            for profile in _read(path, base, problems, misnamed):
                _enter(here, profile, problems)
        written = {**here, **written}
    # Who extends a file that cannot be read has made no mistake: that file's own is told.
    unread = frozenset(Path(problem.file).stem for problem in problems) - written.keys()
    found = (*written.values(), *misnamed)
    problems += [problem for each in found for problem in _ancestry(each, written, unread)]
    return Folder(written, tuple(problems), unread, tuple(misnamed))


def _read(path: Path, base: str, problems: list[Problem], misnamed: list[Written]) -> Iterator[Written]:
    try:
        documents = yamldoc.load(path)
    except BadDocument as error:
        problems += error.problems
        return
    for document in documents:
        if document.data is None:  # a file of comments
            continue
        if not isinstance(document.data, dict):
            problems.append(document.problem((), "a profile is a mapping of keys to values"))
            continue
        name, parents = document.data.get("profile"), _parents(document, base)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            name = None
            problems.append(_nameless(document))
        if parents is None:
            problems.append(document.problem(("extends",), "extends: a profile's name, or a list of names"))
        if name is not None and parents is not None:
            yield Written(name, document, parents)
        else:
            misnamed.append(_stand_in(document, parents or ()))


def _stand_in(document: YamlDocument, parents: tuple[str, ...]) -> Written:
    """Return a profile without the mistakes in its first lines, so that the others are found as well."""
    data = {key: value for key, value in document.data.items() if key != "extends" or parents}
    values = {("profile",): Mark(1, 1), **document.values}
    return Written("", replace(document, data={**data, "profile": _UNNAMED}, values=values), parents)


def _nameless(document: YamlDocument) -> Problem:
    if "profile" not in document.data:
        return document.problem((), "the key 'profile' is missing here")
    return document.problem(
        ("profile",), "profile: a name of letters, digits, '.', '_' and '-', up to 64 long"
    )


def _parents(document: YamlDocument, base: str) -> tuple[str, ...] | None:
    value = document.data.get("extends")
    if value is None:
        return () if document.data.get("profile") == base else (base,)
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    return tuple(names)


def _enter(here: dict[str, Written], profile: Written, problems: list[Problem]) -> None:
    if earlier := here.get(profile.name):
        first = earlier.document.problem(("profile",), "")
        message = f"the profile {profile.name!r} stands already at {first.file}:{first.line}"
        problems.append(profile.document.problem(("profile",), message))
    here.setdefault(profile.name, profile)


def _ancestry(profile: Written, written: Mapping[str, Written], unread: Container[str]) -> Iterator[Problem]:
    listed = isinstance(profile.data.get("extends"), list)
    for index, parent in enumerate(profile.parents):
        place = ("extends", index) if listed else ("extends",)
        if parent in unread:
            continue
        if parent not in written:
            known = suggestion(parent, written)
            yield profile.document.problem(place, f"there is no profile {parent!r}{known}")
        elif parent == profile.name or profile.name in _ancestors(parent, written):
            yield profile.document.problem(place, f"{profile.name!r} extends itself by way of {parent!r}")


def _ancestors(name: str, written: Mapping[str, Written]) -> set[str]:
    """Return all that *name* rests on; itself, too, where it extends itself by way of another."""
    found: set[str] = set()
    waiting = list(written[name].parents) if name in written else []
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            waiting += written[each].parents if each in written else ()
    return found


def unrooted(profile: Written, *, adding: Adding | None = None) -> Effective:
    """Return what one document says, for a profile that cannot be stacked: every variable lacks its value."""
    own = alone(profile, adding=adding)
    named = dict.fromkeys(_VARIABLE.findall(json.dumps(own.data)))
    declared = own.data.get("vars", {})
    if isinstance(declared, dict):  # else it is a mistake, which is told by what judges the profile
        own = replace(own, data={**own.data, "vars": {**named, **declared}})
    return filled(own, None)[0]


def fill(profile: Effective, given: Mapping[str, Any] | None, blame: Blame | None = None) -> Effective:
    """Put variables in place: ``$var.room`` alone takes the value as it is, inside a text its text.

    *given* overrides the defaults under ``vars:``.  With None nobody asks for this profile yet:
    what waits for a variable without a default is listed in `unfilled` instead of being an error.
    A mistake that *given* made is that of whoever gave it, whom *blame* knows.  Raises `BadDocument` for
    a variable that is not declared, not known or not given.
    """
    effective, problems = filled(profile, given, blame)
    if problems:
        raise BadDocument(problems)
    return effective


def filled(
    profile: Effective, given: Mapping[str, Any] | None, blame: Blame | None = None
) -> tuple[Effective, list[Problem]]:
    """Do as `fill`, and return the mistakes beside what can be filled all the same."""
    if not isinstance(profile.data.get("vars", {}), dict):
        return profile, [profile.problem(("vars",), "vars: a mapping of names to values")]
    return _Filling(profile, given, blame).filled()


class _Filling:
    """Puts the variables of one profile in place; collects problems."""

    def __init__(self, profile: Effective, given: Mapping[str, Any] | None, blame: Blame | None) -> None:
        self._profile, self._given, self._blame = profile, given, blame
        declared = profile.data.get("vars", {})
        self._known: dict[str, Any] = {**declared, **(given or {})}
        self._unfilled: set[Place] = set()
        self._places: dict[Place, str] = {}
        self._problems = [
            self._unknown(name, suggestion(name, declared)) for name in given or {} if name not in declared
        ]

    def filled(self) -> tuple[Effective, list[Problem]]:
        profile = self._profile
        data = {key: self._put(value, (key,)) for key, value in profile.data.items() if key != "vars"}
        effective = replace(
            profile,
            data={**data, "vars": self._known} if self._known else data,
            unfilled=frozenset(self._unfilled),
            given=self._places,
            blame=self._blame,
        )
        return effective, list(dict.fromkeys(self._problems))

    def _put(self, value: Any, place: Place) -> Any:
        if isinstance(value, dict):
            return {key: self._put(each, (*place, key)) for key, each in value.items()}
        if isinstance(value, list):
            return [self._put(each, (*place, index)) for index, each in enumerate(value)]
        return self._substituted(value, place) if isinstance(value, str) and "$var." in value else value

    def _substituted(self, text: str, place: Place) -> Any:
        names = _VARIABLE.findall(text)
        for name in names:
            self._look(name, place)
        if any(self._known.get(name) is None for name in names):
            self._unfilled.add(place)
            return text
        if whole := _VARIABLE.fullmatch(text):
            return self._known[whole[1]]
        return _VARIABLE.sub(lambda match: str(self._known[match[1]]), text)

    def _look(self, name: str, place: Place) -> None:
        if name not in self._known:
            hint = suggestion(name, self._known)
            self._problems.append(
                self._profile.problem(place, f"the variable {name!r} is not declared in 'vars'{hint}")
            )
        elif self._known[name] is None and self._given is not None:
            self._problems.append(self._lacking(name, place))
        elif name in (self._given or {}):
            self._places[place] = name

    def _lacking(self, name: str, place: Place) -> Problem:
        message = f"the variable {name!r} has no value: give it in 'vars'"
        if self._blame is None:
            return self._profile.problem(place, message)
        return self._blame(name, f"{message}; the profile {self._profile.chain[-1]!r} needs it")

    def _unknown(self, name: str, hint: str) -> Problem:
        if self._blame is None:
            return self._profile.problem(("vars",), f"this profile has no variable {name!r}{hint}")
        return self._blame(name, f"the profile {self._profile.chain[-1]!r} has no variable {name!r}{hint}")
