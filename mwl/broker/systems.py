"""The configured systems as the HL7 side knows them: for the broker, and for commands that work beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from zoneinfo import ZoneInfo

from mwl.broker.tls import client_context
from mwl.config import ANYONE, Configuration
from mwl.hl7.destination import Destination
from mwl.hl7.envelope import System
from mwl.mapping.systems.system import SystemProfile
from mwl.store.allowances import Allowances


def configured(configuration: Configuration, profiles: Mapping[str, SystemProfile]) -> list[System]:
    """Return the systems of the configuration with their bound profiles, by the names it gives them."""
    return [
        System(name, profiles[name], system.application, system.facility)
        for name, system in configuration.systems.items()
    ]


def destinations(configuration: Configuration, profiles: Mapping[str, SystemProfile]) -> list[Destination]:
    """Return the systems that are told, with their bound profiles; raise `BadDocument` (TLS)."""
    return list(_destinations(configuration, profiles))


def _destinations(
    configuration: Configuration, profiles: Mapping[str, SystemProfile]
) -> Iterator[Destination]:
    site, zone = configuration.site.name, ZoneInfo(configuration.site.timezone)
    for name, system in configuration.systems.items():
        status = system.status
        if status is None:
            continue
        place = ("systems", name, "status", "tls")
        yield Destination(
            name,
            status.to.host,
            status.to.port,
            status.message,
            profiles[name],
            application=_named(system.application),
            facility=_named(system.facility),
            site=site,
            zone=zone,
            answer_within=status.answer_within,
            nonsense_limit=status.nonsense_limit if status.nonsense == "park" else None,
            tls=client_context(configuration, place, status.tls) if status.tls else None,
            certificate_name=status.tls.name if status.tls else None,
        )


def _named(value: str) -> str:
    """Return a name for MSH-5 or MSH-6; who may be anyone is addressed by none."""
    return "" if value == ANYONE else value


def allowances(configuration: Configuration) -> Allowances:
    """Return how much is kept of what is refused."""
    return Allowances(configuration.retention.refused, configuration.retention.unknown)
