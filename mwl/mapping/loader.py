"""Profile files into effective profiles, the same way for both sides of the broker.

A folder of profiles holds YAML files, each with one or more documents, each document one profile with
a name.  `load_folder` reads them all; of two profiles with one name the one in the nearer folder wins,
so a site shadows what is shipped.  `resolve` stacks a profile on those it extends (`mwl.mapping.stacking`
says how), `fill` puts its variables in place.  Every value of the result knows the line of the file that
wrote it; a mistake is reported there, and all mistakes at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mwl import yamldoc
from mwl.errors import BadDocument, Problem
from mwl.mapping.stacking import HEADER, Adding, alone, lineage, resolve
from mwl.mapping.written import Effective, Written, digest
from mwl.yamldoc import Place, YamlDocument, suggestion

__all__ = [
    "BASE",
    "HEADER",
    "Adding",
    "Effective",
    "Written",
    "alone",
    "digest",
    "fill",
    "lineage",
    "load_folder",
    "resolve",
]

BASE = "generic"
"""What a profile rests on when it names nothing else; `generic` itself rests on nothing."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VARIABLE = re.compile(r"\$var\.([A-Za-z_][A-Za-z0-9_]*)")


def load_folder(folders: Sequence[Path], kind: str, *, base: str = BASE) -> dict[str, Written]:
    """Read every profile of *kind* (``devices``, ``systems``) under *folders*, the nearest first.

    Raises `BadDocument` with the mistakes of all files: unreadable YAML, a profile without a name,
    two of one name in a folder, an unknown or circular ``extends``.
    """
    problems: list[Problem] = []
    written: dict[str, Written] = {}
    for folder in folders:
        here: dict[str, Written] = {}
        for path in sorted((folder / kind).glob("*.yaml")):
            for profile in _read(path, base, problems):
                _enter(here, profile, problems)
        written = {**here, **written}
    problems += [problem for name in written for problem in _ancestry(written[name], written)]
    if problems:
        raise BadDocument(problems)
    return written


def _read(path: Path, base: str, problems: list[Problem]) -> Iterator[Written]:
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
            problems.append(_nameless(document))
        elif parents is None:
            problems.append(document.problem(("extends",), "extends: a profile's name, or a list of names"))
        else:
            yield Written(name, document, parents)


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


def _ancestry(profile: Written, written: Mapping[str, Written]) -> Iterator[Problem]:
    listed = isinstance(profile.data.get("extends"), list)
    for index, parent in enumerate(profile.parents):
        place = ("extends", index) if listed else ("extends",)
        if parent not in written:
            known = suggestion(parent, written)
            yield profile.document.problem(place, f"there is no profile {parent!r}{known}")
        elif _leads_back(parent, profile.name, written):
            yield profile.document.problem(place, f"{profile.name!r} extends itself by way of {parent!r}")


def _leads_back(start: str, goal: str, written: Mapping[str, Written]) -> bool:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name == goal:
            return True
        if name not in seen and name in written:
            seen.add(name)
            waiting += written[name].parents
    return False


def fill(profile: Effective, given: Mapping[str, Any] | None) -> Effective:
    """Put variables in place: ``$var.room`` alone takes the value as it is, inside a text its text.

    *given* overrides the defaults under ``vars:``.  With None nobody asks for this profile yet:
    what waits for a variable without a default is listed in `unfilled` instead of being an error.
    Raises `BadDocument` for a variable that is not declared, not known or not given.
    """
    declared = profile.data.get("vars", {})
    if not isinstance(declared, dict):
        raise BadDocument([profile.problem(("vars",), "vars: a mapping of names to values")])
    problems = [
        profile.problem(("vars",), f"this profile has no variable {name!r}{suggestion(name, declared)}")
        for name in given or {}
        if name not in declared
    ]
    known = {**declared, **(given or {})}
    unfilled: set[Place] = set()

    def put(value: Any, place: Place) -> Any:
        if isinstance(value, dict):
            return {key: put(each, (*place, key)) for key, each in value.items()}
        if isinstance(value, list):
            return [put(each, (*place, index)) for index, each in enumerate(value)]
        return _substituted(value, place) if isinstance(value, str) and "$var." in value else value

    def _substituted(text: str, place: Place) -> Any:
        names = _VARIABLE.findall(text)
        for name in names:
            if name not in known:
                hint = suggestion(name, known)
                problems.append(
                    profile.problem(place, f"the variable {name!r} is not declared in 'vars'{hint}")
                )
            elif known[name] is None and given is not None:
                problems.append(
                    profile.problem(place, f"the variable {name!r} has no value: give it in 'vars'")
                )
        if any(known.get(name) is None for name in names):
            unfilled.add(place)
            return text
        if whole := _VARIABLE.fullmatch(text):
            return known[whole[1]]
        return _VARIABLE.sub(lambda match: str(known[match[1]]), text)

    data = {key: put(value, (key,)) for key, value in profile.data.items() if key != "vars"}
    if problems:
        raise BadDocument(problems)
    filled = {**data, "vars": known} if known else data
    return Effective(
        profile.name, filled, profile.keys, profile.values, profile.files, profile.chain, frozenset(unfilled)
    )
