"""Columns follow from documents, and hold only what a database can."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwl.lifecycle import StepState
from mwl.model import Document, Element, name_value
from mwl.store import promoted


def element(vr: str, *values: object) -> Element:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def issuer(local: str = "", universal: str = "", kind: str = "") -> Element:
    """An HL7v2 Hierarchic Designator macro of one item."""
    item = {"00400031": local, "00400032": universal, "00400033": kind}
    return {"vr": "SQ", "Value": [{tag: element("UT", text) for tag, text in item.items() if text}]}


def test_a_patient_is_identifier_and_issuer() -> None:
    """Padding is not significant."""
    document: Document = {"00100020": element("LO", " P1 "), "00100021": element("LO", "HOSP ")}

    assert promoted.patient_columns(document) == {"patient_id": "P1", "issuer": "HOSP"}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, ""),
        ({"00100021": {"vr": "LO"}}, ""),
        ({"00100024": issuer(universal="1.2.3", kind="ISO")}, "&1.2.3&ISO"),
        ({"00100024": {"vr": "SQ"}}, ""),
        ({"00100021": element("LO", "HOSP"), "00100024": issuer(universal="1.2.3", kind="ISO")}, "HOSP"),
    ],
)
def test_patients_of_authorities_known_by_uid_alone_stay_apart(document: Document, expected: str) -> None:
    """The universal entity ID stands in where there is no local name."""
    assert promoted.patient_columns(document)["issuer"] == expected


def test_the_numbers_of_an_order_have_their_issuers() -> None:
    """Placer, filler and accession are unique within who issued them, and only there."""
    document: Document = {
        "00402016": element("LO", "PL1"),
        "00400026": issuer("RIS"),
        "00402017": element("LO", "FI1"),
        "00400027": issuer(universal="1.2", kind="ISO"),
        "00080050": element("SH", "A1"),
        "00080051": issuer("HOSP", "1.3", "ISO"),
        "00401001": element("SH", "RP1"),
        "0020000D": element("UI", "1.2.3"),
    }

    assert promoted.procedure_columns(document) == {
        "placer": "PL1",
        "placer_issuer": "RIS",
        "filler": "FI1",
        "filler_issuer": "&1.2&ISO",
        "accession": "A1",
        "accession_issuer": "HOSP",
        "requested_procedure_id": "RP1",
        "study_instance_uid": "1.2.3",
    }


@pytest.mark.parametrize(
    ("date", "time", "expected"),
    [
        ((), (), ("", "")),
        (("20260105",), (), ("20260105000000.000000", "")),
        (("20260105",), ("0730",), ("20260105073000.000000", "073000.000000")),
        (("20260105",), ("073000.5",), ("20260105073000.500000", "073000.500000")),
        ((), ("0730",), ("", "073000.000000")),
    ],
)
def test_a_start_is_one_text(date: tuple[str, ...], time: tuple[str, ...], expected: tuple[str, str]) -> None:
    """Without a date there is no start; without a time it is midnight, and still no time."""
    document: Document = {"00400002": element("DA", *date), "00400003": element("TM", *time)}
    columns = promoted.step_columns(document)

    assert (columns["start"], columns["start_time"]) == expected


def test_every_station_is_a_row_with_the_start() -> None:
    """A step has as many stations as were sent, each once; an empty one is none."""
    document: Document = {
        "00400001": element("AE", "CT1", " CT1 ", "CT2", "", None),
        "00400002": element("DA", "20260105"),
        "00400003": element("TM", "0730"),
    }

    assert promoted.station_rows(document, StepState.COMPLETED) == [
        {"ae_title": "CT1", "start": "20260105073000.000000", "closed": True},
        {"ae_title": "CT2", "start": "20260105073000.000000", "closed": True},
    ]
    assert not promoted.station_rows(document, StepState.STARTED)[0]["closed"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", []),
        ("MÜLLER^Anna^^", [(0, "müller^anna")]),
        ("ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", [(0, "ヤマダ^タロウ"), (1, "山田^太郎"), (2, "やまだ^たろう")]),
        ("=王^小東", [(1, "王^小東")]),
        ("^", [(0, "")]),
    ],
)
def test_every_group_of_a_name_is_a_row(name: str, expected: list[tuple[int, str]]) -> None:
    """Folded, with the number of its group; a name without a letter is still a name."""
    document: Document = {"00100010": element("PN", *([name_value(name)] if name else []))}

    assert [(row["representation"], row["folded"]) for row in promoted.name_rows(document)] == expected


@given(st.text(), st.text())
def test_columns_tell_apart_what_differs(one: str, other: str) -> None:
    """Long values end in a digest, so equality of columns is equality of values."""
    one, other = one * 40, other * 40

    assert (promoted.column(one) == promoted.column(other)) == (
        promoted.storable(one.strip()) == promoted.storable(other.strip())
    )


@given(st.text(st.characters(codec=None, categories=None), max_size=300))
def test_columns_can_always_be_stored(value: str) -> None:
    """No NUL, no half of a surrogate pair, never too long for an index."""
    column = promoted.column(value)

    assert "\x00" not in column
    assert len(column.encode("utf-8")) <= 4 * promoted.IDENTIFIER


@given(st.dictionaries(st.text(), st.text(st.characters(categories=None))))
def test_documents_come_back_as_they_were(document: dict[str, str]) -> None:
    """Whatever text they hold, and in a form that any database stores."""
    stored = promoted.dump(document)  # type: ignore[arg-type]

    assert stored.isascii()
    assert promoted.load(stored) == document
