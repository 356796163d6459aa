"""P4 `charset_label`: a data set that says it is in one character set and is in another (F43).

A foreign console in Japan writes Shift-JIS, or JIS with its escape sequences, under the label of Latin-1;
a Chinese one writes GB18030 under none.  Bytes of one set can look like those of another, so this is for
devices that are known for it; and whatever does not look so is read as its label says.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from mwl.mapping.devices.operations.when import CharsetLabel
from mwl.mapping.text.charset import SHIFT_JIS, CharacterSet, UnknownCharacterSet, parse_terms

_JIS = re.compile(rb"\x1b\$[@B]|\x1b\$\(D|\x1b\)I")
_SHIFT_JIS = re.compile(rb"[\x81-\x9f\xe0-\xfc][\x40-\x7e\x80-\xfc]|[\xa1-\xdf]{2}")
_GB = re.compile(rb"[\x81-\xfe][\x40-\x7e\x80-\xfe]")
_NOT_ISO_8859 = re.compile(rb"[\x80-\x9f]")
_SINGLE_BYTE = re.compile(r"ISO_IR (6|13|100|101|109|110|126|127|138|144|148|166)")

Looks: TypeAlias = Literal["sjis_or_jis", "gb18030", "utf_8"]


class CharsetForm(BaseModel):
    """When a label is not believed, and what is read in its place."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    when_bytes_look: Looks
    """What the text looks like, byte by byte."""
    as_label: CharsetLabel | None = None
    """The label it stands under; absent: none at all."""
    decode: CharsetLabel | None = None
    """The character set it is read in; absent: the one it looks like."""


@dataclass(frozen=True, slots=True)
class Relabelling:
    """A `CharsetForm` at work."""

    form: CharsetForm
    origin: str  # file:line

    def charset(self, stated: str, text: bytes) -> CharacterSet | None:
        """Return in which set *text* is, which stands under the label *stated*; None: as the label says."""
        if not self._doubts(stated) or not _LOOKS[self.form.when_bytes_look](text):
            return None
        if self.form.when_bytes_look == "sjis_or_jis" and not _JIS.search(text):
            return SHIFT_JIS  # under no label of DICOM's: `decode` says how its escape sequences are read
        return parse_terms(self.form.decode or _USUALLY[self.form.when_bytes_look])

    def _doubts(self, stated: str) -> bool:
        if not stated or self.form.as_label is None:
            return not stated and not self.form.as_label
        try:
            return parse_terms(stated).terms == parse_terms(self.form.as_label).terms
        except UnknownCharacterSet:
            return False


def suspected(stated: str, text: bytes) -> Looks | None:
    """Return what *text* looks like where the label *stated* cannot be right; None where it may be.

    A guess for a person to judge: ISO 8859 has no letter from 80 to 9F, and no label at all means ASCII.
    """
    if _JIS.search(text):
        return None if "ISO 2022" in stated else "sjis_or_jis"
    unlabelled = stated in ("", "ISO_IR 6")
    beyond_8859 = bool(_NOT_ISO_8859.search(text))
    if text.isascii() or not (unlabelled or (beyond_8859 and _SINGLE_BYTE.fullmatch(stated))):
        return None
    # Kanji in Shift-JIS begin at 81 to 9F, Chinese signs in common use above A1.
    likely: tuple[Looks, ...] = ("sjis_or_jis", "gb18030") if beyond_8859 else ("gb18030", "sjis_or_jis")
    return next((looks for looks in ("utf_8", *likely) if _LOOKS[looks](text)), None)


def _is_japanese(text: bytes) -> bool:
    return bool(_JIS.search(text)) or (bool(_SHIFT_JIS.search(text)) and _reads(text, "cp932"))


def _is_chinese(text: bytes) -> bool:
    return bool(_GB.search(text)) and _reads(text, "gb18030") and not _is_utf_8(text)


def _is_utf_8(text: bytes) -> bool:
    return not text.isascii() and _reads(text, "utf_8")


def _reads(text: bytes, codec: str) -> bool:
    try:
        text.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


_LOOKS: dict[Looks, Callable[[bytes], bool]] = {
    "sjis_or_jis": _is_japanese, "gb18030": _is_chinese, "utf_8": _is_utf_8,
}  # fmt: skip
_USUALLY: dict[Looks, str] = {
    "sjis_or_jis": "\\ISO 2022 IR 87", "gb18030": "GB18030", "utf_8": "ISO_IR 192",
}  # fmt: skip
