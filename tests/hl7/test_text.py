"""Character sets of messages."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwl.errors import Location, Severity
from mwl.hl7.message import parse
from mwl.hl7.text import decode

Order = Callable[[str], bytes]


def message(name: bytes, label: str = "") -> bytes:
    """Return a small order with *name* in PID-5 and *label* in MSH-18."""
    header = f"MSH|^~\\&|RIS|HOSP|MWL|HOSP|20260705||ORM^O01|1|P|2.3.1||||||{label}".encode("ascii")
    return header + b"\rPID|1||ID1||" + name + b"||19580312\r"


def name_in(raw: bytes, **options: object) -> str:
    """Decode and read PID-5 of the first repetition, components joined."""
    decoded = decode(raw, **options)
    assert decoded.readable, decoded.findings
    first = parse(decoded.text, decoded.codec).field("PID", 1, 5)[0]
    return "^".join(component[0] for component in first)


@pytest.mark.parametrize(
    ("label", "raw", "name"),
    [
        pytest.param("UNICODE UTF-8", "王^小东".encode(), "王^小东", id="F-H41"),
        pytest.param("GB 18030-2000", bytes.fromhex("CDF55ED0A1B6AB"), "王^小东", id="F-H42"),
        pytest.param("8859/5", bytes.fromhex("B8B2B0BDBEB2"), "ИВАНОВ", id="F-H43"),
        pytest.param("8859/7", bytes.fromhex("D0C1D0C1C4"), "ΠΑΠΑΔ", id="F-H44"),
        pytest.param("KS X 1001", bytes.fromhex("C8ABB1E6B5BF"), "홍길동", id="F-H45"),
        pytest.param("ISO IR87", bytes.fromhex("1B24423B3345441B2842"), "山田", id="F-H46"),
        pytest.param("~ISO IR87", bytes.fromhex("1B24423B3345441B2842"), "山田", id="ASCII and IR87"),
        pytest.param("ASCII~ISO IR87", bytes.fromhex("1B24423B3345441B2842"), "山田", id="named ASCII"),
        pytest.param("ISO IR14", "ﾔﾏﾀﾞ".encode("shift_jis"), "ﾔﾏﾀﾞ", id="half-width"),
        pytest.param(
            "ISO IR14~ISO IR87", b"\xd4\xcf\xc0\xde^" + bytes.fromhex("1B24423B3345441B284A") + b"\xa5x",
            "ﾔﾏﾀﾞ^山田･x", id="D-41 half-width katakana in 8 bits, and kanji by escapes",
        ),
        pytest.param("ISO IR14~ISO IR87", b"\x1b(I\x54\x4f\x1b(B", "ﾔﾏ", id="katakana in 7 bits"),
        pytest.param("~ISO IR87~ISO IR159", b"\x1b$(D\x30\x21\x1b(B", "丂", id="JIS X 0212"),
        pytest.param("ISO IR87", b"\x1b$B\x7c\x62\x36\x36\x1b(B", "髙橋", id="a kanji of IBM's rows"),
        pytest.param("ISO IR87", b"\x1b$B;3\x1b(J\\T\\\x1b$BED\x1b(B", "山&田", id="5C is the escape character"),
        pytest.param("UNICODE UTF-8~ISO IR87", b"\x1b$B;3ED\x1b(B", "山田", id="a set of a later repetition"),
        pytest.param("ASCII~8859/5", bytes.fromhex("B8B2B0BDBEB2"), "ИВАНОВ", id="the second without escapes"),
        pytest.param("8859/1~8859/15", b"\xe9", "é", id="the first of two"),
        pytest.param("ASCII~KS X 1001", b"\x1b$)C\xc8\xab", "홍", id="a designation says what the label says"),
        pytest.param("GB 18030-2000", b"\x1b$)A\xcd\xf5\x1b(B", "王", id="a Chinese designation"),
        pytest.param("8859/15", b"\xa4", "€", id="8859/15"),
        pytest.param("UTF-8", "Ł".encode(), "Ł", id="peers 11"),
        pytest.param("UNICODE UTF-8~8859/1", "Ł".encode(), "Ł", id="D-41 first of several"),
        pytest.param("ISO_IR 101", "Č".encode("iso8859_2"), "Č", id="DICOM's name"),
        pytest.param("WINDOWS-1252", b"\x8a", "Š", id="Windows"),
        pytest.param("UNICODE UTF-16", "Ł".encode(), "Ł", id="says UTF-16 in ASCII"),
        pytest.param("utf8^^", "Ł".encode(), "Ł", id="case and components"),
    ],
)  # fmt: skip
def test_a_label_decides(label: str, raw: bytes, name: str):
    """Table D.4, and the names seen beside it."""
    assert name_in(message(raw, label)) == name


def test_f_h47_the_second_byte_of_a_big5_character_separates_nothing(order: Order):
    """Decoding comes before splitting (D-40)."""
    raw = order("orm-big5")
    assert b"\xca\x7c" in raw

    decoded = decode(raw)
    patient = parse(decoded.text, decoded.codec)

    assert patient.field("PID", 1, 5)[0][:2] == (("吜",), ("大文",))
    assert patient.field("PID", 1, 8) == ((("M",),),)


@pytest.mark.parametrize(
    ("label", "codec", "text"),
    [("GBK", "gbk", "乗乛亅"), ("SJIS", "shift_jis", "倒"), ("EUC-KR", "euc_kr", "홍")],
)
def test_trail_bytes_that_look_like_delimiters_are_safe(label: str, codec: str, text: str):
    """0x5C, 0x5E and 0x7C may be the second half of a character (D-40)."""
    assert name_in(message(text.encode(codec), label)) == text


def test_a_facility_whose_bytes_hold_the_separator_does_not_hide_the_label():
    """The label is found where the decoded header has it, whatever its bytes count."""
    raw = message("張".encode("big5"), "BIG-5").replace(b"|RIS|HOSP|", b"|RIS|" + "吜".encode("big5") + b"|")

    assert raw.split(b"\r")[0].split(b"|")[17] != b"BIG-5"
    assert name_in(raw) == "張"


@pytest.mark.parametrize(
    ("raw", "default", "name"),
    [
        pytest.param(b"DOE", "8859/1", "DOE", id="ascii"),
        pytest.param("Müller".encode(), "8859/1", "Müller", id="utf-8"),
        pytest.param("Müller".encode("latin-1"), "8859/1", "Müller", id="site default"),
        pytest.param("Müller".encode("latin-1"), "ISO_IR 100", "Müller", id="site default in DICOM's words"),
    ],
)
def test_f_h48_without_a_label_the_bytes_decide(raw: bytes, default: str, name: str):
    """ASCII, then UTF-8, then what the site is used to; none of it is worth a finding."""
    assert name_in(message(raw), default=default) == name
    assert decode(message(raw), default).findings == ()


def test_f_h49_an_unknown_character_set_is_an_error():
    """No codec stands for CNS 11643: nothing is guessed."""
    decoded = decode(message(b"DOE", "CNS 11643-1992"))

    assert not decoded.readable
    assert [(f.location, f.code) for f in decoded.findings] == [(Location("MSH", 1, 18), 103)]


def test_f_h49_a_site_may_say_what_a_label_means():
    """An alias maps a label to a known one, however it is written."""
    raw = message("張".encode("big5"), "CNS 11643-1992")

    assert name_in(raw, aliases={"cns 11643-1992": "BIG-5"}) == "張"


@pytest.mark.parametrize("label", ["UNICODE UTF-8", "", "UNICODE UTF-8~8859/12", "ASCII"])
def test_f_h50_invalid_utf_8_is_an_error_at_its_place(label: str):
    """Mojibake is never stored; the finding names the field (D-42)."""
    decoded = decode(message(b"M\xfcller", label))

    assert [(f.location, f.code, f.severity) for f in decoded.findings] == [
        (Location("PID", 1, 5), 102, Severity.ERROR)
    ]
    assert "ller" not in decoded.findings[0].text


def test_an_undecodable_header_is_named_too():
    """Field numbers of MSH count the separator."""
    decoded = decode(message(b"DOE", "UNICODE UTF-8").replace(b"HOSP", b"H\xfcS", 1))

    assert decoded.findings[0].location == Location("MSH", 1, 4)


def test_a_later_segment_of_the_same_name_is_counted():
    """The occurrence in the whole message is told."""
    decoded = decode(message(b"DOE", "UNICODE UTF-8") + b"NTE|1||a\rNTE|2||\xff\r")

    assert decoded.findings[0].location == Location("NTE", 2, 3)


def test_utf_8_labelled_latin_1_is_read_as_utf_8_and_reported(order: Order):
    """A label that lies costs no name (peers 12)."""
    raw = order("orm-mislabelled")

    assert name_in(raw) == "MÜLLER^JÜRGEN"
    (finding,) = decode(raw).findings
    assert (finding.location, finding.severity) == (Location("MSH", 1, 18), Severity.WARNING)


def test_a_site_may_insist_on_the_label():
    """Where labels are trusted, what they say is done; the bytes' contradiction is reported all the same."""
    raw = message("ü".encode(), "8859/1")

    assert name_in(raw, trust_label=True) == "Ã¼"
    (finding,) = decode(raw, trust_label=True).findings
    assert (finding.location, finding.severity) == (Location("MSH", 1, 18), Severity.WARNING)


@pytest.mark.parametrize(
    ("label", "raw", "default", "name"),
    [
        pytest.param("", "Müller".encode("latin-1"), "8859/1", "Müller", id="the default speaks for none"),
        pytest.param("", "Müller".encode(), "8859/1", "MÃ¼ller", id="even against the bytes"),
        pytest.param("", "Müller".encode(), "", "Müller", id="nothing to trust: the bytes decide"),
        pytest.param("8859/1", b"D\x92ARC", "", "D’ARC", id="controls are not trusted"),
        pytest.param("8859/1~UTF-8", b"\xe9", "", "é", id="the first repetition"),
    ],
)
def test_a_trusted_label_or_default_decides(label: str, raw: bytes, default: str, name: str):
    """Of a message without a label the default says what a label would."""
    assert name_in(message(raw, label), default=default, trust_label=True) == name


@pytest.mark.parametrize(("label", "default"), [("", "ASCII"), ("ASCII", ""), ("KS X 1001", "")])
def test_f_h48_a_site_may_be_strict(label: str, default: str):
    """What the trusted set cannot read is refused: nothing else is tried."""
    decoded = decode(message("Ł€".encode(), label), default, trust_label=True)

    assert [(f.location, f.code) for f in decoded.findings] == [(Location("PID", 1, 5), 102)]


@pytest.mark.parametrize("label", ["", "UNICODE UTF-8", "8859/1", "GB 18030-2000"])
def test_japanese_escapes_are_never_taken_for_ascii(label: str):
    """Under a label that does not announce them they are read and reported, not stored as $B;3ED(B."""
    raw = message(b"\x1b$B;3ED\x1b(B", label)

    assert name_in(raw) == "山田"
    assert [f.severity for f in decode(raw).findings] == ([Severity.WARNING] if label else [])


@pytest.mark.parametrize(
    "broken",
    [
        b"\x1b$B;\x1b(B",
        b"\x1b$B\x7f\x7f\x1b(B",
        b"\xe5",
        b"\x1b$)A\xcd\xf5",
        b"\x1b$B\x22\x2f\x1b(B",
        b"\x1b$(D\x21\x21\x1b(B",
    ],
)
def test_broken_japanese_is_an_error_at_its_place(broken: bytes):
    """Half a character, an unassigned one, a byte of no set, an unknown escape."""
    decoded = decode(message(broken, "ISO IR87"), "ISO IR87")

    assert [(f.location, f.code) for f in decoded.findings] == [(Location("PID", 1, 5), 102)]


def test_an_escape_sequence_for_a_printer_is_no_character_set():
    """Bold print in a report does not cost the order."""
    assert name_in(message(b"DOE\x1b[1m", "")) == "DOE\x1b[1m"
    assert name_in(message(b"\x1b$B;3\x1b(B\x1b[1m", "ISO IR87")) == "山\x1b[1m"


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_utf_16_is_refused_unless_it_is_taken(codec: str, mark: str):
    """It is known by its bytes; the header can be read for the answer (D-04)."""
    raw = (mark + message("王^小东".encode(), "UNICODE UTF-16").decode()).encode(codec)

    refused = decode(raw)
    taken = decode(raw, utf_16=True)

    assert [(f.location, f.code) for f in refused.findings] == [(Location("MSH", 1, 18), 103)]
    assert parse(refused.text, refused.codec).header.control_id == "1"
    assert taken.readable
    assert parse(taken.text, taken.codec).field("PID", 1, 5)[0] == (("王",), ("小东",))
    assert not decode(raw[:-1], utf_16=True).readable


def test_latin_1_that_is_no_utf_8_is_read_as_labelled(order: Order):
    """The honest label is followed without a word."""
    assert name_in(order("orm-latin1")) == "MÜLLER^JÜRGEN"
    assert decode(order("orm-latin1")).findings == ()


def test_latin_1_with_windows_characters_is_read_as_windows():
    """0x80 to 0x9F are controls in 8859/1 and never meant."""
    decoded = decode(message(b"D\x92ARC", "8859/1"))

    assert "D’ARC" in decoded.text
    assert decoded.findings[0].severity is Severity.WARNING


def test_ascii_that_is_utf_8_is_read_and_reported():
    """ISO IR6 with high bytes is read leniently."""
    decoded = decode(message("ü".encode(), "ASCII"))

    assert decoded.codec == "utf-8"
    assert decoded.findings[0].severity is Severity.WARNING


@pytest.mark.parametrize("label", ["KS X 1001", "GB 18030-2000", "BIG-5", "SHIFT_JIS"])
@pytest.mark.parametrize(
    "name", ["Ł€", "王^小东", "홍^길동", "やまだ^たろう", "山田^太郎", "MÜLLER^Jürgen 王"]
)
def test_a_wrong_multibyte_label_over_utf_8_is_reported(label: str, name: str):
    """Three bytes a character, or what the national standard lacks: that is UTF-8."""
    decoded = decode(message(name.encode(), label))

    assert decoded.codec == "utf-8"
    assert name in decoded.text
    assert [f.severity for f in decoded.findings] == [Severity.WARNING]


@pytest.mark.parametrize(
    ("label", "codec", "name"),
    [
        pytest.param("GB 18030-2000", "gb18030", "联通", id="the notorious two that are valid UTF-8"),
        pytest.param("KS X 1001", "euc_kr", "짱", id="a syllable that is"),
        pytest.param("GB 18030-2000", "gb18030", "朱镕基^喆堃䶮", id="beyond GB 2312"),
        pytest.param("KS X 1001", "cp949", "홍^뷁", id="beyond KS X 1001"),
        pytest.param("GB 18030-2000", "gb18030", "睿^昊璐", id="leads of three bytes"),
    ],
)
def test_an_honest_multibyte_label_is_followed(label: str, codec: str, name: str):
    """Chance does not overrule it."""
    assert name_in(message(name.encode(codec), label)) == name


def test_a_byte_order_mark_is_no_text():
    """UTF-8 with a mark reads as without."""
    assert decode(b"\xef\xbb\xbf" + message(b"DOE", "UNICODE UTF-8")).text.startswith("MSH|")


def test_an_unreadable_message_keeps_its_bytes_for_the_answer():
    """Fields echoed from it come back byte for byte."""
    raw = message(b"DOE", "KLINGON").replace(b"HOSP", b"\xe5\xff", 1)

    decoded = decode(raw)

    assert decoded.text.encode(decoded.codec) == raw


@pytest.mark.parametrize(
    "label", ["hex", "rot13", "unicode_escape", "idna", "undefined", "../etc/passwd", "x" * 9999]
)
def test_a_label_is_never_looked_up_beyond_the_table(label: str):
    """Python's other codecs are not the peer's to call, and a long label does not fill the answer."""
    decoded = decode(message(b"DOE", label))

    assert not decoded.readable
    assert len(decoded.findings[0].text) < 100


@given(
    raw=st.binary(max_size=200),
    label=st.sampled_from(["", "8859/1", "GB 18030-2000", "ISO IR14~ISO IR87", "UNICODE UTF-8"]),
    trust=st.booleans(),
)
def test_any_bytes_decode_or_are_refused(raw: bytes, label: str, trust: bool):
    """Whatever comes, decoding ends with text and says whether it can be trusted."""
    decoded = decode(message(raw, label), trust_label=trust)

    assert decoded.readable or decoded.findings[0].code == 102


@given(raw=st.binary(max_size=300))
def test_bytes_without_a_header_do_no_harm(raw: bytes):
    """There may be no MSH at all."""
    assert isinstance(decode(raw, "8859/1").text, str)


@given(text=st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\n|^~\\&\x0b\x1b\x1c\ufeff")))
def test_utf_8_round_trips(text: str):
    """What is written as UTF-8 is read as it was; ESC may announce another character set (D-41)."""
    assert decode(message(text.encode(), "UNICODE UTF-8")).text.split("|")[-3] == text
