"""How far a long work is: one line on stderr that is written over, where a person looks on."""

from __future__ import annotations

import sys
import time
from typing import Self

import click

_EVERY = 0.2  # seconds
_CLEAR = "\r\x1b[K"


class Progress:
    """Counts steps; shown on a terminal alone, and not at all where the work is done in a moment."""

    def __init__(self, label: str, total: int, *, active: bool = True) -> None:
        self._label, self._total, self._done = label, total, 0
        self._active = active and sys.stderr.isatty()
        self._shown = time.monotonic()
        self._written = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def advance(self) -> None:
        """Count one step."""
        self.at(self._done + 1, self._total)

    def at(self, done: int, total: int) -> None:
        """Say how far it is, and how far it is to go."""
        self._done, self._total = done, total
        now = time.monotonic()
        if self._active and now - self._shown >= _EVERY:
            self._shown, self._written = now, True
            click.echo(f"{_CLEAR}{self._label}: {self._done} of {self._total}", err=True, nl=False)

    def clear(self) -> None:
        """Take the line away."""
        if self._written:
            self._written = False
            click.echo(_CLEAR, err=True, nl=False)
