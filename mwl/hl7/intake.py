"""From one raw HL7 message to its effects and its answer.

Theory of operation.  What a message asks for is found without touching anything (`mwl.hl7.envelope`).
It is then done in ONE transaction: the raw bytes go on record, the order is applied, the message is
linked to what it touched, the answer is kept beside it.  A positive answer leaves after that
transaction has returned, never before (design 4.1).

A refused message changes nothing, and is put on record by a short second transaction.  What was
accepted before, byte for byte, is not done again: its first answer is given again (D-30).  What was
refused before is tried anew: the profile may have been mended since.  A batch is its messages, one
after the other (`mwl.hl7.batch`).

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
import dataclasses
import datetime as dt
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from mwl import metrics
from mwl.conduct import STANDARD, Conducts
from mwl.errors import Finding, Location, MwlError, NotUnderstood, Severity, Unacceptable, Unavailable
from mwl.hl7 import mllp
from mwl.hl7.ack import ACCEPTED, ERROR, REJECTED, acknowledge, codes
from mwl.hl7.batch import Batch
from mwl.hl7.envelope import ANYONE, Envelope, System
from mwl.hl7.numbers import search_keys
from mwl.hl7.occasion import IGNORED, Gone, Occasion, Receipt, Rehearsed, Replay
from mwl.logs import event
from mwl.mapping.facts import SiteFacts
from mwl.model import Incoming
from mwl.store import Store, Transaction, effects, messages
from mwl.store.allowances import Allowance, Allowances
from mwl.store.messages import MessageRecord
from mwl.store.outcome import Outcome
from mwl.store.telling import Told

__all__ = ["ANYONE", "DUPLICATE", "IGNORED", "Intake", "System", "Verdict"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

DUPLICATE: Final = "duplicate"

_LARGE: Final = 64 * 1024  # octets; a message above this is read beside the loop
_LOGGED: Final = 200  # characters of MSH-9 and MSH-10 in a log line (HL7 2.7: 199)
_FINDINGS_LOGGED: Final = 5
_MSH = Location("MSH")
_LATER = Finding(_MSH, 207, "temporarily unavailable, send again later")
_DEFECT = Finding(_MSH, 207, "internal error")
_REUSED = Finding(
    Location("MSH", 1, 10), 205, "its sender gave another message this number before", Severity.WARNING
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a message: the outcome on record, the answer's bytes, what is to be said of it."""

    outcome: str
    answer: bytes | None
    findings: tuple[Finding, ...] = ()
    cause: str = ""  # why the store could not answer: for the log alone
    kept: bool = True  # whether it is on record
    key: int = 0  # its number in the journal, where it was applied
    done: Outcome | None = None  # what it touched, where it was applied


class Intake:
    """Takes messages in, any number side by side."""

    def __init__(
        self,
        store: Store,
        systems: Sequence[System],
        site: SiteFacts,
        told: Told,
        clock: Callable[[], dt.datetime],
        *,
        allowances: Allowances = Allowances(),  # noqa: B008  frozen
        conducts: Conducts = STANDARD,
    ) -> None:
        """*told* is who wants to hear of which status.

        *systems*, *site*, *told*, *allowances* (how much is kept of what is refused) and *conducts* (how
        exams count that came before their order) may be replaced while messages arrive: each message sees
        one set.  `on_applied` is told of each message that came and was applied, once that is committed: its
        number, and what it touched; it returns at once.  `on_effect` is told earlier, in the transaction that
        applies a message, and may write into it.
        """
        self._store, self._clock = store, clock
        self.systems, self.site, self.told = systems, site, told
        self.allowances, self.conducts = allowances, conducts
        self.on_applied: Callable[[int, Outcome], None] | None = None
        self.on_effect: Callable[[Transaction, Envelope, Incoming, Outcome], None] | None = None

    async def receive(self, raw: bytes, peer: str) -> bytes | None:
        """Take in one message, or a batch, and return the answer; None where none is to be sent.

        Raises nothing but cancellation.  Two answers (accept and application) are joined, so that
        `mllp.frame` makes two blocks of them.
        """
        try:
            batch = await _beside_loop(raw, lambda: Batch.open(raw))
        except NotUnderstood as refusal:
            return await self._receive(self._open(raw, peer, refusal))
        if batch is None:
            return await self._receive(self._open(raw, peer))
        inside = [message for part in batch.parts for message in part.messages]
        # One after the other: an order must not be overtaken by its own cancellation.
        answers = [mllp.parts(await self._receive(self._open(message, peer))) for message in inside]
        more: list[bytes] = []
        if findings := batch.findings:
            frame = self._open(batch.frame, peer, Unacceptable(findings))
            more = mllp.parts(await self._receive(dataclasses.replace(frame, header=batch.named)))
        event(logger, logging.INFO, "batch", peer=peer, messages=len(inside))
        return batch.answer(answers, more, now=self._clock().astimezone(self.site.timezone))

    def _open(self, raw: bytes, peer: str, refusal: Unacceptable | None = None) -> Envelope:
        envelope = Envelope.open(raw, peer, self.systems, self.site)
        return dataclasses.replace(envelope, refusal=refusal) if refusal else envelope

    async def _receive(self, envelope: Envelope) -> bytes | None:
        started = time.perf_counter()
        told = self.told
        try:
            verdict = await self._take_in(envelope, told, Receipt())
        except Unavailable as error:
            answer = self._answer(envelope, REJECTED, [_LATER])
            verdict = Verdict(REJECTED, answer, (_LATER,), cause=str(error))
        _report(envelope, verdict, time.perf_counter() - started)
        if self.on_applied and verdict.done:
            self.on_applied(verdict.key, verdict.done)
        return verdict.answer

    async def take(self, raw: bytes, peer: str, *, rehearsed: bool = False) -> Verdict:
        """Take in one message that did not come over the wire; return what became of it.

        *rehearsed* takes everything back in the end.  Raises `Unavailable`.
        """
        return await self._take_in(self._open(raw, peer), self.told, Receipt(rehearsed=rehearsed))

    async def replay(
        self, key: int, raw: bytes, peer: str, *, again: bool = False, rehearsed: bool = False
    ) -> Verdict:
        """Apply the message *key*, which is on record, as if it came now: with the profiles of now.

        One that had its effect is left alone (`DUPLICATE`) unless *again*.  *rehearsed* takes everything
        back in the end, so that nothing changes.  Raises `Unavailable`, and `Gone` where it was purged.
        """
        envelope = Envelope.open(raw, peer, self.systems, self.site)
        return await self._take_in(envelope, self.told, Replay(key, again, rehearsed))

    def too_large(self, head: bytes, limit: int, peer: str) -> bytes | None:
        """Return the answer to a message above *limit* octets, of which only the *head* was kept."""
        envelope = Envelope.open(head, peer, self.systems, self.site)
        finding = Finding(_MSH, 207, f"the message is larger than {limit} octets")
        verdict = Verdict(REJECTED, self._answer(envelope, REJECTED, [finding]), (finding,))
        _report(envelope, verdict, 0.0)
        return verdict.answer

    async def _take_in(self, envelope: Envelope, told: Told, occasion: Occasion) -> Verdict:
        try:
            if envelope.acknowledges:
                return await self._set_aside(envelope, None, occasion)
            incoming = await _beside_loop(envelope.raw, envelope.understand)
            if incoming is None:
                return await self._set_aside(envelope, self._answer(envelope, ACCEPTED), occasion)
            return await self._apply(envelope, incoming, told, occasion)
        except (Unavailable, Gone):
            raise
        except NotUnderstood as refusal:
            return await self._refuse(envelope, REJECTED, refusal.findings, occasion)
        except Unacceptable as refusal:
            return await self._refuse(envelope, ERROR, refusal.findings, occasion)
        except MwlError as error:
            return await self._refuse(envelope, ERROR, [Finding(_MSH, 207, str(error))], occasion)
        except Exception:
            logger.exception("message failed", extra={"fields": _facts(envelope)})
            return await self._refuse(envelope, ERROR, [_DEFECT], occasion)

    async def _apply(self, envelope: Envelope, incoming: Incoming, told: Told, occasion: Occasion) -> Verdict:
        """Do what is asked, and keep the message and its answer, in one transaction."""
        source = f"hl7 {incoming.system} {envelope.header.control_id}{occasion.remark}"
        conducts, on_effect = self.conducts, self.on_effect

        answer = self._answer(envelope, ACCEPTED)

        def effect(tx: Transaction) -> Verdict:
            uid_root = envelope.site.uid_root
            done = effects.apply(tx, incoming, source=source, uid_root=uid_root, told=told, conducts=conducts)
            if on_effect is not None:
                on_effect(tx, envelope, incoming, done)
            return Verdict(ACCEPTED, answer, (*incoming.findings, *done.findings), done=done)

        return await self._once(envelope, effect, occasion)

    async def _set_aside(self, envelope: Envelope, answer: bytes | None, occasion: Occasion) -> Verdict:
        """Keep a message nothing is done about."""
        return await self._once(envelope, lambda _: Verdict(IGNORED, answer), occasion)

    async def _once(
        self, envelope: Envelope, effect: Callable[[Transaction], Verdict], occasion: Occasion
    ) -> Verdict:
        """Record the message and have its *effect*, unless the same bytes had theirs before (D-30)."""
        record = await _beside_loop(envelope.raw, lambda: _record(envelope))
        rehearsal: list[Verdict] = []

        def work(tx: Transaction) -> Verdict:
            arrival = occasion.begin(tx, record)
            if arrival.earlier is not None and occasion.is_done(arrival):
                return Verdict(DUPLICATE, arrival.earlier.acknowledgement)
            new, verdict = arrival.earlier is None, effect(tx)
            if arrival.reused:  # senders start their counters anew
                verdict = dataclasses.replace(verdict, findings=(*verdict.findings, _REUSED))
            messages.answered(tx, arrival, verdict.outcome, verdict.answer, _told(verdict.findings))
            if done := verdict.done:
                verdict = dataclasses.replace(verdict, key=arrival.key)
                touched = {"patients": done.patients, "procedures": done.procedures, "steps": done.steps}
                messages.link(tx, arrival.key, **touched, again=not new)
            if occasion.rehearsed:
                rehearsal.append(verdict)
                raise Rehearsed
            return verdict

        try:
            return await self._store.write(work)
        except Rehearsed:
            return rehearsal[-1]

    async def _refuse(
        self, envelope: Envelope, code: str, findings: Sequence[Finding], occasion: Occasion
    ) -> Verdict:
        """Put a refused message on record; what it had begun was taken back before."""
        verdict = Verdict(code, self._answer(envelope, code, findings), tuple(findings))
        if occasion.rehearsed or not envelope.raw.strip():  # an empty block is a sign of life at best
            return verdict
        limit = self.allowances.limit(_allowance(envelope, code))
        record = await _beside_loop(envelope.raw, lambda: _record(envelope))

        def work(tx: Transaction) -> bool:
            arrival = occasion.refuse(tx, record, limit)
            if arrival is not None:
                messages.answered(tx, arrival, code, verdict.answer, _told(verdict.findings))
            return arrival is not None

        try:
            return dataclasses.replace(verdict, kept=await self._store.write(work))
        except (Unavailable, Gone):
            raise
        except Exception:  # the answer stands; that it is not on record is ours to mend
            logger.exception("message not recorded", extra={"fields": _facts(envelope)})
            return dataclasses.replace(verdict, kept=False)

    def _answer(self, envelope: Envelope, code: str, findings: Sequence[Finding] = ()) -> bytes | None:
        header, wish = envelope.header, envelope.system and envelope.system.profile.acknowledge
        now = self._clock().astimezone(envelope.site.timezone)
        wanted = codes(header, code, wish.mode) if wish else codes(header, code)
        replies = wish.type if wish else ()
        answers = [acknowledge(header, each, findings, now=now, replies=replies) for each in wanted]
        return mllp.join([each.encode(header.codec, "replace") for each in answers]) if answers else None


async def _beside_loop(raw: bytes, work: Callable[[], T]) -> T:
    """Do *work* on a message; on a large one in a thread, so that it does not hold up the others."""
    return await asyncio.to_thread(work) if len(raw) > _LARGE else work()


def _allowance(envelope: Envelope, code: str) -> Allowance:
    """Return what a refused message counts for: is it a known system's, and was it understood?"""
    known = envelope.system is not None and code != REJECTED
    return Allowance.REFUSED if known else Allowance.UNKNOWN


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
        keys=search_keys(envelope),
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


def _report(envelope: Envelope, verdict: Verdict, seconds: float) -> None:
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
    if not verdict.kept:
        fields["kept"] = False
    event(logger, level, "message", **_facts(envelope), **fields)
