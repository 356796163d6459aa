"""How a replay is shown: a block for each query that something changes for, and what it comes to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from mwl.cli import times
from mwl.cli.hl7_view import short
from mwl.cli.output import aligned, heading, printable

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

FIRST = 5
"""Entries of one query that are shown in full; of the others it is said what changes how often."""

_SIGNS = {"appears": "+", "vanishes": "-", "changes": "~", "joins": ">", "parts": "<"}
_INDENT = "  "
_WHAT = {
    "appears": ("1 step appears", "{} steps appear"),
    "vanishes": ("1 step vanishes", "{} steps vanish"),
    "changes": ("1 step changes", "{} steps change"),
    "joins": ("1 step joins another entry", "{} steps join other entries"),
    "parts": ("1 step parts from another entry", "{} steps part from other entries"),
    "values": ("1 value changes", "{} values change"),
    "queries": ("1 query replayed", "{} queries replayed"),
    "differ": ("1 changes", "{} change"),
}
"""Counts in words: of one, and of any other number."""

_SUCCESS = "0000"


def show(found: Mapping[str, Any], zone: ZoneInfo, *, whole: bool) -> None:
    """Print a replay, or what is on record of a draft in the shadow; on stderr what it comes to."""
    before, after = (found[side] for side in ("before", "after"))
    heading(printable(f"{found['device']}: {_profile(before)} against {_profile(after)}"))
    if "shifted" in found:
        click.echo(_how(shifted=found["shifted"]))
    elif not found["queries"]:
        click.echo("no query has been compared with this draft yet")
    for query in found["queries"]:
        if query["differs"] or query.get("reports"):
            _show_query(query, zone, whole=whole)
        else:
            click.echo()
            click.echo(printable(f"{_title(query, zone)}: nothing changes{_same(query)}"))
    click.echo(_summary(found["total"]), err=True)
    if before["digest"] == after["digest"]:
        hint = "; to compare with an earlier set: --against" if "shifted" in found else ""
        click.echo(f"the draft says what the profile {before['where']} says{hint}", err=True)


def _profile(side: Mapping[str, str]) -> str:
    where, file = side["where"], short(side["file"])
    return f"{side['profile']} ({file if file.startswith(f'{where}: ') else f'{where}, {file}'})"


def _how(*, shifted: bool) -> str:
    if shifted:
        return "each query as it would be asked now: its start dates are moved by the days since it was made"
    return "each query as it came, at the time when it came, on the steps of now"


def _show_query(query: Mapping[str, Any], zone: ZoneInfo, *, whole: bool) -> None:
    click.echo()
    heading(printable(_title(query, zone)))
    for line in _head(query):
        click.echo(_INDENT + printable(line))
    listed = query["differences"] if whole else query["differences"][:FIRST]
    for difference in listed:
        for line in _difference(difference):
            click.echo(_INDENT + printable(line))
    if more := sum(query["counts"].values()) - len(listed):
        often = ", ".join(f"{path} {count}" for path, count in query["paths"].items())
        click.echo(_INDENT + printable(f"and {more} more; values that change: {often}".rstrip(": ")))


def _title(query: Mapping[str, Any], zone: ZoneInfo) -> str:
    numbers = ", ".join(map(str, query["query"]))
    named = f"query {numbers}" if numbers else "a query that is on record no more"
    often = "once," if query["times"] == 1 else f"{query['times']} times, last"
    return f"{named}  {often} {times.shown(query['last_at'], zone)}"


def _same(query: Mapping[str, Any]) -> str:
    """Return what a query gets by both profiles, where that is known."""
    if "sent" not in query:
        return ""
    if query["status"][0] != _SUCCESS:
        return f" (status {query['status'][0]}, {query['comment'][0]})"
    return f" ({query['sent'][0]} sent)"


def _head(query: Mapping[str, Any]) -> Iterator[str]:
    if asks := query.get("asks"):
        yield "asks " + "  ".join(f"{path}={value}" for path, value in asks.items())
    for was, becomes in query.get("dates", ()):
        yield f"start date {was} asked as {becomes}"
    yield ", ".join(_sides(query))
    if query["reordered"]:
        yield "the order of the list changes"
    for report in query["reports"]:
        what = f"{report['path']}: {report['text']}" if report["path"] else report["text"]
        yield f"! reported of {report['entries']}: {what}  ({short(report['origin'])})"


def _sides(query: Mapping[str, Any]) -> Iterator[str]:
    for name in ("sent", "status", "pending", "octets"):
        before, after = query[name]
        if before != after:
            yield f"{name} {before} → {after}"
        elif name in ("sent", "status"):
            yield f"{name} {before}"
        if name == "sent" and query["same"]:
            yield f"{query['same']} as before"
    for comment in query["comment"]:
        if comment:
            yield comment


def _difference(difference: Mapping[str, Any]) -> Iterator[str]:
    item = difference["item"]
    names = ", ".join(map(str, difference["steps"]))
    what = f"step {names}" if names else "a line that is no step"
    parts = (item[name] for name in ("accession", "start", "modality", "patient_name", "patient_id"))
    yield f"{_SIGNS[difference['kind']]} {what}  {'  '.join(filter(None, parts))}"
    if reason := difference["reason"]:
        yield _INDENT * 2 + _reason(difference["kind"], reason)
    if difference["kind"] == "changes" and not difference["changes"]:
        before, after = difference["octets"]
        yield f"{_INDENT * 2}the same values in other octets: {before} → {after}"
    for line in aligned([_change(each) for each in difference["changes"]]):
        yield _INDENT * 2 + line


def _reason(kind: str, reason: Mapping[str, str]) -> str:
    when = {"appears": "before: ", "parts": "before: "}.get(kind, "now: ")
    path = f"{reason['path']}: " if reason["path"] else ""
    by = f"  ({short(reason['origin'])})" if reason["origin"] else ""
    return f"{when}{path}{reason['text']}{by}"


def _change(change: Mapping[str, Any]) -> Sequence[str]:
    by = f"{change['operation']}, {short(change['origin'])}" if change["origin"] else ""
    gone = "no more: " if change["withdrawn"] else ""
    return (
        change["path"],
        f"{_value(change['before'])} → {_value(change['after'])}",
        f"{gone}{by}" if by else "",
    )


def _value(value: str | None) -> str:
    if value is None:
        return "absent"
    return f"'{value}'" if value else "empty"


def _summary(total: Mapping[str, int]) -> str:
    said = ", ".join(_in_words(name, total.get(name, 0)) for name in ("queries", "differ"))
    names = [name for name in _WHAT if total.get(name) and name not in ("queries", "differ")]
    details = ", ".join(_in_words(name, total[name]) for name in names)
    return f"{said}: {details}" if details else said


def _in_words(name: str, count: int) -> str:
    one, many = _WHAT[name]
    return one if count == 1 else many.format(count)
