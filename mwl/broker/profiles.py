"""From names in the configuration to profiles that can be used, for both sides as one set.

A set is bound whole or not at all: a wrong one is refused with every problem in it, and the one in
use stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from zoneinfo import ZoneInfo

from mwl.broker.users import configured
from mwl.config import Configuration, profile_folders
from mwl.dicom.users import Users
from mwl.errors import BadDocument, Problem
from mwl.mapping.devices.device import DeviceProfile, load_devices
from mwl.mapping.facts import SiteFacts
from mwl.mapping.systems.system import SystemProfile, load_systems
from mwl.yamldoc import suggestion

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Profiles:
    """What the names of a configuration stand for: profiles of devices and systems, and users."""

    devices: Mapping[str, DeviceProfile]
    systems: Mapping[str, SystemProfile]
    site: SiteFacts
    zone: ZoneInfo
    users: Users


def bind(configuration: Configuration) -> Profiles:
    """Read and bind all profiles; raise `BadDocument` with the problems of all of them."""
    return _Binding(configuration).run()


class _Binding:
    """One attempt; collects problems."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._problems: list[Problem] = []

    def run(self) -> Profiles:
        site = self._configuration.site
        zone = ZoneInfo(site.timezone)
        facts = SiteFacts(site.name, zone, site.charset, site.uid_root)
        folders = profile_folders(self._configuration.mappings)
        devices, systems = {}, {}
        if known := self._tried(partial(load_devices, folders)):
            for title, device in self._configuration.devices.items():
                if self._known("devices", title, device.profile, known.names) and (
                    profile := self._tried(partial(known.bind, device.profile, device.vars, facts))
                ):
                    devices[title] = profile
        if known_systems := self._tried(partial(load_systems, folders)):
            for name, system in self._configuration.systems.items():
                if self._known("systems", name, system.profile, known_systems.names) and (
                    bound := self._tried(partial(known_systems.bind, system.profile))
                ):
                    systems[name] = bound
                    self._check_message(name, bound)
        users = self._tried(partial(configured, self._configuration))
        if self._problems or users is None:
            raise BadDocument(list(dict.fromkeys(self._problems)))
        return Profiles(devices, systems, facts, zone, users)

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

    def _known(self, section: str, name: str, profile: str, names: Sequence[str]) -> bool:
        if profile in names:
            return True
        message = f"there is no profile {profile!r} for {section}{suggestion(profile, names)}"
        self._problems.append(self._configuration.problem((section, name, "profile"), message))
        return False
