"""How much of what was refused is kept: so many octets a day, and what comes above that is counted.

A sender can be out of order for days, or be no sender at all; a million messages of rubbish must not
fill the disk that orders are kept on.  There are two allowances, so that rubbish from nobody knows
whom never takes the room of a real system's refused orders, which somebody will mend and replay.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from mwl.store.tables import refused_days
from mwl.store.transaction import Transaction

MIB = 1024 * 1024  # octets

_DAY = len("2026-07-05")  # of an instant as the tables hold it


class Allowance(StrEnum):
    """What the octets are counted for."""

    REFUSED = "refused"  # content of a configured system that could not be applied: it can be mended
    UNKNOWN = "unknown"  # from nobody configured, or not understood at all


@dataclass(frozen=True, slots=True)
class Limit:
    """An allowance, and the octets of messages it admits a day (UTC)."""

    allowance: Allowance
    octets: int


@dataclass(frozen=True, slots=True)
class Allowances:
    """The octets of refused messages that are kept a day (UTC), for each allowance."""

    refused: int = 256 * MIB
    unknown: int = 32 * MIB

    def limit(self, allowance: Allowance) -> Limit:
        """Return the limit of one allowance."""
        return Limit(allowance, self.refused if allowance is Allowance.REFUSED else self.unknown)


@dataclass(frozen=True, slots=True)
class RefusedDay:
    """What was kept and what was left out on one day."""

    day: str  # YYYY-MM-DD, UTC
    allowance: Allowance
    kept: int  # messages
    octets: int
    left_out: int  # messages


def take(tx: Transaction, limit: Limit, octets: int) -> bool:
    """Count a message of so many *octets*; tell whether it may be kept.

    Two brokers that ask at once may both be told yes: the limit is one of room, not of a message more.
    """
    which = {"day": tx.stamp[:_DAY], "allowance": limit.allowance.value}
    used = tx.connection.scalar(_USED, which) or 0
    kept = used + octets <= limit.octets
    counted = {"kept": int(kept), "octets": octets if kept else 0, "left_out": int(not kept)}
    insert = sqlite.insert if tx.connection.dialect.name == "sqlite" else postgresql.insert
    tx.connection.execute(
        insert(refused_days)
        .values(**which, **counted)
        .on_conflict_do_update(
            index_elements=list(which),
            set_={name: refused_days.c[name] + more for name, more in counted.items()},
        )
    )
    return kept


def days(tx: Transaction, *, since: str = "") -> list[RefusedDay]:
    """Return the days on which anything was refused, from the day *since* (YYYY-MM-DD) on, oldest first."""
    rows = tx.connection.execute(_DAYS, {"since": since})
    return [RefusedDay(row.day, Allowance(row.allowance), *row[2:]) for row in rows]


def forget(tx: Transaction, before: str) -> None:
    """Drop the counts of days before the instant *before*."""
    tx.connection.execute(delete(refused_days).where(refused_days.c.day < before[:_DAY]))


_USED = select(refused_days.c.octets).where(
    refused_days.c.day == bindparam("day"), refused_days.c.allowance == bindparam("allowance")
)
_DAYS = (
    select(
        refused_days.c.day,
        refused_days.c.allowance,
        refused_days.c.kept,
        refused_days.c.octets,
        refused_days.c.left_out,
    )
    .where(refused_days.c.day >= bindparam("since"))
    .order_by(refused_days.c.day, refused_days.c.allowance)
)
