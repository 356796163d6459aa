"""P1 at the real broker: devices behind one AE title are told apart, and `mwl` says by what."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

FIXTURES = Path(__file__).parents[2] / "fixtures"
SHARED = [{"profile": "by-query"}, "by-toolkit"]
PROFILES = {
    "by-query": "match: {query: {SPS.Modality: CT, PatientID: {requested: true}}}\ntruncate: {PatientName: 3}\n",
    "by-toolkit": "match: {impl_uid: '1.2.276.0.7230010.3.0.3.*'}\ntruncate: {PatientName: 5}\n",
}


@pytest.fixture
def broker(start_broker, mllp_send, tmp_path):
    """A broker with one entry for two devices, and one order of DOE^JANE."""
    folder = tmp_path / "site" / "devices"
    folder.mkdir(parents=True)
    for name, lines in PROFILES.items():
        (folder / f"{name}.yaml").write_text(f"profile: {name}\nstatus: hypothesis\n{lines}")
    device = {"profile": "generic", "shared_by": SHARED}
    running = start_broker(devices={"XX1": device}, mappings=str(folder.parent))
    assert "MSA|AA" in mllp_send(running, (FIXTURES / "hl7" / "orm-2.3-without-zds.hl7").read_text())
    return running


def test_p1_one_ae_title_is_served_by_two_profiles(broker, findscu):
    """By the query where one fits, by the toolkit otherwise; captured and explained with the right one."""
    modality = "ScheduledProcedureStepSequence[0].Modality=CT"

    def names(*keys: str) -> list[str]:
        lines = findscu(broker, "XX1", "PatientName", *keys)
        return [
            line.split("[")[1].split("]")[0].strip()
            for line in lines
            if "PatientName" in line and "DOE" in line
        ]

    assert names(modality, "PatientID") == ["DOE"]
    assert names(modality) == ["DOE^J"]

    assert broker.stop() == 0  # what was asked is on record then
    listed = json.loads(broker.run("queries", "list", "--json").stdout)
    explained = json.loads(broker.run("mapping", "explain", "XX1", "--last", "--json").stdout)
    shown = broker.run("mapping", "explain", "XX1", "PatientID=", "SPS.Modality=CT").stdout

    assert [each["profile"] for each in listed] == ["by-toolkit", "by-query"]
    assert (explained["device"]["profile"], explained["device"]["entry"]) == ("by-toolkit", "XX1")
    assert explained["device"]["recognised"].endswith("by-toolkit.yaml:3")
    assert re.search(r"chosen for this query by its match \(\S*by-query\.yaml:3\)", shown)
    assert "entry       devices.XX1 (mwl.yaml:" in shown
