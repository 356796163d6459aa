"""What a supporter needs to see of a site, without anybody of the site's patients in it.

Messages, queries and performed steps are rewritten by `deidentified`: nothing in them that is not known to be
nobody's stays.  Texts of the program's own are searched for who is on record (`scrubbing`).  All dates are
moved by the same number of weeks, those of the logs and of the records as well: else they would tell by how
much.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mwl.config import Configuration
from mwl.dicom.elements import Undecodable
from mwl.dicom.encoding import decode_dataset
from mwl.hl7.text import decode
from mwl.model import Document
from mwl.store import Store, Transaction, journal, performed_view, queries, requests
from mwl.store.journal import StoredMessage, Wanted
from mwl.store.queries import CapturedQuery
from mwl.store.requests import PerformedRequest
from mwl.store.transaction import instant, stamp
from mwl.workbench import deidentified
from mwl.workbench.pseudonyms import Pseudonyms
from mwl.workbench.scrubbing import Scrubber

LONGEST = 256 << 10
"""Octets of a message, or a file of the site's folder, that is taken along."""

FILES = 500
"""Files of the site's folder that are taken along, at most."""

_EXAMPLES = re.compile(r"^tests:.*(?:\n(?:[ \t#-].*)?)*", re.MULTILINE)
_PERSON = re.compile(
    r"""\b\w*(?:Patient|Physician|Accession)\w*["']?[ \t]*:[ \t]*("[^"\n]*"|'[^'\n]*'|[^,}\n]+)"""
)
"""An attribute that tells who somebody is, and its value, as YAML has them."""

_PROFILES = (".yaml", ".yml", ".csv")

Entry = tuple[str, str]
"""A file of the bundle: its name, and its text."""


@dataclass(frozen=True, slots=True)
class Amount:
    """How many of the latest of each are taken along."""

    messages: int = 100
    queries: int = 100
    performed: int = 50


@dataclass(frozen=True, slots=True)
class Texts:
    """What does not come from the database: names of files, and their texts."""

    plain: Mapping[str, str] = field(default_factory=dict)
    logs: Mapping[str, str] = field(default_factory=dict)
    figures: str = ""


def entries(
    store: Store, configuration: Configuration, names: Pseudonyms, amount: Amount, texts: Texts
) -> Iterator[Entry]:
    """Yield the files of a bundle.  Raises `Unavailable`."""
    plain = {**texts.plain, "configuration.json": _settings(configuration), **_profiles(configuration)}
    messages, captured, exams = store.read_now(lambda tx: _on_record(tx, amount))
    heard = [
        *(text for each in plain.values() for text in _played(each)),
        *(text for each in messages for text in _heard(each)),
        *(text for each in captured for text in _identities(each.identifier, each.transfer_syntax)),
        *(text for exam in exams for each in exam for text in _identities(each.data, each.transfer_syntax)),
    ]
    told = [text for each in messages for text in _told(each)]
    searched = [*plain, *texts.logs, *plain.values(), *texts.logs.values(), texts.figures, *told]
    devices = _devices(configuration)
    scrubber = Scrubber(store, names, searched, heard, [*devices, *configuration.systems])
    yield from ((scrubber.text(name), scrubber.text(text)) for name, text in plain.items())
    yield from ((scrubber.text(name), scrubber.log(text)) for name, text in texts.logs.items())
    yield "metrics.txt", scrubber.figures(texts.figures)
    for message in messages:
        yield from _message(message, names, scrubber, devices)
    for query in captured:
        yield f"queries/{query.key}.json", _json(_query(query, names))
    for exam in exams:
        yield f"performed/{exam[0].performed_key}.json", _json([_request(each, names) for each in exam])


def _on_record(
    tx: Transaction, amount: Amount
) -> tuple[list[StoredMessage], list[CapturedQuery], list[list[PerformedRequest]]]:
    found = journal.search(tx, Wanted(), limit=amount.messages) if amount.messages else []
    read = (journal.read(tx, entry.key) for entry in found if entry.octets <= LONGEST)
    exams = performed_view.browse(tx, performed_view.Wanted(), amount.performed) if amount.performed else []
    return (
        [message for message in read if message is not None],
        queries.browse(tx, limit=amount.queries) if amount.queries else [],
        [sent for exam in exams if (sent := requests.of_step(tx, exam.step.key))],
    )


def _settings(configuration: Configuration) -> str:
    keys = ("key", "value", "origin")
    return _json([dict(zip(keys, each, strict=True)) for each in configuration.effective()])


def _profiles(configuration: Configuration) -> dict[str, str]:
    """Return the profiles and tables of the site's own folder."""
    folder = configuration.mappings
    found = sorted(path for path in folder.rglob("*") if path.suffix in _PROFILES) if folder.is_dir() else []
    taken = [path for path in found if path.is_file() and path.stat().st_size <= LONGEST][:FILES]
    return {_named(folder, path): path.read_text("utf-8", "replace") for path in taken}


def _played(profile: str) -> Iterator[str]:
    """Yield whom the examples of a profile name: they are on record no more, or never were."""
    for examples in _EXAMPLES.findall(profile):
        yield from _PERSON.findall(examples)


def _named(folder: Path, path: Path) -> str:
    return f"profiles/{path.relative_to(folder).as_posix()}"


def _devices(configuration: Configuration) -> frozenset[str]:
    """Return what applications and devices of the site are called, which is kept."""
    systems = configuration.systems.values()
    named = {name for system in systems for name in (system.application, system.facility)}
    return frozenset({configuration.dicom.ae_title, *configuration.titles, *named} - {"*", ""})


def _told(message: StoredMessage) -> tuple[str, ...]:
    """Return what is said of a message, in which its own words may be."""
    return message.entry.error, message.entry.kind, decode(message.raw).label


def _heard(message: StoredMessage) -> Iterator[str]:
    read = decode(message.raw)
    yield from deidentified.identities(read.text, read.codec)


def _identities(data: bytes | None, transfer_syntax: str) -> Iterator[str]:
    document = _document(data, transfer_syntax)
    if document is not None:
        yield from deidentified.identities_of(document)


def _document(data: bytes | None, transfer_syntax: str) -> Document | None:
    try:
        return decode_dataset(data or b"", transfer_syntax)
    except Undecodable:
        return None


def _message(
    message: StoredMessage, names: Pseudonyms, scrubber: Scrubber, devices: frozenset[str]
) -> Iterator[Entry]:
    entry, read = message.entry, decode(message.raw)
    known = tuple(deidentified.identities(read.text, read.codec))
    facts = {
        "message": entry.key, "received_at": _moved(entry.received_at, names),
        "last_at": _moved(entry.last_at, names), "receipts": entry.receipts, "peer": entry.peer,
        "system": entry.system, "kind": scrubber.text(entry.kind), "octets": entry.octets,
        "outcome": entry.outcome, "error": scrubber.text(entry.error), "replayed": entry.replayed,
        "charset": {"label": scrubber.text(read.label), "read_as": read.codec, "readable": read.readable},
    }  # fmt: skip
    yield f"messages/{entry.key}.json", _json(facts)
    yield f"messages/{entry.key}.hl7", deidentified.message(read.text, read.codec, names, devices)
    if message.acknowledgement:
        answer = decode(message.acknowledgement)
        yield (
            f"messages/{entry.key}.answer.hl7",
            deidentified.message(answer.text, answer.codec, names, devices, known),
        )


def _query(query: CapturedQuery, names: Pseudonyms) -> dict[str, Any]:
    found = asdict(query)
    times = {name: _moved(found[name], names) for name in ("first_at", "last_at")}
    document = _document(query.identifier, query.transfer_syntax)
    shown = None if document is None else deidentified.document(document, names)
    return {**found, **times, "octets": len(query.identifier), "identifier": shown}


def _request(request: PerformedRequest, names: Pseudonyms) -> dict[str, Any]:
    document = _document(request.data, request.transfer_syntax)
    return {
        "operation": request.operation, "at": stamp(names.instant(request.at)),
        "calling_ae": request.calling_ae, "address": request.address,
        "transfer_syntax": request.transfer_syntax, "octets": len(request.data or b""),
        "data": None if document is None else deidentified.document(document, names),
    }  # fmt: skip


def _moved(stamped: str, names: Pseudonyms) -> str:
    return stamp(names.instant(instant(stamped))) if stamped else ""


def _json(data: Sequence[Any] | Mapping[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, indent=1, default=str) + "\n"
