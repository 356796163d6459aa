"""What devices sent about their performed steps, to the byte: kept with the change each request made.

What is stored of a performed step is Unicode, cleaned and in the site's own words; beside it stand the
requests as they came, for a person who asks what the device really said (M13), for a retry that must be
told from a change (M03), and for the peers that a performed step is sent on to.

How often a device may set a performed step is its own affair, how much is kept of it is not: the first
request stays for ever, of the others the latest.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, select

from mwl.store.prepared import Prepared, new
from mwl.store.tables import performed_requests
from mwl.store.transaction import Transaction, instant

KEPT = 200
"""Requests of one performed step; a device that reports every image of a long exam stays below."""

OCTETS = 32 << 20
"""Bytes of them, together: eight of the longest data sets that are taken."""


@dataclass(frozen=True, slots=True)
class PerformedRequest:
    """A request as a device sent it."""

    key: int
    performed_key: int
    at: dt.datetime
    operation: str  # N-CREATE, N-SET
    calling_ae: str  # the title it called with, whichever of its own
    address: str
    transfer_syntax: str
    data: bytes | None  # the data set; None where there was none


def keep(
    tx: Transaction,
    performed_key: int,
    *,
    operation: str,
    calling_ae: str,
    address: str,
    transfer_syntax: str,
    data: bytes | None,
) -> int:
    """Keep one request and return its key; the oldest give way, but for the first."""
    row = {
        "performed_key": performed_key, "at": tx.stamp, "operation": operation, "calling_ae": calling_ae,
        "address": address, "transfer_syntax": transfer_syntax, "data": data,
    }  # fmt: skip
    key = _NEW.scalar(tx.connection, row)
    found = _SIZES.all(tx.connection, {"performed": performed_key})
    if outdated := _outdated([(row[0], row[1]) for row in found]):
        tx.connection.execute(delete(performed_requests).where(performed_requests.c.key.in_(outdated)))
    return int(key)


def _outdated(newest_first: list[tuple[int, int]]) -> list[int]:
    """Return the keys that give way, of pairs of key and size."""
    total, outdated = newest_first[0][1], []
    for number, (key, octets) in enumerate(newest_first[1:-1], start=3):  # the newest and the first are two
        total += octets
        if number > KEPT or total > OCTETS:
            outdated.append(key)
    return outdated


def of_step(tx: Transaction, performed_key: int) -> list[PerformedRequest]:
    """Return what is kept of a performed step, in the order in which it came."""
    chosen = select(performed_requests).where(performed_requests.c.performed_key == performed_key)
    return list(_rows(tx.connection.execute(chosen.order_by(performed_requests.c.key))))


def first(tx: Transaction, performed_key: int) -> PerformedRequest | None:
    """Return the request that created a performed step; None for one of which none is kept."""
    chosen = select(performed_requests).where(performed_requests.c.performed_key == performed_key)
    found = tx.connection.execute(chosen.order_by(performed_requests.c.key).limit(1))
    return next(iter(_rows(found)), None)


def get(tx: Transaction, key: int) -> PerformedRequest | None:
    """Return one request, None where it is not kept any more."""
    chosen = select(performed_requests).where(performed_requests.c.key == key)
    return next(iter(_rows(tx.connection.execute(chosen))), None)


def _rows(found: Iterable[Row[Any]]) -> Iterable[PerformedRequest]:
    for row in found:
        yield PerformedRequest(
            row.key, row.performed_key, instant(row.at), row.operation, row.calling_ae, row.address,
            row.transfer_syntax, row.data,
        )  # fmt: skip


_NEW = new(performed_requests, key=True)
_SIZES = Prepared(
    select(
        performed_requests.c.key,
        func.coalesce(func.length(performed_requests.c.data), 0).label("octets"),
    )
    .where(performed_requests.c.performed_key == bindparam("performed"))
    .order_by(performed_requests.c.key.desc())
)
