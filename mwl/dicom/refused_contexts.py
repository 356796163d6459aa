"""What devices propose that is not to be had here: said once, by name (F09).

A workstation that is set up to search an archive and asks a worklist instead gets an association
without a usable context, and shows an empty list.  The event that names the wrong SOP class is all
there is to find this by.  A device proposes the same at every association, so each combination is
said once; a peer may make up combinations without end, so what is remembered is bounded.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TypeAlias

from mwl import metrics
from mwl.dicom.negotiation import NO_ABSTRACT_SYNTAX, NO_ROLE, NO_TRANSFER_SYNTAX
from mwl.dicom.service import AssociationFacts
from mwl.dicom.uids import named
from mwl.logs import event

logger = logging.getLogger(__name__)

Refused: TypeAlias = Sequence[tuple[str, int]]
"""Abstract syntax and result of each refused context, each pair once."""

_REMEMBERED = 1000  # combinations; a hospital has fewer devices
_NAMED = 8  # contexts in one line: a device that proposes more is an archive's

_REASONS = {
    NO_ROLE: "the device would be SCP only",
    NO_ABSTRACT_SYNTAX: "SOP class not offered",
    NO_TRANSFER_SYNTAX: "no transfer syntax in common",
}


class RefusedContexts:
    """Takes note of them, for all associations of an acceptor."""

    def __init__(self) -> None:
        self._told: set[int] = set()

    def note(self, association: AssociationFacts, refused: Refused, accepted: int) -> None:
        """Note what was refused of a proposal of which *accepted* contexts can be used."""
        for _, result in refused:
            metrics.contexts_refused.labels(_REASONS[result]).inc()
        combination = hash((association.calling_ae, association.address, tuple(refused)))
        if combination in self._told:
            return
        if len(self._told) >= _REMEMBERED:
            self._told.clear()
        self._told.add(combination)
        event(
            logger, logging.INFO if accepted else logging.WARNING, "presentation contexts refused",
            calling_ae=association.calling_ae, called_ae=association.called_ae, address=association.address,
            contexts=[f"{named(uid)}: {_REASONS[result]}" for uid, result in refused[:_NAMED]],
            more=len(refused[_NAMED:]), accepted=accepted,
        )  # fmt: skip
