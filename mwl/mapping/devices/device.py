"""The device profiles of a configuration: read, checked and bound as one set.

This is the public face of the device side; `stages` holds what a bound profile does.  A set with a
mistake in any profile is refused whole, with every mistake in every file; whoever reloads keeps the
old one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mwl.errors import BadDocument, Problem, Severity
from mwl.mapping.devices.binding import bind
from mwl.mapping.devices.operations.operation import Excluded, Withheld
from mwl.mapping.devices.profile import ADDING, OWN, Header, judge, read
from mwl.mapping.devices.stages import DeviceProfile, Shortfall
from mwl.mapping.facts import Facts, SiteFacts
from mwl.mapping.loader import Effective, Written, alone, digest, fill, lineage, load_folder, resolve

__all__ = [
    "DeviceProfile", "DeviceProfiles", "Excluded", "Facts", "Shortfall", "SiteFacts",
    "Withheld", "load_devices",
]  # fmt: skip

_KIND = "devices"


@dataclass(frozen=True, slots=True)
class DeviceProfiles:
    """All device profiles of one configuration."""

    written: Mapping[str, Written]
    digest: str
    warnings: tuple[Problem, ...]
    _headers: Mapping[str, Header]

    @property
    def names(self) -> list[str]:
        """The names of all profiles, in order."""
        return sorted(self.written)

    def get(self, name: str) -> Effective:
        """Return the profile *name* with all it extends merged in; raise `KeyError` for an unknown one."""
        return resolve(name, self.written, adding=ADDING, header=OWN)

    def bind(self, name: str, variables: Mapping[str, Any], site: SiteFacts) -> DeviceProfile:
        """Return the profile *name* at work, with a device's variables.

        Raises `KeyError` for an unknown profile, `BadDocument` for a variable that is unknown, missing
        or of the wrong kind.
        """
        effective = fill(self.get(name), variables)
        profile = read(effective)
        for each in lineage(name, self.written):
            _refuse(judge(_by_itself(self.written[each], effective, variables))[1])
        return bind(profile, effective, site)

    def matching(self, facts: Facts) -> list[str]:
        """Return the profiles whose `match` fits an association, the most specific first (P1)."""
        fitting = [
            (-header.match.weight, -header.priority, name)
            for name, header in self._headers.items()
            if header.match and header.match.fits(facts)
        ]
        return [name for _, _, name in sorted(fitting)]


def load_devices(folders: Sequence[Path]) -> DeviceProfiles:
    """Read all profiles of ``<folder>/devices``, the nearest folder first; raise `BadDocument`."""
    written = load_folder(folders, _KIND)
    headers: dict[str, Header] = {}
    problems: list[Problem] = []
    for name, each in written.items():
        header, found = _check(name, each, written)
        problems += found
        if header:
            headers[name] = header
    problems += _twins(headers, written)
    found = list(dict.fromkeys(problems))
    _refuse(found)
    data = {name: each.document.data for name, each in written.items()}
    return DeviceProfiles(written, digest(data), tuple(found), headers)


def _check(
    name: str, profile: Written, written: Mapping[str, Written]
) -> tuple[Header | None, list[Problem]]:
    """Check what a profile says itself, then what becomes of it with all it extends."""
    try:
        effective = fill(resolve(name, written, adding=ADDING, header=OWN), None)
        own = _by_itself(profile, effective, None)
    except BadDocument as error:
        return None, list(error.problems)
    header, problems = judge(own)
    merged, mistakes = judge(effective)
    if merged and not effective.unfilled and not _errors([*problems, *mistakes]):
        try:
            bind(merged, effective, SiteFacts())
        except BadDocument as error:
            mistakes += error.problems
    return header, problems + [each for each in mistakes if each.severity is Severity.ERROR]


def _by_itself(profile: Written, effective: Effective, given: Mapping[str, Any] | None) -> Effective:
    """Return what one document says, with its chain's variables: lint is about who wrote a line."""
    own = alone(profile, adding=ADDING)
    variables = effective.data.get("vars", {})
    return fill(replace(own, data={**own.data, "vars": variables}), given)


def _twins(headers: Mapping[str, Header], written: Mapping[str, Written]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for name, header in headers.items():
        if header.match is None:
            continue
        key = f"{header.priority} {header.match.model_dump_json()}"
        if key in seen:
            message = f"match: {seen[key]!r} matches the same devices: give one of them a priority"
            document = written[name].document
            yield document.problem(("match",), message, at_key=True, code="L8", severity=Severity.WARNING)
        seen.setdefault(key, name)


def _errors(problems: Sequence[Problem]) -> list[Problem]:
    return [problem for problem in problems if problem.severity is Severity.ERROR]


def _refuse(problems: Sequence[Problem]) -> None:
    if errors := _errors(problems):
        raise BadDocument(errors)
