"""Outgoing messages: what is composed is what a receiver reads, wherever the profile puts it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwl.errors import Severity
from mwl.hl7.compose import compose
from mwl.hl7.message import Message, parse
from mwl.hl7.structure import judge
from mwl.mapping.systems.status_template import OutgoingMessage, StatusFacts, Value
from mwl.mapping.systems.system import SystemProfile
from mwl.model import StatusEvent, name_value

HEADER = {3: "MWL", 7: "20260705090000+0200", 10: "C1", 12: "2.3.1"}


def message(*segments: tuple[str, dict[int, Value]], version: str = "2.3.1") -> OutgoingMessage:
    """Return a message of *segments* behind an MSH."""
    return OutgoingMessage("ORM^O01", version, (("MSH", HEADER), *segments))


def line(name: str, fields: dict[int, Value]) -> str:
    """Return one segment as composed."""
    return compose(message((name, fields))).decode().split("\r")[1]


def test_nothing_stands_in_the_header_that_the_profile_did_not_put_there() -> None:
    """No instant, no version, no control ID of anybody else's."""
    kind = ((("ORM",), ("O01",)),)
    composed = compose(OutgoingMessage("ORM^O01", "2.3.1", (("MSH", {9: kind, 10: "C1"}),)))

    assert composed == b"MSH|^~\\&|||||||ORM^O01|C1\r"


def test_every_segment_ends_with_a_carriage_return() -> None:
    """In the order of the profile, one without fields as its name alone."""
    composed = compose(message(("PID", {3: "1"}), ("ZDS", {}), ("ORC", {1: "SC"})))

    assert composed == b"MSH|^~\\&|MWL||||20260705090000+0200|||C1||2.3.1\rPID|||1\rZDS\rORC|SC\r"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("", ""),
        ("a|b^c~d\\e&f", "a\\F\\b\\S\\c\\R\\d\\E\\e\\T\\f"),
        ("\\F\\", "\\E\\F\\E\\"),
        ("one\r\ntwo\tthree\x0bfour\u2028five", "one two three four five"),
        (((("a", "", "b"), ("",), ("c",), ("",)),), "a&&b^^c"),
        (((("1",),), (("2",), ("",)), (("3",),)), "1~2~3"),
        (((("",),), (("2",),)), "~2"),
        (((("",), ("", "")),), ""),
    ],
)
def test_fields_are_escaped_and_empty_ends_left_out(value: Value, written: str) -> None:
    """Delimiters in values are no structure; control characters are spaces."""
    assert line("OBR", {4: value}) == ("OBR||||" + written if written else "OBR")


@pytest.mark.parametrize("name", ["OBR", "IPC", "ZDS", "XYZ"])
def test_a_version_forbids_nothing(name: str) -> None:
    """A site's profile may use segments and fields that its version does not have."""
    assert line(name, {99: "x"}) == name + "|" * 99 + "x"


@pytest.mark.parametrize(
    ("label", "codec", "expected"),
    [
        ("UNICODE UTF-8", "utf-8", "Müller^王小明"),
        ("8859/1", "latin-1", "Müller^WANGXIAOMING"),
        ("8859/2", "iso8859_2", "Müller^WANGXIAOMING"),
        ("ASCII", "ascii", "Muller^WANGXIAOMING"),
        ("GB 18030-2000", "gb18030", "Müller^王小明"),
        ("KLINGON", "utf-8", "Müller^王小明"),
    ],
)
def test_the_message_is_written_in_the_character_set_it_names(label: str, codec: str, expected: str) -> None:
    """What that set lacks is transliterated: never a question mark, never bytes of another set."""
    name = ((("Müller",), ("王小明",)),)
    composed = compose(OutgoingMessage("", "2.3.1", (("MSH", {18: label}), ("PID", {5: name}))))

    text = composed.decode(codec).split("\r")[1]
    assert text.upper().replace(" ", "") == f"PID|||||{expected}".upper()


def test_transliteration_makes_no_structure() -> None:
    """A full-width ampersand becomes an ampersand, which is escaped."""
    composed = compose(OutgoingMessage("", "2.3.1", (("MSH", {18: "ASCII"}), ("PID", {5: "Ａ＆Ｂ"}))))

    assert composed.split(b"\r")[1] == b"PID|||||A\\T\\B"


# --- what is read back ---------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=8).map(str.strip)
COMPONENT = st.lists(TEXT, min_size=1, max_size=3).map(tuple)
REPETITION = st.lists(COMPONENT, min_size=1, max_size=6).map(tuple)
VALUES: st.SearchStrategy[Value] = TEXT | st.lists(REPETITION, min_size=1, max_size=3).map(tuple)
NAMES = st.sampled_from(["PID", "ORC", "OBR", "OBX", "IPC", "ZDS"])


def meant(value: Value) -> tuple[tuple[tuple[str, ...], ...], ...]:
    """Return what a reader makes of a field: empty parts at the end say nothing."""
    repetitions = ((((value),),),) if isinstance(value, str) else value

    def shorn(parts: tuple[Any, ...], empty: Any) -> tuple[Any, ...]:
        while len(parts) > 1 and parts[-1] == empty:
            parts = parts[:-1]
        return parts

    found = tuple(
        shorn(tuple(shorn(component, "") for component in repetition), ("",)) for repetition in repetitions
    )
    filled = "".join(text for repetition in found for component in repetition for text in component)
    return found if filled.strip() else ()


def assert_read(read: Message, name: str, fields: dict[int, Value]) -> None:
    """Compare field by field."""
    for number, value in fields.items():
        found = read.field(name, 1, number)
        assert (found if any(t.strip() for r in found for c in r for t in c) else ()) == meant(value)


@given(NAMES, st.dictionaries(st.integers(1, 60), VALUES, max_size=6))
def test_what_is_composed_is_read_field_by_field(name: str, fields: dict[int, Value]) -> None:
    """By our own reader: every repetition, component and sub-component, whatever is in it."""
    read = parse(compose(message((name, fields))).decode())

    assert read.header.control_id == "C1"
    assert_read(read, name, fields)


@given(st.dictionaries(st.sampled_from([3, 4, 5, 6, 8, 10, 13]), VALUES, max_size=4))
def test_a_header_is_read_field_by_field(fields: dict[int, Value]) -> None:
    """MSH-1 and MSH-2 are not counted as the others are (D-22)."""
    read = parse(compose(OutgoingMessage("", "2.3.1", (("MSH", fields),))).decode())

    assert read.field("MSH", 1, 2) == ((("^~\\&",),),)
    assert_read(read, "MSH", fields)


def test_hl7apy_reads_the_shipped_status_message(generic: SystemProfile) -> None:
    """A reader that is not ours finds the numbers, the names and the state where HL7 2.3.1 has them."""
    from hl7apy.consts import VALIDATION_LEVEL
    from hl7apy.parser import parse_message

    row = {
        "event": "CM",
        "at": "2026-07-05T07:30:00+00:00",
        "patient": {
            "00100020": {"vr": "LO", "Value": ["PID001"]},
            "00100010": {"vr": "PN", "Value": [name_value("O^BRIEN & CO^MARY=王^小明")]},
        },
        "procedure": {
            "00402016": {"vr": "LO", "Value": ["PL1"]},
            "00402017": {"vr": "LO", "Value": ["FI|1"]},
            "00080050": {"vr": "SH", "Value": ["ACC1001"]},
        },
        "step": {"00400009": {"vr": "SH", "Value": ["S1"]}},
        "performed": {"00400244": {"vr": "DA", "Value": ["20260705"]}},
    }
    facts = StatusFacts.of(row, control_id="01ABC", sender=("MWL", "HOSP"), receiver=("RIS", ""))

    composed = compose(generic.status_message("ORM^O01", facts)).decode()

    read = parse_message(composed, validation_level=VALIDATION_LEVEL.TOLERANT, find_groups=False)
    assert read.msh.msh_10.value == "01ABC"
    assert read.msh.msh_12.value == "2.3.1"
    assert read.pid.pid_3.pid_3_1.value == "PID001"
    assert read.orc.orc_5.value == "CM"
    assert read.orc.orc_2.orc_2_1.value == "PL1"
    assert read.orc.orc_3.orc_3_1.to_er7() == "FI\\F\\1"
    assert read.obr.obr_18.value == "ACC1001"
    assert read.obr.obr_7.value == "20260705"
    names = ["O^BRIEN \\T\\ CO^MARY^^^^L^A", "王^小明^^^^^L^I"]
    assert [name.to_er7() for name in read.pid.pid_5] == names


def element(vr: str, *values: object) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)}


CODE = {
    "00080100": element("SH", "C1"),
    "00080104": element("LO", "Code | one"),
    "00080102": element("SH", "L"),
}
SERIES = {
    "00181030": element("LO", "HEAD^1"),
    "00081050": element("PN", name_value("HOUSE^GREG")),
    "00081070": element("PN", name_value("TECH^TINA"), name_value("TECH^TOM")),
    "00081140": element("SQ", {"00081155": element("UI", "1.2")}),
}
EVERYTHING: dict[str, Any] = {
    "at": "2026-07-05T07:30:00+00:00",
    "patient": {
        "00100020": element("LO", "PID001"), "00100010": element("PN", name_value("DOE^JANE")),
        "00380300": element("LO", "WARD1"),
    },
    "procedure": {
        "00402016": element("LO", "PL1"), "00402017": element("LO", "FI1"), "00080050": element("SH", "ACC1"),
        "00401001": element("SH", "RP1"), "0020000D": element("UI", "1.2.3"), "00321064": element("SQ", CODE),
        "00380010": element("LO", "VN1"), "00380016": element("LO", "I"), "00401003": element("SH", "STAT"),
        "00080090": element("PN", name_value("REFERRER^RITA")),
    },
    "steps": [
        {
            "00400009": element("SH", n), "00080060": element("CS", "CT"), "00400002": element("DA", "20260705"),
            "00400003": element("TM", "093000"), "00400008": element("SQ", CODE), "00400001": element("AE", "CT1"),
            "00400010": element("SH", "ROOM1"), "00400011": element("SH", "FLOOR2"),
        }
        for n in ("S1", "S2")
    ],
    "performed": {
        "00400241": element("AE", "CT1"), "00400242": element("SH", "ROOM1"), "00400244": element("DA", "20260705"),
        "00400245": element("TM", "091500"), "00400250": element("DA", "20260705"), "00400251": element("TM", "0930"),
        "00081032": element("SQ", CODE), "00400260": element("SQ", CODE, CODE), "00400281": element("SQ", CODE),
        "00400280": element("ST", "two\r\nlines"), "00400340": element("SQ", SERIES, SERIES),
        "00400300": element("US", 1), "00400301": element("US", 2), "00400302": element("US", 3),
        "0018115E": element("DS", "4.5"), "00408302": element("DS", "6"), "00400316": element("DS", "7"),
        "00400310": element("ST", "x"),
        "0040030E": element("SQ", {"00180060": element("DS", "80"), "00188151": element("DS", "9"),
                                   "00181150": element("IS", "10")}),
    },
}  # fmt: skip


@pytest.mark.parametrize(
    "event", [event.value for event in StatusEvent if event.value not in ("ARRIVED", "READY")]
)
@pytest.mark.parametrize("kind", ["ORM^O01", "OMG^O19", "OMI^O23", "ORU^R01"])
def test_c_31_the_shipped_messages_keep_to_the_grammar(generic: SystemProfile, kind: str, event: str) -> None:
    """hl7apy's structures of 2.3.1 and 2.5.1 find nothing wrong in a message that says all that can be said."""
    facts = StatusFacts.of(
        {**EVERYTHING, "event": event}, control_id="01ABC", sender=("MWL", "HOSP"), receiver=("RIS", "HOSP")
    )

    read = parse(compose(generic.status_message(kind, facts)).decode())

    judgement = judge(read)
    assert judgement.structure == kind.replace("^", "_")
    assert [each.text for each in judgement.findings if each.severity is Severity.ERROR] == []
    ended = event in ("CM", "DC")
    assert sum(each.name == "OBX" for each in read.segments) == (18 if ended else 5 if event == "IP" else 0)


@pytest.mark.parametrize("event", ["ARRIVED", "READY"])
@pytest.mark.parametrize("kind", ["OMG^O19", "OMI^O23", "ORU^R01"])
def test_a_modifier_keeps_to_the_grammar_of_2_5_1(generic: SystemProfile, kind: str, event: str) -> None:
    """ORC-25 is of 2.4 and later; ORM^O01 of 2.3.1 has it all the same, for whoever asks for these events."""
    facts = StatusFacts.of({**EVERYTHING, "event": event}, control_id="01ABC")

    judgement = judge(parse(compose(generic.status_message(kind, facts)).decode()))

    assert [each.text for each in judgement.findings if each.severity is Severity.ERROR] == []
