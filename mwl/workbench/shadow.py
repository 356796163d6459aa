"""A query answered twice, by the profile in use and by a draft, while the broker goes on.

What is needed of the database is read at once, by one snapshot for both sides; the work on it is done
afterwards, with a pause after each item, so that no device waits for it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mwl.dicom import answering
from mwl.dicom.answering import Question
from mwl.errors import MwlError
from mwl.mapping.devices.device import DeviceProfile, Facts
from mwl.model import StepRef, WorklistItem
from mwl.query import WorklistQuery
from mwl.store import Transaction, steps
from mwl.workbench.compare import Comparison, compare
from mwl.workbench.differences import Bounds
from mwl.workbench.outcome import outcome

KEPT = Bounds(differences=10, changes=10, characters=64)
"""What is kept of one comparison: some 20 KiB at most."""

MOST = 1000
"""Steps of a list that is compared at most; a console shows some hundred."""


@dataclass(frozen=True, slots=True)
class Twice:
    """A question, and the two profiles that answer it."""

    question: Question = field(repr=False)
    facts: Facts
    own: DeviceProfile
    draft: DeviceProfile
    zone: dt.tzinfo


@dataclass(slots=True)
class Snapshot:
    """What both sides match, as it was at one moment."""

    matched: dict[WorklistQuery, list[StepRef]] = field(default_factory=dict)
    items: dict[int, WorklistItem] = field(default_factory=dict, repr=False)

    def match(self, query: WorklistQuery) -> list[StepRef]:
        """Return what satisfies *query*."""
        return self.matched[query]

    def load(self, refs: Sequence[StepRef]) -> list[WorklistItem]:
        """Return the steps of *refs*."""
        return [self.items[ref.key] for ref in refs if ref.key in self.items]


def snapshot(tx: Transaction, twice: Twice) -> Snapshot | None:
    """Return what is needed to answer *twice*; None for a list too long to compare."""
    taken = Snapshot()
    for profile in (twice.own, twice.draft):
        try:
            query = answering.read(twice.question, profile, twice.facts, twice.zone).query
        except MwlError:  # nothing is matched then; that is what the comparison will say
            continue
        refs = taken.matched[query] = steps.match(tx, query)
        if len(refs) > MOST:
            return None
        missing = [ref for ref in refs if ref.key not in taken.items]
        taken.items.update((item.ref.key, item) for item in steps.load(tx, missing))
    return taken


def compared(twice: Twice, taken: Snapshot, pause: Callable[[], None]) -> Comparison:
    """Return what the device would notice if it had the draft."""
    before, after = (
        outcome(taken, twice.question, profile, twice.facts, twice.zone, pause)
        for profile in (twice.own, twice.draft)
    )
    return compare(before, after)
