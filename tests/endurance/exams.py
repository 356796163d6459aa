"""One exam from order to end, as RIS and device together live it, and what they were promised.

What got no answer is repeated until it has one.  What was answered is looked for by the next query.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, TypeVar

from pydicom.dataset import Dataset

from endurance.clients import FAILURE, Device, Refused, Sender, Status, TryAgain, Unanswered

T = TypeVar("T")

DAY = "20260705"
_ORDER = "\r".join((
    "MSH|^~\\&|RIS|HOSP|MWL|HOSP|202607011200{second:02}||ORM^O01|{control_id}|P|2.3.1||||||UNICODE UTF-8",
    "PID|1||PID{patient}^^^HOSP||DOE^N{patient}||19700101|F",
    "PV1|1|O|WARD1",
    "ORC|{control}|PL{n}^RIS|FI{n}^RIS||{status}||1^once^^{start}^^S|||||||||||CT1",
    "OBR|1|PL{n}^RIS|FI{n}^RIS|CT01^CT head^L||||||||||||||ACC{n}|RP{n}|SPS{n}||||CT|||1^once^^{start}^^S",
    "ZDS|1.2.276.0.99.{n}^RIS^Application^DICOM\r",
))  # fmt: skip

SUCCESS = 0x0000
KNOWN = Status(0x0111)
FINAL = Status(FAILURE, 0xA710)


class Fate(Enum):
    """How an exam ends: the states its step runs through, and what the RIS is told of it."""

    DONE = ("SCHEDULED", "STARTED", "COMPLETED"), ("IP", "CM")
    DISCONTINUED = ("SCHEDULED", "STARTED", "DISCONTINUED"), ("IP", "DC")
    RUNNING = ("SCHEDULED", "STARTED"), ("IP",)
    CANCELLED = ("SCHEDULED", "CANCELED"), ()
    WAITING = ("SCHEDULED",), ()

    @property
    def states(self) -> tuple[str, ...]:
        """Of the scheduled step, in order."""
        return self.value[0]

    @property
    def told(self) -> tuple[str, ...]:
        """To the RIS, in order."""
        return self.value[1]


class Watcher(Protocol):
    """Who is told of each request, so that something can happen around it."""

    def asked(self) -> None:
        """Hear that a request is about to leave."""

    def answered(self) -> None:
        """Hear that a success came back."""

    def doubted(self) -> None:
        """Hear that no answer came."""

    def put_off(self) -> bool:
        """Hear that the broker cannot do it now; tell whether to try again, at once."""


@dataclass
class Exam:
    """What is to happen to one order, and what has been acknowledged of it."""

    n: int
    patient: int
    fate: Fate
    moved: bool
    """Whether a change order (XO) puts it on another time."""
    messages: list[str] = field(default_factory=list)
    """Control IDs that were answered AA."""
    finished: bool = False
    """Whether all of it was acknowledged: only then is it known what must be there."""

    @classmethod
    def of(cls, n: int, seed: int, *, run: int = 1) -> Exam:
        """Return the exam *n* of a seed; a patient of it has two exams or so."""
        chosen = random.Random(f"{seed}:{n}")
        fate = chosen.choices([*Fate], weights=(50, 15, 5, 20, 10))[0]
        return cls(run * 1_000_000 + n, run * 1_000_000 + n // 2, fate, moved=chosen.random() < 0.3)

    @property
    def accession(self) -> str:
        """What queries ask for."""
        return f"ACC{self.n}"

    @property
    def uid(self) -> str:
        """Of the performed step."""
        return f"1.2.276.0.99.7.{self.n}"

    @property
    def start(self) -> str:
        """Of the scheduled step, HHMMSS, as the last order said that was acknowledged."""
        return "101500" if any(each.startswith("X") for each in self.messages) else "093000"

    def order(self, control: str) -> str:
        """Return the message of an order control code."""
        return _ORDER.format(
            n=self.n, patient=self.patient, control=control, status="CA" if control == "CA" else "",
            control_id=f"{control[0]}{self.n}", second=("NW", "XO", "CA").index(control),
            start=DAY + ("101500" if control == "XO" else self.start),
        )  # fmt: skip


class Life:
    """Lives one exam through a sender and a device."""

    def __init__(self, exam: Exam, sender: Sender, device: Device, watcher: Watcher) -> None:
        self._exam, self._sender, self._device, self._watcher = exam, sender, device, watcher

    def live(self) -> None:
        """Do all of it; raise `Refused` where something is refused, or not there that was acknowledged."""
        exam = self._exam
        self._say("NW")
        self._look("SCHEDULED")
        if exam.moved:
            self._say("XO")
            self._look("SCHEDULED")
        if exam.fate is Fate.CANCELLED:
            self._say("CA")
            self._look("")
        if "STARTED" in exam.fate.states:
            self._report(lambda: self._device.create(exam.uid, begun(exam)), KNOWN)
            self._look("STARTED")
        if len(exam.fate.states) == 3:
            state = exam.fate.states[2]
            self._report(lambda: self._device.set(exam.uid, ended(state)), FINAL)
            self._look("")
        exam.finished = True

    def _say(self, control: str) -> None:
        message = self._exam.order(control)
        code, _ = self._persist(lambda: self._sender.send(message))
        if code != "AA":
            raise Refused(f"{control} {code}")
        self._exam.messages.append(message.split("|", 10)[9])
        self._watcher.answered()

    def _report(self, ask: Callable[[], Status], done: Status) -> None:
        """Report something; the answer to a repetition may be *done*."""
        status, attempts = self._persist(ask)
        if status.code != SUCCESS and not (attempts > 1 and status == done):
            raise Refused(f"MPPS {status.code:04X} {status.error_id or 0:04X}")
        self._watcher.answered()

    def _look(self, state: str) -> None:
        """Query for the order; "" is that it is on no list."""
        exam = self._exam
        items, _ = self._persist(lambda: self._device.find(keys(exam.accession)))
        steps = [item.ScheduledProcedureStepSequence[0] for item in items]
        found = [
            (step.ScheduledProcedureStepStatus, step.ScheduledProcedureStepStartTime[:6]) for step in steps
        ]
        if found != ([(state, exam.start)] if state else []):
            raise Refused(f"wanted {state or 'nothing'} at {exam.start}, on the list was {found}")

    def _persist(self, ask: Callable[[], T]) -> tuple[T, int]:
        """Return the answer, and how many attempts it took."""
        attempts = 0
        while True:
            attempts += 1
            self._watcher.asked()
            try:
                return ask(), attempts
            except Unanswered:
                self._watcher.doubted()
            except TryAgain:
                if not self._watcher.put_off():
                    raise


def keys(accession: str) -> Dataset:
    """Return a query for one order."""
    step, query = Dataset(), Dataset()
    step.ScheduledProcedureStepID = step.ScheduledProcedureStepStatus = ""
    step.ScheduledProcedureStepStartTime, step.ScheduledProcedureStepStartDate = "", DAY
    query.AccessionNumber, query.PatientID, query.StudyInstanceUID = accession, "", ""
    query.ScheduledProcedureStepSequence = [step]
    return query


def begun(exam: Exam) -> Dataset:
    """Return the attributes of an N-CREATE, with all that Table F.7.2-1 asks for."""
    scheduled, attributes = Dataset(), Dataset()
    scheduled.StudyInstanceUID, scheduled.AccessionNumber = f"1.2.276.0.99.{exam.n}", exam.accession
    scheduled.RequestedProcedureID, scheduled.ScheduledProcedureStepID = f"RP{exam.n}", f"SPS{exam.n}"
    scheduled.RequestedProcedureDescription = scheduled.ScheduledProcedureStepDescription = "CT head"
    scheduled.ReferencedStudySequence, scheduled.ScheduledProtocolCodeSequence = [], []
    attributes.ScheduledStepAttributesSequence = [scheduled]
    attributes.PatientName, attributes.PatientID = f"DOE^N{exam.patient}", f"PID{exam.patient}"
    attributes.PatientBirthDate, attributes.PatientSex = "19700101", "F"
    attributes.PerformedProcedureStepStatus = "IN PROGRESS"
    attributes.PerformedProcedureStepID, attributes.PerformedStationAETitle = f"PPS{exam.n}", "CT1"
    attributes.PerformedProcedureStepStartDate, attributes.PerformedProcedureStepStartTime = DAY, "093100"
    attributes.Modality = "CT"
    for name in (
        "PerformedStationName", "PerformedLocation", "PerformedProcedureStepDescription", "StudyID",
        "PerformedProcedureTypeDescription", "PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime",
    ):  # fmt: skip
        setattr(attributes, name, "")
    for name in (
        "ReferencedPatientSequence", "ProcedureCodeSequence", "PerformedProtocolCodeSequence",
        "PerformedSeriesSequence",
    ):  # fmt: skip
        setattr(attributes, name, [])
    return attributes


def ended(state: str) -> Dataset:
    """Return the attributes of the last N-SET."""
    series, attributes = Dataset(), Dataset()
    series.SeriesInstanceUID, series.ProtocolName = "1.2.3.4", "HEAD"
    for name in ("PerformingPhysicianName", "OperatorsName", "SeriesDescription", "RetrieveAETitle"):
        setattr(series, name, "")
    series.ReferencedImageSequence, series.ReferencedNonImageCompositeSOPInstanceSequence = [], []
    attributes.PerformedProcedureStepStatus = state
    attributes.PerformedProcedureStepEndDate, attributes.PerformedProcedureStepEndTime = DAY, "094500"
    attributes.PerformedSeriesSequence = [series]
    return attributes
