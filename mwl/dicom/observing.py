"""What may be learned of each query once it is over: who asked what, and what became of it.

The worklist service tells its observers; they return at once, and nothing they do reaches the device.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mwl.dicom.service import AssociationFacts
from mwl.mapping.devices.device import DeviceProfile
from mwl.store.associations import AssociationRecord
from mwl.store.queries import LeftOut

logger = logging.getLogger(__name__)

UNKNOWN = "unknown"
"""The label of callers that no entry of the configuration stands for."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One C-FIND that is over."""

    association: AssociationFacts
    device: str  # its key in the configuration; `UNKNOWN` for a caller held in quarantine
    transfer_syntax: str
    identifier: bytes = field(repr=False)  # as it came; empty where the request had none
    profile: DeviceProfile | None  # None: held in quarantine
    status: int | None  # the final one; None: the association ended before it
    matched: int = 0  # steps; where the profile has a limit, one more at most
    sent: int = 0
    left_out: tuple[LeftOut, ...] = ()  # the first of those that matched and were not sent
    left_out_count: int = 0
    seconds: float = 0.0
    missing_message_id: bool = False  # F52


def recorded(association: AssociationFacts, *, missing_message_id: bool = False) -> AssociationRecord:
    """Return what is kept of an association beside who called whom."""
    return AssociationRecord.of(
        [(each.abstract_syntax, each.transfer_syntaxes) for each in association.contexts],
        max_pdu=association.max_pdu,
        fuzzy=association.fuzzy,
        timezone=association.timezone,
        missing_message_id=missing_message_id,
    )


class Observer(Protocol):
    """Looks on."""

    def answered(self, seen: Observation) -> None:
        """Take note of a query that is over; returns at once."""


def tell(observers: Sequence[Observer], seen: Observation) -> None:
    """Tell every observer; the failure of one is its own and nobody else's."""
    for observer in observers:
        try:
            observer.answered(seen)
        except Exception:  # the device has its answer already
            logger.exception("observer failed", extra={"fields": {"observer": type(observer).__name__}})
