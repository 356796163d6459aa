"""The device profiles of a configuration: read, checked and bound as one set.

This is the public face of the device side; `stages` holds what a bound profile does.  A set with a
mistake in any profile is refused whole, with every mistake in every file; whoever reloads keeps the
old one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mwl.errors import BadDocument, Problem, Severity
from mwl.mapping.devices.binding import bind
from mwl.mapping.devices.doubts import filled_by_orders, twins, unfilled
from mwl.mapping.devices.operations.match import Match
from mwl.mapping.devices.operations.operation import Excluded, Withheld
from mwl.mapping.devices.profile import ADDING, OWN, Header, judge, sound
from mwl.mapping.devices.stages import DeviceProfile, Entry, Report, Shortfall
from mwl.mapping.facts import Facts, SiteFacts
from mwl.mapping.loader import (
    Blame,
    Effective,
    Folder,
    Written,
    alone,
    digest,
    filled,
    lineage,
    read_folder,
    resolve,
    unrooted,
)
from mwl.mapping.tables import ColumnFiles
from mwl.mapping.written import in_order
from mwl.model import Document
from mwl.query import Path as Attribute

__all__ = [
    "DeviceProfile", "DeviceProfiles", "Entry", "Excluded", "Facts", "Report", "Shortfall", "SiteFacts",
    "Withheld", "examine_devices", "load_devices",
]  # fmt: skip

_KIND = "devices"


@dataclass(frozen=True, slots=True)
class DeviceProfiles:
    """All device profiles of one configuration."""

    written: Mapping[str, Written]
    digest: str
    warnings: tuple[Problem, ...]
    _headers: Mapping[str, Header]
    _tables: ColumnFiles
    wrong: frozenset[str] = frozenset()
    """Names of those with a mistake, where a set was examined and not loaded."""
    unread: frozenset[str] = frozenset()
    """Names of those among them that rest on what could not be read: nothing more is known of them."""

    @property
    def names(self) -> list[str]:
        """The names of all profiles, in order."""
        return sorted(self.written)

    @property
    def tables(self) -> Mapping[str, str]:
        """The fingerprints of the tables that profiles look up in, by the names they give them."""
        return self._tables.digests

    def get(self, name: str) -> Effective:
        """Return the profile *name* with all it extends merged in; raise `KeyError` for an unknown one."""
        return resolve(name, self.written, adding=ADDING, header=OWN)

    def bind(
        self, name: str, variables: Mapping[str, Any], site: SiteFacts, blame: Blame | None = None
    ) -> DeviceProfile:
        """Return the profile *name* at work, with a device's variables.

        *blame* names the line that gave a variable its value, for mistakes that come of it.  Raises
        `KeyError` for an unknown profile, `BadDocument` for a variable that is unknown, missing or of
        the wrong kind.
        """
        effective, problems = filled(self.get(name), variables, blame)
        profile, mistakes = judge(effective)
        problems += _errors(mistakes)
        for each in lineage(name, self.written):
            own, lacking = _by_itself(self.written[each], effective, variables, blame)
            problems += [*lacking, *_errors(judge(own)[1])]
        if problems or profile is None:
            raise BadDocument(list(dict.fromkeys(problems)))
        return bind(profile, effective, site, self._tables)

    def matching(self, facts: Facts, asked: Document | None = None) -> list[str]:
        """Return the profiles whose `match` fits an association, the most specific first (P1).

        *asked* is an identifier of the device as it came; without one none fits that is told by what it
        asks, and neither does one that must be given variables.
        """
        fitting = [
            ((*(-number for number in header.match.weight), -header.priority), name)
            for name, header in self._headers.items()
            if header.match and self._fits(name, header.match, facts, asked)
        ]
        return [name for _, name in sorted(fitting)]

    def _fits(self, name: str, match: Match, facts: Facts, asked: Document | None) -> bool:
        if asked is None or not match.asks:
            return match.fits(facts)
        try:
            recognition = self.bind(name, {}, SiteFacts()).recognition
        except BadDocument:
            return False
        return recognition is not None and recognition.fits(facts, asked)


def load_devices(folders: Sequence[Path], drafts: Sequence[Path] = ()) -> DeviceProfiles:
    """Read all profiles of ``<folder>/devices``, the nearest folder first; raise `BadDocument`.

    *drafts* are files beside the folders; a profile in one stands in for its namesake there.
    """
    profiles, problems = examine_devices(folders, drafts)
    _refuse(problems)
    return profiles


def examine_devices(
    folders: Sequence[Path], drafts: Sequence[Path] = ()
) -> tuple[DeviceProfiles, tuple[Problem, ...]]:
    """Do as `load_devices`, and return what is wrong or doubtful beside a set that is sound but for that."""
    folder = read_folder(folders, _KIND, drafts=drafts)
    written, problems, tables = folder.written, list(folder.problems), ColumnFiles(folders)
    ordered = filled_by_orders(folders)
    headers: dict[str, Header] = {}
    unread = {*folder.unread, *(name for name in written if not folder.rooted(name))}
    wrong = set(unread)
    for name, each in written.items():
        header, mistakes = _check(name, each, folder, tables, ordered)
        problems += mistakes
        if header:
            headers[name] = header
        if _errors(mistakes):
            wrong.add(name)
    for each in folder.misnamed:
        problems += _alone(each, tables)[1]
    problems += twins(headers, written)
    told = tuple(dict.fromkeys(problems))
    warnings = tuple(each for each in told if each.severity is Severity.WARNING)
    data = {name: in_order(each.document.data) for name, each in written.items()}
    found = DeviceProfiles(
        written, digest([data, tables.digests]), warnings, headers, tables,
        frozenset(wrong), frozenset(unread),
    )  # fmt: skip
    return found, told


def _check(
    name: str,
    profile: Written,
    folder: Folder,
    tables: ColumnFiles,
    ordered: Callable[[], frozenset[Attribute]],
) -> tuple[Header | None, list[Problem]]:
    """Check what a profile says itself, then what becomes of it with all it extends."""
    if not folder.rooted(name):
        return _alone(profile, tables)
    effective, problems = filled(resolve(name, folder.written, adding=ADDING, header=OWN), None)
    own, lacking = _by_itself(profile, effective, None)
    header, mine = judge(own)
    merged, mistakes = judge(effective)
    problems += [*lacking, *mine]
    mistakes += _unbound(effective, tables)
    if header and merged and not _errors([*problems, *mistakes]):
        problems += unfilled(header, merged, own, ordered)
    return header, problems + _errors(mistakes)


def _alone(profile: Written, tables: ColumnFiles) -> tuple[Header | None, list[Problem]]:
    """Check what a profile says of which it is not known what it extends."""
    own = unrooted(profile, adding=ADDING)
    header, problems = judge(own)
    return header, [*problems, *_unbound(own, tables)]


def _unbound(effective: Effective, tables: ColumnFiles) -> Sequence[Problem]:
    """Return what only shows when a profile is bound; nothing where that takes a device's variables."""
    profile = None if effective.unfilled else sound(effective)
    if profile is None:
        return ()
    try:
        bind(profile, effective, SiteFacts(), tables)
    except BadDocument as error:
        return error.problems
    return ()


def _by_itself(
    profile: Written, effective: Effective, given: Mapping[str, Any] | None, blame: Blame | None = None
) -> tuple[Effective, list[Problem]]:
    """Return what one document says, with its chain's variables: lint is about who wrote a line."""
    own = alone(profile, adding=ADDING)
    variables = effective.data.get("vars", {})
    return filled(replace(own, data={**own.data, "vars": variables}), given, blame)


def _errors(problems: Sequence[Problem]) -> list[Problem]:
    return [problem for problem in problems if problem.severity is Severity.ERROR]


def _refuse(problems: Sequence[Problem]) -> None:
    if _errors(problems):
        raise BadDocument(problems)  # with the warnings: whoever mends the one sees the other
