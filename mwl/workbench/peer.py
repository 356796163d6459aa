"""What is on record of a caller: its queries, its refusals, and callers that may be it under another name."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from mwl.store import Transaction, callers, queries
from mwl.store.callers import Caller
from mwl.store.queries import CapturedQuery

_ALIKE = 0.7  # of `difflib`: CT1 and CT-1, CT1 and CT2 are; CT1 and US1 are not
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Peer:
    """A calling AE title as the broker has seen it."""

    ae: str
    last: CapturedQuery | None  # None: no query of it is on record
    refusals: tuple[Caller, ...]  # of this title, the latest first
    alike: tuple[Caller, ...]  # of other titles that look like it, or from its address


def known(tx: Transaction, ae: str) -> Peer:
    """Return what is on record of *ae*."""
    last = queries.last(tx, ae)
    turned_away = callers.browse(tx, limit=callers.KEPT)
    own = [each for each in turned_away if each.calling_ae == ae]
    others = [each for each in turned_away if each.calling_ae != ae]
    addresses = {each.address for each in own} | ({last.address} if last else set())
    alike = _alike(ae, others) or [each for each in others if each.address in addresses]
    return Peer(ae, last, tuple(own[:_SHOWN]), tuple(alike[:_SHOWN]))


def _alike(ae: str, others: Sequence[Caller]) -> list[Caller]:
    titles = {each.calling_ae.casefold() for each in others}
    near = set(difflib.get_close_matches(ae.casefold(), titles, n=_SHOWN, cutoff=_ALIKE))
    return [each for each in others if each.calling_ae.casefold() in near]
