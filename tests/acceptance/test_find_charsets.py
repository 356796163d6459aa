"""Vectors F-X: names and texts in every script, as bytes on the wire, asked for and answered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from acceptance.find_orders import Step, load, load_f0
from foreign.dicom.answer import SUCCESS, Answer, raw
from foreign.dicom.clients import Findscu
from foreign.dicom.identifier import Identifier, identifier

MAPPINGS = Path(__file__).parent / "mappings"
NAME, DESCRIPTION, COMMENTS = "PatientName", "RequestedProcedureDescription", "RequestedProcedureComments"
IR58, IR87, IR149 = "\\ISO 2022 IR 58", "\\ISO 2022 IR 87", "\\ISO 2022 IR 149"
IR13_87 = "ISO 2022 IR 13\\ISO 2022 IR 87"


@dataclass(frozen=True)
class Response:
    """What a device with a fixed character set gets; *octets* is hexadecimal, or ASCII in quotes."""

    id: str
    label: str
    keyword: str
    text: str
    """What the order says; a step of F.0 by its ID."""
    octets: str
    why: str = ""

    @property
    def raw(self) -> bytes:
        return self.octets[1:-1].encode() if self.octets.startswith("'") else bytes.fromhex(self.octets)


RESPONSES = (
    Response("F-X01", "GB18030", NAME, "S6",
             "57616E675E5869616F446F6E67 3D CDF5 5E D0A1B6AB"),
    Response("F-X02", "GBK", NAME, "S6",
             "57616E675E5869616F446F6E67 3D CDF5 5E D0A1B6AB"),
    Response("F-X03", "ISO_IR 192", NAME, "Wang^XiaoDong=王^小東",
             "57616E675E5869616F446F6E67 3D E78E8B 5E E5B08FE69DB1"),
    Response("F-X04", IR58, NAME, "Zhang^XiaoDong=张^小东",
             "5A68616E675E5869616F446F6E67 3D 1B242941 D5C5 5E 1B242941 D0A1B6AB"),
    Response("F-X06", IR87, NAME, "S7",
             "59616D6164615E5461726F75 3D 1B2442 3B334544 1B2842 5E 1B2442 42404F3A 1B2842"
             "3D 1B2442 2464245E2440 1B2842 5E 1B2442 243F246D2426 1B2842"),
    Response("F-X07", IR13_87, NAME, "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
             "D4CFC0DE 5E C0DBB3 3D 1B2442 3B334544 1B284A 5E 1B2442 42404F3A 1B284A"
             "3D 1B2442 2464245E2440 1B284A 5E 1B2442 243F246D2426 1B284A"),
    Response("F-X08", IR149, NAME, "S8",
             "486F6E675E47696C646F6E67 3D 1B242943 FBF3 5E 1B242943 D1CED4D7"
             "3D 1B242943 C8AB 5E 1B242943 B1E6B5BF"),
    Response("F-X09", IR149, DESCRIPTION, "흉부 CT", "1B242943 C8E4BACE 20 4354"),
    Response("F-X10", IR87, DESCRIPTION, "胸部CT", "1B2442 363B4974 1B2842 4354"),
    Response("F-X11", "ISO_IR 144", NAME, "S9", "B8D2D0DDDED2 5E B8D2D0DD"),
    Response("F-X12", "ISO_IR 126", NAME, "Παπαδόπουλος^Γιώργος",
             "D0E1F0E1E4FCF0EFF5EBEFF2 5E C3E9FEF1E3EFF2"),
    Response("F-X13", "ISO_IR 100", NAME, "Buc^Jérôme", "4275635E4AE972F46D65"),
    Response("F-X14", "ISO_IR 101", NAME, "Čapek^Jiří", "C8617065 6B 5E 4A69F8ED"),
    Response("F-X15 fixed", "ISO_IR 100", NAME, "Łódź^Ewa", "'Lodz^Ewa'",
             why="A-51: the device takes Latin-1 alone, and a word is read whole, though ó would fit"),
    Response("F-X15 choice", "ISO_IR 100 or 192", NAME, "Łódź^Ewa", "C581C3B364C5BA 5E 457761",
             why="A-51: a device that takes UTF-8 as well gets the name as it is"),
    Response("F-X16", IR87, NAME, "Takahashi^Ichiro=髙橋^一郎",
             "54616B616861736869 5E 49636869726F 3D 1B2442 39623636 1B2842 5E 1B2442 306C4F3A 1B2842",
             why="髙 is not in JIS X 0208: its equal 高 is"),
    Response("F-X24", "ISO_IR 203", DESCRIPTION, "5 € CT", "35 20 A4 20 4354"),
    Response("F-X26", IR87, COMMENTS, "胸部\\.br\\腹部", "1B2442 363B4974 1B2842 0D0A 1B2442 4A224974 1B2842"),
    # What the product adds: names for a device that has Latin letters alone.
    Response("F40 pinyin", "ISO_IR 100", NAME, "王^小明", "'WANG^XIAOMING'"),
    Response("F40 surname", "ISO_IR 100", NAME, "单^于", "'SHAN^YU'", why="as a surname 单 is Shan, not Dan"),
    Response("F40 two characters", "ISO_IR 100", NAME, "欧阳^修", "'OUYANG^XIU'"),
    Response("F41", "ISO_IR 100", NAME, "MÜLLER^Jürgen", "4DDC4C4C45525E4AFC7267656E"),
    Response("F44", IR87, NAME, "Yamada=山田=ﾔﾏﾀﾞ",
             "59616D616461 3D 1B2442 3B334544 1B2842 3D 1B2442 2564255E2540 1B2842",
             why="half-width kana become full-width where JIS X 0201 is not at hand"),
    Response("reading of a Japanese name", "ISO_IR 100", NAME, "=山田^太郎=やまだ^たろう", "'YAMADA^TAROU'",
             why="its own phonetic group is read, never the ideographs as Chinese"),
)  # fmt: skip

STEPS = {vector.id: f"X{number:02}" for number, vector in enumerate(RESPONSES)}
LABELS = list(dict.fromkeys(vector.label for vector in RESPONSES))
TITLES = {label: f"LETTERS{number}" for number, label in enumerate(LABELS)}


def devices() -> dict[str, Any]:
    """Return a device for every label, and one of the generic profile."""
    found: dict[str, Any] = {"*": {"profile": "generic"}}
    for label, title in TITLES.items():
        found[title] = {"profile": "letters", "vars": {"label": label}}
    found[TITLES["ISO_IR 100 or 192"]] = {"profile": "latin-or-unicode"}
    return found


@pytest.fixture(scope="module")
def broker(serving: Any, fixtures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A broker with F.0 and a step for every vector, years apart from F.0."""
    folder = tmp_path_factory.mktemp("charsets")
    with serving(folder, devices=devices(), mappings=str(MAPPINGS)) as running:
        load_f0(running, fixtures)
        for vector in RESPONSES:
            said = {NAME: "name", DESCRIPTION: "description", COMMENTS: "comments"}[vector.keyword]
            if vector.text not in ("S6", "S7", "S8", "S9"):
                load(running, Step(STEPS[vector.id], start="20300101080000", **{said: vector.text}))
        load(running, Step("ID", start="20260720080000", patient_id="乗X", name="ROE^ID"))
        load(running, Step("ZHANG", start="20260720080000", name="Zhang^XiaoDong=张^小东"))
        yield running


def ask(broker: Any, keys: Identifier, *, calling: str = "WS") -> Answer:
    """Query with findscu."""
    return Findscu().find(broker.addresses["dicom"], [keys], calling=calling)[0]


@pytest.mark.parametrize("vector", RESPONSES, ids=lambda vector: vector.id)
def test_a_device_is_answered_in_its_letters(broker: Any, vector: Response) -> None:
    """Exactly these bytes, under the label of the set they are in; never a question mark."""
    step = vector.text if vector.text in ("S6", "S7", "S8", "S9") else STEPS[vector.id]
    answer = ask(broker, identifier(f"step={step}", vector.keyword), calling=TITLES[vector.label])

    (file,) = answer.files
    declared = raw(file, "SpecificCharacterSet").decode()
    assert raw(file, vector.keyword) == vector.raw
    assert declared == ("ISO_IR 192" if vector.label == "ISO_IR 100 or 192" else vector.label)
    assert answer.final == SUCCESS


def test_f_x25_plain_ascii_is_labelled_too(broker: Any) -> None:
    """A-51: a device that may get ideographs is told their set in every response."""
    answer = ask(broker, identifier("PatientName=DOE*", "step", "date=-20261231"), calling=TITLES["GB18030"])

    assert answer.steps == ["S1", "S2", "S3", "S4"]
    assert {raw(file, "SpecificCharacterSet") for file in answer.files} == {b"GB18030"}


@dataclass(frozen=True)
class Request:
    """A key in bytes, under a label (None: no label at all), and the steps it finds."""

    id: str
    label: str | None
    key: str
    value: bytes
    steps: str
    why: str = ""


IR58_NAME = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab"
KANJI = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B*"
KOREAN = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7*"
REQUESTS = (
    Request("F-X05", IR58, NAME, IR58_NAME, "ZHANG"),
    Request("F-X17", "GBK", "PatientID", b"\x81\x5cX", "ID", why="A-54: 5C is a trail byte, not a delimiter"),
    Request("F-X18", None, NAME, b"M\xfcLLER*", "", why="A-50: an undeclared character matches nothing; DOE is found"),
    Request("F-X19", "ISO_IR 999", NAME, b"DOE*", "S1 S2 S3 S4", why="A-50: the ASCII part is processed"),
    Request("F-X19 bytes", "ISO_IR 999", NAME, b"\xc4DOE*", ""),
    Request("F-X20", "", NAME, b"DOE*", "S1 S2 S3 S4"),
    Request("F-X21", "ISO_IR 192", NAME, b"M?LLER*", "S5"),
    Request("F-X22", "ISO_IR 100", NAME, b"M\xdcLLER*", "S5"),
    Request("F-X23", "ISO_IR 192", NAME, "MU\u0308LLER*".encode(), "S5"),
    Request("kanji", IR87, NAME, KANJI, "S7"),
    Request("hangul", IR149, NAME, KOREAN, "S8"),
    Request("Cyrillic", "ISO_IR 144", NAME, bytes.fromhex("B8D2D0DDDED2") + b"*", "S9"),
    Request("F45 UTF-8 with a blank", "ISO IR 192", NAME, "王*".encode(), "S6"),
    Request("F45 two labels", "GB18030\\ISO IR 192", NAME, "王*".encode("gb18030"), "S6"),
    Request("F45 a vendor's label", "ISO-2022-GBK", NAME, "王*".encode("gbk"), "S6"),
    Request("F45 Korean alone", "ISO_IR 149", NAME, b"Hong^Gildong=\x1b$)C\xfb\xf3*", "S8"),
)  # fmt: skip


@pytest.mark.parametrize("vector", REQUESTS, ids=lambda vector: vector.id)
def test_a_key_is_read_in_its_letters(broker: Any, vector: Request) -> None:
    """Every query is answered, whatever its label; what it names is found, what it cannot name is not."""
    query: dict[str, Any] = {**identifier("step", "date=20260701-20260731"), vector.key: vector.value}
    if vector.label is not None:
        query["SpecificCharacterSet"] = vector.label
    answer = ask(broker, query)

    assert answer.steps == vector.steps.split()
    assert answer.final == SUCCESS
