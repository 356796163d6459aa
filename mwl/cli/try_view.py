"""What a device would get for a pasted order: the messages, each response as a dump, its bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from mwl.cli.explain_plain import fate, left_out, note
from mwl.cli.explain_text import at, of_list, of_step
from mwl.cli.hl7_view import INDENT, finding_lines, plain_findings, shown
from mwl.cli.output import aligned, heading, printable

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from mwl.dicom.answering import Composed
    from mwl.workbench.explain import Explanation, Told
    from mwl.workbench.responses import Response
    from mwl.workbench.try_order import Taken, Traced, Tried

_ROW = 16  # octets
_SYNTAXES = {
    "1.2.840.10008.1.2": "implicit VR little endian",
    "1.2.840.10008.1.2.1": "explicit VR little endian",
    "1.2.840.10008.1.2.2": "explicit VR big endian",
    "1.2.840.10008.1.2.1.99": "deflated explicit VR little endian",
}


def print_tried(result: Tried, zone: ZoneInfo, *, as_hex: bool) -> None:
    """Print what became of the messages, and what the device would get."""
    for number, taken in enumerate(result.taken, 1):
        heading(printable(f"message {number}: {_called(taken)}: {taken.outcome}"))
        for line in finding_lines(taken.findings, taken.reading):
            click.echo(INDENT + line)
    explanation = result.explanation
    if explanation is None:
        return
    for sentence in _conclusion(explanation, zone):
        heading(printable(sentence))
    told = explanation.told
    for number, response in enumerate(told.sent if told else (), 1):
        if told and response.composed:
            _print_response(number, result, told, response, response.composed, as_hex=as_hex)


def _called(taken: Taken) -> str:
    envelope = taken.reading.envelope
    if envelope.refusal:
        return "no HL7 message"
    system = envelope.system
    whose = f"of {system.name} (profile {system.profile.name})" if system else "of nobody configured"
    return " ".join(filter(None, (envelope.header.kind or "no type", envelope.header.control_id, whose)))


def _conclusion(explanation: Explanation, zone: ZoneInfo) -> Iterator[str]:
    captured = explanation.captured
    asked = f"its query {captured.key}" if captured else "a query made up here"
    yield f"{explanation.peer.ae} asks, with {asked}:"
    if explanation.fates:
        yield from (of_step(each, explanation, zone) for each in explanation.fates)
    else:
        yield of_list(explanation)


def _print_response(
    number: int, result: Tried, told: Told, response: Response, composed: Composed, *, as_hex: bool
) -> None:
    syntax = told.asked.transfer_syntax
    size = f"{len(composed.data)} bytes, {_SYNTAXES.get(syntax, syntax)}"
    heading(f"\nresponse {number}: {size}, {composed.charset}")
    for row in aligned(_row(each) for each in result.lines(told, response)):
        click.echo(INDENT + row)
    for text in composed.notes:
        click.echo(INDENT + printable(text))
    if as_hex:
        heading(f"response {number}: bytes")
        for row in _hex(composed.data):
            click.echo(INDENT + row)


def _row(each: Traced) -> tuple[str, ...]:
    line = each.line
    value = shown(line.element) if each.value else f"{len(line.element.get('Value', ()))} item"
    where = f"{INDENT * line.depth}{line.tag}"
    return where, line.element["vr"], f"{line.length:>4}", line.keyword, value, *_origin(each)


def _origin(each: Traced) -> tuple[str, str]:
    """Return what in the message gave a value, and which lines of the device's profile touched it."""
    if each.value is None:
        return "", ""
    lines = dict.fromkeys(f"{change.operation}, {at(change.origin)}" for change in each.value.changes)
    if each.given:
        return f"{each.given.source} ({at(each.given.origin)})", "; ".join(lines)
    if each.value.stored is not None:
        return "made by the broker", "; ".join(lines)
    return "", "; ".join(lines) if "Value" in each.line.element else ""


def _hex(data: bytes) -> Iterator[str]:
    for begin in range(0, len(data), _ROW):
        row = data[begin : begin + _ROW]
        text = "".join(chr(octet) if 0x20 <= octet < 0x7F else "." for octet in row)
        yield f"{begin:08x}  {row.hex(' '):<{_ROW * 3 - 1}}  {text}"


# ── JSON ──


def plain(result: Tried, zone: ZoneInfo, *, as_hex: bool) -> dict[str, Any]:
    """Return the same as JSON holds it."""
    explanation = result.explanation
    told = explanation.told if explanation else None
    sent = [each for each in told.sent if each.composed] if told else []
    return {
        "sent": result.sent,
        "messages": [_plain_message(taken) for taken in result.taken],
        "captured": explanation.captured.key if explanation and explanation.captured else None,
        "conclusion": list(_conclusion(explanation, zone)) if explanation else [],
        "steps": [fate(each) for each in explanation.fates] if explanation else [],
        "left_out": [left_out(each) for each in told.responses if not each.composed] if told else [],
        "responses": [_plain_response(result, told, each, as_hex=as_hex) for each in sent if told],
    }


def _plain_message(taken: Taken) -> dict[str, Any]:
    envelope = taken.reading.envelope
    return {
        "type": envelope.header.kind,
        "control_id": envelope.header.control_id,
        "system": envelope.system.name if envelope.system else None,
        "profile": envelope.system.profile.name if envelope.system else None,
        "outcome": taken.outcome,
        "findings": plain_findings(taken.findings, taken.reading),
    }


def _plain_response(result: Tried, told: Told, response: Response, *, as_hex: bool) -> dict[str, Any]:
    composed = response.composed
    return {
        "steps": response.steps,
        "transfer_syntax": told.asked.transfer_syntax,
        "charset": composed.charset.terms if composed else None,
        "notes": composed.notes if composed else None,
        "elements": [_plain_element(each) for each in result.lines(told, response)],
        **({"bytes": composed.data.hex()} if as_hex and composed else {}),
    }


def _plain_element(each: Traced) -> dict[str, Any]:
    line, given, value = each.line, each.given, each.value
    return {
        "depth": line.depth,
        "item": line.item,
        "path": line.name,
        "tag": "".join(line.path[-1:]),
        "vr": line.element["vr"],
        "keyword": line.keyword,
        "length": line.length,
        "value": line.element.get("Value", []) if value else None,
        "message": {"place": given.source, "origin": given.origin} if given else None,
        "stored": value.stored if value else None,
        "changes": [note(change) for change in value.changes] if value else [],
    }
