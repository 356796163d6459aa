"""MSH-18: what the labels of character sets mean, as HL7 lists them and as systems write them (D.4).

The label is looked for in the bytes of MSH, before anything is decoded.  Python's codecs stand for
the sets; only those of the table here can be named, whatever a peer writes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeAlias

UNICODE: Final = "utf-8"
JAPANESE: Final = "iso2022_jp_ext"  # ASCII, JIS X 0201, 0208 and 0212 by escape sequences
UNLABELLED: Final = "ascii"

_LATIN = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "13", "14", "15", "16")
_ISO_IR = {100: 1, 101: 2, 109: 3, 110: 4, 144: 5, 127: 6, 126: 7, 138: 8, 148: 9, 203: 15}
_MOST_LABELS = 5  # repetitions of MSH-18 that are looked at

Label: TypeAlias = tuple[str, tuple[str, ...] | None]
"""MSH-18 as written, and the codecs of its repetitions; None where the first is not known."""

# Table 0211 and the labels seen beside it (D.4), without case and punctuation.
_CODECS: dict[str, str] = {
    **dict.fromkeys(("", "ASCII", "USASCII", "ISOIR6", "ISO2022IR6"), UNLABELLED),
    **{f"{prefix}8859{part}": f"iso8859_{part}" for part in _LATIN for prefix in ("", "ISO")},
    **{f"ISO{kind}{ir}": f"iso8859_{part}" for ir, part in _ISO_IR.items() for kind in ("IR", "2022IR")},
    "LATIN1": "iso8859_1",
    # Bytes alone tell UTF-16 apart; a label that could be read as ASCII does not stand in UTF-16 (D-04).
    **dict.fromkeys(("UNICODE", "UNICODEUTF8", "UTF8", "ISOIR192"), UNICODE),
    **dict.fromkeys(("UNICODEUTF16", "UTF16", "UNICODEUTF32", "UTF32"), UNICODE),
    **{f"{prefix}125{n}": f"cp125{n}" for n in range(9) for prefix in ("CP", "WINDOWS", "WIN")},
    **dict.fromkeys(("ISOIR14", "ISOIR13", "ISO2022IR13"), "cp932"),
    **dict.fromkeys(("SHIFTJIS", "SJIS", "CP932", "WINDOWS31J"), "cp932"),
    **dict.fromkeys(("ISOIR87", "ISO2022IR87", "ISOIR159", "ISO2022IR159"), JAPANESE),
    **dict.fromkeys(("JAS2020", "JISX0202", "JISX0208", "ISO2022JP"), JAPANESE),
    "EUCJP": "euc_jp",
    **dict.fromkeys(("GB180302000", "GB18030", "GBK", "GB2312", "CP936"), "gb18030"),
    **dict.fromkeys(("KSX1001", "KSC5601", "EUCKR", "CP949", "ISO2022IR149"), "cp949"),
    **dict.fromkeys(("BIG5", "CP950"), "cp950"),
    "BIG5HKSCS": "big5hkscs",
    **dict.fromkeys(("ISOIR166", "TIS620"), "tis_620"),
    **{f"KOI8{letter}": f"koi8_{letter.lower()}" for letter in "RU"},
}  # fmt: skip


def codec_of(label: str, aliases: Mapping[str, str] | None = None) -> str | None:
    """Return Python's name for a character set, or None for one that is not known.

    *aliases* maps labels of a system to labels that are known; HL7's, DICOM's and common names are.
    """
    for written, meant in (aliases or {}).items():
        if _plain(written) == _plain(label):
            return _CODECS.get(_plain(meant))
    return _CODECS.get(_plain(label))


def _plain(label: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", label.upper())


def labelled(raw: bytes, aliases: Mapping[str, str] | None) -> Label:
    """Return MSH-18 and its codecs, from the bytes of MSH.

    A facility written in Big5 or GBK can hold a byte that looks like the field separator and so
    shift the count: a later field is taken for MSH-18 where, decoded by it, it is the 18th.
    """
    line = re.split(rb"[\r\n]", raw.lstrip(b"\r\n \t"), maxsplit=1)[0]
    if not line.startswith(b"MSH") or len(line) < 4:
        return "", (UNLABELLED,)
    separator = line[3:4]
    fields = line.split(separator, 24)
    for index in range(17, min(len(fields), 22)):
        label, codecs = _read_label(fields[index], fields[1], aliases)
        if label and codecs and _eighteenth(line, separator, codecs[0]) == fields[index]:
            return label, codecs
    return _read_label(fields[17] if len(fields) > 17 else b"", fields[1], aliases)


def _read_label(field: bytes, encoding: bytes, aliases: Mapping[str, str] | None) -> Label:
    """Return MSH-18 and the codecs of its repetitions; of those after the first only the known count."""
    component, repetition = (encoding[:1] or b"^"), (encoding[1:2] or b"~")
    repetitions = field.split(repetition, _MOST_LABELS)[:_MOST_LABELS]
    labels = [each.split(component, 1)[0].decode("latin-1").strip() for each in repetitions]
    first, *further = (codec_of(label, aliases) for label in labels)
    known = tuple(dict.fromkeys(codec for codec in further if codec and codec != first))
    return "~".join(labels).rstrip("~"), (first, *known) if first else None


def _eighteenth(line: bytes, separator: bytes, codec: str) -> bytes | None:
    fields = line.decode(codec, "replace").split(separator.decode("latin-1"), 18)
    return fields[17].encode("latin-1", "replace") if len(fields) > 17 else None
