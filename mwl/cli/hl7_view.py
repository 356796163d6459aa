"""How what a message says is shown: its attributes with what gave them, findings, values."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mwl.cli.output import aligned, heading, printable
from mwl.mapping.paths import keyword
from mwl.model import Document, Element, person_name

if TYPE_CHECKING:
    from mwl.errors import Finding
    from mwl.hl7.explain import Explanation, Part, Value

INDENT = "  "
_SEPARATOR = "\\"  # PS3.5 6.4


def print_values(values: Sequence[Value]) -> None:
    """Print values in the order in which they were read: of a message that was refused there is no more."""
    rows = [
        (target(each), shown(each.element), each.source, short(each.origin))
        for each in values
        if each.element is not None
    ]
    for line in aligned(rows):
        click.echo(INDENT * 2 + line)


def print_parts(parts: Sequence[Part], values: Sequence[Value], depth: int = 0) -> None:
    """Print attributes by level, each with the place in the message and the line of the profile behind it."""
    _print_parts(parts, values, set(), INDENT * depth)


def _print_parts(parts: Sequence[Part], values: Sequence[Value], told: set[int], indent: str) -> None:
    for part in parts:
        heading(indent + part.title)
        for line in aligned(attributes(part.document, values, told)):
            click.echo(indent + INDENT + line)
        _print_parts(part.below, values, told, indent + INDENT)


def attributes(
    document: Document, values: Sequence[Value], told: set[int]
) -> Iterator[tuple[str, str, str, str]]:
    """Yield keyword path, value, place and line of every attribute; of a sequence those of its items.

    Orders of one message may give equal values: one that was *told* (by its identity) for a document
    before this one stands behind this one's only where nothing else does.
    """
    from mwl.hl7.explain import behind

    here: set[int] = set()
    for path, tags, element in _flat(document, (), ()):
        given = behind(tags, element, values)
        value = next((each for each in given if id(each) not in told), given[0] if given else None)
        if value:
            here.add(id(value))
        yield path, shown(element), value.source if value else "", short(value.origin) if value else ""
    told |= here


def _flat(
    document: Document, names: tuple[str, ...], tags: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...], Element]]:
    for tag, element in document.items():
        here, path = (*names, keyword(tag)), (*tags, tag)
        items = element.get("Value", []) if element["vr"] == "SQ" else []
        if element["vr"] != "SQ" or not items:
            yield ".".join(here), path, element
        for index, item in enumerate(items, 1):
            name = keyword(tag) if index == 1 else f"{keyword(tag)}[{index}]"
            yield from _flat(item, (*names, name), path)


# ── values and findings ──


def target(value: Value) -> str:
    """Return where a value goes, or why it does not."""
    if value.element is None:
        return f"! {value.source.partition(': ')[2]}"
    return f"{value.section}: {value.target}"


def shown(element: Element | None) -> str:
    """Return an element's values as one line."""
    if element is None:
        return ""
    values: list[Any] = element.get("Value", [])
    if element.get("vr") == "SQ":
        inner = (f"{keyword(tag)}={shown(each)}" for item in values for tag, each in item.items())
        return printable(", ".join(inner))
    texts = (person_name(value) if isinstance(value, dict) else str(value) for value in values)
    return printable(_SEPARATOR.join(texts))


def short(origin: str) -> str:
    """Return a line of a profile as one names it in the working directory."""
    return origin.removeprefix(f"{Path.cwd()}{os.sep}")


def finding_lines(findings: Sequence[Finding], explanation: Explanation | None = None) -> Iterator[str]:
    """Yield a line for each finding, with the profile's line behind it where an *explanation* knows it."""
    for each in findings:
        behind = short(explanation.line(each)) if explanation else ""
        told = f"{each.severity:7}  {each.location}: {printable(each.text)} [{each.code}]"
        yield f"{told}  {behind}".rstrip()


def plain_findings(
    findings: Sequence[Finding], explanation: Explanation | None = None
) -> list[dict[str, object]]:
    """Return findings as JSON holds them."""
    return [
        {
            "severity": each.severity,
            "location": str(each.location),
            "code": each.code,
            "text": each.text,
            **({"origin": explanation.line(each)} if explanation else {}),
        }
        for each in findings
    ]


def plain_value(value: Value) -> dict[str, object]:
    """Return a value and where it came from as JSON holds it."""
    return {
        "section": value.section,
        "target": value.target,
        "element": value.element,
        "source": value.source,
        "origin": value.origin,
        "function": value.function,
    }


def plain_parts(parts: Sequence[Part]) -> list[dict[str, object]]:
    """Return what a message speaks of as JSON holds it."""
    return [
        {"title": part.title, "attributes": part.document, "below": plain_parts(part.below)} for part in parts
    ]
