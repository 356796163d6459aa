"""The encoded responses of a list: kept ones as they are, the rest composed, encoded and kept.

A line of a list is known by the steps it stands for, with the revisions of their levels (`Line`).  One
that cannot be sent is left out and reported; what is sent in doubt is reported once for each device,
step and line of its profile, however often the device asks.
"""

from __future__ import annotations

import logging
import traceback
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from mwl.dicom import answering
from mwl.dicom.answering import Asked
from mwl.dicom.response_cache import Encoded, ResponseCache
from mwl.errors import MwlError
from mwl.logs import event
from mwl.mapping.devices.device import Excluded, Report, Withheld
from mwl.model import StepRef, WorklistItem
from mwl.store import Store, Transaction, steps
from mwl.store.queries import LeftOut

logger = logging.getLogger(__name__)

_TOLD = 10_000  # reports remembered, so that none is repeated at every query; some 2 MiB


class Line(NamedTuple):
    """One line of a list: the steps it stands for, and what it shows where that is at hand."""

    refs: tuple[StepRef, ...]
    part: int = 0
    item: WorklistItem | None = None

    @property
    def step(self) -> int:
        """The key of the step that leads; 0 for a line that stands for none."""
        return self.refs[0].key if self.refs else 0


class Responses:
    """Makes responses for a service; what was made before is asked of the cache."""

    def __init__(self, store: Store, cache: ResponseCache) -> None:
        self._store = store
        self._cache = cache
        self._told: OrderedDict[Hashable, None] = OrderedDict()

    async def of(self, asked: Asked, lines: Sequence[Line]) -> list[tuple[Line, Encoded]]:
        """Return the responses for *lines*, in their order; a step that is gone has none."""
        made = self._kept(asked, lines)
        if None in made:
            items = await self._items([line for line, kept in zip(lines, made, strict=True) if kept is None])
            for index, line in enumerate(lines):
                if made[index] is None and (item := line.item or items.get(line.step)) is not None:
                    made[index] = self._encode(asked, line, item)
        pairs = zip(lines, made, strict=True)
        return [(line, response) for line, response in pairs if response is not None]

    def report(self, asked: Asked, step: int, reports: Sequence[Report]) -> None:
        """Say once what is doubtful about a step that is sent."""
        for each in reports:
            key = (asked.facts.calling_ae, step, each.origin, each.path, each.message)
            if key in self._told:
                continue
            self._told[key] = None
            if len(self._told) > _TOLD:
                self._told.popitem(last=False)
            event(logger, logging.WARNING if each.serious else logging.INFO, "step sent in doubt",
                  device=asked.facts.calling_ae, step=step, reason=each.message,
                  **_where(each.path, each.origin))  # fmt: skip

    def _kept(self, asked: Asked, lines: Sequence[Line]) -> list[Encoded | None]:
        if (key := asked.cache_key) is None:
            return [None] * len(lines)
        get = self._cache.get
        return [get((line.refs, line.part, key)) for line in lines]

    async def _items(self, lines: Sequence[Line]) -> dict[int, WorklistItem]:
        """Load what *lines* show; those that stand for several steps, or for none, have it at hand."""
        refs = [line.refs[0] for line in lines if line.item is None]
        if not refs:
            return {}

        def load(tx: Transaction) -> list[WorklistItem]:
            return steps.load(tx, refs)

        return {item.ref.key: item for item in await self._store.read(load)}

    def _encode(self, asked: Asked, line: Line, item: WorklistItem) -> Encoded:
        refs = line.refs if line.item else (item.ref,)  # as they were loaded: perhaps later than matched
        try:
            composed = answering.compose(asked, item)
            self.report(asked, line.step, composed.reports)
            entry = Encoded(composed.data, marks=composed.marks)
        except Excluded as excluded:
            entry = Encoded(b"", _left_out(line, excluded, intended=True))
        except Withheld as withheld:
            entry = self._withhold(asked, _left_out(line, withheld))
        except MwlError as error:
            entry = self._withhold(asked, LeftOut(line.step, str(error)))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one step, the others are sent
            # Where, and not what, the error says: it may quote the patient.
            where = traceback.extract_tb(error.__traceback__)[-1]
            defect = f"defect: {type(error).__name__}"
            entry = self._withhold(
                asked, LeftOut(line.step, defect, origin=f"{where.filename}:{where.lineno}")
            )
        if asked.cache_key is not None and refs:
            self._cache.put((refs, line.part, asked.cache_key), entry)
        return entry

    def _withhold(self, asked: Asked, left_out: LeftOut) -> Encoded:
        event(logger, logging.WARNING, "step left out of a worklist",
              device=asked.facts.calling_ae, step=left_out.step, reason=left_out.reason,
              **_where(left_out.path, left_out.origin))  # fmt: skip
        return Encoded(b"", left_out)


def _left_out(line: Line, reason: Withheld, *, intended: bool = False) -> LeftOut:
    return LeftOut(line.step, reason.reason, reason.path, reason.origin, intended)


def _where(path: str, origin: str) -> dict[str, str]:
    return {name: text for name, text in {"attribute": path, "line": origin}.items() if text}
