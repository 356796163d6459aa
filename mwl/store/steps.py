"""Scheduled steps as devices and people see them: what matches, what it says, what happened to it.

Criteria on promoted columns are decided by the database (`mwl.store.selection`), the others on the
documents, by `mwl.query.holds`; together they mean exactly what `holds` alone would say.  A step whose
order is on hold is on no worklist, whatever a device asks for; people see it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import bindparam, select

from mwl.lifecycle import StepState
from mwl.model import StepRef, WorklistItem
from mwl.query import START_DATE, Criterion, Op, WorklistQuery, holds
from mwl.store import conditions, promoted
from mwl.store.selection import Row, Selection, Window
from mwl.store.tables import patients, procedures, step_history, steps
from mwl.store.transaction import Transaction

SLICE = 200
"""Steps whose documents are read by one statement."""


def match(tx: Transaction, query: WorklistQuery) -> list[StepRef]:
    """Return the steps that satisfy *query*, ordered by start and key (A-47).

    With a limit of n, a result of n + 1 tells that there are more: the first n are the answer, in
    order, and the last is the one that was left out.  With *nearest* they are the n nearest to that
    instant, before and after it; else the first n.
    """
    found = _Found(tx, query)
    if query.limit is None:
        return [_ref(row) for row in found.rows()]
    most = query.limit + 1
    if query.nearest is None:
        return [_ref(row) for row in found.rows(most=most)]
    around = [
        row
        for window in (Window.BEFORE, Window.AFTER)
        for row in found.rows(window, instant=query.nearest, most=most)
    ]
    at = _seconds(query.nearest)
    nearest = sorted(around, key=lambda row: abs(_seconds(row.start) - at))[:most]
    kept = sorted(nearest[: query.limit], key=lambda row: (row.start, row.key))
    return [_ref(row) for row in kept + nearest[query.limit :]]


def count(tx: Transaction, query: WorklistQuery) -> int:
    """Return how many steps satisfy the criteria of *query*, whatever its limit."""
    return _Found(tx, query).count()


def load(tx: Transaction, refs: Sequence[StepRef]) -> list[WorklistItem]:
    """Return the steps with their levels, in the order of *refs*; one that is gone is left out.

    A reference carries the revisions that were read, which may be later than those asked for.
    """
    found: dict[int, WorklistItem] = {}
    for begin in range(0, len(refs), SLICE):
        keys = [ref.key for ref in refs[begin : begin + SLICE]]
        for row in tx.connection.execute(_ITEMS, {"keys": keys}):
            found[row.key] = _item(row)
    return [found[ref.key] for ref in refs if ref.key in found]


def browse(
    tx: Transaction,
    *,
    patient_id: str = "",
    accession: str = "",
    state: StepState | None = None,
    day: str = "",
    limit: int = 100,
) -> list[WorklistItem]:
    """Return the steps a person looks for, by start: *limit* at most; an empty value asks nothing."""
    wanted = {
        conditions.PATIENT_ID: patient_id,
        conditions.ACCESSION: accession,
        conditions.STATE: state or "",
        START_DATE: day,
    }
    criteria = tuple(Criterion(path, Op.IN, (value,)) for path, value in wanted.items() if value)
    return load(tx, match(tx, WorklistQuery(criteria, limit=limit, held=True))[:limit])


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One thing that happened to a step, and who said so."""

    at: str  # UTC, as the tables hold instants
    event: str
    before: str  # "" where the step came into being
    after: str
    source: str
    reason: str


def history(tx: Transaction, step_key: int) -> list[HistoryEntry]:
    """Return what happened to the step, the oldest first."""
    rows = tx.connection.execute(_HISTORY, {"step": step_key})
    return [HistoryEntry(*row) for row in rows]


class _Found:
    """The steps that satisfy the criteria of a query, whoever decides them."""

    def __init__(self, tx: Transaction, query: WorklistQuery) -> None:
        self._tx = tx
        understood = {criterion: conditions.understood(criterion) for criterion in query.criteria}
        self._residual = [criterion for criterion, condition in understood.items() if condition is None]
        decided = [condition for condition in understood.values() if condition is not None]
        if not query.held:
            decided.append(conditions.SHOWN)
        self._selection = Selection(tx.connection, decided)

    def rows(self, window: Window = Window.ALL, instant: str = "", most: int | None = None) -> list[Row]:
        if not self._residual:
            return list(self._selection.rows(window, instant, most))
        return list(islice(self._filtered(self._selection.rows(window, instant, paged=True)), most))

    def count(self) -> int:
        if not self._residual:
            return self._selection.count()
        return sum(1 for _ in self._filtered(self._selection.rows(paged=True)))

    def _filtered(self, rows: Iterator[Row]) -> Iterator[Row]:
        while page := list(islice(rows, SLICE)):
            items = {item.ref.key: item for item in load(self._tx, [_ref(row) for row in page])}
            for row in page:
                item = items.get(row.key)
                if item and all(holds(criterion, item) for criterion in self._residual):
                    yield row


def _ref(row: Row) -> StepRef:
    return StepRef(row.key, row.patient_revision, row.procedure_revision, row.step_revision)


def _seconds(start: str) -> float:
    """Return a start as seconds on one scale; what is no date is infinitely far from all."""
    try:
        return dt.datetime.fromisoformat(f"{start[:8]}T{start[8:14]}").replace(tzinfo=dt.UTC).timestamp()
    except ValueError:
        return float("-inf")


_ITEMS = (
    select(
        steps.c.key,
        steps.c.document,
        steps.c.state,
        steps.c.held,
        steps.c.revision,
        procedures.c.document.label("procedure"),
        procedures.c.revision.label("procedure_revision"),
        procedures.c.system,
        patients.c.document.label("patient"),
        patients.c.revision.label("patient_revision"),
    )
    .select_from(steps.join(procedures).join(patients))
    .where(steps.c.key.in_(bindparam("keys", expanding=True)))
)

_HISTORY = (
    select(
        step_history.c.at,
        step_history.c.event,
        step_history.c.before,
        step_history.c.after,
        step_history.c.source,
        step_history.c.reason,
    )
    .where(step_history.c.step_key == bindparam("step"))
    .order_by(step_history.c.key)
)


def _item(row: Any) -> WorklistItem:
    step = promoted.load(row.document)
    # The column is the state; a document may have been written before the last transition.
    step[conditions.STATE[-1]] = {"vr": "CS", "Value": [row.state]}
    return WorklistItem(
        ref=StepRef(row.key, row.patient_revision, row.procedure_revision, row.revision),
        patient=promoted.load(row.patient),
        procedure=promoted.load(row.procedure),
        step=step,
        system=row.system,
        held=row.held,
    )
