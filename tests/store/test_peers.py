"""Where the feature leader of the peers fails (reference/peers.md, section 1): whole messages, into the store."""

from __future__ import annotations

from pathlib import Path

import pytest
from store.ris import Ris, bind, order, segment, value

from mwl.mapping.systems.system import SystemProfile
from mwl.store import Store


@pytest.fixture(scope="module")
def generic() -> SystemProfile:
    return bind()


@pytest.fixture
def ris(store: Store, generic: SystemProfile) -> Ris:
    return Ris(store, generic)


@pytest.fixture
def minimal(store: Store) -> Ris:
    return Ris(store, bind("ris-minimal"))


BARE = order(MSH_12="2.3", PV1="", ZDS="", OBR_4="CTHEAD^CT head^L", OBR_18="", OBR_19="", OBR_20="")
"""What a RIS of HL7 2.3 sends: no ZDS, no accession number, no IDs of procedure and step, no ORC-5."""


def test_peer_01_order_without_zds_makes_a_step(ris: Ris) -> None:
    """An order of HL7 2.3 without ZDS is on the worklist, under a study of its own."""
    ris.send(BARE)

    assert value(ris.step, "StudyInstanceUID").startswith("1.2.276.0.99.")
    assert value(ris.step, "AccessionNumber") == "F1"
    assert value(ris.step, "SPS.Modality") == "CT"
    assert ris.worklist == ["F1"]


def test_peer_02_two_orders_of_one_message_are_two_procedures(ris: Ris) -> None:
    """Each keeps its own accession number, its own step and its own Study Instance UID."""
    second = "\r".join(
        (
            segment("ORC", f2="P2^PLC", f3="F2^FIL"),
            segment("OBR", f2="P2^PLC", f3="F2^FIL", f18="ACC2", f19="RPID2", f20="SPS2"),
        )
    )

    ris.send(order(second, ZDS=""))

    found = [
        (
            value(each, "AccessionNumber"),
            value(each, "RequestedProcedureID"),
            value(each, "SPS.ScheduledProcedureStepID"),
        )
        for each in ris.steps
    ]
    assert found == [("ACC1", "RPID1", "SPS1"), ("ACC2", "RPID2", "SPS2")]
    assert len({value(each, "StudyInstanceUID") for each in ris.steps}) == 2


def test_peer_03_obr_4_alone_describes_and_codes_both_levels(ris: Ris) -> None:
    """Without OBR-44 the one triplet is the description and the code of procedure and step."""
    ris.send(order(OBR_4="CTHEAD^CT head^L"))

    assert value(ris.step, "RequestedProcedureDescription") == "CT head"
    assert value(ris.step, "RequestedProcedureCodeSequence.CodeValue") == "CTHEAD"
    assert value(ris.step, "SPS.ScheduledProcedureStepDescription") == "CT head"
    assert value(ris.step, "SPS.ScheduledProtocolCodeSequence.CodeValue") == "CTHEAD"


@pytest.mark.parametrize(
    ("control", "state"),
    [
        ("OC", "CANCELED"),
        ("OD", "DISCONTINUED"),
        ("SN", "SCHEDULED"),
        ("RP", "CANCELED"),
        ("XO", "SCHEDULED"),
    ],
)
def test_peer_04_every_order_control_works_without_orc_5(ris: Ris, control: str, state: str) -> None:
    """What a code asks for is done, although ORC-5 is empty."""
    ris.send(order())

    ris.send(order(ORC_1=control))

    assert ris.states == [state]


def test_peer_05_appointments_schedule_move_and_cancel(ris: Ris, fixtures: Path) -> None:
    """SIU^S12, S13 and S15 of HL7 2.3.1, without any order: on the worklist, on another day, off it."""

    def send(name: str) -> None:
        ris.send((fixtures / "hl7" / f"{name}.hl7").read_text().replace("\n", "\r"))

    send("siu-s12-2.3.1")
    booked = (len(ris.worklist), value(ris.step, "SPS.ScheduledProcedureStepStartDate"))
    send("siu-s13-2.3.1")
    moved = (len(ris.worklist), value(ris.step, "SPS.ScheduledProcedureStepStartDate"))
    send("siu-s15-2.3.1")

    assert (booked, moved) == ((1, "20260707"), (1, "20260708"))
    assert (ris.worklist, ris.states) == ([], ["CANCELED"])


def test_peer_06_order_and_step_change_in_one_message(ris: Ris) -> None:
    """An unchanged first step stops neither the order's own change nor the second step."""
    second = "\r".join((segment("ORC"), segment("OBR", f20="SPS2")))
    ris.send(order(second))

    ris.send(
        order(
            segment("ORC", f1="XO", f7="^^^20260706110000"), segment("OBR", f20="SPS2", f31="Fall"),
            ORC_1="XO", OBR_31="Fall", MSH_7="20260701110000",
        )
    )  # fmt: skip

    assert [value(each, "ReasonForTheRequestedProcedure") for each in ris.steps] == ["Fall", "Fall"]
    assert [value(each, "SPS.ScheduledProcedureStepStartDate") for each in ris.steps] == [
        "20260705",
        "20260706",
    ]


@pytest.mark.parametrize("control", ["NW", "XO"])
@pytest.mark.parametrize("sent", ["20260701090000", "20260701110000"])
def test_peer_07_a_late_order_throws_no_running_exam_back(ris: Ris, control: str, sent: str) -> None:
    """NW or XO after the device has begun leaves the step STARTED, whenever the message was sent."""
    ris.send(order())
    ris.begin()

    ris.send(order(ORC_1=control, ORC_7="^^^20260706090000", MSH_7=sent))

    assert ris.states == ["STARTED"]
    assert ris.worklist == ["SPS1"]


def test_peer_08_a_cancellation_of_an_unknown_order_makes_nothing(ris: Ris) -> None:
    """AE 204 at ORC-2, and neither order nor patient came into being."""
    empty = ris.rows()

    assert ris.refused(order(ORC_1="CA")) == [(204, "ORC-2")]
    assert ris.rows() == empty


@pytest.mark.parametrize("zds", ["", "ZDS|1.2.276.0.99.2^100^Application^DICOM"])
def test_peer_09_another_or_no_study_uid_makes_no_second_item(ris: Ris, zds: str) -> None:
    """The order is known by its numbers, whatever becomes of its Study Instance UID."""
    ris.send(order())

    ris.send(order(ORC_1="XO", ZDS=zds))

    assert value(ris.step, "StudyInstanceUID") == ("1.2.276.0.99.2" if zds else "1.2.276.0.99.1")


def test_peer_09_once_images_may_exist_the_study_uid_stays(ris: Ris) -> None:
    """An exam that has begun keeps its study; the difference is reported."""
    ris.send(order())
    ris.begin()

    outcome = ris.send(order(ORC_1="XO", ZDS="ZDS|1.2.276.0.99.2"))

    assert value(ris.step, "StudyInstanceUID") == "1.2.276.0.99.1"
    assert [each.code for each in outcome.findings] == [205]


def test_peer_10_a_missing_procedure_id_is_stood_in_for_by_a_short_number(ris: Ris) -> None:
    """The accession number stands in, which an SH of 16 characters holds; never a UID."""
    ris.send(order(OBR_19="", OBR_20=""))

    assert value(ris.step, "RequestedProcedureID") == "ACC1"
    assert value(ris.step, "SPS.ScheduledProcedureStepID") == "ACC1"


def test_peer_13_escapes_in_notes_are_characters(ris: Ris) -> None:
    """What is escaped arrives as what was meant; what only looks like it arrives as it is."""
    notes = [r"NTE|1||first line\.br\5 \T\ 6 mm\F\left", r"NTE|2||path \TEST\ stays"]

    ris.send("\r".join((order(ZDS=""), *notes)))

    comments = value(ris.step, "RequestedProcedureComments")
    assert comments == "first line\r\n5 & 6 mm|left\r\n" + r"path \TEST\ stays"


def test_a_ris_of_the_minimal_profile_needs_its_catalogue(minimal: Ris, store: Store, tmp_path: Path) -> None:
    """Without a modality anywhere the order is refused; a row for its code mends that (peers 1, 3, 10)."""
    bare = BARE.removesuffix("|CT")
    assert minimal.refused(bare) == [(101, "OBR-24")]

    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "procedures.csv").write_text("code,modality,station\nCTHEAD,CT,CT_1~CT_2\n")
    mended = Ris(store, bind("ris-minimal", tmp_path))
    mended.send(bare)

    assert value(mended.step, "SPS.Modality") == "CT"
    assert value(mended.step, "SPS.ScheduledStationAETitle") == ["CT_1", "CT_2"]
    assert value(mended.step, "RequestedProcedureDescription") == "CT head"
