"""What the broker's own orders leave behind is taken away again, so that proving health costs no room."""

from __future__ import annotations

import datetime as dt
from typing import Final

from sqlalchemy import delete, or_

from mwl.store.tables import messages, procedures
from mwl.store.transaction import Transaction, stamp

KEPT: Final = dt.timedelta(hours=1)
"""How long messages stay on record, to be looked at; and orders that a broker that was killed left behind."""

PREFIX: Final = "MWLSYN"
"""With what the accession numbers of these orders begin; the instant they were made at follows."""


def accession(at: dt.datetime) -> str:
    """Return the accession number of an order made at an instant: 16 characters, sorting as they read.

    Of two brokers on one database each has its own: hundredths of a second tell them apart.
    """
    return f"{PREFIX}{int(at.timestamp() * 100):010X}"


def forget(tx: Transaction, system: str, number: str) -> None:
    """Delete the order of an accession number, and what of its system is `KEPT` no longer."""
    before = tx.now - KEPT
    ours = procedures.c.accession
    tx.connection.execute(
        delete(procedures).where(
            or_(ours == number, (ours >= PREFIX) & (ours < accession(before))), procedures.c.system == system
        )
    )
    old = delete(messages).where(messages.c.system == system, messages.c.last_at < stamp(before))
    tx.connection.execute(old)
