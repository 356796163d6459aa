"""The queries that devices made, as they came, and what became of them.

A device that polls repeats one identifier: that is one row, counted, with its latest answer.  Devices
are counted apart by their calling AE titles; of each the latest are kept.  Anybody on the network can
make up titles where anyone may ask, so `KEPT` bounds them all together, and `HELD` those of callers in
quarantine, which have no profile.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from mwl.store.associations import AssociationRecord
from mwl.store.promoted import storable
from mwl.store.tables import queries
from mwl.store.transaction import Transaction, stamp

KEPT = 5000
"""Rows kept of all devices together."""

HELD = 200
"""Rows kept of callers in quarantine together."""

IDENTIFIER = 32 << 10
"""Octets of the longest identifier that is kept; a device's has some 500, one with 400 UIDs 26,000."""

BATCH = 500
"""Rows that one purge deletes at most (see `retention`)."""

LISTED = 50
"""Steps left out that are kept with a query; their number is kept whole."""

_UNKNOWN = AssociationRecord()

_TITLE, _VERSION, _TEXT = 16, 16, 200  # characters (PS3.5 6.2, PS3.7 D.3.3.2)
_UID = 64


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A step that matched and was not sent, and why; holds no patient data."""

    step: int  # its key
    reason: str
    path: str = ""  # the attribute it failed by
    origin: str = ""  # file:line of the profile
    intended: bool = False  # a filter of the profile left it out on purpose


@dataclass(frozen=True, slots=True)
class CapturedQuery:
    """A query on record; *count*, and what follows, are of its latest answer."""

    calling_ae: str
    identifier: bytes = field(repr=False)  # as it came; it may hold a patient's name
    transfer_syntax: str
    last_at: str  # UTC, as the tables hold it
    status: str  # four hexadecimal digits; "" where the association ended before the final response
    called_ae: str = ""
    address: str = ""
    implementation_uid: str = ""
    implementation_version: str = ""
    association: AssociationRecord = _UNKNOWN
    first_at: str = ""
    count: int = 1  # how often it came
    profile: str = ""  # "" for a caller held in quarantine
    profile_digest: str = ""
    matched: int = 0
    sent: int = 0
    left_out: tuple[LeftOut, ...] = ()  # the first of them
    left_out_count: int = 0
    microseconds: int = 0
    key: int = 0

    @property
    def digest(self) -> str:
        """What two queries have in common that are one row, beside the caller."""
        return digest(self.transfer_syntax, self.identifier)

    @property
    def fuzzy(self) -> bool:
        """Whether fuzzy semantic matching was negotiated (A-26)."""
        return self.association.fuzzy

    @property
    def timezone(self) -> bool:
        """Whether timezone query adjustment was negotiated (A-46)."""
        return self.association.timezone

    @property
    def held(self) -> bool:
        """Whether the caller was unknown, and held in quarantine."""
        return not self.profile


def digest(transfer_syntax: str, identifier: bytes) -> str:
    """Return what tells one identifier from another."""
    return hashlib.sha256(transfer_syntax.encode() + b"\0" + identifier).hexdigest()


@dataclass(frozen=True, slots=True)
class Asker:
    """A calling AE title of which queries are on record: what it asked last, and how often it asked."""

    latest: CapturedQuery
    times: int  # all its queries on record, each as often as it came
    last_sent_at: str  # when it was last sent anything; "" for never


def record(tx: Transaction, seen: Sequence[CapturedQuery], *, per_device: int) -> None:
    """Put queries on record, and forget those that are too many; one caller's repeat is counted."""
    insert = sqlite.insert if tx.connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert(queries)
    latest = {name: statement.excluded[name] for name in _LATEST_ANSWER}
    again = statement.on_conflict_do_update(
        index_elements=["calling_ae", "digest"],
        set_={**latest, "count": queries.c.count + statement.excluded.count},
    )
    # In one order on every broker that shares the database: two that wait for each other would fail.
    rows = sorted(map(_row, seen), key=lambda row: (row["calling_ae"], row["digest"]))
    tx.connection.execute(again, rows)
    _forget(tx, _surplus(per_device, {row["calling_ae"] for row in rows}))
    if any(each.held for each in seen):
        _forget(tx, _newest().where(queries.c.profile == "").offset(HELD))
    _forget(tx, _newest().offset(KEPT))


def browse(
    tx: Transaction,
    *,
    calling_ae: str = "",
    statuses: Collection[str] = (),
    empty: bool = False,
    held: bool = False,
    since: dt.datetime | None = None,
    limit: int = 100,
) -> list[CapturedQuery]:
    """Return queries, those asked last first.

    *empty* are those to which nothing was sent, *statuses* those with one of these final statuses.
    """
    found = _newest(*_COLUMNS)
    if calling_ae:
        found = found.where(queries.c.calling_ae == calling_ae)
    if statuses:
        found = found.where(queries.c.status.in_(statuses))
    if empty:
        found = found.where(queries.c.sent == 0)
    if held:
        found = found.where(queries.c.profile == "")
    if since:
        found = found.where(queries.c.last_at >= stamp(since))
    return [_read(row) for row in tx.connection.execute(found.limit(limit))]


def get(tx: Transaction, key: int) -> CapturedQuery | None:
    """Return one query by its number."""
    row = tx.connection.execute(select(*_COLUMNS).where(queries.c.key == key)).one_or_none()
    return None if row is None else _read(row)


def last(tx: Transaction, calling_ae: str) -> CapturedQuery | None:
    """Return the query that a device asked last."""
    found = browse(tx, calling_ae=calling_ae, limit=1)
    return found[0] if found else None


def askers(tx: Transaction, *, limit: int = 1000) -> list[Asker]:
    """Return who asked, each with its latest query; who asked last comes first."""
    sums = {
        row.calling_ae: (row.times, row.fed or "")
        for row in tx.connection.execute(
            select(
                queries.c.calling_ae,
                func.sum(queries.c.count).label("times"),
                func.max(queries.c.last_at).filter(queries.c.sent > 0).label("fed"),
            ).group_by(queries.c.calling_ae)
        )
    }
    ranked = select(queries.c.key, _rank().label("rank")).subquery()
    firsts = select(ranked.c.key).where(ranked.c.rank == 1)
    found = tx.connection.execute(_newest(*_COLUMNS).where(queries.c.key.in_(firsts)).limit(limit))
    return [Asker(query, *sums[query.calling_ae]) for query in map(_read, found)]


def purge(tx: Transaction, before: dt.datetime | None, per_device: int, *, most: int = BATCH) -> int:
    """Delete queries asked last before an instant, and what is too many; return how many, *most* at most."""
    deleted = 0
    if before is not None:
        deleted += _forget(tx, select(queries.c.key).where(queries.c.last_at < stamp(before)).limit(most))
    return deleted + _forget(tx, _surplus(per_device).limit(most - deleted))


def _rank() -> ColumnElement[int]:
    """Return the place of a query among those of its device, the latest first."""
    order = (queries.c.last_at.desc(), queries.c.key.desc())
    return func.row_number().over(partition_by=queries.c.calling_ae, order_by=order)


def _surplus(per_device: int, titles: Collection[str] = ()) -> Select[Any]:
    """Return the queries above a device's number, of these devices or of all."""
    ranked = select(queries.c.key, _rank().label("rank"))
    if titles:
        ranked = ranked.where(queries.c.calling_ae.in_(titles))
    found = ranked.subquery()
    return select(found.c.key).where(found.c.rank > per_device)


def _newest(*columns: Any) -> Select[Any]:
    found = select(*columns) if columns else select(queries.c.key)
    return found.order_by(queries.c.last_at.desc(), queries.c.key.desc())


def _forget(tx: Transaction, keys: Select[Any]) -> int:
    found = tx.connection.scalars(keys).all()
    if found:
        tx.connection.execute(delete(queries).where(queries.c.key.in_(found)))
    return len(found)


_COLUMNS = tuple(each for each in queries.c if each.name != "digest")
_LATEST_ANSWER = (
    "called_ae", "address", "implementation_uid", "implementation_version", "association", "last_at",
    "profile", "profile_digest", "status", "matched", "sent", "left_out", "microseconds",
)  # fmt: skip


def _row(seen: CapturedQuery) -> dict[str, Any]:
    return {
        "calling_ae": _cut(seen.calling_ae, _TITLE),
        "called_ae": _cut(seen.called_ae, _TITLE),
        "address": _cut(seen.address, _TEXT),
        "implementation_uid": _cut(seen.implementation_uid, _UID),
        "implementation_version": _cut(seen.implementation_version, _VERSION),
        "association": seen.association.dump(),
        "transfer_syntax": seen.transfer_syntax,
        "identifier": seen.identifier,
        "digest": seen.digest,
        "first_at": seen.first_at or seen.last_at,
        "last_at": seen.last_at,
        "count": seen.count,
        "profile": seen.profile,
        "profile_digest": seen.profile_digest,
        "status": seen.status,
        "matched": seen.matched,
        "sent": seen.sent,
        "left_out": _dump(seen),
        "microseconds": seen.microseconds,
    }


def _cut(text: str, limit: int) -> str:
    return storable(text)[:limit]


def _dump(seen: CapturedQuery) -> str:
    if not seen.left_out_count:
        return ""
    listed = [asdict(each) for each in seen.left_out[:LISTED]]
    return storable(json.dumps({"count": seen.left_out_count, "steps": listed}, separators=(",", ":")))


def _read(row: Any) -> CapturedQuery:
    stored = dict(row._mapping)  # noqa: SLF001  SQLAlchemy's public way to a row's names
    left_out = json.loads(stored["left_out"] or '{"count":0,"steps":[]}')
    made = {
        "identifier": bytes(stored["identifier"]),
        "association": AssociationRecord.load(stored["association"]),
        "left_out": tuple(LeftOut(**each) for each in left_out["steps"]),
        "left_out_count": left_out["count"],
    }
    return CapturedQuery(**{**stored, **made})
