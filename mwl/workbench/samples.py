"""One query to learn from: a captured one, or one in a file, in a single form."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mwl.dicom.encoding import MAX_BYTES, Undecodable, decode_dataset
from mwl.errors import BadDocument, Problem
from mwl.mapping.devices.operations.relabel import suspected
from mwl.model import Document
from mwl.store.associations import AssociationRecord
from mwl.store.queries import CapturedQuery
from mwl.store.transaction import instant
from mwl.workbench.query_file import read_identifier

_NOTHING = AssociationRecord()


@dataclass(frozen=True, slots=True)
class Sample:
    """An identifier, and what is known of how it came; of one in a file that is nothing."""

    keys: Document
    calling_ae: str = ""
    implementation_uid: str = ""
    implementation_version: str = ""
    association: AssociationRecord = _NOTHING
    first: dt.datetime | None = None  # in the site's time
    last: dt.datetime | None = None
    count: int = 1
    status: str = ""
    profile: str = ""  # the one it was answered by
    looks: str = ""  # what its text is in, where its label cannot be right: `charset_label.when_bytes_look`


def of(query: CapturedQuery, zone: dt.tzinfo) -> Sample:
    """Return a captured query as a sample; raise `Undecodable` where its identifier is no data set."""
    keys, looks = decoded(query.identifier, query.transfer_syntax)
    return Sample(
        keys,
        query.calling_ae,
        query.implementation_uid,
        query.implementation_version,
        query.association,
        instant(query.first_at).astimezone(zone),
        instant(query.last_at).astimezone(zone),
        query.count,
        query.status,
        query.profile,
        looks,
    )


def decoded(identifier: bytes, transfer_syntax: str) -> tuple[Document, str]:
    """Return an identifier, and what its text is in where its label cannot be right; raise `Undecodable`."""
    found: list[str] = []

    def note(stated: str, text: bytes) -> None:
        found.append(suspected(stated, text) or "")

    return decode_dataset(identifier, transfer_syntax, note), next(iter(found), "")


def read(path: Path, calling_ae: str) -> Sample:
    """Return the identifier in a file, in any form that `read_identifier` reads; raise `BadDocument`.

    *calling_ae* is the device that it is said to come from.
    """
    try:
        with path.open("rb") as file:
            octets = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadDocument([Problem(str(path), 1, 1, f"cannot be read: {error.strerror}")]) from None
    if len(octets) > MAX_BYTES:
        raise BadDocument([Problem(str(path), 1, 1, "is larger than any identifier")])
    found = read_identifier(octets, str(path))
    if not isinstance(found.keys, bytes):
        return Sample(found.keys, calling_ae)
    try:
        keys, looks = decoded(found.keys, found.transfer_syntax)
    except Undecodable as error:
        raise BadDocument([Problem(str(path), 1, 1, str(error))]) from None
    return Sample(keys, calling_ae, looks=looks)


def asked(samples: Sequence[Sample]) -> tuple[int, dt.datetime | None, dt.datetime | None]:
    """Return how often *samples* were asked altogether, first and last."""
    firsts = [each.first for each in samples if each.first]
    lasts = [each.last for each in samples if each.last]
    return sum(each.count for each in samples), min(firsts, default=None), max(lasts, default=None)
