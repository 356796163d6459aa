"""Two outcomes of one query side by side: which steps come and go, and which values change.

Theory of operation.  What is sent may stand for several steps (merged), or for part of one (split), so
entries are paired by the steps they stand for: first those that stand for the same, then those that begin
with the same step.  An entry that has no partner appears or vanishes, unless its steps are on the other
list in another arrangement.  A value that differs is blamed on the first line at which the two ways to
it part.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest

from mwl.mapping.devices.device import Report
from mwl.mapping.trace import Note, changes
from mwl.model import Element, WorklistItem
from mwl.workbench.outcome import Outcome, Reason, touching, why_not
from mwl.workbench.responses import Response


class Kind(StrEnum):
    """What happens to an entry of the list."""

    APPEARS = "appears"
    VANISHES = "vanishes"
    CHANGES = "changes"
    JOINS = "joins"  # its steps are shown in another entry now
    PARTS = "parts"  # its steps were shown in another entry before


@dataclass(frozen=True, slots=True)
class Change:
    """One attribute that differs; None is absent.  *origin* is the line of a profile behind it, if one is."""

    path: str
    before: Element | None
    after: Element | None
    operation: str = ""
    origin: str = ""
    gone: bool = False  # that line is of the old profile, and has no effect by the new one


@dataclass(frozen=True, slots=True)
class Difference:
    """One entry that is not as it was."""

    kind: Kind
    steps: tuple[int, ...]  # keys of the steps it stands for
    item: WorklistItem  # the first of them, as stored
    reason: Reason | None = None  # why it was not, or is not, on the list
    changes: tuple[Change, ...] = ()
    octets: tuple[int, int] = (0, 0)  # of the response, before and after; 0 where there is none


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that differs between two outcomes of one query."""

    before: Outcome
    after: Outcome
    differences: tuple[Difference, ...]
    reordered: bool  # what is on both lists comes in another order
    same: int  # entries that are sent as before, octet by octet

    @property
    def differs(self) -> bool:
        """Whether the device would notice anything."""
        heads = [(each.status, each.comment, each.pending) for each in (self.before, self.after)]
        return bool(self.differences) or self.reordered or heads[0] != heads[1]

    def count(self, kind: Kind) -> int:
        """Return how many entries there are of this *kind* of difference."""
        return sum(each.kind is kind for each in self.differences)

    @property
    def reports(self) -> dict[Report, int]:
        """What is reported of the new answers and was not of the old, and of how many entries."""
        before, after = (
            Counter(report for each in side.sent if each.composed for report in each.composed.reports)
            for side in (self.before, self.after)
        )
        known = {(report.path, report.message) for report in before}
        return {each: count for each, count in after.items() if (each.path, each.message) not in known}

    @property
    def octets(self) -> tuple[int, int]:
        """How many octets the responses have, before and after."""
        before, after = (sum(map(_octets, each.sent)) for each in (self.before, self.after))
        return before, after


def compare(before: Outcome, after: Outcome) -> Comparison:
    """Return what differs between two outcomes of one query on the same steps."""
    pairs = list(_pairs(before.sent, after.sent))
    differences = [found for old, new in pairs if (found := _difference(old, new, before, after))]
    places = {id(old): place for place, old in enumerate(before.sent)}
    order = [places[id(old)] for old, new in pairs if old is not None and new is not None]
    changed = sum(each.kind is Kind.CHANGES for each in differences)
    return Comparison(
        before, after, tuple(differences), reordered=order != sorted(order), same=len(order) - changed
    )


def _pairs(
    before: Sequence[Response], after: Sequence[Response]
) -> Iterator[tuple[Response | None, Response | None]]:
    """Yield who stands beside whom, in the order of the new list; those without a partner come last."""
    partners: list[Response | None] = [None] * len(after)
    waiting = list(before)
    for identity in (_all_steps, _first_step):
        free: defaultdict[object, list[Response]] = defaultdict(list)
        for old in waiting:
            free[identity(old)].append(old)
        for index, new in enumerate(after):
            if partners[index] is None and free[identity(new)]:
                partners[index] = free[identity(new)].pop(0)
        waiting = [old for left in free.values() for old in left]
    yield from zip(partners, after, strict=True)
    yield from ((old, None) for old in waiting)


def _all_steps(response: Response) -> object:
    return response.steps


def _first_step(response: Response) -> object:
    return response.steps[:1]  # none: a line that says that there are more (P15)


def _difference(
    old: Response | None, new: Response | None, before: Outcome, after: Outcome
) -> Difference | None:
    if old is not None and new is not None:
        return _changed(old, new)
    if new is not None:
        return _single(new, Kind.PARTS, Kind.APPEARS, before, (0, _octets(new)))
    if old is not None:
        return _single(old, Kind.JOINS, Kind.VANISHES, after, (_octets(old), 0))
    return None


def _single(
    response: Response, elsewhere: Kind, nowhere: Kind, other: Outcome, octets: tuple[int, int]
) -> Difference:
    """Return the difference of an entry that the *other* list does not have."""
    steps, item = response.steps, response.item
    holder = next((each for each in other.sent if set(steps) & set(each.steps)), None)
    if holder is not None:
        together = Reason(f"in one entry with step {holder.steps[0]}")
        return Difference(elsewhere, steps, item, together, octets=octets)
    # A line that says that there are more is no step: nothing keeps it away.
    reason = why_not(other, item) if steps else None
    return Difference(nowhere, steps, item, reason, octets=octets)


def _changed(old: Response, new: Response) -> Difference | None:
    if old.composed is None or new.composed is None or old.composed.data == new.composed.data:
        return None
    found = changes(old.composed.document, new.composed.document)
    listed = tuple(_change(path, was, becomes, old.notes, new.notes) for path, was, becomes in found)
    octets = (_octets(old), _octets(new))
    return Difference(Kind.CHANGES, new.steps, new.item, changes=listed, octets=octets)


def _change(
    path: str, was: Element | None, becomes: Element | None, before: Sequence[Note], after: Sequence[Note]
) -> Change:
    """Blame the first line at which the two ways to the value part."""
    known = {note.operation for note in touching(before, path)}
    for old, new in zip_longest(touching(before, path), touching(after, path)):
        if old and new and _effect(old) == _effect(new):
            continue
        if old and (new is None or (new.operation != old.operation and new.operation in known)):
            return Change(path, was, becomes, old.operation, old.origin, gone=True)
        return Change(path, was, becomes, new.operation, new.origin)
    return Change(path, was, becomes)


def _effect(note: Note) -> tuple[object, ...]:
    return note.operation, note.path, note.before, note.after


def _octets(response: Response) -> int:
    return len(response.composed.data) if response.composed else 0
