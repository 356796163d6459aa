"""What became of one step for one query: sent, or the reason why not, in the words of the field.

The reasons are tried from the step's own side to the list's: a cancelled order is cancelled, whatever
the device asked for; only a step that all keys let through can be withheld, or stand beyond the limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mwl.lifecycle import StepState
from mwl.mapping.devices.operations.select import STATUS
from mwl.model import WorklistItem, text
from mwl.store import Transaction, links, steps
from mwl.store.links import Links
from mwl.store.steps import HistoryEntry
from mwl.workbench.keys import DEVICE, Key
from mwl.workbench.responses import Response


class Verdict(StrEnum):
    """What became of a step."""

    SENT = "sent"
    CANCELLED = "cancelled"  # the order was; a line of the profile hides it
    HIDDEN = "hidden by its status"
    HELD = "on hold"
    NOT_MATCHED = "not matched"  # by a key of the device, or one that the profile set
    FILTERED = "filtered"  # by a line of the profile
    WITHHELD = "withheld"  # it lacks what the device requires, or cannot be written
    BEYOND_LIMIT = "beyond the limit"
    JOINED = "joined"  # sent, in the entry of another step that it was merged with or is a double of
    NOT_ANSWERED = "not answered"  # the query failed, or the device may not ask


ON_LIST = frozenset({Verdict.SENT, Verdict.JOINED})
"""What a device is shown."""


@dataclass(frozen=True, slots=True)
class Miss:
    """A key that the step does not satisfy, and what it has instead."""

    key: Key
    found: str  # "" for nothing


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one step."""

    item: WorklistItem
    verdict: Verdict
    misses: tuple[Miss, ...]
    response: Response | None  # where it was composed, or withheld
    history: tuple[HistoryEntry, ...]  # the oldest first
    links: Links


def judged(
    tx: Transaction,
    item: WorklistItem,
    keys: Sequence[Key] | None,
    responses: Sequence[Response],
) -> Fate:
    """Return what became of *item*; *keys* is None where the query was not answered at all."""
    misses = tuple(Miss(key, key.found(item)) for key in keys or () if not key.fits(item))
    response = next((each for each in responses if item.ref.key in each.steps), None)
    verdict = Verdict.NOT_ANSWERED if keys is None else _verdict(item, misses, response)
    history = tuple(steps.history(tx, item.ref.key))
    return Fate(item, verdict, misses, response, history, links.of_step(tx, item.ref.key))


def _verdict(item: WorklistItem, misses: Sequence[Miss], response: Response | None) -> Verdict:
    if response is not None:
        return _of(item, response)
    if item.held:
        return Verdict.HELD
    if any(hides(miss.key) for miss in misses):
        cancelled = text(item.step, STATUS[-1]) == StepState.CANCELLED
        return Verdict.CANCELLED if cancelled else Verdict.HIDDEN
    if misses:
        filters = all(is_filter(miss.key) for miss in misses)
        return Verdict.FILTERED if filters else Verdict.NOT_MATCHED
    return Verdict.BEYOND_LIMIT


def _of(item: WorklistItem, response: Response) -> Verdict:
    if response.composed is not None:
        return Verdict.SENT if response.steps[0] == item.ref.key else Verdict.JOINED
    return Verdict.FILTERED if response.intended else Verdict.WITHHELD


def hides(key: Key) -> bool:
    """Tell whether *key* is the profile's line that hides steps by their status."""
    return is_filter(key) and key.criteria[0].path == STATUS and key.criteria[0].negate


def is_filter(key: Key) -> bool:
    """Tell whether *key* is a filter of the profile: neither the device's nor one set in its place."""
    return key.origin != DEVICE and not key.operation
