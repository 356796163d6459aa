"""The configured systems, for commands that read messages as the broker would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mwl.cli import options

if TYPE_CHECKING:
    from mwl.hl7.envelope import System
    from mwl.mapping.facts import SiteFacts
    from mwl.mapping.systems.system import SystemProfiles


def site_facts() -> SiteFacts:
    """Return what profiles need to know of the site."""
    from zoneinfo import ZoneInfo

    from mwl.mapping.facts import SiteFacts

    site = options.configuration().site
    return SiteFacts(site.name, ZoneInfo(site.timezone), site.charset, site.uid_root)


def known_profiles() -> SystemProfiles:
    """Load the system profiles as they stand in the files now; raise `BadDocument`."""
    from mwl.config import profile_folders
    from mwl.mapping.systems.system import load_systems

    return load_systems(profile_folders(options.configuration().mappings))


def configured_systems() -> list[System]:
    """Return the systems of the configuration with their profiles; raise `BadDocument`."""
    from mwl.errors import BadDocument
    from mwl.hl7.envelope import System
    from mwl.yamldoc import suggestion

    configuration, profiles = options.configuration(), known_profiles()
    problems, found = [], []
    for name, system in configuration.systems.items():
        if system.profile in profiles.names:
            bound = profiles.bind(system.profile)
            found.append(System(name, bound, system.application, system.facility))
        else:
            message = f"there is no profile {system.profile!r}{suggestion(system.profile, profiles.names)}"
            problems.append(configuration.problem(("systems", name, "profile"), message))
    if problems:
        raise BadDocument(problems)
    return found


def chosen_systems(system: str | None, profile: str | None) -> list[System]:
    """Return the systems a message may be of: all that are configured, or the one that was named."""
    from mwl.hl7.envelope import System
    from mwl.yamldoc import suggestion

    if profile is not None:
        profiles = known_profiles()
        if profile not in profiles.names:
            hint = suggestion(profile, profiles.names)
            raise click.BadParameter(f"there is no profile {profile!r}{hint}", param_hint="--profile")
        return [System(system or profile, profiles.bind(profile))]
    systems = configured_systems()
    if system is None:
        return systems
    named = [each for each in systems if each.name == system]
    if not named:
        hint = suggestion(system, [each.name for each in systems])
        raise click.BadParameter(f"no system {system!r} is configured{hint}", param_hint="--system")
    return [System(named[0].name, named[0].profile)]
