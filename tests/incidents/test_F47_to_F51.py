"""Incidents F47 to F51: identity (9.5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from incidents import page
from incidents.incident import Incident, value
from incidents.intake import send
from incidents.played import row
from incidents.ward import Ward
from mwl.mapping import paths
from mwl.mapping.elements import make

ID, ACCESSION, CR = "PatientID", "AccessionNumber", {"SPS.Modality": "CR"}

F47 = Incident(
    "F47", "asks for the eight digits 00012345; the RIS knows 12345",
    on="kodak-carestream-cr",
    fix='codec: {tag: PatientID, op: pad, width: 8, char: "0"}',
    orders=[{**CR, ID: "12345"}, {**CR, ID: "54321"}],
    device="sim-radlink", query="patient ID", typed="00012345", missed=1,
    more={"PHILIPS": "codec: {tag: PatientID, op: pad, width: 10}"}, tells=ID,
)  # fmt: skip
LONG = "HOSP-2025-0003344556"
F48 = Incident(
    "F48", "has room for 16 characters; the accession number has 20",
    fix="codec: {tag: AccessionNumber, op: shorten}",
    orders=[{**CR, ACCESSION: LONG}, {**CR, ACCESSION: LONG.replace("556", "557")}],
    device="sim-radlink", query="today", tells=ACCESSION,
)  # fmt: skip
F49 = Incident(
    "F49", "reads the barcode *RAD-123*; the RIS knows 123",
    fix="""
wildcard: {AccessionNumber: strip_edges}
codec: {tag: AccessionNumber, op: prefix, text: RAD-}
""",
    orders=[{**CR, ACCESSION: "123"}, {**CR, ACCESSION: "1234"}],
    device="sim-radlink", query="accession", typed="*RAD-123*", tells=ACCESSION,
)  # fmt: skip


@dataclass(frozen=True)
class Careful(Incident):
    """An incident whose systems must not know two numbers that differ in capitals alone."""

    def system_profiles(self) -> Iterator[tuple[str, str]]:
        """Yield the profile of the only system."""
        yield "careful", "profile: careful\nextends: generic\norder: {policies: {other_spelling: refuse}}\n"


F50 = Careful(
    "F50", "writes capitals alone, and asks for AB12; the RIS knows ab12",
    fix="codec: {tag: PatientID, op: upper}",
    orders=[{**CR, ID: "ab12"}],
    device="sim-radlink", query="patient ID", typed="AB12", tells=ID,
)  # fmt: skip
F51 = Incident(
    "F51", "lets the operator make another patient of an entry, and keeps its study",
    on="ge-ct-connectpro",
    query="this modality/today", mends="none: a patient who differs is always reported, and ends nothing",
)  # fmt: skip
INCIDENTS = [F47, F48, F49, F50, F51]
CONFIGURED = {"systems": {"RIS": {"application": "*", "profile": "careful"}}}


def test_F47_an_id_is_padded_out_and_led_back(ward: Ward) -> None:
    """P25, in all three directions."""
    was, now = ward.reproduce(F47)
    reports = ward.perform(now, now.seen.shown[0])

    assert was.shown == []
    assert (now.shown, now.values(ID), now.fixed_by) == ([1], ["00012345"], {"codec"})
    assert [each.status for each in reports] == [0, 0]
    assert reports[0].attributes["00100020"]["Value"] == ["00012345"]
    assert ward.states() == {1: "COMPLETED", 2: "SCHEDULED"}
    assert [value(each, ID) for each in ward.performed()] == ["12345"]
    assert ward.play(replace(F47, typed="0000012345"), "PHILIPS").values(ID) == ["0000012345"]


def test_F48_a_long_number_has_a_handle(ward: Ward) -> None:
    """P25 `shorten`: always the same, one for each number, and found by it."""
    was, now = ward.reproduce(F48)
    (first, second) = now.values(ACCESSION)
    by_handle = ward.ask(replace(F48, query="accession", typed=first))
    reports = ward.perform(now, now.seen.shown[1])

    assert was.sent == []
    assert {reason for _, _, reason in was.withheld} == {"a value is longer than the device takes"}
    assert (len(first), len(second), first == second) == (16, 16, False)
    assert ward.ask(F48).values(ACCESSION)[:1] == [first]
    assert (by_handle.sent, now.fixed_by) == ([1], {"codec"})
    assert [each.status for each in reports] == [0, 0]
    assert ward.states() == {1: "SCHEDULED", 2: "COMPLETED"}
    assert [value(each.merged(), ACCESSION) for each in ward.items()] == [LONG, LONG.replace("556", "557")]


def test_F49_a_barcode_finds_its_order(ward: Ward) -> None:
    """P7 takes the asterisks off, P25 the prefix, and puts it back."""
    was, now = ward.reproduce(F49)

    assert was.shown == []
    assert (now.shown, now.values(ACCESSION)) == ([1], ["RAD-123"])
    assert now.fixed_by == {"wildcard", "codec"}


ORDER = (
    "MSH|^~\\&|RIS|HOSP|MWL|HOSP|20260704120000||ORM^O01|9|P|2.3.1\r"
    "PID|1||AB12^^^HOSP||ROE^ANNA||19710101|F\r"
    "ORC|NW|PL9^RIS|FI9^RIS||||1^once^^20260705093000^^S\r"
    "OBR|1|PL9^RIS|FI9^RIS|X9^Exam^L||||||||||||||ACC9|RP9|SPS9||||CR|||1^once^^20260705093000^^S\r"
)


def test_F50_capitals_are_one_patient_and_never_two(ward: Ward) -> None:
    """P25 `upper`; an order that would make two of them one is refused where it comes in."""
    was, now = ward.reproduce(F50)
    answers = send(ward, [ORDER])

    assert was.shown == []
    assert (now.shown, now.values(ID), now.fixed_by) == ([1], ["AB12"], {"codec"})
    assert answers == ["AE"]
    assert [value(each.merged(), ID) for each in ward.items()] == ["ab12"]


def edited(ward: Ward) -> list[str]:
    """Let the operator make another patient of an entry; return the row of the page."""
    _, now = found = ward.reproduce(F51)
    item = {**now.seen.shown[0]}
    for name, text_ in (
        ("PatientID", "OTHER"),
        ("PatientName", "ROE^ANNA"),
        ("PatientBirthDate", "19500505"),
    ):
        element = make(paths.vr(paths.tag(name)), [text_])
        assert element is not None
        item[paths.tag(name)] = element
    since = len(ward.broker.events)
    reports = ward.perform(now, item)
    told = ward.broker.until("performed step reported", since)

    assert [each.status for each in reports] == [0, 0]
    assert "PID1" not in str(told)
    assert value(ward.items()[0].merged(), ID) == "PID1"
    row_ = row(F51, found)
    return [
        *row_[:2],
        "COMPLETED is reported of OTHER",
        told["finding"],
        row_[4],
        f"the step is {ward.states()[1]}",
    ]


def test_F51_another_patient_in_the_entry_s_study_ends_nothing(ward: Ward) -> None:
    """P35 tells of it; something was done, but the order is not closed: a person decides."""
    ward.rows["F51"] = edited(ward)

    assert ward.states() == {1: "STARTED"}
    assert "patient" in ward.rows["F51"][3]


def test_the_page_says_what_happened(ward: Ward) -> None:
    """docs/incidents.md, F47 to F51."""
    page.check(ward, "F47 to F51", {"F51": edited})
