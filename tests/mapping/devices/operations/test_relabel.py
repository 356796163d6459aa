"""P4 `charset_label`: text that is not in the character set it states (F43)."""

from __future__ import annotations

import pytest

from mwl.dicom.answering import Question, read
from mwl.dicom.encoding import encode_dataset
from mwl.mapping.devices.operations.relabel import suspected
from mwl.mapping.text.charset import DEFAULT, CharacterSet
from mwl.mapping.trace import Recorder
from mwl.model import text

ILE = "1.2.840.10008.1.2"
JAPAN = "accept: {charset_label: {when_bytes_look: sjis_or_jis, as_label: ISO_IR 100, decode: '\\ISO 2022 IR 87'}}"
CHINA = "accept: {charset_label: {when_bytes_look: gb18030}}"
LATIN = "accept: {charset_label: {when_bytes_look: utf_8, as_label: ISO_IR 100}}"


class Raw:
    """Writes text in a codec of Python's, whatever a label says."""

    def __init__(self, codec: str) -> None:
        self.codec = codec

    def encode(self, value: str, *, name: bool) -> bytes:
        return value.encode(self.codec)

    def decode(self, raw: bytes, *, name: bool) -> str:
        return raw.decode(self.codec)

    def split(self, raw: bytes) -> list[bytes]:
        return [raw]


@pytest.fixture
def understood(bind, doc, facts):
    """The patient's name that is read of an identifier, and what was noted."""

    def ask(lines: str, label: str, name: str, codec: str, trace: Recorder | None = None) -> str:
        keys = doc({"SpecificCharacterSet": label, "PatientName": name})
        raw = encode_dataset(keys, ILE, CharacterSet((), Raw(codec)))
        asked = read(Question(raw, ILE), bind(lines), facts, facts.now.tzinfo, trace)
        return text(asked.keys, "00100010")

    return ask


@pytest.mark.parametrize("codec", ["cp932", "iso2022_jp"])
def test_f43_japanese_under_the_label_of_latin_is_japanese(understood, codec):
    """Shift-JIS as well as JIS; the second byte of 表 is a backslash and splits nothing."""
    name = "ヤマダ^タロウ=山田^太郎表"

    assert understood(JAPAN, "ISO_IR 100", name, codec) == name


def test_without_the_line_the_label_counts(understood):
    """Bytes of one set can look like those of another."""
    assert "山" not in understood("", "ISO_IR 100", "山田", "cp932")


def test_f43_latin_under_its_own_label_is_latin(understood):
    """What does not look so is read as the label says."""
    assert understood(JAPAN, "ISO_IR 100", "MÜLLER^JÜRGEN", "latin_1") == "MÜLLER^JÜRGEN"
    assert understood(JAPAN, "ISO_IR 100", "DOE^JANE", "ascii") == "DOE^JANE"


def test_f43_another_label_is_believed(understood):
    """The line names one label."""
    assert understood(JAPAN, "ISO_IR 192", "山田", "utf_8") == "山田"
    assert understood(JAPAN, "ISO_IR 101", "山田", "cp932") != "山田"


def test_chinese_without_a_label_is_chinese(understood):
    """12.2: absent or empty."""
    assert understood(CHINA, "", "王^小明", "gb18030") == "王^小明"
    assert understood(CHINA, "", "王^小明", "utf_8") != "王^小明"
    assert understood("", "", "王^小明", "gb18030") != "王^小明"


def test_utf_8_under_the_label_of_latin_is_utf_8(understood):
    """The most common lie of all."""
    assert understood(LATIN, "ISO_IR 100", "MÜLLER", "utf_8") == "MÜLLER"
    assert understood(LATIN, "ISO_IR 100", "MÜLLER", "latin_1") == "MÜLLER"


def test_r6_what_was_not_believed_is_noted(understood):
    """With the line of the profile, and without the name."""
    trace = Recorder()

    understood(JAPAN, "ISO_IR 100", "山田", "cp932", trace)

    (note,) = (note for note in trace.notes if note.path == "SpecificCharacterSet")
    assert (note.stage, note.operation) == ("accept", "accept")
    assert note.origin.rpartition("/")[2] == "site.yaml:4"
    assert "山" not in note.text


def test_a_label_nobody_knows_is_refused(problems):
    """At its line."""
    lines = (
        "profile: site\nstatus: evidence\naccept: {charset_label: {when_bytes_look: utf_8, as_label: X}}\n"
    )
    (found,) = problems(site=lines)

    assert "there is no character set 'X'" in found


@pytest.mark.parametrize("raw", [b"", b"\x81", b"\xff\xfe\xfd", b"\x1b$B\x1b"])
def test_no_bytes_are_too_much(bind, raw):
    """Whatever comes, a set is found or the label counts."""
    for lines in (JAPAN, CHINA, LATIN):
        relabelling = bind(lines).relabelling
        for label in ("", "ISO_IR 100", "what?"):
            found = relabelling.charset(label, raw) or DEFAULT
            assert isinstance(found.decode(raw), str)


@pytest.mark.parametrize(
    ("label", "text", "expected"),
    [
        ("ISO_IR 100", "山田".encode("cp932"), "sjis_or_jis"),
        ("ISO_IR 100", "山田".encode("iso2022_jp"), "sjis_or_jis"),
        ("", "王小明".encode("gb18030"), "gb18030"),
        ("", "MÜLLER".encode(), "utf_8"),
        ("ISO_IR 6", "山田".encode("cp932"), "sjis_or_jis"),
        ("ISO_IR 100", "Jérôme MÜLLER".encode("latin-1"), None),
        ("ISO_IR 144", "Иванов".encode("iso8859_5"), None),
        ("ISO_IR 192", "山田".encode(), None),
        ("GB18030", "王小明".encode("gb18030"), None),
        ("\\ISO 2022 IR 87", "山田".encode("iso2022_jp"), None),
        ("", b"DOE^JANE", None),
        ("ISO_IR 100", b"\x80\xff", None),
    ],
)
def test_f43_a_label_is_suspected_where_it_cannot_be_right(label, text, expected):
    """ISO 8859 has no letter from 80 to 9F, and no label means ASCII; what may be right is left alone."""
    assert suspected(label, text) == expected
