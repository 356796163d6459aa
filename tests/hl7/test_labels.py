"""What MSH-18 says."""

from __future__ import annotations

import pytest

from mwl.hl7.labels import _CODECS, JAPANESE, UNLABELLED, codec_of, labelled


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("", UNLABELLED), ("ASCII", UNLABELLED), ("8859/1", "iso8859_1"), ("8859/15", "iso8859_15"),
        ("iso-8859-15", "iso8859_15"), ("ISO_IR 100", "iso8859_1"), ("UNICODE UTF-8", "utf-8"), ("utf8", "utf-8"),
        ("windows-1252", "cp1252"), ("ISO IR87", JAPANESE), ("GB 18030-2000", "gb18030"), ("KS X 1001", "cp949"),
        ("BIG-5", "cp950"), ("8859/12", None), ("CNS 11643-1992", None), ("rot13", None),
    ],
)  # fmt: skip
def test_a_label_is_read_without_case_and_punctuation(label: str, codec: str | None):
    """Table 0211, DICOM's names, and what is seen beside them; nothing else names a codec."""
    assert codec_of(label) == codec


def test_an_alias_maps_to_a_label_and_never_to_a_codec():
    """A profile cannot name what the table does not hold."""
    assert codec_of("LATIN", {"latin": "8859/1"}) == "iso8859_1"
    assert codec_of("LATIN", {"latin": "rot13"}) is None


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (b"8859/1", ("8859/1", ("iso8859_1",))),
        (b"UNICODE UTF-8~8859/1^x", ("UNICODE UTF-8~8859/1", ("utf-8", "iso8859_1"))),
        (b"~ISO IR87", ("~ISO IR87", (UNLABELLED, JAPANESE))),
        (b"8859/1~KLINGON~8859/1~8859/2", ("8859/1~KLINGON~8859/1~8859/2", ("iso8859_1", "iso8859_2"))),
        (b"KLINGON~8859/1", ("KLINGON~8859/1", None)),
        (b"", ("", (UNLABELLED,))),
    ],
)
def test_repetitions_are_read_in_their_order(field: bytes, expected: tuple[str, tuple[str, ...] | None]):
    """The first must be known, the others may be (D-41)."""
    header = b"MSH|^~\\&|RIS|HOSP|MWL|HOSP|2026||ORM^O01|1|P|2.3||||||" + field

    assert labelled(header + b"\rPID|1", None) == expected


def test_every_codec_of_the_table_exists():
    """No label leads to a codec that Python lacks."""
    assert [codec for codec in set(_CODECS.values()) if "A".encode(codec).decode(codec) != "A"] == []
    assert codec_of("8859/12") is None
