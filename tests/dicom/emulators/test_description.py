"""Descriptions: every one plays, says what it rests on, and what of it is assumed."""

from __future__ import annotations

import datetime as dt
import re

import pytest

from mwl.dicom.emulators import DEVICES, Unplayable, device
from mwl.mapping import paths
from mwl.mapping.elements import texts
from mwl.model import Document

TODAY = dt.date(2025, 3, 2)
QUERIES = [(name, query) for name, each in DEVICES.items() for query in each.queries]
DATE, TIME = "SPS.ScheduledProcedureStepStartDate", "SPS.ScheduledProcedureStepStartTime"
STATION, MODALITY = "SPS.ScheduledStationAETitle", "SPS.Modality"


def value(document: Document, path: str) -> str:
    """Return the first value at *path*, "" for zero length; fail where the key is absent."""
    element = paths.get(document, paths.parse_path(path))
    assert element is not None, path
    return "\\".join(texts(element))


def test_the_devices_are_those_that_are_documented():
    """Fourteen, each under its name."""
    assert len(DEVICES) == 14
    assert all(name == each.name and name.startswith("sim-") for name, each in DEVICES.items())


@pytest.mark.parametrize("name", DEVICES)
def test_a_device_says_what_it_rests_on(name):
    """A document or a thread with a grade; what nothing tells is called assumed."""
    each = DEVICES[name]

    assert all(
        evidence.grade in "ABC" and re.fullmatch(r"S\d+b?", evidence.source) for evidence in each.evidence
    )
    assert each.evidence
    assert each.known_for
    assert each.implementation_uid.startswith("2.25.") == any(
        "implementation" in what for what in each.assumed
    )


@pytest.mark.parametrize(("name", "query"), QUERIES)
def test_every_query_asks_for_who_and_what(name, query):
    """Written for the day, with what the operator types; a patient and a procedure are asked for."""
    identifier = DEVICES[name].query(query, TODAY, ae="OWN", typed="TYPED")

    assert {"00100010", "00100020", "0020000D"} <= identifier.keys()
    assert "{" not in str([texts(element) for element in identifier.values()])


@pytest.mark.parametrize(
    ("selection", "station", "modality"),
    [("this scanner", "OWN", "CT"), ("this modality", "", "CT"), ("all", "", "")],
)
@pytest.mark.parametrize(
    ("days", "date"),
    [
        ("today", "20250302"),
        ("before", "20250301-20250302"),
        ("after", "20250302-20250303"),
        ("both", "20250301-20250303"),
        ("all days", ""),
    ],
)
def test_a_ge_ct_asks_as_its_screen_is_set(selection, station, modality, days, date):
    """F14: the range always includes today, and the time is always zero length."""
    identifier = device("sim-ge-ct").query(f"{selection}/{days}", TODAY, ae="OWN")

    found = [value(identifier, path) for path in (STATION, MODALITY, DATE, TIME, "SpecificCharacterSet")]
    assert found == [station, modality, date, "", "ISO_IR 100"]


def test_how_many_days_is_the_operator_s_choice():
    """Before and after today."""
    identifier = device("sim-ge-ct").query("all/both", TODAY, days=3)

    assert value(identifier, DATE) == "20250227-20250305"


@pytest.mark.parametrize(
    ("query", "date"),
    [
        ("day", "20250302"),
        ("from", "20250302-"),
        ("until", "-20250302"),
        ("between", "20250301-20250303"),
        ("star", "*"),
        ("empty date", ""),
    ],
)
def test_a_low_cost_console_asks_at_the_root(query, date):
    """F06, F15, F16: no item of the step, private attributes, any form of a date."""
    identifier = device("sim-lowcost-cn").query(query, TODAY)

    assert "00400100" not in identifier
    assert [value(identifier, path) for path in ("ScheduledProcedureStepStartDate", "Modality")] == [
        date,
        "CT",
    ]
    assert {"00090010", "00091001"} <= identifier.keys()


def test_a_medison_asks_with_an_empty_code():
    """F25: one item, four attributes, none with a value; no other key has one either."""
    identifier = device("sim-medison").query()

    (step,) = identifier["00400100"]["Value"]
    (code,) = step["00400008"]["Value"]
    assert code == {tag: {"vr": code[tag]["vr"]} for tag in ("00080100", "00080102", "00080103", "00080104")}
    assert [
        tag for tag, element in {**identifier, **step}.items() if element["vr"] != "SQ" and "Value" in element
    ] == []
    assert {"00401010", "00401400", "00402400"} <= identifier.keys()
    assert {"00400012", "00400020", "00400400"} <= step.keys()


def test_a_radlink_asks_without_a_station():
    """F02: the key is not empty, it is absent."""
    (step,) = device("sim-radlink").query("today", TODAY)["00400100"]["Value"]

    assert "00400001" not in step
    assert step["00080060"]["Value"] == ["CR"]


def test_an_agfa_asks_in_two_ways():
    """Broad with station, modality and a range; or by an accession number and nothing else."""
    nx = device("sim-agfa-nx")
    broad, accession = nx.query("broad", TODAY), nx.query("accession", TODAY, typed="ACC1")

    assert [value(broad, path) for path in (STATION, MODALITY, DATE)] == ["NX_WL", "CR", "20250302-20250303"]
    assert [value(accession, path) for path in (STATION, MODALITY, DATE, "AccessionNumber")] == [
        "",
        "",
        "",
        "ACC1",
    ]


def test_the_first_query_is_the_usual_one():
    """Asked when nothing else is said."""
    ct = device("sim-ge-ct")

    assert ct.query(today=TODAY) == ct.query("this scanner/today", TODAY, ae="CT1")


@pytest.mark.parametrize(
    ("name", "query", "message"),
    [
        (
            "sim-ge-ct",
            "this scaner/today",
            "no query 'this scaner/today': did you mean 'this scanner/today'? It has",
        ),
        ("sim-esaote", "x", "no query 'x'. It has 'today'"),
        ("sim-agfa-nx", "accession", "the query 'accession' needs 'typed': an accession number"),
        ("sim-gect", "", "no device 'sim-gect' can be played: did you mean 'sim-ge-ct'?"),
    ],
)
def test_what_cannot_be_played_is_said_with_what_can(name, query, message):
    """A misspelt device or query, or nothing typed."""
    with pytest.raises(Unplayable, match=re.escape(message)):
        device(name).query(query)


def test_a_report_that_a_device_does_not_make_is_refused():
    """And one it has no name for."""
    with pytest.raises(Unplayable, match="sim-esaote has no MPPS"):
        device("sim-esaote").reporting()
    with pytest.raises(
        Unplayable, match=re.escape("no MPPS 'move': did you mean 'moved'? It has 'scheduled', 'moved'")
    ):
        device("sim-agfa-nx").reporting("move")
