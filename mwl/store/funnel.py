"""How many steps satisfy some criteria, and which ones come closest: for people who ask why a list is empty.

The criteria are decided as for a device (`mwl.store.steps.Found`), but within bounds, so that a question
about a million steps does not hold up the database that answers devices: counting ends at `COUNTED`, and
where documents decide, `EXAMINED` steps are looked at.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from mwl.model import StepRef
from mwl.query import Criterion, WorklistQuery
from mwl.store.selection import Row, Window
from mwl.store.steps import Found, reference, seconds
from mwl.store.transaction import Transaction

COUNTED = 10_000
"""Steps that are counted at most."""

EXAMINED = 5_000
"""Steps whose documents are read for one answer at most; some 0.5 s."""


@dataclass(frozen=True, slots=True)
class Count:
    """How many steps there are; with *at_least*, there may be more: counting ended there."""

    number: int
    at_least: bool = False


def count(tx: Transaction, criteria: Sequence[Criterion], *, held: bool = False) -> Count:
    """Return how many steps satisfy *criteria*; with *held*, those of orders on hold are counted, too."""
    found = Found(tx, WorklistQuery(tuple(criteria), held=held))
    if found.residual:
        looked_at = list(found.selection.rows(Window.ANY, most=EXAMINED + 1))
        number = sum(1 for _ in found.filtered(iter(looked_at[:EXAMINED])))
        return Count(number, at_least=len(looked_at) > EXAMINED)
    number = found.selection.count(COUNTED + 1)
    return Count(min(number, COUNTED), at_least=number > COUNTED)


def newest(tx: Transaction, criteria: Sequence[Criterion], most: int, *, held: bool = False) -> list[StepRef]:
    """Return the *most* steps of *criteria* that came last, the newest first."""
    found = Found(tx, WorklistQuery(tuple(criteria), held=held))
    return [reference(row) for row in _some(found, Window.NEWEST, "", most)]


def nearest(
    tx: Transaction, criteria: Sequence[Criterion], instant: str, most: int, *, held: bool = False
) -> list[StepRef]:
    """Return the *most* steps that start nearest to *instant* (YYYYMMDDHHMMSS), the nearest first."""
    found = Found(tx, WorklistQuery(tuple(criteria), held=held))
    at = seconds(instant)
    around: Iterable[Row] = (
        row for window in (Window.BEFORE, Window.AFTER) for row in _some(found, window, instant, most)
    )
    return [
        reference(row) for row in heapq.nsmallest(most, around, key=lambda row: abs(seconds(row.start) - at))
    ]


def _some(found: Found, window: Window, instant: str, most: int) -> Iterator[Row]:
    if not found.residual:
        return found.selection.rows(window, instant, most)
    return islice(found.filtered(found.selection.rows(window, instant, EXAMINED)), most)
