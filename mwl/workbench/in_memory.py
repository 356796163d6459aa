"""Steps at hand in the place of the database, for the examples a profile carries.

`mwl.query.holds` decides here, which the database is tested against; so an example means what a query on
stored steps means.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from mwl.model import StepRef, WorklistItem, text
from mwl.query import START_DATE, START_TIME, WorklistQuery, holds, normal_time


@dataclass(frozen=True, slots=True)
class AtHand:
    """Scheduled steps, each with a key of its own."""

    items: Sequence[WorklistItem]

    def match(self, query: WorklistQuery) -> list[StepRef]:
        """Return what satisfies *query*, in the order and with the limit of `mwl.store.steps.match`."""
        shown = [item for item in self.items if query.held or not item.held]
        found = [item for item in shown if all(holds(each, item) for each in query.criteria)]
        found.sort(key=_order)
        if query.limit is None or len(found) <= query.limit:
            return [item.ref for item in found]
        if query.nearest is None:
            return [item.ref for item in found[: query.limit + 1]]
        at = _seconds(query.nearest)
        before = [item for item in found if _start(item) < query.nearest]
        around = [*reversed(before), *found[len(before) :]]  # of two at one distance the earlier counts
        nearest = sorted(around, key=lambda item: abs(_seconds(_start(item)) - at))[: query.limit + 1]
        kept = sorted(nearest[: query.limit], key=_order)
        return [item.ref for item in (*kept, *nearest[query.limit :])]

    def load(self, refs: Sequence[StepRef]) -> list[WorklistItem]:
        """Return the steps of *refs*."""
        by_key = {item.ref.key: item for item in self.items}
        return [by_key[ref.key] for ref in refs if ref.key in by_key]


def _order(item: WorklistItem) -> tuple[str, int]:
    return _start(item), item.ref.key


def _start(item: WorklistItem) -> str:
    """Return date and time of a step as text that sorts; "" for one without a date."""
    date, time = text(item.step, START_DATE[-1]), text(item.step, START_TIME[-1])
    return date and date + normal_time(time)


def _seconds(start: str) -> float:
    """Return a start on one scale; what is no date is infinitely far from all."""
    try:
        return dt.datetime.fromisoformat(f"{start[:8]}T{start[8:14]}").replace(tzinfo=dt.UTC).timestamp()
    except ValueError:
        return float("-inf")
