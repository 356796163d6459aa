"""What commands print: tables for people, JSON for programs; on stdout, and nothing else there."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import click

_GAP = "  "


def print_json(data: Any) -> None:
    """Print *data* as JSON, in Unicode."""
    click.echo(json.dumps(data, ensure_ascii=False, indent=2, default=str))


def print_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under their headers, in columns as wide as their content."""
    head, *lines = aligned([headers, *rows])
    heading(head)
    for line in lines:
        click.echo(line)


def heading(text: str) -> None:
    """Print a line that stands out, unless NO_COLOR forbids it."""
    if os.environ.get("NO_COLOR"):
        click.echo(text)
    else:
        click.secho(text, bold=True)


def aligned(rows: Iterable[Sequence[object]]) -> list[str]:
    """Return each row as a line, in columns as wide as their content."""
    cells = [[printable(value) for value in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    return [_line(row, widths) for row in cells]


def printable(value: object) -> str:
    """Return *value* as text that cannot move the cursor: no terminal obeys what a peer sent."""
    text = "" if value is None else str(value)
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True))
    return _GAP.join(padded).rstrip()


def _width(text: str) -> int:
    """Return how many columns *text* takes: an ideograph takes two, a combining mark none."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)
