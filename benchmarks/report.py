"""Writes docs/benchmarks.md and docs/benchmarks.svg from the figures of a run.

    python benchmarks/report.py

The pages say nothing of numbers that is not in benchmarks/results.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import targets
from chart import Bar, Panel, svg

Results: TypeAlias = Mapping[str, Any]

NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
_HERE = Path(__file__).parent
_OURS = "mwl"
_LEAST = 0.01  # what is less has a bar of that length: a logarithm has no nothing

_TRIAL = "**This was a trial: the targets are about 1,000,000 steps and 200 turns on a quiet machine.**\n"
_IDLE = "| idle associations | how many | processor, % of a core | KiB each | a query beside them |"


def table(results: Results) -> Iterator[str]:
    """Yield the promises beside what was measured, as a table in Markdown."""
    databases = [name for name in NAMES if results.get(name)]
    yield "| what | target | " + " | ".join(f"{NAMES[name]} | held" for name in databases) + " |"
    yield "|---|---|" + "---|---|" * len(databases)
    for target in (*targets.TARGETS, targets.ON_POSTGRESQL):
        cells = []
        for name in databases:
            applies = target in targets.of(name)
            held = {None: "", True: "yes", False: "**no**"}[target.held(results[name]) if applies else None]
            cells.append(f"{target.said(results[name]) if applies else ''} | {held}")
        yield f"| {target.what} | {target.promise} | " + " | ".join(cells) + " |"


def page(results: Results) -> str:
    """Return docs/benchmarks.md."""
    trial = results["steps"] < 1_000_000 or results["runs"] < 200
    return (_HERE / "pages" / "benchmarks.md").read_text("utf-8").format(
        machine=", ".join(f"{name} {value}" for name, value in results["machine"].items()),
        steps=f"{results['steps']:,}",
        runs=results["runs"],
        trial=_TRIAL if trial else "",
        table="\n".join(table(results)),
        peers="\n".join(_peers(results, name) for name in NAMES if results.get(name)),
    )  # fmt: skip


def _peers(results: Results, name: str) -> str:
    """Return the tables of all servers, in the run on one database."""
    run = results[name]
    lines = [f"## The servers beside one another, the broker on {NAMES[name]}", ""]
    if queries := run.get("queries"):
        ours = queries[targets.WARM]["median"]
        lines += ["| a query with 20 matches | median ms | 5 % below | 5 % above | of mwl, warm |",
                  "|---|---|---|---|---|"]  # fmt: skip
        lines += [
            f"| {server} | {found['median']:.2f} | {found['p5']:.2f} | {found['p95']:.2f} "
            f"| {targets.part(found['median'] / ours)} |"
            for server, found in queries.items()
        ]
        lines += ["", *(f"{peer} was not installed.\n" for peer in _missing(queries))]
    if rates := run.get("eight"):
        lines += ["| eight clients at once | queries a second |", "|---|---|"]
        lines += [
            f"| {server} | {found:,.0f} |" for server, found in rates.items() if not server.endswith(" ms")
        ]
        lines += [""]
    if idle := run.get("idle"):
        lines += [_IDLE, "|---|---|---|---|---|"]
        lines += [
            f"| {server} | {found['associations']:,} | {found['processor percent']:.1f} "
            f"| {found['memory KiB each']:.1f} | {found['crowded ms'] / found['quiet ms']:.2f} times |"
            for server, found in idle.items()
        ]
        lines += [""]
    return "\n".join(lines)


def _missing(queries: Mapping[str, Any]) -> list[str]:
    return [peer for peer in ("wlmscpfs", "Orthanc") if not any(peer in server for server in queries)]


def picture(results: Results) -> str:
    """Return docs/benchmarks.svg: the times of a query, and how much of each target is used."""
    panels = []
    for name in (each for each in NAMES if results.get(each)):
        run, broker = results[name], NAMES[name]
        if queries := run.get("queries"):
            title = f"A query with 20 matches, the broker on {broker}: median, ms"
            panels.append(
                Panel(title, [_bar(server, queries[server]["median"]) for server in _sorted(queries)])
            )
        used = [
            Bar(target.label, max(part, _LEAST), f"{part:.2f}",
                "ours" if target.held(run) else "bad")
            for target in targets.of(name)
            if (part := target.used(run)) is not None
        ]  # fmt: skip
        if used:
            title = f"How much of each target is used on {broker}: right of the line it is missed"
            panels.append(Panel(title, used, mark=1.0))
    return svg(panels)


def _sorted(queries: Mapping[str, Any]) -> Sequence[str]:
    return sorted(queries, key=lambda server: float(queries[server]["median"]))


def _bar(server: str, milliseconds: float) -> Bar:
    kind = "floor" if server == targets.FLOOR else "ours" if server.startswith(_OURS) else ""
    return Bar(server, milliseconds, f"{milliseconds:.2f}", kind)


def write(results: Results, docs: Path) -> None:
    """Write the page and the picture."""
    (docs / "benchmarks.md").write_text(page(results), "utf-8")
    (docs / "benchmarks.svg").write_text(picture(results), "utf-8")


if __name__ == "__main__":
    write(json.loads((_HERE / "results.json").read_text("utf-8")), _HERE.parent / "docs")
