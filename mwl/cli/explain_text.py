"""An explanation in sentences: what a colleague would say first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mwl.cli import times
from mwl.cli.hl7_view import short
from mwl.model import text
from mwl.workbench.explain import Failure
from mwl.workbench.hints import beyond
from mwl.workbench.keys import DEVICE
from mwl.workbench.verdict import Miss, Verdict, hides

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from mwl.model import WorklistItem
    from mwl.store.funnel import Count
    from mwl.store.journal import Entry
    from mwl.store.steps import HistoryEntry
    from mwl.workbench.explain import Explanation, Told
    from mwl.workbench.funnel import Loosened
    from mwl.workbench.keys import Key
    from mwl.workbench.responses import Response
    from mwl.workbench.verdict import Fate
    from mwl.workbench.whereabouts import Whereabouts

_REFUSED = frozenset({"AE", "AR"})
_NOTHING = "none"


def at(origin: str) -> str:
    """Return a line of a file as one names it: what is not below the working directory by its name alone."""
    near = short(origin)
    return Path(near).name if Path(near).is_absolute() else near


def counted(count: Count) -> str:
    """Return a count: what was not counted to its end is "or more"."""
    return f"{count.number:,}{' or more' if count.at_least else ''}"


def value(found: str) -> str:
    """Return a value as one says it; nothing is "none"."""
    return found or _NOTHING


def by(key: Key) -> str:
    """Return who set a key."""
    if key.origin == DEVICE:
        return "the device"
    return f"{key.operation or ('hide_status' if hides(key) else 'filter')}, {at(key.origin)}"


def conclusion(explanation: Explanation, zone: ZoneInfo) -> Iterator[str]:
    """Yield what it comes to: of the steps named, or of the list."""
    if explanation.whereabouts is not None:
        for fate in explanation.fates:
            yield of_step(fate, explanation, zone)
        yield from of_order(explanation.whereabouts, zone)
    else:
        yield of_list(explanation)


def of_list(explanation: Explanation) -> str:
    """Return what the device gets."""
    ae, told = explanation.peer.ae, explanation.result
    if isinstance(told, Failure):
        return _failed(ae, told)
    sent, matching = len(told.sent), told.funnel.matching
    if sent:
        more = f" of {counted(matching)} that match" if matching.number != sent or matching.at_least else ""
        return f"{ae} is sent {sent:,}{more}."
    if told.responses:
        return f"{ae} is sent nothing: {counted(matching)} match, and every one is left out."
    loosened = next(iter(told.funnel.loosened), None)
    if not told.funnel.on_record.number:
        return f"{ae} is sent nothing: there is no step on record."
    if loosened is None:
        return f"{ae} is sent nothing: 0 of {counted(told.funnel.on_record)} steps match."
    return f"{ae} is sent nothing: 0 match; {'; '.join(map(if_loosened, told.funnel.loosened))}."


def _failed(ae: str, failure: Failure) -> str:
    if failure.status is None:
        return f"{ae} gets no list: {failure.text}."
    where = f" ({failure.attribute})" if failure.attribute else ""
    return f"{ae} gets no list: its query is refused with {failure.status:04X}, {failure.text}{where}."


def if_loosened(loosened: Loosened) -> str:
    """Return what would match: "14 if SPS.ScheduledStationAETitle is ignored"."""
    names = " and ".join(key.name for key in loosened.keys)
    if loosened.wider:
        days = f"{loosened.wider} day{'s' if loosened.wider > 1 else ''}"
        return f"{counted(loosened.count)} if the date window is widened by {days}"
    return f"{counted(loosened.count)} if {names} {'are' if len(loosened.keys) > 1 else 'is'} ignored"


def named(item: WorklistItem) -> str:
    """Return a step as one calls it."""
    start = " ".join(filter(None, (text(item.step, "00400002"), text(item.step, "00400003"))))
    parts = (text(item.procedure, "00080050"), text(item.step, "00080060"), start)
    return f"Step {item.ref.key} ({', '.join(filter(None, parts))})"


def of_step(fate: Fate, explanation: Explanation, zone: ZoneInfo) -> str:
    """Return what became of one step, and why."""
    ae, what = explanation.peer.ae, named(fate.item)
    match fate.verdict:
        case Verdict.SENT | Verdict.JOINED:
            return f"{what} is sent to {ae}{_place(fate, explanation)}."
        case Verdict.CANCELLED:
            return f"{what} is not sent: its order is cancelled{_when(fate, zone)}.{_besides(fate)}"
        case Verdict.HIDDEN:
            return f"{what} is hidden: it is {_state(fate)}{_when(fate, zone)}.{_besides(fate)}"
        case Verdict.HELD:
            return f"{what} is not sent: its order is on hold{_when(fate, zone)}.{_besides(fate)}"
        case Verdict.NOT_MATCHED | Verdict.FILTERED:
            return f"{what} is not sent: {_why_not(fate.misses)}."
        case Verdict.WITHHELD if fate.response:
            return f"{what} is withheld: {withheld(fate.response)}."
        case Verdict.BEYOND_LIMIT if explanation.told:
            return f"{what} matches and is not sent: {_beyond(explanation.told)}."
    return f"{what} is on record. {of_list(explanation)}"


def of_order(whereabouts: Whereabouts, zone: ZoneInfo) -> Iterator[str]:
    """Yield what the journal says of an order that has no step, and whose a patient ID is."""
    sought = whereabouts.sought
    for each in whereabouts.patients:
        if each.merged_into:
            yield f"The patient {each.patient_id} was merged into {each.merged_into.patient_id}."
        elif not whereabouts.items:
            yield f"The patient {each.patient_id} is on record, and has no such step."
    if whereabouts.more:
        yield f"There are more steps than these {len(whereabouts.items)}."
    if whereabouts.items:
        return
    if sought.step is not None:
        yield f"There is no step {sought.step}."
        return
    number = f"accession number {sought.accession}" if sought.accession else f"patient {sought.patient}"
    refused = [each for each in whereabouts.messages if each.outcome in _REFUSED]
    if refused:
        yield from (_refusal(each, zone) for each in refused)
    elif whereabouts.messages:
        yield f"No step is on record, though {len(whereabouts.messages)} messages hold the {number}:"
        yield from (_message(each, zone) for each in whereabouts.messages)
    else:
        yield (
            f"No message on record holds the {number}: the order never arrived under it, "
            "or longer ago than messages are kept."
        )


def _refusal(entry: Entry, zone: ZoneInfo) -> str:
    why = "; ".join(said.partition(": ")[2] for said in entry.error.splitlines() if said.startswith("error"))
    return f"The order was refused: {_message(entry, zone)}{f', {why}' if why else ''}."


def _message(entry: Entry, zone: ZoneInfo) -> str:
    what = f"message {entry.key}, {entry.kind} of {times.shown(entry.last_at, zone)}"
    return f"{what} from {entry.system or entry.peer or 'nobody configured'}, answered {entry.outcome}"


def _place(fate: Fate, explanation: Explanation) -> str:
    told = explanation.told
    if told is None or fate.response is None:
        return ""
    sent, lead = told.sent, fate.response.steps[0]
    number = next(n for n, each in enumerate(sent, 1) if each is fate.response)
    line = "" if fate.item.ref.key == lead else f" in one line with step {lead}"
    return f"{line}, entry {number} of {len(sent)}"


def _state(fate: Fate) -> str:
    return text(fate.item.step, "00400020") or "without a status"


def _when(fate: Fate, zone: ZoneInfo) -> str:
    """Return when, and by whom, the step came to be as it is."""
    if not fate.history:
        return ""
    last = fate.history[-1]
    return f" since {times.shown(last.at, zone)}, by {last.source}" + (
        f" ({last.reason})" if last.reason else ""
    )


def _besides(fate: Fate) -> str:
    """Return which line hides the step, and what would keep it away besides."""
    hiding = [miss for miss in fate.misses if hides(miss.key)]
    others = [miss for miss in fate.misses if not hides(miss.key)]
    lines = "".join(f" Hidden by {by(miss.key)}." for miss in hiding)
    return f"{lines} Besides, {_why_not(others)}." if others else lines


def _why_not(misses: Sequence[Miss]) -> str:
    return "; ".join(f"{_asks(miss)}, and the step has {value(miss.found)}" for miss in misses)


def _asks(miss: Miss) -> str:
    key = miss.key
    if key.origin == DEVICE:
        return f"the device asks for {key.name} {key.wanted}"
    return f"the profile ({by(key)}) asks for {key.name} {key.wanted}"


def withheld(response: Response) -> str:
    """Return why an entry is not sent, and by which line."""
    where = f" ({at(response.origin)})" if response.origin else ""
    return f"{response.path}: {response.reason}{where}" if response.path else f"{response.reason}{where}"


def _beyond(told: Told) -> str:
    line = at(told.asked.profile.written.origin("limit", "max"))
    return f"{counted(told.funnel.matching)} match; {beyond(told)} ({line})"


def history_line(entry: HistoryEntry, zone: ZoneInfo) -> tuple[str, ...]:
    """Return what happened to a step, for a table."""
    moved = entry.after if entry.before in ("", entry.after) else f"{entry.before} to {entry.after}"
    return times.shown(entry.at, zone), entry.event, moved, entry.source, entry.reason
