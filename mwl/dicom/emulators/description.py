"""A device as data: how it associates, what it asks, what its console does with an answer, what it reports.

Nothing here speaks to anybody.  A description names its evidence, and what of it is *assumed* because
no public document or log tells: that part is a stand-in, never a fact about the vendor.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar

from mwl.dicom.emulators.keys import data_set
from mwl.dicom.emulators.rules import Rule
from mwl.errors import MwlError
from mwl.model import Document
from mwl.yamldoc import suggestion

ILE, ELE, EBE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
VERIFICATION, WORKLIST = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.31"
PERFORMED = "1.2.840.10008.3.1.2.3.3"

UNKNOWN_IMPLEMENTATION = "2.25.101467830250938117023384218364716193337"
"""What stands for an implementation class UID that is not documented: nobody's."""

SECONDS = 1.0

_Described = TypeVar("_Described")


class OnBad(StrEnum):
    """What a console does when it meets an item that it refuses."""

    SKIP = "skip"  # it goes on with the next
    ABORT = "abort"  # it cancels, aborts the association and keeps what it has


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a description rests on: A vendor's document, B traffic or a field report, C a server's feature."""

    grade: str
    source: str
    says: str


@dataclass(frozen=True, slots=True)
class Query:
    """One kind of query.

    *keys* are lines of `keys.data_set`; facts are ``ae``, ``today``, ``before`` and ``after`` (today with
    the days the operator chose) and ``typed``.  *typed* names what the operator types; "" where nothing
    is.  *codec* is the Python codec its text is written in whatever its label says; "" is as labelled.
    """

    keys: tuple[str, ...]
    typed: str = ""
    codec: str = ""


@dataclass(frozen=True, slots=True)
class Judge:
    """What a console makes of an answer."""

    refuses: tuple[Rule, ...] = ()
    remarks: tuple[Rule, ...] = ()
    last_of: str = ""  # a path of which one value is shown once: the last item that has it
    failed: str = "worklist query failed"  # what it says of any final status but success
    aborted: str = "an entry of the worklist is wrong: the update was aborted"
    empty: str = ""  # what it says of an empty list
    on_bad: OnBad = OnBad.SKIP


@dataclass(frozen=True, slots=True)
class Performing:
    """One performed step as a device reports it: lines of `keys.data_set` with an item to copy from.

    Facts are ``ae``, ``today``, ``began`` and ``ended`` (HHMMSS), and new UIDs: ``series``, ``study``.
    """

    create: tuple[str, ...]
    scheduled: tuple[str, ...]  # an item of Scheduled Step Attributes, for each worklist item
    series: tuple[str, ...]
    final: tuple[str, ...]
    items: int = 1  # how many worklist items it performs; 0 where it is unscheduled
    series_at_once: bool = False  # the series stands in N-CREATE already


@dataclass(frozen=True, slots=True)
class Device:
    """What is known of one kind of device."""

    name: str
    plays: str
    known_for: str
    evidence: tuple[Evidence, ...]
    queries: Mapping[str, Query]  # the first is what it asks when nothing else is said
    ae: str
    assumed: tuple[str, ...] = ()
    called: str = ""  # as in the log or document; "" where it tells nothing
    performing_ae: str = ""  # where it reports under another AE title
    implementation_uid: str = UNKNOWN_IMPLEMENTATION
    implementation_version: str = ""
    max_pdu: int = 16384  # bytes it takes in a P-DATA-TF
    proposes: tuple[tuple[str, tuple[str, ...]], ...] = ((WORKLIST, (ILE,)),)
    message_id: int | None = 1  # None: its requests have none
    timeout: float = 30 * SECONDS  # for a whole answer
    judge: Judge = field(default_factory=Judge)
    performing: Mapping[str, tuple[Performing, ...]] = field(default_factory=lambda: MappingProxyType({}))

    def query(
        self, name: str = "", today: dt.date | None = None, *, ae: str = "", typed: str = "", days: int = 1
    ) -> Document:
        """Return the identifier of the query *name*, the first one by default, as asked on *today*.

        *days* is how far "before" and "after" reach.  Raises `Unplayable` for a query the device does not
        have, or one for which the operator must type something.
        """
        chosen = self.asking(name)
        if chosen.typed and not typed:
            raise Unplayable(f"the query {name or next(iter(self.queries))!r} needs 'typed': {chosen.typed}")
        today = today or dt.date.today()  # noqa: DTZ011  a device has the date of its own clock
        reach = dt.timedelta(days)
        facts = {
            "ae": ae or self.ae, "typed": typed, "today": f"{today:%Y%m%d}",
            "before": f"{today - reach:%Y%m%d}", "after": f"{today + reach:%Y%m%d}",
        }  # fmt: skip
        return data_set(chosen.keys, facts)

    def asking(self, name: str = "") -> Query:
        """Return the query *name*, the first one by default; raise `Unplayable`."""
        return _chosen(self.queries, name, f"{self.name} has no query {name!r}")

    def reporting(self, variant: str = "") -> tuple[Performing, ...]:
        """Return the performed steps of *variant*, the first one by default; raise `Unplayable`."""
        if not self.performing:
            raise Unplayable(f"{self.name} has no MPPS")
        return _chosen(self.performing, variant, f"{self.name} has no MPPS {variant!r}")


class Unplayable(MwlError, ValueError):
    """A device, query or report that no description has, or one that lacks what the operator types."""


def _chosen(known: Mapping[str, _Described], name: str, lacking: str) -> _Described:
    if name and name not in known:
        close = suggestion(name, known) or "."
        raise Unplayable(f"{lacking}{close} It has {', '.join(map(repr, known))}.")
    return known[name or next(iter(known))]
