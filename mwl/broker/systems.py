"""The configured systems as the HL7 side knows them: for the broker, and for commands that work beside it."""

from __future__ import annotations

from collections.abc import Mapping

from mwl.config import Configuration
from mwl.hl7.envelope import System
from mwl.mapping.systems.system import SystemProfile
from mwl.store.allowances import Allowances


def configured(configuration: Configuration, profiles: Mapping[str, SystemProfile]) -> list[System]:
    """Return the systems of the configuration with their bound profiles, by the names it gives them."""
    return [
        System(name, profiles[name], system.application, system.facility)
        for name, system in configuration.systems.items()
    ]


def told(configuration: Configuration) -> frozenset[str]:
    """Return the names of the systems that want to hear what became of their orders."""
    return frozenset(name for name, system in configuration.systems.items() if system.status)


def allowances(configuration: Configuration) -> Allowances:
    """Return how much is kept of what is refused."""
    return Allowances(configuration.retention.refused, configuration.retention.unknown)
