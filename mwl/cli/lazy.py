"""A group whose commands are imported when they are run, and listed without being imported."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

HELP = ["-h", "--help"]


class LazyGroup(click.Group):
    """A group of commands given as name → (``module:object``, one line of help)."""

    def __init__(self, *args: Any, table: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return list(self.table)  # in the order of a reader's day, not of the alphabet

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        if cmd_name not in self.table:
            return None
        module, _, name = self.table[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        # click keeps the help option it made first; without a parent that would be one without -h.
        command.context_settings.setdefault("help_option_names", HELP)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's signature
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.table.items()])
