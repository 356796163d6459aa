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
from mwl.store.conditions import Condition
from mwl.store.implied import implied
from mwl.store.prepared import Prepared
from mwl.store.selection import Row, Selection, Window
from mwl.store.tables import patients, procedures, step_history, steps
from mwl.store.transaction import Transaction

SLICE = 200
"""Steps whose documents are read by one statement."""


def match(tx: Transaction, query: WorklistQuery, decisions: Decisions | None = None) -> list[StepRef]:
    """Return the steps that satisfy *query*, ordered by start and key (A-47).

    *decisions* remembers what documents decided, for who asks the same of the same steps again.

    With a limit of n, a result of n + 1 tells that there are more: the first n are the answer, in
    order, and the last is the one that was left out.  With *nearest* they are the n nearest to that
    instant, before and after it; else the first n.
    """
    found = Found(tx, query, decisions)
    if query.limit is None:
        return [reference(row) for row in found.rows()]
    most = query.limit + 1
    first = found.rows(most=most)
    # Most lists are shorter than any limit: then nothing has to be chosen.
    if query.nearest is None or len(first) < most:
        return [reference(row) for row in first]
    around = [
        row
        for window in (Window.BEFORE, Window.AFTER)
        for row in found.rows(window, instant=query.nearest, most=most)
    ]
    at = seconds(query.nearest)
    nearest = sorted(around, key=lambda row: abs(seconds(row.start) - at))[:most]
    kept = sorted(nearest[: query.limit], key=lambda row: (row.start, row.key))
    return [reference(row) for row in kept + nearest[query.limit :]]


def count(tx: Transaction, query: WorklistQuery) -> int:
    """Return how many steps satisfy the criteria of *query*, whatever its limit."""
    return Found(tx, query).count()


def load(tx: Transaction, refs: Sequence[StepRef]) -> list[WorklistItem]:
    """Return the steps with their levels, in the order of *refs*; one that is gone is left out.

    A reference carries the revisions that were read, which may be later than those asked for.
    """
    found: dict[int, WorklistItem] = {}
    for begin in range(0, len(refs), SLICE):
        keys = [ref.key for ref in refs[begin : begin + SLICE]]
        for row in _ITEMS.all(tx.connection, {"keys": keys}):
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


class Found:
    """The steps that satisfy the criteria of a query; its limit is the caller's.

    *selection* is what the database decides, *residual* the criteria that are decided on documents.
    """

    def __init__(self, tx: Transaction, query: WorklistQuery, decisions: Decisions | None = None) -> None:
        self._tx = tx
        self._decisions = decisions or Decisions(0)
        self.residual: list[Criterion] = []
        decided = [condition for each in query.criteria for condition in self._decided(each)]
        if not query.held:
            decided.append(conditions.SHOWN)
        if conditions.only_open(decided):
            decided.append(conditions.OPEN)
        self.selection = Selection(tx.connection, decided)

    def _decided(self, criterion: Criterion) -> Iterator[Condition]:
        """Yield what columns decide of *criterion*; what they leave open becomes residual."""
        if (condition := conditions.understood(criterion)) is not None:
            yield condition
            return
        following, exactly = implied(self._tx, criterion)
        yield from (found for each in following if (found := conditions.understood(each)) is not None)
        if not exactly:
            self.residual.append(criterion)

    def rows(self, window: Window = Window.ALL, instant: str = "", most: int | None = None) -> list[Row]:
        if not self.residual:
            return list(self.selection.rows(window, instant, most))
        return list(islice(self.filtered(self.selection.rows(window, instant, paged=True)), most))

    def count(self) -> int:
        if not self.residual:
            return self.selection.count()
        return sum(1 for _ in self.filtered(self.selection.rows(paged=True)))

    def filtered(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Yield those of *rows*, which `selection` gave, that satisfy the residual criteria, too."""
        asked = tuple(self.residual)
        while page := list(islice(rows, SLICE)):
            refs = [reference(row) for row in page]
            known = {ref.key: self._decisions.get(ref, asked) for ref in refs}
            for item in load(self._tx, [ref for ref in refs if known[ref.key] is None]):
                known[item.ref.key] = decided = _all_hold(asked, item)
                self._decisions.put(item.ref, asked, decided)
            yield from (row for row in page if known[row.key])


def _all_hold(criteria: Sequence[Criterion], item: WorklistItem) -> bool:
    """Tell whether all criteria hold; a document that is none counts, so that who sends it says so (R5)."""
    try:
        return all(holds(criterion, item) for criterion in criteria)
    except Exception:  # noqa: BLE001 - of whatever kind: one step must not cost a device its list
        return True


class Decisions:
    """Whether steps, as they were when they were read, satisfy criteria that documents decide.

    A device asks the same every half minute, so most of it is known.  What is remembered is bounded, and
    forgotten at once when that is reached.
    """

    def __init__(self, most: int = 100_000) -> None:
        """*most* decisions are remembered; one takes some 150 bytes."""
        self._most = most
        self._made: dict[tuple[StepRef, tuple[Criterion, ...]], bool] = {}

    def get(self, ref: StepRef, asked: tuple[Criterion, ...]) -> bool | None:
        """Return what was decided, None where nothing was."""
        return self._made.get((ref, asked))

    def put(self, ref: StepRef, asked: tuple[Criterion, ...], holds: bool) -> None:
        """Remember a decision."""
        if len(self._made) >= self._most:
            self._made.clear()
        if self._most:
            self._made[ref, asked] = holds


def reference(row: Row) -> StepRef:
    """Return a row of the selection as a reference."""
    return StepRef(row.key, row.patient_revision, row.procedure_revision, row.step_revision)


def seconds(start: str) -> float:
    """Return a start as seconds on one scale; what is no date is infinitely far from all."""
    try:
        return dt.datetime.fromisoformat(f"{start[:8]}T{start[8:14]}").replace(tzinfo=dt.UTC).timestamp()
    except ValueError:
        return float("-inf")


_ITEMS = Prepared(
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
