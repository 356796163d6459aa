"""Names in the world's scripts, and the character sets they are sent in: which holds which.

Others read what the broker wrote, so that a wrong table of ours cannot agree with itself: DCMTK
(``dcmdump +U8``, on the C library's tables); pydicom, for the Japanese sets, which the C library lacks;
and Python's codec for ISO_IR 203, which neither knows.
"""

from __future__ import annotations

import subprocess
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import dcmread

from acceptance.find_orders import Step
from foreign.dicom.answer import raw
from foreign.dicom.clients import Findscu
from foreign.dicom.device import EXPLICIT, connected
from foreign.dicom.identifier import WORKLIST, as_file, encoded, identifier
from foreign.dicom.presence import program

NAMES = {
    "ASCII": "Smith^John",
    "Western Latin": "Müller^Jérôme",
    "French with œ": "Lefœuvre^Zoë",
    "Central European": "Čapek^Jiří",
    "Maltese": "Żammit^Ġorġ",
    "Baltic": "Bērziņš^Jānis",
    "Turkish": "Gülşen^İpek",
    "Vietnamese": "Nguyễn^Văn",
    "Cyrillic": "Иванов^Иван",
    "Greek": "Παπαδόπουλος^Γιώργος",
    "Arabic": "محمد^علي",
    "Hebrew": "כהן^דוד",
    "Thai": "สมชาย^ใจดี",
    "half-width kana": "ﾔﾏﾀﾞ^ﾀﾛｳ",
    "Japanese": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "Japanese, JIS X 0212": "Mori^Ougai=森^鷗外=もり^おうがい",
    "Japanese, vendor's kanji": "Takahashi^Ichirou=髙橋^一郎=たかはし^いちろう",
    "Japanese, kanji alone": "=山田^太郎々",
    "Korean": "Hong^Gildong=洪^吉洞=홍^길동",
    "Korean, hangul alone": "김^철수",
    "Chinese, simplified": "Wang^XiaoDong=王^小东",
    "Chinese, traditional": "Wang^XiaoDong=王^小東",
    "Chinese, ideographs alone": "单^小明",
    "Chinese, beyond GBK": "Ji^Xiang=𠮷^祥",
}
"""By script; a name that begins with ``=`` has no alphabetic group."""

TERMS = (
    "ISO_IR 6", "ISO_IR 100", "ISO_IR 101", "ISO_IR 109", "ISO_IR 110", "ISO_IR 148", "ISO_IR 203",
    "ISO_IR 144", "ISO_IR 126", "ISO_IR 127", "ISO_IR 138", "ISO_IR 166", "ISO_IR 13",
    "\\ISO 2022 IR 87", "ISO 2022 IR 13\\ISO 2022 IR 87", "\\ISO 2022 IR 87\\ISO 2022 IR 159",
    "\\ISO 2022 IR 149", "\\ISO 2022 IR 58", "GB18030", "GBK", "ISO_IR 192",
)  # fmt: skip

_CODECS = {
    "6": ("ascii",), "13": ("ascii", "half-width"), "58": ("ascii", "gb2312"), "87": ("ascii", "iso2022_jp"),
    "100": ("iso8859_1",), "101": ("iso8859_2",), "109": ("iso8859_3",), "110": ("iso8859_4",),
    "126": ("iso8859_7",), "127": ("iso8859_6",), "138": ("iso8859_8",), "144": ("iso8859_5",),
    "148": ("iso8859_9",), "149": ("ascii", "euc_kr"), "159": ("iso2022_jp_1",), "166": ("tis_620",),
    "192": ("utf_8",), "203": ("iso8859_15",), "GB18030": ("gb18030",), "GBK": ("gbk",),
}  # fmt: skip
"""Python's codecs of what each term adds."""

RIGHT = "right"
FEWER = "fewer"  # the alphabetic group is right, others are left out
EQUAL = "equal"  # equal characters: full-width for half-width kana, 高 for 髙
TRANSLITERATED = "transliterated"
REFUSED = "refused"  # there is no reading: the item is left out and reported


def _step(number: int) -> str:
    return f"Z{number:02}"


def _script(step: str) -> str:
    return list(NAMES)[int(step[1:])]


def held(term: str) -> set[str]:
    """Return the scripts whose names *term* holds, by Python's own tables."""
    codecs = [codec for part in term.split("\\") if part for codec in _CODECS[part.split()[-1]]]
    return {script for script, name in NAMES.items() if all(_holds(char, codecs) for char in name)}


def _holds(char: str, codecs: Sequence[str]) -> bool:
    for codec in codecs:
        if codec == "half-width":
            if "\uff61" <= char <= "\uff9f":
                return True
            continue
        try:
            char.encode(codec)
        except UnicodeEncodeError:
            continue
        return True
    return False


def steps() -> list[Step]:
    """Return a step for every name, in order."""
    return [Step(_step(number), name=name) for number, name in enumerate(NAMES.values())]


def title(term: str, profile: str = "letters") -> str:
    """Return the AE title that is answered in *term*."""
    return f"{'L' if profile == 'letters' else 'N'}{TERMS.index(term)}"


def devices() -> Mapping[str, Any]:
    """Return two devices for every term: one that wants something for every name, one that does not."""
    return {
        title(term, profile): {"profile": profile, "vars": {"label": term}}
        for profile in ("letters", "letters-or-nothing")
        for term in TERMS
    }


@dataclass(frozen=True)
class Sent:
    """What a device got for one name: the bytes, what DCMTK reads in them, and what became of the name."""

    octets: bytes
    text: str
    outcome: str


def sent(address: tuple[str, int], term: str) -> dict[str, Sent]:
    """Return what became of every name for a device of *term*."""
    (answer,) = Findscu().find(address, [identifier("step", "PatientName")], calling=title(term))
    (strict,) = Findscu().find(
        address, [identifier("step", "PatientName")], calling=title(term, "letters-or-nothing")
    )
    octets = dict(zip(answer.steps, (raw(file, "PatientName") for file in answer.files), strict=True))
    if term == "ISO_IR 203":
        texts = {step: value.decode("iso8859_15") for step, value in octets.items()}
    elif "IR 87" in term:
        texts = dict(zip(answer.steps, (str(item.PatientName) for item in answer), strict=True))
    else:
        texts = dict(zip(answer.steps, _read(answer.files), strict=True))
    found = {}
    for number, (script, name) in enumerate(NAMES.items()):
        step = _step(number)
        text = texts.get(step, "")
        outcome = _outcome(name, text, as_it_is=step in strict.steps)
        found[script] = Sent(octets.get(step, b""), text, outcome)
    return found


def _outcome(name: str, text: str, *, as_it_is: bool) -> str:
    """Say what became of *name*; *as_it_is* tells whether a device that wants no other letters got it."""
    if not as_it_is:
        return TRANSLITERATED if text else REFUSED
    if text == name:
        return RIGHT
    groups = zip(text.split("="), name.split("="), strict=False)
    return FEWER if all(not group or group == whole for group, whole in groups) else EQUAL


def _read(files: Sequence[bytes]) -> list[str]:
    """Return the patient's name in each file, as DCMTK reads it."""
    with tempfile.TemporaryDirectory() as name:
        paths = []
        for number, octets in enumerate(files):
            paths.append(Path(name) / f"{number:03}.dcm")
            paths[-1].write_bytes(octets)
        command = [program("dcmdump", "Debian: dcmtk"), "-q", "+U8", "+P", "PatientName", "+L", *paths]
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    lines = done.stdout.decode("utf-8").splitlines()
    return [line.partition("[")[2].rpartition("]")[0].rstrip() for line in lines if "(0010,0010)" in line]


def asked_back(address: tuple[str, int], term: str, names: Mapping[str, Sent]) -> dict[str, set[str]]:
    """Query for each name in the bytes it was sent in, under the label of *term*; return what is found.

    From a plain socket: a library would encode the names anew.
    """
    label = "" if term == "ISO_IR 6" else term
    found: dict[str, set[str]] = {}
    with connected(address) as device:
        device.associate((WORKLIST, (EXPLICIT,)), calling=title(term))
        for script, name in names.items():
            keys = {**identifier("step"), "SpecificCharacterSet": label, "PatientName": name.octets}
            device.find(encoded(keys))
            *pending, _ = device.answer()
            found[script] = {_script(_step_in(message.data)) for message in pending}
    return found


def _step_in(data: bytes) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom does not know every character set
        item = dcmread(BytesIO(as_file(data)))
    return str(item.ScheduledProcedureStepSequence[0].ScheduledProcedureStepID)
