"""Incidents F24 to F39: the list arrives and is not shown, or shown wrongly (9.3)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from incidents import page
from incidents.incident import Incident, value
from incidents.intake import Intake, reproduce
from incidents.ward import Ward
from mwl.dicom.emulators import DEVICES, Judge, OnBad
from mwl.mapping import paths
from mwl.model import Document, text

US = "SPS.Modality"
RP, PROTOCOL = "RequestedProcedureCodeSequence", "SPS.ScheduledProtocolCodeSequence"
STATION, STUDY = "SPS.ScheduledStationAETitle", "StudyInstanceUID"
DESCRIPTION, TEXT = "SPS.ScheduledProcedureStepDescription", "RequestedProcedureDescription"


def code(value_: str = "", scheme: str = "", meaning: str = "") -> dict[str, Any]:
    """Return a code as orders have it; "" is zero-length."""
    return {"CodeValue": value_, "CodingSchemeDesignator": scheme, "CodeMeaning": meaning}


def codes(items: list[Document]) -> list[tuple[str, str, str]]:
    """Return value, scheme and meaning of code items."""
    return [tuple(text(each, f"0008010{n}") for n in (0, 2, 4)) for each in items]  # type: ignore[misc]


F24 = Incident(
    "F24", "asks for both code sequences; the order has no code, but says what is to be done",
    on="siemens-dr-aristos",
    before="""
code: null
clear: [RequestedProcedureCodeSequence.CodeValue]
seq: null
""",
    fix="""
code: {tag: "*CodeSequence", drop_incomplete: true}
seq: {default: {empty: omit, prune_empty_items: true}}
""",
    orders=[{US: "DX", RP: [code("", "", "Chest")], PROTOCOL: [code("", "", "pa")]}],
    device="sim-siemens-aristos",
)  # fmt: skip
F25 = Incident(
    "F25", "sends a protocol code of four empty attributes; the order has no code",
    on="samsung-us-medison",
    before="seq: {default: {empty: one_empty_item}}",
    fix="seq: {default: {empty: zero_items}}",
    orders=[{US: "US"}, {US: "US", PROTOCOL: [code("ABD", "L", "Abdomen")]}],
    device="sim-medison", tells=PROTOCOL,
)  # fmt: skip
F26 = Incident(
    "F26", "refuses an item without a station; the order names none",
    on="ge-ct-connectpro",
    before="require: null",
    fix="require: {type1: SPS.ScheduledStationAETitle, fill: {SPS.ScheduledStationAETitle: $calling_ae}, on_fail: fill}",
    orders=[{STATION: None}],
    query="this modality/today",
)  # fmt: skip
BAD_DATE = {"SPS.ScheduledProcedureStepStartDate": {"vr": "DA", "Value": ["20260231"]}}
F27 = Incident(
    "F27", "cancels at a date that is none; one order of forty has one",
    on="ge-ct-connectpro",
    before="""
format: null
require: null
""",
    fix="""
format: {"*Date": YYYYMMDD}
require: {type1: [SPS.ScheduledProcedureStepStartDate], on_fail: skip_item}
""",
    orders=[BAD_DATE if n == 20 else {} for n in range(1, 41)],
    query="this modality/all days", missed=20,
    device=replace(DEVICES["sim-ge-ct"], judge=replace(DEVICES["sim-ge-ct"].judge, on_bad=OnBad.ABORT)),
)  # fmt: skip
THREE = [
    {US: "US", STUDY: "1.2.276.0.99.77", "AccessionNumber": "ACC1", "RequestedProcedureID": "RP1",
     "PatientID": "PID1", "FillerOrderNumberImagingServiceRequest": "F1", DESCRIPTION: name}
    for name in ("Liver", "Kidney", "Spleen")
]  # fmt: skip
F28 = Incident(
    "F28", "shows the last of three steps of one study",
    on="ge-us-logiq",
    fix="uid: {StudyInstanceUID: {per_sps: derive}}",
    orders=THREE, device="sim-ge-logiq7",
)  # fmt: skip
F29 = Incident(
    "F29", "shows the last of three steps of one study, and is to show one line",
    on="ge-us-logiq",
    fix='merge: {by: [StudyInstanceUID], join: {SPS.ScheduledProcedureStepDescription: " + "}}',
    orders=THREE, device="sim-ge-logiq7", tells=DESCRIPTION,
)  # fmt: skip
LONG_ID = "12345678901234567890"
F30 = Incident(
    "F30", "cuts names at 32 characters and descriptions at 22",
    on="ge-ct-connectpro",
    before="respond: null",
    fix="""
truncate: {PatientName: 32, RequestedProcedureDescription: {max: 22, at: word}}
require: {max_len: {PatientID: 16}, on_fail: report}
""",
    orders=[{
        "PatientName": "SCHWARZENBERGER-HOHENSTEIN^MAXIMILIAN^DER^DR", "PatientID": LONG_ID,
        TEXT: "CT of the head with contrast medium and perfusion imaging",
    }],
    query="this modality/today", tells=TEXT,
)  # fmt: skip
SEVEN = [code(f"P{n}", "L", "" if n == 3 else f"Protocol {n}") for n in range(1, 8)]
F31 = Incident(
    "F31", "takes five protocol codes, each with its meaning; the order has seven",
    on="ge-ct-connectpro",
    before="code: null",
    fix="code: {tag: SPS.ScheduledProtocolCodeSequence, complete: [value, scheme, meaning], max: 5}",
    orders=[{PROTOCOL: SEVEN}],
    query="this modality/today",
)  # fmt: skip
APR = ("APR01", "APR07")


def not_in_its_table(item: Document) -> Iterator[str]:
    """Remark, as the console's message does, on codes it does not know."""
    for found in value(item, PROTOCOL) or []:
        if text(found, "00080100") not in APR:
            yield f"a message: {text(found, '00080100')} matches no protocol"


DEFINIUM = replace(DEVICES["sim-siemens-aristos"], judge=Judge(remarks=(not_in_its_table,)))
F32 = Incident(
    "F32", "compares every protocol code with its own table, and names those that are not in it",
    fix="map: {table: {RX-TOR-1: APR01, RX-HND: APR07}, key: 'SPS.ScheduledProtocolCodeSequence[*].CodeValue', miss: drop_code}",
    orders=[{US: "DX", PROTOCOL: [code("RX-TOR-1", "L", "Thorax"), code("RX-TOR-2", "L", "Thorax 2")]}],
    device=DEFINIUM,
)  # fmt: skip
F33 = Incident(
    "F33", "finds its menu by FCR codes, in three places",
    fix="""
map: {table: {"33010048": {c: FCR0101-0001, m: Chest}}, key: "RequestedProcedureCodeSequence[0].CodeValue", out: {code: c, scheme: 99SITE, meaning: m}}
code: {tag: RequestedProcedureCodeSequence, copy_to: [SPS.ScheduledProtocolCodeSequence, SPS.RequestedProcedureCodeSequence]}
text: {tags: PatientName, ops: [ascii, upper]}
""",
    orders=[{US: "CR", "PatientName": "Müller^Jürgen", RP: [code("33010048", "L", "Tórax")]}],
    device="sim-radlink", keys=[RP, PROTOCOL, "SPS.RequestedProcedureCodeSequence"],
)  # fmt: skip
F34 = Incident(
    "F34", "stores UNKNOWN for a scheme that the RIS did not send",
    before="code: null",
    fix='code: {tag: "*CodeSequence", default_scheme: 99SITE, drop_incomplete: true}',
    orders=[{US: "CR", RP: [code("HAND", "", "Hand")], PROTOCOL: [code("P1", "", "ap")]}],
    device="sim-agfa-nx",
    more={"STACKED": "code: [{tag: '*CodeSequence', drop_incomplete: true}, {tag: SPS.ScheduledProtocolCodeSequence, default_scheme: 99SITE}]"},
)  # fmt: skip
F35 = Incident(
    "F35", "says that the query failed; the database is gone for a moment",
    on="esaote-mri",
    before="session: {on_error: fail, stale: null}",
    fix="session: {on_error: stale, stale: 300s}",
    orders=[{US: "MR"}],
    device="sim-esaote", more={"SHORT": "session: {on_error: stale, stale: 1s}"},
)  # fmt: skip
F36 = Incident(
    "F36", "shows the description alone; that the patient is isolated stands in a comment",
    fix="""
template: {RequestedProcedureDescription: "{RequestedProcedureDescription}[ *{RequestedProcedureComments}*]"}
truncate: {RequestedProcedureDescription: {max: 22, keep: tail}}
""",
    orders=[
        {TEXT: "CHEST", "RequestedProcedureComments": "MRSA"},
        {TEXT: "CHEST"},
        {TEXT: "CHEST TWO VIEWS UPRIGHT", "RequestedProcedureComments": "MRSA"},
    ],
    query="this modality/today", keys=["RequestedProcedureComments"], tells=TEXT,
)  # fmt: skip
ORDER = (
    "MSH|^~\\&|{{application}}|HOSP|MWL|HOSP|2026070412000{n}||ORM^O01|{n}{control}|P|2.3.1\n"
    "PID|1||PID{n}^^^HOSP||DOE^JANE||19700101|F\n"
    "ORC|{control}|PL{n}^RIS|FI{n}^RIS||{status}||1^once^^20260705093000^^S\n"
    "OBR|1|PL{n}^RIS|FI{n}^RIS|X{n}^Exam^L||||||||||||||ACC{n}|RP{n}|SPS{n}||||CT"
    "|||1^once^^20260705093000^^S\n"
    "ZDS|1.2.276.0.99.{n}^RIS^Application^DICOM\n"
)
WORDS = ("VERIFIED", "CANCELLED", "STARTED", "DICTATED")
F37 = Intake(
    "F37", "shows what is over; the RIS says VERIFIED and CANCELLED where HL7 says CM and CA",
    fix='order: {control: {actions: {"*_VERIFIED": complete, "*_CANCELLED": cancel, "*_STARTED": nothing}}}',
    messages=[
        *(ORDER.format(n=n, control="NW", status="") for n in range(1, 5)),
        *(ORDER.format(n=n, control="XO", status=word) for n, word in enumerate(WORDS, 1)),
    ],
    query="this modality/today",
)  # fmt: skip
F38 = Incident(
    "F38", "refuses an item without a birth date; the order has none",
    fix='default: {PatientBirthDate: "19000101", unsafe: true}',
    orders=[{"PatientBirthDate": None}, {}],
    device="sim-lowcost-cn",
)  # fmt: skip
MINDRAY = replace(
    DEVICES["sim-terason"],
    judge=Judge(refuses=(lambda item: (f"{c!r} in the name" for c in ",=" if c in str(value(item, "PatientName")).split("=")[0]),)),
)  # fmt: skip
F39 = Incident(
    "F39", "refuses names with a comma, of which typists make many",
    before="text: null",
    fix='text: {tags: [PatientName], ops: [strip_control, "replace:=|,| ", collapse, trim]}',
    orders=[{US: "US", "PatientName": "DOE, SMITH^JANE=王^小明"}],
    device=MINDRAY, keys=["SpecificCharacterSet=ISO_IR 192"], tells="PatientName",
)  # fmt: skip
INCIDENTS = [F24, F25, F26, F27, F28, F29, F30, F31, F32, F33, F34, F35, F36, F37, F38, F39]


def test_F24_no_empty_code_item_on_the_wire(ward: Ward) -> None:
    """P27 drops what is no code, P28 sends no sequence for it."""
    was, now = ward.reproduce(F24)

    assert (was.shown, "without Code Value" in was.reasons[0]) == ([], True)
    assert now.shown == [1]
    assert (now.values(RP), now.values(PROTOCOL)) == ([None], [None])
    assert {"code"} <= now.fixed_by
    assert value(ward.items()[0].merged(), RP)[0]["00080104"]["Value"] == ["Chest"]


def test_F25_an_empty_code_item_does_not_come_back(ward: Ward) -> None:
    """P28: the key is universal, and the sequence has no item."""
    was, now = ward.reproduce(F25)

    assert was.sent == now.shown == [1, 2]
    assert codes(was.values(PROTOCOL)[0]) == [("", "", "")]
    assert now.values(PROTOCOL)[0] == []
    assert codes(now.values(PROTOCOL)[1]) == [("ABD", "L", "Abdomen")]


def test_F26_who_asks_stands_in_for_a_station(ward: Ward) -> None:
    """P30 fills it for this answer alone."""
    was, now = ward.reproduce(F26)

    assert was.reasons == [f"{STATION} is empty"]
    assert (now.shown, now.values(STATION), now.fixed_by) == ([1], ["F26"], {"require"})
    assert value(ward.items()[0].merged(), STATION) is None


def test_F27_one_corrupt_order_does_not_cost_the_others(ward: Ward) -> None:
    """R5: 39 pendings, success, and one line in the log that names attribute and profile, not the patient."""
    since = len(ward.broker.events)
    was, now = ward.reproduce(F27)
    told = [each for each in ward.broker.events[since:] if each["event"] == "step left out of a worklist"]

    assert len(was.shown) < 39
    assert "the update was aborted" in was.seen.error
    assert (len(now.shown), now.seen.status, now.seen.statuses.count(0xFF00)) == (39, 0, 39)
    assert now.withheld == [
        (20, "SPS.ScheduledProcedureStepStartDate", "a value that the device requires is missing")
    ]
    assert [each["attribute"] for each in told] == ["SPS.ScheduledProcedureStepStartDate"]
    assert "PID20" not in str(told)


def test_F28_each_step_of_a_study_is_shown(ward: Ward) -> None:
    """P26: a study for each, the same at every query, and led back when it is performed."""
    was, now = ward.reproduce(F28)
    again = ward.ask(F28)
    reports = ward.perform(now, now.seen.shown[1])

    assert len(was.seen.shown) == 1
    assert was.reasons == ["a later entry has the same StudyInstanceUID"] * 2
    assert (len(now.seen.shown), now.fixed_by) == (3, {"uid"})
    assert len(set(now.values(STUDY))) == 3
    assert again.values(STUDY) == now.values(STUDY)
    assert [each.status for each in reports] == [0, 0]
    assert states(ward) == {"Liver": "SCHEDULED", "Kidney": "COMPLETED", "Spleen": "SCHEDULED"}
    assert {value(item.merged(), STUDY) for item in ward.items()} == {"1.2.276.0.99.77"}


def states(ward: Ward) -> dict[str, str]:
    """Return the state of each step by its description."""
    return {
        text(item.step, paths.tag("ScheduledProcedureStepDescription")): text(item.step, "00400020")
        for item in ward.items()
    }


def test_F29_steps_of_a_study_are_one_line(ward: Ward) -> None:
    """P13 joins what they say; what is performed of the line is performed of all three."""
    _, now = ward.reproduce(F29)
    reports = ward.perform(now, now.seen.shown[0])

    assert (now.values(DESCRIPTION), now.fixed_by) == (["Liver + Kidney + Spleen"], {"merge"})
    assert [each.status for each in reports] == [0, 0]
    assert states(ward) == dict.fromkeys(("Liver", "Kidney", "Spleen"), "COMPLETED")


def test_F30_texts_are_cut_between_words_and_an_id_never(ward: Ward) -> None:
    """P23; P30 tells of the ID that is too long."""
    was, now = ward.reproduce(F30)

    assert "PatientName is cut to 32 of 44 characters" in was.remarks
    assert now.remarks == ["PatientID is cut to 16 of 20 characters"]
    assert now.values("PatientName") == ["SCHWARZENBERGER-HOHENSTEIN^MAXIM"]
    assert now.values(TEXT) == ["CT of the head with"]
    assert now.values("PatientID") == [LONG_ID]
    assert ("require", "PatientID", "a value is longer than the device takes") in now.doubts
    assert now.fixed_by == {"truncate", "require"}


def test_F31_five_codes_with_their_meaning(ward: Ward) -> None:
    """P27; what is left out is told, with how many and why."""
    was, now = ward.reproduce(F31)

    assert "5 of 7 items are used" in str(was.remarks)
    assert "without Code Meaning" in str(was.remarks)
    assert now.remarks == []
    assert [found[0] for found in codes(now.values(PROTOCOL)[0])] == ["P1", "P2", "P4", "P5", "P6"]
    assert ("code", PROTOCOL, "codes left out: 1 incomplete, 1 too many") in now.doubts


def test_F32_codes_that_the_console_does_not_know_stay_away(ward: Ward) -> None:
    """P19; the misses are named for the engineer."""
    was, now = ward.reproduce(F32)

    assert len(was.remarks) == 2
    assert (now.remarks, codes(now.values(PROTOCOL)[0])) == ([], [("APR01", "L", "Thorax")])
    assert ("map", PROTOCOL, "the code RX-TOR-2 is not in the table, and left out") in now.doubts
    assert now.fixed_by == {"map"}


def test_F33_one_code_in_three_places(ward: Ward) -> None:
    """P19 and P27; the name in capitals of ASCII by P21."""
    was, now = ward.reproduce(F33)

    assert codes(was.values(RP)[0]) == [("33010048", "L", "Tórax")]
    for place in (RP, PROTOCOL, "SPS.RequestedProcedureCodeSequence"):
        assert codes(now.values(place)[0]) == [("FCR0101-0001", "99SITE", "Chest")]
    assert now.values("PatientName") == ["MULLER^JURGEN"]
    assert now.fixed_by == {"map", "code", "text"}


@pytest.mark.parametrize("variant", ["", "STACKED"])
def test_F34_a_code_has_the_site_s_scheme(ward: Ward, variant: str) -> None:
    """P27 names it before anything incomplete is dropped, whichever profile of the stack says so."""
    was, _ = ward.reproduce(F34)
    now = ward.play(F34, variant)

    assert "it is stored as UNKNOWN" in str(was.remarks)
    assert now.remarks == []
    assert codes(now.values(PROTOCOL)[0]) == [("P1", "99SITE", "ap")]
    assert now.fixed_by == {"code"}


@contextmanager
def without_database(ward: Ward) -> Iterator[None]:
    """Let the broker find its tables gone."""
    for one, other in (("steps", "gone"), ("gone", "steps")):
        with sqlite3.connect(ward.folder / "mwl.db", isolation_level=None, timeout=30) as database:
            database.execute("PRAGMA legacy_alter_table=ON")
            database.execute(f"ALTER TABLE {one} RENAME TO {other}")
        database.close()
        if one == "steps":
            yield


def outage(ward: Ward) -> list[str]:
    """Ask while the database is gone, by both profiles; return the row of the page."""
    was, now, short = ward.play(F35, "OLD"), ward.ask(F35), ward.ask(F35, "SHORT")
    with without_database(ward):
        failed, stale = (ward.wire(F35, variant) for variant in ("OLD", ""))
        ward.until(lambda: ward.wire(F35, "SHORT").error)
    recovered = ward.ask(F35, "OLD")

    assert [each.sent for each in (was, now, short, recovered)] == [[1]] * 4
    assert (failed.shown, stale.raw, stale.error) == ([], now.seen.raw, "")
    told = [each for each in ward.broker.events if each["event"] == "worklist sent in place of a failure"]
    assert {each["device"] for each in told} == {"F35", "F35_SHORT"}
    assert {each["setting"] for each in told} == {"session.on_error: stale"}
    hint = next(line for line in now.said if "send a list again" in line)
    return [
        "F35",
        F35.happens,
        failed.error,
        hint,
        f"`{F35.fix}`",
        f"{len(stale.shown)} shown, the last list",
    ]


def test_F35_the_last_good_list_for_a_while(ward: Ward) -> None:
    """P33: the same octets, told in the log; too old, it is a failure again, and never an empty list."""
    ward.rows["F35"] = outage(ward)


def test_F36_what_must_be_seen_stands_in_the_description(ward: Ward) -> None:
    """P18 adds it where there is a comment, P23 cuts the other end; the comment stays where it is."""
    was, now = ward.reproduce(F36)

    assert was.values(TEXT)[0] == "CHEST"
    assert now.values(TEXT) == ["CHEST *MRSA*", "CHEST", "VIEWS UPRIGHT *MRSA*"]
    assert now.values("RequestedProcedureComments") == ["MRSA", "", "MRSA"]
    assert now.fixed_by == {"template", "truncate"}
    assert value(ward.items()[0].merged(), TEXT) == "CHEST"


def test_F37_words_of_a_ris_are_states(ward: Ward) -> None:
    """P19's counterpart at intake; a word that no row knows leaves the step scheduled, and is told."""
    was, now = reproduce(ward, F37)

    assert was.answers == now.answers == ["AA"] * 8
    assert was.shown == [1, 2, 3, 4]
    assert now.shown == [3, 4]
    assert sum("order status is in no row" in each for each in now.findings) == 1
    assert ward.states() == {1: "COMPLETED", 2: "CANCELED", 3: "SCHEDULED", 4: "SCHEDULED"}


def test_F38_an_invented_birth_date_stays_with_one_console(ward: Ward) -> None:
    """P16, which says that it is unsafe; what comes back never becomes the patient's."""
    was, now = ward.reproduce(F38)
    reports = ward.perform(now, now.seen.shown[0])
    other = ward.ask(F38, "OLD")

    assert was.reasons == ["PatientBirthDate is empty"]
    assert now.values("PatientBirthDate") == ["19000101", "19700101"]
    assert now.fixed_by == {"default"}
    assert [each.status for each in reports] == [0, 0]
    assert other.sent == [2]
    assert [value(item.merged(), "PatientBirthDate") for item in ward.items()] == [None, "19700101"]


def test_F39_a_name_without_the_characters_the_console_refuses(ward: Ward) -> None:
    """P21 works inside components: groups and components stay apart."""
    was, now = ward.reproduce(F39)

    assert was.reasons == ["',' in the name"]
    assert (now.values("PatientName"), now.fixed_by) == (["DOE SMITH^JANE=王^小明"], {"text"})


def test_the_page_says_what_happened(ward: Ward) -> None:
    """docs/incidents.md, F24 to F39."""
    page.check(ward, "F24 to F39", {"F35": outage})
