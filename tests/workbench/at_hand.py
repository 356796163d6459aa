"""Profiles of a few lines, steps and questions, for tests of what compares answers."""

from __future__ import annotations

import datetime as dt
import textwrap
from pathlib import Path
from typing import Any

from mwl.dicom.answering import Question
from mwl.dicom.emulators.keys import data_set, encoded
from mwl.mapping.devices.device import DeviceProfile, DeviceProfiles, load_devices
from mwl.mapping.devices.examples import ExampleFacts, ExampleStep
from mwl.mapping.facts import Facts, SiteFacts
from mwl.model import WorklistItem
from mwl.workbench.compare import Comparison, compare
from mwl.workbench.in_memory import AtHand
from mwl.workbench.outcome import Outcome, outcome

SHIPPED = Path(__file__).parents[2] / "mappings"
ELE = "1.2.840.10008.1.2.1"
NOW = dt.datetime(2026, 7, 5, 10, tzinfo=dt.UTC)
FACTS = Facts("CT1", "MWL", "127.0.0.1", now=NOW)
KEYS = (
    "SpecificCharacterSet=ISO_IR 192",
    "PatientName",
    "PatientID",
    "AccessionNumber",
    "RequestedProcedureDescription",
    "SPS.Modality=CT",
    "SPS.ScheduledStationAETitle",
    "SPS.ScheduledProcedureStepStartDate=20260705",
    "SPS.ScheduledProcedureStepDescription",
    "SPS.ScheduledProtocolCodeSequence",
)


def load(folder: Path, **profiles: str) -> DeviceProfiles:
    """Write profiles (name → lines) into *folder* and load them with the shipped ones."""
    (folder / "devices").mkdir(parents=True, exist_ok=True)
    for name, lines in profiles.items():
        header = f"profile: {name}\nstatus: partial\n"
        (folder / "devices" / f"{name}.yaml").write_text(header + textwrap.dedent(lines), "utf-8")
    return load_devices([folder, SHIPPED])


def bound(folder: Path, lines: str = "", name: str = "site") -> DeviceProfile:
    """Return a profile of a few lines; it rests on `generic`."""
    return load(folder, **{name: lines}).bind(name, {}, SiteFacts())


def step(number: int, **lines: Any) -> WorklistItem:
    """Return a step for CT1; a keyword's dots are written as ``__``."""
    written = {name.replace("__", "."): value for name, value in lines.items()}
    return ExampleStep.model_validate(written).item(number, ExampleFacts(calling_ae="CT1"))


def asked(*keys: str) -> Question:
    """Return a question of lines (see `mwl.dicom.emulators.keys`)."""
    return Question(encoded(data_set(keys or KEYS, {}), ELE), ELE)


def answered(profile: DeviceProfile, *items: WorklistItem, question: Question | None = None) -> Outcome:
    """Return what CT1 gets of *items*."""
    return outcome(AtHand(items), question or asked(), profile, FACTS, dt.UTC)


def compared(
    before: DeviceProfile, after: DeviceProfile, *items: WorklistItem, question: Question | None = None
) -> Comparison:
    """Return what CT1 would notice if *after* took the place of *before*."""
    return compare(*(answered(each, *items, question=question) for each in (before, after)))
