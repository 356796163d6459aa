"""Figures of one process, and of several."""

from __future__ import annotations

import json

from prometheus_client.parser import text_string_to_metric_families

from mwl import metrics


def test_figures_of_several_processes_stand_side_by_side():
    """Each with whose it is; kinds and help are kept, and what one has alone is there."""
    metrics.associations_total.labels("released").inc()
    metrics.query_seconds.observe(0.003)
    one = json.loads(json.dumps(metrics.snapshot()))
    other = [family for family in one if family[0] == "mwl_dicom_associations"]
    text, media_type = metrics.exposition_of({"1": one, "2": other})
    families = {family.name: family for family in text_string_to_metric_families(text.decode())}
    (counter, histogram) = (
        families[name] for name in ("mwl_dicom_associations", "mwl_worklist_query_seconds")
    )

    assert media_type.startswith("text/plain")
    assert (counter.type, histogram.type) == ("counter", "histogram")
    assert counter.documentation == "DICOM associations by outcome"
    released = {s.labels["worker"]: s.value for s in counter.samples if s.labels.get("outcome") == "released"}
    assert released.keys() == {"1", "2"}
    assert released["1"] == released["2"] >= 1
    assert {sample.labels["worker"] for sample in histogram.samples} == {"1"}
    assert {"process_resident_memory_bytes"} <= families.keys()
