"""Every benchmark runs and finds what it should; how long that takes is nobody's affair here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import eight
import idle
import large
import memory
import orders
import performed
import pouring
import shapes
import start
import targets
import visible
import worklist
from asking import shapes as asked_shapes

from foreign.dicom.presence import missing

RUN = Path(worklist.__file__).with_name("run.py")
PEERS = {targets.INSTALLED, targets.TUNED, targets.MANY}


def test_a_query_is_put_to_the_broker_its_peers_and_the_floor(stage):
    """Each of them answers with the same twenty matches, or the benchmark ends with an error."""
    found = worklist.measure(stage)

    ours = {targets.WARM, targets.KEPT, targets.COLD, targets.FLOOR, "plain pynetdicom, 20 items"}
    assert ours <= set(found)
    assert {found[name]["count"] for name in ours} == {stage.runs}
    if not set(found) >= PEERS:
        missing("wlmscpfs", "dcmtk")


def test_each_shape_of_query_has_the_same_matches_in_every_hospital(stage):
    """Station and day, patient ID, accession, name prefix, modality and range."""
    assert set(shapes.measure(stage)) == set(asked_shapes())


def test_eight_clients_get_the_answers_that_one_gets(stage):
    """The load generator ends with an error where an answer is another one."""
    found = eight.measure(stage)

    assert found["mwl"] > 0
    assert found["floor"] > 0


def test_idle_associations_are_held_while_others_ask(stage):
    """Twenty at the broker, five at pynetdicom's server."""
    found = idle.measure(stage)

    assert {name: each["associations"] for name, each in found.items()} == {"mwl": 20, "plain pynetdicom": 5}


def test_a_long_list_begins_to_leave_before_it_is_whole(stage):
    """Half of the hospital's steps, to readers that read and to readers that do not."""
    found = large.measure(stage)

    assert found["responses"] == 100
    assert found["cold first ms"] < found["cold last ms"]


def test_a_start_and_the_memory_of_a_broker_at_work_are_measured(stage):
    """From its process, and from the system's figures of it."""
    assert start.measure(stage)["median s"] > 0
    assert memory.measure(stage)["peak MiB"] > 10


def test_orders_are_acknowledged_and_their_bytes_committed(stage):
    """The client ends with an error where one is not accepted."""
    found = orders.measure(stage)

    assert found["eight connections"] > 0
    assert found["bare commits"] > 0


def test_performed_steps_complete_the_steps_they_are_about(stage):
    """Sixteen to warm up and sixteen that count, all of them linked."""
    assert performed.measure(stage)["completed"] == 32


def test_the_worklist_is_asked_for_while_orders_come(stage):
    """And it is told how many came."""
    found = pouring.measure(stage)

    assert found["orders a second"] > 0
    assert found["queries"] > 0


def test_an_order_that_was_acknowledged_is_found_by_the_next_query_at_both_brokers(stage):
    """Five orders, each asked for at the broker that did not take it, and at the one that did."""
    assert visible.measure(stage) == {"orders": 5, "queries": 10, "failures": 0}


def test_one_command_measures_and_writes_the_pages(stage, tmp_path):
    """Figures are kept, pages are written of what there is, and the table is printed."""
    words = ["--only", "start", "--database", "sqlite", "--steps", str(stage.steps), "--runs", "1"]
    places = ["--folder", stage.folder, "--results", tmp_path / "results.json", "--docs", tmp_path]
    done = subprocess.run([sys.executable, RUN, *words, *places], check=True, capture_output=True, text=True)

    results = json.loads((tmp_path / "results.json").read_text("utf-8"))
    assert set(results["sqlite"]) == {"start"}
    assert results["steps"] == stage.steps
    assert "| start until ready | at most 2 s |" in done.stdout
    assert "| start until ready | at most 2 s |" in (tmp_path / "benchmarks.md").read_text("utf-8")
    assert (tmp_path / "benchmarks.svg").exists()
