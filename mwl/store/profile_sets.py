"""The sets of profiles that were in use: each with the site's files as they were, and who changed them.

A set that was put aside (what stood in the files when somebody brought an earlier set back) is on
record, too; it was not in use.  Files can be large and changes many, so what is kept is bounded: the
latest `KEPT` sets, `TOTAL` characters of them together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import delete, func, insert, select

from mwl.store.promoted import storable
from mwl.store.tables import profile_sets
from mwl.store.transaction import Transaction

KEPT = 100
"""Sets kept: a site that changes a profile a day looks back three months."""

TOTAL = 64 << 20
"""Characters of all sets together, the newest excepted: a site with a large table keeps fewer sets."""

LARGEST = 1 << 20
"""Octets of a file whose text is kept; of a larger one, which only a table can be, its fingerprint is."""

ASIDE: Final = "put aside"
"""What the reason of a set begins with that was not in use."""


@dataclass(frozen=True, slots=True)
class SiteFile:
    """A file of the site's folder."""

    sha256: str
    octets: int
    text: str | None = field(default=None, repr=False)  # None: too large, or not UTF-8

    @classmethod
    def of(cls, raw: bytes) -> SiteFile:
        """Return what is kept of a file's content."""
        text = None
        if len(raw) <= LARGEST:
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError:
                text = None
        # PostgreSQL's text holds no NUL; a profile with one is none.
        kept = None if text is None or "\0" in text else text
        return cls(hashlib.sha256(raw).hexdigest(), len(raw), kept)


@dataclass(frozen=True, slots=True)
class SetEntry:
    """A set on record; *at* is UTC, as the tables hold instants."""

    key: int
    at: str
    digest: str
    who: str
    reason: str

    @property
    def used(self) -> bool:
        """Whether it was in use, and not only put aside."""
        return not self.reason.startswith(ASIDE)


@dataclass(frozen=True, slots=True)
class ProfileSet:
    """A set with its files, by their paths in the site's folder."""

    entry: SetEntry
    files: Mapping[str, SiteFile]


def record(
    tx: Transaction, digest: str, files: Mapping[str, SiteFile], *, who: str, reason: str
) -> int | None:
    """Put a set on record and return its number; None where the latest on record is the same."""
    latest = _newest(1)
    if (row := tx.connection.execute(latest).one_or_none()) and row.digest == digest:
        return None
    made = tx.connection.execute(
        insert(profile_sets),
        {
            "at": tx.stamp,
            "digest": digest,
            "who": storable(who),
            "reason": storable(reason),
            "files": json.dumps({name: _plain(file) for name, file in sorted(files.items())}),
        },
    )
    _forget(tx)
    key: int = made.inserted_primary_key[0]  # type: ignore[index]
    return key


def browse(tx: Transaction, *, limit: int = KEPT) -> list[SetEntry]:
    """Return the sets on record, the newest first."""
    return [SetEntry(*row) for row in tx.connection.execute(_newest(limit))]


def newest(tx: Transaction) -> SetEntry | None:
    """Return the set that went into use last, None where none is on record."""
    used = _newest(1).where(~profile_sets.c.reason.startswith(ASIDE))
    row = tx.connection.execute(used).one_or_none()
    return None if row is None else SetEntry(*row)


def get(tx: Transaction, key: int) -> ProfileSet | None:
    """Return a set by its number, None where none has it."""
    row = tx.connection.execute(_WHOLE.where(profile_sets.c.key == key)).one_or_none()
    return None if row is None else _read(row)


def before(tx: Transaction, key: int) -> ProfileSet | None:
    """Return the set that was recorded before another, None for the first."""
    earlier = _WHOLE.where(profile_sets.c.key < key).order_by(profile_sets.c.key.desc()).limit(1)
    row = tx.connection.execute(earlier).one_or_none()
    return None if row is None else _read(row)


def _newest(limit: int) -> Any:
    return select(*_ENTRY).order_by(profile_sets.c.key.desc()).limit(limit)


def _read(row: Any) -> ProfileSet:
    *entry, files = row
    return ProfileSet(
        SetEntry(*entry),
        {name: SiteFile(**kept) for name, kept in json.loads(files).items()},
    )


def _plain(file: SiteFile) -> dict[str, object]:
    kept: dict[str, object] = {"sha256": file.sha256, "octets": file.octets}
    return kept if file.text is None else {**kept, "text": file.text}


def _forget(tx: Transaction) -> None:
    """Delete what is too many or too much; the newest stays, whatever its size."""
    sizes = select(profile_sets.c.key, func.length(profile_sets.c.files)).order_by(profile_sets.c.key.desc())
    total, old = 0, []
    for number, (key, size) in enumerate(tx.connection.execute(sizes)):
        total += size if number else 0
        if number >= KEPT or total > TOTAL:
            old.append(key)
    if old:
        tx.connection.execute(delete(profile_sets).where(profile_sets.c.key.in_(old)))


_ENTRY = (
    profile_sets.c.key,
    profile_sets.c.at,
    profile_sets.c.digest,
    profile_sets.c.who,
    profile_sets.c.reason,
)
_WHOLE = select(*_ENTRY, profile_sets.c.files)
