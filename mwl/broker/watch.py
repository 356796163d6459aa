"""Notices that a file changed: the configuration, a profile, a table.

Theory of operation
-------------------
Once a second the files are looked at, by time, size and identity; what differs from the last look is
not read before two looks agree, so that an editor, or a copy over the network, has ended.  Then the
contents decide: a file that was only touched has not changed.  Polling sees what notifications of the
system miss (network file systems, a folder that is replaced by a link, editors that rename), and a few
dozen files cost it nothing.

A file system may count time coarsely, so a file that is as young as that is read again until it is not.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

from mwl.logs import event

logger = logging.getLogger(__name__)

EVERY = 1.0  # seconds
_YOUNG = 2.0  # seconds: FAT counts time in steps of two

Looks: TypeAlias = Mapping[Path, tuple[int, int, int]]
"""Time of change in nanoseconds, octets and inode of each file there is."""


class Watch:
    """Watches files; at each look *wanted* is asked whether to, and *files* which ones they are."""

    def __init__(
        self,
        files: Callable[[], Iterable[Path]],
        *,
        wanted: Callable[[], bool] = lambda: True,
        every: float = EVERY,
    ) -> None:
        self._files, self._wanted = files, wanted
        self._every = every
        self._looked: Looks = {}
        self._read: Looks | None = None  # the look at which the contents were read
        self._contents = ""
        self._failing = False

    def note(self) -> None:
        """Take the files as they are for known: what is being read now is no change.  Reads files."""
        self._looked = _look(self._files())
        self._note(self._looked)

    async def change(self) -> None:
        """Wait until the files say something else than what is known, and take that for known."""
        while True:
            await asyncio.sleep(self._every)
            if await asyncio.to_thread(self._changed):
                return

    def _changed(self) -> bool:
        try:
            return self._wanted() and self._differ()
        except Exception as error:  # noqa: BLE001 - the next look may go well; SIGHUP does without it
            if not self._failing:
                reason = getattr(error, "strerror", None) or type(error).__name__
                event(logger, logging.WARNING, "files cannot be watched", reason=reason)
            self._failing = True
            return False

    def _differ(self) -> bool:
        looked, before = _look(self._files()), self._looked
        self._looked = looked
        self._failing = False
        if looked != before or looked == self._read:
            return False
        known = self._contents
        self._note(looked)
        return self._contents != known

    def _note(self, looked: Looks) -> None:
        self._contents = _contents(looked)
        newest = max((changed for changed, _, _ in looked.values()), default=0)
        is_young = abs(time.time() - newest / 1e9) < _YOUNG
        self._read = None if is_young else looked


def _look(files: Iterable[Path]) -> Looks:
    found = {}
    for path in files:
        try:
            stat = path.stat()
        except FileNotFoundError:
            continue
        found[path] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
    return found


def _contents(files: Iterable[Path]) -> str:
    whole = hashlib.sha256()
    for path in files:
        whole.update(f"{path}\0".encode(errors="surrogateescape"))
        try:
            with path.open("rb") as file:
                whole.update(hashlib.file_digest(file, "sha256").digest())
        except FileNotFoundError:
            continue
    return whole.hexdigest()
