"""Would the devices take it?  Steps as they were ordered, against the profiles of those they are meant for.

Theory of operation
-------------------
The devices that a step is meant for are the first of these that there are any of:

1. those whose own AE title is among the step's stations;
2. those whose last captured query would find it, at any date: stations and modality decide, and what
   the profile makes of them;
3. those that never asked, but for what their profile alone would look for;
4. the entry of anyone (``*``), which stands for whoever will come.

Of each of them the profile's filters must let the step pass: what is hidden on purpose is no mistake.

The answer is then composed as for a query (`mwl.dicom.answering`), for what the device asked last; a
device that never asked is taken to ask for every attribute of the worklist.  What its profile would
withhold, and what it knows the device may refuse, is found.

Who asks for whom, or for which day, is left out of the question: that changes from one query to the next,
and no answer depends on it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from mwl.config import ANYONE
from mwl.dicom import answering
from mwl.dicom.answering import Asked, Question
from mwl.dicom.devices import as_it_came
from mwl.dicom.encoding import decode_dataset, encode_dataset
from mwl.dicom.keys import MATCHING, UNMATCHED
from mwl.errors import MwlError
from mwl.lifecycle import CLOSED
from mwl.mapping import paths
from mwl.mapping.devices.device import DeviceProfile, Excluded, Facts, Withheld
from mwl.mapping.devices.sharing import serving
from mwl.mapping.text.charset import DEFAULT
from mwl.model import STEP_SEQUENCE, Document, StepRef, WorklistItem, text, values
from mwl.query import START_DATE, START_TIME, Criterion, Path, holds
from mwl.store import Transaction, doubts, queries, steps
from mwl.store.doubts import Doubt, Found
from mwl.store.queries import CapturedQuery

DEVICES: Final = 20
"""Devices that one step is held against at most."""

ASKERS: Final = 100
"""Devices whose last query is looked at, for a step that names none."""

_STATION: Path = (STEP_SEQUENCE, "00400001")
_MODALITY: Path = (STEP_SEQUENCE, "00080060")
_STATE = "00400020"
_EXPLICIT_LE = "1.2.840.10008.1.2.1"
_WHEN = frozenset({START_DATE, START_TIME})


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found about one step, and what is on record about it."""

    found: tuple[Found, ...]
    known: tuple[Doubt, ...]

    @property
    def news(self) -> bool:
        """Whether what is on record has to change."""
        return {each.found for each in self.known} != set(self.found)


def examine(
    tx: Transaction,
    keys: Collection[int],
    profiles: Mapping[str, DeviceProfile],
    called_ae: str,
    now: dt.datetime,
    shared_by: Mapping[str, Sequence[DeviceProfile]] | None = None,
) -> dict[int, Examined]:
    """Hold the steps *keys* against the configured devices, *profiles* by their entries.

    *shared_by* are those of devices that share an entry: what it asked last tells which is meant.
    *now* is the site's time, aware.  A step that is done, held or gone is in nobody's list: nothing is
    found about it.
    """
    refs = [StepRef(key, 0, 0, 0) for key in keys]
    items = {item.ref.key: item for item in steps.load(tx, refs)}
    known = doubts.of_steps(tx, keys)
    bench = _Offers(profiles, shared_by or {}, called_ae, now, lambda ae: queries.last(tx, ae))
    return {
        key: Examined(
            tuple(bench.found(items[key])) if key in items else (),
            tuple(known.get(key, ())),
        )
        for key in keys
    }


class _Offers:
    """The devices, and what each asks; worked out when a step first needs it."""

    def __init__(
        self,
        profiles: Mapping[str, DeviceProfile],
        shared_by: Mapping[str, Sequence[DeviceProfile]],
        called_ae: str,
        now: dt.datetime,
        last: Callable[[str], CapturedQuery | None],
    ) -> None:
        self._profiles, self._shared_by = profiles, shared_by
        self._called_ae, self._now, self._last = called_ae, now, last
        self._captured: dict[str, CapturedQuery | None] = {}
        self._asked: dict[tuple[str, frozenset[Path]], Asked | None] = {}

    def found(self, item: WorklistItem) -> Iterator[Found]:
        """Yield what devices would not be sent of *item*, or may refuse."""
        if item.held or text(item.step, _STATE) in CLOSED:
            return
        for label in self._offered(item)[:DEVICES]:
            asked = self._question(label, frozenset())
            if asked is not None and self._passes(asked, item):
                yield from _judged(label, asked, item)

    def _offered(self, item: WorklistItem) -> Sequence[str]:
        stations = [str(each).strip() for each in values(item.step, _STATION[-1])]
        if named := [station for station in dict.fromkeys(stations) if station in self._named]:
            return named
        devices = self._named[:ASKERS]
        asked = [label for label in devices if self._query(label) is not None]
        silent = [label for label in devices if label not in asked]
        for group in (asked, silent):
            if asking := [label for label in group if self._asks_for(label, item)]:
                return asking
        return [ANYONE] if ANYONE in self._profiles else []

    @property
    def _named(self) -> list[str]:
        return [label for label in self._profiles if label != ANYONE]

    def _asks_for(self, label: str, item: WorklistItem) -> bool:
        """Tell whether a device would find *item*, at any date."""
        asked = self._question(label, frozenset({_STATION, _MODALITY}))
        return asked is not None and _all_hold(asked.query.criteria, item)

    def _passes(self, asked: Asked, item: WorklistItem) -> bool:
        """Tell whether the profile's own filters let *item* pass."""
        return _all_hold(asked.profile.filters(asked.requested, asked.facts), item)

    def _query(self, label: str) -> CapturedQuery | None:
        if label not in self._captured:
            self._captured[label] = self._last(label) if label != ANYONE else None
        return self._captured[label]

    def _question(self, label: str, kept: frozenset[Path]) -> Asked | None:
        """Return what a device asks, as its profile reads it, of all keys but *kept* the shape alone."""
        if (label, kept) not in self._asked:
            self._asked[label, kept] = self._read(label, kept)
        return self._asked[label, kept]

    def _read(self, label: str, kept: frozenset[Path]) -> Asked | None:
        captured, profile = self._query(label), self._profiles[label]
        zone = self._now.tzinfo or dt.UTC
        if others := self._shared_by.get(label):
            asked = as_it_came(captured.identifier, captured.transfer_syntax) if captured else None
            profile = serving(profile, others, self._facts(label, captured), asked)
        for question in _questions(captured, kept):
            try:
                return answering.read(question, profile, self._facts(label, captured), zone)
            except Exception:  # noqa: BLE001, S112 - what a device sent may be no query: the usual one is
                continue
        return None

    def _facts(self, label: str, captured: CapturedQuery | None) -> Facts:
        if captured is None:
            return Facts(label, called_ae=self._called_ae, now=self._now)
        return Facts(
            label,
            captured.called_ae,
            captured.address,
            captured.implementation_uid,
            captured.implementation_version,
            self._now,
        )


def _questions(captured: CapturedQuery | None, kept: frozenset[Path]) -> Iterator[Question]:
    if captured is not None:
        try:
            keys = decode_dataset(captured.identifier, captured.transfer_syntax)
            yield replace(_question(_shape(keys, kept)), fuzzy=captured.fuzzy, timezone=captured.timezone)
        except (MwlError, ValueError):
            pass
    yield _question(_EVERYTHING)


def _question(keys: Document) -> Question:
    # Whatever set they state: nothing is left in them that needs one.
    return Question(encode_dataset(keys, _EXPLICIT_LE, DEFAULT), _EXPLICIT_LE)


def _shape(keys: Document, kept: frozenset[Path], under: Path = ()) -> Document:
    """Return *keys* without what they look for, but for *kept*."""
    return {tag: _emptied(tag, key, kept, under) for tag, key in keys.items()}


def _emptied(tag: str, key: dict[str, object], kept: frozenset[Path], under: Path) -> dict[str, object]:
    path = (*under, tag)
    if path in kept or path[0] in UNMATCHED:
        return key
    if key["vr"] != "SQ":
        return {"vr": key["vr"]}
    items = key.get("Value", [])
    inner = [_shape(item, kept, path) for item in items if isinstance(item, dict)]  # type: ignore[attr-defined]
    return {"vr": "SQ", "Value": inner} if inner else {"vr": "SQ"}


def _everything() -> Document:
    """Return an identifier that asks for every attribute of a worklist."""
    keys: Document = {}
    for path in sorted(MATCHING, key=len):
        if len(path) == 1 or path[:-1] == (STEP_SEQUENCE,):
            keys = paths.put(keys, path, {"vr": paths.vr(path[-1])})
    return keys


_EVERYTHING: Final = _everything()


def _all_hold(criteria: Sequence[Criterion], item: WorklistItem) -> bool:
    return all(holds(criterion, item) for criterion in criteria if not _asks_when(criterion))


def _asks_when(criterion: Criterion) -> bool:
    return criterion.path in _WHEN or any(_asks_when(each) for each in criterion.within)


def _judged(label: str, asked: Asked, item: WorklistItem) -> Iterator[Found]:
    """Yield what becomes doubtful when *item* is answered."""
    for entry in answering.listed(asked, [item]).entries:
        try:
            composed = answering.compose(asked, entry.item)
        except Excluded:
            continue
        except Withheld as reason:
            yield Found(label, reason.path, reason.reason, withheld=True, origin=reason.origin)
        except MwlError as error:
            yield Found(label, "", str(error), withheld=True)
        except Exception as error:  # noqa: BLE001 - a defect leaves the step out of the list, and is told
            yield Found(label, "", f"defect: {type(error).__name__}", withheld=True)
        else:
            for report in composed.reports:
                if report.serious:
                    yield Found(label, report.path, report.message, withheld=False, origin=report.origin)
