"""What the broker reports to rsyslog over TLS: each event once, in order, whoever is killed or away (F-A15)."""

from __future__ import annotations

import base64
import ssl
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import AE
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.sop_class import ModalityPerformedProcedureStep, Verification

from acceptance.hl7_wire import ORDER, Wire, changed, connected, text, told
from foreign.audit import Received, Rsyslog, collecting, judged

STUDY = "1.2.276.0.99.1"
ADT = (
    "MSH|^~\\&|RIS|HOSP|MWL|HOSP|20260701120000||ADT^A08^ADT_A01|{id}|P|2.5.1||||||UNICODE UTF-8",
    "EVN||20260701120000",
    "PID|1||P{n}^^^HOSP_A||MARKED^JOHN||19580312|M",
    "PV1|1|I|WARD1",
)
SIU = (
    "MSH|^~\\&|RIS|HOSP|MWL|HOSP|20260701120000||SIU^S12^SIU_S12|{id}|P|2.5.1",
    "SCH|AP{n}^RIS|AF{n}^RIS|||||CTHEAD^CT head^HOSP||||||||||||||||||BOOKED|PL{n}^RIS|FI{n}^RIS",
    "PID|1||P{n}^^^HOSP_A||MARKED^JOHN||19580312|M",
    "RGS|1|A",
    "AIS|1|A|CTHP^CT head plain^L|20260706103000|||30|MIN",
)
MARKED = changed(ORDER, "PID-5=MARKED^JOHN")
MERGE = changed(ADT, "MSH-9=ADT^A40^ADT_A39", "-PV1", "+MRG|P9^^^HOSP_A")
KEYS = ("PatientName=MARKED*", "ScheduledProcedureStepSequence[0].Modality=CT")


def audit(collector: Rsyslog, certificate: tuple[Path, Path], **more: Any) -> dict[str, Any]:
    """Return the section of the configuration."""
    tls = {"authorities": str(certificate[0])}
    return {"to": f"localhost:{collector.port}", "tls": tls, "source": "BROKER1", **more}


@contextmanager
def sender(broker: Any, certificate: tuple[Path, Path]) -> Iterator[Wire]:
    """Send HL7 over TLS."""
    with connected(broker, ssl.create_default_context(cafile=str(certificate[0]))) as wire:
        yield wire


def perform(broker: Any, status: str) -> int:
    """Do one N-CREATE or N-SET with pynetdicom; return the status."""
    attributes = Dataset()
    attributes.PerformedProcedureStepStatus = status
    if status == "IN PROGRESS":
        scheduled = Dataset()
        scheduled.StudyInstanceUID, scheduled.AccessionNumber = STUDY, "ACC1"
        scheduled.RequestedProcedureID, scheduled.ScheduledProcedureStepID = "RP1", "SPS1"
        attributes.ScheduledStepAttributesSequence = [scheduled]
        attributes.PatientName, attributes.PatientID = "MARKED^JOHN", "P1"
        attributes.PerformedProcedureStepID, attributes.PerformedStationAETitle = "PPS1", "CT1"
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
    association = associated(broker, "CT1", ModalityPerformedProcedureStep)
    operation = association.send_n_create if status == "IN PROGRESS" else association.send_n_set
    answer, _ = operation(attributes, ModalityPerformedProcedureStep, "1.2.276.0.99.7.1")
    association.release()
    return int(answer.Status)


def associated(
    broker: Any, calling: str, context: str = Verification, user: tuple[str, str] | None = None
) -> Any:
    """Ask for an association, for a user with a password where one is given."""
    host, port = broker.addresses["dicom"]
    entity = AE(ae_title=calling)
    entity.add_requested_context(context)
    identity = []
    if user is not None:
        item = UserIdentityNegotiation()
        item.user_identity_type = 2
        item.primary_field, item.secondary_field = (each.encode() for each in user)
        identity = [item]
    return entity.associate(host, port, ae_title="MWL", ext_neg=identity)


def figures(broker: Any) -> dict[str, float]:
    """Return the figures about audit messages."""
    host, port = broker.addresses["web"]
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=30) as page:
        lines = page.read().decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if line.startswith("mwl_audit"))
    return {name: float(value) for name, _, value in pairs}


def has(*wanted: str) -> Callable[[list[Received]], bool]:
    """Tell when each of these kinds of events has been received."""
    return lambda received: set(wanted) <= {each.event[0] for each in received}


@pytest.fixture
def collector(tmp_path: Path, certificate: tuple[Path, Path]) -> Iterator[Rsyslog]:
    """rsyslog, listening."""
    with collecting(tmp_path, certificate) as found:
        yield found


def test_f_a15_every_event_is_reported_once(
    start_broker: Callable[..., Any],
    collector: Rsyslog,
    certificate: tuple[Path, Path],
    findscu: Any,
    tmp_path: Path,
) -> None:
    """Orders, appointments, patients, exams, queries, log-ins, alerts, start and stop: all valid, all told."""
    made, key = map(str, certificate)
    broker = start_broker(
        audit=audit(collector, certificate),
        hl7={"listen": "127.0.0.1:0", "tls": {"certificate": made, "key": key}},
        dicom={"ae_title": "MWL", "listen": "127.0.0.1:0", "users": {"nora": {"password": "sesame"}}},
    )
    with sender(broker, certificate) as wire:
        sent = [
            MARKED,
            changed(MARKED, "ORC-1=XO", "ORC-7=1^once^^20260705100000^^R"),
            SIU,
            ADT,
            MERGE,
            changed(MARKED, "MSH-3=STRANGER"),
        ]
        answers = [told(wire.ask(text(each, 1, f"A{n}")))[0] for n, each in enumerate(sent)]
    findscu(broker, "CT1", *KEYS)
    done = [perform(broker, status) for status in ("IN PROGRESS", "COMPLETED")]
    associated(broker, "CT1", user=("nora", "sesame")).release()
    refused = [associated(broker, "CT1", user=("nora", "guess")), associated(broker, "STRANGER")]
    with connected(broker) as plain:
        plain.raw(b"\x0bMSH|^~\\&|")
        plain.closed()
    collector.until(has("110114", "110113"))
    assert broker.stop() == 0
    received = collector.until(
        lambda found: ("110100", "E", "0", ("110121",)) in [each.event for each in found]
    )

    assert answers == ["AA"] * 5 + ["AE"]
    assert done == [0, 0]
    assert not any(each.is_established for each in refused)
    assert sorted(each.event for each in received) == sorted([
        ("110100", "E", "0", ("110120",)),
        ("110109", "C", "0", ()),
        ("110109", "U", "0", ()),
        ("110111", "C", "0", ()),
        ("110110", "U", "0", ("RAD-12",)),
        ("110110", "U", "0", ("RAD-12",)),
        ("110110", "D", "0", ("RAD-12",)),
        ("110113", "E", "4", ("110126",)),
        ("110112", "E", "0", ("RAD-5",)),
        ("110111", "C", "0", ("RAD-6",)),
        ("110111", "U", "0", ("RAD-7",)),
        ("110114", "E", "0", ("110122",)),
        ("110114", "E", "4", ("110122",)),
        ("110113", "E", "4", ("110126",)),
        ("110113", "E", "4", ("110126",)),
        ("110100", "E", "0", ("110121",)),
    ])  # fmt: skip
    assert judged([each.document for each in received], tmp_path) == ""
    assert {(each.application, each.kind) for each in received} == {("mwl", "DICOM+RFC3881")}
    assert {each.priority for each in received if each.event[2] == "0"} == {"85"}
    by_kind = {each.event: each for each in received}
    assert by_kind["110109", "C", "0", ()].objects == [STUDY, "P1^^^HOSP_A"]
    assert by_kind["110111", "U", "0", ("RAD-7",)].objects == [STUDY, "P1"]
    assert by_kind["110110", "D", "0", ("RAD-12",)].objects == ["P9^^^HOSP_A"]
    (query,) = by_kind["110112", "E", "0", ("RAD-5",)].tree.iter("ParticipantObjectQuery")
    assert b"MARKED*" in base64.b64decode(query.text or "")
    assert "MARKED" in by_kind["110109", "C", "0", ()].document
    assert "MARKED" not in "".join(broker.raw_log)


def test_nothing_is_lost_while_the_collector_is_away_and_the_broker_is_killed(
    start_broker: Callable[..., Any], collector: Rsyslog, certificate: tuple[Path, Path], mllp_send: Any
) -> None:
    """What was acknowledged is reported: each order once, in its order, after two kills and an outage."""
    collector.stop()
    broker = start_broker(audit=audit(collector, certificate, events=["order"]))
    for n in range(1, 6):
        assert "MSA|AA" in mllp_send(broker, text(ORDER, n, f"K{n}"))
    broker.kill()
    broker.start()
    for n in range(6, 11):
        assert "MSA|AA" in mllp_send(broker, text(ORDER, n, f"K{n}"))
    broker.until("audit messages cannot be sent", 0)
    waiting = figures(broker)
    broker.kill()
    collector.start()
    broker.start()
    received = collector.until(lambda found: len(found) >= 10)
    assert broker.stop() == 0

    assert waiting["mwl_audit_waiting"] == 10
    assert waiting["mwl_audit_oldest_seconds"] > 0
    assert [each.objects[0] for each in collector.received()] == [f"1.2.276.0.99.{n}" for n in range(1, 11)]
    assert len(received) == 10


def test_a_collector_that_comes_back_gets_what_waited(
    start_broker: Callable[..., Any],
    collector: Rsyslog,
    certificate: tuple[Path, Path],
    mllp_send: Any,
    findscu: Any,
) -> None:
    """The broker goes on all the while; afterwards nothing waits, and the figures say what was sent."""
    broker = start_broker(audit=audit(collector, certificate, events=["order", "query"]))
    mllp_send(broker, text(ORDER, 1, "B1"))
    collector.until(lambda found: len(found) >= 1)
    collector.stop()
    mllp_send(broker, text(ORDER, 2, "B2"))
    findscu(broker, "CT1", *KEYS)
    broker.until("audit messages cannot be sent")
    mllp_send(broker, text(ORDER, 3, "B3"))
    collector.start()
    received = collector.until(lambda found: len(found) >= 4)
    broker.until("audit messages are sent again")
    after = figures(broker)

    assert [each.event[0] for each in received] == ["110109", "110109", "110112", "110109"]
    assert (after["mwl_audit_sent_total"], after["mwl_audit_waiting"]) == (4, 0)
    assert after["mwl_audit_failed_total"] >= 1


def test_datagrams_are_sent_where_the_site_wants_them(
    start_broker: Callable[..., Any], tmp_path: Path, certificate: tuple[Path, Path], mllp_send: Any
) -> None:
    """RFC 5426, and the settings taken over by a reload."""
    with collecting(tmp_path, certificate, "udp") as collector:
        broker = start_broker()
        mllp_send(broker, text(ORDER, 1, "U1"))
        broker.configure(
            {
                **_listening(broker), "systems": {"RIS": {"application": "RIS"}},
                "audit": {"to": f"127.0.0.1:{collector.port}", "transport": "udp"},
            }
        )  # fmt: skip
        broker.reload()
        mllp_send(broker, text(ORDER, 2, "U2"))
        received = collector.until(has("110109"))

    assert [each.objects[0] for each in received] == ["1.2.276.0.99.2"]


def _listening(broker: Any) -> dict[str, Any]:
    return {name: {"listen": f"{host}:{port}"} for name, (host, port) in broker.addresses.items()}
