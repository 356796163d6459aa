"""Messages on record applied again, in the order in which they came.

Each takes the way through the intake that every message takes, in a transaction of its own, so that a
broker may run on the same database: what it takes in meanwhile comes before or after, never between.
A message that a broker accepted in the meantime is left alone.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass

from mwl.hl7.ack import ERROR, REJECTED
from mwl.hl7.intake import Intake, Verdict
from mwl.hl7.occasion import Gone
from mwl.store import Store, journal
from mwl.store.journal import Entry

REFUSED = frozenset({ERROR, REJECTED})


@dataclass(frozen=True, slots=True)
class Replayed:
    """A message as it was on record, and what became of it now."""

    entry: Entry
    verdict: Verdict

    @property
    def refused(self) -> bool:
        """Whether it was refused again."""
        return self.verdict.outcome in REFUSED


async def replay(
    store: Store, intake: Intake, keys: Iterable[int], *, again: bool = False, rehearsed: bool = False
) -> AsyncGenerator[Replayed, None]:
    """Apply the messages *keys* by and by, the first that came first; one that was purged is passed over.

    *again* applies those too that had their effect.  *rehearsed* takes each back at once: what one would
    change is not there for the next.  Raises `Unavailable`; what was yielded before stays applied.
    """
    for key in sorted(set(keys)):
        stored = await store.read(lambda tx, key=key: journal.read(tx, key))  # type: ignore[misc]
        if stored is None:
            continue
        try:
            verdict = await intake.replay(
                key, stored.raw, stored.entry.peer, again=again, rehearsed=rehearsed
            )
        except Gone:
            continue
        yield Replayed(stored.entry, verdict)
