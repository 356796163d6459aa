"""A query answered on the table: what the service would send, and what it would leave out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from mwl.dicom import answering
from mwl.dicom.answering import Answer, Asked, Question
from mwl.mapping.devices.device import DeviceProfile, Facts
from mwl.mapping.trace import Trace
from mwl.model import StepRef, WorklistItem
from mwl.store import Transaction, steps


@dataclass(frozen=True, slots=True)
class Answered:
    """All that became of a query."""

    asked: Asked
    matched: tuple[StepRef, ...]  # by start; where the profile does not arrange them, its limit applied
    overflow: bool  # there were more than the profile's limit
    answers: tuple[Answer, ...]  # sent, withheld and excluded, in the order of the list

    @property
    def sent(self) -> list[Answer]:
        """Those the device gets."""
        return [each for each in self.answers if each.composed]


def answer(
    tx: Transaction,
    question: Question,
    profile: DeviceProfile,
    facts: Facts,
    zone: dt.tzinfo,
    trace: Trace | None = None,
) -> Answered:
    """Answer *question* on the steps stored; raises what `answering.read` raises."""
    asked = answering.read(question, profile, facts, zone, trace)
    found = steps.match(tx, asked.query)
    limit = asked.query.limit
    refs = found if limit is None else found[:limit]
    items = _in_order(steps.load(tx, refs), refs)
    listing = answering.listed(asked, items, trace, more=len(found) > len(refs))
    answers = tuple(answering.answers_of(asked, listing.entries, trace))
    return Answered(asked, tuple(refs), listing.overflow, answers)


def _in_order(items: Sequence[WorklistItem], refs: Sequence[StepRef]) -> list[WorklistItem]:
    """Return loaded items in the order of their references."""
    by_key = {item.ref.key: item for item in items}
    return [by_key[ref.key] for ref in refs if ref.key in by_key]
