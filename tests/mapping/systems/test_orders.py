"""Orders read with the shipped profile: the acceptance vectors that concern reading."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mwl.errors import NotUnderstood, Severity, Unacceptable
from mwl.mapping import paths
from mwl.mapping.systems.system import SystemProfile
from mwl.model import Document, OrderAction, OrderMessage

Read: TypeAlias = Callable[..., OrderMessage]
Order: TypeAlias = Callable[..., str]
Refusal: TypeAlias = Callable[..., list[tuple[int, str]]]

# C-02: the sample of the MESA test tools.
MESA = (
    "MSH|^~\\&|MESA_ORDFIL|XYZ|MESA_IMG|XYZ|200008161510||ORM^O01|100113|P|2.3.1\r"
    "PID|||MM501^^^ADT1||MESA^PATIENT||19500101|M\r"
    "PV1||E|||||5101^NELL^FREDERICK^P^^DR||||||||||||V1\r"
    "ORC|NW|A100Z^MESA_ORDPLC|B100Z^MESA_ORDFIL||SC||1^once^^^^S||200008161510"
    "|||7101^ESTRADA^JAIME^P^^DR||||||SSAET2\r"
    "OBR|1|A100Z^MESA_ORDPLC|B100Z^MESA_ORDFIL|P1^Procedure 1^ERL_MESA^X1_A1^SP Action Item X1_A1^DSS_MESA"
    "|||||||||xxx||Radiology^^^^R|7101^ESTRADA^JAIME^P^^DR||ACC|RPID|SPSID||||MR|||1^once^^^^S|||WALK\r"
    "ZDS|1.2.4.0.13.1.432252867.1552647.1^100^Application^DICOM"
)


def value(document: Document, keyword: str) -> Any:
    """The value at a path; None where it is absent, "" where it is empty, a list where there are several."""
    element = paths.get(document, paths.parse_path(keyword))
    if element is None:
        return None
    values = element.get("Value", [])
    return values[0] if len(values) == 1 else values or ""


def items(document: Document, keyword: str) -> list[dict[str, Any]]:
    """The items of a sequence, by keyword, with plain values."""
    return [
        {paths.keyword(tag): element["Value"][0] for tag, element in item.items()}
        for item in document[paths.tag(keyword)].get("Value", [])
    ]


def warnings(order: OrderMessage) -> list[tuple[int, str]]:
    assert all(each.severity is Severity.WARNING for each in order.findings)
    return [(each.code, str(each.location)) for each in order.findings]


def only(order: OrderMessage) -> tuple[Document, Document]:
    """The one procedure and its one step."""
    (change,) = order.procedures
    (step,) = change.steps
    return change.procedure, step


# ── the acceptance vectors ──


def test_f_h01_the_mesa_order_is_read(read: Read) -> None:
    """IDs from OBR-18, -19, -20, the protocol from OBR-4.4 to 4.6, the station from ORC-18, no start."""
    procedure, step = only(read(MESA))

    assert [value(procedure, each) for each in ("AccessionNumber", "RequestedProcedureID", "StudyInstanceUID")] == [
        "ACC", "RPID", "1.2.4.0.13.1.432252867.1552647.1"]  # fmt: skip
    assert value(step, "ScheduledProcedureStepID") == "SPSID"
    assert value(step, "Modality") == "MR"
    assert value(procedure, "RequestedProcedurePriority") == "STAT"
    assert value(procedure, "RequestingPhysician") == {"Alphabetic": "ESTRADA^JAIME^P^DR"}
    assert value(procedure, "PatientTransportArrangements") == "WALK"
    assert value(procedure, "RequestedProcedureDescription") == "Procedure 1"
    assert value(step, "ScheduledProcedureStepDescription") == "SP Action Item X1_A1"
    assert value(step, "ScheduledProtocolCodeSequence.CodeValue") == "X1_A1"
    assert value(step, "ScheduledStationAETitle") == "SSAET2"
    assert value(step, "ScheduledProcedureStepStartDate") is None


def test_f_h01_a_site_says_that_orc_18_is_no_station(
    read: Read, site_profile: Callable[[str], SystemProfile]
) -> None:
    """One line of a site's profile turns the rule off."""
    profile = site_profile("step: {ScheduledStationAETitle: OBR-21}")

    _, step = only(read(MESA, profile=profile))

    assert value(step, "ScheduledStationAETitle") is None


def test_f_h02_start_and_priority_come_from_the_timing(read: Read, make_order: Order) -> None:
    """ORC-7.4 is date and time, ORC-7.6 the priority."""
    procedure, step = only(read(make_order(ORC_7="^^^20260705090000^^S")))

    assert value(step, "ScheduledProcedureStepStartDate") == "20260705"
    assert value(step, "ScheduledProcedureStepStartTime") == "090000"
    assert value(procedure, "RequestedProcedurePriority") == "STAT"


OMI = (
    "MSH|^~\\&|RIS|HOSP|MWL|HOSP|20260701||OMI^O23^OMI_O23|1|P|2.5.1\r"
    "PID|||PID001^^^HOSP_A||DOE^JOHN\r"
    "ORC|NW|P1^PLC|F1^FIL\rTQ1|1||||||20260705090000||S\r"
    "OBR|1|P1^PLC|F1^FIL|RP1^Whole body^L\r"
    "IPC|ACC1^RIS&1.2&ISO|RPID1|1.2.3.4|SPS1|CT|C1^CT part^L|CTROOM|ROOM1^Room 1|{station}\r"
    "IPC|ACC1|RPID1|1.2.3.4|SPS2|MR|M1^MR part^L"
)


def test_f_h03_every_ipc_is_a_step_of_one_procedure(read: Read) -> None:
    """OMI: accession, procedure and study from IPC; two steps with the start of TQ1."""
    (change,) = read(OMI.replace("{station}", "CT1")).procedures

    assert value(change.procedure, "StudyInstanceUID") == "1.2.3.4"
    assert value(change.procedure, "AccessionNumber") == "ACC1"
    assert [(value(step, "ScheduledProcedureStepID"), value(step, "Modality")) for step in change.steps] == [
        ("SPS1", "CT"), ("SPS2", "MR")]  # fmt: skip
    assert {value(step, "ScheduledProcedureStepStartTime") for step in change.steps} == {"090000"}
    assert value(change.steps[0], "ScheduledProtocolCodeSequence.CodeValue") == "C1"
    assert value(change.steps[0], "ScheduledProcedureStepLocation") == "Room 1"


def test_f_h04_a_step_has_as_many_stations_as_were_sent(read: Read) -> None:
    """IPC-9 repeats: the AE title has two values."""
    (change,) = read(OMI.replace("{station}", "US_1~US_2")).procedures

    assert value(change.steps[0], "ScheduledStationAETitle") == ["US_1", "US_2"]


@pytest.mark.parametrize(
    ("control", "status", "action"),
    [
        ("NW", "", "create"), ("NW", "SC", "create"), ("NW", "IP", "create"), ("SN", "", "create"),
        ("CH", "", "create"), ("RO", "", "create"),
        ("XO", "", "update"), ("XO", "IP", "update"), ("XX", "", "update"), ("NA", "", "update"),
        ("SC", "", "update"), ("XO", "SC", "release"), ("XX", "SC", "release"), ("SC", "SC", "release"),
        ("NW", "CM", "complete"), ("XO", "CM", "complete"), ("XX", "CM", "complete"), ("SC", "CM", "complete"),
        ("SC", "A", "complete"),
        ("CA", "", "cancel"), ("CA", "CA", "cancel"), ("OC", "", "cancel"), ("CR", "", "cancel"),
        ("CA", "SC", "cancel"), ("CA", "IP", "cancel"), ("SC", "CA", "cancel"), ("XO", "CA", "cancel"),
        ("SC", "RP", "cancel"), ("RP", "", "replace"), ("RU", "", "replace"),
        ("DC", "", "discontinue"), ("DC", "CA", "discontinue"), ("OD", "", "discontinue"),
        ("DR", "", "discontinue"), ("SC", "DC", "discontinue"), ("XO", "DC", "discontinue"),
        ("HD", "", "hold"), ("OH", "", "hold"), ("HR", "", "hold"), ("SC", "HD", "hold"), ("NW", "HD", "hold"),
        ("RL", "", "release"), ("OE", "", "release"), ("OR", "", "release"),
        ("SC", "IP", "nothing"), ("SC", "ER", "nothing"), ("PA", "", "nothing"), ("RE", "", "nothing"),
        ("RE", "CM", "nothing"), ("PR", "", "nothing"), ("OK", "", "nothing"), ("UA", "", "nothing"),
        ("UC", "", "nothing"), ("UD", "", "nothing"), ("UX", "", "nothing"), ("XR", "", "nothing"),
        ("RQ", "", "nothing"), ("nw", "sc", "create"),
    ],
)  # fmt: skip
def test_f_h08_f_h11_f_h13_order_control_decides(
    control: str, status: str, action: str, read: Read, make_order: Order
) -> None:
    """C.4 and C-10 to C-13, row by row: ORC-1, and ORC-5 where it is sent, decide what is asked for."""
    (change,) = read(make_order(ORC_1=control, ORC_5=status)).procedures

    assert change.action is OrderAction(action)


def test_f_h12_an_unknown_order_control_code_is_refused(refusal: Refusal, make_order: Order) -> None:
    """103 at ORC-1; none at all is 101."""
    assert refusal(make_order(ORC_1="ZZ")) == [(103, "ORC-1")]
    assert refusal(make_order(ORC_1="")) == [(101, "ORC-1")]


@pytest.mark.parametrize("control", ["SS", "SR"])
def test_a_status_request_is_rejected(control: str, read: Read, make_order: Order) -> None:
    """C.4: the broker answers no such request, and says so with AR 200 at its order."""
    text = (
        make_order(ORC_1="NW", ZDS="") + "\r" + make_order(ORC_1=control).partition("PV1||I|WARD1^101^2\r")[2]
    )

    with pytest.raises(NotUnderstood) as refused:
        read(text)

    assert [(each.code, str(each.location)) for each in refused.value.findings] == [(200, "ORC[2]-1")]


def test_f_h17_a_patient_without_id_is_refused(refusal: Refusal, make_order: Order) -> None:
    """101 at PID-3, also where the sender asks for its removal."""
    assert refusal(make_order(PID_3="")) == [(101, "PID-3")]
    assert refusal(make_order(PID_3='""')) == [(101, "PID-3")]
    assert refusal(make_order(PID_3="^^^HOSP_A")) == [(101, "PID-3")]


@pytest.mark.parametrize(
    ("sent", "name", "reported"),
    [
        (r"O\T\BRIEN^MARY", "O&BRIEN^MARY", False),  # F-H28
        (r"SMITH\S\JONES^A", "SMITH JONES^A", True),  # F-H29
        ("A\\E\\B^C", "A B^C", True),  # F-H30
        ("A=B^C", "A B^C", True),
        ("DOE^JOHN^Q^JR^DR^MD", "DOE^JOHN^Q^DR^JR MD", False),  # F-H37
        ("VAN DER BERG&VAN DER&BERG^JAN", "VAN DER BERG^JAN", False),
        ("DOE^JOHN^^^^^M~ROE^JANE^^^^^L", "ROE^JANE", False),
        ("DOE^JOHN~ROE^JANE", "DOE^JOHN", False),
    ],
)
def test_f_h28_f_h29_f_h30_f_h37_names_are_reordered_and_stay_whole(
    sent: str, name: str, reported: bool, read: Read, make_order: Order
) -> None:
    """Escapes come back as characters; what would part the name becomes a blank and is reported."""
    order = read(make_order(PID_5=sent))

    assert value(order.patient, "PatientName") == {"Alphabetic": name}
    assert warnings(order) == ([(102, "PID-5")] if reported else [])


def test_f_h31_comments_are_lines(read: Read, make_order: Order) -> None:
    """All notes of an order, their lines and their breaks, in one text."""
    text = make_order(NTE="NTE|1||line1\\.br\\line2\rNTE|2||R&D ward^4~fourth")

    procedure, _ = only(read(text))

    assert value(procedure, "RequestedProcedureComments") == "line1\r\nline2\r\nR&D ward^4\r\nfourth"


@pytest.mark.parametrize("field", ["OBR_18", "OBR_19", "OBR_20"])
def test_f_h32_an_identifier_too_long_is_refused(field: str, refusal: Refusal, make_order: Order) -> None:
    """102 at its field: an identifier is never cut."""
    assert refusal(make_order(**{field: "A" * 17})) == [(102, field.replace("_", "-"))]


def test_f_h33_a_description_too_long_is_cut_and_reported(read: Read, make_order: Order) -> None:
    """64 characters of the description stay, the code is kept."""
    order = read(make_order(OBR_4=f"RP1^Chest^L^SP1^{'x' * 80}^L"))
    _, step = only(order)

    assert value(step, "ScheduledProcedureStepDescription") == "x" * 64
    assert value(step, "ScheduledProtocolCodeSequence.CodeValue") == "SP1"
    assert warnings(order) == [(102, "OBR-4")] * 2  # the description, and the code's meaning


def test_f_h34_a_code_of_20_characters_is_a_long_code_value(read: Read, make_order: Order) -> None:
    """More than 16 characters stand in Long Code Value, uncut; no Code Value beside it."""
    procedure, _ = only(read(make_order(OBR_4=f"{'C' * 20}^Chest^L")))

    assert items(procedure, "RequestedProcedureCodeSequence") == [
        {"LongCodeValue": "C" * 20, "CodingSchemeDesignator": "L", "CodeMeaning": "Chest"}
    ]


@pytest.mark.parametrize("sent", ["1970", "197001", "0000", "00000000"])
def test_f_h35_a_birth_date_of_reduced_precision_is_empty(sent: str, read: Read, make_order: Order) -> None:
    """It is never completed to a date nobody stated."""
    order = read(make_order(PID_7=sent))

    assert value(order.patient, "PatientBirthDate") == ""
    assert warnings(order) == [(102, "PID-7")]


@pytest.mark.parametrize("sent", ["UNKNOWN", "1970-01-01", "19701340", "19700230", "197013"])
def test_f_h35_a_birth_date_that_cannot_be_read_is_reported_and_not_taken(
    sent: str, read: Read, make_order: Order
) -> None:
    """A slip of the sender is as if nothing was sent: what is stored stays."""
    order = read(make_order(ORC_1="XO", PID_7=sent))

    assert value(order.patient, "PatientBirthDate") is None
    assert warnings(order) == [(102, "PID-7")]


@pytest.mark.parametrize(
    ("sent", "sex", "reported"),
    [("m", "M", 0), ("A", "O", 0), ("N", "O", 0), ("U", "", 0), ('""', "", 0), ("X", None, 1), ("", None, 0)],
)
def test_f_h36_sex_is_looked_up(
    sent: str, sex: str | None, reported: int, read: Read, make_order: Order
) -> None:
    """Unknown is empty, not sent is absent, a word of nobody's table is reported and absent."""
    order = read(make_order(PID_8=sent))

    assert value(order.patient, "PatientSex") == sex
    assert warnings(order) == [(103, "PID-8")] * reported


def test_f_h38_representations_are_groups_of_one_name(read: Read, make_order: Order) -> None:
    """XPN-8 tells alphabetic, ideographic and phonetic apart."""
    sent = "Yamada^Tarou^^^^^L^A~山田^太郎^^^^^L^I~やまだ^たろう^^^^^L^P"

    assert value(read(make_order(PID_5=sent)).patient, "PatientName") == {
        "Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}  # fmt: skip


def test_f_h39_a_site_picks_its_own_patient_id(
    read: Read, make_order: Order, site_profile: Callable[[str], SystemProfile]
) -> None:
    """The ID of the authority the site names; the other one among the other IDs."""
    profile = site_profile('order: {pick: {PID-3: ["4.1=HOSP_A", 1]}}')

    patient = read(make_order(PID_3="X9^^^SSN^SS~PID001^^^HOSP_A^MR"), profile=profile).patient

    assert (value(patient, "PatientID"), value(patient, "IssuerOfPatientID")) == ("PID001", "HOSP_A")
    assert items(patient, "OtherPatientIDsSequence") == [
        {"PatientID": "X9", "IssuerOfPatientID": "SSN", "TypeOfPatientID": "TEXT"}
    ]


def test_f_h40_two_quotes_empty_and_absence_keeps(read: Read, make_order: Order) -> None:
    """On an update `""` empties; a field that is not sent leaves no attribute behind (D-25)."""
    emptied = read(make_order(ORC_1="XO", OBR_13='""', ORC_2='""', PV1_3='""', PID_5='""')).patient
    kept = read(make_order(ORC_1="XO", OBR_13="", PV1_3="", PID_5="")).patient

    attributes = ("MedicalAlerts", "CurrentPatientLocation", "PatientName")
    assert [value(emptied, each) for each in attributes] == [""] * 3
    assert [value(kept, each) for each in attributes] == [None] * 3


def test_f_h40_a_removed_identifier_takes_its_sequence_along(read: Read, make_order: Order) -> None:
    """A sequence of which nothing is left has no items (A-19)."""
    procedure, _ = only(read(make_order(ORC_2='""', OBR_2="", OBR_4='""')))

    assert procedure[paths.tag("OrderPlacerIdentifierSequence")] == {"vr": "SQ"}
    assert procedure[paths.tag("RequestedProcedureCodeSequence")] == {"vr": "SQ"}


def test_f_h57_all_mistakes_of_all_orders_are_found(refusal: Refusal, make_order: Order) -> None:
    """A message is refused whole, with every reason and the place of each."""
    second = f"ORC|NW|P2|F2||||^^^tomorrow\rOBR|2|P2|F2|X{'|' * 14}{'A' * 17}|R2|S2\r"
    text = make_order(PID_3="").replace("ZDS|", second + "ZDS|").replace("1.2.3.4", "1.2.x")

    assert refusal(text) == [(101, "PID-3"), (102, "ZDS-1"), (102, "OBR[2]-18"), (102, "ORC[2]-7")]


def test_f_h58_orders_of_one_step_id_are_one_step_with_several_protocols(
    read: Read, make_order: Order
) -> None:
    """IHE sends an order for each protocol code (C-06); the same code twice is one item."""
    first = make_order()
    again = first[first.index("ORC|") : first.index("ZDS|")]
    text = first.replace(
        "ZDS|", again.replace("SP1^CT chest plain", "SP2^CT chest contrast") + again + "ZDS|"
    )

    _, step = only(read(text))

    assert [each["CodeValue"] for each in items(step, "ScheduledProtocolCodeSequence")] == ["SP1", "SP2"]


def test_f_h60_an_invalid_study_uid_is_refused(refusal: Refusal, make_order: Order) -> None:
    """102 at ZDS-1."""
    assert refusal(make_order(ZDS="ZDS|1.2.x.bad^100^Application^DICOM")) == [(102, "ZDS-1")]


def test_f_h61_pregnancy_is_told_by_b6(read: Read, make_order: Order) -> None:
    """Any repetition of PV1-15 may say so; another status says no, none says nothing."""
    assert value(read(make_order(PV1_15="A0~B6")).patient, "PregnancyStatus") == 3
    assert value(read(make_order(PV1_15="A0")).patient, "PregnancyStatus") == ""
    assert value(read(make_order()).patient, "PregnancyStatus") is None


def test_f_h62_the_account_number_stands_in_for_the_visit_number(read: Read, make_order: Order) -> None:
    """PID-18 with its own authority where PV1-19 is empty; never one field's number with the other's issuer."""
    account, _ = only(read(make_order(PID_18="V77^^^H")))
    visit, _ = only(read(make_order(PID_18="V77^^^H", PV1_19="V78")))

    assert value(account, "AdmissionID") == "V77"
    assert items(account, "IssuerOfAdmissionIDSequence") == [{"LocalNamespaceEntityID": "H"}]
    assert value(visit, "AdmissionID") == "V78"
    assert value(visit, "IssuerOfAdmissionIDSequence") is None


@pytest.mark.parametrize(
    ("number", "unit", "weight", "reported"),
    [
        ("80", "kg", "80", 0), ("80000", "g", "80", 0), ("082.50", "KG", "082.50", 0),
        ("176.4", "[lb_av]", "80.013694", 0), ("80", "", None, 1), ("80", "stone", None, 1),
        ("82,5", "kg", None, 1), ("heavy", "kg", None, 1), ("0", "kg", None, 0),
    ],
)  # fmt: skip
def test_f_h66_weight_is_told_in_kilograms(
    number: str, unit: str, weight: str | None, reported: int, read: Read, make_order: Order
) -> None:
    """Known units are converted; a number without one is not a weight, and is reported."""
    order = read(make_order(OBX=f"OBX|1|NM|29463-7^Body Weight^LN||{number}|{unit}"))

    assert value(order.patient, "PatientWeight") == weight
    assert warnings(order) == [(102, "OBX-5")] * reported


def test_f_t01_f_t12_starts_are_site_time(read: Read, make_order: Order) -> None:
    """A start with an offset is converted, a day without a time begins at midnight."""
    _, converted = only(read(make_order(ORC_7="^^^20260715233000-0500")))
    _, day = only(read(make_order(ORC_7="^^^20260705")))

    start = ("ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime")
    assert [value(converted, each) for each in start] == ["20260716", "063000"]
    assert [value(day, each) for each in start] == ["20260705", "000000"]


def test_f_t02_the_offset_of_msh_7_holds_for_the_message(
    read: Read, make_order: Order, site_profile: Callable[[str], SystemProfile]
) -> None:
    """HL7 says so; a site whose RIS stamps MSH-7 in another zone than it schedules in turns it off."""
    text = make_order(MSH_7="20260714120000+0000", ORC_7="^^^20260715080000")
    _, by_rule = only(read(text))
    _, without = only(read(text, profile=site_profile("order: {offset: null}")))

    assert value(by_rule, "ScheduledProcedureStepStartTime") == "100000"
    assert value(without, "ScheduledProcedureStepStartTime") == "080000"


# ── what peers get wrong, and what the vectors leave open ──


def test_a_ris_of_hl7_2_3_without_accession_procedure_and_step_ids_works(
    read: Read, make_order: Order
) -> None:
    """Its own order number stands in; the change says which attributes were assumed (F-H59)."""
    (change,) = read(make_order(OBR_18="", OBR_19="", OBR_20="", ZDS="")).procedures
    (step,) = change.steps

    assert value(change.procedure, "AccessionNumber") == "F1"
    assert value(change.procedure, "RequestedProcedureID") == "F1"
    assert value(step, "ScheduledProcedureStepID") == "F1"
    assert value(change.procedure, "StudyInstanceUID") is None
    assert {paths.keyword(tag) for tag in change.assumed} == {
        "AccessionNumber", "RequestedProcedureID", "ScheduledProcedureStepID"}  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "accession"),
    [
        ({"ORC_3": "", "OBR_3": "F9"}, "F9"),
        ({"ORC_3": "", "OBR_3": "", "ORC_2": "P9^X"}, "P9"),
        ({"ORC_3": "", "OBR_3": "", "ORC_2": "", "OBR_2": "P8"}, "P8"),
    ],
)
def test_the_order_of_what_stands_in_for_an_accession_number(
    fields: dict[str, str], accession: str, read: Read, make_order: Order
) -> None:
    """The filler's number, from ORC then OBR; then the placer's."""
    procedure, _ = only(read(make_order(OBR_18="", **fields)))

    assert value(procedure, "AccessionNumber") == accession


def test_what_stands_in_is_no_longer_than_an_identifier(refusal: Refusal, make_order: Order) -> None:
    """A number too long for an accession number is refused at its own field, not cut."""
    assert (102, "ORC-3") in refusal(make_order(OBR_18="", ORC_3="F" * 17))


def test_what_stands_in_on_a_change_is_told_apart(read: Read, make_order: Order) -> None:
    """An update may meet an unknown order, which needs numbers; on a known one they must replace nothing."""
    (change,) = read(
        make_order(ORC_1="XO", OBR_18="", OBR_19="", OBR_20="", ORC_7="", ORC_15="20260708")
    ).procedures

    assert {paths.keyword(tag) for tag in change.assumed} == {
        "AccessionNumber", "RequestedProcedureID", "ScheduledProcedureStepID",
        "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime"}  # fmt: skip


@pytest.mark.parametrize("control", ["CA", "DC", "XO_CM"])
def test_a_cancellation_says_no_more_than_it_says(control: str, read: Read, make_order: Order) -> None:
    """With the placer's number alone it names no other number, and no step."""
    code, _, status = control.partition("_")
    text = make_order(ORC_1=code, ORC_5=status, OBR_18="", OBR_19="", OBR_20="", ORC_7="", ORC_15="20260708")
    (change,) = read(text).procedures
    (step,) = change.steps

    assert value(change.procedure, "PlacerOrderNumberImagingServiceRequest") == "P1"
    assert value(change.procedure, "AccessionNumber") is None
    assert value(change.procedure, "RequestedProcedureID") is None
    assert value(step, "ScheduledProcedureStepID") is None
    assert value(step, "ScheduledProcedureStepStartDate") is None
    assert change.assumed == frozenset()


def test_a_cancellation_is_not_refused_for_what_it_does_not_need(
    read: Read, refusal: Refusal, make_order: Order
) -> None:
    """A wrong start is reported; a wrong identifier is refused, for it may name another order."""
    order = read(make_order(ORC_1="CA", ORC_7="^^^tomorrow"))

    assert set(warnings(order)) == {(102, "ORC-7")}
    assert refusal(make_order(ORC_1="CA", OBR_18="A" * 17)) == [(102, "OBR-18")]


def test_what_is_removed_in_one_place_may_be_told_in_another(read: Read, make_order: Order) -> None:
    """A value counts more than a wish to delete, wherever in the list it stands."""
    procedure, _ = only(read(make_order(OBR_44='""', PV1_19='""', PID_18="V77")))

    assert value(procedure, "RequestedProcedureDescription") == "Chest CT"
    assert value(procedure, "AdmissionID") == "V77"


def test_a_new_order_without_any_number_is_refused(refusal: Refusal, make_order: Order) -> None:
    """Nothing would tell it from the next one."""
    text = make_order(ORC_2="", ORC_3="", OBR_2="", OBR_3="", OBR_18="", OBR_19="", OBR_20="")

    assert refusal(text) == [(101, "OBR-19"), (101, "OBR-20")]


def test_obr_4_alone_describes_and_codes_procedure_and_step(read: Read, make_order: Order) -> None:
    """Without OBR-44 and without a second triplet OBR-4 serves for both levels."""
    procedure, step = only(read(make_order(OBR_4="CTABD^CT Abdomen")))

    code = [{"CodeValue": "CTABD", "CodingSchemeDesignator": "L", "CodeMeaning": "CT Abdomen"}]
    assert value(procedure, "RequestedProcedureDescription") == "CT Abdomen"
    assert value(step, "ScheduledProcedureStepDescription") == "CT Abdomen"
    assert items(procedure, "RequestedProcedureCodeSequence") == code
    assert items(step, "ScheduledProtocolCodeSequence") == code


def test_obr_44_is_the_procedure_and_obr_4_the_step(read: Read, make_order: Order) -> None:
    """Where both are sent each has its own."""
    procedure, step = only(read(make_order(OBR_4="SP^Step^L", OBR_44="RP^Procedure^99X")))

    assert value(procedure, "RequestedProcedureCodeSequence.CodeValue") == "RP"
    assert value(procedure, "RequestedProcedureDescription") == "Procedure"
    assert value(step, "ScheduledProtocolCodeSequence.CodeValue") == "SP"
    assert value(step, "ScheduledProcedureStepDescription") == "Step"


def test_a_code_without_a_code_value_makes_no_item(read: Read, make_order: Order) -> None:
    """A text alone is a description; an empty item would break consoles (A-19)."""
    procedure, step = only(read(make_order(OBR_4="^CT Abdomen", OBR_31="pain & fever")))

    assert value(procedure, "RequestedProcedureCodeSequence") is None
    assert value(step, "ScheduledProtocolCodeSequence") is None
    assert value(procedure, "RequestedProcedureDescription") == "CT Abdomen"
    assert value(procedure, "ReasonForTheRequestedProcedure") == "pain & fever"
    assert value(procedure, "ReasonForRequestedProcedureCodeSequence") is None


@pytest.mark.parametrize(
    ("sent", "modality", "reported"),
    [
        ("TC", "CT", 0), ("RM", "MR", 0), ("RX", "DX", 0), ("USG", "US", 0), ("MMG", "MG", 0),  # F05
        ("ct", "CT", 0), ("RUS", "US", 0), ("RAD", None, 0), ("XYZ", "XYZ", 1), ("Röntgen", None, 2), ("", None, 0),
    ],
)  # fmt: skip
def test_local_words_for_modalities_become_dicoms(
    sent: str, modality: str | None, reported: int, read: Read, make_order: Order
) -> None:
    """F05: what the RIS calls TC answers a query for CT; an unknown word is kept where it may be, and reported."""
    order = read(make_order(OBR_24=sent))
    _, step = only(order)

    assert value(step, "Modality") == modality
    assert len(order.findings) == reported


def test_orders_of_one_requested_procedure_are_its_steps(read: Read, make_order: Order) -> None:
    """C-05: the same OBR-18 and -19 with another OBR-20 is another step, not another procedure."""
    first = make_order()
    second = first[first.index("ORC|") : first.index("ZDS|")].replace("SPS1", "SPS2")

    (change,) = read(first.replace("ZDS|", second + "ZDS|")).procedures

    assert [value(step, "ScheduledProcedureStepID") for step in change.steps] == ["SPS1", "SPS2"]


def two_groups(make_order: Order, **fields: str) -> str:
    """An order, and another one in the same message that shares accession number, procedure and study.

    *fields* are the second one's; what is empty the first one lacks as well.
    """
    lacking = {name: "" for name, text in fields.items() if not text}
    own = {"ORC_2": "P2^PLC", "ORC_3": "F2^FIL", "OBR_2": "P2^PLC", "OBR_3": "F2^FIL",
           "OBR_4": "RP1^Chest CT^L^SP2^CT chest contrast^L"}  # fmt: skip
    second = make_order(**(own | fields), ZDS="")
    first = make_order(**lacking)
    return first.replace("ZDS|", second[second.index("ORC|") :] + "\rZDS|")


def orders(message: OrderMessage) -> list[tuple[str, list[str]]]:
    """The filler number of each change, and the protocols of each of its steps."""
    return [
        (
            value(each.procedure, "FillerOrderNumberImagingServiceRequest"),
            ["+".join(item["CodeValue"] for item in items(step, "ScheduledProtocolCodeSequence"))
             for step in each.steps],
        )
        for each in message.procedures
    ]  # fmt: skip


@pytest.mark.parametrize("control", ["NW", "XO", "CA"])
@pytest.mark.parametrize(
    "missing",
    [{}, {"OBR_18": ""}, {"OBR_19": ""}, {"ORC_3": "", "OBR_3": ""}],
    ids=["all numbers", "no OBR-18", "no OBR-19", "no filler"],
)
def test_orders_with_numbers_of_their_own_stay_apart(
    control: str, missing: dict[str, str], read: Read, make_order: Order
) -> None:
    """C-05: one procedure and one study, and no step ID that was sent; each is later cancelled by itself."""
    text = two_groups(make_order, **missing, OBR_20="").replace("ORC|NW", f"ORC|{control}")

    found = [protocols for _, protocols in orders(read(text))]

    assert found == [["SP1"], ["SP2"]]


@pytest.mark.parametrize(
    ("numbers", "found"),
    [
        ({"ORC_3": "F1^FIL"}, [("F1", ["SP1+SP2"])]),  # the filler's counts more than the placer's
        ({"ORC_2": "P1^PLC"}, [("F1", ["SP1"]), ("F2", ["SP2"])]),
        ({"ORC_2": "P1^PLC", "ORC_3": "", "OBR_3": ""}, [(None, ["SP1+SP2"])]),
        ({"ORC_2": "P1^PLC", "ORC_3": "F2^OTHER"}, [("F1", ["SP1+SP2"])]),
        ({"ORC_2": "", "OBR_2": "", "ORC_3": "", "OBR_3": ""}, [(None, ["SP1+SP2"])]),
    ],
    ids=["one filler", "one placer", "one placer, no filler", "another issuer's filler", "no numbers"],
)
def test_orders_that_no_number_tells_apart_are_one_step(
    numbers: dict[str, str], found: list[Any], read: Read, make_order: Order
) -> None:
    """Filler first, then placer, each within its issuer: what is the same order has the codes of both."""
    assert orders(read(two_groups(make_order, **numbers, OBR_20=""))) == found


def test_orders_with_numbers_of_their_own_have_the_steps_they_name(read: Read, make_order: Order) -> None:
    """Another step ID is another order's step; the same one is the same step (C-06)."""
    two = read(two_groups(make_order, OBR_20="SPS2"))
    one = read(two_groups(make_order, OBR_20="SPS1"))

    assert orders(two) == [("F1", ["SP1"]), ("F2", ["SP2"])]
    assert orders(one) == [("F1", ["SP1+SP2"])]


def test_orders_of_one_procedure_must_agree_in_their_study(refusal: Refusal, make_order: Order) -> None:
    """Also where each is a change of its own."""
    own = two_groups(make_order, OBR_20="").replace("ORC|NW|P2", "ZDS|1.2.3.5\rORC|NW|P2")

    assert refusal(own) == [(205, "ORC[2]")]


@pytest.mark.parametrize("study", ["", "ZDS|1.2.3.4"], ids=["no ZDS", "one ZDS"])
def test_an_accession_number_for_several_orders_does_not_make_them_one(study: str, read: Read) -> None:
    """Without OBR-19 two orders stay two, each cancelled by its own number, in one study or not."""

    def group(n: int) -> str:
        return f"ORC|NW|PO{n}|FO{n}\rOBR|{n}|PO{n}|FO{n}|C{n}^Exam {n}^L{'|' * 14}ACC1{'|' * 6}CT\r"

    header = "MSH|^~\\&|RIS|HOSP|MWL|HOSP|20260701120000||ORM^O01|1|P|2.3.1\rPID|||P1||DOE^JOHN\r"
    order = read(header + group(1) + group(2) + study)

    assert orders(order) == [("FO1", ["C1"]), ("FO2", ["C2"])]
    assert {value(each.procedure, "AccessionNumber") for each in order.procedures} == {"ACC1"}


def test_each_order_has_its_own_numbers(read: Read, make_order: Order) -> None:
    """Two procedures in one message never share an accession number or a study."""
    first = make_order()
    group = first[first.index("ORC|") :]
    second = group.replace("ACC1", "ACC2").replace("RPID1", "RPID2").replace("1.2.3.4", "1.2.3.5")

    order = read(f"{first}\r{second}")

    pairs = [
        (value(each.procedure, "AccessionNumber"), value(each.procedure, "StudyInstanceUID"))
        for each in order.procedures
    ]
    assert pairs == [("ACC1", "1.2.3.4"), ("ACC2", "1.2.3.5")]


def test_a_replacement_cancels_and_creates_in_the_order_written(read: Read, make_order: Order) -> None:
    """RP and RO in one message are two changes, also under one requested procedure ID."""
    first = make_order(ORC_1="RP")
    second = first[first.index("ORC|") : first.index("ZDS|")].replace("ORC|RP", "ORC|RO")

    changes = read(first.replace("ZDS|", second + "ZDS|")).procedures

    assert [each.action for each in changes] == [OrderAction.REPLACE, OrderAction.CREATE]


def test_orders_that_disagree_about_one_step_are_refused(refusal: Refusal, make_order: Order) -> None:
    """One step cannot be on two modalities: neither exam may get lost without a word."""
    first = make_order()
    second = first[first.index("ORC|") : first.index("ZDS|")].replace("|CT", "|MR")

    assert refusal(first.replace("ZDS|", second + "ZDS|")) == [(205, "ORC[2]")]


@pytest.mark.parametrize(
    ("change", "findings"),
    [
        (lambda text: text.replace("OBR|1", "OBX|1"), [(100, "ORC")]),  # ORC without OBR
        (lambda text: text.replace("ORC|NW", "OBX|NW"), [(100, "OBR")]),  # OBR without ORC
        (lambda text: text.replace("PV1|", "PID|||P2\rPV1|"), [(100, "PID[2]")]),
        (lambda text: text.replace("PID|", "PIX|"), [(100, "PID")]),
        (lambda text: text.replace("ZDS|", "OBR|2\rZDS|"), [(100, "OBR[2]")]),
        (lambda text: text.replace("PV1|", "OBR|9\rPV1|"), [(100, "OBR")]),
        (lambda text: text[: text.index("ORC|")], [(100, "ORC")]),
    ],
)
def test_segments_that_do_not_belong_together_are_refused(
    change: Callable[[str], str], findings: list[tuple[int, str]], refusal: Refusal, make_order: Order
) -> None:
    """D-33: an order without its detail, a detail without its order, two patients, no order at all."""
    assert refusal(change(make_order())) == findings


def test_what_asks_for_nothing_is_not_read(read: Read, make_order: Order) -> None:
    """An answer without a patient or a detail segment is taken, and changes nothing."""
    text = make_order(ORC="ORC|OK|P1", OBR="", PID_3="")

    order = read(text)

    assert [each.action for each in order.procedures] == [OrderAction.NOTHING]
    assert order.patient == {}


def test_the_filler_and_placer_numbers_are_kept_as_received(read: Read, make_order: Order) -> None:
    """C-32: they go back with every status, so namespace, universal ID and type are kept as they came."""
    procedure, _ = only(read(make_order(ORC_2="p 1^Ns^1.2.3^iso", ORC_3="F1")))

    assert value(procedure, "PlacerOrderNumberImagingServiceRequest") == "p 1"
    assert items(procedure, "OrderPlacerIdentifierSequence") == [
        {"LocalNamespaceEntityID": "Ns", "UniversalEntityID": "1.2.3", "UniversalEntityIDType": "iso"}
    ]
    assert value(procedure, "OrderFillerIdentifierSequence") is None


def test_orc_wins_over_obr_and_the_difference_is_reported(read: Read, make_order: Order) -> None:
    """C-14: the numbers should be the same; ORC's are taken."""
    order = read(make_order(OBR_2="P7^PLC"))
    procedure, _ = only(order)

    assert value(procedure, "PlacerOrderNumberImagingServiceRequest") == "P1"
    assert warnings(order) == [(207, "OBR-2")]


@pytest.mark.parametrize(
    ("fields", "priority"),
    [
        ({"ORC_7": "^^^20260705^^A"}, "HIGH"), ({"ORC_7": "", "OBR_27": "^^^^^R"}, "ROUTINE"),
        ({"ORC_7": "", "OBR_5": "T"}, "MEDIUM"), ({"ORC_7": "^^^^^?", "OBR_5": "S"}, "STAT"), ({"ORC_7": ""}, None),
    ],
)  # fmt: skip
def test_priority_is_looked_up(
    fields: dict[str, str], priority: str | None, read: Read, make_order: Order
) -> None:
    """TQ1-9, ORC-7.6, OBR-27.6, OBR-5, in this order; a word no table holds is passed over."""
    procedure, _ = only(read(make_order(**fields)))

    assert value(procedure, "RequestedProcedurePriority") == priority


@pytest.mark.parametrize(
    ("fields", "date"),
    [
        ({"OBR_27": "^^^20260706"}, "20260706"), ({"OBR_36": "20260707"}, "20260707"),
        ({"ORC_15": "20260708"}, "20260708"), ({"OBR_7": "20260709"}, None),
    ],
)  # fmt: skip
def test_the_start_is_found_where_it_is_scheduled(
    fields: dict[str, str], date: str | None, read: Read, make_order: Order
) -> None:
    """What was done (OBR-7) is no plan; a new order's effective time is better than nothing."""
    _, step = only(read(make_order(ORC_7="", **fields)))

    assert value(step, "ScheduledProcedureStepStartDate") == date


def test_a_start_that_is_no_time_is_refused(refusal: Refusal, make_order: Order) -> None:
    """102 at its field, once: a guessed start would put the exam on another day's list."""
    assert refusal(make_order(ORC_7="^^^20260732")) == [(102, "ORC-7")]


def test_alerts_and_allergies_are_all_told(read: Read, make_order: Order) -> None:
    """Several allergies are several values, their words where there are any; the same one twice is one."""
    allergies = "AL1|1||^Penicillin\rAL1|2||LATEX\rAL1|3||^Penicillin"

    patient = read(make_order(AL1=allergies, OBR_13="asthma & hay fever", OBR_12="^MRSA")).patient

    assert value(patient, "Allergies") == ["Penicillin", "LATEX"]
    assert value(patient, "MedicalAlerts") == "asthma & hay fever"
    assert value(patient, "PatientState") == "MRSA"


def test_a_phone_number_too_long_is_left_out(read: Read, make_order: Order) -> None:
    """Half a number calls somebody else."""
    order = read(make_order(ORC_14="+49 30 123456 78901"))
    procedure, _ = only(order)

    assert value(procedure, "OrderCallbackPhoneNumber") is None
    assert warnings(order) == [(102, "ORC-14")]


def test_findings_hold_no_patient_data(read: Read, make_order: Order) -> None:
    """What goes back to the peer names fields and reasons, never values."""
    text = make_order(
        PID_5="SECRET\\S\\NAME", PID_8="SECRET", OBR_18="SECRET7890123456789", ORC_7="^^^SECRET"
    )

    with pytest.raises(Unacceptable) as refused:
        read(text)
    assert "SECRET" not in str(refused.value)
    assert not any("SECRET" in each.text for each in refused.value.findings)


def test_every_value_names_its_line_and_its_place(read: Read, make_order: Order) -> None:
    """A trace hears of section, profile line, target, value, and where in the message it stood."""
    from mwl.mapping.trace import Recorder

    trace = Recorder()
    second = f"ORC|NW|P2\rOBR|2|P2||X^Y{'|' * 14}ACC2|R2|S2"
    read(f"{make_order(OBR_20='')}\r{second}", trace=trace)

    notes = {(note.path, note.text): note for note in trace.notes}
    accession = notes["AccessionNumber", "OBR[2]-18"]
    assert accession.stage == "procedure"
    assert accession.operation == "identifier"
    assert accession.after == {"vr": "SH", "Value": ["ACC2"]}
    assert accession.origin.rpartition("/")[2].startswith("generic.yaml:")
    assert ("IssuerOfPatientID", "PID-3.4.1") in notes
    assert ("ScheduledProcedureStepID", "else") in notes
    assert ("CurrentPatientLocation", "template PV1-3.1, PV1-3.2, PV1-3.3") in notes


def test_every_mistake_names_its_line(read: Read, make_order: Order) -> None:
    """Whoever mends the profile learns which line to look at: of a wrong value, and of a missing one."""
    from mwl.mapping.trace import Recorder

    trace = Recorder()
    with pytest.raises(Unacceptable):
        read(make_order(PID_3="", OBR_18="ACC12345678901234"), trace=trace)

    mistakes = {note.path: note for note in trace.notes if note.after is None}
    assert mistakes["AccessionNumber"].text == "OBR-18: AccessionNumber is longer than 16 characters"
    assert mistakes["PatientID"].text == "PID-3: PatientID is required"
    assert all(note.origin.rpartition("/")[2].startswith("generic.yaml:") for note in mistakes.values())


_FIELD = st.text(alphabet='AB12^&~" \\\u5c71\x07', max_size=25)
_SEGMENT = st.tuples(
    st.sampled_from(["PID", "PV1", "ORC", "OBR", "NTE", "OBX", "AL1", "ZDS", "IPC", "TQ1"]),
    st.lists(_FIELD, max_size=44),
)


@settings(max_examples=300, deadline=None)
@given(segments=st.lists(_SEGMENT, max_size=12), control=st.sampled_from(["NW", "XO", "CA", "OK", "zz"]))
def test_any_message_is_read_or_refused(
    segments: list[tuple[str, list[str]]], control: str, read: Read
) -> None:
    """Whatever stands in a message, the outcome is documents without empty items, or `Unacceptable`."""
    lines = [
        "MSH|^~\\&|RIS",
        "PID|||P1",
        *("|".join([name, *fields]) for name, fields in segments if name != "PID"),
    ]
    lines += [f"ORC|{control}|P1", "OBR|1|P1"]

    order = None
    with contextlib.suppress(Unacceptable):
        order = read("\r".join(lines))

    for document in (order.patient, *(each.procedure for each in order.procedures)) if order else ():
        for element in document.values():
            assert element.get("Value") != []
            assert all(element.get("Value", [True]))
