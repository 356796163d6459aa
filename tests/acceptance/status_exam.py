"""An exam as orders, a device's performed step and what a RIS hears of it: what the tests of the status share."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from hl7.client import MLLPClient
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.sop_class import ModalityPerformedProcedureStep

ORDER = (
    "MSH|^~\\&|{system}|HOSP|MWL|HOSP|20260701120000||ORM^O01|{control_id}|P|2.3.1||||||UNICODE UTF-8\r"
    "PID|1||PID{patient}^^^HOSP||{name}||19700101|F\r"
    "PV1|1|I|WARD1\r"
    "ORC|NW|PL{n}^RIS^1.2.3^ISO|FI{n}^RIS||||1^once^^20260705093000^^S|||||||||||CT1\r"
    "OBR|1|PL{n}^RIS^1.2.3^ISO|FI{n}^RIS|CT01^CT head^L||||||||||||||ACC{n}|RP{n}|SPS{n}||||CT|||1^once^^20260705093000^^S\r"
    "ZDS|1.2.276.0.99.{n}^RIS^Application^DICOM\r"
)
ARRIVAL = (
    "MSH|^~\\&|{system}|HOSP|MWL|HOSP|20260705085000||ADT^A10|{control_id}|P|2.3.1||||||UNICODE UTF-8\r"
    "EVN|A10|20260705085000\r"
    "PID|1||PID{n}^^^HOSP||DOE^JANE||19700101|F\r"
    "PV1|1|I|WARD1\r"
)


def send(broker: Any, message: str) -> str:
    """Send one message with python-hl7's client; return MSA-1."""
    host, port = broker.addresses["hl7"]
    with MLLPClient(host, port) as client:
        client.socket.settimeout(30)
        answer = client.send(b"\x0b" + message.encode() + b"\x1c\x0d")
    return str(answer.decode().split("MSA|")[1][:2])


def order(
    broker: Any, n: int, system: str = "RIS", *, name: str = "DOE^JANE", patient: int | None = None
) -> None:
    """Order an exam as a system."""
    message = ORDER.format(n=n, name=name, patient=patient or n, system=system, control_id=f"C{n}")
    assert send(broker, message) == "AA"


def arrive(broker: Any, n: int, system: str) -> None:
    """Say that the patient of an order has come."""
    assert send(broker, ARRIVAL.format(n=n, system=system, control_id=f"A{n}{system}")) == "AA"


class Exam:
    """A performed step of CT1 for the orders *numbers*, reported with pynetdicom."""

    def __init__(self, broker: Any, *numbers: int) -> None:
        self.uid = str(generate_uid())
        self._broker = broker
        self._numbers = numbers

    def begin(self) -> None:
        """Send N-CREATE."""
        begun = Dataset()
        begun.ScheduledStepAttributesSequence = [_scheduled(n) for n in self._numbers]
        begun.PatientName, begun.PatientID = "DOE^JANE", f"PID{self._numbers[0]}"
        begun.PatientBirthDate = begun.PatientSex = ""
        begun.ReferencedPatientSequence = []
        begun.PerformedProcedureStepID, begun.PerformedStationAETitle = "PPS1", "CT1"
        begun.PerformedStationName, begun.PerformedLocation = "ROOM1", ""
        begun.PerformedProcedureStepStartDate, begun.PerformedProcedureStepStartTime = "20260705", "093100"
        begun.PerformedProcedureStepStatus = "IN PROGRESS"
        begun.PerformedProcedureStepDescription = begun.PerformedProcedureTypeDescription = ""
        begun.ProcedureCodeSequence, begun.PerformedProtocolCodeSequence = [], []
        begun.PerformedProcedureStepEndDate = begun.PerformedProcedureStepEndTime = ""
        begun.PerformedProcedureStepDiscontinuationReasonCodeSequence = []
        begun.CommentsOnThePerformedProcedureStep = ""
        begun.Modality, begun.StudyID, begun.PerformedSeriesSequence = "CT", "", []
        begun.TotalNumberOfExposures = begun.ImageAndFluoroscopyAreaDoseProduct = None
        begun.ExposureDoseSequence = []
        self._do("send_n_create", begun)

    def end(self, status: str = "COMPLETED", reason: tuple[str, str] | None = None, **more: object) -> None:
        """Send N-SET with a final state."""
        ended = Dataset()
        ended.PerformedProcedureStepStatus = status
        ended.PerformedProcedureStepEndDate, ended.PerformedProcedureStepEndTime = "20260705", "094500"
        series = Dataset()
        series.PerformingPhysicianName, series.OperatorsName = "HOUSE^GREG", "TECH^TINA"
        series.ProtocolName, series.SeriesInstanceUID = "HEAD", str(generate_uid())
        series.SeriesDescription = series.RetrieveAETitle = ""
        series.ReferencedImageSequence = [_image() for _ in range(3)]
        series.ReferencedNonImageCompositeSOPInstanceSequence = []
        ended.PerformedSeriesSequence = [series]
        if reason:
            ended.PerformedProcedureStepDiscontinuationReasonCodeSequence = [_code(*reason)]
        for keyword, value in more.items():
            setattr(ended, keyword, value)
        self._do("send_n_set", ended)

    def _do(self, operation: str, attributes: Dataset) -> None:
        host, port = self._broker.addresses["dicom"]
        entity = AE(ae_title="CT1")
        entity.add_requested_context(ModalityPerformedProcedureStep)
        association = entity.associate(host, port, ae_title="MWL")
        assert association.is_established
        answer, _ = getattr(association, operation)(attributes, ModalityPerformedProcedureStep, self.uid)
        association.release()
        assert answer.Status == 0


def _scheduled(n: int) -> Dataset:
    item = Dataset()
    item.StudyInstanceUID, item.AccessionNumber = f"1.2.276.0.99.{n}", f"ACC{n}"
    item.RequestedProcedureID, item.ScheduledProcedureStepID = f"RP{n}", f"SPS{n}"
    item.ReferencedStudySequence, item.ScheduledProtocolCodeSequence = [], []
    item.RequestedProcedureDescription = item.ScheduledProcedureStepDescription = ""
    return item


def _image() -> Dataset:
    image = Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = (
        "1.2.840.10008.5.1.4.1.1.2",
        str(generate_uid()),
    )
    return image


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodeMeaning, code.CodingSchemeDesignator = value, meaning, "DCM"
    return code


def told(port: int, name: str = "RIS", **status: object) -> Mapping[str, Any]:
    """Return the systems of a configuration: one that is told at *port*."""
    return {name: {"application": name, "status": {"to": f"127.0.0.1:{port}", **status}}}


def outbox(broker: Any, *options: str) -> Sequence[Mapping[str, Any]]:
    """Return the rows of the outbox, the oldest first."""
    done: subprocess.CompletedProcess[str] = broker.run("outbox", "list", "--json", *options)
    assert done.returncode == 0, done.stderr
    found: list[Mapping[str, Any]] = json.loads(done.stdout)
    return found[::-1]


def states(broker: Any, *options: str) -> list[str]:
    """Return the states of rows, the oldest first."""
    return [row["state"] for row in outbox(broker, *options)]
