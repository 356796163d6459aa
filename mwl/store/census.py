"""How many there are of what: counted over a day, or a month, so that it costs the same in ten years."""

from __future__ import annotations

import datetime as dt
from typing import Final

from sqlalchemy import exists, func, select

from mwl.lifecycle import PerformedState, StepState
from mwl.store.tables import performed, performed_links, steps
from mwl.store.transaction import Transaction, stamp

BACK: Final = dt.timedelta(days=31)
"""How far back performed steps without an order are counted."""


def steps_of(tx: Transaction, day: dt.date) -> dict[StepState, int]:
    """Return how many steps that begin on a day of the site's calendar are in each state."""
    counted = (
        select(steps.c.state, func.count())
        .where(steps.c.start >= f"{day:%Y%m%d}", steps.c.start < f"{day + dt.timedelta(days=1):%Y%m%d}")
        .group_by(steps.c.state)
    )
    found = {StepState(state): count for state, count in tx.connection.execute(counted)}
    return {state: found.get(state, 0) for state in StepState}


def unlinked(tx: Transaction) -> int:
    """Return how many performed steps have no scheduled step, and nobody has looked; of `BACK` at most."""
    counted = (
        select(func.count())
        .select_from(performed)
        .where(
            performed.c.state.in_([state.value for state in PerformedState]),  # the index begins with it
            performed.c.updated_at >= stamp(tx.now - BACK),
            performed.c.settled_by == "",
            ~exists().where(performed_links.c.performed_key == performed.c.key),
        )
    )
    return int(tx.connection.scalar(counted) or 0)
