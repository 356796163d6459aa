"""P15 `sort` and `limit`: in which order a list is sent, and what happens to one that is too long."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from mwl.mapping import paths
from mwl.mapping.devices.operations.lint import Lint
from mwl.mapping.devices.operations.merge import start
from mwl.mapping.devices.operations.notation import Flag, Number, PathText, Scalar, either
from mwl.mapping.devices.operations.operation import Binding, Entry, ListOf, ListStep, Options, Run, Stage
from mwl.mapping.elements import gather, is_document, make
from mwl.mapping.facts import Facts
from mwl.model import STEP_SEQUENCE, Document, StepRef, WorklistItem

MOST_ARRANGED = 5000
"""Steps of one query that are read to be sorted, merged or dropped, at most: some 0.5 s and 50 MiB."""


class SortKey(BaseModel):
    """What items are ordered by; one without a value comes last."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    by: PathText
    """The attribute."""
    descending: Flag = False
    """Whether the greatest comes first."""
    order: tuple[Scalar, ...] = ()
    """Values in the order wanted; any other comes after them."""

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, data: Any) -> Any:
        """Take ``PatientName`` for ``{by: PatientName}``."""
        return {"by": data} if isinstance(data, str) else data

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return either({"type": "string"}, core, handler)

    def rank(self, item: WorklistItem) -> tuple[int, str]:
        """Return what *item* is compared by; "" for one without a value."""
        found = next(iter(gather(item.merged(), paths.parse_path(self.by))), "")
        return (self.order.index(found) if found in self.order else len(self.order), found)


class Sort(ListOf[tuple[SortKey, ...]]):
    """The order of the items; those that are equal keep the order of their start (P15, A-47)."""

    key = "sort"
    stage = Stage.SELECT
    number = 15

    def arrange(self, binding: Binding) -> Iterator[ListStep]:
        """Yield a step for each key; sorting is stable, so the first key is applied last."""
        for index, key in reversed(list(enumerate(self.root))):
            yield binding.list_step(_sorting(key), index)


def _sorting(key: SortKey) -> Any:
    def apply(entries: list[Entry], _run: Run) -> list[Entry]:
        ranked = [(key.rank(entry.item), entry) for entry in entries]
        present = [pair for pair in ranked if pair[0][1]]
        present.sort(key=lambda pair: pair[0], reverse=key.descending)
        return [entry for _, entry in present] + [entry for rank, entry in ranked if not rank[1]]

    return apply


class Limit(Options):
    """How many items a device is sent (P15); leaving some out is always reported (12.3 a)."""

    key = "limit"
    stage = Stage.SELECT
    number = 15

    max: Annotated[Number, Field(ge=1)] | None = None
    """The most items of one answer; none: no limit."""
    overflow: Literal["truncate", "nearest_now", "status_a700", "notice_item"] = "nearest_now"
    """Which are sent when there are more: the first; those nearest to now; the first, and then A700; or
    those nearest to now, and behind them a line that says so."""
    notice: str = "LIST CUT^MORE STEPS MATCH"
    """The name on that line, in place of a patient's."""
    unsafe: Flag = False
    """`notice_item` is meant: the line is no patient, and somebody may choose it all the same."""

    @property
    def nearest(self) -> bool:
        """Whether it is the nearest to now that stay."""
        return self.overflow in ("nearest_now", "notice_item")

    def lint(self) -> Iterator[Lint]:
        """Refuse a line that is no patient, unless somebody means it."""
        if self.overflow == "notice_item" and not self.unsafe:
            message = "notice_item sends a line that is no patient: add 'unsafe: true' if that is meant"
            yield Lint("unsafe", message, ("overflow",))

    def cut(self, entries: Sequence[Entry], now: dt.datetime) -> list[Entry]:
        """Return those that are sent, in their order."""
        if self.max is None or len(entries) <= self.max:
            return list(entries)
        if not self.nearest:
            return list(entries[: self.max])
        at = now.replace(tzinfo=None)
        by_distance = sorted(range(len(entries)), key=lambda number: _distance(entries[number], at))
        return [entries[number] for number in sorted(by_distance[: self.max])]

    def notice_of(self, entries: Sequence[Entry], facts: Facts) -> Entry | None:
        """Return the line that says that *entries* are not all; None where the profile wants none."""
        if self.overflow != "notice_item":
            return None
        return Entry(_notice(self.notice, entries, facts), ())


def _distance(entry: Entry, now: dt.datetime) -> float:
    """Return how far from *now* (the site's wall clock) a step starts; one without a date is farthest."""
    if not is_document(entry.item.step):
        return float("inf")
    text = start({STEP_SEQUENCE: {"vr": "SQ", "Value": [entry.item.step]}})
    try:
        begins = dt.datetime.fromisoformat(f"{text[:8]}T{text[8:14]:0<6}")
    except ValueError:
        return float("inf")
    return abs((begins - now).total_seconds())


_NOTICE = {
    "PatientID": "NOTICE",
    "AccessionNumber": "NOTICE",
    "RequestedProcedureID": "NOTICE",
    "RequestedProcedureDescription": "More steps match than this device is sent",
    "SPS.ScheduledProcedureStepID": "NOTICE",
    "SPS.ScheduledProcedureStepStartTime": "000000",
    "SPS.ScheduledProcedureStepDescription": "More steps match than this device is sent",
    "SPS.ScheduledProcedureStepStatus": "SCHEDULED",
}


def _notice(name: str, entries: Sequence[Entry], facts: Facts) -> WorklistItem:
    today = f"{facts.now:%Y%m%d}"
    modality = gather(entries[-1].item.merged(), (STEP_SEQUENCE, "00080060"))[:1] if entries else []
    number = hashlib.sha256(f"notice {facts.calling_ae} {today}".encode()).digest()[:16]
    lines = {
        **_NOTICE,
        "PatientName": name,
        "StudyInstanceUID": f"2.25.{int.from_bytes(number, 'big')}",
        "SPS.ScheduledProcedureStepStartDate": today,
        "SPS.ScheduledStationAETitle": facts.calling_ae,
        "SPS.Modality": "".join(modality) or "OT",
    }
    document: Document = {}
    for text, value in lines.items():
        path = paths.parse_path(text)
        if (element := make(paths.vr(path[-1]), [value])) is not None:
            document = paths.put(document, path, element)
    step = document.pop(STEP_SEQUENCE)["Value"][0]
    patient = {tag: document.pop(tag) for tag in list(document) if tag.startswith("0010")}
    return WorklistItem(StepRef(0, 0, 0, 0), patient, document, step, "")
