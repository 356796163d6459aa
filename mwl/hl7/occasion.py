"""Why a message is applied now: it came over the wire, or a person replays it from the record.

The way of a message through the intake is one and the same.  What differs stands here: which row of
the journal it belongs to, whether there is anything left to do, and whether it is only rehearsed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from mwl.errors import Refusal, Refused
from mwl.store import Transaction, messages
from mwl.store.allowances import Limit
from mwl.store.messages import SETTLED, MessageRecord, OnRecord

IGNORED: Final = "ignored"


class Occasion(Protocol):
    """What brings a message to the intake."""

    @property
    def remark(self) -> str:
        """What the history of a step says beside the message's number, with a blank before it."""
        ...

    @property
    def rehearsed(self) -> bool:
        """Whether everything is taken back in the end."""
        ...

    def begin(self, tx: Transaction, message: MessageRecord) -> OnRecord:
        """Return the message's row, which is made where there is none."""
        ...

    def refuse(self, tx: Transaction, message: MessageRecord, limit: Limit) -> OnRecord | None:
        """Do so for a message that is refused; None where it may not be kept."""
        ...

    def is_done(self, arrival: OnRecord) -> bool:
        """Tell whether the message had its effect before, so that there is nothing left to do."""
        ...


@dataclass(frozen=True, slots=True)
class Receipt:
    """It came over the wire."""

    remark: str = ""
    rehearsed: bool = False

    def begin(self, tx: Transaction, message: MessageRecord) -> OnRecord:
        """See `Occasion`."""
        return messages.arrived(tx, message)

    def refuse(self, tx: Transaction, message: MessageRecord, limit: Limit) -> OnRecord | None:
        """See `Occasion`."""
        return messages.refused(tx, message, limit)

    def is_done(self, arrival: OnRecord) -> bool:
        """See `Occasion`: a duplicate changes nothing (D-30)."""
        return arrival.earlier is not None and arrival.earlier.outcome in SETTLED


@dataclass(frozen=True, slots=True)
class Replay:
    """A person replays the message *key*; with *again*, even if it had its effect before."""

    key: int
    again: bool = False
    rehearsed: bool = False
    remark: str = " replayed"

    def begin(self, tx: Transaction, message: MessageRecord) -> OnRecord:
        """See `Occasion`; raises `Gone`."""
        if (arrival := messages.resumed(tx, self.key, message)) is None:
            raise Gone(Refusal.UNKNOWN, f"message {self.key} is not on record any more")
        return arrival

    def refuse(self, tx: Transaction, message: MessageRecord, limit: Limit) -> OnRecord | None:
        """See `Occasion`: it is kept already."""
        del limit
        return self.begin(tx, message)

    def is_done(self, arrival: OnRecord) -> bool:
        """See `Occasion`: what a sender repeated, or somebody replayed, in the meantime is not done twice."""
        return not self.again and arrival.earlier is not None and arrival.earlier.outcome in SETTLED


class Gone(Refused):
    """The message to replay was purged."""


class Rehearsed(Exception):
    """Ends the transaction of a rehearsal, which takes it back."""
