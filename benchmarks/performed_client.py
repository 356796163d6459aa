"""Reports performed steps over raw sockets, one association a thread, so that the client costs little.

    python benchmarks/performed_client.py HOST PORT ASSOCIATIONS FIRST COUNT

A process of its own: it reports the COUNT exams of a hospital's steps from number FIRST on.  Each exam is an
N-CREATE and, once that is answered, the N-SET that ends it; every association has its next exam when the
last is over.  Prints the seconds from the first request to the last answer.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Sequence

from hospital import DAY, ward_name
from pydicom.dataset import Dataset
from pynetdicom.dimse_messages import N_CREATE_RQ, N_SET_RQ
from pynetdicom.dimse_primitives import N_CREATE, N_SET
from raw_client import associate, encoded, message, pdu, statuses

_PERFORMED = "1.2.840.10008.3.1.2.3.3"
_EMPTY = (
    "PatientBirthDate", "PatientSex", "ReferencedPatientSequence", "PerformedStationName",
    "PerformedLocation", "PerformedProcedureStepDescription", "PerformedProcedureTypeDescription",
    "ProcedureCodeSequence", "PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime", "StudyID",
    "PerformedProtocolCodeSequence", "PerformedSeriesSequence",
)  # fmt: skip


def create(number: int) -> bytes:
    """Return the N-CREATE-RQ of an exam, with what the device has copied from its worklist."""
    step = Dataset()
    step.StudyInstanceUID, step.AccessionNumber = f"1.2.276.0.99.{number}", f"ACC{number:08}"
    step.RequestedProcedureID, step.ScheduledProcedureStepID = f"RP{number:08}", f"SPS{number:08}"
    step.ReferencedStudySequence, step.ScheduledProtocolCodeSequence = [], []
    step.RequestedProcedureDescription = step.ScheduledProcedureStepDescription = ""
    exam = Dataset()
    for keyword in _EMPTY:
        setattr(exam, keyword, None)
    exam.ScheduledStepAttributesSequence = [step]
    exam.PatientName, exam.PatientID = ward_name(number), f"PID{number:08}"
    exam.Modality, exam.PerformedStationAETitle = "CR", "WARD"
    exam.PerformedProcedureStepID, exam.PerformedProcedureStepStatus = f"PPS{number:08}", "IN PROGRESS"
    exam.PerformedProcedureStepStartDate, exam.PerformedProcedureStepStartTime = f"{DAY:%Y%m%d}", "091000"
    request = N_CREATE()
    request.MessageID, request.AffectedSOPClassUID = 1, _PERFORMED
    request.AffectedSOPInstanceUID, request.AttributeList = _uid(number), encoded(exam)
    return message(N_CREATE_RQ(), request)


def complete(number: int) -> bytes:
    """Return the N-SET-RQ that ends an exam, with one series of two images."""
    images = [Dataset(), Dataset()]
    for n, image in enumerate(images, start=1):
        image.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
        image.ReferencedSOPInstanceUID = f"{_uid(number)}.1.{n}"
    series = Dataset()
    series.SeriesInstanceUID, series.ProtocolName = f"{_uid(number)}.1", "CHEST"
    series.PerformingPhysicianName = series.OperatorsName = series.SeriesDescription = ""
    series.RetrieveAETitle, series.ReferencedNonImageCompositeSOPInstanceSequence = "", []
    series.ReferencedImageSequence = images
    exam = Dataset()
    exam.PerformedProcedureStepStatus, exam.PerformedSeriesSequence = "COMPLETED", [series]
    exam.PerformedProcedureStepEndDate, exam.PerformedProcedureStepEndTime = f"{DAY:%Y%m%d}", "092000"
    request = N_SET()
    request.MessageID, request.RequestedSOPClassUID = 2, _PERFORMED
    request.RequestedSOPInstanceUID, request.ModificationList = _uid(number), encoded(exam)
    return message(N_SET_RQ(), request)


def _uid(number: int) -> str:
    return f"1.2.276.0.99.8.{number}"


def report(connection: socket.socket, exams: Sequence[tuple[bytes, bytes]], failed: list[str]) -> None:
    """Report *exams* one after the other; what is not a success ends it."""
    stream = connection.makefile("rb")
    for exam in exams:
        for request in exam:
            connection.sendall(request)
            kind, body = pdu(stream)
            if kind != 4 or statuses(body) != [0]:
                failed.append(f"PDU {kind}: {body.hex()}")
                return


def main() -> None:
    host, port, *numbers = sys.argv[1:]
    associations, first, count = map(int, numbers)
    exams = [(create(number), complete(number)) for number in range(first, first + count)]
    failed: list[str] = []
    opened = [socket.create_connection((host, int(port)), timeout=60) for _ in range(associations)]
    for each in opened:
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        each.sendall(associate("WARD", "MWL", _PERFORMED))
        each.recv(65536)
    threads = [
        threading.Thread(target=report, args=(each, exams[n::associations], failed))
        for n, each in enumerate(opened)
    ]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = time.perf_counter() - began
    if failed:
        sys.exit(f"not a success: {failed[0]}")
    print(spent)


if __name__ == "__main__":
    main()
