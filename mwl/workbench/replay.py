"""A device's own queries asked again: by the profile in use, and by a draft of another, on today's steps.

Theory of operation.  A captured query asks for the day on which it was made.  By default it is asked as the
device would ask it now: its start dates are moved by the days since, in the bytes as they came.  Without that
both profiles see the query as it was, at the time when it was asked, on the steps that are stored now.
Queries that are one and the same once their dates are moved are asked once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mwl.dicom.answering import Question
from mwl.dicom.elements import Undecodable
from mwl.dicom.redating import Redated, redate
from mwl.mapping.devices.device import DeviceProfile, Facts
from mwl.store.queries import CapturedQuery
from mwl.workbench.bench import Bench
from mwl.workbench.compare import Comparison, compare
from mwl.workbench.outcome import Steps, outcome


@dataclass(frozen=True, slots=True)
class Asking:
    """One question, and the captured queries that it stands for; the first was asked last."""

    captured: tuple[CapturedQuery, ...]
    question: Question
    facts: Facts
    dates: tuple[tuple[str, str], ...] = ()  # which were moved, and to which

    @property
    def times(self) -> int:
        """How often the device asked it."""
        return sum(each.count for each in self.captured)


def askings(
    bench: Bench, captured: Sequence[CapturedQuery], now: dt.datetime, *, shifted: bool = True
) -> Iterator[Asking]:
    """Yield what to ask at *now* (aware) for *captured* queries, in their order, each question once.

    Without *shifted* each is asked as it came, at the time when it came last.
    """
    found: dict[tuple[Question, Facts], tuple[Redated, list[CapturedQuery]]] = {}
    for each in captured:
        then = dt.datetime.fromisoformat(each.last_at)
        facts = bench.facts(each.calling_ae, each, now if shifted else then)
        redated = _redated(each, facts.now.date() - then.astimezone(bench.zone).date())
        question = bench.question(
            redated.identifier,
            transfer_syntax=each.transfer_syntax,
            fuzzy=each.fuzzy,
            timezone=each.timezone,
        )
        found.setdefault((question, facts), (redated, []))[1].append(each)
    for (question, facts), (redated, alike) in found.items():
        yield Asking(tuple(alike), question, facts, redated.dates)


def _redated(captured: CapturedQuery, since: dt.timedelta) -> Redated:
    try:
        return redate(captured.identifier, captured.transfer_syntax, since.days)
    except Undecodable:  # that is what the outcome will say
        return Redated(captured.identifier)


def compared(
    steps: Steps, asking: Asking, before: DeviceProfile, after: DeviceProfile, zone: dt.tzinfo
) -> Comparison:
    """Return what the device would notice if *after* took the place of *before*."""
    sides = (outcome(steps, asking.question, profile, asking.facts, zone) for profile in (before, after))
    return compare(*sides)
