"""From one raw HL7 message to its effects and its answer.

Theory of operation.  What a message asks for is found without touching anything (`mwl.hl7.envelope`).
It is then done in ONE transaction: the raw bytes go on record, the order is applied, the message is
linked to what it touched, the answer is kept beside it.  A positive answer leaves after that
transaction has returned, never before (design 4.1).

A refused message changes nothing, and is put on record by a short second transaction.  What was
accepted before, byte for byte, is not done again: its first answer is given again (D-30).  What was
refused before is tried anew: the profile may have been mended since.

    what happened                                       answer   on record
    applied                                             AA       yes, with its effects
    a kind the profile ignores                          AA       yes
    an acknowledgement (D-16)                           none     yes
    content that cannot be applied, sender unknown      AE       yes
    type, event, processing ID, form not taken          AR       yes
    larger than the limit                               AR       no: it was not kept
    the store cannot answer now                         AR 207   no: the sender repeats it (D-14)
    a defect of ours                                    AE 207   yes, where that is possible

On record stands the code of this table; the acknowledgement mode may make CA, CE, CR or silence of it
on the wire (`mwl.hl7.ack.codes`).
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from mwl import metrics
from mwl.errors import Finding, Location, MwlError, NotUnderstood, Unacceptable, Unavailable
from mwl.hl7 import mllp
from mwl.hl7.ack import ACCEPTED, ERROR, REJECTED, acknowledge, codes
from mwl.hl7.envelope import ANYONE, Envelope, System
from mwl.logs import event
from mwl.mapping.facts import SiteFacts
from mwl.model import OrderMessage
from mwl.store import Store, Transaction, messages, orders
from mwl.store.messages import MessageRecord

__all__ = ["ANYONE", "DUPLICATE", "IGNORED", "Intake", "System"]

logger = logging.getLogger(__name__)

IGNORED: Final = "ignored"
DUPLICATE: Final = "duplicate"

_LARGE: Final = 64 * 1024  # octets; a message above this is read beside the loop
_LOGGED: Final = 200  # characters of MSH-9 and MSH-10 in a log line (HL7 2.7: 199)
_FINDINGS_LOGGED: Final = 5
_MSH = Location("MSH")
_LATER = Finding(_MSH, 207, "temporarily unavailable, send again later")
_DEFECT = Finding(_MSH, 207, "internal error")


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What became of a message: the outcome on record, the answer's bytes, what is to be said of it."""

    outcome: str
    answer: bytes | None
    findings: tuple[Finding, ...] = ()
    cause: str = ""  # why the store could not answer: for the log alone


class Intake:
    """Takes messages in, any number side by side."""

    def __init__(
        self,
        store: Store,
        systems: Sequence[System],
        site: SiteFacts,
        told: Collection[str],
        clock: Callable[[], dt.datetime],
        *,
        processing: Collection[str] = ("P",),
    ) -> None:
        """*told* names the systems that want status; *processing* are the MSH-11 that are taken (D-20).

        *systems*, *site* and *told* may be replaced while messages arrive: each message sees one set.
        """
        self._store, self._clock, self._processing = store, clock, processing
        self.systems, self.site, self.told = systems, site, told

    async def receive(self, raw: bytes, peer: str) -> bytes | None:
        """Take in one message and return its answer, None where none is to be sent.

        Raises nothing but cancellation.  Two answers (accept and application) are joined, so that
        `mllp.frame` makes two blocks of them.
        """
        started = time.perf_counter()
        told = self.told
        envelope = Envelope.open(raw, peer, self.systems, self.site)
        try:
            verdict = await self._take_in(envelope, told)
        except Unavailable as error:
            answer = self._answer(envelope, REJECTED, [_LATER])
            verdict = _Verdict(REJECTED, answer, (_LATER,), cause=str(error))
        _report(envelope, verdict, time.perf_counter() - started)
        return verdict.answer

    def too_large(self, head: bytes, limit: int, peer: str) -> bytes | None:
        """Return the answer to a message above *limit* octets, of which only the *head* was kept."""
        envelope = Envelope.open(head, peer, self.systems, self.site)
        finding = Finding(_MSH, 207, f"the message is larger than {limit} octets")
        verdict = _Verdict(REJECTED, self._answer(envelope, REJECTED, [finding]), (finding,))
        _report(envelope, verdict, 0.0)
        return verdict.answer

    async def _take_in(self, envelope: Envelope, told: Collection[str]) -> _Verdict:
        try:
            if envelope.acknowledges:
                return await self._set_aside(envelope, None)
            if len(envelope.raw) > _LARGE:
                order = await asyncio.to_thread(envelope.understand, self._processing)
            else:
                order = envelope.understand(self._processing)
            if order is None:
                return await self._set_aside(envelope, self._answer(envelope, ACCEPTED))
            return await self._apply(envelope, order, told)
        except Unavailable:
            raise
        except NotUnderstood as refusal:
            return await self._refuse(envelope, REJECTED, refusal.findings)
        except Unacceptable as refusal:
            return await self._refuse(envelope, ERROR, refusal.findings)
        except MwlError as error:
            return await self._refuse(envelope, ERROR, [Finding(_MSH, 207, str(error))])
        except Exception:
            logger.exception("message failed", extra={"fields": _facts(envelope)})
            return await self._refuse(envelope, ERROR, [_DEFECT])

    async def _apply(self, envelope: Envelope, order: OrderMessage, told: Collection[str]) -> _Verdict:
        """Do what is asked, and keep the message and its answer, in one transaction."""
        source = f"hl7 {order.system} {envelope.header.control_id}"

        def effect(tx: Transaction, key: int) -> _Verdict:
            done = orders.apply(tx, order, source=source, uid_root=envelope.site.uid_root, told=told)
            messages.link(tx, key, procedures=done.procedures, steps=done.steps)
            findings = (*order.findings, *done.findings)
            return _Verdict(ACCEPTED, self._answer(envelope, ACCEPTED), findings)

        return await self._once(envelope, effect)

    async def _set_aside(self, envelope: Envelope, answer: bytes | None) -> _Verdict:
        """Keep a message nothing is done about."""
        return await self._once(envelope, lambda _tx, _key: _Verdict(IGNORED, answer))

    async def _once(self, envelope: Envelope, effect: Callable[[Transaction, int], _Verdict]) -> _Verdict:
        """Record the message and have its *effect*, unless the same bytes had theirs before (D-30)."""
        record = _record(envelope)

        def work(tx: Transaction) -> _Verdict:
            same = messages.find(tx, record.application, record.facility, record.control_id, record.digest)
            if same is not None and same.outcome in (ACCEPTED, IGNORED):
                return _Verdict(DUPLICATE, same.acknowledgement)
            key = messages.record(tx, record)
            verdict = effect(tx, key)
            messages.answered(tx, key, verdict.outcome, verdict.answer, _told(verdict.findings))
            return verdict

        return await self._store.write(work)

    async def _refuse(self, envelope: Envelope, code: str, findings: Sequence[Finding]) -> _Verdict:
        """Put a refused message on record; what it had begun was taken back before."""
        verdict = _Verdict(code, self._answer(envelope, code, findings), tuple(findings))
        record = _record(envelope)

        def work(tx: Transaction) -> None:
            key = messages.record(tx, record)
            messages.answered(tx, key, code, verdict.answer, _told(verdict.findings))

        try:
            if envelope.raw.strip():  # an empty block is a sign of life at best
                await self._store.write(work)
        except Unavailable:
            raise
        except Exception:  # the answer stands; that it is not on record is ours to mend
            logger.exception("message not recorded", extra={"fields": _facts(envelope)})
        return verdict

    def _answer(self, envelope: Envelope, code: str, findings: Sequence[Finding] = ()) -> bytes | None:
        header = envelope.header
        now = self._clock().astimezone(envelope.site.timezone)
        answers = [acknowledge(header, each, findings, now=now) for each in codes(header, code)]
        return mllp.join([each.encode(header.codec, "replace") for each in answers]) if answers else None


def _record(envelope: Envelope) -> MessageRecord:
    header, system = envelope.header, envelope.system
    return MessageRecord(
        envelope.peer,
        envelope.raw,
        system=system.name if system else "",
        application=header.application,
        facility=header.facility,
        control_id=header.control_id,
        kind=header.kind,
    )


def _told(findings: Iterable[Finding]) -> str:
    """Return findings as the record keeps them, a line each."""
    return "\n".join(f"{each.severity}: {each.location}: {each.text} [{each.code}]" for each in findings)


def _facts(envelope: Envelope) -> dict[str, str]:
    """Return what a log line says of a message: nothing of a patient (design 4.7)."""
    header, system = envelope.header, envelope.system
    return {
        "peer": envelope.peer,
        "system": system.name if system else "",
        "kind": header.kind[:_LOGGED],
        "control_id": header.control_id[:_LOGGED],
    }


def _report(envelope: Envelope, verdict: _Verdict, seconds: float) -> None:
    """Write the message's one line, and count it."""
    system = envelope.system.name if envelope.system else "unknown"
    metrics.messages_received.labels(system, verdict.outcome).inc()
    metrics.message_seconds.observe(seconds)
    level = logging.WARNING if verdict.outcome in (ERROR, REJECTED) else logging.INFO
    fields: dict[str, object] = {"outcome": verdict.outcome, "ms": round(seconds * 1000, 1)}
    if verdict.findings:
        fields["findings"] = _told(verdict.findings[:_FINDINGS_LOGGED]).splitlines()
    if verdict.cause:
        fields["cause"] = verdict.cause
    event(logger, level, "message", **_facts(envelope), **fields)
