"""How a played device and what it saw are shown, to people and to programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import click

from mwl.cli.output import heading, print_json, print_table, printable
from mwl.dicom.emulators import Device, Emulator, Report, Seen
from mwl.model import STEP_SEQUENCE, Document, items, text

_COLUMNS = {
    "START": (STEP_SEQUENCE, "00400002"), "TIME": (STEP_SEQUENCE, "00400003"),
    "STATION": (STEP_SEQUENCE, "00400001"), "MOD": (STEP_SEQUENCE, "00080060"), "PATIENT": ("00100010",),
    "ID": ("00100020",), "ACCESSION": ("00080050",), "PROCEDURE": ("00321060",),
}  # fmt: skip


def show_devices(devices: Iterable[Device], *, as_json: bool) -> None:
    """List what can be played, with what each is known for."""
    if as_json:
        print_json([_described(each) for each in devices])
    else:
        rows = [(each.name, each.plays, ", ".join(each.performing), each.known_for) for each in devices]
        print_table(["DEVICE", "PLAYS", "MPPS", "KNOWN FOR"], rows)


def show(emulator: Emulator, seen: Seen) -> None:
    """Show one query: each match with what the console makes of it, then what it says itself."""
    host, port = emulator.at
    heading(f"{emulator.ae} asks {emulator.called} at {host}:{port} as {seen.device}: {seen.query}")
    print_table([*_COLUMNS, "CONSOLE"], _rows(seen))
    for line in seen.log:
        click.echo(f"log: {printable(line)}")
    if seen.error:
        click.echo(f"the console says: {printable(seen.error)}")
    click.echo(f"{len(seen.shown)} shown, {len(seen.not_shown)} not shown")


def show_reports(reports: Sequence[Report]) -> None:
    """Show what was reported, and how it was answered."""
    for report in reports:
        answer = report.error or f"{report.status:04X} {report.comment}".rstrip()
        click.echo(f"{report.operation} {report.state} as {report.calling_ae}: {printable(answer)}")


def print_as_json(runs: Sequence[Seen], reports: Sequence[Report]) -> None:
    """Print all that was seen and reported."""
    print_json({"runs": [_seen(seen) for seen in runs], "reports": [_report(each) for each in reports]})


def _rows(seen: Seen) -> list[list[str]]:
    refused = {id(item): f"not shown: {reason}" for item, reason in seen.not_shown}
    remarks: dict[int, list[str]] = {}
    for item, remark in seen.remarks:
        remarks.setdefault(id(item), ["shown"]).append(remark)
    return [
        [*_cells(item), refused.get(id(item)) or "; ".join(remarks.get(id(item), ["shown"]))]
        for item in seen.received
    ]


def _cells(item: Document) -> list[str]:
    step = next(items(item, STEP_SEQUENCE), {})
    levels = {1: item, 2: step}
    return [text(levels[len(path)], path[-1]) for path in _COLUMNS.values()]


def _seen(seen: Seen) -> dict[str, Any]:
    return {
        "device": seen.device,
        "query": seen.query,
        "asked": seen.asked,
        "shown": seen.shown,
        "not_shown": [{"why": reason, "item": item} for item, reason in seen.not_shown],
        "remarks": [{"remark": remark, "item": item} for item, remark in seen.remarks],
        "status": _hexadecimal(seen.status),
        "error": seen.error or None,
        "log": seen.log,
    }


def _report(report: Report) -> dict[str, Any]:
    return {
        "operation": report.operation,
        "state": report.state,
        "calling_ae": report.calling_ae,
        "uid": report.uid,
        "attributes": report.attributes,
        "status": _hexadecimal(report.status),
        "comment": report.comment or None,
        "error": report.error or None,
    }


def _hexadecimal(status: int | None) -> str | None:
    return None if status is None else f"{status:04X}"


def _described(device: Device) -> dict[str, Any]:
    return {
        "device": device.name,
        "plays": device.plays,
        "known_for": device.known_for,
        "evidence": [
            {"grade": each.grade, "source": each.source, "says": each.says} for each in device.evidence
        ],
        "assumed": device.assumed,
        "ae": device.ae,
        "mpps_ae": device.performing_ae or device.ae,
        "implementation_uid": device.implementation_uid,
        "implementation_version": device.implementation_version or None,
        "max_pdu": device.max_pdu,
        "proposes": [
            {"sop_class": each, "transfer_syntaxes": syntaxes} for each, syntaxes in device.proposes
        ],
        "timeout": device.timeout,
        "queries": {name: {"typed": query.typed or None} for name, query in device.queries.items()},
        "mpps": list(device.performing),
    }
