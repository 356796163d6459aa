"""Orders that cannot be taken: each reason with its code, its place, and words an analyst can act on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from mwl.errors import Unacceptable
from mwl.mapping.systems.system import SystemProfile
from mwl.model import OrderMessage

Read: TypeAlias = Callable[..., OrderMessage]
Order: TypeAlias = Callable[..., str]
Refusal: TypeAlias = Callable[..., list[tuple[int, str]]]


@pytest.fixture(scope="session")
def reasons(read: Read) -> Callable[..., list[str]]:
    """Read a message that is refused, and return each reason as an analyst reads it."""

    def _reasons(text: str, **options: object) -> list[str]:
        with pytest.raises(Unacceptable) as caught:
            read(text, **options)
        return [f"{each.code} {each.location}: {each.text}" for each in caught.value.findings]

    return _reasons


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"PID_3": ""}, "101 PID-3: PatientID is required"),
        ({"ORC_1": ""}, "101 ORC-1: an order control code is required"),
        ({"ORC_1": "ZZ"}, "103 ORC-1: order control code is not known"),
        ({"OBR": ""}, "100 ORC: OBR is missing here"),
        ({"PID": ""}, "100 PID: PID is missing here"),
        ({"OBR_18": "A" * 17}, "102 OBR-18: AccessionNumber is longer than 16 characters"),
        ({"OBR_19": "R" * 17}, "102 OBR-19: RequestedProcedureID is longer than 16 characters"),
        ({"OBR_20": "S" * 17}, "102 OBR-20: ScheduledProcedureStepID is longer than 16 characters"),
        ({"PID_3": "P" * 65}, "102 PID-3: PatientID is longer than 64 characters"),
        ({"ORC_2": "P" * 65}, "102 ORC-2: PlacerOrderNumberImagingServiceRequest is longer than 64 characters"),
        ({"ORC_18": "STATION_TOO_LONG_"}, "102 ORC-18: ScheduledStationAETitle is longer than 16 characters"),
        ({"ZDS": "ZDS|1.2.x.bad"}, "102 ZDS-1: StudyInstanceUID is not a valid UID"),
        ({"ZDS": f"ZDS|1.{'2' * 63}"}, "102 ZDS-1: StudyInstanceUID is not a valid UID"),
        (
            {"ORC_7": "^^^tomorrow"},
            "102 ORC-7: ScheduledProcedureStepStartDate is not a time stamp of at least YYYYMMDD",
        ),
        ({"ORC_7": "^^^20260230"}, "102 ORC-7: ScheduledProcedureStepStartDate is not a real date and time"),
        (
            {"ORC_7": "^^^202607"},
            "102 ORC-7: ScheduledProcedureStepStartDate is not a time stamp of at least YYYYMMDD",
        ),
        (
            {"OBR_18": r"A\E\B"},
            "102 OBR-18: AccessionNumber holds a character that a DICOM identifier cannot",
        ),
    ],
)  # fmt: skip
def test_a_reason_names_its_field_and_says_what_is_wrong(
    fields: dict[str, str], reason: str, reasons: Callable[..., list[str]], make_order: Order
) -> None:
    """One mistake, one reason: code of table 0357, field, words; never the value itself."""
    assert reasons(make_order(**fields)) == [reason]


def test_every_mistake_of_every_order_is_named(reasons: Callable[..., list[str]], make_order: Order) -> None:
    """The sender mends all of it in one go; the place tells which order is meant."""
    first = make_order(OBR_18="A" * 17)
    second = (
        first[first.index("ORC|") : first.index("ZDS|")].replace("A" * 17, "ACC2").replace("RPID1", "R" * 17)
    )

    found = reasons(first.replace("ZDS|", second + "ZDS|").replace("20260705090000", "never"))

    assert [each.partition(":")[0] for each in found] == [
        "102 OBR-18",
        "102 ORC-7",
        "102 OBR[2]-19",
        "102 ORC[2]-7",
    ]


def test_what_would_stand_in_and_was_refused_is_told_once(
    reasons: Callable[..., list[str]], make_order: Order
) -> None:
    """No "is required" for the numbers that would have been taken from it."""
    sent = make_order(OBR_18="A" * 17, OBR_19="", OBR_20="")

    assert reasons(sent) == ["102 OBR-18: AccessionNumber is longer than 16 characters"]


def test_the_mistake_of_one_order_hides_nothing_of_the_next(
    reasons: Callable[..., list[str]], make_order: Order
) -> None:
    """The second order lacks every number: that is another mistake."""
    first = make_order(OBR_18="A" * 17, OBR_19="", OBR_20="")
    lacking = "ORC|NW\rOBR|2|||RP1^Chest CT^L||||||||||||||||||||CT\r"

    found = reasons(first.replace("ZDS|", lacking + "ZDS|"))

    assert found[0] == "102 OBR-18: AccessionNumber is longer than 16 characters"
    assert [each.partition(":")[0] for each in found[1:]] == ["101 OBR[2]-19", "101 OBR[2]-20"]


MODALITY = "step: {Modality: {from: OBR-24, table: [{ROENTGEN: DX}], miss: error}}"


def test_a_code_the_table_lacks_is_refused_where_the_profile_says_so(
    refusal: Refusal,
    reasons: Callable[..., list[str]],
    site_profile: Callable[[str], SystemProfile],
    make_order: Order,
) -> None:
    """103 at the field, once the profile states miss: error; a row for it takes the message."""
    profile = site_profile(MODALITY)

    assert reasons(make_order(OBR_24="XYZ"), profile=profile) == [
        "103 OBR-24: Modality stands in no row of its table"
    ]
    assert refusal(make_order(OBR_24="XYZ"), profile=profile) == [(103, "OBR-24")]


def test_a_cancellation_is_not_refused_for_a_code(
    read: Read, site_profile: Callable[[str], SystemProfile], make_order: Order
) -> None:
    """To take an exam off the list its identifiers are enough: the code is reported."""
    order = read(make_order(ORC_1="CA", OBR_24="XYZ"), profile=site_profile(MODALITY))

    assert [(each.code, str(each.location)) for each in order.findings] == [(103, "OBR-24")]


@pytest.mark.parametrize("field", ["OBR_18", "OBR_19", "OBR_20", "PID_3", "ORC_2", "ZDS_1"])
def test_an_identifier_is_never_altered_for_a_cancellation_either(
    field: str, refusal: Refusal, make_order: Order
) -> None:
    """A cut number could name another patient's exam."""
    ((code, _),) = refusal(make_order(ORC_1="CA", **{field: "1." + "9" * 70}))

    assert code == 102
