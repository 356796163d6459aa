"""The Modality Performed Procedure Step SCP: N-CREATE and N-SET (PS3.4 Annex F).

From a request to its status: what may be asked is decided by `performed_rules` and the device's profile,
what is done by `performed_changes`, in one transaction.  0x0000 goes out after the commit (B-18).

What a device's profile tolerates is done, and said in the log.  A device that has its answer lost asks
again: where the profile says so, the same N-CREATE, or an N-SET on a step that has ended, is answered as
if it were done, and nothing is.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from mwl import metrics
from mwl.conduct import STANDARD, Conducts
from mwl.dicom import status
from mwl.dicom.devices import Device, Devices
from mwl.dicom.encoding import Undecodable, decode_dataset, encode_dataset
from mwl.dicom.forwarding import PERFORMED_STEP
from mwl.dicom.performed_changes import Asked, Changes, Done
from mwl.dicom.performed_rules import CHARACTER_SET, Objection, objections_to_values
from mwl.dicom.performed_tolerance import Objected, cleaned
from mwl.dicom.service import (
    AFFECTED_SOP_INSTANCE_UID,
    ATTRIBUTE_IDENTIFIER_LIST,
    ERROR_COMMENT,
    ERROR_ID,
    N_CREATE_RQ,
    N_SET_RQ,
    AssociationFacts,
    Reply,
    Request,
)
from mwl.dicom.uids import is_uid, new_uid
from mwl.errors import Refusal, Refused
from mwl.logs import event
from mwl.mapping.devices.device import DeviceProfile
from mwl.mapping.text.charset import UTF8
from mwl.model import Document
from mwl.store import Store, Transaction, performed, requests
from mwl.store.onward import CREATE, NOBODY, Onward
from mwl.store.performed import PerformedStep
from mwl.store.telling import Told

__all__ = ["PERFORMED_STEP", "Begun", "PerformedService"]

logger = logging.getLogger(__name__)

_COMMENT = 64  # characters of an Error Comment (LO, PS3.7 Annex E)
_READ_AT_ONCE = 32 << 10  # bytes of a data set: some 400 images, 5 ms
_MOST_LISTED = 50  # attributes of one objection; the table has some sixty
_TAGS_LISTED = frozenset({status.NO_SUCH_ATTRIBUTE, status.MISSING_ATTRIBUTE})

_NO_LONGER = "Performed Procedure Step Object may no longer be updated"  # in these words: Table F.7.2-2
_REFUSED = {
    Refusal.DUPLICATE: (status.DUPLICATE_SOP_INSTANCE, "the performed step exists already"),
    Refusal.UNKNOWN: (status.NO_SUCH_SOP_INSTANCE, "no such performed step"),
    Refusal.FINAL: (status.PROCESSING_FAILURE, _NO_LONGER),
}


@dataclass(frozen=True, slots=True)
class _Answer:
    """One response."""

    status: int
    fields: dict[int, object] = field(default_factory=dict)
    data: bytes | None = None


class Begun:
    """In which association the latest performed steps were created.

    For a device whose N-SETs are taken there alone; kept beside the configurations, which come and go.
    """

    def __init__(self, most: int = 1000) -> None:
        self._most = most
        self._known: OrderedDict[str, AssociationFacts] = OrderedDict()

    def note(self, uid: str, association: AssociationFacts) -> None:
        """Remember that a step was created in *association*, which one object stands for."""
        self._known[uid] = association
        if len(self._known) > self._most:
            self._known.popitem(last=False)

    def elsewhere(self, uid: str, association: AssociationFacts) -> bool:
        """Tell whether a step was created in another association, or nobody knows in which."""
        return self._known.get(uid) is not association


class PerformedService:
    """Answers N-CREATE and N-SET for every device."""

    sop_classes = (PERFORMED_STEP,)
    operations = frozenset({N_CREATE_RQ, N_SET_RQ})

    def __init__(
        self,
        store: Store,
        devices: Devices,
        told: Told,
        conducts: Conducts = STANDARD,
        onward: Onward = NOBODY,
        begun: Begun | None = None,
        on_changed: Callable[[Transaction, Request, PerformedStep], None] | None = None,
    ) -> None:
        """*told* is who hears of what by HL7, *onward* who gets or hears of performed steps by DICOM.

        *on_changed* is that of `Changes`.
        """
        self._store = store
        self._devices = devices
        self._changes = Changes(devices, told, conducts, onward, on_changed)
        self._begun = begun or Begun()

    async def handle(self, request: Request, reply: Reply) -> None:
        """Answer one request; every outcome is a status."""
        try:
            answer = await self._answer(request)
        except Exception as error:
            _account(request, status.of(error, request.command.field).status)
            raise
        _account(request, answer.status)
        await reply.send(answer.status, fields=answer.fields, data=answer.data)

    async def _answer(self, request: Request) -> _Answer:
        creates, profile = request.command.field == N_CREATE_RQ, self._devices.of(request.association).profile
        uid = _uid(request)
        if uid is None and creates and profile.mpps.accept.no_uid == "assign":
            uid = new_uid()  # B-06
        if uid is None or not is_uid(uid):
            return _refusal(uid or "", status.INVALID_SOP_INSTANCE, "the SOP Instance UID is malformed")
        try:
            done = await self._done(await self._asked(request, uid))
        except Undecodable as error:
            return _refusal(uid, status.PROCESSING_FAILURE, str(error))
        except Objected as refused:
            return _objected(request, uid, refused.objection)
        except Refused as refused:
            return _refusal(uid, *_REFUSED.get(refused.reason, (status.PROCESSING_FAILURE, str(refused))))
        for finding in done.findings:
            event(logger, logging.WARNING, "performed step reported", device=request.association.calling_ae,
                  performed=uid, finding=finding)  # fmt: skip
        return _success(uid, done)

    async def _done(self, asked: Asked) -> Done:
        work = self._changes.set if asked.sets else self._changes.create
        try:
            done = await self._store.write(lambda tx: work(tx, asked))
        except Refused as refused:
            if not await self._forgives(refused.reason, asked):
                raise
            return Done((_REFUSED[refused.reason][1],))
        if not asked.sets:
            self._begun.note(asked.uid, asked.request.association)
        return done

    async def _forgives(self, reason: Refusal, asked: Asked) -> bool:
        """Tell whether a change that the store refused is answered as if it were made (M03, M04)."""
        if reason is Refusal.FINAL and asked.tolerance.nset_after_final == "ack":
            await self._store.write(lambda tx: self._changes.acknowledge(tx, asked))
            return True
        if reason is not Refusal.DUPLICATE or asked.tolerance.repeat != "idempotent":
            return False
        return await self._store.read(lambda tx: self._is_repeated(tx, asked))

    def _is_repeated(self, tx: Transaction, asked: Asked) -> bool:
        """Tell whether an N-CREATE says what the step was created with, whatever it was set to since."""
        stored = performed.get(tx, asked.uid)
        if stored is None or stored.calling_ae != asked.title:
            return False
        first = requests.first(tx, stored.key)
        if first is None:  # created before requests were kept
            return stored.document == self._changes.canonical(tx, asked)
        if first.operation != CREATE or first.data is None:
            return False
        return _read(first.data, first.transfer_syntax, asked.device.profile) == asked.sent

    async def _asked(self, request: Request, uid: str) -> Asked:
        """Read the data set, one of thousands of images in a thread."""
        device = self._devices.of(request.association)
        sets = request.command.field == N_SET_RQ
        apart = sets and self._begun.elsewhere(uid, request.association)
        if len(request.data or b"") <= _READ_AT_ONCE:
            return _understood(request, uid, device, apart=apart)
        return await asyncio.to_thread(_understood, request, uid, device, apart=apart)


def _understood(request: Request, uid: str, device: Device, *, apart: bool) -> Asked:
    """Return what a request says; what is stored is Unicode, whatever each was written in (B-11)."""
    sent: Document = {}
    if request.data is not None:
        sent = _read(request.data, request.context.transfer_syntax, device.profile)
    document, places = (sent, ()) if device.profile.mpps.strict else cleaned(sent)
    return Asked(request, uid, sent, document, places, objections_to_values(document), device, apart)


def _read(data: bytes, transfer_syntax: str, profile: DeviceProfile) -> Document:
    relabelling = profile.relabelling
    relabel = None if relabelling is None else relabelling.charset
    document = decode_dataset(data, transfer_syntax, relabel)
    document.pop(CHARACTER_SET, None)
    return document


def _uid(request: Request) -> str | None:
    command = request.command
    if command.field == N_CREATE_RQ:
        return command.affected_sop_instance_uid or None
    return command.requested_sop_instance_uid


def _success(uid: str, done: Done) -> _Answer:
    fields: dict[int, object] = {AFFECTED_SOP_INSTANCE_UID: uid}
    if not done.left_out:
        return _Answer(status.SUCCESS, fields)
    fields[ATTRIBUTE_IDENTIFIER_LIST] = [int(tag, 16) for tag in done.left_out[:_MOST_LISTED]]
    return _Answer(status.ATTRIBUTE_LIST_ERROR, fields)  # a warning: the rest is done


def _refusal(uid: str, code: int, comment: str) -> _Answer:
    fields: dict[int, object] = {AFFECTED_SOP_INSTANCE_UID: uid, ERROR_COMMENT: comment[:_COMMENT]}
    if comment == _NO_LONGER:
        fields[ERROR_ID] = status.NO_LONGER_UPDATABLE  # an Error ID, never a status (B-03)
    return _Answer(code, fields)


def _objected(request: Request, uid: str, objection: Objection) -> _Answer:
    """Return the status with its list: a data set for 0106 and 0121, tags for 0105 and 0120 (B-14)."""
    fault = objection.fault
    fields = _refusal(uid, fault.status, fault.comment).fields
    if fault.status in _TAGS_LISTED:
        fields[ATTRIBUTE_IDENTIFIER_LIST] = [int(tag, 16) for tag in objection.tags[:_MOST_LISTED]]
        return _Answer(fault.status, fields)
    data = None
    if objection.found:
        # What was sent may be no value at all; then the comment has to do.
        with suppress(ValueError):
            data = encode_dataset(objection.data_set(), request.context.transfer_syntax, UTF8)
    return _Answer(fault.status, fields, data)


def _account(request: Request, code: int) -> None:
    name = "N-CREATE" if request.command.field == N_CREATE_RQ else "N-SET"
    metrics.performed_total.labels(name, f"{code:04X}").inc()
    event(logger, logging.INFO, "performed step request answered", operation=name,
          device=request.association.calling_ae, status=f"{code:04X}")  # fmt: skip
