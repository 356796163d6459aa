"""The field engineer's guide on changing a profile: every line of it comes out as it is printed there."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import yaml

from acceptance.manual import Reader

RELOADS = ("reloaded", "not reloaded: the old configuration stays")


class Editor(Reader):
    """Has the files before the broker starts, and goes on when it has seen what was edited."""

    def __init__(self, start: Callable[..., Any], folder: Path) -> None:
        super().__init__(start)
        self.folder = folder

    def serving(self) -> None:
        """Start the broker with the files written so far."""
        if self.broker is None:
            for name, text in self.files.items():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / name).write_text(text, "utf-8")
            self.broker = self.start_broker(self.folder, **yaml.safe_load(self.files["mwl.yaml"]))

    def run(self, command: str) -> str:
        """Run a line; after one that changes files wait for the broker to look at them."""
        since = len(self.broker.events)
        printed = super().run(command)
        if command.startswith("sed ") or "rollback" in command:
            self.wait_for_reload(since)
        return printed

    def wait_for_reload(self, since: int) -> None:
        """Wait until the broker has looked at what changed, whatever it thought of it."""
        broker = self.broker
        with broker._heard:
            assert broker._heard.wait_for(
                lambda: any(each["event"] in RELOADS for each in broker.events[since:]), 60
            )


def plain(lines: list[str]) -> list[str]:
    """Return lines with one name for whoever did something, and without the width of columns."""
    named = (re.sub(r"\S+@[^\s:]+:\d+", "mwl@ris1:4711", line) for line in lines)
    return [re.sub(r" {2,}", "  ", line) for line in named]


def test_a_change_comes_out_as_it_is_printed(
    serving: Callable[..., AbstractContextManager[Any]], tmp_path: Path
) -> None:
    """Changed, mistaken, brought back; with the history of it."""
    with ExitStack() as running:
        editor = Editor(lambda *a, **k: running.enter_context(serving(*a, **k)), tmp_path)

        editor.read_section("field-engineer.md", "When a profile is changed")

        assert plain(editor.seen) == plain(editor.said)
        assert any("rollback to 2" in line for line in editor.seen)
