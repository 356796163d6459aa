"""What a caller proposed when it asked for an association, as it is kept beside its queries and refusals.

A peer may propose 128 contexts with any number of transfer syntaxes; what is kept of them is bounded.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mwl.store.promoted import storable

_CONTEXTS = 16  # a worklist device proposes two or three, an archive some hundred
_SYNTAXES = 8  # transfer syntaxes of one context
_UID = 64  # characters (PS3.5 9.1)


@dataclass(frozen=True, slots=True)
class Proposed:
    """One proposed presentation context."""

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AssociationRecord:
    """What is known of an association beside AE titles, address and implementation."""

    max_pdu: int = 0  # octets the peer takes; 0 without limit
    contexts: tuple[Proposed, ...] = ()  # the first sixteen, in the order proposed
    more: int = 0  # contexts beside these
    fuzzy: bool = False  # fuzzy semantic matching was negotiated
    timezone: bool = False  # timezone query adjustment was negotiated
    missing_message_id: bool = False  # the request came without Message ID (F52)

    @classmethod
    def of(cls, contexts: Sequence[tuple[str, Sequence[str]]], **facts: Any) -> AssociationRecord:
        """Return a record of abstract syntaxes, each with its transfer syntaxes, cut to what is kept."""
        kept = (Proposed(_uid(one), tuple(map(_uid, all_[:_SYNTAXES]))) for one, all_ in contexts[:_CONTEXTS])
        return cls(contexts=tuple(kept), more=len(contexts[_CONTEXTS:]), **facts)

    def dump(self) -> str:
        """Return the record as a column holds it."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def load(cls, stored: str) -> AssociationRecord:
        """Return the record that `dump` wrote; an empty one for rows that have none."""
        if not stored:
            return cls()
        found = json.loads(stored)
        contexts = tuple(
            Proposed(each["abstract_syntax"], tuple(each["transfer_syntaxes"])) for each in found["contexts"]
        )
        return cls(**{**found, "contexts": contexts})


def _uid(text: str) -> str:
    return storable(text)[:_UID]
