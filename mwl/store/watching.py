"""What the clock sees to: exams nobody ends, steps nobody reports, and who has not been heard.

Several brokers on one database may all look.  What one of them changes it has locked, and looks at once
more; what is locked by another is that one's affair.  Nothing here touches what is finished: the table of
`mwl.lifecycle` lets the clock end what runs, and hold what waits, and no more (peers 23).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, exists, false, func, select

from mwl.lifecycle import WAITING, Actor, PerformedState, StepState
from mwl.store import instances, settling, transitions
from mwl.store.attaching import Situation
from mwl.store.instances import PerformedStep
from mwl.store.linking import Remark
from mwl.store.settling import Decision
from mwl.store.tables import messages, performed, queries, step_stations, steps
from mwl.store.transaction import Transaction, instant, stamp

BATCH: Final = 100
"""Rows of one transaction: some tens of milliseconds, which an acknowledgement can wait."""

PAGE: Final = 500
"""Idle steps that are looked at by one statement."""

COUNTED: Final = dt.timedelta(days=31)
"""How far back steps are counted that nobody reported."""

IDLE: Final = "idle"
"""Why the clock takes a step off the worklists (M12)."""

UNREPORTED: Final = "its device has not ended it"
"""Why the clock ends a performed step (B-08)."""


# ── exams that nobody ends ──


def report_open(tx: Transaction, before: dt.datetime, *, most: int = BATCH) -> list[PerformedStep]:
    """Remark on performed steps IN PROGRESS that were last heard of before an instant; return those new."""
    word = f"%{Remark.OPEN_TOO_LONG.value}%"
    chosen = _open(before).where(performed.c.remarks.not_like(word)).limit(most)
    found = [instances.step(row) for row in tx.connection.execute(chosen)]
    return [instances.remarked(tx, step, {*step.remarks, Remark.OPEN_TOO_LONG}) for step in found]


def close_open(
    tx: Transaction, before: dt.datetime, state: PerformedState, under: Situation, *, most: int = BATCH
) -> list[PerformedStep]:
    """End performed steps IN PROGRESS that were last heard of before an instant, and return them."""
    found = [instances.step(row) for row in tx.connection.execute(_open(before).limit(most))]
    decision = Decision(Actor.CLOCK, UNREPORTED)
    return [settling.close(tx, step.key, state, decision, under)[0] for step in found]


def count_open(tx: Transaction, before: dt.datetime) -> int:
    """Return how many performed steps IN PROGRESS were last heard of before an instant."""
    return int(
        tx.connection.scalar(select(func.count()).select_from(performed).where(_left_open(before))) or 0
    )


def _open(before: dt.datetime) -> Select[Any]:
    # Not rendered on SQLite, where a writer is alone.
    oldest = select(performed).where(_left_open(before)).order_by(performed.c.updated_at, performed.c.key)
    return oldest.with_for_update(skip_locked=True)


def _left_open(before: dt.datetime) -> ColumnElement[bool]:
    return and_(performed.c.state == PerformedState.IN_PROGRESS.value, performed.c.updated_at < stamp(before))


# ── steps that nobody reports ──


@dataclass(frozen=True, slots=True)
class Idleness:
    """How long steps may be idle: by the AE title of a station, or otherwise; None: for ever."""

    by_station: Mapping[str, dt.timedelta | None]
    otherwise: dt.timedelta | None

    def of(self, stations: Iterable[str]) -> dt.timedelta | None:
        """Return how long a step of these stations may be: as long as any of them lets it."""
        limits = [self.by_station.get(station, self.otherwise) for station in stations] or [self.otherwise]
        return None if None in limits else max(limit for limit in limits if limit is not None)

    @property
    def shortest(self) -> dt.timedelta | None:
        """The shortest time any step may be idle; None: no step is ever taken off."""
        limits = [*self.by_station.values(), self.otherwise]
        return min((limit for limit in limits if limit is not None), default=None)

    @property
    def watched(self) -> list[str]:
        """The AE titles at which a step may be idle for too long."""
        return sorted(title for title, limit in self.by_station.items() if limit is not None)


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the order of starts."""

    start: str = ""
    key: int = 0


def idle(tx: Transaction, idleness: Idleness, zone: dt.tzinfo, behind: Mark) -> tuple[list[int], Mark | None]:
    """Return steps on the worklist that have been idle for longer than they may, and where to look on.

    A step is idle since it was to start, and since anything was heard of it; one without a date is never.
    """
    shortest = idleness.shortest
    if shortest is None:
        return [], None
    wall = tx.now.astimezone(zone).replace(tzinfo=None)
    found = _waiting(behind, written(wall - shortest), stamp(tx.now - shortest))
    if idleness.otherwise is None:
        found = found.where(_at(idleness.watched))
    rows = tx.connection.execute(found.limit(PAGE)).all()
    stations = _stations(tx, [row.key for row in rows])
    keys = [
        row.key
        for row in rows
        if (limit := idleness.of(stations.get(row.key, ()))) is not None
        and (began := _begins(row)) is not None
        and began + limit <= wall
        and instant(row.updated_at) + limit <= tx.now
    ]
    return keys, Mark(rows[-1].start, rows[-1].key) if len(rows) == PAGE else None


def hide(tx: Transaction, step_keys: Sequence[int]) -> list[int]:
    """Take idle steps off every worklist, and return those that were on one."""
    return [key for key in sorted(step_keys) if _hide(tx, key)]


def _hide(tx: Transaction, step_key: int) -> bool:
    row = tx.connection.execute(_LOCKED, {"step": step_key}).one_or_none()
    if row is None or row.held or StepState(row.state) not in WAITING:
        return False
    transitions.hold(tx, step_key, held=True, source=Actor.CLOCK, reason=IDLE)
    return True


def count_idle(tx: Transaction, limit: dt.timedelta, zone: dt.tzinfo) -> int:
    """Return how many steps wait on the worklist though they were to start so long ago, `COUNTED` at most."""
    wall = tx.now.astimezone(zone).replace(tzinfo=None)
    until = wall - limit
    found = _waiting(Mark(written(until - COUNTED)), written(until), stamp(tx.now - limit))
    return int(tx.connection.scalar(select(func.count()).select_from(found.subquery())) or 0)


def _waiting(behind: Mark, until: str, heard_before: str) -> Select[Any]:
    return (
        select(steps.c.key, steps.c.start, steps.c.start_time, steps.c.updated_at)
        .where(
            steps.c.start != "",  # it has no date
            steps.c.start >= behind.start,
            (steps.c.start > behind.start) | (steps.c.key > behind.key),
            steps.c.start < until,
            steps.c.state.in_(sorted(WAITING)),
            steps.c.held == false(),
            steps.c.updated_at < heard_before,
        )
        .order_by(steps.c.start, steps.c.key)
    )


def _at(titles: Sequence[str]) -> ColumnElement[bool]:
    return exists().where(step_stations.c.step_key == steps.c.key, step_stations.c.ae_title.in_(titles))


def _stations(tx: Transaction, keys: Sequence[int]) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    chosen = select(step_stations.c.step_key, step_stations.c.ae_title)
    for row in tx.connection.execute(chosen.where(step_stations.c.step_key.in_(keys))):
        found.setdefault(row.step_key, set()).add(row.ae_title)
    return found


def written(wall: dt.datetime) -> str:
    """Return an instant of the site's wall clock as the start of a step is written."""
    return f"{wall:%Y%m%d%H%M%S.%f}"


def _begins(row: Row[Any]) -> dt.datetime | None:
    """Return when a step was to begin at the latest, None for no date; one without a time has all its day."""
    try:
        start = dt.datetime.strptime(row.start[:14], "%Y%m%d%H%M%S")  # noqa: DTZ007  the site's wall clock
    except ValueError:
        return None
    return start if row.start_time else start + dt.timedelta(days=1)


_LOCKED = (
    select(steps.c.state, steps.c.held)
    .where(steps.c.key == bindparam("step"))
    .with_for_update(skip_locked=True)
)


# ── who has been heard ──


def devices_heard(tx: Transaction, since: dt.datetime) -> dict[str, dt.datetime]:
    """Return when each AE title asked for a worklist last, or, from *since* on, reported an exam."""
    found: dict[str, str] = {}
    reported = _REPORTED.where(performed.c.updated_at >= stamp(since))
    for title, last in (*tx.connection.execute(_ASKED), *tx.connection.execute(reported)):
        found[title] = max(last, found.get(title, ""))
    return {title: instant(last) for title, last in found.items()}


def systems_heard(tx: Transaction, names: Iterable[str]) -> dict[str, dt.datetime]:
    """Return when each of these systems sent a message last; one that never did is left out."""
    found = {name: tx.connection.scalar(_SENT, {"system": name}) for name in names}
    return {name: instant(last) for name, last in found.items() if last}


_ASKED = select(queries.c.calling_ae, func.max(queries.c.last_at)).group_by(queries.c.calling_ae)
_REPORTED = (
    select(performed.c.calling_ae, func.max(performed.c.updated_at))
    .where(performed.c.state.in_([state.value for state in PerformedState]))
    .group_by(performed.c.calling_ae)
)
_SENT = select(func.max(messages.c.last_at)).where(messages.c.system == bindparam("system"))
