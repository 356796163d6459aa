"""What a worklist query asks, and what is sent for one step: values in, values out.

The service answers devices with this, and the field engineer's commands explain, replay and try with
it: there is one path, and a trace taken on it is what really happened (`mwl.mapping.trace`).  Nothing
here knows a socket, the database or the clock.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

from mwl.dicom import status, zones
from mwl.dicom.encoding import decode_dataset, encode_dataset
from mwl.dicom.keys import UNMATCHED
from mwl.dicom.matching import BadIdentifier, Understood, understand
from mwl.mapping.devices.device import DeviceProfile, Facts, Withheld
from mwl.mapping.text.charset import CharacterSet
from mwl.mapping.trace import Trace
from mwl.model import Document, WorklistItem
from mwl.query import WorklistQuery

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
    zone: dt.timezone | None  # of the device's dates and times; None: the site's
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


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one entry of the list: a response, or the reason why there is none."""

    item: WorklistItem
    composed: Composed | None = None
    withheld: Withheld | None = None  # `Excluded` where a filter left it out on purpose


def read(
    question: Question, profile: DeviceProfile, facts: Facts, site_zone: dt.tzinfo, trace: Trace | None = None
) -> Asked:
    """Return what *question* asks of the worklist, by the device's *profile*.

    Raises `BadIdentifier` for keys that mean nothing, `Undecodable` for bytes that are no data set.
    """
    if not question.identifier:  # 12.2: no identifier at all must never mean "everything"
        raise BadIdentifier(_DATA_SET_TYPE, "the request has no identifier")
    syntax = question.transfer_syntax
    keys = decode_dataset(question.identifier, syntax)
    # The first of several may be empty: the default repertoire.
    terms = tuple(str(term or "") for term in keys.get(_CHARACTER_SET, {}).get("Value", ()))
    requested = profile.accept(keys, trace)
    if requested.keys() <= UNMATCHED:
        raise BadIdentifier(_DATA_SET_TYPE, "the identifier has no keys")
    rewritten = profile.rewrite(requested, facts, trace)
    understood = understand(rewritten, lenient=profile.lenient, fuzzy=profile.fuzzy_names or question.fuzzy)
    zone = zones.stated(keys) if question.timezone else None
    criteria = understood.criteria
    if zone is not None:
        criteria = zones.in_site_time(criteria, zone, site_zone)
    limit = profile.limit
    nearest = f"{facts.now:%Y%m%d%H%M%S}" if limit.overflow == "nearest_now" else None
    query = WorklistQuery(criteria + profile.filters(rewritten, facts), limit.max, nearest)
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
        site_zone,
        cache_key,
    )


def compose(asked: Asked, item: WorklistItem, trace: Trace | None = None) -> Composed:
    """Return the response for *item*.

    Raises `Withheld` where it must not be sent, `Excluded` where the profile's filter leaves it out.
    """
    document = _respond(asked, item, trace)
    charset, fitted, notes = asked.profile.choose_charset(document, asked.charset_terms, trace)
    return Composed(fitted, charset, notes, encode_dataset(fitted, asked.transfer_syntax, charset))


def answers(asked: Asked, items: Sequence[WorklistItem], trace: Trace | None = None) -> Iterator[Answer]:
    """Yield what becomes of *items*, in the order in which they are sent (P15)."""
    for item in asked.profile.ordered(items) if asked.profile.sorts else items:
        try:
            yield Answer(item, compose(asked, item, trace))
        except Withheld as reason:
            yield Answer(item, withheld=reason)


def _respond(asked: Asked, item: WorklistItem, trace: Trace | None) -> Document:
    if asked.zone is None:
        return asked.profile.respond(item, asked.requested, asked.facts, trace)
    moved = zones.in_zone(item, asked.zone, asked.site_zone)
    response = asked.profile.respond(moved, asked.requested, asked.facts, trace)
    return {**response, zones.OFFSET: {"vr": "SH", "Value": [zones.written(asked.zone)]}}


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
