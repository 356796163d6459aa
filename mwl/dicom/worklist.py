"""The Modality Worklist SCP: C-FIND from identifier to responses (PS3.4 Annex K).

Theory of operation
-------------------
A request passes the device's profile (accept, query), becomes criteria (`matching`), and the store
answers with references: a step and the revisions of its levels, in the order of their start.  Each is a
line of the list; a profile that arranges its lists (sort, merge, split, ...) has the steps loaded and
makes the lines itself.  What was encoded for such a line before is sent as it is; the rest is loaded,
shaped by the profile (respond, conform), encoded and kept (`responses`).  This goes in slices of
`_SLICE` lines: the first response leaves before the last is encoded, C-CANCEL is heard between slices,
and no slice holds the event loop for long.

One step that cannot be sent is left out, counted and reported; the others are sent (A-18, R5).
A failure is a failure status, never an empty list (A-14): what is raised here is answered by
`operations`, and counted here.  A profile may have the last good list sent in its place, as long as it
is not too old (P33, `last_good`); nothing of it is sent once a new list has begun to leave.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeVar

from mwl import metrics
from mwl.crowd import Seldom
from mwl.dicom import answering, status
from mwl.dicom.answering import Asked, Question
from mwl.dicom.devices import ANYONE, NOT_A_DEVICE, Device, Devices
from mwl.dicom.encoding import Undecodable
from mwl.dicom.last_good import Kept
from mwl.dicom.limits import Limit, struck
from mwl.dicom.matching import BadIdentifier
from mwl.dicom.observing import UNKNOWN, Observation, Observer, tell
from mwl.dicom.query_rate import QueryRate
from mwl.dicom.repeated import Pace, Repeated
from mwl.dicom.response_cache import ResponseCache
from mwl.dicom.responses import Line, Responses
from mwl.dicom.service import (
    C_FIND_RQ,
    ERROR_COMMENT,
    OFFENDING_ELEMENT,
    AssociationEnded,
    Reply,
    Request,
)
from mwl.errors import Unavailable
from mwl.logs import event
from mwl.mapping.devices.device import DeviceProfile, Report
from mwl.store import NotAtOnce, Store, Transaction, steps
from mwl.store.queries import LISTED, LeftOut

logger = logging.getLogger(__name__)

WORKLIST_FIND = "1.2.840.10008.5.1.4.31"
_COMMENT = 64  # characters of an Error Comment (LO, PS3.7 Annex E)
_SLICE = 50  # lines; about 10 ms of work when nothing is cached

_ANY_TIME = dt.datetime.min.replace(tzinfo=dt.UTC)

T = TypeVar("T")


@dataclass(slots=True)
class _Tally:
    """What became of a query, for the log, the figures and the observers."""

    began: float
    matched: int = 0
    sent: int = 0
    left_out: int = 0  # of which somebody has to know
    unsent: int = 0  # these, and those that a filter left out on purpose
    listed: list[LeftOut] = field(default_factory=list)  # the first of them
    joined: int = 0  # steps that others stand for (P13, P14)
    age: float | None = None  # seconds, of the list that was sent again
    pace: Pace = field(default_factory=Pace)  # of the database, at this question

    @property
    def unusual(self) -> dict[str, object]:
        """What few answers have: steps that others stand for, and the age of a list sent again."""
        found: dict[str, object] = {"joined": self.joined} if self.joined else {}
        return found if self.age is None else {**found, "list_age": round(self.age, 1)}

    def note(self, left_out: LeftOut) -> None:
        """Count a step that is not sent."""
        self.unsent += 1
        self.left_out += not left_out.intended
        if len(self.listed) < LISTED:
            self.listed.append(left_out)


@dataclass(frozen=True, slots=True)
class _Listing:
    """The lines of an answer, made as they are sent: of a long list a reader that is frozen keeps little."""

    lines: Iterator[Line]
    overflow: bool  # there was more than the device's limit
    reports: tuple[Report, ...] = ()


class WorklistService:
    """Answers C-FIND for every device; holds no state but what was sent before."""

    sop_classes = (WORKLIST_FIND,)
    operations = frozenset({C_FIND_RQ})

    def __init__(
        self,
        store: Store,
        devices: Devices,
        cache: ResponseCache | None = None,
        observers: Sequence[Observer] = (),
        rate: QueryRate | None = None,
    ) -> None:
        """*observers* hear of every query once it is over; *rate* says who asks too much."""
        self._store = store
        self._devices = devices
        cache = cache or ResponseCache()
        self._responses = Responses(store, cache)
        self._lists = cache.lists
        self._decisions = steps.Decisions()
        self._repeated = Repeated()
        self._observers = observers
        self._rate = rate or QueryRate()
        self._seldom = Seldom()

    async def handle(self, request: Request, reply: Reply) -> None:
        """Answer one C-FIND-RQ with its pending responses and a final status."""
        tally = _Tally(time.perf_counter())
        device = self._devices.asking(
            request.association, request.data or b"", request.context.transfer_syntax
        )
        asking = _asking(request, device)
        if device is not None and not self._rate.allows(asking):
            await self._hold_back(request, reply, device, asking)
            return
        try:
            code = await self._answer(request, reply, device, tally)
        except (AssociationEnded, asyncio.CancelledError):
            self._observe(request, device, None, tally)
            raise
        except Exception as error:
            self._account(request, device, status.of(error, C_FIND_RQ).status, tally)
            raise
        self._rate.answered(asking, tally.sent)
        self._account(request, device, code, tally)

    async def _hold_back(self, request: Request, reply: Reply, device: Device, asking: str) -> None:
        """Refuse a query of a device that asks too much: counted, told once a minute, and not recorded."""
        fields = struck(Limit.QUERIES)
        metrics.queries_total.labels(device.label, f"{status.OUT_OF_RESOURCES:04X}").inc()
        if times := self._seldom.due(asking):
            event(logger, logging.WARNING, "device asks too much", device=request.association.calling_ae,
                  address=request.association.address, times=times, **fields)  # fmt: skip
        await asyncio.sleep(self._rate.pause)
        await _finish(reply, status.OUT_OF_RESOURCES, "this device asks too much")

    async def _answer(self, request: Request, reply: Reply, device: Device | None, tally: _Tally) -> int:
        if device is None:  # held in quarantine, or a reload took it away
            return await _finish(reply, status.NOT_AUTHORIZED, NOT_A_DEVICE)
        profile = device.profile
        try:
            asked, tally.pace = self._read(request, profile)
        except BadIdentifier as error:
            code = status.IDENTIFIER_DOES_NOT_MATCH
            return await _finish(reply, code, str(error), {OFFENDING_ELEMENT: [int(error.tag, 16)]})
        except Undecodable as error:
            return await _finish(reply, status.UNABLE_TO_DECODE, str(error))
        return await self._list(request, reply, asked, tally)

    async def _list(self, request: Request, reply: Reply, asked: Asked, tally: _Tally) -> int:
        """Answer with a list: a new one, or as the profile's `session` says (P33)."""
        session = asked.profile.session
        query = _words(request, asked) if session.keeps_lists else b""
        device = asked.facts.calling_ae
        if kept := self._lists.get(device, query, session.min_poll):
            return await self._again(reply, kept, tally)
        try:
            return await self._new(request, reply, asked, tally, query)
        except AssociationEnded:
            raise
        except Exception as error:
            if tally.sent:  # what has left cannot be taken back: the device must hear of the failure
                raise
            kept = self._lists.get(device, query, session.stale if session.on_error == "stale" else None)
            if kept is None and session.on_error != "success_empty":
                raise
            event(logger, logging.ERROR, "worklist sent in place of a failure", device=device,
                  setting=f"session.on_error: {session.on_error}",
                  kind=type(error).__name__)  # fmt: skip
            return await (_finish(reply, status.SUCCESS) if kept is None else self._again(reply, kept, tally))

    async def _new(self, request: Request, reply: Reply, asked: Asked, tally: _Tally, query: bytes) -> int:
        session, loop = asked.profile.session, asyncio.get_running_loop()
        within = session.answer_within
        deadline = None if within is None else loop.time() + within.total_seconds()
        listing = await _by(deadline, self._listing(asked, tally))
        sent: list[bytes] = []
        marks: list[tuple[int, tuple[tuple[str, ...], ...]]] = []
        while lines := list(islice(listing.lines, _SLICE)):
            if request.cancelled():
                break
            found = await _by(deadline, self._responses.of(asked, lines))
            for line, response in found:
                if response.left_out is not None:
                    tally.note(response.left_out)
                elif response.marks:
                    marks.append((line.step, response.marks))
            ready = [response.data for _, response in found if response.data]
            tally.sent += await reply.stream(ready, asked.pending)
            if query:
                sent += ready
        if request.cancelled():
            return await _finish(reply, status.CANCEL if session.cancel == "honour" else status.SUCCESS)
        self._report(asked, listing.reports, marks)
        if listing.overflow and asked.profile.limit.overflow == "status_a700":
            return await _finish(reply, status.OUT_OF_RESOURCES, "more matches than this device's limit")
        if listing.overflow:
            event(logger, logging.WARNING, "worklist cut at the device's limit",
                  device=asked.facts.calling_ae, limit=asked.profile.limit.max or asked.query.limit,
                  setting="limit.max")  # fmt: skip
        if query:
            self._lists.keep(asked.facts.calling_ae, query, sent, asked.pending)
        return await _finish(reply, status.SUCCESS)

    async def _listing(self, asked: Asked, tally: _Tally) -> _Listing:
        """Return the lines of the list; their steps are loaded only where the profile arranges them."""

        def read(tx: Transaction) -> tuple[int, _Listing]:
            began = time.perf_counter()
            found = matched(tx)
            tally.pace.took(time.perf_counter() - began)
            return found

        def matched(tx: Transaction) -> tuple[int, _Listing]:
            refs = steps.match(tx, asked.query, self._decisions)
            more = asked.query.limit is not None and len(refs) > asked.query.limit
            chosen = refs[: asked.query.limit]
            if not asked.profile.arranges and not (more and asked.profile.limit.overflow == "notice_item"):
                return len(refs), _Listing((Line((ref,)) for ref in chosen), more)
            listing = answering.listed(asked, steps.load(tx, chosen), more=more)
            tally.joined = sum(len(entry.refs) - 1 for entry in listing.entries if entry.refs)
            lines = (Line(entry.refs, entry.part, entry.item) for entry in listing.entries)
            return len(refs), _Listing(lines, listing.overflow, listing.reports)

        tally.matched, listing = await self._soon(read, tally.pace)
        return listing

    async def _soon(self, work: Callable[[Transaction], T], pace: Pace) -> T:
        """Read here and now what is known to be quick; anything else in a thread."""
        if pace.quick:
            with suppress(NotAtOnce):
                return self._store.glance(work)
        return await self._store.read(work)

    def _report(
        self,
        asked: Asked,
        reports: Sequence[Report],
        marks: Sequence[tuple[int, tuple[tuple[str, ...], ...]]],
    ) -> None:
        """Report what shows in the list as a whole (P30 unique)."""
        self._responses.report(asked, 0, reports)
        for index, report in asked.profile.doubles([mark for _, mark in marks]):
            self._responses.report(asked, marks[index][0], [report])

    async def _again(self, reply: Reply, kept: Kept, tally: _Tally) -> int:
        """Send a list that was sent before."""
        tally.age = self._lists.age(kept)
        tally.sent = await reply.stream(kept.responses, kept.pending)
        return await _finish(reply, status.SUCCESS)

    def _read(self, request: Request, profile: DeviceProfile) -> tuple[Asked, Pace]:
        peer = request.association
        question = Question(
            request.data or b"", request.context.transfer_syntax, fuzzy=peer.fuzzy, timezone=peer.timezone
        )
        return self._repeated.read(question, profile, self._devices.facts(peer), self._devices.zone)

    def _account(self, request: Request, device: Device | None, code: int, tally: _Tally) -> None:
        label, seconds = device.label if device else UNKNOWN, time.perf_counter() - tally.began
        metrics.queries_total.labels(label, f"{code:04X}").inc()
        metrics.query_items.labels(label).inc(tally.sent)
        metrics.query_seconds.observe(seconds)
        if tally.left_out:
            metrics.items_left_out.labels(label).inc(tally.left_out)
        event(logger, logging.INFO, "worklist query answered", device=request.association.calling_ae,
              status=f"{code:04X}", sent=tally.sent, left_out=tally.left_out,
              ms=round(seconds * 1000, 2), **tally.unusual)  # fmt: skip
        self._observe(request, device, code, tally)

    def _observe(self, request: Request, device: Device | None, code: int | None, tally: _Tally) -> None:
        if device and device.profile.own_system:  # the broker's own query is about nobody
            return
        seen = Observation(
            request.association,
            device.label if device else UNKNOWN,
            request.context.transfer_syntax,
            request.data or b"",
            device.profile if device else None,
            code,
            tally.matched,
            tally.sent,
            tuple(tally.listed),
            tally.unsent,
            time.perf_counter() - tally.began,
            missing_message_id=request.command.message_id is None,
        )
        tell(self._observers, seen)


def _asking(request: Request, device: Device | None) -> str:
    """Return who it is that asks, for an allowance: AE titles that no key names are anybody's."""
    if device is None or device.label == ANYONE:
        return f"\\{request.association.address}"  # no AE title holds a backslash
    return device.label


def _words(request: Request, asked: Asked) -> bytes:
    """Return what was asked, by whom and under which profile, as a key: the same words get the same list."""
    said = (request.data, asked.transfer_syntax, asked.profile.digest, request.association.fuzzy,
            request.association.timezone, replace(asked.facts, now=_ANY_TIME))  # fmt: skip
    return hashlib.blake2b(repr(said).encode(), digest_size=16).digest()


async def _by(deadline: float | None, work: Awaitable[T]) -> T:
    """Return what *work* does; raise `Unavailable` where it is not done by *deadline* (F54)."""
    try:
        async with asyncio.timeout_at(deadline):
            return await work
    except TimeoutError:
        raise Unavailable("not answered within the device's time (session.answer_within)") from None


async def _finish(
    reply: Reply, code: int, comment: str = "", fields: Mapping[int, object] | None = None
) -> int:
    commented = {ERROR_COMMENT: comment[:_COMMENT]} if comment else {}
    await reply.send(code, fields={**(fields or {}), **commented})
    return code
