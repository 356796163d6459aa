"""The page of incidents: a table for each module of tests, made of what happened in it.

``MWL_WRITE_TABLES=1 pytest tests/incidents`` writes it; without, a test fails while it is out of date.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from incidents.ward import Ward
from mwl.cli.output import printable

PAGE = Path(__file__).parents[2] / "docs" / "incidents.md"
HEAD = [
    "incident",
    "what happens",
    "as it was",
    "what explain said",
    "lines that mend it",
    "as it is, and what explain names for it",
]

Row = Sequence[str]


def check(ward: Ward, name: str, others: Mapping[str, Callable[[Ward], Row]] | None = None) -> None:
    """Hold the page's table *name* against what happened in *ward*; *others* make rows of their own."""
    for each in ward.incidents.values():
        if each.id not in ward.rows and each.id not in (others or {}):
            ward.reproduce(each)
    for number, make in (others or {}).items():
        ward.rows[number] = list(ward.rows.get(number) or make(ward))
    lines = [HEAD, ["---"] * len(HEAD), *(ward.rows[number] for number in sorted(ward.rows))]
    table = "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)
    text = PAGE.read_text("utf-8")
    between = re.compile(rf"(<!-- incidents: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    assert between.search(text), f"{PAGE.name} has no place for {name!r}"
    made = between.sub(lambda match: f"{match[1]}{table}{match[2]}", text)
    if os.environ.get("MWL_WRITE_TABLES") == "1":
        PAGE.write_text(made, "utf-8")

    assert PAGE.read_text("utf-8") == made


def _cell(text: str) -> str:
    return printable(" ".join(text.split())).replace("|", "\\|")
