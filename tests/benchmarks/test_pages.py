"""The pages say what was measured: text, table, picture and study are those of benchmarks/results.json."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import report
import scale
import targets
from chart import Bar, Panel, svg

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def results():
    """The figures of the run that the pages are about."""
    return json.loads((ROOT / "benchmarks" / "results.json").read_text("utf-8"))


@pytest.fixture
def run(results):
    """Those on SQLite."""
    return results["sqlite"]


def changed(run, benchmark, **figures):
    """Return a run with other figures."""
    return {**run, benchmark: {**run[benchmark], **figures}}


def test_the_page_of_the_benchmarks_is_that_of_the_figures(results):
    """``python benchmarks/report.py`` writes it anew."""
    assert (DOCS / "benchmarks.md").read_text("utf-8") == report.page(results)
    assert (DOCS / "benchmarks.svg").read_text("utf-8") == report.picture(results)


def test_the_study_of_scale_is_that_of_the_figures(results):
    """``python benchmarks/scale.py`` writes it anew."""
    assert (DOCS / "scale.md").read_text("utf-8") == scale.page(results)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_every_promise_was_measured(results, database):
    """On both databases; a peer that was not installed would show here."""
    promised = list(targets.of(database))

    assert [target.what for target in promised if target.measured(results[database]) is None] == []


def test_the_figures_name_no_machine(results):
    """Its processor and versions, and nothing of whose it is or where files lie on it."""
    assert set(results["machine"]) <= {
        "processor", "cores", "memory", "kernel", "Python", "SQLite", "PostgreSQL", "DCMTK (wlmscpfs)",
        "Orthanc",
    }  # fmt: skip
    assert "/" not in json.dumps(results["machine"])


@pytest.mark.parametrize(("pairs", "kept"), [(299, False), (300, True), (900, True)])
def test_a_promise_of_at_least_so_much_is_kept_from_there_on(run, pairs, kept):
    """Three hundred pairs a second."""
    (target,) = (each for each in targets.TARGETS if each.what.startswith("N-CREATE"))
    found = changed(run, "performed", pairs=pairs)

    assert target.held(found) is kept
    assert target.used(found) == 300 / pairs


def test_a_promise_of_at_most_so_much_is_kept_up_to_there(run):
    """Two seconds until it is ready."""
    (target,) = (each for each in targets.TARGETS if each.what == "start until ready")

    assert target.held(changed(run, "start", **{"median s": 2.0})) is True
    assert target.held(changed(run, "start", **{"median s": 2.1})) is False


def test_orders_that_did_not_come_keep_no_promise(run):
    """A quick worklist beside 100 orders a second says nothing of 500."""
    (target,) = (each for each in targets.TARGETS if "500 a second" in each.what)
    figures = {"quiet ms": 1.0, "busy ms": 1.5, "orders a second": 500.0}

    assert target.held({"pouring": figures}) is True
    assert target.held({"pouring": {**figures, "orders a second": 100.0}}) is False


def test_what_was_not_measured_is_neither_kept_nor_broken(run):
    """A peer that is not installed leaves its rows empty."""
    (target, *_) = targets.TARGETS
    without = {**run, "queries": {targets.WARM: run["queries"][targets.WARM]}}

    assert target.held(without) is None
    assert target.said(without) == "not measured"


def test_a_longer_bar_is_ten_times_as_much_at_the_next_line():
    """The scale is logarithmic; what is written behind a bar is text, whatever it holds."""
    panel = Panel("times", [Bar("a", 1.0, "<1>"), Bar("b", 10.0, "10"), Bar("c", 100.0, "100")], mark=10.0)
    picture = ET.fromstring(svg([panel]))
    _, *bars = (float(each.get("width")) for each in picture.iter(f"{SVG}rect"))

    assert bars[2] == pytest.approx(2 * bars[1])
    assert "<1>" in {each.text for each in picture.iter(f"{SVG}text")}


def test_a_country_needs_more_than_a_clinic(results):
    """More brokers, and more of the writer, for each step up in size."""
    large = scale.Costs(results["postgresql"])
    loads = [large.of_device("writer") * devices for devices in scale.LEVELS.values()]

    assert loads == sorted(loads)
    assert large.brokers(scale.NATION) >= large.brokers(scale.LEVELS["a region"])
