"""What a worklist query asks, and what is sent for one step: values in, values out.

The service answers devices with this, and the field engineer's commands explain, replay and try with
it: there is one path, and a trace taken on it is what really happened (`mwl.mapping.trace`).  Nothing
here knows a socket, the database or the clock.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace

from mwl.dicom import status, zones
from mwl.dicom.encoding import Framing, decode_dataset, encode_dataset
from mwl.dicom.keys import UNMATCHED
from mwl.dicom.matching import BadIdentifier, Understood, understand
from mwl.mapping.devices.device import DeviceProfile, Entry, Facts, Report, Withheld
from mwl.mapping.devices.operations.order import MOST_ARRANGED
from mwl.mapping.text.charset import CharacterSet
from mwl.mapping.trace import Trace
from mwl.model import Document, StepRef, WorklistItem
from mwl.query import SOURCE, Criterion, Op, WorklistQuery

_DATA_SET_TYPE = "00000800"
_CHARACTER_SET = "00080005"


@dataclass(frozen=True, slots=True)
class Question:
    """A C-FIND-RQ as it came, with what the association says about how to read it."""

    identifier: bytes
    transfer_syntax: str
    fuzzy: bool = False  # fuzzy semantic matching was negotiated
    timezone: bool = False  # timezone query adjustment was negotiated


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, understood: what the rest of the work needs to know."""

    profile: DeviceProfile
    facts: Facts
    keys: Document  # as the device sent them
    requested: Document  # as the profile's tolerances left them: the shape of every answer
    matched: Document  # as the profile rewrote them
    understood: Understood
    query: WorklistQuery
    transfer_syntax: str
    charset_terms: tuple[str, ...]
    zone: dt.tzinfo | None  # of the device's dates and times; None: the site's
    offset: dt.timezone | None  # of that zone, where it was negotiated: answers state it
    site_zone: dt.tzinfo
    cache_key: bytes | None  # None: the responses are never the same again

    @property
    def pending(self) -> int:
        """FF01 where a key could not be used, unless the profile fixes one or the other (P33)."""
        warns = self.profile.pending_status == "FF01" or (
            self.profile.pending_status == "auto" and self.understood.unsupported
        )
        return status.PENDING_WARNING if warns else status.PENDING


@dataclass(frozen=True, slots=True)
class Composed:
    """One response: what it says, and the bytes it is sent as."""

    document: Document  # with its (0008,0005), every value in a form that the character set holds
    charset: CharacterSet
    notes: tuple[str, ...]  # what was done so that the character set holds it
    data: bytes
    reports: tuple[Report, ...] = ()  # what could not be done, and what the device may refuse
    marks: tuple[tuple[str, ...], ...] = ()  # values that no other response of the list should have


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one entry of the list: a response, or the reason why there is none."""

    item: WorklistItem
    composed: Composed | None = None
    withheld: Withheld | None = None  # `Excluded` where the profile left it out on purpose
    refs: tuple[StepRef, ...] = ()  # the steps it stands for, the one that leads first; none: a notice
    part: int = 0  # which of the lines that one step was split into


@dataclass(frozen=True, slots=True)
class Listing:
    """The list before its entries are composed."""

    entries: tuple[Entry, ...]
    overflow: bool  # there was more than the device's limit
    reports: tuple[Report, ...] = ()  # what could not be done to the list


def read(
    question: Question, profile: DeviceProfile, facts: Facts, site_zone: dt.tzinfo, trace: Trace | None = None
) -> Asked:
    """Return what *question* asks of the worklist, by the device's *profile*.

    Raises `BadIdentifier` for keys that mean nothing, `Undecodable` for bytes that are no data set.
    """
    return at(meaning(question, profile, facts, site_zone, trace), facts)


def at(asked: Asked, facts: Facts) -> Asked:
    """Return *asked* as of *facts*, whose time decides which steps a limit leaves."""
    nearest = f"{facts.now:%Y%m%d%H%M%S}" if asked.profile.limit.nearest else None
    return replace(asked, facts=facts, query=replace(asked.query, nearest=nearest))


def meaning(
    question: Question, profile: DeviceProfile, facts: Facts, site_zone: dt.tzinfo, trace: Trace | None = None
) -> Asked:
    """Do as `read`, whatever the time is, unless the profile itself looks at it."""
    if not question.identifier:  # 12.2: no identifier at all must never mean "everything"
        raise BadIdentifier(_DATA_SET_TYPE, "the request has no identifier")
    syntax = question.transfer_syntax
    keys = _decoded(question, profile, trace)
    # The first of several may be empty: the default repertoire.
    terms = tuple(str(term or "") for term in keys.get(_CHARACTER_SET, {}).get("Value", ()))
    requested = profile.accept(keys, trace)
    if requested.keys() <= UNMATCHED:
        raise BadIdentifier(_DATA_SET_TYPE, "the identifier has no keys")
    rewritten = profile.rewrite(requested, facts, trace)
    understood = understand(rewritten, lenient=profile.lenient, fuzzy=profile.fuzzy_names or question.fuzzy)
    offset = zones.stated(keys) if question.timezone else None
    zone = offset or profile.zone
    criteria = understood.criteria
    if zone is not None:
        criteria = zones.in_site_time(criteria, zone, site_zone)
    filters = profile.filters(rewritten, facts, requested)
    if own := profile.own_system:
        filters += (Criterion(SOURCE, Op.IN, (own,), origin=own),)
    query = WorklistQuery(criteria + filters, _most(profile), held=bool(own))
    seen = profile.seen(facts)
    made_from = (profile.digest, seen, syntax, terms, zone, _shape(requested))
    cache_key = None if seen is None else _digest(*made_from)
    return Asked(
        profile,
        facts,
        keys,
        requested,
        rewritten,
        understood,
        query,
        syntax,
        terms,
        zone,
        offset,
        site_zone,
        cache_key,
    )


def _decoded(question: Question, profile: DeviceProfile, trace: Trace | None) -> Document:
    """Return the identifier, in the character set that it is in (F43)."""
    relabelling = profile.relabelling
    if relabelling is None:
        return decode_dataset(question.identifier, question.transfer_syntax)

    def relabel(stated: str, text: bytes) -> CharacterSet | None:
        found = relabelling.charset(stated, text)
        if found is not None and trace is not None:
            said = "its text is not in the character set it states, and is read as what it looks like"
            trace.note("accept", relabelling.origin, "SpecificCharacterSet", None, None, said, "accept")
        return found

    return decode_dataset(question.identifier, question.transfer_syntax, relabel)


def _most(profile: DeviceProfile) -> int | None:
    """Return how many steps are read: where lines are made of them, more than the device's limit of lines."""
    if not profile.arranges:
        return profile.limit.max
    return max(MOST_ARRANGED, profile.limit.max or 0)


def listed(
    asked: Asked, items: Sequence[WorklistItem], trace: Trace | None = None, *, more: bool = False
) -> Listing:
    """Return the entries that *items*, in the order of their start, make (P11 to P15).

    *more* tells that the store had more than it was asked for.
    """
    profile, reports = asked.profile, list[Report]()
    if profile.arranges:
        found = profile.arranged(items, asked.facts, trace, reports)
        entries = profile.limit.cut(found, asked.facts.now)
        more = more or len(entries) < len(found)
    else:
        entries = [Entry.of(item) for item in items]
    notice = profile.limit.notice_of(entries, asked.facts) if more else None
    return Listing((*entries, notice) if notice else tuple(entries), more, tuple(reports))


def compose(asked: Asked, item: WorklistItem, trace: Trace | None = None) -> Composed:
    """Return the response for *item*.

    Raises `Withheld` where it must not be sent, `Excluded` where the profile leaves it out on purpose.
    """
    profile, reports = asked.profile, list[Report]()
    document = _respond(asked, item, trace, reports)
    charset, fitted, notes = profile.choose_charset(document, asked.charset_terms, trace)
    wire = profile.wire
    framing = Framing(wire.sequences == "undefined", wire.group_lengths == "present")
    data = encode_dataset(fitted, asked.transfer_syntax, charset, framing)
    return Composed(fitted, charset, notes, data, tuple(reports), profile.marks(fitted))


def answers(asked: Asked, items: Sequence[WorklistItem], trace: Trace | None = None) -> Iterator[Answer]:
    """Yield what becomes of *items*, which are in the order of their start, as they are sent."""
    yield from answers_of(asked, listed(asked, items, trace).entries, trace)


def answers_of(asked: Asked, entries: Sequence[Entry], trace: Trace | None = None) -> Iterator[Answer]:
    """Yield what becomes of the *entries* of a list."""
    for entry in entries:
        item, refs, part = entry.item, entry.refs, entry.part
        try:
            yield Answer(item, compose(asked, item, trace), None, refs, part)
        except Withheld as reason:
            yield Answer(item, None, reason, refs, part)


def _respond(asked: Asked, item: WorklistItem, trace: Trace | None, reports: list[Report]) -> Document:
    if asked.zone is None:
        return asked.profile.respond(item, asked.requested, asked.facts, trace, reports)
    moved = zones.in_zone(item, asked.zone, asked.site_zone)
    response = asked.profile.respond(moved, asked.requested, asked.facts, trace, reports)
    if asked.offset is None:
        return response
    return {**response, zones.OFFSET: {"vr": "SH", "Value": [zones.written(asked.offset)]}}


def _digest(*parts: object) -> bytes:
    """Return *parts* as a key of bounded size: a peer decides how long an identifier is."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).digest()


def _shape(requested: Document) -> tuple[Hashable, ...]:
    """Return which attributes are asked for, nested as they are: all that responses depend on."""
    parts: list[Hashable] = []
    for tag, element in requested.items():
        inner = element.get("Value", ()) if element["vr"] == "SQ" else ()
        parts.append((tag, element["vr"], *(_shape(item) for item in inner)))
    return tuple(parts)
