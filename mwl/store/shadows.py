"""What would differ if a device had another profile: kept of each of its queries, for a draft in the shadow.

A query that is asked again is compared again: that is one row, counted, with the latest differences.  What
is kept is bounded, and the latest stays; the rows of a draft that was changed since count as another's.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import and_, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from mwl.store.promoted import storable
from mwl.store.tables import queries, shadows
from mwl.store.transaction import Transaction, stamp

KEPT = 2000
"""Rows kept of all devices together."""

BATCH = 500
"""Rows that one purge deletes at most (see `retention`)."""

_TITLE = 16  # characters (PS3.5 6.2)


@dataclass(frozen=True, slots=True)
class Shadowed:
    """One query, answered by a device's own profile and, without being sent, by another."""

    calling_ae: str
    query_digest: str  # as `CapturedQuery.digest`
    profile: str  # the draft
    profile_digest: str
    differences: Mapping[str, Any] = field(repr=False, default_factory=dict)  # {} where nothing differs
    last_at: str = ""  # UTC, as the tables hold it
    count: int = 1  # how often it was compared
    query: int | None = None  # its number among the captured queries, where it is still one


def record(tx: Transaction, seen: Shadowed) -> None:
    """Put a comparison on record, and forget those that are too many."""
    insert = sqlite.insert if tx.connection.dialect.name == "sqlite" else postgresql.insert
    who = {
        "calling_ae": storable(seen.calling_ae)[:_TITLE],
        "query_digest": seen.query_digest,
        "profile_digest": seen.profile_digest,
    }
    kept = storable(json.dumps(seen.differences, ensure_ascii=True)) if seen.differences else ""
    latest = {"profile": seen.profile, "last_at": tx.stamp, "differences": kept}
    tx.connection.execute(
        insert(shadows)
        .values(**who, **latest, count=1)
        .on_conflict_do_update(index_elements=list(who), set_={**latest, "count": shadows.c.count + 1})
    )
    newest = select(shadows.c.key).order_by(shadows.c.last_at.desc(), shadows.c.key.desc())
    tx.connection.execute(delete(shadows).where(shadows.c.key.in_(newest.offset(KEPT))))


def browse(
    tx: Transaction, *, calling_ae: str = "", profile_digest: str = "", limit: int = 100
) -> list[Shadowed]:
    """Return comparisons, the latest first; an empty value asks nothing."""
    same = and_(queries.c.calling_ae == shadows.c.calling_ae, queries.c.digest == shadows.c.query_digest)
    found = (
        select(*_COLUMNS, queries.c.key.label("query"))
        .select_from(shadows.outerjoin(queries, same))
        .order_by(shadows.c.last_at.desc(), shadows.c.key.desc())
        .limit(limit)
    )
    if calling_ae:
        found = found.where(shadows.c.calling_ae == calling_ae)
    if profile_digest:
        found = found.where(shadows.c.profile_digest == profile_digest)
    return [_read(row) for row in tx.connection.execute(found)]


def purge(tx: Transaction, before: dt.datetime, *, most: int = BATCH) -> int:
    """Delete comparisons made last before an instant; return how many, *most* at most."""
    old = select(shadows.c.key).where(shadows.c.last_at < stamp(before)).limit(most)
    keys = tx.connection.scalars(old).all()
    if keys:
        tx.connection.execute(delete(shadows).where(shadows.c.key.in_(keys)))
    return len(keys)


_COLUMNS = tuple(each for each in shadows.c if each.name != "key")


def _read(row: Any) -> Shadowed:
    stored = dict(row._mapping)  # noqa: SLF001  SQLAlchemy's public way to a row's names
    return Shadowed(**{**stored, "differences": json.loads(stored["differences"] or "{}")})
