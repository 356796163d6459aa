"""What a message does, by what it is: the one place that knows all kinds."""

from __future__ import annotations

from collections.abc import Collection

from mwl.model import Incoming, OrderMessage, PatientMessage
from mwl.store import appointments, orders, visits
from mwl.store.outcome import Outcome
from mwl.store.transaction import Transaction


def apply(
    tx: Transaction, incoming: Incoming, *, source: str, uid_root: str | None, told: Collection[str]
) -> Outcome:
    """Apply a message; see `mwl.store.orders.apply`.  Raises `Unacceptable`."""
    match incoming:
        case OrderMessage():
            return orders.apply(tx, incoming, source=source, uid_root=uid_root, told=told)
        case PatientMessage():
            return visits.apply(tx, incoming, source=source, told=told)
    return appointments.apply(tx, incoming, source=source, uid_root=uid_root, told=told)
