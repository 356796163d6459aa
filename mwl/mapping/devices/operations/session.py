"""P33 `session`: how a query is answered, beside its content; the worklist service reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from mwl.mapping.devices.operations.lint import Lint
from mwl.mapping.devices.operations.notation import Duration, Flag
from mwl.mapping.devices.operations.operation import Options, Stage


class Session(Options):
    """How a query is answered, beside its content (P33)."""

    key = "session"
    stage = Stage.SESSION
    number = 33

    pending: Literal["FF00", "FF01", "auto"] = "auto"
    """The status of each item: always FF00, always FF01, or FF01 where a key could not be used (A-20)."""
    fuzzy_names: Flag = False
    """Match person names by sound and in any order, though the device did not negotiate it (A-26)."""
    on_error: Literal["fail", "stale", "success_empty"] = "fail"
    """Where the broker cannot answer: a failure status; the last good list of the same query, as long as
    `stale` allows, and a failure after that (F35); or no item and success, which misstates the list."""
    stale: Duration | None = None
    """How old that list may be: 120s; it must be given with `on_error: stale`."""
    answer_within: Duration | None = None
    """How long the broker may look for the list; after that it cannot answer (F54)."""
    min_poll: Duration | None = None
    """The same query again within this time gets the list it got before, however that has changed."""
    cancel: Literal["honour", "as_success"] = "honour"
    """A query that the device cancels ends with FE00, or with 0000 for one that takes FE00 for a failure."""
    unsafe: Flag = False
    """`success_empty` is meant: an operator who sees no patient may think that there is none."""

    @property
    def keeps_lists(self) -> bool:
        """Whether a list that was sent may be sent again."""
        return self.on_error == "stale" or self.min_poll is not None

    def lint(self) -> Iterator[Lint]:
        """Refuse an empty list in the place of a failure (12.3 b), and a stale one of any age."""
        if self.on_error == "success_empty" and not self.unsafe:
            message = "an empty list in place of a failure misinforms: add 'unsafe: true' if that is meant"
            yield Lint("unsafe", message, ("on_error",))
        if self.on_error == "stale" and self.stale is None:
            yield Lint("session", "say in 'stale' how old the list may be: stale: 120s", ("on_error",))
