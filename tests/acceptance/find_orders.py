"""Scheduled steps as the orders that bring them in: the data set of F.0, and what single vectors add.

A step with one station is an ORM^O01 with its ZDS, one with several an OMI^O23, which alone has a
field for them.  Names are sent in one repetition a component group.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from hl7.client import MLLPClient
from pydicom.dataset import Dataset
from pynetdicom.sop_class import ModalityPerformedProcedureStep

from foreign.dicom.clients import associated

_NUMBERS = count(1)
_REPRESENTATIONS = "AIP"  # HL7 table 0465: alphabetic, ideographic, phonetic


@dataclass(frozen=True)
class Step:
    """What one order schedules; the defaults are a step that nothing is remarkable about."""

    step: str
    name: str = "DOE^JANE"
    patient_id: str = ""
    issuer: str = "HOSP_A"
    start: str = "20260801080000"
    """HL7 time stamp, with an offset or without."""
    modality: str = "CT"
    stations: str = "CT_ROOM1"
    accession: str = ""
    procedure: str = ""
    study: str = ""
    physician: str = ""
    description: str = "Head"
    comments: str = ""
    sent_at: str = "20260701120000"
    more: Mapping[str, str] = field(default_factory=dict)
    """Fields by place: ``{"AL1-3": "^LATEX"}``."""

    def order(self, control: str = "NW", *, kind: str = "") -> str:
        """Return the message; *kind* is ORM or OMI, chosen by the stations where it is not said."""
        imaging = kind == "OMI" or (not kind and "\\" in self.stations)
        segments = self._omi(control) if imaging else self._orm(control)
        for place, value in self.more.items():
            name, _, number = place.partition("-")
            segments = _with(segments, name, int(number), value)
        return "\r".join(segments)

    def _header(self, kind: str, version: str) -> list[str]:
        return [
            f"MSH|^~\\&|RIS|HOSP|MWL|HOSP|{self.sent_at}||{kind}|V{next(_NUMBERS)}|P|{version}||||||UNICODE UTF-8",
            f"PID|1||{self.patient_id or 'P-' + self.step}^^^{self.issuer}||{_xpn(self.name)}",
        ]

    def _orm(self, control: str) -> list[str]:
        number = self.accession or f"A-{self.step}"
        timing = f"1^once^^{self.start}^^R"
        physician = self.physician and "&" + self.physician.replace("^", "&")
        procedure = self.procedure or f"R-{self.step}"
        exam = f"HEAD^{self.description}^L"
        timing_and_physician = f"{timing}{'|' * 7}{physician}"
        numbers = f"{number}|{procedure}|{self.step}"
        segments = [
            *self._header("ORM^O01", "2.3.1"),
            f"ORC|{control}|P{number}^RIS|{number}^RIS||||{timing}|||||||||||{self.stations}",
            f"OBR|1|P{number}^RIS|{number}^RIS|{exam}{'|' * 14}{numbers}||||{self.modality}|||{timing_and_physician}",
        ]
        if self.comments:
            segments.append(f"NTE|1||{self.comments}")
        return [*segments, f"ZDS|{self.study}^RIS^Application^DICOM"] if self.study else segments

    def _omi(self, control: str) -> list[str]:
        number = self.accession or f"A-{self.step}"
        stations = self.stations.replace("\\", "~")
        procedure = self.procedure or f"R-{self.step}"
        exam = f"HEAD^{self.description}^L"
        return [
            *self._header("OMI^O23^OMI_O23", "2.5.1"),
            f"ORC|{control}|P{number}^RIS|{number}^RIS",
            f"TQ1|1||||||{self.start}||R",
            f"OBR|1|P{number}^RIS|{number}^RIS|{exam}",
            f"IPC|{number}|{procedure}|{self.study}|{self.step}|{self.modality}|{exam}|||{stations}",
        ]


def _xpn(name: str) -> str:
    groups = name.split("=")
    if len(groups) == 1:
        return name
    return "~".join(
        f"{(group + '^' * 6).split('^')[0]}^{(group + '^').split('^')[1]}^^^^^L^{code}"
        for group, code in zip(groups, _REPRESENTATIONS, strict=False)
        if group
    )


def _with(segments: list[str], name: str, number: int, value: str) -> list[str]:
    """Put *value* into a field of the segment *name*, which is added behind PID when it is not there."""
    at = next((at for at, text in enumerate(segments) if text.startswith(f"{name}|")), None)
    if at is None:
        segments, at = [*segments[:2], name, *segments[2:]], 2
    fields = segments[at].split("|")
    fields += [""] * (number + 1 - len(fields))
    fields[number] = value
    return [*segments[:at], "|".join(fields), *segments[at + 1 :]]


def f0(fixtures: Any) -> Iterable[tuple[Step, str]]:
    """Yield the steps of F.0, each with the state it is to reach."""
    with (fixtures / "worklist" / "f0.csv").open(encoding="utf-8") as table:
        for row in csv.DictReader(table):
            start, state = row.pop("date") + row.pop("time"), row.pop("state")
            yield Step(start=start, **row), state


def load(broker: Any, *steps: Step | str) -> None:
    """Send the orders of *steps*, or messages as they are, with python-hl7's client; all must be taken."""
    host, port = broker.addresses["hl7"]
    with MLLPClient(host, port) as client:
        client.socket.settimeout(30)
        for step in steps:
            message = step.order() if isinstance(step, Step) else step
            answer = client.send(b"\x0b" + message.encode() + b"\x1c\x0d").decode()
            assert "MSA|AA" in answer, answer


def load_f0(broker: Any, fixtures: Any) -> None:
    """Bring in F.0: orders, then a cancellation and a performed step for the states."""
    for step, state in f0(fixtures):
        load(broker, step)
        if state == "CANCELED":
            load(broker, step.order("CA"))
        elif state == "COMPLETED":
            perform(broker, step, "IN PROGRESS")
            perform(broker, step, "COMPLETED")


def perform(broker: Any, step: Step, status: str, *, calling: str = "WS") -> None:
    """Report *step* as begun or ended, in an association of its own."""
    with associated(
        broker.addresses["dicom"], ModalityPerformedProcedureStep, calling=calling
    ) as association:
        assert report(association, step, status) == 0


def report(association: Any, step: Step, status: str) -> int:
    """Send N-CREATE for ``IN PROGRESS``, N-SET for anything else; return the status."""
    uid = f"1.2.276.0.99.7.{int.from_bytes(step.step.encode(), 'big')}"
    said = Dataset()
    said.PerformedProcedureStepStatus = status
    said.PerformedSeriesSequence = []
    if status != "IN PROGRESS":
        said.PerformedProcedureStepEndDate, said.PerformedProcedureStepEndTime = "20260705", "093000"
        series = Dataset()
        series.SeriesInstanceUID, series.ProtocolName = f"{uid}.1", "HEAD"
        said.PerformedSeriesSequence = [series]
        return int(association.send_n_set(said, ModalityPerformedProcedureStep, uid)[0].Status)
    scheduled = Dataset()
    scheduled.StudyInstanceUID, scheduled.AccessionNumber = step.study, step.accession
    scheduled.RequestedProcedureID, scheduled.ScheduledProcedureStepID = step.procedure, step.step
    said.ScheduledStepAttributesSequence = [scheduled]
    said.PatientName, said.PatientID, said.Modality = step.name, step.patient_id, step.modality
    said.PerformedProcedureStepID, said.PerformedStationAETitle = "PPS1", step.stations
    said.PerformedProcedureStepStartDate, said.PerformedProcedureStepStartTime = "20260705", "090000"
    return int(association.send_n_create(said, ModalityPerformedProcedureStep, uid)[0].Status)
