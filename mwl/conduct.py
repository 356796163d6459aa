"""How the performed steps of a device are taken: what links them, and what they do to scheduled steps.

A device's profile says it (P35, P36); the store, which knows no profiles, acts by it.  Without a word
from a profile, everything is as section B of the standard's reference has it.

Theory of the ladder
--------------------
Devices return what they were given, more or less: numbers are edited by operators, left out, or made
anew (B-30).  The rungs are tried from the surest to the weakest, for each Scheduled Step Attributes
item alone, and the first that leads to exactly one step decides.  The last rung of the broker's own
ladder names no order at all: patient, station and time fit the patient's next exam at this scanner as
well as the one that was done.  So it only *proposes*: a person decides (M06, F-M18), or a profile, by
stating the rung itself.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Final, Literal, TypeAlias

from mwl.discontinuation import WRONG_ENTRY
from mwl.lifecycle import StepState
from mwl.model import WorklistItem
from mwl.query import Path


class Key(StrEnum):
    """One thing a performed step and a scheduled one may have in common, as profiles call it (P35)."""

    STEP = "SPS_ID"
    PROCEDURE = "RP_ID"
    STUDY = "StudyInstanceUID"
    ACCESSION = "AccessionNumber"
    PATIENT = "PatientID"
    STATION = "Station"
    PLACER = "PlacerNumber"
    FILLER = "FillerNumber"


ORDER_KEYS: Final = frozenset(Key) - {Key.PATIENT, Key.STATION}
"""Those that are numbers of an order."""

_WORDS: Final = {
    Key.STEP: "step ID",
    Key.PROCEDURE: "requested procedure ID",
    Key.STUDY: "Study Instance UID",
    Key.ACCESSION: "accession number",
    Key.PATIENT: "patient ID",
    Key.STATION: "station",
    Key.PLACER: "placer number",
    Key.FILLER: "filler number",
}


@dataclass(frozen=True, slots=True)
class Rung:
    """What must be equal for a link, all of it."""

    keys: tuple[Key, ...]
    within: dt.timedelta | None = None  # between the scheduled start and that of the exam, before or after
    proposes: bool = False  # it links nothing: a person may

    @property
    def name(self) -> str:
        """How people read it; stored with the link."""
        parts = [_WORDS[key] for key in self.keys]
        return " + ".join([*parts, f"within {_length(self.within)}"] if self.within else parts)


def _length(time: dt.timedelta) -> str:
    minutes = round(time.total_seconds() / 60)
    return f"{minutes // 60}h" if minutes % 60 == 0 else f"{minutes}m"


STEP_AND_PROCEDURE: Final = Rung((Key.STEP, Key.PROCEDURE))
STEP_AND_ACCESSION: Final = Rung((Key.STEP, Key.ACCESSION))
STEP_AND_STUDY: Final = Rung((Key.STEP, Key.STUDY))
STUDY: Final = Rung((Key.STUDY,))
PLACER: Final = Rung((Key.PLACER,))
FILLER: Final = Rung((Key.FILLER,))
ACCESSION_AND_STATION: Final = Rung((Key.ACCESSION, Key.STATION))
PATIENT_AND_TIME: Final = Rung((Key.PATIENT, Key.STATION), dt.timedelta(hours=6), proposes=True)

LADDER: Final = (
    STEP_AND_PROCEDURE,
    STEP_AND_ACCESSION,
    STEP_AND_STUDY,
    STUDY,
    PLACER,
    FILLER,
    ACCESSION_AND_STATION,
    PATIENT_AND_TIME,
)
"""The broker's own."""

Together: TypeAlias = Callable[[WorklistItem, Sequence[WorklistItem], dt.datetime], Sequence[WorklistItem]]
"""Returns those of some steps, in the order of their start, that a device is shown as one line with a step
of them, that one first; the instant is now."""


@dataclass(frozen=True, slots=True)
class Conduct:
    """What is done with the performed steps of one device."""

    titles: frozenset[str] = frozenset()
    """The AE titles it has: any of them means the device (M11)."""
    ladder: tuple[Rung, ...] = LADDER
    unscheduled: Literal["keep", "refuse"] = "keep"
    """A performed step that means no scheduled one."""
    cancelled: Literal["report", "refuse"] = "report"
    """One of an order that was cancelled (M15)."""
    reports_differences: bool = True
    """Whether a number that differs is remarked on; a patient who differs always is (F51)."""
    preferred: Mapping[Path, Literal["worklist", "device"]] = field(default_factory=dict)
    """Whose value counts where the two differ; the device's where nothing is said."""
    begun: StepState | None = StepState.STARTED
    """What an exam that runs makes of the scheduled step; None: nothing."""
    completed: StepState = StepState.COMPLETED
    discontinued: StepState = StepState.DISCONTINUED
    reasons: Mapping[str, StepState] = field(default_factory=dict)
    """What a discontinuation does for one of these reasons (`mwl.discontinuation`) instead."""
    steps: Literal["all", "first"] = "all"
    """Which of several scheduled steps, that one performed step names, it moves (M08)."""
    exams: Literal["all", "any"] = "all"
    """Of several performed steps of one scheduled step all must have ended, or any one that is COMPLETED
    completes it (B-32)."""
    processing: Literal["begin", "attach"] = "begin"
    """Whether a further performed step that looks like processing counts as an exam (M09)."""
    closed_by: Literal["any", "same_device"] = "any"
    """Who may end a performed step that another device began."""
    idle: dt.timedelta | None = None
    """How long after its start a step that nobody reports stays on the worklist; None: the site's (M12)."""
    together: Together | None = None
    """Set where several steps are one line to the device (F29)."""

    def discontinuation(self, codes: Sequence[str]) -> StepState:
        """Return what a discontinuation for these reasons makes of the scheduled step.

        SCHEDULED means that it counts as if the exam had never been begun.
        """
        for code in codes:
            if (stated := self.reasons.get(code)) is not None:
                return stated
        return StepState.SCHEDULED if WRONG_ENTRY in codes else self.discontinued


@dataclass(frozen=True)
class Conducts:
    """The conduct of every device, by the AE title it is known by."""

    devices: Mapping[str, Conduct] = field(default_factory=dict)
    anyone: Conduct = Conduct()

    def of(self, calling_ae: str) -> Conduct:
        """Return the conduct of the device that this AE title stands for."""
        return self.devices.get(calling_ae, self.anyone)

    @cached_property
    def by_patient(self) -> bool:
        """Whether the profile of some device links without any number of the order."""
        rungs = (rung for each in (*self.devices.values(), self.anyone) for rung in each.ladder)
        return any(not rung.proposes and not ORDER_KEYS.intersection(rung.keys) for rung in rungs)


STANDARD: Final = Conducts()
"""No profile says anything."""
