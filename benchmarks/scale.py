"""Writes docs/scale.md: what a broker's figures mean for a clinic, and for a country.

    python benchmarks/scale.py

A study on paper: loads follow from assumptions that are stated, costs from benchmarks/results.json.  The
words are in benchmarks/pages/scale.md, the numbers come from here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import targets

_HERE = Path(__file__).parent
NEEDED = ("queries", "shapes", "eight", "idle", "large", "start", "memory", "orders", "performed")

LEVELS = {"one clinic": 5, "a hospital": 60, "a group of hospitals": 1_000, "a region": 10_000,
          "a country": 100_000}  # fmt: skip
"""Who, and how many devices."""
NATION = LEVELS["a country"]
POLL = 60  # seconds between two queries of a device, day and night
EXAMS = 10  # a device and day
MESSAGES = 3  # HL7 messages an exam: the order, and two changes
BUSY = 0.15  # of a day's exams fall into its busiest hour
PLANNED = 0.5  # of what saturates a part is what it is planned for
KEPT = 365  # days
_BUSY_EXAMS = EXAMS * BUSY / 3600  # of a device, a second

PARTS = {
    "broker": ("a broker process (one core)", "another broker: none keeps what another needs"),
    "database": ("a core of the database's server", "more cores"),
    "writer": ("the one writer of a database", "a database for each region"),
}
"""What may be saturated, and what helps."""
_FIGURES = (
    ("the broker's processor, ms a query", "eight", "processor ms", ".2f"),
    ("the broker's processor, ms an order", "orders", "processor ms", ".2f"),
    ("the broker's processor, ms a pair of N-CREATE and N-SET", "performed", "processor ms", ".2f"),
    ("processor of the database's server, ms a query", "eight", "database processor ms", ".2f"),
    ("processor of the database's server, ms an order", "orders", "database processor ms", ".2f"),
    ("processor of the database's server, ms a pair", "performed", "database processor ms", ".2f"),
    ("orders a second at most", "orders", "eight connections", ",.0f"),
    ("pairs a second at most", "performed", "pairs", ",.0f"),
    ("bytes an order adds", "orders", "bytes an order", ",.0f"),
    ("bytes a pair adds", "performed", "bytes a pair", ",.0f"),
    ("memory of a broker, MiB", "memory", "peak MiB", ",.0f"),
    ("start of a broker, s", "start", "median s", ".1f"),
)


@dataclass(frozen=True)
class Costs:
    """What was measured of one database and its broker."""

    run: Mapping[str, Any]

    def of(self, benchmark: str, name: str) -> float:
        return float(self.run[benchmark][name])

    def query(self, server: str) -> float:
        return float(self.run["queries"][server]["median"])

    def of_device(self, part: str) -> float:
        """Return what one device takes of a part in the busiest hour: 1 is all there is of it."""
        if part == "writer":
            orders, pairs = self.of("orders", "eight connections"), self.of("performed", "pairs")
            return _BUSY_EXAMS * (MESSAGES / orders + 1 / pairs)
        cost = "processor ms" if part == "broker" else "database processor ms"
        exam = MESSAGES * self.of("orders", cost) + self.of("performed", cost)
        return (self.of("eight", cost) / POLL + _BUSY_EXAMS * exam) / 1000

    def brokers(self, devices: int) -> int:
        """Return how many brokers are planned where one is not enough."""
        return max(2, math.ceil(self.of_device("broker") * devices / PLANNED))

    @property
    def growth(self) -> float:
        """Return what an exam adds to the database (bytes)."""
        return MESSAGES * self.of("orders", "bytes an order") + self.of("performed", "bytes a pair")

    @property
    def answer(self) -> float:
        """Return the bytes of an answer with 20 matches."""
        return self.of("large", "list KiB") * 1024 / self.of("large", "responses") * 20

    @property
    def grown(self) -> float:
        """Return the most that any query costs in the large hospital beside the small one."""
        return max(float(each["large"] / each["small"]) for each in self.run["shapes"].values())


def complete(results: Mapping[str, Any]) -> list[Costs]:
    """Return the runs in which all was measured that the study needs, SQLite's first."""
    runs = [results.get(name, {}) for name in ("sqlite", "postgresql")]
    return [Costs(run) for run in runs if set(NEEDED) <= set(run)]


def page(results: Mapping[str, Any]) -> str:
    """Return docs/scale.md; where PostgreSQL was not measured, SQLite stands in for it."""
    small, *more = complete(results)
    large = more[0] if more else small
    carried = {part: 1 / each for part in PARTS if (each := large.of_device(part))}
    first = min(carried, key=lambda part: carried[part])
    idle = large.run["idle"]["mwl"]["memory KiB each"] * 1024
    return (_HERE / "pages" / "scale.md").read_text("utf-8").format(
        steps=f"{results['steps']:,}",
        poll=POLL, exams=EXAMS, messages=MESSAGES, busy=f"{BUSY:.0%}", planned=f"{PLANNED:.0%}", kept=KEPT,
        loads="\n".join(_loads()),
        costs="\n".join(_costs(small, large)),
        needs="\n".join(_needs(small, large)),
        saturation="\n".join(_saturation(carried)),
        first=PARTS[first][0],
        first_devices=f"{carried[first]:,.0f}",
        queries_share=f"{large.of('eight', 'processor ms') / POLL / 1000 / large.of_device('broker'):.0%}",
        writer_devices=f"{carried['writer']:,.0f}",
        writer_countries=f"{carried['writer'] / NATION:.1f}",
        writer_verdict=_verdict(carried["writer"] * PLANNED),
        grown=f"{max(small.grown, large.grown):.2f}",
        stored=f"{NATION * EXAMS * KEPT / 1e6:,.0f}",
        on_kept=f"{large.query(targets.KEPT) / large.query(targets.WARM):.0%}",
        held=_bytes(idle * NATION),
        cold=f"{large.query(targets.COLD) / large.query(targets.WARM):.1f}",
        nation=f"{NATION:,}",
        all_at_once=f"{NATION * large.of('eight', 'processor ms') / 1000 / large.brokers(NATION):,.0f}",
    )  # fmt: skip


def _loads() -> Iterator[str]:
    yield "| house | devices | exams a day | queries a second | orders a second | pairs a second |"
    yield "|---|---|---|---|---|---|"
    for name, devices in LEVELS.items():
        exams = devices * _BUSY_EXAMS
        yield (f"| {name} | {devices:,} | {devices * EXAMS:,} | {_rate(devices / POLL)} "
               f"| {_rate(exams * MESSAGES)} | {_rate(exams)} |")  # fmt: skip


def _costs(small: Costs, large: Costs) -> Iterator[str]:
    yield from ("| figure | SQLite | PostgreSQL |", "|---|---|---|")
    for words, benchmark, name, form in _FIGURES:
        yield f"| {words} | {small.of(benchmark, name):{form}} | {large.of(benchmark, name):{form}} |"


def _needs(small: Costs, large: Costs) -> Iterator[str]:
    yield ("| house | database | brokers | cores of its server | share of the writer "
           "| it grows a day | in all | answers, Mbit/s |")  # fmt: skip
    yield "|---|---|---|---|---|---|---|---|"
    for name, devices in LEVELS.items():
        alone = max(map(small.of_device, ("broker", "writer"))) * devices <= PLANNED
        costs = small if alone else large
        cores = math.ceil(costs.of_device("database") * devices / PLANNED)
        growth = costs.growth * devices * EXAMS
        yield (f"| {name} | {'SQLite' if alone else 'PostgreSQL'} | {1 if alone else costs.brokers(devices)} "
               f"| {'–' if alone else max(1, cores)} | {costs.of_device('writer') * devices:.1%} "
               f"| {_bytes(growth)} | {_bytes(growth * KEPT)} "
               f"| {_rate(costs.answer * 8 * devices / POLL / 1e6)} |")  # fmt: skip


def _saturation(carried: Mapping[str, float]) -> Iterator[str]:
    yield from ("| part | devices that saturate one | what helps |", "|---|---|---|")
    for part, devices in sorted(carried.items(), key=lambda each: each[1]):
        yield f"| {PARTS[part][0]} | {devices:,.0f} | {PARTS[part][1]} |"


def _verdict(planned: float) -> str:
    if planned >= NATION:
        return f"Planned for {PLANNED:.0%} of that, one database is enough for a country."
    return (f"Planned for {PLANNED:.0%} of that it carries {planned:,.0f} devices: "
            f"a country needs {math.ceil(NATION / planned)} databases, by region.")  # fmt: skip


def _rate(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def _bytes(number: float) -> str:
    for unit, size in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20)):
        if number >= size:
            return f"{number / size:,.1f} {unit}"
    return f"{number / 1024:,.0f} KiB"


def write(results: Mapping[str, Any], docs: Path) -> None:
    """Write the page; where not all of it was measured, leave it as it is."""
    if complete(results):
        (docs / "scale.md").write_text(page(results), "utf-8")


if __name__ == "__main__":
    write(json.loads((_HERE / "results.json").read_text("utf-8")), _HERE.parent / "docs")
