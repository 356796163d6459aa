"""Incidents F40 to F46: character sets and names (9.4)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from incidents import page
from incidents.incident import Incident, value
from incidents.ward import Ward

NAME, LABEL = "PatientName", "SpecificCharacterSet"

F40 = Incident(
    "F40", "takes Latin-1 alone; the patient is 王^小明",
    on="ge-ct-connectpro",
    before="charset: {unfit: question, unsafe: true}",
    fix="""
pn: {tag: PatientName, derive: {alphabetic: pinyin}}
charset: {fixed: ISO_IR 100, unfit: transliterate}
""",
    orders=[{NAME: "王^小明"}],
    query="this modality/today", tells=NAME,
)  # fmt: skip
F41 = Incident(
    "F41", "takes Latin-1 alone, and is sent UTF-8; the patient is MÜLLER^Jürgen",
    on="ge-ct-connectpro",
    before="charset: {fixed: ISO_IR 192}",
    fix="charset: {fixed: ISO_IR 100, unfit: transliterate}",
    orders=[{NAME: "MÜLLER^Jürgen"}],
    query="this modality/today", tells=NAME,
)  # fmt: skip
F42 = Incident(
    "F42", "asks in GB18030, and is answered in UTF-8",
    before="charset: {prefer: [ISO_IR 192]}",
    fix="charset: {prefer: [from_request, ISO_IR 192]}",
    orders=[{NAME: "Wang^XiaoMing=王^小明"}],
    device="sim-lowcost-cn", tells=LABEL,
)  # fmt: skip
F43 = Incident(
    "F43", "asks for 山田 in Shift-JIS, and says that it is Latin-1",
    fix=r'''
accept: {charset_label: {when_bytes_look: sjis_or_jis, as_label: ISO_IR 100, decode: "\\ISO 2022 IR 87"}}
wildcard: {PatientName: {mode: as_sent, fold: [kana]}}
charset: {fixed: "\\ISO 2022 IR 87", unfit: transliterate}
''',
    orders=[{NAME: "YAMADA^TARO=山田^太郎=ヤマダ^タロウ"}, {NAME: "SATO^HANA=佐藤^花"}],
    device="sim-jp-foreign", query="name", typed="=山田*", missed=1,
)  # fmt: skip
F44 = Incident(
    "F44",
    "shows the reading of a name; it is stored in half-width kana, which DICOM names may not have",
    before="charset: {fixed: ISO_IR 192}",
    fix="pn: {tag: PatientName, derive: {phonetic: fullwidth_kana}}",
    more={"JAPAN": r'charset: {fixed: "\\ISO 2022 IR 87", unfit: transliterate}'},
    orders=[{NAME: "YAMADA^TARO=山田^太郎=ﾔﾏﾀﾞ^ﾀﾛｳ", "SPS.Modality": "MG"}],
    device="sim-philips-mg", tells=NAME,
)  # fmt: skip
F45 = Incident(
    "F45", "labels its query ISO-2022-GBK, ISO_IR 149, ISO IR 192 or GB18030\\ISO IR 192",
    orders=[{NAME: "Wang^XiaoMing=王^小明"}, {NAME: "Kim^Min=김^민"}],
    device="sim-lowcost-cn", query="name", typed="=王*", keys=[f"{LABEL}=ISO-2022-GBK"], codec="gbk",
    mends="none: such labels are read as they are meant",
)  # fmt: skip
F46 = Incident(
    "F46", "is used to type muller*; the patient is MÜLLER",
    fix="wildcard: {PatientName: {mode: as_sent, fold: [case, diacritics]}}",
    orders=[{NAME: "MÜLLER^JÜRGEN", "SPS.Modality": "CR"}, {NAME: "MILLER^JOHN", "SPS.Modality": "CR"}],
    device="sim-radlink", query="patient name", typed="muller*", missed=1,
)  # fmt: skip
INCIDENTS = [F40, F41, F42, F43, F44, F45, F46]


def test_F40_a_chinese_name_arrives_in_latin_letters(ward: Ward) -> None:
    """P22 or P31, and never a question mark: what pydicom would write by itself is not on the wire."""
    was, now = ward.reproduce(F40)

    assert b"?^??" in was.seen.raw[0]
    assert (now.values(NAME), now.values(LABEL)) == (["WANG^XIAOMING"], ["ISO_IR 100"])
    assert b"?" not in now.seen.raw[0]
    assert now.fixed_by == {"pn", "charset"}
    assert value(ward.items()[0].merged(), NAME) == "王^小明"


def test_F41_a_german_name_arrives_as_it_is(ward: Ward) -> None:
    """P31, in the bytes of Latin-1."""
    was, now = ward.reproduce(F41)

    assert was.reasons == [f"{LABEL} is ISO_IR 192, not ISO_IR 100"]
    assert (now.shown, now.values(NAME)) == ([1], ["MÜLLER^Jürgen"])
    assert "MÜLLER^Jürgen".encode("latin-1") in now.seen.raw[0]
    assert now.fixed_by == {"charset"}


def test_F42_label_and_bytes_are_those_asked_for(ward: Ward) -> None:
    """P31 `from_request`."""
    was, now = ward.reproduce(F42)

    assert (was.values(LABEL), now.values(LABEL)) == (["ISO_IR 192"], ["GB18030"])
    assert "王^小明".encode("gb18030") in now.seen.raw[0]
    assert "王^小明".encode("gb18030") not in was.seen.raw[0]


def test_F43_bytes_that_are_not_what_they_are_called(ward: Ward) -> None:
    """P4 reads Shift-JIS for what it is; the answer is labelled as the profile says."""
    was, now = ward.reproduce(F43)
    by_kana = ward.ask(replace(F43, typed="==やまだ*"))

    assert was.shown == []
    assert now.sent == [1]
    assert "accept" in now.fixed_by
    assert now.values(LABEL) == [["", "ISO 2022 IR 87"]] or now.values(LABEL) == ["ISO 2022 IR 87"]
    assert by_kana.sent == [1]
    assert by_kana.fixed_by >= {"wildcard"}


def test_F44_kana_leave_in_full_width(ward: Ward) -> None:
    """P22; and the encoder of Japan's set, which lacks them, writes no question marks for them."""
    japanese = ward.play(F44, "JAPAN")
    was, now = ward.reproduce(F44)

    assert was.values(NAME) == ["YAMADA^TARO=山田^太郎=ﾔﾏﾀﾞ^ﾀﾛｳ"]
    assert now.values(NAME) == ["YAMADA^TARO=山田^太郎=ヤマダ^タロウ"]
    assert japanese.values(NAME) == now.values(NAME)
    assert b"????" not in japanese.seen.raw[0]
    assert now.fixed_by == {"pn"}
    assert value(ward.items()[0].merged(), NAME).endswith("ﾔﾏﾀﾞ^ﾀﾛｳ")


@pytest.mark.parametrize(
    ("label", "codec", "typed", "found"),
    [
        ("ISO-2022-GBK", "gbk", "=王*", [1]),
        ("ISO IR 192", "utf_8", "=王*", [1]),
        ("GB18030\\ISO IR 192", "gb18030", "=王*", [1]),
        ("ISO_IR 149", "euc_kr", "=김*", [2]),
    ],
)
def test_F45_labels_of_no_standard_are_read_as_they_are_meant(
    ward: Ward, label: str, codec: str, typed: str, found: list[int]
) -> None:
    """P31's own table: no profile needs a line for it."""
    ward.reproduce(F45)

    asked = ward.ask(replace(F45, keys=[f"{LABEL}={label}"], codec=codec, typed=typed))

    assert asked.sent == found


def test_F46_what_is_typed_plainly_finds_umlauts(ward: Ward) -> None:
    """P7: neither capitals nor accents count."""
    was, now = ward.reproduce(F46)

    assert was.shown == []
    assert "PatientName muller*" in was.said[0]
    assert (now.shown, now.fixed_by) == ([1], {"wildcard"})


def test_the_page_says_what_happened(ward: Ward) -> None:
    """docs/incidents.md, F40 to F46."""
    page.check(ward, "F40 to F46")
