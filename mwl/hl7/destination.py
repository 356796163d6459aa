"""A system that is told: where it listens, and how what it is told is worded."""

from __future__ import annotations

import datetime as dt
import ssl
from dataclasses import dataclass, replace

from mwl.hl7.compose import compose
from mwl.mapping.systems.status_facts import StatusFacts
from mwl.mapping.systems.system import SystemProfile
from mwl.store.outbox import OutboxRow

SENDER = "MWL"
"""MSH-3 of what the broker says."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A system that is told: where it listens, in which message, and the profile that words it."""

    name: str
    host: str
    port: int
    message: str  # "ORM^O01": a key of the profile's status templates
    profile: SystemProfile
    application: str = ""  # MSH-5 and MSH-6 of what it gets
    facility: str = ""
    site: str = ""  # MSH-4: the facility it is told from
    zone: dt.tzinfo = dt.UTC  # in which it is told instants
    answer_within: float = 30.0  # seconds
    nonsense_limit: int | None = None  # answers that are none until a message is parked; None: it never is
    tls: ssl.SSLContext | None = None
    certificate_name: str | None = None  # what its certificate must hold; None: its host

    def worded(self, row: OutboxRow) -> bytes:
        """Return the message that tells a row; raises what a mistake in the profile or the row raises."""
        facts = StatusFacts.of(
            row.facts,
            control_id=row.control_id,
            sender=(SENDER, self.site),
            receiver=(self.application, self.facility),
        )
        facts = replace(facts, at=facts.at.astimezone(self.zone))  # many a RIS overlooks the offset
        return compose(self.profile.status_message(self.message, facts))
