"""``mwl hl7 check``: what the broker would make of a message, without a database."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mwl.cli import options
from mwl.cli.exits import FINDINGS
from mwl.cli.hl7_files import files_argument, messages, read
from mwl.cli.hl7_systems import chosen_systems, site_facts
from mwl.cli.output import heading, print_json, printable

if TYPE_CHECKING:
    from mwl.hl7.explain import Explanation
    from mwl.hl7.structure import Judgement

_SHOWN = 20  # octets of what is no message
_MEANING = {
    "AA": "would be taken",
    "AE": "would be refused: its content",
    "AR": "would be refused: its kind or form",
    "ignored": "would be acknowledged, and nothing done",
}


@click.command()
@files_argument
@click.option("--system", metavar="NAME", help="Read as this configured system's; else MSH-3 and MSH-4 tell.")
@click.option("--profile", metavar="NAME", help="Read with this system profile, configured or not.")
@click.option("--strict", is_flag=True, help="End with 1 for errors in the message's structure, too.")
@options.json_option
@options.config_option
def check(
    files: Sequence[Path], system: str | None, profile: str | None, *, strict: bool, as_json: bool
) -> None:
    """Show what the messages of each FILE ("-": stdin) would become; nothing is stored or changed.

    For every message: the system it is taken for, errors and warnings with their place, the patient,
    procedures and steps with the place and the profile's line behind each value, and what the
    standard's grammar says of its structure (hl7apy; advice, many senders break it unharmed).  Orders
    on record are not looked at: `mwl hl7 replay --dry-run` does that for a message on record.

    Ends with 1 where a message would be refused.

    \b
    Examples:
      mwl hl7 check order.hl7
      mwl hl7 check --profile our-ris --strict samples/*.hl7
      mwl hl7 show 17 --raw | mwl hl7 check -
    """
    from mwl.hl7.envelope import Envelope
    from mwl.hl7.explain import explain
    from mwl.hl7.structure import judge

    systems, site = chosen_systems(system, profile), site_facts()
    failed, shown = False, []
    for path in files:
        raw = read(path)
        found = messages(raw)
        if not found and not as_json:
            failed = True
            _print_nothing(str(path), raw)
            continue
        for number, message in enumerate(found or [raw], 1):
            explanation = explain(Envelope.open(message, "", systems, site))
            judgement = judge(explanation.message) if explanation.message else None
            failed |= explanation.outcome in ("AE", "AR") or (strict and _breaks(judgement))
            if as_json:
                shown.append({"file": str(path), "number": number, **_plain(explanation, judgement)})
            else:
                _print(f"{path}, message {number}", explanation, judgement)
    if as_json:
        print_json(shown)
    if failed:
        raise click.exceptions.Exit(FINDINGS)


def _breaks(judgement: Judgement | None) -> bool:
    from mwl.errors import Severity

    return judgement is not None and any(each.severity is Severity.ERROR for each in judgement.findings)


def _plain(explanation: Explanation, judgement: Judgement | None) -> dict[str, object]:
    import dataclasses

    from mwl.cli.hl7_view import plain_findings, plain_parts, plain_value
    from mwl.hl7.explain import parts

    header, system = explanation.envelope.header, explanation.envelope.system
    return {
        "type": header.kind,
        "control_id": header.control_id,
        "system": system.name if system else None,
        "profile": system.profile.name if system else None,
        "outcome": explanation.outcome,
        "findings": plain_findings(explanation.findings, explanation),
        "asks": plain_parts(list(parts(explanation.incoming))) if explanation.incoming else [],
        "values": [plain_value(value) for value in explanation.values],
        "structure": dataclasses.asdict(judgement) if judgement else None,
    }


def _print_nothing(path: str, raw: bytes) -> None:
    """Say that a file holds no message, and how it begins."""
    from mwl.cli.hl7_view import INDENT

    heading(f"{path}: no HL7 message")
    begins = printable(repr(raw[:_SHOWN].decode("ascii", "backslashreplace")))
    what = f"it begins with {begins}" if raw.strip() else "it is empty"
    click.echo(f"{INDENT}AR  {_MEANING['AR']}")
    click.echo(f"{INDENT}error    {what}: a message begins with MSH, a batch with FHS or BHS [100]")


def _print(title: str, explanation: Explanation, judgement: Judgement | None) -> None:
    from mwl.cli.hl7_view import INDENT, finding_lines, print_parts, print_values
    from mwl.hl7.explain import parts

    header, system = explanation.envelope.header, explanation.envelope.system
    whose = f"of {system.name} (profile {system.profile.name})" if system else "of nobody configured"
    what = printable(" ".join(filter(None, (header.kind or "no type", header.control_id))))
    heading(f"{title}: {what} {whose}")
    click.echo(f"{INDENT}{explanation.outcome}  {_MEANING[explanation.outcome]}")
    for line in finding_lines(explanation.findings, explanation):
        click.echo(INDENT + line)
    if explanation.incoming:
        print_parts(list(parts(explanation.incoming)), explanation.values, 1)
    elif explanation.values:
        heading(f"{INDENT}what was read of it")
        print_values(explanation.values)
    if judgement:
        label = " ".join(
            filter(None, (f"structure, by the grammar of HL7 {judgement.version}", judgement.structure))
        )
        heading(f"{INDENT}{label}")
        for each in judgement.findings:
            click.echo(f"{INDENT * 2}{each.severity:7}  {printable(each.text)}")
        if not judgement.findings:
            click.echo(f"{INDENT * 2}nothing found")
