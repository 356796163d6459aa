"""Everything that is promised of speed and scale, measured by one command.

    python benchmarks/run.py [--steps 1000000] [--runs 200] [--only NAME,...] [--database both]

The hospital is made once for each database and shared.  What was found is kept in benchmarks/results.json;
from it the table below, docs/benchmarks.md, docs/benchmarks.svg and docs/scale.md are written.  With --only
the other figures stay as they were.  Nothing else of weight should run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import eight
import idle
import large
import memory
import orders
import performed
import pouring
import report
import scale
import servers
import shapes
import start
import visible
import worklist
from machine import described
from stage import Stage, add_options, stages

BENCHMARKS = {
    "queries": worklist.measure, "shapes": shapes.measure, "eight": eight.measure, "idle": idle.measure,
    "large": large.measure, "start": start.measure, "memory": memory.measure, "orders": orders.measure,
    "performed": performed.measure, "pouring": pouring.measure, "visible": visible.measure,
}  # fmt: skip
RESULTS = Path(__file__).with_name("results.json")
_QUIET = 0.7  # processes that want to run, before the first benchmark does
_DOCS = Path(__file__).parents[1] / "docs"


def run(stage: Stage, names: list[str], found: dict[str, Any]) -> list[str]:
    """Run benchmarks and put their figures into *found*; return the names of those that failed."""
    failed = []
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        began = time.monotonic()
        try:
            found[name] = _rounded(BENCHMARKS[name](stage))
        except Exception:  # noqa: BLE001 - the others are wanted all the same
            traceback.print_exc()
            failed.append(name)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return failed


def _rounded(figures: Any) -> Any:
    """Return figures with five digits: more of them say nothing, and make every run's file another one."""
    if isinstance(figures, dict):
        return {name: _rounded(each) for name, each in figures.items()}
    return float(f"{figures:.5g}") if isinstance(figures, float) else figures


def begun(options: argparse.Namespace, path: Path) -> dict[str, Any]:
    """Return what there is to add figures to: what was found before, where only some are wanted anew."""
    if options.only and path.exists():
        kept: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if kept["steps"] != options.steps:
            sys.exit(f"{path.name} is about {kept['steps']:,} steps; leave --only away, or say --steps")
        return kept
    return {"machine": described(), "steps": options.steps, "runs": options.runs}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    parser.add_argument("--only", help=f"some of {', '.join(BENCHMARKS)}")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the figures are kept")
    parser.add_argument("--docs", type=Path, default=_DOCS, help="where the pages are written")
    options = parser.parse_args()
    names = options.only.split(",") if options.only else list(BENCHMARKS)
    if unknown := set(names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; see --help")
    if (busy := os.getloadavg()[0]) > _QUIET:
        print(f"the machine is busy (load {busy:.1f}): these figures will be of little use", file=sys.stderr)
    results, failed = begun(options, options.results), []
    databases = ["sqlite", "postgresql"] if options.database == "both" else [options.database]
    try:
        with stages(options, databases) as found:
            for database, stage in found.items():
                failed += run(stage, names, results.setdefault(database, {}))
                options.results.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    except servers.Missing as error:
        sys.exit(f"{error}; --database sqlite does without")
    report.write(results, options.docs)
    scale.write(results, options.docs)
    for line in report.table(results):
        print(line)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
