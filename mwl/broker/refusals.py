"""Callers that were turned away, or held in quarantine: told once in the log, counted in the database.

A device that is refused tries again every few seconds, so the log names each pair of AE title and
address once; the database keeps the count, and what the caller proposed last.  A peer may make up AE
titles without end: what is remembered is bounded, and so is what waits to be written.
"""

from __future__ import annotations

import asyncio
import logging

from mwl.dicom.acceptor import LOCAL_LIMIT_EXCEEDED
from mwl.dicom.devices import CALLED_AE_NOT_RECOGNISED, CALLING_AE_NOT_RECOGNISED
from mwl.dicom.limits import SETTINGS, Limit
from mwl.dicom.observing import recorded
from mwl.dicom.service import AssociationFacts, Rejection
from mwl.dicom.users import USER_NOT_ACCEPTED
from mwl.errors import MwlError
from mwl.logs import event
from mwl.store import Store, callers
from mwl.store.callers import CallerFacts

logger = logging.getLogger(__name__)

_REMEMBERED = 1000  # pairs; a hospital has fewer devices
_WAITING = 100  # writes under way; what comes above that is not counted

_REASONS = {
    CALLING_AE_NOT_RECOGNISED: callers.NOT_CONFIGURED,
    CALLED_AE_NOT_RECOGNISED: "called AE title is not this broker's",
    LOCAL_LIMIT_EXCEEDED: "too many associations",
    USER_NOT_ACCEPTED: "user identity not accepted",
}
_SETTINGS = {
    CALLING_AE_NOT_RECOGNISED: "devices",
    CALLED_AE_NOT_RECOGNISED: "dicom.ae_title",
    LOCAL_LIMIT_EXCEEDED: SETTINGS[Limit.ASSOCIATIONS],
    USER_NOT_ACCEPTED: "dicom.users",
}
"""What to look at, or to move."""


class Refusals:
    """Takes note of associations that were refused, or that are held in quarantine."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._told: set[tuple[str, str, str]] = set()
        self._writes: set[asyncio.Task[None]] = set()

    def note(self, association: AssociationFacts, rejection: Rejection) -> None:
        """Note one refusal; returns at once."""
        code = f"rejected {rejection.result}/{rejection.source}/{rejection.reason}"
        reason = rejection.why or _REASONS.get(rejection, code)
        move = rejection.setting or _SETTINGS.get(rejection)
        setting = {"setting": move} if move else {}
        event(logger, self._level(association, reason), "association refused",
              calling_ae=association.calling_ae, called_ae=association.called_ae,
              address=association.address, reason=reason, **setting)  # fmt: skip
        self._record(association, reason)

    def useless(self, association: AssociationFacts) -> None:
        """Note an association that asks for nothing the broker has (F09); the acceptor told of it."""
        self._record(association, callers.NOTHING_IN_COMMON)

    def held(self, association: AssociationFacts) -> None:
        """Note that an unknown caller is held in quarantine; returns at once."""
        event(logger, self._level(association, callers.HELD), "unknown caller held",
              calling_ae=association.calling_ae, called_ae=association.called_ae,
              address=association.address, setting="capture.unknown")  # fmt: skip
        self._record(association, callers.HELD)

    def _level(self, association: AssociationFacts, reason: str) -> int:
        """Return how loud to tell it: once; the audit (`logs.observe`) hears of it each time."""
        who = (association.calling_ae, association.address, reason)
        if who in self._told:
            return logging.DEBUG
        if len(self._told) >= _REMEMBERED:
            self._told.clear()
        self._told.add(who)
        return logging.WARNING

    def _record(self, association: AssociationFacts, reason: str) -> None:
        if len(self._writes) < _WAITING:
            write = asyncio.get_running_loop().create_task(self._write(association, reason))
            self._writes.add(write)
            write.add_done_callback(self._writes.discard)

    async def start(self) -> None:
        """Begin anew: after a restart a caller is told of once more."""
        self._told.clear()

    async def stop(self) -> None:
        """Wait for what is being written."""
        await asyncio.gather(*self._writes)

    async def _write(self, association: AssociationFacts, reason: str) -> None:
        facts = CallerFacts(
            calling_ae=association.calling_ae,
            called_ae=association.called_ae,
            address=association.address,
            reason=reason,
            implementation_uid=association.implementation_uid,
            implementation_version=association.implementation_version,
            association=recorded(association),
        )
        try:
            await self._store.write(lambda tx: callers.refused(tx, facts))
        except MwlError as error:
            event(logger, logging.WARNING, "refused caller not recorded", reason=str(error))
