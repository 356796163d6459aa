"""The sets of profiles that went into use, put on record with the site's files as they were.

The folder is read before the profiles are bound and after: a set is recorded with the files it was
really made of.  That a set could not be recorded keeps nobody from using it.

Several brokers on one database hear of one another's sets by the record: what one was told to read
again, all do.  A broker whose files say the same as before leaves it at that, and records nothing:
else two with other files would answer one another for ever.
"""

from __future__ import annotations

import asyncio
import getpass
import logging
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mwl.broker.profiles import Profiles, bind
from mwl.config import Configuration
from mwl.errors import MwlError
from mwl.logs import event
from mwl.mapping.loader import digest
from mwl.store import Store, profile_sets
from mwl.store.profile_sets import SiteFile

logger = logging.getLogger(__name__)

PATTERNS = ("devices/*.yaml", "systems/*.yaml", "tables/**/*.csv", "tables/**/*.yaml")
"""What of a site's folder profiles are made of."""

ELSEWHERE: Final = "another broker"
"""Why files are read again because another broker took a set into use."""

EVERY = 5.0
"""Seconds between two looks at what others took into use."""

_READ_AGAIN = 3  # times, while somebody writes


@dataclass(frozen=True, slots=True)
class Taken:
    """A set that can be used, and the site's files it was made of."""

    profiles: Profiles
    files: Mapping[str, SiteFile]

    @property
    def digest(self) -> str:
        """What two sets have in common that are the same to the last comment, with the same shipped ones."""
        return set_digest(self.profiles, self.files)


def set_digest(profiles: Profiles, files: Mapping[str, SiteFile]) -> str:
    """Return the fingerprint of a set and of the site's files it is made of."""
    return digest([profiles.digest, files_digest(files)])


def files_digest(files: Mapping[str, SiteFile]) -> str:
    """Return the fingerprint of files alone: they may be no set."""
    return digest({name: file.sha256 for name, file in files.items()})


def site_paths(folder: Path) -> dict[str, Path]:
    """Return the files of a site's folder that count, by their paths in it."""
    found = (path for pattern in PATTERNS for path in folder.glob(pattern))
    return {path.relative_to(folder).as_posix(): path for path in sorted(found)}


def site_files(folder: Path) -> dict[str, SiteFile]:
    """Return what the files of a site's folder hold; one that goes away meanwhile is left out."""
    read: dict[str, SiteFile] = {}
    for name, path in site_paths(folder).items():
        try:
            read[name] = SiteFile.of(path.read_bytes())
        except OSError:
            continue
    return read


def take(configuration: Configuration) -> Taken:
    """Bind the profiles of *configuration*; raise `BadDocument`."""
    files = site_files(configuration.mappings)
    for _ in range(_READ_AGAIN):
        profiles, before = bind(configuration), files
        files = site_files(configuration.mappings)
        if files == before:
            break
    return Taken(profiles, files)


def whoever() -> str:
    """Return who does something here: user, host and process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # in a container, an account without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}:{os.getpid()}"


class History:
    """A part of the broker: puts on record what went into use, beside its work."""

    def __init__(self, store: Store, every: float = EVERY) -> None:
        self._store, self._every = store, every
        self._last: asyncio.Task[None] | None = None
        self._digest = ""  # of the set in use
        self._seen = 0  # the last set on record that was looked at

    def note(self, taken: Taken, reason: str) -> None:
        """Put a set on record that is in use from now on; returns at once."""
        same, self._digest = taken.digest == self._digest, taken.digest
        if same and reason == ELSEWHERE:
            return
        self._last = asyncio.create_task(self._record(taken, reason, self._last), name="history")

    async def elsewhere(self) -> None:
        """Return when another broker has taken a set into use that is not the one in use here."""
        strange = 0
        while True:
            await asyncio.sleep(self._every)
            try:
                latest = await self._store.read(profile_sets.newest)
            except MwlError:
                continue
            if latest is None or latest.key == self._seen:
                continue
            if latest.digest == self._digest:
                self._seen = latest.key
            elif latest.key == strange:
                self._seen = latest.key
                return
            else:  # it may be about to be taken into use here as well: two looks have to agree
                strange = latest.key

    async def start(self) -> None:
        """Do nothing: what is noted is recorded."""

    async def stop(self) -> None:
        """Wait until what was noted is on record."""
        if self._last is not None:
            await self._last

    async def _record(self, taken: Taken, reason: str, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await before  # in the order in which they went into use
        who = whoever()
        try:
            await self._store.write(
                lambda tx: profile_sets.record(tx, taken.digest, taken.files, who=who, reason=reason)
            )
        except MwlError as error:
            event(logger, logging.WARNING, "profile set not recorded", reason=str(error))
        except Exception:  # a set is used, on record or not
            logger.exception("profile set not recorded")
