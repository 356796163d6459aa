"""Incidents that are mended where orders come in: by lines of a system's profile, not of a device's.

`played` does with them what `Ward.play` does with the others: the messages are tried on an empty database
(the function and its explanation at once), and sent to the real broker, whose list the device then asks for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from hl7.client import MLLPClient

from incidents.incident import Incident, number
from incidents.played import mended, steady
from incidents.ward import DAY, Ward
from mwl.cli.explain_text import of_step
from mwl.dicom.emulators import Emulator, Seen
from mwl.hl7.envelope import System
from mwl.mapping.systems.system import load_systems
from mwl.workbench.try_order import Tried, try_order
from mwl.workbench.verdict import Verdict

UTC = ZoneInfo("UTC")


@dataclass(frozen=True)
class Intake(Incident):
    """An incident of a system: `before` and `fix` are lines of its profile, over `generic`."""

    messages: Sequence[str] = ()
    """With ``{application}`` in MSH-3."""

    def profiles(self) -> Iterator[tuple[str, str]]:
        """Yield the profiles of its devices, which are as the shipped one."""
        for variant in ("OLD", ""):
            yield (
                self.name(variant),
                f"profile: {self.name(variant)}\nstatus: hypothesis\nextends: [{self.on}]\n",
            )

    def system_profiles(self) -> Iterator[tuple[str, str]]:
        """Yield name and text of the profiles of its system."""
        for variant, parent, lines in (("OLD", "generic", self.before), ("", self.name("OLD"), self.fix)):
            head = f"profile: {self.name(variant)}\nextends: {parent}\n"
            yield self.name(variant), head + lines.strip("\n") + "\n"


@dataclass(frozen=True)
class Taken:
    """What came of the messages, and of the device's query behind them."""

    answers: list[str]
    seen: Seen
    tried: Tried

    @property
    def shown(self) -> list[int]:
        """The numbers of the orders that the console shows."""
        return [number(item) for item in self.seen.shown]

    @property
    def findings(self) -> list[str]:
        """What is said of the messages."""
        return [finding.text for each in self.tried.taken for finding in each.findings]


def systems(incidents: Sequence[Incident]) -> dict[str, Any]:
    """Return the entries of the configuration for the systems of *incidents*."""
    return {
        each.ae(variant): {"application": each.ae(variant), "profile": each.name(variant)}
        for each in incidents
        if isinstance(each, Intake)
        for variant in ("OLD", "")
    }


def played(ward: Ward, incident: Intake, variant: str = "", **how: Any) -> Taken:
    """Send the messages of an incident by one of its profiles, and let the device ask."""
    ae = incident.ae(variant)
    messages = [message.format(application=ae).replace("\n", "\r") for message in incident.messages]
    ward.clear()
    answers = send(ward, messages)
    asking = incident.query or next(iter(incident.played.queries))
    day = how.pop("today", DAY)
    identifier = ward.identifier(incident, asking, ae, day)
    emulator = Emulator(incident.played, ward.at, ae=ae, called="MWL", today=day, **how)
    seen = emulator.ask(identifier, asking, codec=incident.codec)
    profiles = load_systems([ward.folder / "mappings", ward.shipped])
    known = [
        System(name, profiles.bind(entry["profile"]), entry["application"])
        for name, entry in systems(list(ward.incidents.values())).items()
    ]
    question = ward.question(incident, variant, identifier, incident.codec)
    tried = try_order(ward.bench, known, [message.encode() for message in messages], ae, question)
    told = tried.explanation.told if tried.explanation else None
    assert seen.raw == [each.composed.data for each in (told.sent if told else []) if each.composed]
    return Taken(answers, seen, tried)


def reproduce(ward: Ward, incident: Intake) -> tuple[Taken, Taken]:
    """Play an incident as it happened and mended."""
    was, now = played(ward, incident, "OLD"), played(ward, incident)
    outlines = [f"{' '.join(each.answers)}; {len(each.shown)} shown" for each in (was, now)]
    said = [*was.findings, *(f"{fate}" for fate in fates(was))]
    ward.rows[incident.id] = [
        incident.id, incident.happens, outlines[0], steady("; ".join(dict.fromkeys(said))), mended(incident),
        outlines[1],
    ]  # fmt: skip
    return was, now


def fates(taken: Taken) -> list[str]:
    """Return what `mwl mapping try` says of each step that the device does not get."""
    told = taken.tried.explanation
    missed = [fate for fate in told.fates if fate.verdict is not Verdict.SENT] if told else []
    return [of_step(fate, told, UTC) for fate in missed] if told else []


def send(ward: Ward, messages: Sequence[str]) -> list[str]:
    """Send messages with a client that is not ours; return the codes of their acknowledgements."""
    with MLLPClient(*ward.broker.addresses["hl7"]) as client:
        found = [client.send(b"\x0b" + each.encode() + b"\x1c\x0d").decode() for each in messages]
    return [each.partition("MSA|")[2].partition("|")[0] for each in found]
