"""What a device gets for one query: final status and list, or the failure in its stead.

Unlike `explain` it needs no database: the steps may be stored, at hand, or both sides of a comparison's own.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from mwl.dicom import answering, status
from mwl.dicom.answering import Asked, Question
from mwl.dicom.matching import BadIdentifier
from mwl.dicom.service import C_FIND_RQ
from mwl.errors import MwlError
from mwl.mapping import paths
from mwl.mapping.devices.device import DeviceProfile, Facts
from mwl.mapping.trace import Note, Recorder
from mwl.model import StepRef, WorklistItem
from mwl.query import WorklistQuery
from mwl.store import Transaction, steps
from mwl.workbench.keys import DEVICE, Key, asked_keys
from mwl.workbench.responses import Response, response_to


class Steps(Protocol):
    """Where scheduled steps come from."""

    def match(self, query: WorklistQuery) -> list[StepRef]:
        """Return what satisfies *query*, as `mwl.store.steps.match` does."""

    def load(self, refs: Sequence[StepRef]) -> list[WorklistItem]:
        """Return the steps of *refs*, in their order; one that is gone is left out."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The steps in the database."""

    tx: Transaction

    def match(self, query: WorklistQuery) -> list[StepRef]:
        """Return what satisfies *query*."""
        return steps.match(self.tx, query)

    def load(self, refs: Sequence[StepRef]) -> list[WorklistItem]:
        """Return the steps of *refs*."""
        return steps.load(self.tx, refs)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a step is not sent: in words, with the attribute and the line of a profile where there is one."""

    text: str
    path: str = ""
    origin: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.text}" if self.path else self.text


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a query by one profile; *asked* is None where the query failed, *comment* says why."""

    profile: DeviceProfile
    status: int
    comment: str = ""
    asked: Asked | None = None
    keys: tuple[Key, ...] = ()  # what is asked of a step, and by whom
    overflow: bool = False  # more matched than the profile's limit
    responses: tuple[Response, ...] = ()  # sent or not, in the order of the list

    @property
    def sent(self) -> list[Response]:
        """What the device gets, in the order of the list."""
        return [each for each in self.responses if each.composed]

    @property
    def pending(self) -> int:
        """The status of each item that is sent."""
        return self.asked.pending if self.asked else status.PENDING


def outcome(
    steps: Steps,
    question: Question,
    profile: DeviceProfile,
    facts: Facts,
    zone: dt.tzinfo,
    pause: Callable[[], None] = lambda: None,
) -> Outcome:
    """Return what a device gets for *question*; a failure that the service answers is an outcome, too.

    *pause* is called after each item.  Raises `Unavailable`.
    """
    recorder = Recorder()
    try:
        asked = answering.read(question, profile, facts, zone, recorder)
    except BadIdentifier as error:
        comment = f"{paths.keyword(error.tag)}: {error}"
        return Outcome(profile, status.IDENTIFIER_DOES_NOT_MATCH, comment)
    except MwlError as error:
        return Outcome(profile, status.of(error, C_FIND_RQ).status, str(error))
    found = steps.match(asked.query)
    refs = found[: asked.query.limit]
    listing = answering.listed(asked, steps.load(refs), more=len(found) > len(refs))
    responses = []
    for entry in listing.entries:
        responses.append(response_to(asked, entry))
        pause()
    refused = listing.overflow and profile.limit.overflow == "status_a700"
    code = status.OUT_OF_RESOURCES if refused else status.SUCCESS
    keys = asked_keys(asked, recorder.notes)
    return Outcome(profile, code, "", asked, tuple(keys), listing.overflow, tuple(responses))


def why_not(outcome: Outcome, item: WorklistItem) -> Reason | None:
    """Return why *item* is not sent; None where it is, or where nothing is known against it."""
    if outcome.asked is None:
        return Reason(f"the query fails: {outcome.comment}")
    own = next((each for each in outcome.responses if item.ref.key in each.steps), None)
    if own is not None:
        return None if own.composed else Reason(own.reason, own.path, own.origin)
    if item.held:
        return Reason("its order is on hold")
    for key in outcome.keys:
        if not key.fits(item):
            text = f"wants {key.wanted}, finds {key.found(item) or 'nothing'}"
            return Reason(text, key.name, "" if key.origin == DEVICE else key.origin)
    if outcome.overflow:
        line = outcome.profile.written.origin("limit", "max")
        return Reason(f"beyond the limit of {outcome.profile.limit.max}", "", line)
    return None


def touching(notes: Iterable[Note], path: str) -> Iterator[Note]:
    """Yield the notes on the attribute at *path*, on something inside it, or around it."""
    for note in notes:
        if f"{note.path}.".startswith(f"{path}.") or f"{path}.".startswith(f"{note.path}."):
            yield note
