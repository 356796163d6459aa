"""What a console makes of an answer, match by match; no network is needed for it."""

from __future__ import annotations

from collections.abc import Iterable

from mwl.dicom.emulators import catalogue
from mwl.dicom.emulators.description import Device, Judge, OnBad
from mwl.dicom.emulators.outcome import Seen
from mwl.mapping import paths
from mwl.mapping.elements import texts
from mwl.model import Document


def look(device: Device | str, items: Iterable[Document], *, on_bad: OnBad | str | None = None) -> Seen:
    """Return what the console of *device* would make of *items*, had they come as an answer."""
    played = catalogue.device(device)
    judge, seen = played.judge, Seen(played.name, "", {})
    mode = judge.on_bad if on_bad is None else OnBad(on_bad)
    for item in items:
        if take(judge, item, seen) and mode is OnBad.ABORT:
            seen.error = judge.aborted
            break
    settle(judge, seen)
    return seen


def take(judge: Judge, item: Document, seen: Seen, *, unreadable: str = "") -> bool:
    """Add one match to what is *seen*; return whether it is refused.

    *unreadable* says why *item* could not be read, where it could not.
    """
    reasons = [unreadable] if unreadable else [reason for rule in judge.refuses for reason in rule(item)]
    seen.received.append(item)
    if reasons:
        seen.not_shown.append((item, "; ".join(reasons)))
    else:
        seen.shown.append(item)
        seen.remarks += [(item, remark) for rule in judge.remarks for remark in rule(item)]
    return bool(reasons)


def settle(judge: Judge, seen: Seen) -> None:
    """Do what the console does when the answer has ended."""
    if judge.last_of:
        _keep_last(judge.last_of, seen)
    if judge.empty and not seen.shown and not seen.error:
        seen.log.append(f"the console says: {judge.empty}")


def _keep_last(name: str, seen: Seen) -> None:
    """Show one item of those that share a value: the last (F28, F29)."""
    path = paths.parse_path(name)
    last = {value: item for item in seen.shown for value in texts(paths.get(item, path))[:1]}
    shown, seen.shown = seen.shown, []
    for item in shown:
        value = texts(paths.get(item, path))[:1]
        if value and last[value[0]] is not item:
            seen.not_shown.append((item, f"a later entry has the same {name}"))
        else:
            seen.shown.append(item)
