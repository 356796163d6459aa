"""What a message did, whatever it asked for."""

from __future__ import annotations

from dataclasses import dataclass

from mwl.errors import Finding


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a message was about, by key, and what is to be said of it besides (warnings)."""

    procedures: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()
    findings: tuple[Finding, ...] = ()
    patients: tuple[int, ...] = ()  # those of the procedures among them, or none
    made: tuple[int, ...] = ()  # patients among them that nobody had heard of
