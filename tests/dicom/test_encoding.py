"""Data sets as bytes and as documents, with pydicom as the other opinion."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.config import settings
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from mwl.dicom.elements import MAX_DEPTH, MAX_PARTS
from mwl.dicom.encoding import (
    MAX_BYTES,
    Framing,
    Undecodable,
    Unencodable,
    decode_dataset,
    encode_dataset,
)
from mwl.mapping.text.charset import DEFAULT, UTF8, CharacterSet, Unfit, parse_terms
from mwl.model import Document, Element, name_value, person_name

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
SYNTAXES = (IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED)
LATIN_1 = parse_terms("ISO_IR 100")


def element(vr: str, *values: Any) -> Element:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def implicit(*elements: tuple[int, int, bytes]) -> bytes:
    """Write elements with no help of the code under test."""
    return b"".join(struct.pack("<HHI", group, number, len(raw)) + raw for group, number, raw in elements)


@pytest.fixture(scope="module", autouse=True)
def _pydicom_does_not_judge() -> Iterator[None]:
    """Let pydicom read and write values as they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "_reading_validation_mode", pydicom.config.IGNORE)
        patch.setattr(settings, "_writing_validation_mode", pydicom.config.IGNORE)
        yield


# --- reading ---------------------------------------------------------------------------------------


def test_reads_values_without_padding() -> None:
    """Padding goes, inner and (in long text) leading spaces stay, values are split."""
    raw = implicit(
        (0x0008, 0x0050, b" ACC 1 "),
        (0x0010, 0x0010, b"DOE^JOHN "),
        (0x0010, 0x0020, b""),
        (0x0010, 0x1030, b"082.50"),
        (0x0010, 0x21B0, b"  a\\b \r\n "),
        (0x0010, 0x21C0, b"\x04\x00"),
        (0x0020, 0x000D, b"1.2.3\x00"),
        (0x0040, 0x0001, b"AE1 \\ AE2\\\\AE4 "),
    )

    assert decode_dataset(raw, IMPLICIT) == {
        "00080050": element("SH", "ACC 1"),
        "00100010": element("PN", {"Alphabetic": "DOE^JOHN"}),
        "00100020": element("LO"),
        "00101030": element("DS", "082.50"),
        "001021B0": element("LT", "  a\\b \r\n"),
        "001021C0": element("US", 4),
        "0020000D": element("UI", "1.2.3"),
        "00400001": element("AE", "AE1", "AE2", None, "AE4"),
    }


def test_a28_query_values_stay_literal() -> None:
    """Wildcards and ranges are values like others, whatever the VR."""
    raw = implicit(
        (0x0008, 0x0060, b"C*"),
        (0x0010, 0x0010, b"*=*^?="),
        (0x0020, 0x000D, b"* "),
        (0x0040, 0x0002, b"20260705-20260707 "),
    )

    assert decode_dataset(raw, IMPLICIT) == {
        "00080060": element("CS", "C*"),
        "00100010": element("PN", {"Alphabetic": "*", "Ideographic": "*^?"}),
        "0020000D": element("UI", "*"),
        "00400002": element("DA", "20260705-20260707"),
    }


@pytest.mark.parametrize("value", [b"", b" ", b"\x00\x00", b"\\ "])
def test_blank_values_are_none(value: bytes) -> None:
    """An element of padding is empty: it matches universally, not literally."""
    assert decode_dataset(implicit((0x0008, 0x0060, value)), IMPLICIT) == {"00080060": element("CS")}


def test_f_x18_bytes_outside_the_default_repertoire_are_unknown_characters() -> None:
    """Without (0008,0005) an 8-bit byte is U+FFFD, and the query goes on."""
    assert decode_dataset(implicit((0x0010, 0x0010, b"M\xfcLLER")), IMPLICIT) == {
        "00100010": element("PN", {"Alphabetic": "M�LLER"})
    }


@pytest.mark.parametrize("label", [b"ISO_IR 999", b"\\EBCDIC ", b""])
def test_f_x19_f_x20_unknown_and_empty_labels_are_tolerated(label: bytes) -> None:
    """The ASCII part is read, and the label kept as it came."""
    document = decode_dataset(implicit((8, 5, label), (0x0010, 0x0010, b"D\xfcE^JOHN ")), IMPLICIT)

    assert document["00100010"] == element("PN", {"Alphabetic": "D�E^JOHN"})
    assert document["00080005"].get("Value", [""])[-1] == label.decode().strip().strip("\\")


def test_f_x17_a_trail_byte_separates_no_values() -> None:
    """乗X in GBK is one Patient ID."""
    raw = implicit((8, 5, b"GBK "), (0x0010, 0x0020, b"\x81\x5cX\\Y"))

    assert decode_dataset(raw, IMPLICIT)["00100020"] == element("LO", "乗X", "Y")


def test_a57_codes_are_ascii_whatever_the_character_set() -> None:
    """Only text and names are read in the stated set."""
    raw = implicit((8, 5, b"ISO_IR 100"), (8, 0x0060, b"C\xdc"), (0x0010, 0x0020, b"C\xdc"))

    document = decode_dataset(raw, IMPLICIT)

    assert document["00080060"] == element("CS", "C�")
    assert document["00100020"] == element("LO", "CÜ")


def test_the_character_set_counts_from_the_first_element_on() -> None:
    """Elements before (0008,0005), or out of order, are read in it as well."""
    raw = implicit((0x0010, 0x0020, b"\xdc "), (8, 5, b"ISO_IR 100"))

    assert decode_dataset(raw, IMPLICIT)["00100020"] == element("LO", "Ü")


def test_items_may_state_a_character_set_of_their_own() -> None:
    """An item's (0008,0005) rules the item; one without inherits."""
    own = implicit((8, 5, b"ISO_IR 192"), (0x0010, 0x0020, b"\xc3\x9c"))
    inherited = implicit((0x0010, 0x0020, b"\xdc "))
    items = implicit((0xFFFE, 0xE000, own), (0xFFFE, 0xE000, inherited))

    document = decode_dataset(implicit((8, 5, b"ISO_IR 100"), (8, 0x1120, items)), IMPLICIT)

    first, second = document["00081120"]["Value"]
    assert first["00100020"] == second["00100020"] == element("LO", "Ü")


def test_private_and_unknown_elements_keep_their_bytes() -> None:
    """What the dictionary does not know is UN in implicit VR, private creators are LO."""
    raw = implicit((9, 0x0010, b"ACME"), (9, 0x1001, b"\xff\x00"), (0x0010, 0xFFFE, b"ab"))

    assert decode_dataset(raw, IMPLICIT) == {
        "00090010": element("LO", "ACME"),
        "00091001": {"vr": "UN", "InlineBinary": "/wA="},
        "0010FFFE": {"vr": "UN", "InlineBinary": "YWI="},
    }


def test_undefined_lengths_are_read() -> None:
    """Sequences and items may end with delimiters, private sequences too."""
    end_item = implicit((0xFFFE, 0xE00D, b""))
    end_sequence = implicit((0xFFFE, 0xE0DD, b""))
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + implicit((8, 0x0060, b"CT")) + end_item
    for group, number in ((0x0040, 0x0100), (0x0009, 0x1001)):
        raw = struct.pack("<HHI", group, number, 0xFFFFFFFF) + item + item + end_sequence

        document = decode_dataset(raw + implicit((0x0040, 0x1001, b"RP")), IMPLICIT)

        inner = {"00080060": element("CS", "CT")}
        assert document[f"{group:04X}{number:04X}"] == element("SQ", inner, inner)
        assert document["00401001"] == element("SH", "RP")


def test_sequences_without_items_have_no_value() -> None:
    """Empty, empty with delimiter, and one empty item are told apart (A-44)."""
    undefined = struct.pack("<HHI", 0x0040, 0x0100, 0xFFFFFFFF) + implicit((0xFFFE, 0xE0DD, b""))

    assert decode_dataset(implicit((0x0040, 0x0100, b"")), IMPLICIT) == {"00400100": {"vr": "SQ"}}
    assert decode_dataset(undefined, IMPLICIT) == {"00400100": {"vr": "SQ"}}
    assert decode_dataset(implicit((0x0040, 0x0100, implicit((0xFFFE, 0xE000, b"")))), IMPLICIT) == {
        "00400100": element("SQ", {})
    }


def test_known_attributes_under_un_are_read_as_themselves() -> None:
    """A relay that did not know an attribute wrote UN; inside it is implicit little endian."""
    inner = implicit((0xFFFE, 0xE000, implicit((8, 0x0060, b"CT"))))
    for syntax, order in ((EXPLICIT, "<"), (BIG_ENDIAN, ">")):
        raw = struct.pack(order + "HH2sHI", 0x0010, 0x21C0, b"UN", 0, 2) + b"\x04\x00"
        raw += struct.pack(order + "HH2sHI", 0x0040, 0x0100, b"UN", 0, len(inner)) + inner

        assert decode_dataset(raw, syntax) == {
            "001021C0": element("US", 4),
            "00400100": element("SQ", {"00080060": element("CS", "CT")}),
        }


def test_a_vr_of_later_editions_is_kept_as_bytes() -> None:
    """A VR nobody knows has a 32-bit length (PS3.5 7.1.2)."""
    raw = struct.pack("<HH2sHI", 0x0010, 0x0020, b"ZZ", 0, 2) + b"ab"

    assert decode_dataset(raw, EXPLICIT) == {"00100020": {"vr": "UN", "InlineBinary": "YWI="}}


def test_group_lengths_are_dropped_and_the_last_of_twins_counts() -> None:
    """Old devices send group lengths; they are no keys."""
    raw = implicit((8, 0, b"\x00\x00\x00\x00"), (8, 0x0060, b"CT"), (8, 0x0060, b"MR"))

    assert decode_dataset(raw, IMPLICIT) == {"00080060": element("CS", "MR")}


def test_numbers_that_do_not_add_up_are_kept_as_bytes() -> None:
    """Three bytes are no US; the rest of the data set is read."""
    raw = implicit((0x0010, 0x21C0, b"\x04\x00\x00"), (8, 0x0060, b"CT"))

    assert decode_dataset(raw, IMPLICIT) == {
        "001021C0": {"vr": "UN", "InlineBinary": "BAAA"},
        "00080060": element("CS", "CT"),
    }


def test_words_are_little_endian_in_the_document() -> None:
    """OW and its like are swapped between big endian bytes and the JSON model, both ways."""
    document = {"00281201": {"vr": "OW", "InlineBinary": base64.b64encode(b"\x01\x00\x02\x00").decode()}}

    raw = encode_dataset(document, BIG_ENDIAN, DEFAULT)

    assert raw == bytes.fromhex("0028 1201") + b"OW" + bytes.fromhex("0000 00000004 0001 0002")
    assert decode_dataset(raw, BIG_ENDIAN) == document


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\x08\x00\x60", "ends inside an element"),
        (struct.pack("<HHI", 8, 0x0060, 4) + b"CT", "longer than the data set"),
        (struct.pack("<HHI", 8, 0x0060, 0xFFFFFFFF) + b"CT", "has no length"),
        (implicit((0xFFFE, 0xE00D, b"")), "item where an element is due"),
        (implicit((0x0040, 0x0100, implicit((8, 0x0060, b"")))), "element where an item is due"),
        (implicit((0x0040, 0x0100, implicit((0xFFFE, 0xE0DD, b"")))), "element where an item is due"),
        (implicit((0x0040, 0x0100, struct.pack("<HHI", 0xFFFE, 0xE000, 9))), "longer than its sequence"),
        (struct.pack("<HHI", 0x0040, 0x0100, 0xFFFFFFFF), "ends inside a sequence"),
        (
            struct.pack("<HHIHHI", 0x0040, 0x0100, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF),
            "ends inside an item",
        ),
    ],
)
def test_what_is_no_data_set_is_undecodable(raw: bytes, message: str) -> None:
    """Lengths that lie and delimiters out of place are refused with their reason."""
    with pytest.raises(Undecodable, match=message):
        decode_dataset(raw, IMPLICIT)


@pytest.mark.parametrize("raw", [b"\x08\x00\x60\x00\x02\x00\x00\x00CT", b"\x08\x00\x60\x00OB\x00\x00\x02"])
def test_implicit_bytes_under_an_explicit_syntax_are_undecodable(raw: bytes) -> None:
    """Two bytes that are no letters are no VR."""
    with pytest.raises(Undecodable):
        decode_dataset(raw, EXPLICIT)


def test_depth_size_and_number_of_parts_are_bounded() -> None:
    """Nothing a peer sends makes the broker recurse or allocate without end."""
    level = struct.pack("<HHIHHI", 0x0040, 0x0100, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF)
    for raw in (
        level * (MAX_DEPTH + 2),
        b"\0" * (MAX_BYTES + 1),
        implicit((8, 0x0060, b"")) * (MAX_PARTS + 1),
        implicit((8, 0x0060, b"a\\" * MAX_PARTS)),
        implicit((0x0010, 0x21C0, b"\0\0" * (MAX_PARTS + 1))),
    ):
        with pytest.raises(Undecodable, match="too "):
            decode_dataset(raw, IMPLICIT)


def test_a_deflated_bomb_is_not_inflated() -> None:
    """Inflating stops at the limit of a data set."""
    deflater = zlib.compressobj(wbits=-15)
    bomb = deflater.compress(b"\0" * (4 * MAX_BYTES)) + deflater.flush()

    with pytest.raises(Undecodable, match="too many bytes"):
        decode_dataset(bomb, DEFLATED)


@pytest.mark.parametrize("raw", [b"", b"\x00", b"no deflate", zlib.compress(b"zlib header")])
def test_deflated_bytes_need_a_beginning_and_an_end(raw: bytes) -> None:
    """What does not inflate, or stops halfway, is undecodable."""
    with pytest.raises(Undecodable):
        decode_dataset(raw, DEFLATED)


def test_other_transfer_syntaxes_are_refused() -> None:
    """JPEG is no way to write a worklist."""
    with pytest.raises(Undecodable):
        decode_dataset(b"", "1.2.840.10008.1.2.4.50")
    with pytest.raises(Unencodable):
        encode_dataset({}, "1.2.840.10008.1.2.4.50", DEFAULT)


# --- writing ---------------------------------------------------------------------------------------

WORKLIST: Document = {
    "00400100": element("SQ", {"00400002": element("DA", "20260705"), "00080060": element("CS", "CT")}, {}),
    "00100010": element("PN", {"Alphabetic": "MÜLLER^J", "Phonetic": "x"}),
    "00080005": element("CS", "ISO_IR 100"),
    "0020000D": element("UI", "1.2.3"),
    "001021C0": element("US", 4),
    "00091001": {"vr": "UN", "InlineBinary": "AQI="},
    "00321064": element("SQ"),
}


def test_writes_ascending_tags_explicit_lengths_and_even_values() -> None:
    """Every octet of an implicit little endian data set is accounted for."""
    step = implicit((8, 0x0060, b"CT"), (0x0040, 2, b"20260705"))

    assert encode_dataset(WORKLIST, IMPLICIT, LATIN_1) == implicit(
        (8, 5, b"ISO_IR 100"),
        (9, 0x1001, b"\x01\x02"),
        (0x0010, 0x0010, b"M\xdcLLER^J==x "),
        (0x0010, 0x21C0, b"\x04\x00"),
        (0x0020, 0x000D, b"1.2.3\x00"),
        (0x0032, 0x1064, b""),
        (0x0040, 0x0100, implicit((0xFFFE, 0xE000, step), (0xFFFE, 0xE000, b""))),
    )


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_reads_back_what_it_writes(syntax: str) -> None:
    """Each transfer syntax carries the same document, in an even number of bytes."""
    raw = encode_dataset(WORKLIST, syntax, LATIN_1)

    assert decode_dataset(raw, syntax) == WORKLIST
    assert len(raw) % 2 == 0


def test_the_document_is_written_as_it_is() -> None:
    """(0008,0005) is neither added nor corrected; the character set is the caller's word."""
    assert encode_dataset({"00100020": element("LO", "ü")}, IMPLICIT, UTF8) == implicit(
        (0x0010, 0x0020, b"\xc3\xbc")
    )
    assert encode_dataset({"00080005": element("CS", None, "ISO 2022 IR 87")}, IMPLICIT, UTF8) == implicit(
        (8, 5, b"\\ISO 2022 IR 87 ")
    )


@pytest.mark.parametrize(
    "bad",
    [
        element("US", "four"),
        element("US", "4"),
        element("US", 70000),
        element("US", 4.0),
        element("US", True),
        element("FD", "1.5"),
        element("DS", 1.5),
        element("LO", 5),
        element("LO", "A\\B"),
        element("LO", {"Alphabetic": "SECRET"}),
        element("LT", "SECRET", "SECRET"),
        element("PN", "SECRET^NAME"),
        element("PN", {"Alphabetic": "SECRET=NAME"}),
        element("PN", {"Alphabetic": "SECRET", "Phonetic": None}),
        element("PN", {"Alphabetic": "SECRET\\NAME"}),
        element("AT", "SECRET00"),
        element("AT", "0010"),
        element("SQ", "SECRET"),
        element("XX", "SECRET"),
        element("OB", "SECRET"),
        {"vr": "OB", "InlineBinary": "SECRET!"},
        {"vr": "OW", "InlineBinary": "AQ=="},
        {"vr": "OB", "BulkDataURI": "SECRET"},
        {"vr": "LO", "InlineBinary": "AQI="},
        {"vr": "LO", "Value": "SECRET"},
        {"Value": ["SECRET"]},
    ],
    ids=repr,
)
def test_what_a_vr_cannot_hold_is_refused_by_its_tag(bad: Element) -> None:
    """Nothing is converted in silence; the message names the tag and quotes no value."""
    document = {"00081120": element("SQ", {"00100020": bad})}

    with pytest.raises(Unencodable) as caught:
        encode_dataset(document, IMPLICIT, UTF8)

    assert str(caught.value).startswith("(0010,0020)")
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("bad", "charset"),
    [
        (element("PN", {"Alphabetic": "Łódź"}), LATIN_1),
        (element("LO", "Łódź"), DEFAULT),
        (element("AE", "MÜNCHEN"), UTF8),
    ],
)
def test_a58_text_that_does_not_fit_is_refused_by_its_tag(bad: Element, charset: CharacterSet) -> None:
    """No question mark is sent; codes are ASCII under every set (A-57)."""
    with pytest.raises(Unfit, match=r"^\(0010,0020\): text does not fit") as caught:
        encode_dataset({"00081120": element("SQ", {"00100020": bad})}, IMPLICIT, charset)

    assert "Ł" not in str(caught.value)


@pytest.mark.parametrize("tag", ["0010", "00100G20", "0010002a", "PatientID", "FFFEE000", "+0100020"])
def test_keys_that_are_no_tags_are_refused(tag: str) -> None:
    """Eight upper-case hexadecimal digits, and no item."""
    with pytest.raises(Unencodable):
        encode_dataset({tag: element("LO", "x")}, IMPLICIT, DEFAULT)


def test_a_value_too_long_for_explicit_vr_is_refused() -> None:
    """A 16-bit length is not wrapped around."""
    document = {"00100020": element("LO", "x" * 0x10000)}

    assert decode_dataset(encode_dataset(document, IMPLICIT, DEFAULT), IMPLICIT) == document
    with pytest.raises(Unencodable, match=r"\(0010,0020\): too long"):
        encode_dataset(document, EXPLICIT, DEFAULT)


def test_documents_too_deep_are_refused() -> None:
    """What could not be read back is not written."""
    document: Document = {}
    for _ in range(MAX_DEPTH):
        document = {"00081120": element("SQ", document)}
    assert decode_dataset(encode_dataset(document, IMPLICIT, DEFAULT), IMPLICIT) == document

    with pytest.raises(Unencodable, match="too deeply"):
        encode_dataset({"00081120": element("SQ", document)}, IMPLICIT, DEFAULT)


@pytest.mark.parametrize("number", ["NaN", "inf", "-inf"])
def test_floats_that_json_has_no_number_for_are_named(number: str) -> None:
    """A document can always be stored as JSON."""
    document = {"001811B7": element("FD", 1.5, number)}

    assert decode_dataset(encode_dataset(document, IMPLICIT, DEFAULT), IMPLICIT) == document


# --- the oracle ------------------------------------------------------------------------------------

TAGS = {
    "AE": ["00400001", "00080054"], "AS": ["00101010"], "AT": ["00209165", "00280009"],
    "CS": ["00080060", "00100040"], "DA": ["00100030", "00400002"], "DS": ["00101030", "00101020"],
    "DT": ["0040A120"], "FD": ["001811B7"], "FL": ["00089459"], "IS": ["00201002"],
    "LO": ["00100020", "00321060"], "LT": ["001021B0"], "OB": ["00420011"], "PN": ["00100010", "00080090"],
    "SH": ["00080050", "00401001"], "SL": ["00186020"], "SS": ["00189219"], "ST": ["00080081"],
    "TM": ["00400003"], "UC": ["00080119"], "UI": ["0020000D", "00081155"], "UL": ["00081161"], "UN": ["00091001"],
    "UR": ["00080120"], "US": ["001021C0"], "UT": ["00100218"], "SQ": ["00400100", "00081120", "00321064"],
}  # fmt: skip
CHARSETS = [parse_terms(label) for label in ("", "ISO_IR 100", "ISO_IR 192", "GB18030", "\\ISO 2022 IR 87")]
ONE = {"LT", "ST", "UT", "UR"}
CODED = {"LO", "SH", "UC", "LT", "ST", "UT", "PN"}


def texts(charset: CharacterSet, extra: str = "") -> st.SearchStrategy[str]:
    letters = [c for c in "aZ9.-*?ßé漢字ぼタ王小东乗€" + extra if charset.fits(c)]
    inner = st.text(st.sampled_from([*letters, " "]), min_size=1, max_size=12)
    return inner.map(str.strip).filter(bool)


def names(charset: CharacterSet) -> st.SearchStrategy[dict[str, str]]:
    group = texts(charset, "^").map(lambda text: text.rstrip("^ ") or "x")
    return st.lists(st.one_of(st.just(""), group), min_size=1, max_size=3).map(
        lambda groups: name_value("=".join([*groups[:-1], groups[-1] or "x"]))
    )


def values(vr: str, charset: CharacterSet, depth: int) -> st.SearchStrategy[list[Any]]:
    one: st.SearchStrategy[Any]
    match vr:
        case "SQ":
            return st.lists(documents(charset, depth - 1), max_size=2)
        case "PN":
            one = names(charset)
        case "US" | "UL":
            one = st.integers(0, 2 ** (16 if vr == "US" else 32) - 1)
        case "SS" | "SL":
            one = st.integers(-(2**15), 2**15 - 1)
        case "FL" | "FD":
            one = st.floats(allow_nan=False, allow_infinity=False, width=32 if vr == "FL" else 64)
        case "AT":
            one = st.integers(0, 2**32 - 1).map("{:08X}".format)
        case "DS" | "IS":
            one = st.integers(0, 999).map("{:04d}".format)
        case "UI":
            one = st.from_regex(r"1(\.[0-9]{1,3}){1,4}", fullmatch=True)
        case _:
            one = texts(charset if vr in CODED else DEFAULT, "\\\r\n" if vr in ("LT", "ST", "UT") else "")
    return st.lists(one, min_size=1, max_size=1 if vr in ONE else 3)


def elements(vr: str, charset: CharacterSet, depth: int) -> st.SearchStrategy[Element]:
    if vr in ("OB", "UN"):
        binary = st.binary(min_size=1, max_size=6).map(lambda raw: base64.b64encode(raw + raw).decode())
        return binary.map(lambda text: {"vr": vr, "InlineBinary": text})
    return values(vr, charset, depth).map(lambda found: element(vr, *found))


@st.composite
def documents(draw: st.DrawFn, charset: CharacterSet, depth: int = 2) -> Document:
    drawn: Document = {}
    usual = [vr for vr in TAGS if depth or vr != "SQ"]
    for vr in draw(st.lists(st.sampled_from(usual), max_size=8)):
        tag = draw(st.sampled_from(TAGS[vr]))
        drawn[tag] = draw(st.one_of(elements(vr, charset, depth), st.just({"vr": vr})))
    return drawn


@st.composite
def whole_documents(draw: st.DrawFn) -> tuple[Document, CharacterSet]:
    charset = draw(st.sampled_from(CHARSETS))
    document = draw(documents(charset))
    if charset.terms:
        document["00080005"] = element("CS", *(term or None for term in charset.terms))
    return document, charset


def to_pydicom(document: Document) -> Dataset:
    dataset = Dataset()
    for tag, one in document.items():
        found = one.get("Value", [])
        match one["vr"]:
            case "SQ":
                value: Any = [to_pydicom(item) for item in found]
            case "OB" | "UN":
                value = base64.b64decode(one.get("InlineBinary", ""))
            case "PN":
                value = [person_name(name) for name in found]
            case "AT":
                value = [int(text, 16) for text in found]
            case _:
                value = ["" if text is None else text for text in found]
        if isinstance(value, list) and one["vr"] != "SQ":
            value = value[0] if len(value) == 1 else value or None
        dataset.add_new(int(tag, 16), one["vr"], value)
    return dataset


def from_pydicom(dataset: Dataset) -> Document:
    return {f"{int(one.tag):08X}": _element_of(one) for one in dataset}


def _element_of(one: Any) -> Element:
    if one.VR == "SQ":
        return element("SQ", *(from_pydicom(item) for item in one.value))
    if one.VR in ("OB", "UN"):
        return (
            {"vr": one.VR, "InlineBinary": base64.b64encode(one.value).decode()}
            if one.value
            else {"vr": one.VR}
        )
    found = one.value if one.VM > 1 else [] if one.VM == 0 else [one.value]
    match one.VR:
        case "PN":
            return element("PN", *(name_value(str(name)) for name in found))
        case "AT":
            return element("AT", *(f"{int(tag):08X}" for tag in found))
        case "US" | "SS" | "UL" | "SL" | "FL" | "FD":
            return element(one.VR, *found)
        case _:
            return element(one.VR, *(str(text) or None for text in found))


def pydicom_writes(document: Document, syntax: str, *, undefined_lengths: bool) -> bytes:
    dataset = to_pydicom(document)
    for one in dataset.iterall() if undefined_lengths else ():
        if one.VR == "SQ":
            one.is_undefined_length = True
            for item in one.value:
                item.is_undefined_length_sequence_item = True
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = syntax == IMPLICIT
    buffer.is_little_endian = syntax != BIG_ENDIAN
    write_dataset(buffer, dataset)
    raw: bytes = buffer.getvalue()
    return zlib.compress(raw, wbits=-15) if syntax == DEFLATED else raw


def pydicom_reads(raw: bytes, syntax: str) -> Document:
    if syntax == DEFLATED:
        raw = zlib.decompress(raw, wbits=-15)
    return from_pydicom(read_dataset(io.BytesIO(raw), syntax == IMPLICIT, syntax != BIG_ENDIAN))


@pytest.mark.parametrize("syntax", SYNTAXES)
@given(drawn=whole_documents())
def test_pydicom_reads_what_we_write(syntax: str, drawn: tuple[Document, CharacterSet]) -> None:
    """A foreign reader finds the same document in our bytes."""
    document, charset = drawn

    assert pydicom_reads(encode_dataset(document, syntax, charset), syntax) == document


@pytest.mark.parametrize("syntax", SYNTAXES)
@given(drawn=whole_documents(), undefined_lengths=st.booleans())
def test_we_read_what_pydicom_writes(
    syntax: str, drawn: tuple[Document, CharacterSet], undefined_lengths: bool
) -> None:
    """We find the same document in a foreign writer's bytes, whatever lengths it prefers."""
    document, _ = drawn

    raw = pydicom_writes(document, syntax, undefined_lengths=undefined_lengths)

    assert decode_dataset(raw, syntax) == document


# --- hostile bytes ---------------------------------------------------------------------------------


def readable(raw: bytes, syntax: str) -> Document | None:
    """Decode, allowing for nothing but `Undecodable`."""
    try:
        return decode_dataset(raw, syntax)
    except Undecodable:
        return None


@pytest.mark.parametrize("syntax", SYNTAXES)
@given(raw=st.binary(max_size=300))
def test_random_bytes_are_read_or_undecodable(syntax: str, raw: bytes) -> None:
    """Noise never raises anything else, and what is read of it is JSON."""
    document = readable(raw, syntax)

    assert document is None or all(set(one) <= {"vr", "Value", "InlineBinary"} for one in document.values())


@pytest.mark.parametrize("syntax", SYNTAXES)
@given(drawn=whole_documents(), data=st.data())
def test_damaged_data_sets_are_read_or_undecodable(
    syntax: str, drawn: tuple[Document, CharacterSet], data: st.DataObject
) -> None:
    """A data set cut short, or with some bytes changed, never raises anything else."""
    raw = bytearray(encode_dataset(drawn[0], syntax, drawn[1]))
    for _ in range(data.draw(st.integers(0, 4))):
        if raw:
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(
                st.sampled_from([0, 0xFF, 0xFE, 0x5C, 0x1B])
            )
    cut = bytes(raw[: data.draw(st.integers(0, len(raw)))])

    document = readable(cut, syntax)

    assert document is None or isinstance(document, dict)


@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"]
)
def test_p32_delimiters_and_group_lengths_say_what_lengths_say(syntax):
    """Undefined lengths and group lengths, at every depth, are read as the same data set, here and by pydicom."""
    inner = {
        "00080100": {"vr": "SH", "Value": ["C1"]},
        "00400440": {"vr": "SQ", "Value": [{"0040A160": {"vr": "UT", "Value": ["x"]}}]},
    }
    document = {
        "00080060": {"vr": "CS", "Value": ["CT"]},
        "00100020": {"vr": "LO", "Value": ["P1"]},
        "00400100": {"vr": "SQ", "Value": [{"00400008": {"vr": "SQ", "Value": [inner, inner]}}, {}]},
        "00401400": {"vr": "LT"},
        "00321064": {"vr": "SQ"},
    }

    plain = encode_dataset(document, syntax, UTF8)
    delimited = encode_dataset(document, syntax, UTF8, Framing(undefined=True))
    grouped = encode_dataset(document, syntax, UTF8, Framing(undefined=True, group_lengths=True))

    assert decode_dataset(delimited, syntax) == decode_dataset(plain, syntax)
    assert decode_dataset(grouped, syntax) == decode_dataset(plain, syntax)  # read, and of no meaning
    assert len({plain, delimited, grouped}) == 3
    if syntax != "1.2.840.10008.1.2.1.99":
        implicit, little = syntax == "1.2.840.10008.1.2", syntax != "1.2.840.10008.1.2.2"
        found = read_dataset(DicomBytesIO(grouped), implicit, little)
        assert [(found[tag].VR, found[tag].value) for tag in (0x00080000, 0x00100000)] == [("UL", 10)] * 2
