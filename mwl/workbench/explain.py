"""Why a device is, or is not, sent a step: the path that answers it, run once more with a trace.

Theory of operation.  A query is read, matched and composed by what answers devices
(`mwl.dicom.answering`, `mwl.store.steps`), with notes taken on the way; what is told beside it is
counted with the same selection (`funnel`) or decided by the same criteria (`verdict`).  Nothing is
changed, and nothing is asked of the device.  The steps are those of now, whenever the query was made.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mwl.dicom import answering, status
from mwl.dicom.answering import Asked, Question
from mwl.dicom.encoding import Undecodable
from mwl.dicom.matching import BadIdentifier
from mwl.errors import Refused
from mwl.mapping import paths
from mwl.mapping.devices.device import DeviceProfile, Entry, Facts, Report
from mwl.mapping.devices.operations.operation import Stage
from mwl.mapping.trace import Note, Recorder
from mwl.model import StepRef, WorklistItem
from mwl.store import Transaction, steps
from mwl.store.queries import CapturedQuery
from mwl.workbench.bench import Bench
from mwl.workbench.funnel import Funnel, sift
from mwl.workbench.keys import Key, asked_keys
from mwl.workbench.peer import Peer, known
from mwl.workbench.responses import Response, response_to
from mwl.workbench.verdict import ON_LIST, Fate, judged
from mwl.workbench.whereabouts import Sought, Whereabouts, locate

COMPOSED = 1000
"""Entries that are composed at most, beside the steps named: of a profile without a limit, the first."""


@dataclass(frozen=True, slots=True)
class Device:
    """Which entry of `devices:` answers a caller, and with which profile."""

    label: str
    written: str  # file:line that names the profile, or "default"
    profile: DeviceProfile
    files: tuple[tuple[str, str], ...]  # name and file of each profile in the chain, the device's own first
    recognised: str = ""  # file:line of the `match` that chose it, where devices share the AE title


@dataclass(frozen=True, slots=True)
class Failure:
    """A query that is answered with a failure, or not at all."""

    status: int | None  # None: the device may not associate, or may not ask
    text: str
    attribute: str = ""  # that offends


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something that could not be done, or that the device may refuse in what it is sent."""

    entry: int | None  # of what is sent, from 0; None: the list
    report: Report


@dataclass(frozen=True, slots=True)
class Told:
    """A query that was understood, and all that became of it."""

    asked: Asked
    tolerated: tuple[Note, ...]  # by `accept`, in order
    rewritten: tuple[Note, ...]  # by the stage `query`
    keys: tuple[Key, ...]
    funnel: Funnel
    matched: tuple[StepRef, ...]  # that the list was made of
    overflow: bool  # there were more than the limit
    arranged: tuple[Note, ...]  # what became of the list as a whole: merged, split
    doubts: tuple[Doubt, ...]  # about the list, and about what is sent
    responses: tuple[Response, ...]  # see `COMPOSED`

    @property
    def sent(self) -> list[Response]:
        """The entries that the device gets."""
        return [each for each in self.responses if each.composed]

    @property
    def withheld(self) -> list[Response]:
        """The entries that could not be sent."""
        return [each for each in self.responses if not each.composed and not each.intended]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a device is, or is not, sent a step."""

    peer: Peer
    facts: Facts
    device: Device | None  # None: the caller may not associate
    captured: CapturedQuery | None  # the query explained; None: it was made up
    result: Told | Failure
    whereabouts: Whereabouts | None  # None: no step was named
    fates: tuple[Fate, ...]  # of the steps named, those nearest to now first

    @property
    def told(self) -> Told | None:
        """What became of the query; None where it failed."""
        return self.result if isinstance(self.result, Told) else None

    @property
    def sent(self) -> bool:
        """Whether a step that was named is sent; where none was, whether anything is."""
        if self.whereabouts is not None:
            return any(fate.verdict in ON_LIST for fate in self.fates)
        return self.told is not None and bool(self.told.sent)


def explain(
    tx: Transaction,
    bench: Bench,
    ae: str,
    question: Question,
    *,
    captured: CapturedQuery | None = None,
    sought: Sought | None = None,
) -> Explanation:
    """Return what becomes of *question*, asked by the device *ae*, on the steps of now.

    *captured* is the query on record that *question* repeats.  Raises `BadDocument` for an entry of
    the device that is wrong.
    """
    facts, peer = bench.facts(ae, captured), known(tx, ae)
    device: Device | None = None
    result: Told | Failure
    whereabouts = locate(tx, sought, f"{facts.now:%Y%m%d%H%M%S}") if sought else None
    named = whereabouts.items if whereabouts else ()
    try:
        device = device_of(bench, ae, facts, question)
        result = _told(
            tx, question, device.profile, facts, bench.zone, frozenset(item.ref.key for item in named)
        )
    except Refused as refused:
        result = Failure(None, str(refused))
    except BadIdentifier as error:
        result = Failure(status.IDENTIFIER_DOES_NOT_MATCH, str(error), paths.keyword(error.tag))
    except Undecodable as error:
        result = Failure(status.UNABLE_TO_DECODE, str(error))
    fates = fates_of(tx, named, result if isinstance(result, Told) else None)
    return Explanation(peer, facts, device, captured, result, whereabouts, fates)


def device_of(bench: Bench, ae: str, facts: Facts, question: Question) -> Device:
    """Return what answers *question* of *ae*; raises as `Bench.profile` does."""
    served, written = bench.serving(ae, facts, question), bench.profiles.written
    files = tuple((name, written[name].file) for name in reversed(served.profile.written.chain))
    recognition = served.profile.recognition if "shared_by" in served.place else None
    return Device(
        served.label,
        bench.configuration.origin(served.place),
        served.profile,
        files,
        recognition.origin if recognition else "",
    )


def _told(
    tx: Transaction,
    question: Question,
    profile: DeviceProfile,
    facts: Facts,
    zone: dt.tzinfo,
    named: frozenset[int],
) -> Told:
    """Answer *question* with notes; the steps *named* (keys) are composed wherever they stand."""
    recorder = Recorder()
    asked = answering.read(question, profile, facts, zone, recorder)
    notes = tuple(recorder.notes)
    keys = tuple(asked_keys(asked, notes))
    found = steps.match(tx, asked.query)
    refs = found[: asked.query.limit]
    # What makes lines of steps must see them all; else those that are not composed need not be read.
    read = refs if profile.arranges else _first(refs, named)
    arranging = Recorder()
    listing = answering.listed(asked, steps.load(tx, read), arranging, more=len(found) > len(refs))
    answers = tuple(response_to(asked, entry) for entry in _composed(listing.entries, named))
    return Told(
        asked,
        tuple(note for note in notes if note.stage == Stage.ACCEPT),
        tuple(note for note in notes if note.stage == Stage.QUERY),
        keys,
        sift(tx, keys, facts.now),
        tuple(refs),
        listing.overflow,
        tuple(arranging.notes),
        tuple(_doubts(profile, listing.reports, answers)),
        answers,
    )


def _first(refs: Sequence[StepRef], named: frozenset[int]) -> list[StepRef]:
    return [*refs[:COMPOSED], *(ref for ref in refs[COMPOSED:] if ref.key in named)]


def _composed(entries: Sequence[Entry], named: frozenset[int]) -> Iterator[Entry]:
    for number, entry in enumerate(entries):
        if number < COMPOSED or not named.isdisjoint(ref.key for ref in entry.refs):
            yield entry


def _doubts(
    profile: DeviceProfile, reports: Sequence[Report], answers: Sequence[Response]
) -> Iterator[Doubt]:
    yield from (Doubt(None, report) for report in reports)
    composed = [each.composed for each in answers if each.composed]
    for number, each in enumerate(composed):
        yield from (Doubt(number, report) for report in each.reports)
    for number, report in profile.doubles([each.marks for each in composed]):
        yield Doubt(number, report)


def fates_of(tx: Transaction, items: Sequence[WorklistItem], told: Told | None) -> tuple[Fate, ...]:
    """Return what became of some steps; *told* is None where the query failed."""
    keys = None if told is None else told.keys
    return tuple(judged(tx, item, keys, told.responses if told else ()) for item in items)
