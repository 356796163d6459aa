"""The Modality Performed Procedure Step SCP: N-CREATE and N-SET (PS3.4 Annex F).

What may be asked is decided by `performed_rules`; what the state of the stored instance allows is
decided by the store, in the transaction that changes it.  0x0000 goes out after the commit, which
holds the performed step, the scheduled steps it moved and the status the RIS must get (B-18).
"""

from __future__ import annotations

import logging

from mwl import metrics
from mwl.dicom import status
from mwl.dicom.devices import Devices
from mwl.dicom.encoding import Undecodable, decode_dataset, encode_dataset
from mwl.dicom.performed_rules import Objection, object_to_create, object_to_set, settable
from mwl.dicom.service import Reply, Request
from mwl.dicom.uids import is_uid, new_uid
from mwl.errors import Refusal, Refused
from mwl.logs import event
from mwl.mapping.charset import UTF8
from mwl.model import Document
from mwl.store import Store, Transaction, performed

logger = logging.getLogger(__name__)

PERFORMED_STEP = "1.2.840.10008.3.1.2.3.3"
_N_SET, _N_CREATE = 0x0120, 0x0140
_AFFECTED_CLASS, _AFFECTED_INSTANCE = 0x00000002, 0x00001000
_ERROR_COMMENT, _ERROR_ID, _ATTRIBUTE_LIST = 0x00000902, 0x00000903, 0x00001005
_NO_LONGER_UPDATABLE = 0xA710  # an Error ID, never a status (B-03)

_REFUSED = {
    Refusal.DUPLICATE: (status.DUPLICATE_SOP_INSTANCE, "the performed step exists already"),
    Refusal.UNKNOWN: (status.NO_SUCH_SOP_INSTANCE, "no such performed step"),
    # PS3.4 Table F.7.2-2 gives this wording.
    Refusal.FINAL: (status.PROCESSING_FAILURE, "Performed Procedure Step Object may no longer be updated"),
}


class PerformedService:
    """Answers N-CREATE and N-SET of every device."""

    sop_classes = (PERFORMED_STEP,)
    operations = frozenset({_N_CREATE, _N_SET})

    def __init__(self, store: Store, devices: Devices, told: frozenset[str]) -> None:
        """*told* names the systems that want to hear about their steps."""
        self._store = store
        self._devices = devices
        self._told = told

    async def handle(self, request: Request, reply: Reply) -> None:
        """Answer one request; every outcome is a status."""
        operation = self._create if request.command.field == _N_CREATE else self._set
        name = "N-CREATE" if request.command.field == _N_CREATE else "N-SET"
        try:
            code = await operation(request, reply)
        except Undecodable as error:
            code = status.PROCESSING_FAILURE
            await reply.send(code, fields={_ERROR_COMMENT: str(error)[:64]})
        metrics.performed_total.labels(name, f"{code:04X}").inc()
        event(logger, logging.INFO, "performed step request answered", operation=name,
              device=request.association.calling_ae, status=f"{code:04X}")  # fmt: skip

    async def _create(self, request: Request, reply: Reply) -> int:
        document = self._document(request)
        uid = request.command.affected_sop_instance_uid or new_uid()  # B-06: assigned when absent
        if not is_uid(uid):
            return await self._refuse(reply, uid, status.INVALID_SOP_INSTANCE, "the UID is malformed")
        if objection := object_to_create(document, strict=self._strict(request)):
            return await self._object(request, reply, uid, document, objection)
        calling = request.association.calling_ae

        def work(tx: Transaction) -> performed.Outcome:
            return performed.create(tx, uid, document, calling_ae=calling, told=self._told)

        return await self._change(request, reply, uid, work)

    async def _set(self, request: Request, reply: Reply) -> int:
        document = self._document(request)
        uid = request.command.requested_sop_instance_uid or ""
        strict, calling = self._strict(request), request.association.calling_ae
        stored = await self._store.read(lambda tx: performed.get(tx, uid)) if strict else None
        if objection := object_to_set(document, stored.document if stored else None, strict=strict):
            return await self._object(request, reply, uid, document, objection)

        def work(tx: Transaction) -> performed.Outcome:
            return performed.update(tx, uid, settable(document), calling_ae=calling, told=self._told)

        return await self._change(request, reply, uid, work)

    async def _change(self, request: Request, reply: Reply, uid: str, work: performed.Work) -> int:
        try:
            outcome = await self._store.write(work)
        except Refused as refused:
            code, comment = _REFUSED[refused.reason]
            return await self._refuse(reply, uid, code, comment)
        for finding in outcome.findings:
            event(logger, logging.WARNING, "performed step reported", device=request.association.calling_ae,
                  performed=uid, finding=finding)  # fmt: skip
        await reply.send(status.SUCCESS, fields=_instance(uid))
        return status.SUCCESS

    async def _refuse(self, reply: Reply, uid: str, code: int, comment: str) -> int:
        fields = {**_instance(uid), _ERROR_COMMENT: comment[:64]}
        if code == status.PROCESSING_FAILURE:
            fields[_ERROR_ID] = _NO_LONGER_UPDATABLE
        await reply.send(code, fields=fields)
        return code

    async def _object(
        self, request: Request, reply: Reply, uid: str, document: Document, objection: Objection
    ) -> int:
        """Send the status with its list: a data set for 0106 and 0121, tags for 0105 and 0120 (B-14)."""
        fields: dict[int, object] = {**_instance(uid), _ERROR_COMMENT: objection.comment}
        data = None
        if objection.status in (status.NO_SUCH_ATTRIBUTE, status.MISSING_ATTRIBUTE):
            fields[_ATTRIBUTE_LIST] = [int(tag, 16) for tag in objection.tags]
        else:
            offending = {tag: document[tag] for tag in objection.tags if tag in document}
            data = encode_dataset(offending, request.context.transfer_syntax, UTF8) or None
        await reply.send(objection.status, fields=fields, data=data)
        return objection.status

    def _strict(self, request: Request) -> bool:
        return bool(self._devices.of(request.association).profile.mpps.strict)

    def _document(self, request: Request) -> Document:
        if request.data is None:
            return {}
        return decode_dataset(request.data, request.context.transfer_syntax)


def _instance(uid: str) -> dict[int, object]:
    return {_AFFECTED_CLASS: PERFORMED_STEP, _AFFECTED_INSTANCE: uid}
