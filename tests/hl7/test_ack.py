"""Acknowledgements."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwl.errors import Finding, Location, Severity
from mwl.hl7.ack import acknowledge, codes, new_control_id
from mwl.hl7.header import Header, read_header
from mwl.hl7.message import Message, parse

NOW = dt.datetime(2026, 7, 5, 12, 0, 1, tzinfo=dt.timezone(dt.timedelta(hours=2)))
MISSING = Finding(Location("PID", 1, 3), 101, "a patient ID is needed")
LONG = Finding(Location("OBR", 2, 18, 1, 2), 102, "longer than 16 characters")


def header(
    version: str = "2.3.1", *, kind: str = "ORM^O01", accept: str = "", application: str = ""
) -> Header:
    return read_header(
        f"MSH|^~\\&|RIS^1.2^ISO|HOSP|MWL|RAD|2026||{kind}|A&B-42|T|{version}|||{accept}|{application}||8859/1"
    )


def answer(to: Header, code: str = "AA", *findings: Finding) -> Message:
    return parse(acknowledge(to, code, findings, now=NOW, new_id=lambda: "N1"))


def lines(message: Message) -> list[str]:
    return [segment.text for segment in message.segments]


def test_an_acknowledgement_answers_in_the_senders_dialect():
    """Applications are swapped; version, processing ID, character set and control ID come back (D-15)."""
    assert lines(answer(header())) == [
        "MSH|^~\\&|MWL|RAD|RIS^1.2^ISO|HOSP|20260705120001+0200||ACK^O01|N1|T|2.3.1||||||8859/1",
        "MSA|AA|A&B-42",
    ]


@pytest.mark.parametrize(
    ("version", "kind", "answered"),
    [
        ("2.3", "ORM^O01", "ACK^O01"),
        ("2.3.1", "ORM^O01^ORM_O01", "ACK^O01"),
        ("2.4", "ORM^O01", "ACK^O01^ACK"),
        ("2.5.1^DEU", "OMI^O23^OMI_O23", "ACK^O23^ACK"),
        ("", "ORM", "ACK"),
    ],
)
def test_the_kind_of_the_answer_follows_the_version(version: str, kind: str, answered: str):
    """The third component came with 2.4 (D-15)."""
    assert answer(header(version, kind=kind)).header.raw(9) == answered


def test_f_h18_errors_up_to_2_4_are_told_in_one_err_1():
    """Each error is a repetition; MSA-3 and MSA-6 say the first (D-18)."""
    told = lines(answer(header("2.3.1"), "AE", MISSING, LONG))

    assert told[1:] == [
        "MSA|AE|A&B-42|PID-3: a patient ID is needed|||101^Required field missing^HL70357",
        "ERR|PID^1^3^101&Required field missing&HL70357~OBR^2^18^102&Data type error&HL70357",
    ]


def test_f_h18_errors_from_2_5_are_told_in_an_err_each():
    """ERR-2 is the place, ERR-3 the code, ERR-8 the words; ERR-1 stays empty (D-18)."""
    told = lines(answer(header("2.5.1"), "AE", MISSING, LONG))

    assert told[1:] == [
        "MSA|AE|A&B-42|PID-3: a patient ID is needed",
        "ERR||PID^1^3^1|101^Required field missing^HL70357|E||||PID-3: a patient ID is needed",
        "ERR||OBR^2^18^1^2|102^Data type error^HL70357|E||||OBR[2]-18.2: longer than 16 characters",
    ]


def test_a_location_without_a_field_is_a_segment():
    """What concerns a whole segment names no field."""
    told = lines(answer(header("2.5"), "AR", Finding(Location("DSC"), 100, "no")))

    assert told[2].split("|")[2] == "DSC^1"


def test_warnings_are_not_told():
    """Senders take any ERR for a refusal."""
    warning = Finding(Location("PID", 1, 5), 102, "cut", Severity.WARNING)

    assert lines(answer(header("2.5.1"), "AA", warning))[1:] == ["MSA|AA|A&B-42"]


def test_many_errors_are_told_in_part():
    """An answer stays short, whatever is wrong."""
    assert len(lines(answer(header("2.5.1"), "AE", *[LONG] * 500))) == 22


def test_f_h27_the_senders_delimiters_are_used():
    """Structure and escapes of the answer are those of the message."""
    unusual = read_header("MSH$%~!&$RIS%X$HOSP$MWL$RAD$2026$$ORM%O01$7$P$2.5")

    told = acknowledge(unusual, "AE", [Finding(Location("PID", 1, 5), 102, "100% of $5! here")], now=NOW)

    assert "$RIS%X$HOSP$" in told
    assert "MSA$AE$7$PID-5: 100!S! of !F!5!E! here\r" in told
    assert "ERR$$PID%1%5%1$102%Data type error%HL70357$E$$$$" in told


def test_without_an_escape_character_text_loses_its_delimiters():
    """Nothing in the text can break the answer's structure."""
    plain = read_header("MSH|^~|RIS|HOSP|MWL|RAD|2026||ORM^O01|7|P|2.3")

    told = acknowledge(plain, "AE", [Finding(Location("PID", 1, 5), 102, "a|b^c")], now=NOW)

    assert "MSA|AE|7|PID-5: a b c|||102^Data type error^HL70357\r" in told


def test_f_h20_an_answer_to_what_has_no_header_is_still_an_answer():
    """MSH is made up, MSA-2 stays empty (D-17)."""
    told = lines(answer(Header(), "AR", Finding(Location("MSH"), 100, "no MSH")))

    assert told[0] == "MSH|^~\\&|MWL||||20260705120001+0200||ACK|N1|P|2.3.1"
    assert told[1] == "MSA|AR||MSH: no MSH|||100^Segment sequence error^HL70357"


def test_control_characters_are_not_echoed():
    """A field cannot end the answer's segment or its block."""
    evil = Header(("MSH", "|", "^~\\&", "A\x1cB", "", "", "", "", "", "ORM^O01", "1\x0b2", "P", "2.3"))

    told = acknowledge(evil, "AA", now=NOW)

    assert "|AB|" in told
    assert "MSA|AA|12\r" in told


def test_own_control_ids_differ_and_fit():
    """MSH-10 is unique, and at most 20 characters long (2.3.1)."""
    made = {new_control_id() for _ in range(1000)}

    assert len(made) == 1000
    assert max(map(len, made)) <= 20


@given(fields=st.lists(st.text(max_size=20), max_size=20), text=st.text(max_size=80), modern=st.booleans())
def test_any_echo_leaves_the_structure_whole(fields: list[str], text: str, modern: bool):
    """Whatever the sender wrote, the answer has its three segments, and MSA-1 in its place."""
    rest = [field.replace("|", "") for field in fields]
    hostile = Header(("MSH", "|", "^~\\&", *rest[:9], "2.5" if modern else "2.3", *rest[9:]))

    told = parse(acknowledge(hostile, "AE", [Finding(Location("PID", 1, 3), 101, text)], now=NOW))

    assert [segment.name for segment in told.segments] == ["MSH", "MSA", "ERR"]
    assert told.field("MSA", 1, 1) == ((("AE",),),)


@pytest.mark.parametrize(
    ("accept", "application", "good", "wrong", "refused"),
    [
        pytest.param("", "", ["AA"], ["AE"], ["AR"], id="F-H20 original mode"),
        pytest.param("AL", "NE", ["CA"], ["CE"], ["CR"], id="F-H21"),
        pytest.param("AL", "", ["CA"], ["CE"], ["CR"], id="blank is no wish"),
        pytest.param("AL", "AL", ["CA", "AA"], ["CA", "AE"], ["CR"], id="F-H22"),
        pytest.param("NE", "NE", [], [], [], id="F-H23"),
        pytest.param("NE", "", [], [], [], id="NE alone"),
        pytest.param("ER", "NE", [], ["CE"], ["CR"], id="F-H24"),
        pytest.param("SU", "NE", ["CA"], [], [], id="only success"),
        pytest.param("NE", "AL", ["AA"], ["AE"], ["AR"], id="application only"),
        pytest.param("", "ER", [], ["AE"], ["AR"], id="application errors only"),
        pytest.param("NE", "SU", ["AA"], [], [], id="application success only"),
        pytest.param("ER", "ER", [], ["AE"], ["CR"], id="both, errors only"),
        pytest.param("SU", "ER", ["CA"], ["CA", "AE"], [], id="both, mixed"),
        pytest.param("yes", "NE", ["CA"], ["CE"], ["CR"], id="an unknown wish is a wish"),
    ],
)
def test_the_sender_says_which_acknowledgements_it_wants(
    accept: str, application: str, good: list[str], wrong: list[str], refused: list[str]
):
    """MSH-15 and MSH-16 (D-11, D-12)."""
    wishes = header(accept=accept, application=application)

    assert [list(codes(wishes, code)) for code in ("AA", "AE", "AR")] == [good, wrong, refused]


_WISHES = ["", "AL", "NE", "ER", "SU", "al", "?"]


@pytest.mark.parametrize("accept", _WISHES)
@pytest.mark.parametrize("application", _WISHES)
def test_original_mode_answers_once_whatever_the_fields_say(accept: str, application: str):
    """IHE RAD asks for it (C-07, D-13)."""
    wishes = header(accept=accept, application=application)

    assert [codes(wishes, code, "original") for code in ("AA", "AE", "AR")] == [("AA",), ("AE",), ("AR",)]


@pytest.mark.parametrize(
    ("accept", "application", "good", "wrong", "refused"),
    [
        pytest.param("", "", ["CA"], ["CE"], ["CR"], id="CA is waited for and not asked for"),
        pytest.param("", "AL", ["CA", "AA"], ["CA", "AE"], ["CR"], id="both"),
        pytest.param("", "ER", ["CA"], ["CA", "AE"], ["CR"], id="the second to errors"),
        pytest.param("NE", "AL", ["AA"], ["AE"], ["AR"], id="what is said counts"),
        pytest.param("NE", "NE", [], [], [], id="silence is a wish"),
    ],
)
def test_enhanced_mode_takes_a_blank_field_for_a_wish(
    accept: str, application: str, good: list[str], wrong: list[str], refused: list[str]
):
    """For senders that wait for CA without a word."""
    wishes = header(accept=accept, application=application)

    assert [list(codes(wishes, code, "enhanced")) for code in ("AA", "AE", "AR")] == [good, wrong, refused]


@pytest.mark.parametrize("accept", _WISHES)
@pytest.mark.parametrize("application", _WISHES)
@pytest.mark.parametrize("mode", ["auto", "original", "enhanced"])
def test_the_matrix_of_wishes_holds_everywhere(accept: str, application: str, mode: str):
    """At most one accept acknowledgement, first; at most one of the application, of the true outcome (D-12)."""
    for code in ("AA", "AE", "AR"):
        told = codes(header(accept=accept, application=application), code, mode)

        assert [each for each in told if each[0] == "A"] in ([], [code])
        assert [each for each in told if each[0] == "C"] in ([], ["CA"], ["CE"], ["CR"])
        assert list(told) == sorted(told, key=lambda each: each[0] != "C")
        assert "CR" not in told or told == ("CR",)
        assert code == "AR" or "CR" not in told


@pytest.mark.parametrize(
    ("version", "kind", "code", "answered"),
    [
        ("2.3.1", "ORM^O01", "AA", "ORR^O02"),
        ("2.5.1", "ORM^O01^ORM_O01", "AE", "ORR^O02^ORR_O02"),
        ("2.5.1", "OMG^O19^OMG_O19", "AR", "ORG^O20^ORG_O20"),
        ("2.5.1", "OMI^O23^OMI_O23", "CA", "ACK^O23^ACK"),
        ("2.5.1", "OMI^O23^OMI_O23", "AA", "ACK^O23^ACK"),
        ("2.3.1", "ADT^A08", "AA", "ACK^A08"),
    ],
)
def test_a_sender_may_want_the_answer_that_belongs_to_its_order(
    version: str, kind: str, code: str, answered: str
):
    """ORR and ORG where the profile names them; accept acknowledgements and all else stay ACK (C-07)."""
    told = acknowledge(header(version, kind=kind), code, now=NOW, replies=("ACK", "ORR", "ORG"))

    assert parse(told).header.raw(9) == answered
