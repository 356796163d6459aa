"""P12 `split`: a step with several protocols as several lines, for a device that takes one each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from mwl.mapping import paths
from mwl.mapping.devices.operations.operation import Binding, Entry, ListStep, Run, Stage, Word

_CODES = paths.tag("ScheduledProtocolCodeSequence")


class Split(Word[Literal["per_step", "per_protocol_code"]]):
    """A line for each step, or for each of its protocol codes; all lines of a step are that step (P12)."""

    key = "split"
    stage = Stage.SELECT
    number = 12

    def arrange(self, binding: Binding) -> Iterator[ListStep]:
        """Yield the one step, if it does anything."""
        if self.root == "per_protocol_code":
            yield binding.list_step(_split)


def _split(entries: list[Entry], _run: Run) -> list[Entry]:
    return [part for entry in entries for part in _parts(entry)]


def _parts(entry: Entry) -> list[Entry]:
    codes = entry.item.step.get(_CODES, {}).get("Value") or []
    if len(codes) < 2:
        return [entry]
    return [
        Entry(
            replace(entry.item, step={**entry.item.step, _CODES: {"vr": "SQ", "Value": [code]}}),
            entry.refs,
            number,
        )
        for number, code in enumerate(codes, start=1)
    ]
