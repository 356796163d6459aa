"""``mwl find``: ask for a worklist as a device does, and see what it would get."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from mwl.cli import options
from mwl.cli.exits import FINDINGS, TRY_AGAIN, report
from mwl.cli.output import print_json, print_table
from mwl.config import Address
from mwl.model import Document, Element, items, name_value, text

_RETURNED = (
    "AccessionNumber", "ReferringPhysicianName", "PatientName", "PatientID", "IssuerOfPatientID",
    "PatientBirthDate", "PatientSex", "StudyInstanceUID", "RequestingPhysician",
    "RequestedProcedureDescription", "RequestedProcedureID", "SPS.Modality", "SPS.ScheduledStationAETitle",
    "SPS.ScheduledProcedureStepStartDate", "SPS.ScheduledProcedureStepStartTime",
    "SPS.ScheduledPerformingPhysicianName", "SPS.ScheduledProcedureStepDescription",
    "SPS.ScheduledProcedureStepID", "SPS.ScheduledStationName", "SPS.ScheduledProcedureStepLocation",
    "SPS.ScheduledProcedureStepStatus",
)  # fmt: skip
"""What is asked for beside the keys given: what a console shows (PS3.4 Table K.6-1)."""

_COLUMNS = {
    "START": "SPS.ScheduledProcedureStepStartDate",
    "TIME": "SPS.ScheduledProcedureStepStartTime",
    "STATION": "SPS.ScheduledStationAETitle",
    "MOD": "SPS.Modality",
    "PATIENT": "PatientName",
    "ID": "PatientID",
    "ACCESSION": "AccessionNumber",
    "STEP": "SPS.ScheduledProcedureStepDescription",
    "STATE": "SPS.ScheduledProcedureStepStatus",
}

_NUMBERS = frozenset({"US", "SS", "UL", "SL", "UV", "SV"})
_OUT_OF_RESOURCES = 0xA7
_STEP = "00400100"
_CHARACTER_SET = "00080005"
_UTF8: Element = {"vr": "CS", "Value": ["ISO_IR 192"]}


@click.command(
    epilog="Example: mwl find 127.0.0.1:11112 --ae CT1 SPS.Modality=CT 'PatientName=DOE*' "
    "ScheduledProcedureStepSequence.ScheduledProcedureStepStartDate=20260705-20260707"
)
@click.argument("arguments", metavar="[HOST:PORT] [KEY[=VALUE]]...", nargs=-1)
@options.calling_option
@options.called_option
@options.timeout_option
@options.json_option
@options.config_option
def find(
    arguments: Sequence[str], calling: str, called: str | None, timeout: float, *, as_json: bool
) -> None:
    """Ask for a worklist (C-FIND); by default the configured broker's own.

    KEY is a keyword, (gggg,eeee), or a path of them; SPS stands for ScheduledProcedureStepSequence.
    A key without a value is asked for, not matched.
    """
    at, keys = _addressed(arguments)
    identifier = identify(keys)
    peer = options.dicom_peer(at, calling, called, timeout)
    from mwl.dicom import requestor

    try:
        found = requestor.find(peer, identifier)
    except requestor.Failed as failure:
        report(failure)
        raise click.exceptions.Exit(_exit_code(failure.status)) from None
    if as_json:
        print_json(found)
    else:
        print_table(list(_COLUMNS), [_row(item) for item in found])
        click.echo(f"{len(found)} found", err=True)


def _exit_code(status: int) -> int:
    """A7xx, out of resources, is said for now; every other failure stays (PS3.4 Table K.4.1-1)."""
    return TRY_AGAIN if status >> 8 == _OUT_OF_RESOURCES else FINDINGS


def _addressed(arguments: Sequence[str]) -> tuple[Address | None, Sequence[str]]:
    """Tell an address in front from the keys: it has a colon and no "="."""
    if not arguments or "=" in arguments[0] or ":" not in arguments[0]:
        return None, arguments
    try:
        return Address.parse(arguments[0]), arguments[1:]
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="HOST:PORT") from None


def identify(keys: Sequence[str]) -> Document:
    """Return the identifier for ``KEY=VALUE`` texts, beside what is always asked for."""
    from mwl.mapping import paths

    identifier: Document = {}
    for name in _RETURNED:
        path = paths.parse_path(name)
        identifier = paths.put(identifier, path, {"vr": paths.vr(path[-1])})
    for key in keys:
        name, _, value = key.partition("=")
        try:
            path = paths.parse_path(name)
            identifier = paths.put(identifier, path, _element(paths.vr(path[-1]), value))
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint=name) from None
    if not all(key.isascii() for key in keys):
        identifier[_CHARACTER_SET] = _UTF8
    return identifier


def _element(vr: str, value: str) -> Element:
    if not value:
        return {"vr": vr}
    if vr == "SQ":
        raise ValueError("a sequence has no value of its own: write SEQUENCE.KEY=VALUE")
    values: list[Any] = value.split("\\")
    if vr == "PN":
        values = [name_value(each) for each in values]
    elif vr in _NUMBERS:
        values = [int(each) for each in values]
    return {"vr": vr, "Value": values}


def _row(item: Document) -> list[str]:
    from mwl.mapping.paths import parse_path

    step = next(items(item, _STEP), {})
    levels = {1: item, 2: step}
    return [text(levels[len(path)], path[-1]) for path in map(parse_path, _COLUMNS.values())]
