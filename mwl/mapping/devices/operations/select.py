"""P10 `filter` and `hide_status`: which items a device gets to see.

All of it becomes criteria (`criteria`), so it is decided before the limit is, and every criterion knows
the line of the profile that it came from.
"""

from __future__ import annotations

from collections.abc import Iterator

from mwl.mapping import paths
from mwl.mapping.devices.operations.criteria import Selection, any_of, lines, negated, whole
from mwl.mapping.devices.operations.notation import Scalars
from mwl.mapping.devices.operations.operation import Binding, ListOf, Options, Run, Stage
from mwl.mapping.devices.operations.values import text_value
from mwl.mapping.devices.operations.when import When
from mwl.query import Criterion, Op

STATUS = paths.parse_path("SPS.ScheduledProcedureStepStatus")


class HideStatus(ListOf[Scalars]):
    """States in which a step is off the list, unless the device asks for them by name (P10, A-48, F10)."""

    key = "hide_status"
    stage = Stage.SELECT
    number = 10

    def selections(self, binding: Binding) -> Iterator[Selection]:
        """Yield the one condition."""
        hidden, origin = [text_value(text, binding) for text in self.root], binding.origin()

        def make(run: Run) -> Criterion:
            states = tuple(text(run.facts) for text in hidden)
            return Criterion(STATUS, Op.IN, states, negate=True, origin=origin)

        yield Selection(make, origin, unless_asked=STATUS)


class Filter(Options):
    """Which items are on this device's list, by tests of what is stored (P10)."""

    key = "filter"
    stage = Stage.SELECT
    number = 10

    include: tuple[When, ...] = ()
    """An item must pass one of these."""
    exclude: tuple[When, ...] = ()
    """An item that passes one of these is left out."""

    def selections(self, binding: Binding) -> Iterator[Selection]:
        """Yield a condition for each line that decides alone."""
        if len(self.include) == 1:
            yield from lines(self.include[0], binding, "include", 0)
        elif self.include:
            yield Selection(any_of(self.include, binding, "include"), binding.origin("include"))
        for index, entry in enumerate(self.exclude):
            make = negated(whole(entry, binding, "exclude", index))
            yield Selection(make, binding.origin("exclude", index))
