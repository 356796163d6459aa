"""The Modality Performed Procedure Step SCP: N-CREATE and N-SET (PS3.4 Annex F).

What may be asked is decided by `performed_rules`; what the state of the stored instance allows is
decided by the store, in the transaction that changes it.  0x0000 goes out after the commit, which
holds the performed step, the scheduled steps it moved and the status the RIS must get (B-18).

An instance that is unknown or final answers so whatever is wrong with the request besides (B-03,
B-05).  What a device's profile tolerates is done, and said in the log.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, field

from mwl import metrics
from mwl.dicom import status
from mwl.dicom.devices import Devices
from mwl.dicom.encoding import Undecodable, decode_dataset, encode_dataset
from mwl.dicom.performed_rules import (
    CHARACTER_SET,
    NO_MODIFICATIONS,
    Objection,
    object_to_create,
    object_to_set,
    settable,
)
from mwl.dicom.service import (
    AFFECTED_SOP_INSTANCE_UID,
    ATTRIBUTE_IDENTIFIER_LIST,
    ERROR_COMMENT,
    ERROR_ID,
    N_CREATE_RQ,
    N_SET_RQ,
    Reply,
    Request,
)
from mwl.dicom.uids import is_uid, new_uid
from mwl.errors import MwlError, Refusal, Refused
from mwl.lifecycle import PerformedState
from mwl.logs import event
from mwl.mapping.devices.operations.session import PerformedTolerance
from mwl.mapping.text.charset import UTF8
from mwl.model import Document
from mwl.store import Store, Transaction, performed

logger = logging.getLogger(__name__)

PERFORMED_STEP = "1.2.840.10008.3.1.2.3.3"
_COMMENT = 64  # characters of an Error Comment (LO, PS3.7 Annex E)
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


class _Objected(MwlError):
    """A rule is broken that this device's profile does not tolerate."""

    def __init__(self, objection: Objection) -> None:
        super().__init__(objection.comment)
        self.objection = objection


class PerformedService:
    """Answers N-CREATE and N-SET for every device."""

    sop_classes = (PERFORMED_STEP,)
    operations = frozenset({N_CREATE_RQ, N_SET_RQ})

    def __init__(self, store: Store, devices: Devices, told: frozenset[str]) -> None:
        """*told* names the systems that want to hear about their steps."""
        self._store = store
        self._devices = devices
        self._told = told

    async def handle(self, request: Request, reply: Reply) -> None:
        """Answer one request; every outcome is a status."""
        tolerance = self._devices.of(request.association).profile.mpps.accept
        try:
            answer = await self._answer(request, tolerance)
        except Exception as error:
            _account(request, status.of(error, request.command.field).status)
            raise
        _account(request, answer.status)
        await reply.send(answer.status, fields=answer.fields, data=answer.data)

    async def _answer(self, request: Request, tolerance: PerformedTolerance) -> _Answer:
        creates = request.command.field == N_CREATE_RQ
        uid = _uid(request) or (new_uid() if creates else "")  # B-06: assigned when absent
        if not is_uid(uid):
            return _refusal(uid, status.INVALID_SOP_INSTANCE, "the SOP Instance UID is malformed")
        try:
            document = _document(request)
            done = await (self._create if creates else self._set)(request, uid, document, tolerance)
        except Undecodable as error:
            return _refusal(uid, status.PROCESSING_FAILURE, str(error))
        except _Objected as refused:
            return _objected(request, uid, refused.objection)
        except Refused as refused:
            if not await self._forgives(refused.reason, request, uid, document, tolerance):
                return _refusal(uid, *_REFUSED[refused.reason])
            done = (_REFUSED[refused.reason][1],)
        for finding in done:
            event(logger, logging.WARNING, "performed step reported", device=request.association.calling_ae,
                  performed=uid, finding=finding)  # fmt: skip
        return _Answer(status.SUCCESS, {AFFECTED_SOP_INSTANCE_UID: uid})

    async def _create(
        self, request: Request, uid: str, document: Document, tolerance: PerformedTolerance
    ) -> tuple[str, ...]:
        """Store a performed step; return what is to be reported of it."""
        calling, tolerated = request.association.calling_ae, _judged(object_to_create(document), tolerance)

        def work(tx: Transaction) -> performed.Outcome:
            return performed.create(tx, uid, document, calling_ae=calling, told=self._told)

        return tolerated + (await self._store.write(work)).findings

    async def _set(
        self, request: Request, uid: str, document: Document, tolerance: PerformedTolerance
    ) -> tuple[str, ...]:
        """Change a performed step; return what is to be reported of it."""
        calling = request.association.calling_ae

        def work(tx: Transaction) -> tuple[str, ...]:
            stored = performed.get(tx, uid)
            # Before anything the request holds is judged.
            if stored is None:
                raise Refused(Refusal.UNKNOWN, "no such performed step")
            if stored.state is not PerformedState.IN_PROGRESS:
                raise Refused(Refusal.FINAL, "the performed step may no longer be updated")
            found = NO_MODIFICATIONS if request.data is None else object_to_set(document, stored.document)
            tolerated = _judged(found, tolerance)
            change = settable(document)
            return tolerated + performed.update(tx, uid, change, calling_ae=calling, told=self._told).findings

        return await self._store.write(work)

    async def _forgives(
        self, reason: Refusal, request: Request, uid: str, document: Document, tolerance: PerformedTolerance
    ) -> bool:
        """Tell whether a change that the store refused is answered as if it were made (M03, M04)."""
        if reason is Refusal.FINAL:
            return tolerance.nset_after_final == "ack"
        if reason is not Refusal.DUPLICATE or tolerance.repeat != "idempotent":
            return False
        stored = await self._store.read(lambda tx: performed.get(tx, uid))
        same = (document, request.association.calling_ae)
        return stored is not None and (stored.document, stored.calling_ae) == same


def _uid(request: Request) -> str | None:
    command = request.command
    if command.field == N_CREATE_RQ:
        return command.affected_sop_instance_uid
    return command.requested_sop_instance_uid


def _document(request: Request) -> Document:
    """Return the data set; what is stored is Unicode, whatever each request was written in (B-11)."""
    if request.data is None:
        return {}
    document = decode_dataset(request.data, request.context.transfer_syntax)
    document.pop(CHARACTER_SET, None)
    return document


def _judged(found: Objection | None, tolerance: PerformedTolerance) -> tuple[str, ...]:
    """Return the objection as something to report, where it is tolerated; raise it where it is not."""
    if found is None:
        return ()
    if tolerance.strict or not found.tolerable:
        raise _Objected(found)
    return (f"{found.comment}: {', '.join(found.tags[:_MOST_LISTED])}",)


def _refusal(uid: str, code: int, comment: str) -> _Answer:
    fields: dict[int, object] = {AFFECTED_SOP_INSTANCE_UID: uid, ERROR_COMMENT: comment[:_COMMENT]}
    if comment == _NO_LONGER:
        fields[ERROR_ID] = status.NO_LONGER_UPDATABLE  # an Error ID, never a status (B-03)
    return _Answer(code, fields)


def _objected(request: Request, uid: str, objection: Objection) -> _Answer:
    """Return the status with its list: a data set for 0106 and 0121, tags for 0105 and 0120 (B-14)."""
    fields = _refusal(uid, objection.status, objection.comment).fields
    if objection.status in _TAGS_LISTED:
        fields[ATTRIBUTE_IDENTIFIER_LIST] = [int(tag, 16) for tag in objection.tags[:_MOST_LISTED]]
    data = None
    if objection.offending:
        # What was sent may be no value at all; then the comment has to do.
        with suppress(ValueError):
            data = encode_dataset(objection.offending, request.context.transfer_syntax, UTF8)
    return _Answer(objection.status, fields, data)


def _account(request: Request, code: int) -> None:
    name = "N-CREATE" if request.command.field == N_CREATE_RQ else "N-SET"
    metrics.performed_total.labels(name, f"{code:04X}").inc()
    event(logger, logging.INFO, "performed step request answered", operation=name,
          device=request.association.calling_ae, status=f"{code:04X}")  # fmt: skip
