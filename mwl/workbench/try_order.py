"""From a pasted order to the bytes a device would get, in a database of its own that is gone afterwards.

Theory of operation.  The messages are read by the configured systems' profiles and applied as the intake
applies them, to an empty database in a temporary folder; then the device's query is answered on it, with
a trace.  Nothing is read from the configured database and nothing is written to it: an order that changes
another one needs both, the older one first.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mwl.dicom.answering import Question
from mwl.errors import Finding, Severity, Unacceptable
from mwl.hl7.ack import ACCEPTED, ERROR
from mwl.hl7.envelope import Envelope, System
from mwl.hl7.explain import Explanation as Reading
from mwl.hl7.explain import Value, behind
from mwl.hl7.explain import explain as read
from mwl.model import STEP_SEQUENCE, Element, StepRef
from mwl.query import Path as Tags
from mwl.store import Store, Transaction, effects, open_store, steps
from mwl.store.outcome import Outcome
from mwl.store.queries import CapturedQuery
from mwl.workbench import wire
from mwl.workbench.bench import Bench
from mwl.workbench.explain import Explanation, Told, explain, fates_of
from mwl.workbench.provenance import Returned, returned
from mwl.workbench.responses import Response
from mwl.workbench.verdict import ON_LIST
from mwl.workbench.wire import Line


@dataclass(frozen=True, slots=True)
class Taken:
    """A message, and what the broker would answer."""

    reading: Reading
    outcome: str  # AA, AE, AR or "ignored"
    findings: tuple[Finding, ...]

    @property
    def refused(self) -> bool:
        """Whether it has no effect for a reason that its sender must mend."""
        return any(each.severity is Severity.ERROR for each in self.findings)


@dataclass(frozen=True, slots=True)
class Traced:
    """An element of a response, and what gave it."""

    line: Line
    value: Returned | None  # None: a sequence, whose elements follow
    given: Value | None  # by the message; None: it comes from the profile, or from the broker


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of the messages, and what the device would get; nothing where one was refused."""

    taken: tuple[Taken, ...]
    explanation: Explanation | None

    @property
    def sent(self) -> bool:
        """Whether the device gets any of the steps."""
        fates = self.explanation.fates if self.explanation else ()
        return any(fate.verdict in ON_LIST for fate in fates)

    def lines(self, told: Told, response: Response) -> Iterator[Traced]:
        """Yield the elements of a response that is sent, each with what gave it."""
        composed = response.composed
        if composed is None:
            return
        known = {each.name: each for each in returned(response.item, composed.document, response.notes)}
        for line in wire.lines(composed.document, told.asked.transfer_syntax, composed.charset):
            value = known.get(line.name)
            given = self.source(line.path, value.stored) if value else None
            yield Traced(line, value, given)

    def source(self, path: Tags, element: Element | None) -> Value | None:
        """Return what in the messages gave a stored value at *path* of the response, None for nothing."""
        if element is None:
            return None
        in_step = path[0] == STEP_SEQUENCE
        tags = path[1:] if in_step else path
        values = [
            value
            for each in self.taken
            for value in each.reading.values
            if (value.section == "step") is in_step
        ]
        given = [each for each in behind(tags, element, values) if _gives(each, tags, element)]
        return given[-1] if given else None


def _gives(value: Value, tags: Tags, element: Element) -> bool:
    return value.element is not None and (value.tags != tags or value.element == element)


def try_order(
    bench: Bench,
    systems: Sequence[System],
    messages: Iterable[bytes],
    ae: str,
    question: Question,
    captured: CapturedQuery | None = None,
) -> Tried:
    """Return what the device *ae* would get for *question* once *messages* were applied, in their order.

    The first that is refused ends it.  Raises `BadDocument` for a wrong entry of the device.
    """
    with tempfile.TemporaryDirectory(prefix="mwl-try-") as folder:
        store = open_store(f"sqlite:///{Path(folder) / 'try.db'}", readers=1)
        try:
            taken, touched = _apply(store, bench, systems, messages)
            if taken and taken[-1].refused:
                return Tried(tuple(taken), None)
            explanation = store.read_now(
                lambda tx: _asked(tx, bench, ae, question, captured, tuple(dict.fromkeys(touched)))
            )
            return Tried(tuple(taken), explanation)
        finally:
            store.close_now()


def _apply(
    store: Store, bench: Bench, systems: Sequence[System], messages: Iterable[bytes]
) -> tuple[list[Taken], list[int]]:
    taken: list[Taken] = []
    touched: list[int] = []
    for raw in messages:
        reading = read(Envelope.open(raw, "", systems, bench.site))
        done = Outcome()
        result = Taken(reading, reading.outcome, reading.findings)
        if reading.outcome == ACCEPTED:
            result, done = _effect(store, reading, bench.site.uid_root)
        taken.append(result)
        touched += done.steps
        if result.refused:
            break
    return taken, touched


def _effect(store: Store, reading: Reading, uid_root: str | None) -> tuple[Taken, Outcome]:
    incoming = reading.incoming
    assert incoming is not None  # noqa: S101  it was accepted
    source = f"hl7 {incoming.system} {reading.envelope.header.control_id}"
    try:
        done = store.write_now(
            lambda tx: effects.apply(tx, incoming, source=source, uid_root=uid_root, told=())
        )
    except Unacceptable as refusal:
        return Taken(reading, ERROR, (*reading.findings, *refusal.findings)), Outcome()
    return Taken(reading, ACCEPTED, (*reading.findings, *done.findings)), done


def _asked(
    tx: Transaction,
    bench: Bench,
    ae: str,
    question: Question,
    captured: CapturedQuery | None,
    touched: Sequence[int],
) -> Explanation:
    """Answer the device, and judge the steps that the messages touched."""
    explanation = explain(tx, bench, ae, question, captured=captured)
    items = steps.load(tx, [StepRef(key, 0, 0, 0) for key in touched])
    return replace(explanation, fates=fates_of(tx, items, explanation.told))
