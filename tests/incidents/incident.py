"""One row of the catalogue of incidents: what is ordered, which device asks what, and by which profiles.

An order is a mapping of paths to values over a plain one, with `{ae}` for the device's AE title and
`{d[-1]}` for the day before the ward's; ``system`` is who ordered it, ``state`` what became of it.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mwl.dicom.emulators import Device, device
from mwl.mapping import paths
from mwl.mapping.elements import make, texts
from mwl.model import STEP_SEQUENCE, Document, OrderAction, OrderMessage, ProcedureChange, text

Order = Mapping[str, Any]


@dataclass(frozen=True)
class Incident:
    """One row of the catalogue, as it happens and as it is mended."""

    id: str
    happens: str
    """What the device does, or what is ordered, in a few words."""
    on: str = "generic"
    """The shipped profile of the device."""
    before: str = ""
    """Lines of the profile it happened with, over the shipped one."""
    fix: str = ""
    """The lines that mend it, over those."""
    orders: Sequence[Order] = ({},)
    device: Device | str = "sim-ge-ct"
    query: str = ""
    keys: Sequence[str] = ()
    """Lines as the emulators write them, in the place of the query's own."""
    shape: Callable[[Document], Document] = lambda identifier: identifier
    """What is done to the identifier before it is sent."""
    typed: str = ""
    codec: str = ""
    more: Mapping[str, str] = field(default_factory=dict)
    """Other profiles over the first, by name."""
    device_day: int = 0
    """By how many days the device's clock is ahead of the ward's day."""
    captured: bool = False
    """Whether `explain` is asked about the query on record, as with ``--last``."""
    tells: str = ""
    """The attribute of the first item that the page shows."""
    missed: int = 0
    """The order that somebody misses, and asks `explain` about."""
    vars: Mapping[str, Any] = field(default_factory=dict)
    mends: str = ""
    """What is told in the place of profile lines, where none are needed."""

    @property
    def played(self) -> Device:
        """The description of the device."""
        return device(self.device)

    def profiles(self) -> Iterator[tuple[str, str]]:
        """Yield name and text of every profile."""
        variants = {"OLD": (self.on, self.before), "": (self.name("OLD"), self.fix)}
        variants |= {name: (self.name("OLD"), lines) for name, lines in self.more.items()}
        for variant, (parent, lines) in variants.items():
            head = f"profile: {self.name(variant)}\nstatus: hypothesis\nextends: [{parent}]\n"
            yield self.name(variant), head + lines.strip("\n") + "\n"

    def system_profiles(self) -> Iterator[tuple[str, str]]:
        """Yield name and text of the profiles of its system; none but the shipped one's."""
        return iter(())

    def name(self, variant: str) -> str:
        """Return the name of a profile."""
        return "-".join(filter(None, (self.id.lower(), variant.lower())))

    def ae(self, variant: str) -> str:
        """Return the AE title that has this profile."""
        return "_".join(filter(None, (self.id, variant.upper())))


def number(item: Document) -> int:
    """Return the number of the order that an item is of."""
    for name in ("StudyInstanceUID", "AccessionNumber", "PatientID", "RequestedProcedureID"):
        found = re.search(r"(\d+)$", text(item, paths.tag(name)))
        if found:
            return int(found[1])
    return 0


def value(item: Document, name: str) -> Any:
    """Return an attribute: one text as it is, several as a list, items as their documents; None where absent."""
    element = paths.get(item, paths.parse_path(name))
    if element is None:
        return None
    if element["vr"] == "SQ":
        return list(element.get("Value", ()))
    found = texts(element)
    return found[0] if len(found) == 1 else found or ""


def message(n: int, stated: Order, ae: str, day: dt.date) -> OrderMessage:
    """Return order number *n* of an incident as a system sends it."""
    lines: dict[str, Any] = {
        "PatientName": f"DOE^JANE^{n}",
        "PatientID": f"PID{n}",
        "IssuerOfPatientID": "HOSP",
        "PatientBirthDate": "19700101",
        "PatientSex": "F",
        "AccessionNumber": f"ACC{n}",
        "RequestedProcedureID": f"RP{n}",
        "StudyInstanceUID": f"1.2.276.0.99.{n}",
        "FillerOrderNumberImagingServiceRequest": f"F{n}",
        "RequestedProcedureDescription": f"Procedure {n}",
        "SPS.ScheduledProcedureStepID": f"SPS{n}",
        "SPS.ScheduledProcedureStepDescription": f"Step {n}",
        "SPS.Modality": "CT",
        "SPS.ScheduledStationAETitle": ae,
        "SPS.ScheduledProcedureStepStartDate": f"{day:%Y%m%d}",
        "SPS.ScheduledProcedureStepStartTime": f"{n // 60 % 24:02}{n % 60:02}00",
    }
    system = stated.get("system", "RIS")
    lines |= {name: each for name, each in stated.items() if name not in ("system", "state")}
    levels: dict[str, Document] = {"patient": {}, "procedure": {}, "step": {}}
    for name, each in lines.items():
        path = paths.parse_path(name)
        level = (
            "step" if path[0] == STEP_SEQUENCE else "patient" if path[0].startswith("0010") else "procedure"
        )
        if each is not None:
            levels[level][path[-1]] = _element(path[-1], _filled(each, ae, day))
    change = ProcedureChange(OrderAction.CREATE, levels["procedure"], (levels["step"],))
    return OrderMessage(system, levels["patient"], (change,))


def _filled(stated: Any, ae: str, day: dt.date) -> Any:
    if isinstance(stated, list):
        return [_filled(each, ae, day) for each in stated]
    if not isinstance(stated, str):
        return stated
    # `format` reads [1] as a number and [-1] as text.
    days = {n if n >= 0 else str(n): f"{day + dt.timedelta(n):%Y%m%d}" for n in range(-30, 31)}
    return stated.format(ae=ae, d=days)


def _element(tag: str, stated: Any) -> Any:
    vr = paths.vr(tag)
    if vr == "SQ":
        return {
            "vr": "SQ",
            "Value": [{paths.tag(k): _element(paths.tag(k), v) for k, v in each.items()} for each in stated],
        }
    if isinstance(stated, dict):  # as it is, were it ever so wrong
        return stated
    made = make(vr, stated if isinstance(stated, list) else [stated])
    assert made is not None, (tag, stated)
    return made
