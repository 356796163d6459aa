"""What a scheduled step has to do with: the messages that touched it, the performed steps linked to it.

For people who ask why a step is as it is; nothing is decided by it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, select

from mwl.store.tables import message_links, messages, performed, performed_links
from mwl.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class MessageLink:
    """A message that touched the step."""

    received_at: str  # UTC, as the tables hold instants
    system: str
    kind: str  # "ORM^O01"
    control_id: str
    outcome: str  # MSA-1 of the answer


@dataclass(frozen=True, slots=True)
class PerformedLink:
    """A performed step that is linked to the step."""

    created_at: str
    sop_instance_uid: str
    calling_ae: str
    state: str
    rule: str  # the rung of the ladder that linked them


@dataclass(frozen=True, slots=True)
class Links:
    """Everything a step is linked to, the oldest first."""

    messages: tuple[MessageLink, ...]
    performed: tuple[PerformedLink, ...]


def of_step(tx: Transaction, step_key: int) -> Links:
    """Return what the step is linked to."""
    wanted = {"step": step_key}
    return Links(
        tuple(MessageLink(*row) for row in tx.connection.execute(_MESSAGES, wanted)),
        tuple(PerformedLink(*row) for row in tx.connection.execute(_PERFORMED, wanted)),
    )


_MESSAGES = (
    select(
        messages.c.received_at,
        messages.c.system,
        messages.c.kind,
        messages.c.control_id,
        messages.c.outcome,
    )
    .join(message_links)
    .where(message_links.c.step_key == bindparam("step"))
    .order_by(messages.c.key)
)

_PERFORMED = (
    select(
        performed.c.created_at,
        performed.c.sop_instance_uid,
        performed.c.calling_ae,
        performed.c.state,
        performed_links.c.rule,
    )
    .join(performed_links)
    .where(performed_links.c.step_key == bindparam("step"))
    .order_by(performed.c.key)
)
