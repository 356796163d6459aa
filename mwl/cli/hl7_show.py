"""``mwl hl7 show``: one message of the journal, and all that is known of it."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from mwl.cli import options, times
from mwl.cli.doubt_view import plain_doubts, print_doubts
from mwl.cli.hl7_list import outcome, plain
from mwl.cli.hl7_selection import site_zone
from mwl.cli.hl7_systems import configured_systems, site_facts
from mwl.cli.output import aligned, heading, print_json, print_table, printable
from mwl.errors import BadDocument, Refusal, Refused

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from mwl.hl7.envelope import Envelope, System
    from mwl.hl7.explain import Explanation
    from mwl.store import Transaction
    from mwl.store.doubts import Doubt
    from mwl.store.journal import StoredMessage
    from mwl.store.links import Effects

_INDENT = "  "


@click.command()
@click.argument("message", metavar="MESSAGE")
@click.option("--values", is_flag=True, help="Show where each value goes, by which line of the profile.")
@click.option("--raw", is_flag=True, help="Write the bytes as they came, and nothing else.")
@options.json_option
@options.config_option
def show(message: str, *, values: bool, raw: bool, as_json: bool) -> None:
    """Show one MESSAGE: its number in the list, or else its control ID (the latest of several).

    Segments, fields, the answer it got, other attempts, the patients, procedures and steps it touched,
    and what devices will not be sent of these, or may refuse.  --values reads it with the profile as it
    stands in the files now.

    \b
    Examples:
      mwl hl7 show 17
      mwl hl7 show RIS20260705-0042 --values
      mwl hl7 show 17 --raw > message.hl7
    """
    zone = site_zone()
    stored, effects, doubts = options.opened_store().read_now(lambda tx: _found(tx, message))
    if raw:
        sys.stdout.buffer.write(stored.raw)
        return
    envelope = _envelope(stored, needed=values)
    from mwl.hl7.explain import explain

    explanation = explain(envelope)
    if as_json:
        doubtful = plain_doubts(each for found in doubts.values() for each in found)
        print_json({**_plain(stored, effects, explanation, values=values), "doubts": doubtful})
    else:
        _print(stored, effects, explanation, zone, values=values)
        print_doubts(doubts)


def _found(tx: Transaction, text: str) -> tuple[StoredMessage, Effects, dict[int, list[Doubt]]]:
    from mwl.store import doubts, journal, links

    key = journal.named(tx, text)
    found = None if key is None else journal.read(tx, key)
    if found is None:
        raise Refused(Refusal.UNKNOWN, f"no message has the number or control ID {printable(text)}")
    key = found.entry.key
    return found, links.of_message(tx, key), doubts.of_message(tx, key)


def _envelope(stored: StoredMessage, *, needed: bool) -> Envelope:
    """Open the message with the profiles of now; without them where they are wrong and not *needed*."""
    from mwl.hl7.envelope import Envelope

    systems: list[System] = []
    try:
        systems = configured_systems()
    except BadDocument:
        if needed:
            raise
        click.echo("the profiles have mistakes (mwl check): the message is shown without them", err=True)
    return Envelope.open(stored.raw, stored.entry.peer, systems, site_facts())


# ── for people ──


def _print(
    stored: StoredMessage, effects: Effects, explanation: Explanation, zone: ZoneInfo, *, values: bool
) -> None:
    from mwl.cli.hl7_fields import print_fields

    heading(f"message {stored.entry.key}")
    _print_lines(aligned(_facts(stored, zone)))
    _print_section("findings", stored.entry.error.splitlines())
    _print_section("segments", _segments(explanation))
    if explanation.message:
        heading("fields" + (", with the profile of now" if values else ""))
        print_fields(explanation.message, explanation if values else None)
    _print_section("answer", _answer(stored.acknowledgement, explanation))
    if stored.other:
        heading("other attempts")
        rows = [
            (times.shown(each.attempted_at, zone), _how(each.replayed), each.outcome, each.error)
            for each in stored.other
        ]
        print_table(["AT", "HOW", "OUTCOME", "FINDINGS"], rows)
    _print_section("effects", aligned(_effects(effects)))


def _facts(stored: StoredMessage, zone: ZoneInfo) -> Iterator[tuple[str, str]]:
    entry = stored.entry
    yield "came", f"{times.shown(entry.received_at, zone)} from {entry.peer}"
    if entry.receipts > 1:
        yield "came again", f"{entry.receipts - 1} times, last {times.shown(entry.last_at, zone)}"
    yield "sender", " ".join(filter(None, (entry.application, entry.facility)))
    yield "system", entry.system or "nobody configured"
    yield "type", entry.kind
    yield "control ID", entry.control_id
    yield "numbers", ", ".join(f"{key.kind} {key.value}" for key in stored.keys)
    at = f" at {times.shown(entry.attempted_at, zone)}" if entry.replayed else ""
    yield "outcome", outcome(entry) + at


def _how(replayed: bool) -> str:
    return "replayed" if replayed else "came"


def _effects(effects: Effects) -> Iterator[tuple[str, ...]]:
    for patient in effects.patients:
        yield "patient", str(patient.key), patient.patient_id, patient.issuer, ""
    for each in effects.procedures:
        yield "procedure", str(each.key), each.requested_procedure_id, each.accession, each.study_instance_uid
    for step in effects.steps:
        yield "step", str(step.key), step.step_id, f"{step.modality} {step.start[:12]}", step.state


def _segments(explanation: Explanation) -> list[str]:
    """Return a message line by line, in whatever form it is."""
    if explanation.message:
        return [segment.text for segment in explanation.message.segments]
    return [line for line in explanation.envelope.decoded.text.splitlines() if line.strip()]


def _answer(raw: bytes | None, explanation: Explanation) -> list[str]:
    """Return an acknowledgement line by line, or two of them."""
    codec = explanation.envelope.header.codec
    return [line for line in re.split("[\r\x0b\x1c]", (raw or b"").decode(codec, "replace")) if line]


def _print_section(title: str, lines: list[str]) -> None:
    if lines:
        heading(title)
        _print_lines(lines)


def _print_lines(lines: list[str]) -> None:
    for line in lines:
        click.echo(_INDENT + printable(line))


# ── for programs ──


def _plain(
    stored: StoredMessage, effects: Effects, explanation: Explanation, *, values: bool
) -> dict[str, object]:
    from mwl.cli.hl7_fields import field_rows, went
    from mwl.cli.hl7_view import plain_value

    fields = []
    for row in field_rows(explanation.message) if explanation.message else ():
        shown: dict[str, object] = {"place": row.place, "name": row.name, "value": row.text}
        if values:
            shown["goes_to"] = [plain_value(value) for value in went(row, explanation)]
        fields.append(shown)
    added = [plain_value(each) for each in explanation.values if each.element is not None and not each.places]
    return {
        **plain(stored.entry, stored.keys),
        "segments": _segments(explanation),
        "fields": fields,
        **({"added": added} if values else {}),
        "answer": _answer(stored.acknowledgement, explanation),
        "other_attempts": [
            {**dataclasses.asdict(each), "acknowledgement": _answer(each.acknowledgement, explanation)}
            for each in stored.other
        ],
        "effects": dataclasses.asdict(effects),
    }
