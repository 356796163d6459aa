"""An explanation for people: the conclusion first, then what it rests on, each with the line behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mwl.cli import times
from mwl.cli.explain_text import (
    at,
    by,
    conclusion,
    counted,
    history_line,
    if_loosened,
    value,
    withheld,
)
from mwl.cli.hl7_view import INDENT, short, shown
from mwl.cli.output import aligned, heading, printable
from mwl.config import shipped
from mwl.workbench import provenance
from mwl.workbench.hints import hints
from mwl.workbench.keys import asked_values
from mwl.workbench.verdict import Verdict

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from mwl.mapping.trace import Note
    from mwl.workbench.explain import Doubt, Explanation, Told
    from mwl.workbench.funnel import Funnel, Loosened, Newcomer
    from mwl.workbench.responses import Response
    from mwl.workbench.verdict import Fate

_WIDE = 60  # characters of what a key wants; a device may ask for 400 UIDs
_DETAILED = 3  # steps named whose history and values are printed; JSON has all
_LISTED = 10  # entries that are named in a list for people; JSON has all


def print_explanation(explanation: Explanation, zone: ZoneInfo) -> None:
    """Print why a device is, or is not, sent a step."""
    for line in conclusion(explanation, zone):
        heading(printable(line))
    _section("hints", [f"- {hint.text}" for hint in hints(explanation)])
    if len(explanation.fates) <= _DETAILED:
        for fate in explanation.fates:
            _print_fate(fate, zone)
    else:
        click.echo("(--step KEY tells the history and the values of one)")
    _table("device", _device(explanation, zone))
    told = explanation.told
    if told is None:
        return
    listed = explanation.whereabouts is None
    # Of a step that is sent, or that nobody ordered, the keys say nothing.
    if listed or any(fate.verdict is not Verdict.SENT for fate in explanation.fates):
        _table("keys", _keys(told))
        _table("tolerated", [_note(note) for note in told.tolerated])
        _table("steps left after each key", _funnel(told.funnel))
        _print_near(told.funnel)
    if listed:
        _print_list(told)


def _section(title: str, lines: Iterable[str]) -> None:
    found = list(lines)
    if found:
        heading(f"\n{title}")
    for line in found:
        click.echo(INDENT + printable(line))


def _table(title: str, rows: Iterable[Sequence[object]]) -> None:
    found = list(rows)
    _section(title, aligned(found) if found else ())


# ── who asks, and what ──


def _device(explanation: Explanation, zone: ZoneInfo) -> Iterator[tuple[str, str]]:
    device, peer = explanation.device, explanation.peer
    if device is not None:
        profile = device.profile
        yield "entry", f"devices.{device.label} ({short(device.written)})"
        yield "profile", f"{profile.name} ({profile.status})"
        if device.recognised:
            yield "", f"chosen for this query by its match ({short(device.recognised)})"
        for name, file in device.files:
            yield "", f"{name}: {_file(file)}"
        for note in profile.notes:
            yield "note", note
    if last := peer.last:
        who = f"from {last.address}, {last.implementation_version or last.implementation_uid}".rstrip(", ")
        got = f"{last.sent} of {last.matched} sent, status {last.status or 'none: it went away'}"
        yield (
            "last query",
            f"{times.shown(last.last_at, zone)} {who}: {got} (number {last.key}, {last.count}x)",
        )
    else:
        yield "last query", "none on record"
    for each in peer.refusals:
        yield (
            "refused",
            f"{times.shown(each.last_seen, zone)} from {each.address}: {each.reason} ({each.count}x)",
        )


def _file(name: str) -> str:
    """Return a profile's file as one names it: from the working directory, or among what is shipped."""
    folder = shipped("mappings")
    path = Path(name)
    return f"{path.relative_to(folder)}, as shipped" if path.is_relative_to(folder) else short(name)


def _keys(told: Told) -> Iterator[tuple[str, ...]]:
    """Yield the keys with a value, as sent and as matched, and what rewrote them."""
    sent, matched = asked_values(told.asked.keys), asked_values(told.asked.matched)
    changed = {note.path: note for note in (*told.tolerated, *told.rewritten)}
    for name in {**sent, **matched}:
        note = changed.get(name)
        who = f"{note.operation}, {at(note.origin)}" if note else ""
        before, after = sent.get(name, "not sent"), matched.get(name, "not matched")
        yield name, before, "" if before == after else f"becomes {after}", who
    universal = sum(1 for _ in provenance.values(told.asked.requested)) - len(sent)
    if universal > 0:
        yield f"and {universal} without a value", "", "", ""


def _note(note: Note) -> tuple[str, ...]:
    before, after = shown(note.before) or "nothing", shown(note.after) or "no value"
    return note.path, f"{before} becomes {after}", f"{note.operation}, {at(note.origin)}"


# ── what matches ──


def _funnel(funnel: Funnel) -> Iterator[tuple[str, ...]]:
    yield _right(counted(funnel.on_record)), "on record", "", ""
    for left in funnel.left:
        yield _right(counted(left.count)), left.key.name, _cut(left.key.wanted), by(left.key)


def _cut(wanted: str) -> str:
    return wanted if len(wanted) <= _WIDE else f"{wanted[:_WIDE]}..."


def _right(number: str) -> str:
    return f"{number:>7}"


def _print_near(funnel: Funnel) -> None:
    lines = [if_loosened(each) + _instead(each) for each in funnel.loosened]
    _section(f"{counted(funnel.matching)} match", lines)
    fit = "newest of those that match but for the day"
    title = fit if funnel.newest_fit else "newest on record; none matches, whatever the day"
    _table(title, map(_newcomer, funnel.newest))


def _instead(loosened: Loosened) -> str:
    """Return what those steps have in the place of what is asked for."""
    found = [", ".join(f"{value(each.value)} ({each.steps})" for each in values) for values in loosened.found]
    if len(found) < 2:
        return "".join(f": they have {each}" for each in found)
    return ": they have " + "; ".join(
        f"{key.name} {each}" for key, each in zip(loosened.keys, found, strict=True)
    )


def _newcomer(each: Newcomer) -> tuple[str, ...]:
    if each.days is None:
        distance = ""
    elif each.days == 0:
        distance = "inside the window"
    else:
        days = f"{abs(each.days)} day{'s' if abs(each.days) > 1 else ''}"
        distance = f"{days} {'before' if each.days < 0 else 'after'} the window"
    return f"step {each.step}", each.accession, each.start or "no start", distance


# ── what is sent ──


def _print_list(told: Told) -> None:
    out = [f"step {'+'.join(map(str, each.steps))}: {withheld(each)}" for each in told.withheld]
    _section("withheld", [*out[:_LISTED], *_more(out)])
    filtered = Counter(at(each.origin) for each in told.responses if each.intended)
    _section("left out on purpose", [f"{number} by {where}" for where, number in filtered.items()])
    _section(
        "lines of the list", [f"{each.text} ({each.operation}, {at(each.origin)})" for each in told.arranged]
    )
    doubts = [_doubt(each) for each in told.doubts]
    _section("in doubt", [*doubts[:_LISTED], *_more(doubts)])
    if told.sent:
        _table(f"changed by the profile in {len(told.sent)} sent", _changes(told.sent))
        _section("character set", _charsets(told.sent))


def _doubt(doubt: Doubt) -> str:
    report = doubt.report
    where = "the list" if doubt.entry is None else f"entry {doubt.entry + 1}"
    what = ": ".join(filter(None, (where, report.path, report.message)))
    return f"{what} ({report.operation}, {at(report.origin)})"


def _more(lines: Sequence[str]) -> list[str]:
    return [f"and {len(lines) - _LISTED} more"] if len(lines) > _LISTED else []


def _charsets(sent: Sequence[Response]) -> Iterator[str]:
    """Yield what the entries are written in, and why."""
    found: Counter[str] = Counter()
    for each in sent:
        why, where = provenance.charset(each.notes)
        label = str(each.composed.charset) if each.composed else ""
        found[f"{why.partition('; ')[0]} ({at(where)})" if why else label] += 1
    yield from (f"{number}x {label}" for label, number in found.items())


def _changes(sent: Sequence[Response]) -> Iterator[tuple[str, ...]]:
    """Yield what each line of the profile did, how often, and the first of it."""
    counts: Counter[tuple[str, str, str]] = Counter()
    first: dict[tuple[str, str, str], Note] = {}
    for each in sent:
        for note in provenance.changing(each.notes):
            place = (note.path, note.operation, note.origin)
            counts[place] += 1
            first.setdefault(place, note)
    for (path, operation, origin), number in counts.items():
        note = first[path, operation, origin]
        what = f"{shown(note.before) or 'nothing'} becomes {shown(note.after) or 'no value'}"
        yield path, f"{number}x", what, f"{operation}, {at(origin)}"


# ── one step ──


def _print_fate(fate: Fate, zone: ZoneInfo) -> None:
    title = f"step {fate.item.ref.key}"
    if fate.verdict in (Verdict.CANCELLED, Verdict.HIDDEN, Verdict.HELD, Verdict.NOT_ANSWERED):
        _table(f"{title}: history", [history_line(entry, zone) for entry in fate.history])
    if fate.links.messages:
        rows = [
            (
                f"message {each.key}",
                times.shown(each.received_at, zone),
                each.kind,
                each.control_id,
                each.outcome,
            )
            for each in fate.links.messages
        ]
        _table(f"{title}: messages", rows)
    response = fate.response
    if response is not None and response.composed is not None:
        values = provenance.returned(response.item, response.composed.document, response.notes)
        rows_ = [(each.name, shown(each.element), *_source(each)) for each in values]
        _table(f"{title}: values sent", rows_)
        lost = [
            (each.name, shown(each.stored), f"{each.change.operation}, {at(each.change.origin)}")
            for each in provenance.dropped(response.notes)
        ]
        _table(f"{title}: dropped", lost)
        why, where = provenance.charset(response.notes)
        label = f"{why} ({at(where)})" if why else str(response.composed.charset)
        _section(f"{title}: character set", [label])


def _source(each: provenance.Returned) -> tuple[str, str]:
    """Return what a value was before the profile touched it, and every line that did."""
    if each.stored is None and "Value" not in each.element:
        return "nothing stored", ""
    if not each.changes:
        return ("as stored" if each.source == "order" else "by the broker"), ""
    lines = dict.fromkeys(f"{note.operation}, {at(note.origin)}" for note in each.changes)
    if each.stored is None:
        return "not stored", "; ".join(lines)
    before = "as stored" if each.stored == each.element else f"was {shown(each.stored)}"
    return before, "; ".join(lines)
