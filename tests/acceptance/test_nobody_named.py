"""Whatever comes in and goes wrong: no log line, no metric, no answer names a patient.

Marked names stand wherever a peer can write: in orders taken, refused and not understood, in queries, in
performed steps, in what a RIS and another SCP answer.
"""

from __future__ import annotations

import json
import socket
import socketserver
import threading
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE

from acceptance.mpps_vectors import created, ended, scheduled
from foreign.dicom.performing import PynetdicomReporter, Request
from foreign.dicom.receiver import receiving, status

NAME, KANJI = "QUENNERSTEDT^ZSOFIA", "鬼頭^雛子"
PATIENT, ACCESSION, NOTE = "MRN7731552", "ACZX90417", "VANDERSLOOT TELEPHONED"
MARKS = ("quennerstedt", "zsofia", "鬼頭", "雛子", PATIENT, ACCESSION, "vandersloot")
DEVICE = {"profile": "generic"}

MSH = "MSH|^~\\&|{application}|HOSP|MWL|HOSP|20260701120000||{kind}|{n}|P|2.3.1||||||{charset}\r"
PID = f"PID|1||{PATIENT}^^^HOSP_A||{NAME}={KANJI}||{{born}}|F|||{NOTE}\r"
ORC = "ORC|{control}|{placer}^RIS|FI1^RIS||||1^once^^{start}^^R|||||||||||CT1\r"
OBR = (
    f"OBR|1|{{placer}}^RIS|FI1^RIS|CTH^{NOTE}^L||||||||||||||{ACCESSION}|RP1|SPS1||||CT|||1^once^^{{start}}^^R\r"
    f"NTE|1||{NOTE} {PATIENT}\rZDS|{{study}}^RIS^Application^DICOM\r"
)
USUAL = {
    "application": "RIS", "kind": "ORM^O01", "charset": "UNICODE UTF-8", "born": "19580312", "control": "NW",
    "start": "20260705090000", "placer": "PL1", "study": "1.2.276.0.99.1",
}  # fmt: skip


def message(n: int, segments: str = MSH + PID + ORC + OBR, **changes: str) -> str:
    """Return a message about the marked patient."""
    return segments.format(n=n, **{**USUAL, **changes})


MESSAGES = [
    message(1),
    message(1),  # once more
    message(1, placer="PL9"),  # another message of the same control ID
    message(2, control="XO", born=NAME),
    message(3, control=PATIENT),
    message(4, start=NAME),
    message(5, study=NAME),
    message(6, placer=NAME * 20),
    message(7, kind="ORM^O99"),
    message(8, charset="8859/99"),
    message(9, application=NAME),
    message(10, MSH + PID),
    message(11, MSH + PID + f"{PATIENT}|1|{NAME}\r" + ORC),
    message(12, MSH + f"MRG|{PATIENT}\r" + PID, kind="ADT^A40"),
    message(13, MSH + PID + f"MRG|{PATIENT}^^^HOSP_A\r", kind="ADT^A40"),
    message(14, MSH + PID, kind="ADT^A08"),
    message(15, MSH + f"SCH|{PATIENT}|{PATIENT}\r" + PID, kind="SIU^S12"),
    message(16, control="CA", placer=PATIENT),
    f"{NAME}|{PATIENT}",
    f"MSH|{NAME}",
]


class Refusing(socketserver.StreamRequestHandler):
    """A RIS whose answers quote what they refuse."""

    def handle(self) -> None:
        block = b""
        while octets := self.request.recv(65536):
            block += octets
            while b"\x1c\r" in block:
                told, _, block = block.partition(b"\x1c\r")
                control_id = told.split(b"\r")[0].split(b"|")[9].decode()
                self.wfile.write(
                    f"\x0bMSH|^~\\&|RIS|HOSP|MWL|HOSP|20260701||ACK|1|P|2.3.1\r"
                    f"MSA|AE|{control_id}|{NAME} {PATIENT} {KANJI} unknown\r\x1c\r".encode()
                )


@pytest.fixture
def ris() -> Iterator[str]:
    """The address of such a RIS."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refusing) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield "{}:{}".format(*server.server_address)
        server.shutdown()
        serving.join()


def ask(broker: Any, **keys: str) -> list[str]:
    """Query as a device does; return the error comments."""
    identifier = Dataset()
    identifier.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    entity = AE(ae_title="CT1")
    entity.add_requested_context("1.2.840.10008.5.1.4.31")
    association = entity.associate(*broker.addresses["dicom"], ae_title="MWL")
    assert association.is_established
    answers = [str(answer) for answer, _ in association.send_c_find(identifier, "1.2.840.10008.5.1.4.31")]
    association.release()
    return answers


def report(broker: Any, operation: str, attributes: dict[str, Any], uid: str = "1.2.276.0.99.7.1") -> str:
    """Report an exam as a device does; return the error comment."""
    filled = json.loads(json.dumps(attributes).replace("{n}", "1"))
    (answer,) = PynetdicomReporter().report(
        broker.addresses["dicom"], [Request(operation, uid, filled, calling="CT1")]
    )
    return answer.comment


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of values that are wrong on purpose
def test_nobody_is_named_but_to_those_it_is_meant_for(
    start_broker: Callable[..., Any], mllp_send: Any, ris: str
) -> None:
    """Log at its default level, metrics, acknowledgements, error comments, readiness."""
    systems = {"RIS": {"application": "RIS", "facility": "HOSP", "status": {"to": ris}}}
    with receiving() as archive:
        archive.reply = lambda _: status(0x0110, comment=f"{NAME} {PATIENT}")
        forward = {"PACS": {"ae_title": "ARCHIVE", "to": f"127.0.0.1:{archive.port}", "answer_within": 5}}
        broker = start_broker(systems=systems, forward=forward, devices={"CT1": DEVICE})
        told = _play(broker, mllp_send)
        broker.stop()

    log = "".join(broker.raw_log)
    lines = [*told, *broker.raw_log, *(line.encode().decode("unicode_escape") for line in broker.raw_log)]
    assert [line for line in lines if any(mark.lower() in line.lower() for mark in MARKS)] == []
    outcomes = {each.partition("MSA|")[2][:2] for each in told if "MSA|" in each}
    assert outcomes == {"AA", "AE", "AR"}
    assert "warning" in log
    assert "error" in log


def _play(broker: Any, send: Any) -> list[str]:
    """Have peers say everything, right and wrong; return what they were answered beside worklists."""
    told = [_sent(broker, send, text) for text in MESSAGES]
    told += ask(broker, PatientName=NAME, PatientID=PATIENT)
    told += ask(broker, PatientName=NAME, StudyInstanceUID=NAME)
    told += ask(broker, PatientBirthDate=NAME[:8], AccessionNumber=NOTE, IssuerOfPatientID="X" * 5000)
    told += ask(broker, PatientName="\x1b$B" + NAME)
    person = {"PatientName": f"{NAME}={KANJI}", "PatientID": PATIENT}
    item = scheduled("1", AccessionNumber=ACCESSION)
    told += [
        report(broker, "N-SET", ended()),
        report(broker, "N-CREATE", {**created(ScheduledStepAttributesSequence=None), **person}),
        report(
            broker, "N-CREATE", {**created(), **person, "PerformedProcedureStepStatus": "ZSOFIA"}, uid="1.2.5"
        ),
        report(broker, "N-CREATE", {**created(ScheduledStepAttributesSequence=[item]), **person}),
        report(broker, "N-CREATE", {**created(), **person}),
        report(broker, "N-SET", {**person, "PerformedProcedureStepStatus": "IN PROGRESS"}),
        report(broker, "N-SET", {"PerformedProcedureStepDescription": NOTE, "PerformedStationName": NAME}),
        report(broker, "N-SET", ended()),
        report(broker, "N-SET", ended()),
        report(broker, "N-CREATE", {**created(PerformedProcedureStepID=PATIENT * 9), **person}, uid="1.2.3"),
        report(broker, "N-CREATE", {**created(Modality=NAME), **person}, uid="1.2.4"),
    ]
    with socket.create_connection(broker.addresses["dicom"]) as rubbish:
        rubbish.sendall(b"\x04\x00\x00\x00\x00\x10" + NAME.encode()[:16])
        rubbish.recv(100)
    broker.until("status parked")
    broker.until("performed step not taken")
    host, port = broker.addresses["web"]
    for page in ("metrics", "readyz"):
        with urllib.request.urlopen(f"http://{host}:{port}/{page}") as answer:
            told.append(answer.read().decode())
    return told


def _sent(broker: Any, send: Any, text: str) -> str:
    """Return the answer to a message; its header repeats what the sender calls itself."""
    answer: str = send(broker, text)
    return "\r".join(line for line in answer.replace("\n", "\r").split("\r") if not line.startswith("MSH"))
