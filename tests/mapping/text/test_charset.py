"""Character sets: labels, the vectors of F.2 byte by byte, and what fits coming back unchanged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwl.mapping.text.charset import (
    DEFAULT,
    UTF8,
    CharacterSet,
    Unfit,
    UnknownCharacterSet,
    parse_terms,
    split_values,
)

SINGLE_BYTE = (13, 100, 101, 109, 110, 126, 127, 138, 144, 148, 166, 203)
LABELS = (
    "",
    *(f"ISO_IR {number}" for number in SINGLE_BYTE),
    *(f"\\ISO 2022 IR {number}" for number in (13, 58, 87, 149, 159, 166, 203)),
    "ISO 2022 IR 13\\ISO 2022 IR 87\\ISO 2022 IR 159",
    "ISO 2022 IR 100\\ISO 2022 IR 144\\ISO 2022 IR 126",
    "ISO 2022 IR 148\\ISO 2022 IR 149\\ISO 2022 IR 58",
    "ISO_IR 192",
    "GB18030",
    "GBK",
)

# What at least one of the sets above has, often enough for mixtures, beside everything else.
LETTERS = st.one_of(
    st.sampled_from("aZ09 ~\\^=-*?\r\n\f\t"),
    st.sampled_from("éÿ£şŁőжΩקعกﾔｱ。ー漢字山ぼ張张한글흉乗髙丂①Ă"),
    st.characters(max_codepoint=0x600),
    st.characters(min_codepoint=0x3000, max_codepoint=0xFFFF),
    st.characters(),
)


def octets(text: str) -> bytes:
    """Read hexadecimal digits, "quoted" ASCII between them."""
    return b"".join(
        part.encode() if at % 2 else bytes.fromhex(part) for at, part in enumerate(text.split('"'))
    )


VECTORS = {
    "f_x01": ("GB18030", "Wang^XiaoDong=王^小东", '"Wang^XiaoDong=" CDF5 5E D0A1 B6AB'),
    "f_x02": ("GBK", "Wang^XiaoDong=王^小东", '"Wang^XiaoDong=" CDF5 5E D0A1 B6AB'),
    "f_x03": ("ISO_IR 192", "Wang^XiaoDong=王^小東", '"Wang^XiaoDong=" E78E8B 5E E5B08F E69DB1'),
    "f_x04": (
        "\\ISO 2022 IR 58",
        "Zhang^XiaoDong=张^小东",
        '"Zhang^XiaoDong=" 1B242941 D5C5 5E 1B242941 D0A1 B6AB',
    ),
    "f_x06": (
        "\\ISO 2022 IR 87",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
        (
            '"Yamada^Tarou=" 1B2442 3B33 4544 1B2842 5E 1B2442 4240 4F3A 1B2842 3D'
            " 1B2442 2464 245E 2440 1B2842 5E 1B2442 243F 246D 2426 1B2842"
        ),
    ),
    "f_x07": (
        "ISO 2022 IR 13\\ISO 2022 IR 87",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        (
            "D4CFC0DE 5E C0DBB3 3D 1B2442 3B33 4544 1B284A 5E 1B2442 4240 4F3A 1B284A 3D"
            " 1B2442 2464 245E 2440 1B284A 5E 1B2442 243F 246D 2426 1B284A"
        ),
    ),
    "f_x08": (
        "\\ISO 2022 IR 149",
        "Hong^Gildong=洪^吉洞=홍^길동",
        '"Hong^Gildong=" 1B242943 FBF3 5E 1B242943 D1CE D4D7 3D 1B242943 C8AB 5E 1B242943 B1E6 B5BF',
    ),
    "f_x11": ("ISO_IR 144", "Иванов^Иван", "B8D2D0DDDED2 5E B8D2D0DD"),
    "f_x12": (
        "ISO_IR 126",
        "Παπαδόπουλος^Γιώργος",
        "D0E1F0E1E4FCF0EFF5EBEFF2 5E C3E9FEF1E3EFF2",
    ),
    "f_x13": ("ISO_IR 100", "Buc^Jérôme", "4275635E4AE972F46D65"),
    "f_x14": ("ISO_IR 101", "Čapek^Jiří", "C86170656B5E4A69F8ED"),
    "f_x22": ("ISO_IR 100", "MÜLLER*", "4DDC4C4C45522A"),
}


@pytest.mark.parametrize(("label", "name", "expected"), VECTORS.values(), ids=VECTORS)
def test_names_have_the_bytes_of_the_vectors(label: str, name: str, expected: str) -> None:
    """F-X01 to F-X14: each character set writes and reads the names of F.2."""
    charset = parse_terms(label)

    assert charset.encode(name, name=True) == octets(expected)
    assert charset.decode(octets(expected), name=True) == name


def test_f_x05_no_escape_sequence_stays_in_the_text() -> None:
    """GB 2312 with designations is read without leaving them in the name (A-58)."""
    raw = octets('"Zhang^XiaoDong=" 1B242941 D5C5 5E 1B242941 D0A1 B6AB')

    assert parse_terms("\\ISO 2022 IR 58").decode(raw, name=True) == "Zhang^XiaoDong=张^小东"


@pytest.mark.parametrize(
    ("label", "text", "expected"),
    [
        ("\\ISO 2022 IR 149", "흉부 CT", "1B242943 C8E4 BACE 20 43 54"),
        ("\\ISO 2022 IR 87", "胸部CT", "1B2442 363B 4974 1B2842 43 54"),
    ],
    ids=["f_x09", "f_x10"],
)
def test_text_has_the_bytes_of_the_vectors(label: str, text: str, expected: str) -> None:
    """F-X09 and F-X10: G1 stays designated across a space, G0 returns to ASCII."""
    assert parse_terms(label).encode(text) == octets(expected)
    assert parse_terms(label).decode(octets(expected)) == text


@pytest.mark.parametrize("label", ["ISO_IR 100", "\\ISO 2022 IR 87", "", "\\ISO 2022 IR 149"])
@pytest.mark.parametrize("name", ["Łódź^Ewa", "髙橋"])
def test_f_x15_f_x16_what_does_not_fit_is_refused(label: str, name: str) -> None:
    """A name with a character outside the set raises; no question mark takes its place."""
    charset = parse_terms(label)

    assert not charset.fits(name, name=True)
    with pytest.raises(Unfit) as caught:
        charset.encode(name, name=True)
    assert name not in str(caught.value)


def test_f_x17_half_of_a_character_separates_nothing() -> None:
    """乗 ends in 5CH in GBK and is one character of one value."""
    charset = parse_terms("GBK")

    values = split_values(octets('81 5C 58 5C "Y" 5C'), charset)

    assert [charset.decode(value) for value in values] == ["乗X", "Y", ""]


def test_a54_half_of_a_kanji_separates_nothing() -> None:
    """ぼ is 24 5C and 十 is 3D 3D in JIS X 0208: neither a backslash nor an equals sign is in them."""
    charset = parse_terms("\\ISO 2022 IR 87")
    raw = charset.encode("ぼ十^ぼ", name=True)

    assert raw == octets("1B2442 245C 3D3D 1B2842 5E 1B2442 245C 1B2842")
    assert charset.decode(raw, name=True) == "ぼ十^ぼ"
    assert split_values(raw + b"\\" + raw, charset) == [raw, raw]


def test_f_x24_latin_9_has_the_euro_sign() -> None:
    """ISO_IR 203 is known, and its A4H is the euro sign."""
    assert parse_terms("ISO_IR 203").encode("10 €") == b"10 \xa4"
    assert parse_terms("ISO_IR 203").decode(b"10 \xa4") == "10 €"


def test_f_x26_each_line_begins_in_ascii() -> None:
    """Before CR LF the initial set is active again, and the next line designates anew."""
    charset = parse_terms("\\ISO 2022 IR 87")

    raw = charset.encode("胸部\r\n頭部")

    assert raw == octets("1B2442 363B 4974 1B2842 0D0A 1B2442 462C 4974 1B2842")
    assert charset.decode(raw) == "胸部\r\n頭部"


@pytest.mark.parametrize("delimiter", ["\r", "\n", "\f", "\t"])
@pytest.mark.parametrize("label", ["\\ISO 2022 IR 149", "ISO 2022 IR 100\\ISO 2022 IR 149"])
def test_a53_korean_is_designated_again_after_a_control(label: str, delimiter: str) -> None:
    """Each line, page and column of text has its own designation."""
    raw = parse_terms(label).encode(f"흉{delimiter}흉")

    assert raw.count(octets("1B242943")) == 2


def test_a53_the_first_set_is_active_before_a_delimiter() -> None:
    """Where the first set has a G1 of its own, it is designated before the delimiter and the end."""
    raw = parse_terms("ISO 2022 IR 100\\ISO 2022 IR 144").encode("Иван^é^Я", name=True)

    assert raw == octets("1B2D4C B8D2D0DD 1B2D41 5E E9 5E 1B2D4C CF 1B2D41")


def test_the_active_set_is_kept_for_characters_that_several_have() -> None:
    """A character of both Kanji and Hangul sets does not cost an escape sequence."""
    charset = parse_terms("\\ISO 2022 IR 87\\ISO 2022 IR 149")

    assert charset.encode("한、").count(b"\x1b") == 1
    assert charset.decode(charset.encode("한、")) == "한、"


def test_yen_and_overline_are_read_as_backslash_and_tilde() -> None:
    """An ID with a tilde is the same ID under JIS X 0201; the signs of its chart do not fit."""
    charset = parse_terms("ISO_IR 13")

    assert charset.encode("A~1 \\") == b"A~1 \\"
    assert charset.decode(b"A~1 \\") == "A~1 \\"
    assert not charset.fits("¥")
    assert not charset.fits("‾")


def test_syllables_beyond_ks_x_1001_do_not_fit() -> None:
    """CPython would spell 똠 as four letters, which a device shows as such."""
    assert not parse_terms("\\ISO 2022 IR 149").fits("똠")
    assert parse_terms("\\ISO 2022 IR 149").fits("한")


def test_half_width_kana_do_not_fit_jis_x_0208() -> None:
    """IR 87 has no half-width kana; IR 13 beside it has."""
    assert not parse_terms("\\ISO 2022 IR 87").fits("ﾔﾏﾀﾞ")
    assert parse_terms("ISO 2022 IR 13\\ISO 2022 IR 87").fits("ﾔﾏﾀﾞ")


@pytest.mark.parametrize(
    ("label", "raw", "expected"),
    [
        ("\\ISO 2022 IR 149", "C8AB 5E B1E6 B5BF", "홍^길동"),
        ("\\ISO 2022 IR 149", "1B242943 C8AB 5E B1E6 B5BF", "홍^길동"),
        ("ISO_IR 149", "C8AB", "홍"),
        ("\\ISO 2022 IR 58", "D5C5 5E D0A1", "张^小"),
        ("ISO-2022-GBK", "1B242941 D5C5 5E 1B242941 814E 1B2842", "张^丯"),
        ("ISO_IR 100", "1B2442 3B33 4544 1B2842 5E E9", "山田^é"),
        ("\\ISO 2022 IR 87", "1B2440 3B33 4544 1B284A 7E", "山田~"),
        ("\\ISO 2022 IR 87", "1B2442 3B33 4544 5E 1B2442 4240", "山田^太"),
        ("\\ISO 2022 IR 87", "1B2442 3B33 20 4544 1B2842", "山 田"),
    ],
)
def test_reads_what_devices_write_less_strictly(label: str, raw: str, expected: str) -> None:
    """Missing designations, undeclared sets and unreturned kanji are read as they are meant."""
    assert parse_terms(label).decode(octets(raw), name=True) == expected


@pytest.mark.parametrize(
    ("label", "raw", "expected"),
    [
        ("", b"M\xdcLLER", "M�LLER"),
        ("\\ISO 2022 IR 87", b"M\xdcLLER", "M�LLER"),
        ("ISO_IR 192", b"M\xdcLLER", "M�LLER"),
        ("ISO_IR 13", b"\xfd\xd4", "�ﾔ"),
        ("ISO_IR 126", b"\xff", "�"),
        ("\\ISO 2022 IR 87", octets("1B2442 7E7E 3B33 45"), "�山�"),
        ("\\ISO 2022 IR 159", octets("1B242844 7E7E 1B2842"), "�"),
        ("\\ISO 2022 IR 149", octets("1B242943 FEFE C8AB C8"), "�홍�"),
        ("", b"A\x1b(Z\x00B", "A�(Z�B"),
    ],
)
def test_undecodable_bytes_become_replacement_characters(label: str, raw: bytes, expected: str) -> None:
    """F-X18: what is not in the set is shown as unknown, one sign a code, and the rest is kept."""
    assert parse_terms(label).decode(raw) == expected


@pytest.mark.parametrize(
    ("label", "terms"),
    [
        ("", ()),
        ("ISO_IR 6", ()),
        ("ISO 2022 IR 6", ()),
        ("\\", ()),
        ("ISO_IR 100", ("ISO_IR 100",)),
        ("ISO 2022 IR 100", ("ISO_IR 100",)),
        ("iso_ir_100", ("ISO_IR 100",)),
        ("ISO-IR 100 ", ("ISO_IR 100",)),
        ("ISOIR100", ("ISO_IR 100",)),
        ("ISO-8859-1", ("ISO_IR 100",)),
        ("ISO IR 192", ("ISO_IR 192",)),
        ("UTF-8", ("ISO_IR 192",)),
        ("utf8", ("ISO_IR 192",)),
        ("\\ISO_IR 192", ("ISO_IR 192",)),
        ("GB18030\\ISO IR 192", ("GB18030",)),
        ("ISO-2022-GBK", ("GBK",)),
        ("gbk", ("GBK",)),
        ("ISO_IR 149", ("", "ISO 2022 IR 149")),
        ("ISO_IR 58", ("", "ISO 2022 IR 58")),
        ("ISO 2022 IR 87", ("", "ISO 2022 IR 87")),
        ("\\ISO 2022 IR 87", ("", "ISO 2022 IR 87")),
        ("ISO 2022 IR 6\\ISO 2022 IR 87\\", ("", "ISO 2022 IR 87")),
        ("\\iso_2022_ir_87\\ISO2022 IR 159", ("", "ISO 2022 IR 87", "ISO 2022 IR 159")),
        ("ISO_IR 13\\ISO_IR 87", ("ISO 2022 IR 13", "ISO 2022 IR 87")),
        ("ISO_IR 100\\ISO_IR 192", ("ISO_IR 100",)),
        ("ISO_IR 100\\ISO_IR 100", ("ISO_IR 100",)),
    ],
)
def test_f45_labels_in_the_wild_are_understood(label: str, terms: tuple[str, ...]) -> None:
    """Whatever a device calls its set, the defined terms come out."""
    assert parse_terms(label).terms == terms


@pytest.mark.parametrize("label", ["ISO_IR 999", "\\ISO 2022 IR 999", "EBCDIC", "ISO_IR 100\\?", "\\" * 1000])
def test_f_x19_an_unknown_label_is_an_error_of_its_own(label: str) -> None:
    """No set is guessed for a label nobody knows."""
    with pytest.raises(UnknownCharacterSet):
        parse_terms(label)


def test_values_of_the_element_are_taken_one_by_one_too() -> None:
    """The list of (0008,0005), whose first value may be None, is the same as the label."""
    assert parse_terms([None, "ISO 2022 IR 87"]) == parse_terms("\\ISO 2022 IR 87")
    assert parse_terms([]) == DEFAULT


def test_sets_are_equal_by_their_terms_and_usable_as_keys() -> None:
    """Two labels of one set give one cache entry."""
    assert {parse_terms("UTF-8"): 1}[UTF8] == 1
    assert parse_terms("GBK") != parse_terms("GB18030")


@pytest.mark.parametrize("label", LABELS)
def test_declared_terms_are_a_fixed_point(label: str) -> None:
    """The terms the broker writes are read back as the same set."""
    charset = parse_terms(label)

    assert parse_terms("\\".join(charset.terms)) == charset


@pytest.mark.parametrize("text", ["a\x1b$B", "a\x00"])
@pytest.mark.parametrize("label", LABELS)
def test_escape_and_nul_are_not_text(label: str, text: str) -> None:
    """Nobody smuggles a designation, or the end of a string, through a value."""
    assert not parse_terms(label).fits(text)


@pytest.mark.parametrize("label", LABELS)
@given(text=st.text(LETTERS), name=st.booleans())
def test_what_fits_comes_back(label: str, text: str, name: bool) -> None:
    """Reading is the inverse of writing, in every set, for all that can be written."""
    charset = parse_terms(label)
    fitting = "".join(char for char in text if charset.fits(char))

    assert charset.decode(charset.encode(fitting, name=name), name=name) == fitting


@pytest.mark.parametrize("label", LABELS)
@given(values=st.lists(st.text(LETTERS), min_size=1))
def test_values_joined_are_split_again(label: str, values: list[str]) -> None:
    """The backslash between values is found among all bytes, in every set."""
    charset = parse_terms(label)
    values = ["".join(c for c in value if charset.fits(c) and c != "\\") for value in values]

    raw = b"\\".join(charset.encode(value) for value in values)

    assert [charset.decode(value) for value in split_values(raw, charset)] == values


@pytest.mark.parametrize("label", LABELS)
@given(
    raw=st.lists(
        st.one_of(
            st.binary(max_size=6),
            st.sampled_from([b"\x1b$B", b"\x1b(B", b"\x1b$)C", b"\x1b-L", b"\x1b", b"^", b"\\", b"\r\n"]),
        )
    ).map(b"".join),
    name=st.booleans(),
)
def test_reading_never_fails(label: str, raw: bytes, name: bool) -> None:
    """Any bytes are text of some kind, without NUL or ESC, and splitting loses none of them."""
    charset = parse_terms(label)

    assert not {"\x00", "\x1b"} & set(charset.decode(raw, name=name))
    assert b"\\".join(split_values(raw, charset)) == raw


@pytest.mark.parametrize(("label", "writes"), [("\\ISO 2022 IR 87", True), ("ISO_IR 100", False)])
def test_japanese_sets_say_so(label: str, writes: bool) -> None:
    """Who reads ideographs as Japanese is known from the terms."""
    charset: CharacterSet = parse_terms(label)

    assert charset.japanese is writes
    assert not charset.korean
    assert parse_terms("ISO_IR 149").korean
