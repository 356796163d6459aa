"""A deadline that moves often and is missed seldom.

Moving it is an assignment: the loop's timer stays where it is, and when it fires too early it is
set again.  So a thousand associations that talk all the time cost a thousand timers in all, and one
that is silent costs nothing until its time is up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Deadline:
    """Calls *missed* when a time set has come, unless it was moved or cleared before."""

    __slots__ = ("_at", "_loop", "_missed", "_timer")

    def __init__(self, missed: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._missed = missed
        self._at: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """Move the deadline to *seconds* from now."""
        self._at = self._loop.time() + seconds
        if self._timer is not None and self._timer.when() > self._at:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(self._at, self._fire)

    def clear(self) -> None:
        """Wait for nothing."""
        self._at = None

    def drop(self) -> None:
        """Wait for nothing any more: the loop forgets the timer, and whom it would call."""
        self._at = None
        if self._timer is not None:
            self._timer.cancel()

    def _fire(self) -> None:
        self._timer = None
        if self._at is None:
            return
        if self._loop.time() < self._at:
            self._timer = self._loop.call_at(self._at, self._fire)
        else:
            self._missed()
