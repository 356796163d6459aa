"""What a message does, by what it is: the one place that knows all kinds."""

from __future__ import annotations

from mwl.conduct import STANDARD, Conducts
from mwl.model import Incoming, OrderMessage, PatientMessage
from mwl.store import appointments, orders, visits
from mwl.store.outcome import Outcome
from mwl.store.telling import Told
from mwl.store.transaction import Transaction


def apply(
    tx: Transaction,
    incoming: Incoming,
    *,
    source: str,
    uid_root: str | None,
    told: Told,
    conducts: Conducts = STANDARD,
) -> Outcome:
    """Apply a message; see `mwl.store.orders.apply`.  Raises `Unacceptable`."""
    match incoming:
        case OrderMessage():
            return orders.apply(tx, incoming, source=source, uid_root=uid_root, told=told, conducts=conducts)
        case PatientMessage():
            return visits.apply(tx, incoming, source=source, told=told, conducts=conducts)
    return appointments.apply(tx, incoming, source=source, uid_root=uid_root, told=told, conducts=conducts)
