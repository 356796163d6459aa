"""What an experienced engineer would say beside the facts: hints, each on a condition that holds here.

They follow the checklist of empty worklists: most are about what lies outside the broker, the clock of a
device, the wrong SOP class, a list that is filtered after the download.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from mwl.dicom import status
from mwl.dicom.encoding import Undecodable
from mwl.dicom.worklist import WORKLIST_FIND
from mwl.mapping import paths
from mwl.model import STEP_SEQUENCE, text
from mwl.model import items as items_of
from mwl.query import START_DATE
from mwl.store.associations import AssociationRecord
from mwl.workbench import observed, samples
from mwl.workbench.explain import Explanation, Told

_QUERY_RETRIEVE = "1.2.840.10008.5.1.4.1.2."
"""What the SOP classes of Query/Retrieve begin with (PS3.4 C.3)."""

_KEPT = {
    "truncate": "the first of them are sent",
    "nearest_now": "those nearest to now are sent",
    "notice_item": "those nearest to now are sent, and a line that says so",
    "status_a700": "the first of them are sent, and then status A700",
}
"""What becomes of a list that is too long, by `limit.overflow`."""

_SLOW = 5_000_000  # microseconds; consoles give up after 30 s, and people before that

_WRONG_CLOCK = 31  # days; what is farther away is asked for on purpose


class HintKind(StrEnum):
    """What a hint is about."""

    CLOCK = "clock"  # the device's date (F19)
    OLD_QUERY = "old query"  # it was asked on another day
    WRONG_CLASS = "wrong class"  # Query/Retrieve in the worklist's place (F09)
    MESSAGE_ID = "message id"  # the request came without (F52)
    PROFILE_CHANGED = "profile changed"  # since the broker answered
    CHARACTER_SET = "character set"  # its text is not in the one it declares (F43)
    LOCAL_FILTER = "local filter"  # the device filters what it got (F13)
    WARNING_STATUS = "warning status"  # FF01, which some consoles take for a failure
    UNSUPPORTED_KEYS = "unsupported keys"  # keys that are not matched
    OLD_LIST = "old list"  # the broker itself may have sent one again (P33)
    LIMIT = "limit"  # more match than are sent
    HELD = "held"  # matching steps of orders on hold
    MODALITY = "modality"  # what is on today under another modality
    SLOW = "slow"  # the answer took longer than some consoles wait
    ALIKE = "alike"  # a caller that was refused may be this device


@dataclass(frozen=True, slots=True)
class Hint:
    """One hint."""

    kind: HintKind
    text: str


def hints(explanation: Explanation) -> list[Hint]:
    """Return the hints that apply."""
    found = [*_about_caller(explanation), *_about_time(explanation)]
    if explanation.told:
        found += [*_about_label(explanation), *_about_profile(explanation), *_about_list(explanation.told)]
    return found


def _about_caller(explanation: Explanation) -> Iterator[Hint]:
    peer = explanation.peer
    records = [each.association for each in peer.refusals] + ([peer.last.association] if peer.last else [])
    if any(map(_asks_wrongly, records)):
        text_ = (
            "it proposed Query/Retrieve FIND and no Modality Worklist: "
            "the worklist is set up as an archive in the device"
        )
        yield Hint(HintKind.WRONG_CLASS, text_)
    if peer.last and peer.last.association.missing_message_id:
        yield Hint(
            HintKind.MESSAGE_ID, "its requests have no Message ID (0000,0110); accept.missing_message_id"
        )
    if peer.last and peer.last.microseconds > _SLOW:
        yield Hint(HintKind.SLOW, f"its last answer took {peer.last.microseconds / 1e6:.1f} s")
    for each in peer.alike if explanation.device is None or peer.last is None else ():
        text_ = f"{each.calling_ae} from {each.address} was refused {each.count} times: {each.reason}"
        yield Hint(HintKind.ALIKE, f"{text_}; is that the device?")


def _asks_wrongly(association: AssociationRecord) -> bool:
    proposed = [each.abstract_syntax for each in association.contexts]
    queries = any(uid.startswith(_QUERY_RETRIEVE) for uid in proposed)
    return queries and WORKLIST_FIND not in proposed and not association.more


def _about_time(explanation: Explanation) -> Iterator[Hint]:
    if explanation.told is None:
        return
    today = explanation.facts.now.date()
    captured = explanation.captured
    if captured is not None:
        asked_at = dt.datetime.fromisoformat(captured.last_at).astimezone(explanation.facts.now.tzinfo)
        if asked_at.date() != today:
            text_ = f"the query is of {asked_at:%Y-%m-%d %H:%M}; it is explained on the steps of now"
            yield Hint(HintKind.OLD_QUERY, text_)
        today = asked_at.date()
    window = _window(explanation.told)
    if window is not None and (days := _off(window, today)):
        yield Hint(HintKind.CLOCK, _clock(days, captured=captured is not None))


def _window(told: Told) -> tuple[str, str] | None:
    """Return the days that the device itself asks for, not what its profile made of them; "" is open."""
    step = next(items_of(told.asked.requested, STEP_SEQUENCE), {})
    key = text(step, START_DATE[-1]).replace(".", "").strip()
    low, dash, high = (part.strip() for part in key.partition("-"))
    return (low, high if dash else low) if key else None


def _off(window: tuple[str, str], today: dt.date) -> int:
    """Return by how many days the window ends before today (negative) or begins after it, else 0."""
    low, high = (_day(bound) for bound in window)
    if high is not None and high < today:
        return (high - today).days
    return (low - today).days if low is not None and low > today else 0


def _day(text_: str) -> dt.date | None:
    try:
        return dt.datetime.strptime(text_[:8], "%Y%m%d").replace(tzinfo=dt.UTC).date()
    except ValueError:
        return None


def _clock(days: int, *, captured: bool) -> str:
    distance = f"{abs(days)} day{'s' if abs(days) != 1 else ''}"
    if captured and abs(days) <= _WRONG_CLOCK:
        off = f"{distance} {'behind' if days < 0 else 'ahead'}"
        return f"device date is {off}: look at its clock, or at the day chosen on its console"
    return f"the day asked for is {distance} {'before' if days < 0 else 'after'} today"


def _about_label(explanation: Explanation) -> Iterator[Hint]:
    device, captured = explanation.device, explanation.captured
    if captured is None or device is None or device.profile.relabelling is not None:
        return
    try:
        keys, looks = samples.decoded(captured.identifier, captured.transfer_syntax)
    except Undecodable:
        return
    if looks:
        stated = observed.label(keys) or "none"
        text_ = (
            f"the text of its keys cannot be in the character set it declares ({stated}); "
            f"it looks like {looks}: accept.charset_label"
        )
        yield Hint(HintKind.CHARACTER_SET, text_)


def _about_profile(explanation: Explanation) -> Iterator[Hint]:
    device, told, captured = explanation.device, explanation.told, explanation.captured
    if device is None or told is None:
        return
    if captured and captured.profile_digest and captured.profile_digest != device.profile.digest:
        was = f" ({captured.profile})" if captured.profile != device.profile.name else ""
        text_ = f"the profile is not the one the broker answered with{was}: files or settings have changed"
        yield Hint(HintKind.PROFILE_CHANGED, text_)
    session = device.profile.session
    if session.keeps_lists:
        stated = {"session.on_error": session.on_error == "stale", "session.min_poll": session.min_poll}
        lines = [line for line, says_so in stated.items() if says_so]
        text_ = f"by {' and '.join(lines)} the broker may send a list again that it sent before"
        yield Hint(HintKind.OLD_LIST, text_)
    if told.sent and device.profile.local_filter:
        text_ = f"{len(told.sent)} sent; this device may filter them itself: look for a local filter on it"
        yield Hint(HintKind.LOCAL_FILTER, text_)


def beyond(told: Told) -> str:
    """Return what becomes of a list that is longer than the profile's limit."""
    limit = told.asked.profile.limit
    return f"more than {limit.max} match, the limit: {_KEPT[limit.overflow]}"


def _about_list(told: Told) -> Iterator[Hint]:
    if told.asked.pending == status.PENDING_WARNING:
        text_ = "every item is sent with FF01, which some consoles take for a failure: session.pending: FF00"
        yield Hint(HintKind.WARNING_STATUS, text_)
    if told.asked.understood.unsupported:
        names = ", ".join(paths.show(path) for path in told.asked.understood.unsupported)
        yield Hint(HintKind.UNSUPPORTED_KEYS, f"not matched on: {names}; no worklist has to")
    if told.overflow:
        yield Hint(HintKind.LIMIT, beyond(told))
    if told.funnel.held.number:
        count = told.funnel.held
        text_ = f"{count.number}{' or more' if count.at_least else ''} match, and are on hold by their orders"
        yield Hint(HintKind.HELD, text_)
    if told.funnel.modalities_today:
        found = ", ".join(f"{each.value or 'none'} ({each.steps})" for each in told.funnel.modalities_today)
        yield Hint(HintKind.MODALITY, f"modalities of today's steps: {found}")
