"""A profile is changed: what the device would notice is told before it does, and then it does."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from acceptance.manual import Reader

ORDER = (
    "MSH|^~\\&|RIS|HOSP|MWL|HOSP|20260701120000||ORM^O01|C{n}|P|2.3.1||||||UNICODE UTF-8\n"
    "PID|1||PID00{n}^^^HOSP||{name}||19700101|F\n"
    "ORC|NW|PL{n}^RIS|FI{n}^RIS||||1^once^^20260705093000^^S|||||||||||{station}\n"
    "OBR|1|PL{n}^RIS|FI{n}^RIS|CT01^CT head^L||||||||||||||ACC{n}|RP{n}|SPS{n}||||CT|||1^once^^20260705093000^^S\n"
)
KEYS = (
    "SpecificCharacterSet=ISO_IR 192", "PatientName", "PatientID", "AccessionNumber", "RequestedProcedureDescription",
    "ScheduledProcedureStepSequence[0].Modality=CT",
    "ScheduledProcedureStepSequence[0].ScheduledStationAETitle=CT1",
    "ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate",
)  # fmt: skip
OURS = "profile: our-ct\nstatus: partial\n"
DRAFT = OURS + "ignore_keys: [SPS.ScheduledStationAETitle]\ntruncate: {PatientName: 8}\n"
DEVICES = {"CT1": {"profile": "our-ct"}}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site's folder with a profile, and a draft beside it."""
    for name, text in {"mappings/devices/our-ct.yaml": OURS, "drafts/our-ct.yaml": DRAFT}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def ordered(broker: Any, mllp_send: Callable[..., str]) -> None:
    """Send two orders, for two scanners."""
    for n, (name, station) in enumerate([("SCHWARZENBERGER^EVA", "CT1"), ("DOE^JANE", "CT2")], 1):
        assert "MSA|AA" in mllp_send(broker, ORDER.format(n=n, name=name, station=station))


def names(lines: list[str]) -> list[str]:
    """Return the patients' names in what findscu printed of responses."""
    begin = next((i for i, line in enumerate(lines) if "Find Response" in line), len(lines))
    return [
        line.partition("[")[2].partition("]")[0].strip() for line in lines[begin:] if "(0010,0010)" in line
    ]


def on_record(broker: Any, number: int) -> None:
    """Wait until so many queries are on record: they are written behind the device's back."""
    for _ in range(60):
        if len(json.loads(broker.run("queries", "list", "--json").stdout)) >= number:
            return
    pytest.fail("the query is not on record")


def test_a_draft_is_proven_on_the_devices_own_queries_and_goes_live(start_broker, findscu, mllp_send, site):
    """What the replay says beforehand is what the device gets afterwards."""
    broker = start_broker(devices=DEVICES, mappings=str(site / "mappings"), reload={"watch": False})
    ordered(broker, mllp_send)
    before = names(findscu(broker, "CT1", *KEYS))
    on_record(broker, 1)
    draft = str(site / "drafts" / "our-ct.yaml")

    replayed = broker.run("mapping", "replay", "CT1", "--with", draft)
    told = json.loads(broker.run("mapping", "replay", "CT1", "--with", draft, "--json").stdout)
    (site / "mappings" / "devices" / "our-ct.yaml").write_text(DRAFT)
    edited = broker.run("mapping", "replay", "CT1", "--with", "our-ct")
    broker.reload()
    after = names(findscu(broker, "CT1", *KEYS))
    live = broker.run("mapping", "replay", "CT1", "--with", "our-ct")
    earlier = broker.run("mapping", "replay", "CT1", "--with", "our-ct", "--against", "1")

    assert before == ["SCHWARZENBERGER^EVA"]
    assert replayed.returncode == 1
    (query,) = told["queries"]
    assert (query["sent"], query["counts"]) == ([1, 2], {"appears": 1, "changes": 1})
    assert [
        (change["path"], change["after"]) for each in query["differences"] for change in each["changes"]
    ] == [("PatientName", "SCHWARZE")]
    assert "SPS.ScheduledStationAETitle: wants CT1, finds CT2" in replayed.stdout
    assert after == ["SCHWARZE", "DOE^JANE"]
    assert (edited.returncode, live.returncode, earlier.returncode) == (1, 0, 1)
    assert "set 1: devices/our-ct.yaml" in edited.stdout


def test_a_draft_in_the_shadow_is_compared_and_never_sent(start_broker, findscu, mllp_send, site):
    """The device gets its own list; the log, the figures and the command say what the draft would do."""
    (site / "mappings" / "devices" / "our-ct-2.yaml").write_text(DRAFT.replace("our-ct", "our-ct-2"))
    devices = {"CT1": {"profile": "our-ct", "shadow": "our-ct-2"}}
    broker = start_broker(devices=devices, mappings=str(site / "mappings"))
    ordered(broker, mllp_send)

    sent = names(findscu(broker, "CT1", *KEYS))
    told = broker.until("draft would differ")
    shown = broker.run("mapping", "replay", "CT1", "--shadow")
    host, port = broker.addresses["web"]
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=30) as response:
        figures = response.read().decode()

    assert sent == ["SCHWARZENBERGER^EVA"]
    assert (told["device"], told["profile"], told["sent"], told["appears"]) == ("CT1", "our-ct-2", [1, 2], 1)
    assert "SCHWARZE" not in "".join(broker.raw_log)
    assert shown.returncode == 1
    assert "'SCHWARZENBERGER^EVA' → 'SCHWARZE'" in shown.stdout
    assert 'mwl_shadow_queries_total{device="CT1",outcome="differs"} 1.0' in figures


def test_the_examples_of_a_profile_run_at_the_site(start_broker, site):
    """Those that are shipped, with the site's own beside them."""
    broker = start_broker(devices=DEVICES, mappings=str(site / "mappings"))

    done = broker.run("mapping", "test", "--json")

    assert done.returncode == 0, done.stdout
    assert {each["profile"] for each in json.loads(done.stdout)} >= {"generic", "ge-ct-connectpro"}


def test_the_manuals_own_example_runs_as_it_is_written(start_broker):
    """Every command of the section prints what stands below it."""
    reader = Reader(start_broker, unnamed="orders.hl7")

    reader.read_section("field-engineer.md", "Prove a change before it goes live")

    assert reader.seen == reader.said
