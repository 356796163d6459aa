"""What hl7apy says of a message's structure, without what it says wrongly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mwl.hl7.message import Message, parse
from mwl.hl7.structure import Judgement, field_names, judge
from mwl.hl7.text import decode

Order = Callable[[str], bytes]
FIXTURES = Path(__file__).parents[2] / "fixtures"
MSH = "MSH|^~\\&|RIS|HOSP|MWL|HOSP|20260705120000||{kind}|1|P|{version}"
ORDER = ("PID|1||P1^^^A||DOE^JANE", "PV1|1|I", "ORC|NW|PL1", "OBR|1|PL1||C^T^L")


def message(*segments: str, kind: str = "ORM^O01", version: str = "2.3.1", end: str = "\r") -> Message:
    return parse(end.join((MSH.format(kind=kind, version=version), *segments)))


def texts(judgement: Judgement) -> list[str]:
    return [each.text for each in judgement.findings]


def test_a_good_message_has_no_findings() -> None:
    """The grammar is named, so that the reader knows what was judged by what."""
    assert judge(message(*ORDER)) == Judgement("2.3.1", "ORM_O01", ())


@pytest.mark.parametrize(
    ("segments", "finding"),
    [
        (("PID|1||P1||DOE^JANE", *ORDER[1:3], "OBR|1|PL1"), "OBR-4 is required"),
        (ORDER[:2], "ORM_O01_ORDER in ORM_O01 is required"),
        (("PID|1||P1|||M", *ORDER[1:]), "PID-5 is required"),
        ((ORDER[0], "PV1|1|I~O", *ORDER[2:]), "PV1-2 stands more often than is allowed"),
        ((ORDER[0], "PV1|1|?", *ORDER[2:]), "PV1-2: '?' is not in HL7 table 0004"),
        ((*ORDER, "MRG|P0"), "MRG has no place where it stands in ORM_O01 of HL7 2.3.1"),
        ((*ORDER, "OBR|2|PL2||C^T^L" + "|" * 60 + "x"), "OBR has parts that its version does not know"),
    ],
)
def test_a_departure_from_the_grammar_is_told_in_its_terms(segments: tuple[str, ...], finding: str) -> None:
    """Segment and field as the standard writes them."""
    assert finding in texts(judge(message(*segments)))


def test_choices_and_z_segments_are_no_departure() -> None:
    """hl7apy would miss every alternative of a choice, and drop or refuse Z segments."""
    found = judge(message(*ORDER, "ZDS|1.2.3^RIS^Application^DICOM", "ZZ1|x"))

    assert found.findings == ()


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_line_ends_are_not_judged(end: str) -> None:
    """hl7apy knows CR alone."""
    assert judge(message(*ORDER, end=end)).findings == ()


@pytest.mark.parametrize(
    ("version", "judged_by"),
    [("", "2.3.1"), ("2.3.2", "2.3.1"), ("2.9", "2.8.2"), ("2.5.1^DEU", "2.5.1"), ("1.0", "2.3.1"), ("x", "2.3.1")],
)  # fmt: skip
def test_a_version_hl7apy_does_not_know_is_judged_by_the_one_before(version: str, judged_by: str) -> None:
    """It would refuse the message."""
    assert judge(message(*ORDER, kind="SIU^S12", version=version)).version == judged_by


@pytest.mark.parametrize("declared", ["^~", "^~\\", "^~\\&#"])
def test_delimiters_are_not_judged(declared: str) -> None:
    """hl7apy wants four, and a fifth from 2.7 on."""
    text = "\r".join((MSH.format(kind="ORM^O01", version="2.3.1").replace("^~\\&", declared), *ORDER))

    assert judge(parse(text)).findings == ()


@pytest.mark.parametrize(
    ("kind", "version", "structure"),
    [
        ("ADT^A08", "2.3.1", "ADT_A01"),
        ("ADT^A08", "2.3", "ADT_A01"),
        ("ADT^A31", "2.3.1", "ADT_A01"),
        ("ADT^A31", "2.5", "ADT_A05"),
        ("ADT^A40", "2.5", "ADT_A39"),
        ("ADT^A40^ADT_A39", "2.5", "ADT_A39"),
        ("ADT^A08", "2.2", "ADT_A08"),
        ("SIU^S13", "2.3.1", "SIU_S12"),
        ("OMI^O23^OMI_O23", "2.5.1", "OMI_O23"),
    ],
)
def test_events_that_share_a_structure_are_judged_by_it(kind: str, version: str, structure: str) -> None:
    """Many senders leave MSH-9.3 out."""
    judgement = judge(message("EVN||20260705", "PID|1||P1||DOE", "PV1|1|I", kind=kind, version=version))

    assert judgement.structure == structure
    assert not any(text.startswith("MSH-9") for text in texts(judgement))


@pytest.mark.parametrize(("kind", "version"), [("OMI^O23", "2.3.1"), ("XXX^X01", "2.5"), ("", "2.5")])
def test_what_the_version_has_no_structure_for_is_not_judged(kind: str, version: str) -> None:
    """It says so, as a warning."""
    judgement = judge(message(*ORDER, kind=kind, version=version))

    assert judgement.structure == ""
    (finding,) = judgement.findings
    assert (finding.severity, "nothing to judge by" in finding.text) == ("warning", True)


def test_a_line_that_is_no_segment_is_told() -> None:
    """hl7apy would refuse the whole message for it."""
    assert "line 3 is no segment" in texts(judge(message(ORDER[0], "not a segment", *ORDER[1:])))


def test_a_judge_that_breaks_says_nothing_of_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its errors on real phone numbers are its own."""
    import hl7apy.parser

    def broken(*_: object, **__: object) -> None:
        raise ValueError("not a phone number")

    monkeypatch.setattr(hl7apy.parser, "parse_message", broken)

    assert texts(judge(message(*ORDER))) == ["hl7apy could not judge it (ValueError)"]


@pytest.mark.parametrize("path", sorted((FIXTURES / "hl7").glob("*.hl7")), ids=lambda path: path.stem)
def test_the_samples_of_real_senders_can_all_be_judged(path: Path) -> None:
    """Whatever their delimiters, versions and character sets."""
    raw = path.read_bytes()
    decoded = decode(raw if b"\r" in raw else raw.replace(b"\n", b"\r"))

    judgement = judge(parse(decoded.text, decoded.codec))

    assert judgement.structure or "nothing to judge by" in texts(judgement)[0]  # 2.2 has no structures
    assert not any("could not judge" in text for text in texts(judgement))


_FIELD = st.text(alphabet='AB12^&~" \\', max_size=12)
_SEGMENT = st.tuples(
    st.sampled_from(["PID", "PV1", "ORC", "OBR", "NTE", "OBX", "DG1", "ZDS", "XXX", "pid", "IPC"]),
    st.lists(_FIELD, max_size=8),
)


@settings(max_examples=30)
@given(st.lists(_SEGMENT, max_size=6), st.sampled_from(["2.2", "2.3.1", "2.5.1", "2.7", "2.9"]))
def test_no_message_breaks_the_judge(segments: list[tuple[str, list[str]]], version: str) -> None:
    """It is called on what senders really send."""
    judgement = judge(message(*("|".join((name, *fields)) for name, fields in segments), version=version))

    assert judgement.structure in ("ORM_O01", "")


@pytest.mark.parametrize(
    ("version", "segment", "number", "name"),
    [
        ((2, 3, 1), "PID", 3, "Patient identifier list"),
        ((2, 9), "OBR", 4, "Universal service identifier"),
        ((), "MSH", 10, "Message control id"),
    ],
)
def test_fields_have_the_names_of_the_standard(
    version: tuple[int, ...], segment: str, number: int, name: str
) -> None:
    """Of the version nearest to the message's."""
    assert field_names(version, segment)[number] == name


def test_a_segment_the_standard_does_not_have_has_no_names() -> None:
    """Z segments, and whatever a sender makes up."""
    assert field_names((2, 3, 1), "ZDS") == field_names((2, 3, 1), "pid x") == {}
