"""An order goes in, a worklist comes out, the status goes back: with foreign clients at every door."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Callable
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import ModalityPerformedProcedureStep

ORDER = (
    "MSH|^~\\&|RIS|HOSP|MWL|HOSP|20260701120000||ORM^O01|C{n}|P|2.3.1||||||UNICODE UTF-8\n"
    "PID|1||PID00{n}^^^HOSP||{name}||19700101|F\n"
    "PV1|1|I|WARD1\n"
    "ORC|{control}|PL{n}^RIS|FI{n}^RIS||{status}||1^once^^20260705093000^^S|||||||||||CT1\n"
    "OBR|1|PL{n}^RIS|FI{n}^RIS|CT01^CT head^L||||||||||||||ACC{n}|RP{n}|SPS{n}||||CT|||1^once^^20260705093000^^S\n"
    "ZDS|1.2.276.0.99.{n}^RIS^Application^DICOM\n"
)
KEYS = (
    "PatientName", "PatientID", "StudyInstanceUID", "AccessionNumber", "RequestedProcedureID",
    "ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate=20260705",
    "ScheduledProcedureStepSequence[0].Modality=CT",
    "ScheduledProcedureStepSequence[0].ScheduledStationAETitle",
    "ScheduledProcedureStepSequence[0].ScheduledProcedureStepID",
    "ScheduledProcedureStepSequence[0].ScheduledProcedureStepStatus",
)  # fmt: skip


def order(n: int, name: str = "DOE^JANE", control: str = "NW", status: str = "") -> str:
    return ORDER.format(n=n, name=name, control=control, status=status)


def values(lines: list[str], tag: str) -> list[str]:
    """Return the bracketed values findscu dumped for *tag*, responses only."""
    begin = next((i for i, line in enumerate(lines) if "Find Response" in line), len(lines))
    return [
        line.partition("[")[2].rpartition("]")[0].strip()
        for line in lines[begin:]
        if tag in line and "[" in line
    ]


def perform(broker: Any, uid: str, status: str, calling: str = "CT1") -> int:
    """Do one N-CREATE or N-SET with pynetdicom; return the status."""
    host, port = broker.addresses["dicom"]
    attributes = Dataset()
    attributes.PerformedProcedureStepStatus = status
    if status == "IN PROGRESS":
        scheduled = Dataset()
        scheduled.StudyInstanceUID, scheduled.AccessionNumber = "1.2.276.0.99.1", "ACC1"
        scheduled.RequestedProcedureID, scheduled.ScheduledProcedureStepID = "RP1", "SPS1"
        attributes.ScheduledStepAttributesSequence = [scheduled]
        attributes.PatientName, attributes.PatientID = "DOE^JANE", "PID001"
        attributes.PerformedProcedureStepID, attributes.PerformedStationAETitle = "PPS1", calling
        attributes.PerformedProcedureStepStartDate = "20260705"
        attributes.PerformedProcedureStepStartTime = "093100"
        attributes.Modality = "CT"
        attributes.PerformedSeriesSequence = []
    else:
        attributes.PerformedProcedureStepEndDate = "20260705"
        attributes.PerformedProcedureStepEndTime = "094500"
        series = Dataset()
        series.SeriesInstanceUID, series.ProtocolName = "1.2.3.4", "HEAD"
        attributes.PerformedSeriesSequence = [series]
    entity = AE(ae_title=calling)
    entity.add_requested_context(ModalityPerformedProcedureStep)
    association = entity.associate(host, port, ae_title="MWL")
    assert association.is_established
    operation = association.send_n_create if status == "IN PROGRESS" else association.send_n_set
    answer, _ = operation(attributes, ModalityPerformedProcedureStep, uid)
    association.release()
    return int(answer.Status)


async def test_an_order_is_seen_performed_and_told(
    start_broker: Callable[..., Any], findscu: Any, mllp_send: Any, ris: Any
) -> None:
    """The whole chain: NW, findscu -W, N-CREATE, N-SET, status messages with the order's numbers."""
    told = {
        "application": "RIS",
        "facility": "HOSP",
        "status": {"to": f"127.0.0.1:{ris.port}", "message": "ORM^O01"},
    }
    broker = await asyncio.to_thread(start_broker, systems={"RIS": told})

    answer = await asyncio.to_thread(mllp_send, broker, order(1))
    before = await asyncio.to_thread(findscu, broker, "CT1", *KEYS)
    created = await asyncio.to_thread(perform, broker, "1.2.276.0.99.7.1", "IN PROGRESS")
    begun = await ris.next()
    during = await asyncio.to_thread(findscu, broker, "CT1", *KEYS)
    completed = await asyncio.to_thread(perform, broker, "1.2.276.0.99.7.1", "COMPLETED")
    done = await ris.next()
    after = await asyncio.to_thread(findscu, broker, "CT1", *KEYS)

    assert "MSA|AA|C1" in answer
    assert values(before, "(0010,0020)") == ["PID001"]
    assert values(before, "(0020,000d)") == ["1.2.276.0.99.1"]
    assert values(before, "(0040,0020)") == ["SCHEDULED"]
    assert values(before, "(0040,0001)") == ["CT1"]
    assert (created, completed) == (0, 0)
    assert values(during, "(0040,0020)") == ["STARTED"]
    assert values(after, "(0010,0020)") == []
    assert [begun["ORC"][1], begun["ORC"][2], begun["ORC"][3], begun["ORC"][5]] == [
        "SC",
        "PL1^RIS",
        "FI1^RIS",
        "IP",
    ]
    assert [done["ORC"][1], done["ORC"][2], done["ORC"][3], done["ORC"][5]] == [
        "SC",
        "PL1^RIS",
        "FI1^RIS",
        "CM",
    ]
    assert begun["OBR"][18] == "ACC1"
    assert begun["MSH"][9] != done["MSH"][9]


async def test_status_waits_for_the_ris_across_a_restart(
    start_broker: Callable[..., Any], mllp_send: Any, ris: Any
) -> None:
    """F-M29: with the RIS down devices are answered at once; IP then CM arrive after a restart."""
    ris.deaf()
    told = {"application": "RIS", "status": {"to": f"127.0.0.1:{ris.port}", "message": "ORM^O01"}}
    broker = await asyncio.to_thread(start_broker, systems={"RIS": told})
    await asyncio.to_thread(mllp_send, broker, order(1))

    assert await asyncio.to_thread(perform, broker, "1.2.276.0.99.7.2", "IN PROGRESS") == 0
    assert await asyncio.to_thread(perform, broker, "1.2.276.0.99.7.2", "COMPLETED") == 0
    waiting = json.loads(broker.run("outbox", "list", "--json").stdout)
    assert await asyncio.to_thread(broker.stop) == 0
    await ris.listen()
    await asyncio.to_thread(broker.start)
    first, second = await ris.next(), await ris.next()

    assert [row["state"] for row in waiting] == ["pending", "pending"]
    assert [first["ORC"][5], second["ORC"][5]] == ["IP", "CM"]


def test_a_cancelled_order_leaves_the_list_and_a_change_shows(
    broker: Any, findscu: Any, mllp_send: Any
) -> None:
    """CA hides the step, XO moves it, and each is seen by the very next query."""
    mllp_send(broker, order(1))
    moved = order(1, control="XO").replace("20260705093000", "20260706101500").replace("|C1|", "|C2|")
    mllp_send(broker, moved)
    on_the_old_day = findscu(broker, "CT1", *KEYS)
    on_the_new_day = findscu(broker, "CT1", *(key.replace("20260705", "20260706") for key in KEYS))
    answer = mllp_send(broker, order(1, control="CA").replace("|C1|", "|C3|"))
    after = findscu(broker, "CT1", *(key.replace("20260705", "20260706") for key in KEYS))

    assert values(on_the_old_day, "(0010,0020)") == []
    assert values(on_the_new_day, "(0010,0020)") == ["PID001"]
    assert "MSA|AA|C3" in answer
    assert values(after, "(0010,0020)") == []


def test_each_device_gets_its_own_script(broker: Any, findscu: Any, mllp_send: Any) -> None:
    """F40, F41: a GE CT gets Latin-1 and pinyin, another device what it asks for; never a question mark."""
    mllp_send(broker, order(1, name="MÜLLER^Jürgen"))
    mllp_send(broker, order(2, name="王^小明^^^^^L^I"))
    keys = ("PatientName", "PatientID", "SpecificCharacterSet=ISO_IR 192", *KEYS[5:7])

    ct = findscu(broker, "CT1", *keys)
    us = findscu(broker, "US1", *keys)

    assert set(values(ct, "(0008,0005)")) == {"ISO_IR 100"}
    names = "\n".join(values(ct, "(0010,0010)")).encode("utf-8", "surrogateescape").decode("latin-1")
    assert "MÜLLER^Jürgen" in names
    assert "WANG^XIAOMING" in names.upper()
    assert any("王^小明" in name for name in values(us, "(0010,0010)"))
    assert not any("?" in name for name in values(ct, "(0010,0010)") + values(us, "(0010,0010)"))


def test_health_readiness_and_metrics_are_served(broker: Any) -> None:
    """The three pages an operator's probes ask for answer 200."""
    host, port = broker.addresses["web"]

    pages = {}
    for path in ("healthz", "readyz", "metrics"):
        with urllib.request.urlopen(f"http://{host}:{port}/{path}", timeout=30) as page:
            pages[path] = (page.status, page.read().decode())

    assert [status for status, _ in pages.values()] == [200, 200, 200]
    assert "mwl_dicom_associations" in pages["metrics"][1]


def test_no_patient_stands_in_the_log(broker: Any, findscu: Any, mllp_send: Any) -> None:
    """F-A16: at the default level neither names nor identifiers of patients are logged."""
    mllp_send(broker, order(1, name="SECRETNAME^JANE"))
    findscu(broker, "CT1", *KEYS)
    perform(broker, "1.2.276.0.99.7.3", "IN PROGRESS")
    assert broker.stop() == 0

    log = "".join(broker.raw_log)

    assert "worklist query answered" in log
    assert "SECRETNAME" not in log
    assert "PID001" not in log
