"""From names in the configuration to profiles that can be used, for both sides as one set.

A set is bound whole or not at all: a wrong one is refused with every problem in it, and the one in
use stays.  What is wrong in the configuration and what is wrong in a profile come at once: who mends
the one has seen the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

from mwl import config
from mwl.broker.users import configured
from mwl.config import Configuration, profile_folders
from mwl.dicom.users import Users
from mwl.errors import BadDocument, Problem, Severity
from mwl.mapping.devices.device import DeviceProfile, DeviceProfiles, examine_devices
from mwl.mapping.facts import SiteFacts
from mwl.mapping.loader import digest
from mwl.mapping.systems.system import SystemProfile, SystemProfiles, examine_systems
from mwl.yamldoc import Place, suggestion

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Profiles:
    """What the names of a configuration stand for: profiles of devices and systems, and users."""

    devices: Mapping[str, DeviceProfile]
    systems: Mapping[str, SystemProfile]
    site: SiteFacts
    zone: ZoneInfo
    users: Users
    warnings: tuple[Problem, ...] = ()
    digests: Mapping[str, str] = field(repr=False, default_factory=dict)
    """What each profile of the folders amounts to, in use or not, by its name: ``devices/our-ct``."""
    shadows: Mapping[str, DeviceProfile] = field(default_factory=dict)
    """Drafts that answer beside a device's own profile, by the device."""
    shared_by: Mapping[str, tuple[DeviceProfile, ...]] = field(default_factory=dict)
    """Profiles of the devices that share an AE title, by the title (P1)."""

    @property
    def digest(self) -> str:
        """A fingerprint of the whole set."""
        return digest(dict(self.digests))

    def changed(self, before: Profiles) -> list[str]:
        """Return the names of the profiles that differ from those of another set, are new, or are gone."""
        names = {**before.digests, **self.digests}
        return sorted(name for name in names if before.digests.get(name) != self.digests.get(name))


@dataclass(frozen=True, slots=True)
class Checked:
    """A set that was looked at: what is wrong or doubtful, and the set unless anything is wrong."""

    problems: tuple[Problem, ...]
    profiles: Profiles | None
    device_set: DeviceProfiles


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Configuration:
    """Return the configuration; its profiles are still to be bound.

    Raises `BadDocument` where it is wrong, with the mistakes of its profiles beside its own.
    """
    examined = config.examine(path, environ)
    if examined.mistakes:
        beside = check(examined.sound).problems
        raise BadDocument(ordered([*examined.mistakes, *beside]))
    return examined.sound


def bind(configuration: Configuration) -> Profiles:
    """Read and bind all profiles; raise `BadDocument` with the problems of all of them."""
    checked = check(configuration)
    if checked.profiles is None:
        raise BadDocument(checked.problems)
    return checked.profiles


def check(
    configuration: Configuration, *, devices: Sequence[Path] = (), systems: Sequence[Path] = ()
) -> Checked:
    """Read and bind all profiles, with drafts of *devices* and *systems* in the place of their namesakes."""
    return _Binding(configuration).run(devices, systems)


class _Binding:
    """One attempt; collects problems."""

    def __init__(self, configuration: Configuration) -> None:
        site = configuration.site
        self._configuration = configuration
        self._facts = SiteFacts(site.name, ZoneInfo(site.timezone), site.charset, site.uid_root)
        self._folders = profile_folders(configuration.mappings)
        self._problems: list[Problem] = []

    def run(self, device_drafts: Sequence[Path], system_drafts: Sequence[Path]) -> Checked:
        device_set, told = examine_devices(self._folders, device_drafts)
        system_set = examine_systems(self._folders, system_drafts)
        self._problems += [*told, *system_set.problems]
        devices, shadows = self._devices(device_set), self._shadows(device_set)
        titles = self._configuration.devices
        shared_by = {title: self._shared_by(title, devices.get(title), device_set) for title in titles}
        systems = self._systems(system_set)
        self._check_spelling([*shadows.items(), *devices.items(), *_each(shared_by)], systems)
        users = self._tried(partial(configured, self._configuration))
        problems = ordered(self._problems)
        if users is None or any(each.severity is Severity.ERROR for each in problems):
            return Checked(problems, None, device_set)
        site, digests = self._facts, _digests(device_set, system_set)
        zone = ZoneInfo(self._configuration.site.timezone)
        warnings = device_set.warnings
        found = Profiles(devices, systems, site, zone, users, warnings, digests, shadows, shared_by)
        return Checked(problems, found, device_set)

    def _devices(self, known: DeviceProfiles) -> dict[str, DeviceProfile]:
        found = {}
        for title, device in self._configuration.devices.items():
            if profile := self._device(title, "profile", device.profile, known):
                found[title] = profile
        return found

    def _shadows(self, known: DeviceProfiles) -> dict[str, DeviceProfile]:
        found = {}
        for title, device in self._configuration.devices.items():
            if device.shadow and (profile := self._device(title, "shadow", device.shadow, known)):
                found[title] = profile
        return found

    def _shared_by(
        self, title: str, own: DeviceProfile | None, known: DeviceProfiles
    ) -> tuple[DeviceProfile, ...]:
        found = []
        for index, each in enumerate(self._configuration.devices[title].shared_by):
            if each.profile in known.unread:
                continue
            key = ("shared_by", index, "profile")
            if not self._known("devices", title, each.profile, known.names, *key):
                continue
            blame = partial(self._in_vars, title, "shared_by", index)
            if profile := self._tried(partial(known.bind, each.profile, each.vars, self._facts, blame)):
                self._check_shared(profile, own, ("devices", title, *key))
                found.append(profile)
        return tuple(found)

    def _check_shared(self, profile: DeviceProfile, own: DeviceProfile | None, place: Place) -> None:
        """See that it is known when a profile is meant, and what is performed by its devices (R2)."""
        if profile.recognition is None:
            message = f"the profile {profile.name!r} has no 'match' to tell when it is meant"
            self._problems.append(self._configuration.problem(place, message))
        if own is not None and not profile.leads_back_like(own):
            message = (
                f"{profile.name!r} changes identities (codec, alias, uid) in another way than {own.name!r}, "
                f"by which the performed steps of this AE title are led back: write them in both"
            )
            self._problems.append(self._configuration.problem(place, message))

    def _device(self, title: str, key: str, name: str, known: DeviceProfiles) -> DeviceProfile | None:
        if name in known.unread or not self._known("devices", title, name, known.names, key):
            return None
        given, blame = self._configuration.devices[title].vars, partial(self._in_vars, title)
        return self._tried(partial(known.bind, name, given, self._facts, blame))

    def _systems(self, known: SystemProfiles) -> dict[str, SystemProfile]:
        found = {}
        for name, system in self._configuration.systems.items():
            wrong = system.profile in known.wrong
            if not wrong and self._known("systems", name, system.profile, known.names):
                blame = partial(self._at_profile, name)
                if profile := self._tried(partial(known.bind, system.profile, blame)):
                    found[name] = profile
                    self._check_message(name, profile)
        return found

    def _in_vars(self, title: str, *keys: str | int) -> Problem:
        *at, variable, message = keys
        return self._configuration.problem(("devices", title, *at, "vars", variable), f"vars: {message}")

    def _at_profile(self, name: str, _variable: str, message: str) -> Problem:
        return self._configuration.problem(("systems", name, "profile"), message)

    def _check_spelling(
        self, devices: Iterable[tuple[str, DeviceProfile]], systems: Mapping[str, SystemProfile]
    ) -> None:
        """See that no two patients become one for a device that is shown their IDs in capitals (F50)."""
        for title in dict.fromkeys(title for title, profile in devices if profile.shows_capitals):
            for name, system in systems.items():
                if system.reader.policies.other_spelling != "refuse":
                    message = (
                        f"the profile shows numbers in capitals, and {name} may send two that differ in "
                        f"nothing else: its profile has to say order.policies.other_spelling: refuse"
                    )
                    place = ("devices", title, "profile")
                    self._problems.append(self._configuration.problem(place, message))

    def _check_message(self, name: str, profile: SystemProfile) -> None:
        status = self._configuration.systems[name].status
        if status and status.message not in profile.templates:
            known = suggestion(status.message, profile.templates)
            message = f"the profile {profile.name!r} has no status message {status.message!r}{known}"
            place = ("systems", name, "status", "message")
            self._problems.append(self._configuration.problem(place, message))

    def _tried(self, work: Callable[[], T]) -> T | None:
        try:
            return work()
        except BadDocument as error:
            self._problems += error.problems
            return None

    def _known(self, section: str, name: str, profile: str, names: Sequence[str], *keys: str | int) -> bool:
        if profile in names:
            return True
        message = f"there is no profile {profile!r} for {section}{suggestion(profile, names)}"
        place = (section, name, *(keys or ("profile",)))
        self._problems.append(self._configuration.problem(place, message))
        return False


def _each(
    several: Mapping[str, Iterable[DeviceProfile]],
) -> Iterator[tuple[str, DeviceProfile]]:
    return ((title, each) for title, found in several.items() for each in found)


def ordered(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return each problem once, file by file in the order of their lines."""
    files: dict[str, list[Problem]] = {}
    for problem in dict.fromkeys(problems):
        files.setdefault(problem.file, []).append(problem)
    return tuple(p for found in files.values() for p in sorted(found, key=lambda p: (p.line, p.column)))


def _digests(devices: DeviceProfiles, systems: SystemProfiles) -> dict[str, str]:
    return {
        **{f"devices/{name}": devices.get(name).digest for name in devices.names},
        **{f"systems/{name}": systems.digest_of(name) for name in systems.names},
        **{f"tables/{name}": each for name, each in devices.tables.items()},
    }
