"""The MPPS Retrieve SCP: N-GET, what the broker knows of a performed step (PS3.4 F.8).

Whoever may associate may ask, about any performed step.  Attributes are asked for at the top level alone;
without a list all are returned.  What the standard has and the device left out comes back empty; what
is neither the standard's table nor there is not supported, and the rest comes with 0001 (B-20).

The answer is in the broker's own words (canonical values, times in the device's zone), in a character
set that the asking device's profile chooses, with its (0008,0005): each request was read in its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from mwl import metrics
from mwl.dicom import status, zones
from mwl.dicom.devices import Devices
from mwl.dicom.encoding import Framing, encode_dataset
from mwl.dicom.performed_rules import CHARACTER_SET, TABLE
from mwl.dicom.service import (
    AFFECTED_SOP_INSTANCE_UID,
    ATTRIBUTE_IDENTIFIER_LIST,
    ERROR_COMMENT,
    N_GET_RQ,
    AssociationFacts,
    Reply,
    Request,
)
from mwl.dicom.uids import is_uid
from mwl.logs import event
from mwl.mapping import paths
from mwl.mapping.devices.device import DeviceProfile, Withheld
from mwl.mapping.text.charset import Unfit
from mwl.model import Document
from mwl.store import Store, performed
from mwl.store.instances import PerformedStep

logger = logging.getLogger(__name__)

RETRIEVE = "1.2.840.10008.3.1.2.3.4"
OPERATION = "N-GET"

OnRead: TypeAlias = Callable[[AssociationFacts, PerformedStep], None]

_SUPPORTED = frozenset(rule.tag for rule in TABLE)
_MOST_LISTED = 50  # tags of one response


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    fields: dict[int, object] = field(default_factory=dict)
    data: bytes | None = None


class RetrieveService:
    """Answers N-GET for every device."""

    sop_classes = (RETRIEVE,)
    operations = frozenset({N_GET_RQ})

    def __init__(self, store: Store, devices: Devices, on_read: OnRead | None = None) -> None:
        """*on_read* hears who was given which performed step."""
        self._store = store
        self._devices = devices
        self._on_read = on_read

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
        device, uid = self._devices.of(request.association), request.command.requested_sop_instance_uid or ""
        if not is_uid(uid):
            return _refusal(uid, status.INVALID_SOP_INSTANCE, "the SOP Instance UID is malformed")
        stored = await self._store.read(lambda tx: performed.get(tx, uid))
        if stored is None:
            return _refusal(uid, status.NO_SUCH_SOP_INSTANCE, "no such performed step")
        found, unsupported = selected(stored.document, _tags(request))
        if device.profile.zone is not None:
            found = zones.performed_in_zone(found, device.profile.zone, self._devices.zone)
        try:  # in a thread: it may name thousands of images
            data = await asyncio.to_thread(_encoded, found, device.profile, request.context.transfer_syntax)
        except (Withheld, Unfit):
            return _refusal(uid, status.PROCESSING_FAILURE, "no character set of the device holds it")
        if self._on_read is not None:
            self._on_read(request.association, stored)
        fields: dict[int, object] = {AFFECTED_SOP_INSTANCE_UID: uid}
        if not unsupported:
            return _Answer(status.SUCCESS, fields, data or None)
        fields[ATTRIBUTE_IDENTIFIER_LIST] = [int(tag, 16) for tag in unsupported[:_MOST_LISTED]]
        return _Answer(status.OPTIONAL_NOT_SUPPORTED, fields, data or None)


def selected(document: Document, wanted: Sequence[str] | None) -> tuple[Document, tuple[str, ...]]:
    """Return what is asked for of *document*, and the tags that are not supported; None asks for all."""
    if wanted is None:
        return document, ()
    there = {tag: document[tag] for tag in wanted if tag in document}
    empty: Document = {tag: {"vr": paths.vr(tag)} for tag in wanted if tag in _SUPPORTED and tag not in there}
    return {**there, **empty}, tuple(tag for tag in wanted if tag not in there and tag not in empty)


def _tags(request: Request) -> list[str] | None:
    """Return what the request asks for; the character set comes with the answer in any case."""
    stated = request.command.get(ATTRIBUTE_IDENTIFIER_LIST)
    if not isinstance(stated, tuple) or not stated:
        return None
    tags = dict.fromkeys(f"{tag:08X}" for tag in stated)
    return [tag for tag in tags if tag != CHARACTER_SET]


def _encoded(document: Document, profile: DeviceProfile, transfer_syntax: str) -> bytes:
    charset, fitted, _ = profile.choose_charset(document, ())
    wire = profile.wire
    framing = Framing(wire.sequences == "undefined", wire.group_lengths == "present")
    return encode_dataset(fitted, transfer_syntax, charset, framing)


def _refusal(uid: str, code: int, comment: str) -> _Answer:
    return _Answer(code, {AFFECTED_SOP_INSTANCE_UID: uid, ERROR_COMMENT: comment})


def _account(request: Request, code: int) -> None:
    metrics.performed_total.labels(OPERATION, f"{code:04X}").inc()
    event(logger, logging.INFO, "performed step request answered", operation=OPERATION,
          device=request.association.calling_ae, status=f"{code:04X}")  # fmt: skip
