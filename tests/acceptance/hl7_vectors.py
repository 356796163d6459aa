"""Vectors F-H (and those of F-T that begin with an order) that are messages, answers and a worklist.

A vector is played step by step: `Send` a message and compare the answer, `Sees` what a device then
gets, `Begin` the exam.  Numbers are the vector's own (``{n}``), so that all can share one broker.
Vectors of the wire itself (blocks, modes, connections) are functions in `test_hl7_vectors`.

`why` argues what the standard leaves open, or what differs from its expectation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from acceptance.hl7_wire import ORDER


@dataclass(frozen=True, init=False)
class Send:
    """A message with *changes* (`hl7_wire.changed`), and its answer: code, and the first error's place."""

    changes: tuple[str, ...]
    code: str
    error: str
    base: Sequence[str]
    codec: str
    as_: Callable[[bytes], bytes]

    def __init__(
        self,
        *changes: str,
        code: str = "AA",
        error: str = "",
        base: Sequence[str] = ORDER,
        codec: str = "utf-8",
        as_: Callable[[bytes], bytes] = bytes,
    ) -> None:
        for name, value in (
            ("changes", changes), ("code", code), ("error", error), ("base", base), ("codec", codec), ("as_", as_)
        ):  # fmt: skip
            object.__setattr__(self, name, value)


@dataclass(frozen=True)
class Again:
    """The same bytes once more; the answer is the first one, to the byte."""


@dataclass(frozen=True, init=False)
class Sees:
    """What a worklist query *where* finds: *rows* items, each with the values *expected*."""

    expected: tuple[str, ...]
    rows: int
    where: str

    def __init__(self, *expected: str, rows: int = 1, where: str = "PatientID=P{n}") -> None:
        object.__setattr__(self, "expected", expected)
        object.__setattr__(self, "rows", rows)
        object.__setattr__(self, "where", where)


@dataclass(frozen=True)
class Begin:
    """The device reports the step of the order as IN PROGRESS."""


Step: TypeAlias = Send | Again | Sees | Begin


@dataclass(frozen=True, init=False)
class Vector:
    """What is sent and seen, in order."""

    id: str
    steps: tuple[Step, ...]
    why: str

    def __init__(self, id: str, *steps: Step, why: str = "") -> None:  # noqa: A002
        object.__setattr__(self, "id", id)
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "why", why)


NOTHING = Sees(rows=0)
START = "SPS.ScheduledProcedureStepStartDate={}"
TIME = "SPS.ScheduledProcedureStepStartTime={}"

MESA = (
    "MSH|^~\\&|OF|HOSP|MWL|HOSP|200008161512||ORM^O01^ORM_O01|{id}|P|2.3.1",
    "PID|||P{n}^^^ADT1||DOE^CHARLES||19980704|M",
    "PV1||E|ED||||4401^ROE^THEODORE^P^^DR|4402^POE^FRANCES^P^^DR|||||||||||V{n}^^^ADT1",
    ("ORC|NW|A{n}Z^MESA_ORDPLC|B{n}Z^MESA_ORDFIL||SC||1^once^^^^S||200008161510|^ROSEWOOD^RANDOLPH||"
    "7101^ESTRADA^JAIME^P^^DR||(000)555-0100|200008161510||RAD^RADIOLOGY^LOCAL|SSAET2"),
    ("OBR|1|A{n}Z^MESA_ORDPLC|B{n}Z^MESA_ORDFIL|P1^Procedure 1^ERL_MESA^X1_A1^SP Action Item X1_A1^DSS_MESA"
    "|||||||||xxx||Radiology^^^^R|7101^ESTRADA^JAIME^P^^DR||ACC{n}|RP{n}|SPS{n}||||MR|||1^once^^^^S|||WALK"),
    "ZDS|1.2.276.0.99.{n}^100^Application^DICOM",
)  # fmt: skip
OMI = (
    "MSH|^~\\&|RIS|HOSP|MWL|HOSP|20260701120000||OMI^O23^OMI_O23|{id}|P|2.5.1||||||UNICODE UTF-8",
    "PID|1||P{n}^^^HOSP_A||DOE^JOHN||19580312|M",
    "PV1|1|I",
    "ORC|NW|PL{n}^RIS|FI{n}^RIS",
    "TQ1|1||||||20260705100000||R",
    "OBR|1|PL{n}^RIS|FI{n}^RIS|CTH^CT head^L",
    "IPC|ACC{n}^RIS|RP{n}|1.2.276.0.99.{n}|SPS{n}A|CT|CTHP^CT head plain^L|||CT1",
    "IPC|ACC{n}^RIS|RP{n}|1.2.276.0.99.{n}|SPS{n}B|MR|MRH^MR head^L|||MR1",
)
ADT = (
    "MSH|^~\\&|RIS|HOSP|MWL|HOSP|20260702120000||ADT^A08|{id}|P|2.3.1||||||UNICODE UTF-8",
    "EVN|A08|20260702120000",
    "PID|1||P{n}^^^HOSP_A||ROE^RICHARD||19580312|M",
    "PV1|1|I|WARD1",
)
SIU = (
    "MSH|^~\\&|RIS|HOSP|MWL|HOSP|20260702120000||SIU^S12^SIU_S12|{id}|P|2.5.1||||||UNICODE UTF-8",
    "SCH|PA{n}^RIS|FA{n}^RIS|||||CTH^CT head^L||||^^30^20260705110000^20260705113000|||||||||||||||PL{n}^RIS|FI{n}^RIS",
    "PID|1||P{n}^^^HOSP_A||DOE^JOHN||19580312|M",
    "PV1|1|O",
    "RGS|1|A",
    "AIS|1|A|CTHP^CT head plain^L|20260705110000|||30|min",
)
TWO_GROUPS = (
    *ORDER[:5],
    "ORC|NW|PL{n}B^RIS|FI{n}B^RIS||||1^once^^20260705100000^^R|||||||||||CT1",
    "OBR|2|PL{n}B^RIS|FI{n}B^RIS|CTA^CT abdomen^L||||||||||||||ACC{n}B|RP{n}B|SPS{n}B||||CT",
)
ONE_PROCEDURE = ("OBR[2]-18=ACC{n}", "OBR[2]-19=RP{n}", "OBR[1]-20=", "OBR[2]-20=")
"""`TWO_GROUPS` as a RIS orders two parts of one requested procedure, if it plans no steps."""
THE_OTHER = ("ORC-2=PL{n}B^RIS", "ORC-3=FI{n}B^RIS", "OBR-2=PL{n}B^RIS", "OBR-3=FI{n}B^RIS",
             "OBR-4=CTA^CT abdomen^L", "OBR-20=", "-ZDS")  # fmt: skip
"""What makes a single order the second of these."""
FIRST = Sees(
    "AccessionNumber=ACC{n}", "RequestedProcedureID=RP{n}", "FillerOrderNumberImagingServiceRequest=FI{n}",
    "SPS.ScheduledProtocolCodeSequence.CodeValue=CTHP", where="PatientID=P{n} step=RP{n}",
)  # fmt: skip
OTHER = Sees(
    "AccessionNumber=ACC{n}", "RequestedProcedureID=RP{n}", "FillerOrderNumberImagingServiceRequest=FI{n}B",
    "SPS.ScheduledProtocolCodeSequence.CodeValue=CTA", where="PatientID=P{n} step=FI{n}B",
)  # fmt: skip
BOTH = Sees("StudyInstanceUID=1.2.276.0.99.{n}", rows=2)
NAME_OF_A = "PID-5=Yamada^Tarou^^^^^L^A~山田^太郎^^^^^L^I~やまだ^たろう^^^^^L^P"


def _lines(end: bytes) -> Callable[[bytes], bytes]:
    return lambda raw: raw.replace(b"\r", end)


def _dollars(raw: bytes) -> bytes:
    """Return the message with ``$`` between fields and ``%`` between components."""
    return raw.replace(b"|", b"$").replace(b"^~\\&", b"%~\\&").replace(b"^", b"%")


VECTORS = (
    Vector(
        "F-H01",
        Send(base=MESA),
        Sees(
            "AccessionNumber=ACC{n}", "RequestedProcedureID=RP{n}", "SPS.ScheduledProcedureStepID=SPS{n}",
            "SPS.Modality=MR", "StudyInstanceUID=1.2.276.0.99.{n}", "SPS.ScheduledStationAETitle=SSAET2",
            "RequestedProcedurePriority=STAT", "RequestingPhysician=ESTRADA^JAIME^P^DR", "PatientWeight=",
            "RequestedProcedureDescription=Procedure 1",
            "SPS.ScheduledProcedureStepDescription=SP Action Item X1_A1",
            "SPS.ScheduledProtocolCodeSequence.CodeValue=X1_A1",
            START.format("20000816"), TIME.format("151000"),
        ),
        why="start: ORC-15 stands in where no start is sent; station: ORC-18 by the generic profile",
    ),
    Vector(
        "F-H02",
        Send("ORC-7=^^^20260705090000^^S"),
        Sees(START.format("20260705"), TIME.format("090000"), "RequestedProcedurePriority=STAT"),
    ),
    Vector(
        "F-H03",
        Send(base=OMI),
        Sees("StudyInstanceUID=1.2.276.0.99.{n}", "RequestedProcedureID=RP{n}", rows=2),
        Sees("SPS.Modality=CT", "SPS.ScheduledStationAETitle=CT1", TIME.format("100000"), where="step=SPS{n}A"),
        Sees("SPS.Modality=MR", "SPS.ScheduledStationAETitle=MR1", TIME.format("100000"), where="step=SPS{n}B"),
    ),
    Vector(
        "F-H04",
        Send("IPC[1]-5=US", "IPC[1]-9=US_1~US_2", base=OMI[:-1]),
        Sees("SPS.ScheduledStationAETitle=US_1\\US_2"),
    ),
    Vector("F-H05", Send(), Again(), Sees()),
    Vector(
        "F-H06",
        Send(),
        Send("ORC-7=^^^20260705113000^^R"),
        Sees(START.format("20260705"), TIME.format("113000")),
    ),
    Vector(
        "F-H07",
        Send(),
        Send("ORC-1=XO", "ORC-7=^^^20260706100000^^R", "MSH-7=20260701130000"),
        Sees(
            START.format("20260706"), TIME.format("100000"), "AccessionNumber=ACC{n}",
            "RequestedProcedureID=RP{n}", "SPS.ScheduledProcedureStepID=SPS{n}",
            "StudyInstanceUID=1.2.276.0.99.{n}",
        ),
    ),
    Vector(
        "F-H08",
        Send(),
        Send("ORC-1=CA", "MSH-7=20260701130000"),
        NOTHING,
        Sees("SPS.ScheduledProcedureStepID=SPS{n}", where="PatientID=P{n} state=CANCELED"),
    ),
    Vector(
        "F-H09",
        Send(),
        Begin(),
        Send("ORC-1=CA", "MSH-7=20260701130000"),
        Sees("SPS.ScheduledProcedureStepStatus=STARTED"),
    ),
    Vector("F-H10", Send("ORC-1=CA", code="AE", error="204 @ORC^1^2"), NOTHING),
    Vector(
        "F-H11",
        Send(),
        Send("ORC-1=DC", "MSH-7=20260701130000"),
        NOTHING,
        Sees("SPS.ScheduledProcedureStepID=SPS{n}", where="PatientID=P{n} state=DISCONTINUED"),
    ),
    Vector("F-H12", Send("ORC-1=ZZ", code="AE", error="103 @ORC^1^1"), NOTHING),
    Vector(
        "F-H13",
        Send(),
        Send("ORC-1=SC", "ORC-5=CM", "MSH-7=20260701130000"),
        NOTHING,
        Sees("SPS.ScheduledProcedureStepID=SPS{n}", where="PatientID=P{n} state=COMPLETED"),
    ),
    Vector(
        "F-H14",
        Send(),
        Send("PID-3=P{n}^^^HOSP_B", "PID-5=DOE^JANE", "ORC-2=QL{n}^RIS", "ORC-3=GI{n}^RIS", "OBR-2=QL{n}^RIS",
             "OBR-3=GI{n}^RIS", "OBR-18=BCC{n}", "OBR-19=BP{n}", "OBR-20=BPS{n}", "ZDS-1=1.2.276.0.98.{n}"),
        Send(base=ADT),
        Sees("PatientName=ROE^RICHARD", where="AccessionNumber=ACC{n}"),
        Sees("PatientName=DOE^JANE", where="AccessionNumber=BCC{n}"),
    ),
    Vector(
        "F-H15",
        Send(),
        Send("MSH-9=ADT^A40", "EVN-1=A40", "PID-3=M{n}^^^HOSP_A", "+MRG|P{n}^^^HOSP_A", base=ADT[:3]),
        NOTHING,
        Sees("AccessionNumber=ACC{n}", where="PatientID=M{n}"),
        Send("ORC-2=PL{n}C^RIS", "ORC-3=FI{n}C^RIS", "OBR-2=PL{n}C^RIS", "OBR-3=FI{n}C^RIS", "OBR-18=ACC{n}C",
             "OBR-19=RP{n}C", "OBR-20=SPS{n}C", "-ZDS", "MSH-7=20260703120000"),
        Sees(rows=2, where="PatientID=M{n}"),
        NOTHING,
        why="a later order for the merged number finds the surviving patient",
    ),
    Vector(
        "F-H16",
        Send(),
        Send("MSH-9=ADT^A40", "EVN-1=A40", "+MRG|P{n}^^^HOSP_A", base=ADT[:3], code="AE", error="205 @MRG^1^1"),
        Sees("AccessionNumber=ACC{n}"),
    ),
    Vector("F-H17", Send("PID-3=", base=ADT, code="AE", error="101 @PID^1^3")),
    Vector("F-H18", Send("MSH-9=MDM^T02", code="AR", error="200 @MSH^1^9"), NOTHING),
    Vector(
        "F-H18 in 2.5",
        Send("MSH-9=MDM^T02^MDM_T02", "MSH-12=2.5", code="AR", error="200 @MSH^1^9"),
        NOTHING,
    ),
    Vector("F-H19", Send("MSH-9=ADT^Z99", code="AR", error="201 @MSH^1^9"), NOTHING),
    Vector("F-H25 LF", Send("ORC-7=^^^20260705090000^^S", as_=_lines(b"\n")), Sees(TIME.format("090000"))),
    Vector("F-H25 CRLF", Send("ORC-7=^^^20260705090000^^S", as_=_lines(b"\r\n")), Sees(TIME.format("090000"))),
    Vector("F-H26", Send(as_=lambda raw: raw.rstrip(b"\r")), Sees("StudyInstanceUID=1.2.276.0.99.{n}")),
    Vector(
        "F-H27",
        Send("PID-5=O\\T\\ROE^RICHARD", as_=_dollars),
        Sees("PatientName=O&ROE^RICHARD", "AccessionNumber=ACC{n}", "StudyInstanceUID=1.2.276.0.99.{n}"),
    ),
    Vector("F-H28", Send("PID-5=O\\T\\BRIEN^MARY"), Sees("PatientName=O&BRIEN^MARY")),
    Vector("F-H29", Send("PID-5=SMITH\\S\\JONES^A"), Sees("PatientName=SMITH JONES^A")),
    Vector("F-H30", Send("PID-5=A\\E\\B^C"), Sees("PatientName=A B^C"), why="the backslash becomes a blank"),
    Vector(
        "F-H31",
        Send("+NTE|1||line1\\.br\\line2"),
        Sees("RequestedProcedureComments=line1\r\nline2"),
    ),
    Vector("F-H32", Send("OBR-18=" + "A" * 17, code="AE", error="102 @OBR^1^18"), NOTHING),
    Vector(
        "F-H33",
        Send("OBR-4=CTH^CT head^L^CTHP^" + "long " * 16 + "^L"),
        Sees(
            "SPS.ScheduledProcedureStepDescription=" + ("long " * 16)[:64].strip(),
            "SPS.ScheduledProtocolCodeSequence.CodeValue=CTHP",
        ),
    ),
    Vector(
        "F-H34",
        Send("OBR-4=CTH^CT head^L^" + "X" * 20 + "^CT head plain^L"),
        Sees(
            "SPS.ScheduledProtocolCodeSequence.LongCodeValue=" + "X" * 20,
            "SPS.ScheduledProtocolCodeSequence.CodeValue=",
        ),
    ),
    Vector("F-H35", Send("PID-7=1970"), Sees("PatientBirthDate=")),
    Vector("F-H36", Send("PID-8=U"), Sees("PatientSex=")),
    Vector("F-H37", Send("PID-5=DOE^JOHN^Q^JR^DR^MD"), Sees("PatientName=DOE^JOHN^Q^DR^JR MD")),
    Vector("F-H38", Send(NAME_OF_A), Sees("PatientName=Yamada^Tarou=山田^太郎=やまだ^たろう")),
    Vector(
        "F-H39",
        Send("MSH-3=PICKY", "PID-3=X{n}^^^SSN^SS~P{n}^^^HOSP_A^MR"),
        Sees("PatientID=P{n}", "OtherPatientIDsSequence.PatientID=X{n}"),
        Sees(rows=0, where="PatientID=X{n}"),
    ),
    Vector(
        "F-H40",
        Send("OBR-13=LATEX"),
        Send("ORC-1=XO", "OBR-13=", "MSH-7=20260701130000"),
        Sees("MedicalAlerts=LATEX"),
        Send("ORC-1=XO", 'OBR-13=""', "MSH-7=20260701140000"),
        Sees("MedicalAlerts="),
    ),
    Vector("F-H41", Send("PID-5=王^小东"), Sees("PatientName=王^小东")),
    Vector(
        "F-H42",
        Send("MSH-18=GB 18030-2000", "PID-5=王^小东", codec="gb18030"),
        Sees("PatientName=王^小东"),
    ),
    Vector("F-H43", Send("MSH-18=8859/5", "PID-5=ИВАНОВ", codec="iso8859_5"), Sees("PatientName=ИВАНОВ")),
    Vector("F-H44", Send("MSH-18=8859/7", "PID-5=ΠΑΠΑΔ", codec="iso8859_7"), Sees("PatientName=ΠΑΠΑΔ")),
    Vector("F-H45", Send("MSH-18=KS X 1001", "PID-5=홍길동", codec="euc_kr"), Sees("PatientName=홍길동")),
    Vector("F-H46", Send("MSH-18=ISO IR87", "PID-5=山田", codec="iso2022_jp"), Sees("PatientName=山田")),
    Vector(
        "F-H46 with half-width katakana",
        Send("MSH-18=ISO IR14~ISO IR87", as_=lambda raw: raw.replace(
            b"DOE^JOHN", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3^^^^^L^A~\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J^^^^^L^I")),
        Sees("PatientName=ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎"),
    ),
    Vector(
        "F-H47",
        Send("MSH-18=BIG-5", "PID-5=吜^大文", codec="big5"),
        Sees("PatientName=吜^大文", "PatientBirthDate=19580312", "PatientSex=M"),
    ),
    Vector(
        "F-H47 in GBK and Shift-JIS",
        Send("MSH-18=GBK", "PID-5=亅^乛乗", "ORC-1=NW", codec="gbk"),
        Sees("PatientName=亅^乛乗", "PatientSex=M"),
        Send("MSH-18=SHIFT_JIS", "PID-5=倒^表", "ORC-1=XO", "MSH-7=20260701130000", codec="shift_jis"),
        Sees("PatientName=倒^表", "PatientSex=M"),
    ),
    Vector("F-H48", Send("MSH-18=", "PID-5=MÜLLER^JÜRGEN"), Sees("PatientName=MÜLLER^JÜRGEN")),
    Vector(
        "F-H48 strict",
        Send("MSH-3=STRICT", "MSH-18=", "PID-5=MÜLLER^JÜRGEN", code="AE", error="102 @PID^1^5"),
        NOTHING,
    ),
    Vector("F-H49", Send("MSH-18=CNS 11643-1992", code="AE", error="103 @MSH^1^18"), NOTHING),
    Vector(
        "F-H49 mapped",
        Send("MSH-3=PICKY", "MSH-18=CNS 11643-1992", "PID-5=張^大文", codec="big5"),
        Sees("PatientName=張^大文"),
    ),
    Vector(
        "F-H50",
        Send("PID-5=MÜLLER^JÜRGEN", codec="latin-1", code="AE", error="102 @PID^1^5"),
        NOTHING,
    ),
    Vector(
        "F-H56",
        Send("OBR-60=last", "+ZXX|anything^at&all~of|it", "+ZZ1"),
        Sees("AccessionNumber=ACC{n}", "SPS.Modality=CT"),
    ),
    Vector(
        "F-H57",
        Send("OBR[2]-18=" + "A" * 17, base=TWO_GROUPS, code="AE", error="102 @OBR^2^18"),
        NOTHING,
    ),
    Vector(
        "F-H57 both good, one procedure, no OBR-20",
        Send(*ONE_PROCEDURE, "+ZDS|1.2.276.0.99.{n}", base=TWO_GROUPS), Again(),
        BOTH, FIRST, OTHER,
        Send("ORC-1=XO", "ORC-7=^^^20260706110000^^R", "MSH-7=20260701130000", *THE_OTHER),
        Sees(TIME.format("110000"), where=OTHER.where), Sees(TIME.format("090000"), where=FIRST.where),
        Send("ORC-1=CA", "OBR-20=", "MSH-7=20260701140000"),
        Sees("SPS.ScheduledProcedureStepID=FI{n}B"),
        Send("ORC-1=CA", "MSH-7=20260701150000", *THE_OTHER),
        NOTHING,
        why="C-05: each order is a step, changed and cancelled by itself; its own number is the second one's step ID",
    ),
    Vector(
        "F-H57 the same in two messages",
        Send("OBR-20="), Again(),
        Send(*THE_OTHER), Again(),
        BOTH, FIRST, OTHER,
        Send("ORC-1=XO", "OBR-20=", "ORC-7=^^^20260706110000^^R", "MSH-7=20260701130000"),
        Sees(TIME.format("110000"), where=FIRST.where), Sees(TIME.format("090000"), where=OTHER.where),
        Send("ORC-1=CA", "MSH-7=20260701140000", *THE_OTHER),
        Sees("SPS.ScheduledProcedureStepID=RP{n}"),
        Send("MSH-7=20260701150000", *THE_OTHER),
        BOTH, OTHER,
        Send("ORC-1=CA", "OBR-18=", "OBR-19=", "OBR-20=", "MSH-7=20260701160000"),
        Sees("SPS.ScheduledProcedureStepID=FI{n}B"),
    ),
    Vector(
        "F-H58",
        Send("OBR[2]-4=CTA^CT abdomen^L^CTAP^CT abdomen plain^L", "OBR[2]-18=ACC{n}", "OBR[2]-19=RP{n}",
             "OBR[2]-20=SPS{n}", "ORC[2]-7=1^once^^20260705090000^^R", base=TWO_GROUPS),
        Sees("SPS.ScheduledProtocolCodeSequence.CodeValue=CTHP\\CTAP"),
    ),
    Vector("F-H60", Send("ZDS-1=1.2.x.bad", code="AE", error="102 @ZDS^1^1"), NOTHING),
    Vector("F-H61", Send("PV1-15=B6"), Sees("PregnancyStatus=3")),
    Vector(
        "F-H62",
        Send("PID-18=V77^^^H"),
        Sees("AdmissionID=V77", "IssuerOfAdmissionIDSequence.LocalNamespaceEntityID=H"),
    ),
    Vector(
        "F-H63",
        Send("-ZDS"),
        Send(base=SIU),
        Sees(START.format("20260705"), TIME.format("110000")),
        Send("MSH-9=SIU^S13^SIU_S13", "SCH-11=^^30^20260706140000^20260706143000", "AIS-4=20260706140000",
             "MSH-7=20260702130000", base=SIU),
        Sees(START.format("20260706"), TIME.format("140000")),
        Send("MSH-9=SIU^S15^SIU_S15", "MSH-7=20260702140000", base=SIU),
        NOTHING,
        Sees(where="PatientID=P{n} state=CANCELED"),
    ),
    Vector(
        "F-H64",
        Send(),
        Send("MSH-9=ADT^A10", "MSH-7=20260705085000", "EVN-1=A10", "EVN-2=20260705085000", base=ADT),
        Sees("SPS.ScheduledProcedureStepStatus=ARRIVED"),
        why="who comes has come for the steps of that day",
    ),
    Vector("F-H65", Send("MSH-11=T", code="AR", error="202 @MSH^1^11"), NOTHING),
    Vector("F-H65 where tests are taken", Send("MSH-3=PICKY", "MSH-11=T"), Sees("AccessionNumber=ACC{n}")),
    Vector(
        "F-H66",
        Send("+OBX|1|NM|^Body Weight||80|kg", "-ZDS"),
        Sees("PatientWeight=80"),
        Send("+OBX|1|NM|29463-7^Body weight^LN||80000|g", "ORC-1=XO", "-ZDS", "MSH-7=20260701130000"),
        Sees("PatientWeight=80"),
    ),
    Vector(
        "F-T01",
        Send("ORC-7=^^^20260715233000-0500^^R"),
        Sees(START.format("20260716"), TIME.format("063000")),
    ),
    Vector(
        "F-T02",
        Send("ORC-7=^^^20260715080000^^R", "MSH-7=20260701120000+0000"),
        Sees(START.format("20260715"), TIME.format("100000")),
        why="the offset of MSH-7 holds for every time stamp without one (HL7)",
    ),
    Vector("F-T03", Send("ORC-7=^^^20260329023000^^R"), Sees(START.format("20260329"), TIME.format("023000"))),
    Vector(
        "F-T04",
        Send("ORC-7=^^^20261025023000+0200^^R"),
        Sees(START.format("20261025"), TIME.format("023000")),
        Send("ORC-7=^^^20261025023000+0100^^R", "ORC-1=XO", "MSH-7=20260701130000"),
        Sees(START.format("20261025"), TIME.format("023000")),
    ),
    Vector("F-T12", Send("ORC-7=^^^20260705^^R"), Sees(START.format("20260705"), TIME.format("000000"))),
)  # fmt: skip
