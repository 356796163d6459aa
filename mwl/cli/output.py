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
    cells = [[printable(value) for value in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(headers, *cells, strict=True)]
    bold = "NO_COLOR" not in os.environ
    click.secho(_line(headers, widths), bold=bold or None)
    for row in cells:
        click.echo(_line(row, widths))


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
