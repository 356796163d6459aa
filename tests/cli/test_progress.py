"""How far a long work is: for a person who looks on, and for nobody else."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from mwl.cli import progress
from mwl.cli.progress import Progress


def terminal(there: bool) -> SimpleNamespace:
    """Return a `sys` whose stderr is a terminal, or is none."""
    return SimpleNamespace(stderr=SimpleNamespace(isatty=lambda: there))


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A terminal on stderr, and a clock that the test moves."""
    monkeypatch.setattr(progress, "sys", terminal(True))
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_long_work_says_how_far_it_is_and_cleans_up(watched, capsys):
    """One line, written over, and gone in the end."""
    with Progress("messages replayed", 3) as shown:
        for _ in range(3):
            watched[0] += 1
            shown.advance()

    err = capsys.readouterr().err
    assert "messages replayed: 2 of 3" in err
    assert "\n" not in err
    assert err.endswith("\r")


def test_what_is_done_in_a_moment_says_nothing(watched, capsys):
    """A line that flashes by helps nobody."""
    with Progress("messages replayed", 3) as shown:
        shown.advance()

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("active", [True, False])
def test_nobody_is_told_where_nobody_looks_on(watched, capsys, monkeypatch, active):
    """Not into a file, and not where the work's own lines are on the terminal."""
    monkeypatch.setattr(progress, "sys", terminal(not active))
    with Progress("messages sent", 3, active=active) as shown:
        watched[0] += 1
        shown.advance()

    assert capsys.readouterr().err == ""
