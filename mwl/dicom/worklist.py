"""The Modality Worklist SCP: C-FIND from identifier to responses (PS3.4 Annex K).

Theory of operation
-------------------
A request passes the device's profile (accept, query), becomes criteria (`matching`), and the store
answers with references: a step and the revisions of its levels, in the order they are sent.  (A
profile with an order of its own has them loaded and sorted first.)  What was encoded for such a
reference before is sent as it is; the rest is loaded, shaped by the profile (respond, conform),
encoded and kept.  This goes in slices of `_SLICE` references: the first response leaves before the
last is encoded, memory does not grow with the answer, C-CANCEL is heard between slices, and no slice
holds the event loop for long.

One step that cannot be sent is left out, counted and reported; the others are sent (A-18, R5).
A failure is a failure status, never an empty list (A-14): what is raised here is answered by
`operations`, and counted here.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mwl import metrics
from mwl.dicom import answering, status
from mwl.dicom.answering import Asked, Question
from mwl.dicom.devices import Device, Devices
from mwl.dicom.encoding import Undecodable
from mwl.dicom.matching import BadIdentifier
from mwl.dicom.response_cache import Encoded, ResponseCache
from mwl.dicom.service import (
    C_FIND_RQ,
    ERROR_COMMENT,
    OFFENDING_ELEMENT,
    AssociationEnded,
    Reply,
    Request,
)
from mwl.errors import MwlError
from mwl.logs import event
from mwl.mapping.devices.device import DeviceProfile, Excluded, Withheld
from mwl.model import StepRef, WorklistItem
from mwl.store import Store, Transaction, steps

logger = logging.getLogger(__name__)

WORKLIST_FIND = "1.2.840.10008.5.1.4.31"
_COMMENT = 64  # characters of an Error Comment (LO, PS3.7 Annex E)
_SLICE = 50  # references; about 10 ms of work when nothing is cached


@dataclass(slots=True)
class _Tally:
    """What became of a query, for the log and the figures."""

    began: float
    sent: int = 0
    left_out: int = 0


class WorklistService:
    """Answers C-FIND for every device; holds no state but the cache of encoded responses."""

    sop_classes = (WORKLIST_FIND,)
    operations = frozenset({C_FIND_RQ})

    def __init__(self, store: Store, devices: Devices, cache: ResponseCache | None = None) -> None:
        self._store = store
        self._devices = devices
        self._cache = cache or ResponseCache()

    async def handle(self, request: Request, reply: Reply) -> None:
        """Answer one C-FIND-RQ with its pending responses and a final status."""
        device, tally = self._devices.of(request.association), _Tally(time.perf_counter())
        try:
            code = await self._answer(request, reply, device.profile, tally)
        except AssociationEnded:
            raise
        except Exception as error:
            self._account(request, device, status.of(error, C_FIND_RQ).status, tally)
            raise
        self._account(request, device, code, tally)

    async def _answer(self, request: Request, reply: Reply, profile: DeviceProfile, tally: _Tally) -> int:
        try:
            asked = self._read(request, profile)
        except BadIdentifier as error:
            code = status.IDENTIFIER_DOES_NOT_MATCH
            return await _finish(reply, code, str(error), {OFFENDING_ELEMENT: [int(error.tag, 16)]})
        except Undecodable as error:
            return await _finish(reply, status.UNABLE_TO_DECODE, str(error))
        refs = await self._store.read(lambda tx: steps.match(tx, asked.query))
        limit = asked.query.limit
        overflow = limit is not None and len(refs) > limit
        chosen = await self._sorted(profile, refs[:limit])
        for begin in range(0, len(chosen), _SLICE):
            if request.cancelled():
                break
            responses = await self._encoded(asked, chosen[begin : begin + _SLICE], tally)
            tally.sent += await reply.stream(responses, asked.pending)
        if request.cancelled():
            return await _finish(reply, status.CANCEL)
        if overflow and profile.limit.overflow == "status_a700":
            return await _finish(reply, status.OUT_OF_RESOURCES, "more matches than this device's limit")
        if overflow:
            event(logger, logging.WARNING, "worklist cut at the device's limit",
                  device=asked.facts.calling_ae, limit=limit, setting="limit.max")  # fmt: skip
        return await _finish(reply, status.SUCCESS)

    def _read(self, request: Request, profile: DeviceProfile) -> Asked:
        peer = request.association
        question = Question(
            request.data or b"", request.context.transfer_syntax, fuzzy=peer.fuzzy, timezone=peer.timezone
        )
        return answering.read(question, profile, self._devices.facts(peer), self._devices.zone)

    async def _sorted(self, profile: DeviceProfile, refs: Sequence[StepRef]) -> Sequence[StepRef]:
        if not profile.sorts:
            return refs
        items = await self._store.read(lambda tx: steps.load(tx, refs))
        return [item.ref for item in profile.ordered(items)]

    async def _encoded(self, asked: Asked, refs: Sequence[StepRef], tally: _Tally) -> list[bytes]:
        found: dict[int, Encoded] = {}
        if asked.cache_key is not None:
            found = {ref.key: kept for ref in refs if (kept := self._cache.get((ref, asked.cache_key)))}
        missing = [ref for ref in refs if ref.key not in found]
        if missing:

            def load(tx: Transaction) -> list[WorklistItem]:
                return steps.load(tx, missing)

            for item in await self._store.read(load):
                found[item.ref.key] = self._encode(asked, item)
        ready = [found[ref.key] for ref in refs if ref.key in found]
        tally.left_out += sum(1 for entry in ready if entry.withheld)
        return [entry.data for entry in ready if entry.data]

    def _encode(self, asked: Asked, item: WorklistItem) -> Encoded:
        try:
            entry = Encoded(answering.compose(asked, item).data)
        except Excluded:
            entry = Encoded()
        except Withheld as withheld:
            entry = self._leave_out(
                asked, item, withheld.reason, attribute=withheld.path, line=withheld.origin
            )
        except MwlError as error:
            entry = self._leave_out(asked, item, str(error))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one step, the others are sent
            # Where, and not what, the error says: it may quote the patient.
            where = traceback.extract_tb(error.__traceback__)[-1]
            line = f"{where.filename}:{where.lineno}"
            entry = self._leave_out(asked, item, f"defect: {type(error).__name__}", line=line)
        if asked.cache_key is not None:
            self._cache.put((item.ref, asked.cache_key), entry)
        return entry

    def _leave_out(self, asked: Asked, item: WorklistItem, reason: str, **where: str) -> Encoded:
        event(logger, logging.WARNING, "step left out of a worklist",
              device=asked.facts.calling_ae, step=item.ref.key, reason=reason, **where)  # fmt: skip
        return Encoded(b"", withheld=reason)

    def _account(self, request: Request, device: Device, code: int, tally: _Tally) -> None:
        seconds = time.perf_counter() - tally.began
        metrics.queries_total.labels(device.label, f"{code:04X}").inc()
        metrics.query_items.labels(device.label).inc(tally.sent)
        metrics.query_seconds.observe(seconds)
        if tally.left_out:
            metrics.items_left_out.labels(device.label).inc(tally.left_out)
        event(logger, logging.INFO, "worklist query answered", device=request.association.calling_ae,
              status=f"{code:04X}", sent=tally.sent, left_out=tally.left_out,
              ms=round(seconds * 1000, 2))  # fmt: skip


async def _finish(
    reply: Reply, code: int, comment: str = "", fields: Mapping[int, object] | None = None
) -> int:
    commented = {ERROR_COMMENT: comment[:_COMMENT]} if comment else {}
    await reply.send(code, fields={**(fields or {}), **commented})
    return code
