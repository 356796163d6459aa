"""Who knocked and is not configured: what a field engineer looks at when a scanner shows an empty list.

One row for each pair of AE titles and address, counted.  Anybody on the network can make up titles,
so the table keeps the latest `KEPT` and no more.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from mwl.store.associations import AssociationRecord
from mwl.store.promoted import storable
from mwl.store.tables import callers
from mwl.store.transaction import Transaction

KEPT = 1000
"""Rows kept; a hospital has a few hundred devices."""

NOT_CONFIGURED = "calling AE title not configured"
"""The reason of a caller that was refused because nobody knows it."""

NOTHING_IN_COMMON = "no presentation context in common"
"""The reason of a caller that was let in, and asks for what the broker does not have."""

HELD = "held in quarantine"
"""The reason of such a caller that was not refused."""

_UNKNOWN = AssociationRecord()
_TITLE, _UID, _VERSION, _LONG = 16, 64, 16, 200  # characters (PS3.5 6.2, PS3.7 D.3.3.2)


@dataclass(frozen=True, slots=True)
class CallerFacts:
    """An association request as the broker saw it, and why it was refused; `HELD` if it was not."""

    calling_ae: str
    called_ae: str
    address: str
    reason: str
    implementation_uid: str = ""
    implementation_version: str = ""
    association: AssociationRecord = _UNKNOWN


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller on record; instants are UTC, as the tables hold them."""

    calling_ae: str
    called_ae: str
    address: str
    reason: str  # of the last refusal; `HELD` where it was let into quarantine
    implementation_uid: str
    implementation_version: str
    first_seen: str
    last_seen: str
    count: int
    association: AssociationRecord = _UNKNOWN

    @property
    def unknown(self) -> bool:
        """Whether nothing kept it out but that it was not configured."""
        return self.reason in (NOT_CONFIGURED, HELD)

    @property
    def held(self) -> bool:
        """Whether it was let into quarantine when it came last."""
        return self.reason == HELD


def refused(tx: Transaction, facts: CallerFacts) -> None:
    """Note that a caller was refused, or held."""
    seen = {
        "reason": storable(facts.reason)[:_LONG],
        "implementation_uid": storable(facts.implementation_uid)[:_UID],
        "implementation_version": storable(facts.implementation_version)[:_VERSION],
        "last_seen": tx.stamp,
        "association": facts.association.dump(),
    }
    who = {
        "calling_ae": storable(facts.calling_ae)[:_TITLE],
        "called_ae": storable(facts.called_ae)[:_TITLE],
        "address": storable(facts.address)[:_LONG],
    }
    # Two brokers may see the same caller at once: the database decides which of them inserts.
    insert = sqlite.insert if tx.connection.dialect.name == "sqlite" else postgresql.insert
    tx.connection.execute(
        insert(callers)
        .values(**who, **seen, first_seen=tx.stamp, count=1)
        .on_conflict_do_update(index_elements=list(who), set_={**seen, "count": callers.c.count + 1})
    )
    tx.connection.execute(_FORGET, {"kept": KEPT})


def browse(tx: Transaction, *, limit: int = 100) -> list[Caller]:
    """Return the callers that were refused or held, the latest first."""
    found = tx.connection.execute(_LATEST, {"most": limit})
    return [
        Caller(**{**row, "association": AssociationRecord.load(row["association"])})
        for row in found.mappings()
    ]


_LATEST = (
    select(
        callers.c.calling_ae,
        callers.c.called_ae,
        callers.c.address,
        callers.c.reason,
        callers.c.implementation_uid,
        callers.c.implementation_version,
        callers.c.first_seen,
        callers.c.last_seen,
        callers.c.count,
        callers.c.association,
    )
    .order_by(callers.c.last_seen.desc(), callers.c.key.desc())
    .limit(bindparam("most"))
)

_BY_SIGHT = select(callers.c.key).order_by(callers.c.last_seen.desc(), callers.c.key.desc())
_FORGET = delete(callers).where(callers.c.key.in_(_BY_SIGHT.offset(bindparam("kept"))))
