"""The Modality Worklist SCP: C-FIND from identifier to responses (PS3.4 Annex K).

Theory of operation
-------------------
A request passes the device's profile (accept, query), becomes criteria (`matching`), and the store
answers with references: a step and the revisions of its levels, in the order they are sent.  What
was encoded for such a reference before is sent as it is; the rest is loaded, shaped by the profile
(respond, conform), encoded and kept.  This goes in slices of `_SLICE` references: the first response
leaves before the last is encoded, memory does not grow with the answer, C-CANCEL is heard between
slices, and no slice holds the event loop for long.

One step that cannot be sent is left out, counted and reported; the others are sent (A-18, R5).
A failure is a failure status, never an empty list (A-14).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from mwl import metrics
from mwl.dicom import status
from mwl.dicom.devices import Devices
from mwl.dicom.encoding import Undecodable, decode_dataset, encode_dataset
from mwl.dicom.matching import BadIdentifier, Understood, understand
from mwl.dicom.response_cache import Encoded, ResponseCache
from mwl.dicom.service import Reply, Request
from mwl.logs import event
from mwl.mapping.device import DeviceProfile, Facts, Withheld
from mwl.model import Document, StepRef, WorklistItem
from mwl.query import WorklistQuery
from mwl.store import Store, Transaction, steps

logger = logging.getLogger(__name__)

WORKLIST_FIND = "1.2.840.10008.5.1.4.31"
_ERROR_COMMENT = 0x00000902
_OFFENDING_ELEMENT = 0x00000901
_C_FIND_RQ = 0x0020
_SLICE = 50  # references; about 10 ms of work when nothing is cached
_CHARACTER_SET = "00080005"

Shape = tuple[Hashable, ...]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request, understood: what the rest of the work needs to know."""

    profile: DeviceProfile
    facts: Facts
    requested: Document
    understood: Understood
    query: WorklistQuery
    transfer_syntax: str
    charset_terms: tuple[str, ...]
    cache_key: tuple[Hashable, ...]

    @property
    def pending(self) -> int:
        """FF01 where a key could not be used, unless the profile fixes FF00 (P33)."""
        if self.profile.pending_status == "FF00" or not self.understood.unsupported:
            return status.PENDING
        return status.PENDING_WARNING


@dataclass(slots=True)
class _Tally:
    """What became of a query, for the log and the figures."""

    sent: int = 0
    left_out: int = 0


class WorklistService:
    """Answers C-FIND for every device; holds no state but the cache of encoded responses."""

    sop_classes = (WORKLIST_FIND,)
    operations = frozenset({_C_FIND_RQ})

    def __init__(self, store: Store, devices: Devices, cache: ResponseCache | None = None) -> None:
        self._store = store
        self._devices = devices
        self._cache = cache or ResponseCache()

    async def handle(self, request: Request, reply: Reply) -> None:
        """Answer one C-FIND-RQ with its pending responses and a final status."""
        began, tally = time.perf_counter(), _Tally()
        code = await self._answer(request, reply, tally)
        seconds = time.perf_counter() - began
        device = self._devices.of(request.association).label
        metrics.queries_total.labels(device, f"{code:04X}").inc()
        metrics.query_items.labels(device).inc(tally.sent)
        metrics.query_seconds.observe(seconds)
        if tally.left_out:
            metrics.items_left_out.labels(device).inc(tally.left_out)
        event(logger, logging.INFO, "worklist query answered", device=request.association.calling_ae,
              status=f"{code:04X}", sent=tally.sent, left_out=tally.left_out,
              ms=round(seconds * 1000, 2))  # fmt: skip

    async def _answer(self, request: Request, reply: Reply, tally: _Tally) -> int:
        try:
            asked = self._understand(request)
        except BadIdentifier as error:
            fields = {_OFFENDING_ELEMENT: [int(error.tag, 16)], _ERROR_COMMENT: str(error)}
            return await _finish(reply, status.IDENTIFIER_DOES_NOT_MATCH, fields)
        except Undecodable as error:
            return await _finish(reply, status.UNABLE_TO_DECODE, {_ERROR_COMMENT: str(error)[:64]})
        refs = await self._store.read(lambda tx: steps.match(tx, asked.query))
        limit = asked.query.limit
        overflow = limit is not None and len(refs) > limit
        for begin in range(0, min(len(refs), limit or len(refs)), _SLICE):
            if request.cancelled():
                return await _finish(reply, status.CANCEL)
            end = min(begin + _SLICE, limit or len(refs))
            await reply.stream(await self._encoded(asked, refs[begin:end], tally), asked.pending)
        if request.cancelled():
            return await _finish(reply, status.CANCEL)
        if overflow and asked.profile.limit.overflow == "status_a700":
            return await _finish(
                reply, status.OUT_OF_RESOURCES, {_ERROR_COMMENT: "more matches than this device's limit"}
            )
        if overflow:
            event(logger, logging.WARNING, "worklist cut at the device's limit",
                  device=asked.facts.calling_ae, limit=limit, setting="limit.max")  # fmt: skip
        return await _finish(reply, status.SUCCESS)

    def _understand(self, request: Request) -> _Asked:
        if request.data is None:  # 12.2: no identifier at all must never mean "everything"
            raise BadIdentifier("00000800", "the request has no identifier")
        profile = self._devices.of(request.association).profile
        facts = self._devices.facts(request.association)
        keys = decode_dataset(request.data, request.context.transfer_syntax)
        terms = tuple(str(term) for term in keys.get(_CHARACTER_SET, {}).get("Value", ()))
        requested = profile.accept(keys, None)
        rewritten = profile.rewrite(requested, facts, None)
        understood = understand(rewritten, lenient=profile.lenient)
        criteria = understood.criteria + profile.filters(rewritten, facts)
        limit = profile.limit
        nearest = f"{facts.now:%Y%m%d%H%M%S}" if limit.overflow == "nearest_now" else None
        syntax = request.context.transfer_syntax
        cache_key = (
            profile.digest,
            facts.calling_ae,
            facts.called_ae,
            facts.now.date(),
            syntax,
            terms,
            _shape(requested),
        )
        query = WorklistQuery(criteria, limit.max, nearest)
        return _Asked(profile, facts, requested, understood, query, syntax, terms, cache_key)

    async def _encoded(self, asked: _Asked, refs: Sequence[StepRef], tally: _Tally) -> list[bytes]:
        found = {ref.key: self._cache.get((ref, asked.cache_key)) for ref in refs}
        missing = [ref for ref in refs if found[ref.key] is None]
        if missing:

            def load(tx: Transaction) -> list[WorklistItem]:
                return steps.load(tx, missing)

            for item in await self._store.read(load):
                found[item.ref.key] = self._encode(asked, item)
        ready = [entry for ref in refs if (entry := found[ref.key]) is not None]
        responses = [entry.data for entry in ready if not entry.withheld]
        tally.sent += len(responses)
        tally.left_out += len(ready) - len(responses)
        return responses

    def _encode(self, asked: _Asked, item: WorklistItem) -> Encoded:
        try:
            response = asked.profile.respond(item, asked.requested, asked.facts, None)
            charset, fitted, _ = asked.profile.choose_charset(response, asked.charset_terms)
            entry = Encoded(encode_dataset(fitted, asked.transfer_syntax, charset))
        except Withheld as withheld:
            entry = self._leave_out(asked, item, str(withheld))
        except ValueError as error:  # of Unfit and of a value its VR cannot hold
            entry = self._leave_out(asked, item, f"cannot be encoded: {type(error).__name__}")
        self._cache.put((item.ref, asked.cache_key), entry)
        return entry

    def _leave_out(self, asked: _Asked, item: WorklistItem, reason: str) -> Encoded:
        event(logger, logging.WARNING, "step left out of a worklist",
              device=asked.facts.calling_ae, step=item.ref.key, reason=reason)  # fmt: skip
        return Encoded(b"", withheld=reason)


async def _finish(reply: Reply, code: int, fields: Mapping[int, object] | None = None) -> int:
    await reply.send(code, fields=fields or {})
    return code


def _shape(requested: Document) -> Shape:
    """Return which attributes are asked for, nested as they are: all that responses depend on."""
    parts: list[Hashable] = []
    for tag, element in requested.items():
        inner = element.get("Value", ()) if element["vr"] == "SQ" else ()
        parts.append((tag, *(_shape(item) for item in inner)) if inner else tag)
    return tuple(parts)
