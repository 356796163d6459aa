"""What ships for watching the broker speaks of metrics and labels that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from mwl import metrics
from mwl.cli import cli

DEPLOY = Path(__file__).parent.parent / "deploy"
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
ADDED = {"instance", "job", "le", "worker"}
"""Labels that Prometheus, a histogram, or several workers add."""
REPLACED = re.compile(r'label_replace\([^"]*"(\w+)"')
"""A label that an expression adds."""


def known() -> dict[str, set[str]]:
    """Return the names of all series, each with the labels it has."""
    found: dict[str, set[str]] = {"up": set()}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            for suffix in SUFFIXES[metric._type]:
                found[metric._name + suffix] = {*metric._labelnames}
    return found


KNOWN = known()
ALERTS = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus" / "mwl.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
BOARD = json.loads((DEPLOY / "grafana" / "mwl.json").read_text("utf-8"))
TARGETS = [
    (f"{panel['title']} {target['refId']}", target)
    for panel in BOARD["panels"]
    for target in panel["targets"]
]
EXPRESSIONS = [(rule["alert"], rule["expr"]) for rule in ALERTS] + [(t, each["expr"]) for t, each in TARGETS]


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Yield the series an expression names, each with the labels it selects by."""
    for name, labels in re.findall(r"\b(mwl_\w+|up)\b(?:\{([^}]*)\})?", expression):
        yield name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", labels))


@pytest.mark.parametrize(("title", "expression"), EXPRESSIONS, ids=[title for title, _ in EXPRESSIONS])
def test_a_rule_and_a_panel_ask_for_series_and_labels_there_are(title: str, expression: str) -> None:
    """A metric that was renamed would never alarm anybody."""
    named = list(selectors(expression))
    grouped = {
        label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")
    }
    labels = set().union(*(KNOWN.get(name, set()) for name, _ in named), REPLACED.findall(expression)) | ADDED

    assert named, title
    assert {name for name, _ in named} <= KNOWN.keys()
    assert [name for name, used in named if not used <= KNOWN[name] | ADDED] == []
    assert grouped <= labels
    assert expression.count("(") == expression.count(")")


@pytest.mark.parametrize("rule", ALERTS, ids=[rule["alert"] for rule in ALERTS])
def test_an_alert_says_what_it_is_about(rule: dict[str, Any]) -> None:
    """How urgent it is, of which instance or peer, and what to do by which command."""
    told = " ".join(rule["annotations"].values())
    series = (KNOWN[name] for name, _ in selectors(rule["expr"]))
    labels = set().union(*series, REPLACED.findall(rule["expr"])) | ADDED
    commands = re.findall(r"\bmwl ([a-z0-9]+)", told)

    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"]
    assert set(re.findall(r"\$labels\.(\w+)", told)) <= labels
    assert [name for name in commands if name not in cli.table] == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(("title", "target"), TARGETS, ids=[title for title, _ in TARGETS])
def test_a_legend_names_labels_there_are(title: str, target: dict[str, Any]) -> None:
    """Those of its series, and those that Prometheus adds."""
    labels = set().union(*(KNOWN[name] for name, _ in selectors(target["expr"]))) | ADDED

    assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels


def test_the_panels_of_the_board_do_not_overlap() -> None:
    """Grafana's grid has 24 columns."""
    taken = [
        (x, y)
        for each in (panel["gridPos"] for panel in BOARD["panels"])
        for x in range(each["x"], each["x"] + each["w"])
        for y in range(each["y"], each["y"] + each["h"])
    ]

    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])


@pytest.mark.parametrize("expressions", [[rule["expr"] for rule in ALERTS], [t["expr"] for _, t in TARGETS]])
def test_a_limit_that_strikes_is_seen_on_whichever_side(expressions: list[str]) -> None:
    """DICOM, HL7 and HTTP each count their own."""
    asked = {name for expression in expressions for name, _ in selectors(expression)}

    assert {name for name in KNOWN if name.endswith("_limits_total")} <= asked


def test_an_alert_watches_every_gauge_that_means_trouble() -> None:
    """Nobody sees a figure that nobody asks for."""
    asked = {name for _, expression in EXPRESSIONS for name, _ in selectors(expression)}

    assert {
        "mwl_part_up", "mwl_synthetic_ok", "mwl_outbox_parked", "mwl_outbox_oldest_seconds", "mwl_reload_failed",
        "mwl_performed_unlinked", "mwl_watch_found", "mwl_store_waiting", "mwl_certificate_end_timestamp_seconds",
    } <= asked  # fmt: skip
