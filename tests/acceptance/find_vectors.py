"""Vectors F-C that are one query and its answer, on the data set of F.0.

`why` argues what the standard leaves open, or where a device's profile decides; a vector without it
has one right answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from foreign.dicom.answer import PENDING, PENDING_WARNING, SUCCESS
from foreign.dicom.identifier import STEPS, Identifier, identifier

A900 = 0xA900
DATE, TIME = "00400002", "00400003"
VISIBLE = "S1 S2 S12 S3 S4 S5 S6 S7 S8 S9"
"""In the order of their start (A-47)."""
PROTOCOL = "SPS.ScheduledProtocolCodeSequence"


@dataclass(frozen=True)
class Vector:
    """A query, and who may ask it; *steps* are what it finds, by start."""

    id: str
    keys: tuple[str, ...]
    steps: str = ""
    final: int = SUCCESS
    offending: str = ""
    pending: int = PENDING
    calling: str = "WS"
    items: int = 1
    """Items in the step's sequence; the further ones ask for another modality."""
    why: str = ""

    @property
    def query(self) -> Identifier:
        """The identifier; the step's ID is always asked for, so that an answer can be told."""
        named = identifier("step", "SpecificCharacterSet=ISO_IR 192", *self.keys)
        if self.items > 1:
            first = named[STEPS]
            assert isinstance(first, list)
            named[STEPS] = [*first, *({"Modality": "XX"} for _ in range(self.items - 1))]
        return named


VECTORS = (
    Vector("F-C01", ("date=20260705",), "S1 S2 S12"),
    Vector("F-C02", ("date=20260705", "modality=CT", "station=CT_ROOM1"), "S1 S2 S12"),
    Vector("F-C03", ("date=20260705-20260707", "time=1000-1800"), "S2 S12 S3 S4 S5 S6 S7"),
    Vector("F-C04", ("date=20260706", "time=1000-1800"), "S4"),
    Vector("F-C05", ("date=20260706-",), "S3 S4 S5 S6 S7 S8 S9"),
    Vector("F-C06", ("date=-20260705",), "S1 S2 S12"),
    Vector("F-C07", ("date=20260706-", "time=0900-"), "S4 S5 S6 S7 S8 S9"),
    Vector("F-C07b", ("date=-20260706", "time=-1400"), "S1 S2 S12 S3 S4"),
    Vector("F-C08", ("date=", "time=0800-1000"), "S1 S3"),
    Vector(
        "F-C09", ("time=2300-0100",), final=A900, offending=TIME,
        why="A-33: a range across midnight is not defined; saying so is better than an empty list",
    ),
    Vector("F-C10", ("PatientID=PID001",), "S1 S12 S3"),
    Vector(
        "F-C11", ("PatientID=PID001", "IssuerOfPatientID=HOSP_A"), "S1 S3",
        why="Issuer of Patient ID is a matching key here",
    ),
    Vector("F-C12", ("PatientName=DOE*",), "S1 S2 S3 S4", why="A-23: names are compared without case"),
    Vector("F-C13", ("PatientName=DOE^J?NE",), "S2"),
    Vector("F-C14", ("PatientName=DOE^JOHN",)),
    Vector("F-C15", ("PatientName=DOE^JOHN^Q^^",), "S1 S3"),
    Vector("F-C16", ("physician=*",), VISIBLE),
    Vector("F-C17", ("physician=SMITH*",), "S1 S2 S12"),
    Vector("F-C18", ("station=US_2",), "S4"),
    Vector("F-C19", ("station=ct_room1",)),
    Vector("F-C20", ("station= CT_ROOM1 ",), "S1 S2 S12"),
    Vector("F-C21", ("station=CT_ROOM*",), "S1 S2 S12 S6", why="A-28: wildcards in AE titles are an extension"),
    Vector(
        "F-C22", ("modality=CT\\MR",), "S1 S2 S12 S3 S6 S7",
        why="A-31: several values mean any of them; matching them as one text would hide patients",
    ),
    Vector("F-C23", (), VISIBLE),
    Vector(
        "F-C26", ("modality=CT",), "S1 S2 S12 S6", items=2,
        why="A-43: the generic profile takes the first of several items; a strict one refuses them",
    ),
    Vector("F-C26 strict", ("modality=CT",), final=A900, offending="00400100", calling="LITERAL", items=2),
    Vector("F-C27", ("StudyInstanceUID=1.2.276.0.99.1001\\1.2.276.0.99.1002",), "S1 S2 S3"),
    Vector("F-C28", ("AccessionNumber=ACC1001",), "S1 S3"),
    Vector("F-C29 _", ("PatientName=D_E*",)),
    Vector("F-C29 %", ("PatientName=%",)),
    Vector("F-C30", ("PatientName=王*",), "S6", why="A-25: a key without = is compared with each group"),
    Vector("F-C31", ("PatientName=*王*",), "S6"),
    Vector("F-C32", ("PatientName=Wang^XiaoDong",), "S6", why="A-25"),
    Vector(
        "F-C36", ("PatientName=", "(0009,1001)=X"), VISIBLE, pending=PENDING_WARNING, calling="CANDID",
        why="A-20, for a profile that lets FF01 be said",
    ),
    Vector(
        "F-C36 generic", ("PatientName=", "(0009,1001)=X"), VISIBLE,
        why="generic fixes FF00: FF01 is 'query failed' to some consoles, and the end of the answer to dcmjs-dimse",
    ),
    Vector("F-C42 dashes", ("date=2026-07-05",), final=A900, offending=DATE, why="A-13: strict by default"),
    Vector("F-C42 month 13", ("date=20261332",), final=A900, offending=DATE, why="A-13"),
    Vector("F-C42 backwards", ("date=20260707-20260705",), final=A900, offending=DATE, why="A-13"),
    Vector("F-C42 lenient dashes", ("date=2026-07-05",), calling="LENIENT", why="A-13: never a wider list"),
    Vector("F-C42 lenient month 13", ("date=20261332",), calling="LENIENT", why="A-13"),
    Vector("F-C42 lenient backwards", ("date=20260707-20260705",), calling="LENIENT", why="A-13"),
    Vector("F-C44", ("QueryRetrieveLevel=PATIENT",), VISIBLE),
    Vector("F-C47", ("state=COMPLETED",), "S10", why="A-48: asked for by name, a hidden state is shown"),
    Vector("F-C48 minutes", ("time=0900",), "S1"),
    Vector("F-C48 fraction", ("time=090000.000",), "S1"),
    Vector("F-C49", ("date=20260707", "time=-1800"), "S6 S7"),
    Vector("F-C50", ("PatientID=PID001 ",), "S1 S12 S3"),
    # Beyond the list of vectors: items of the standard, and what devices are known to send.
    Vector("A-21 star", ("AccessionNumber=*", "SPS.ScheduledProcedureStepLocation=*"), VISIBLE),
    Vector("A-21 unknown", ("PatientWeight=70",)),
    Vector("A-25 second group", ("PatientName==王*",), "S6"),
    Vector("A-25 third group", ("PatientName===やまだ*",), "S7"),
    Vector("A-25 stars", ("PatientName=*=*",), VISIBLE),
    Vector("A-31 names", ("PatientName=ROE*\\Doe^JOHNATHAN",), "S12 S4", why="A-31, as for F-C22"),
    Vector("A-43 code", ("RequestedProcedureCodeSequence.CodeValue=HEAD",), VISIBLE),
    Vector("A-43 other code", ("RequestedProcedureCodeSequence.CodeValue=NECK",)),
    Vector(
        "A-43 one item", (f"{PROTOCOL}.CodeValue=HEAD", f"{PROTOCOL}.CodingSchemeDesignator=L", "modality=MR"),
        "S3 S7",
    ),
    Vector("A-43 not one item", (f"{PROTOCOL}.CodeValue=HEAD", f"{PROTOCOL}.CodingSchemeDesignator=DCM")),
    Vector(
        "F06", ("Modality=CT", "ScheduledProcedureStepStartDate=20260705"), "S1 S2 S12",
        why="keys of the step at the root of the identifier are lifted into it",
    ),
    Vector("F16", ("date=*",), VISIBLE, why="a star for a date is every date"),
    Vector("F17", ("time=8-9",), "S1 S3", why="hours with one digit"),
    Vector("F17 hours", ("time=18-18",), "S7 S8", why="A-35: an hour lasts until its end"),
    Vector(
        "zero", ("PregnancyStatus=\0\0",), VISIBLE,
        why="0 is no Pregnancy Status (C.2.4): dcmjs-dimse sends it for an empty key",
    ),
)  # fmt: skip

# What a client cannot ask, and why.
INEXPRESSIBLE = {
    "dcmjs-dimse": {
        "F-C36": "cannot name a private tag",
        "F-C36 generic": "cannot name a private tag",
        "zero": "says so in every query",
    },
}
