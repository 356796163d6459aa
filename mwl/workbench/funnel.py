"""How a list became as long as it is: what each key leaves over, and what would match without it.

Theory of operation.  A query is some keys that must all hold.  Counting after each key in turn shows
where the steps are lost; counting with one key taken out shows which key keeps them away.  Both count
with the selection that answers the device (`mwl.store.funnel`, which also says up to where is counted).
Where a key taken out lets steps through, the values they have in its place are the near misses; where no
single key does, two keys at a time are tried.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from mwl.mapping import paths
from mwl.mapping.elements import gather
from mwl.model import WorklistItem, text
from mwl.query import START_DATE, START_TIME, Criterion, Op, Path
from mwl.store import Transaction, funnel, steps
from mwl.store.funnel import Count
from mwl.workbench.keys import Key, on_start

SAMPLE = 200
"""Steps whose values are looked at for near misses, those nearest to now."""

NEWEST = 5
_PAIRED = 8  # keys that are taken out two at a time at most: 28 counts
_WIDER = (1, 7, 30)  # days on either side
_MODALITY = paths.parse_path("SPS.Modality")


@dataclass(frozen=True, slots=True)
class Left:
    """How many steps are left after a key and all before it."""

    key: Key
    count: Count


@dataclass(frozen=True, slots=True)
class FoundValue:
    """A value that steps have where another is asked for, and how many of those looked at have it."""

    value: str  # "" for none
    steps: int


@dataclass(frozen=True, slots=True)
class Loosened:
    """What would match if keys were taken out, or the day's window were *wider* by some days."""

    keys: tuple[Key, ...]
    count: Count
    wider: int = 0  # days on either side; 0: the keys are taken out
    found: tuple[tuple[FoundValue, ...], ...] = ()  # in the place of each key that is taken out


@dataclass(frozen=True, slots=True)
class Newcomer:
    """One of the steps that came last."""

    step: int
    start: str  # date and time as stored
    accession: str
    days: int | None  # from the window asked for: negative before it, 0 inside; None where none is asked for


@dataclass(frozen=True, slots=True)
class Funnel:
    """What the keys of a query do to the steps on record."""

    on_record: Count  # steps, those on hold left out
    left: tuple[Left, ...]
    matching: Count
    held: Count  # on hold, and matching otherwise
    loosened: tuple[Loosened, ...]  # what lets more through than `matching`
    modalities_today: tuple[FoundValue, ...]
    newest: tuple[Newcomer, ...]  # of those that match but for the day, else of all
    newest_fit: bool  # they match but for the day


def sift(tx: Transaction, keys: Sequence[Key], now: dt.datetime) -> Funnel:
    """Return what *keys* do to the steps on record; *now* is the time in the site's zone."""
    return _Sifting(tx, keys, now).run()


class _Sifting:
    """The counts for one query."""

    def __init__(self, tx: Transaction, keys: Sequence[Key], now: dt.datetime) -> None:
        self._tx = tx
        self._keys = tuple(keys)
        self._now = now
        self._counted: dict[tuple[Key, ...], Count] = {}

    def run(self) -> Funnel:
        left = [Left(key, self._count(self._keys[: n + 1])) for n, key in enumerate(self._keys)]
        on_record = self._count(())
        matching = left[-1].count if left else on_record
        with_held = funnel.count(self._tx, _criteria(self._keys), held=True)
        held = Count(max(with_held.number - matching.number, 0), with_held.at_least)
        loosened = [each for each in self._loosened() if each.count.number > matching.number]
        if not loosened and not matching.number:
            loosened = [each for each in self._paired() if each.count.number]
        asks_modality = any(key.criteria[0].path == _MODALITY for key in self._keys)
        newest, fit = ([], True) if matching.number else self._newest()
        return Funnel(
            on_record,
            tuple(left),
            matching,
            held,
            tuple(loosened),
            tuple(self._modalities_today()) if asks_modality and not matching.number else (),
            tuple(newest),
            fit,
        )

    def _count(self, keys: tuple[Key, ...]) -> Count:
        if keys not in self._counted:
            self._counted[keys] = funnel.count(self._tx, _criteria(keys))
        return self._counted[keys]

    def _loosened(self) -> Iterator[Loosened]:
        """Take out each key in turn, and widen the window of days."""
        for key in self._keys:
            yield self._taken_out(key)
            if on_start(key):
                yield from self._wider(key, self._without(key))

    def _wider(self, key: Key, others: Sequence[Key]) -> Iterator[Loosened]:
        """Widen the window until it lets something in that it kept out."""
        matching = self._count(self._keys).number
        for days in _WIDER:
            wide = replace(key, criteria=tuple(_widened(each, days) for each in key.criteria))
            count = self._count((*others, wide))
            if count.number > matching:
                yield Loosened((key,), count, wider=days)
                return

    def _paired(self) -> Iterator[Loosened]:
        for pair in combinations(self._keys[:_PAIRED], 2):
            yield self._taken_out(*pair)

    def _taken_out(self, *keys: Key) -> Loosened:
        others = self._without(*keys)
        count = self._count(others)
        return Loosened(keys, count, found=self._found(keys, others) if count.number else ())

    def _without(self, *taken: Key) -> tuple[Key, ...]:
        return tuple(key for key in self._keys if key not in taken)

    def _found(self, keys: Sequence[Key], others: Sequence[Key]) -> tuple[tuple[FoundValue, ...], ...]:
        """Return what otherwise matching steps have in the place of *keys*, the most frequent first."""
        items = self._nearest(_criteria(others))
        return tuple(tuple(_tally(key, items)) for key in keys)

    def _nearest(self, criteria: Sequence[Criterion]) -> list[WorklistItem]:
        refs = funnel.nearest(self._tx, criteria, f"{self._now:%Y%m%d%H%M%S}", SAMPLE)
        return steps.load(self._tx, refs)

    def _modalities_today(self) -> Iterator[FoundValue]:
        today = f"{self._now:%Y%m%d}"
        items = self._nearest([Criterion(START_DATE, Op.RANGE, (today, today))])
        counted = Counter("\\".join(gather(item.merged(), _MODALITY)) for item in items)
        yield from (FoundValue(value, number) for value, number in counted.most_common())

    def _newest(self) -> tuple[list[Newcomer], bool]:
        """Return what came last of the steps that match but for the day, else of all, and which it is."""
        window = next((key for key in self._keys if on_start(key)), None)
        others = self._keys if window is None else self._without(window)
        fitting = funnel.newest(self._tx, _criteria(others), NEWEST)
        items = steps.load(self._tx, fitting or funnel.newest(self._tx, (), NEWEST))
        return [_newcomer(item, window) for item in items], bool(fitting)


def _tally(key: Key, items: Sequence[WorklistItem]) -> Iterator[FoundValue]:
    if on_start(key):  # whatever the time: newcomers are shown with their distance
        counted = Counter(text(item.step, START_DATE[-1]) for item in items if not key.fits(item))
    else:
        counted = Counter(key.found(item) for item in items if not key.fits(item))
    yield from (FoundValue(value, number) for value, number in counted.most_common(NEWEST))


def _newcomer(item: WorklistItem, window: Key | None) -> Newcomer:
    day, time = (text(item.step, path[-1]) for path in (START_DATE, START_TIME))
    days = _distance(day, window) if window else None
    return Newcomer(item.ref.key, day + time, text(item.procedure, "00080050"), days)


def _criteria(keys: Sequence[Key]) -> list[Criterion]:
    return [criterion for key in keys for criterion in key.criteria]


def _widened(criterion: Criterion, days: int) -> Criterion:
    low, high = criterion.values
    return replace(criterion, values=(_moved(low, -days), _moved(high, days)))


def _moved(bound: str, days: int) -> str:
    """Return a bound some days later; what follows its date stays."""
    day = _day(bound)
    return bound if day is None else f"{day + dt.timedelta(days=days):%Y%m%d}{bound[8:]}"


def _distance(day: str, window: Key) -> int | None:
    """Return how many days *day* lies before (negative) or after the window; 0 inside, None unknown."""
    at = _day(day)
    if at is None:
        return None
    low, high = (_day(bound) for bound in window.criteria[0].values)
    if low is not None and at < low:
        return (at - low).days
    return (at - high).days if high is not None and at > high else 0


def _day(bound: str) -> dt.date | None:
    try:
        return dt.datetime.strptime(bound[:8], "%Y%m%d").replace(tzinfo=dt.UTC).date()
    except ValueError:
        return None


def window_of(keys: Sequence[Key], path: Path = START_DATE) -> tuple[dt.date | None, dt.date | None] | None:
    """Return the first and the last day asked for, None for an open end; None where no day is asked for."""
    key = next((key for key in keys if on_start(key) and key.criteria[0].path == path), None)
    if key is None:
        return None
    low, high = key.criteria[0].values
    return _day(low), _day(high)
