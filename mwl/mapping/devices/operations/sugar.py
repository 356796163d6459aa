"""P6 `station` and P8 `dates`: what most devices need of their keys, in one readable line each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, TypeAlias

from pydantic import WithJsonSchema

from mwl.mapping import paths
from mwl.mapping.devices.operations.keys import ignoring, setting
from mwl.mapping.devices.operations.notation import Scalars, spelled
from mwl.mapping.devices.operations.operation import Binding, Stage, Step, Word
from mwl.mapping.devices.operations.values import value
from mwl.mapping.devices.operations.window import Window
from mwl.query import START_DATE, Path

STATION = paths.parse_path("SPS.ScheduledStationAETitle")
_AROUND = re.compile(r"\+-([0-9]{1,3})")

_DATES = r"today|as_asked|\+-[0-9]{1,3}"

DatesText: TypeAlias = Annotated[
    str,
    spelled(_DATES, "today, as_asked, or so many days around today: +-2"),
    WithJsonSchema({"type": "string", "pattern": f"^({_DATES})$"}),
]


class Station(Word[Scalars]):
    """Whose list a device gets, whatever it asks: `calling` its own, `any` every station's, or that of an
    AE title (P6).
    """

    key = "station"
    stage = Stage.QUERY
    number = 6

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield the one step."""
        if self.root == ("any",):
            yield binding.step(ignoring(STATION))
        else:
            titles = ["$calling_ae" if title == "calling" else title for title in self.root]
            yield binding.step(setting(STATION, value(titles, STATION, binding), binding.origin()))

    def opens(self) -> Iterator[Path]:
        """Yield the station, where it may be any."""
        if self.root == ("any",):
            yield STATION


class Dates(Word[DatesText]):
    """For which days a device is answered, whatever it asks: `today`, `+-2` two days before and after as
    well, or `as_asked` (P8).
    """

    key = "dates"
    stage = Stage.QUERY
    number = 8

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield the one step, if any."""
        if self.root == "today":
            yield binding.step(setting(START_DATE, value(["$today"], START_DATE, binding), binding.origin()))
        elif window := self._window():
            yield from window.compile(binding)

    def opens(self) -> Iterator[Path]:
        """Yield the date, where the days are so many that they are no bound."""
        if window := self._window():
            yield from window.opens()

    def _window(self) -> Window | None:
        match = _AROUND.fullmatch(self.root)
        return Window(mode="replace", back=f"{match[1]}d", ahead=f"{match[1]}d") if match else None
