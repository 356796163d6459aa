"""What is promised of speed and scale, and what the figures of a run say of each promise.

One row a promise: how it is written, where its number is found in the figures, and its bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Run: TypeAlias = Mapping[str, Any]
"""The figures of all benchmarks on one database, by benchmark."""


@dataclass(frozen=True)
class Target:
    """One promise."""

    what: str
    label: str  # the same in few words, for a picture
    promise: str
    bound: float
    value: Callable[[Run], float]
    shown: Callable[[float], str]
    beside: Callable[[Run], str] = lambda _: ""
    at_least: bool = False
    fair: Callable[[Run], bool] = lambda _: True
    """Whether the run was what the promise is about."""

    def measured(self, run: Run) -> float | None:
        """Return the number, None where it was not measured: a peer may not be installed."""
        try:
            return self.value(run)
        except KeyError:
            return None

    def held(self, run: Run) -> bool | None:
        """Tell whether the promise is kept; None where it was not measured."""
        if (number := self.measured(run)) is None:
            return None
        return self.fair(run) and (number >= self.bound if self.at_least else number <= self.bound)

    def used(self, run: Run) -> float | None:
        """Return how much of what is allowed is used: above 1 the promise is broken.

        None where it was not measured, or nothing is allowed.
        """
        if (number := self.measured(run)) is None or not self.bound:
            return None
        return self.bound / number if self.at_least else number / self.bound

    def said(self, run: Run) -> str:
        """Return what was measured, in words."""
        if (number := self.measured(run)) is None:
            return "not measured"
        beside = self.beside(run)
        return self.shown(number) + (f" ({beside})" if beside else "")


WARM, KEPT, COLD, FLOOR = "mwl, warm", "mwl, on a kept association", "mwl, nothing cached", "floor"
INSTALLED, TUNED = "wlmscpfs, 100 items", "wlmscpfs, 100 items, TCP_NODELAY=1"
MANY = "wlmscpfs, 10,000 items"


def _query(run: Run, server: str) -> float:
    return float(run["queries"][server]["median"])


def part(number: float) -> str:
    """Return a ratio in words: 1/57, or 1.24 times."""
    return f"1/{1 / number:.0f}" if 0 < number < 0.2 else f"{number:.2f} times"


def _number(unit: str, digits: int = 0) -> Callable[[float], str]:
    return lambda number: f"{number:,.{digits}f} {unit}".rstrip()


def _compared(what: str, promise: str, bound: float, one: str, other: str) -> Target:
    """Return the promise that the median of a query to *one* server is so much of that to *other*."""
    return Target(
        what, f"{one} / {other}", promise, bound, lambda run: _query(run, one) / _query(run, other), part,
        lambda run: f"{_query(run, one):.2f} of {_query(run, other):.2f} ms",
    )  # fmt: skip


def _grown(shape: str) -> Target:
    return Target(
        f"cost as work grows: {shape}", f"{shape}, as work grows",
        "at most 1.3 times that among 1,000 steps", 1.3,
        lambda run: run["shapes"][shape]["large"] / run["shapes"][shape]["small"], part,
        lambda run: f"{run['shapes'][shape]['large']:.2f} of {run['shapes'][shape]['small']:.2f} ms",
    )  # fmt: skip


def _plain(bench: str, name: str) -> Callable[[Run], float]:
    return lambda run: float(run[bench][name])


def _idle(name: str) -> Callable[[Run], float]:
    return lambda run: float(run["idle"]["mwl"][name])


def _slower(run: Run) -> float:
    return float(run["idle"]["mwl"]["crowded ms"] / run["idle"]["mwl"]["quiet ms"])


QUERY = "query among all steps, warm"
TARGETS = (
    _compared(QUERY, "at most 1/40 of wlmscpfs as installed, 100 items", 1 / 40, WARM, INSTALLED),
    _compared(QUERY, "at most 1/5 of wlmscpfs with TCP_NODELAY=1, 100 items", 1 / 5, WARM, TUNED),
    _compared(QUERY, "at most 1/300 of wlmscpfs with 10,000 items", 1 / 300, WARM, MANY),
    _compared(QUERY, "at most 2 times the floor", 2, WARM, FLOOR),
    _compared("the next query on a kept association", "at most half of that", 1 / 2, KEPT, WARM),
    _compared("the same, nothing cached", "at most 6 times the warm one", 6, COLD, WARM),
    *map(_grown, ("station and day", "patient ID", "accession", "name prefix", "modality and range")),
    Target(
        "eight clients at once",
        "eight clients at once",
        "at least 10 times the queries a second of wlmscpfs as installed",
        10,
        lambda run: run["eight"]["mwl"] / run["eight"][INSTALLED],
        part,
        lambda run: f"{run['eight']['mwl']:,.0f} to {run['eight'][INSTALLED]:,.0f} a second",
        at_least=True,
    ),
    Target(
        "1,000 idle associations: processor",
        "1,000 idle: processor",
        "at most 2 % of one core",
        2,
        _idle("processor percent"),
        _number("%", 1),
    ),
    Target(
        "1,000 idle associations: a new query",
        "1,000 idle: a new query",
        "at most 1.2 times as slow",
        1.2,
        _slower,
        part,
        lambda run: "{crowded ms:.2f} of {quiet ms:.2f} ms".format(**run["idle"]["mwl"]),
    ),
    Target(
        "1,000 idle associations: memory",
        "1,000 idle: memory",
        "at most 30 KiB each",
        30,
        _idle("memory KiB each"),
        _number("KiB", 1),
    ),
    Target(
        "a list of 5,000: the first response",
        "a list of 5,000: first response",
        "out before the last is encoded",
        0.5,
        lambda run: run["large"]["cold first ms"] / run["large"]["cold last ms"],
        lambda number: f"after {number:.0%} of the time",
        lambda run: "{cold first ms:.0f} of {cold last ms:.0f} ms, nothing cached".format(**run["large"]),
    ),
    Target(
        "a list of 5,000: memory",
        "a list of 5,000: memory",
        "flat: twenty such answers hold less than one list",
        1,
        lambda run: run["large"]["growth KiB"] / run["large"]["list KiB"],
        part,
        lambda run: "{growth KiB:,.0f} KiB; a list is {list KiB:,.0f}".format(**run["large"]),
    ),
    Target(
        "a list of 5,000: a frozen reader",
        "a list of 5,000: frozen reader",
        "costs a bounded buffer, at most 1,024 KiB",
        1024,
        _plain("large", "frozen KiB each"),
        _number("KiB each"),
    ),
    Target(
        "orders over eight connections",
        "orders, eight connections",
        "at least 1,000 a second",
        1_000,
        _plain("orders", "eight connections"),
        _number("a second"),
        at_least=True,
    ),
    Target(
        "orders on one connection",
        "orders, one connection / bare commits",
        "at least a third of bare one-row commits",
        1 / 3,
        _plain("orders", "one connection / bare"),
        part,
        lambda run: "{one connection:,.0f} to {bare commits:,.0f} a second".format(**run["orders"]),
        at_least=True,
    ),
    Target(
        "N-CREATE and N-SET pairs over eight associations",
        "N-CREATE and N-SET pairs",
        "at least 300 a second",
        300,
        _plain("performed", "pairs"),
        _number("a second"),
        at_least=True,
    ),
    Target(
        "the worklist while orders come at 500 a second",
        "worklist under 500 orders a second",
        "median at most twice the quiet one",
        2,
        lambda run: run["pouring"]["busy ms"] / run["pouring"]["quiet ms"],
        part,
        lambda run: "{busy ms:.2f} of {quiet ms:.2f} ms, at {orders a second:.0f} orders a second".format(
            **run["pouring"]
        ),
        fair=lambda run: run["pouring"]["orders a second"] >= 475,
    ),
    Target(
        "memory with all steps stored",
        "memory",
        "at most 200 MB",
        200 * 1e6 / 2**20,
        _plain("memory", "peak MiB"),
        lambda number: f"{number * 2**20 / 1e6:.0f} MB",
        lambda _: "resident set at its height",
    ),
    Target(
        "start until ready",
        "start until ready",
        "at most 2 s",
        2,
        _plain("start", "median s"),
        _number("s", 2),
    ),
    Target(
        "from AA to visible in the next query",
        "AA, then visible",
        "always, on every broker of the database",
        0,
        _plain("visible", "failures"),
        _number("failures"),
        lambda run: "{queries:,} queries, two brokers".format(**run["visible"]),
    ),
)

ON_POSTGRESQL = _compared(
    "a query on PostgreSQL", "at most 1.5 times SQLite's", 1.5, WARM, "mwl on SQLite, warm"
)
"""A promise that takes both databases; its figures are those of a run on PostgreSQL."""


def of(database: str) -> Iterator[Target]:
    """Yield the promises that a run on a kind of database is held against."""
    yield from TARGETS
    if database == "postgresql":
        yield ON_POSTGRESQL
