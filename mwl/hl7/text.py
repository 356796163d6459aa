r"""The character set of a message: from MSH-18, or from what the bytes say.

The label is read from the raw bytes, the whole message is decoded, and only then is it split:
in Big5, GBK and Shift-JIS a second byte may be ``|``, ``^`` or ``\``, and in ISO-2022-JP any byte
of a kanji may (D-40).  Text that cannot be decoded is a finding, never a question mark in a name
(D-42).

A label can lie.  Most often a UTF-8 message is labelled ``8859/1``, or not at all: valid multibyte
UTF-8 is practically never meant as Latin text, so it is read as UTF-8 and reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mwl.errors import Finding, Location, Severity

_BOM = b"\xef\xbb\xbf"
_LATIN = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "13", "14", "15", "16")
_ISO_IR = {100: 1, 101: 2, 109: 3, 110: 4, 144: 5, 127: 6, 126: 7, 138: 8, 148: 9, 203: 15}
_UNICODE = "utf-8"
_JAPANESE = "iso2022_jp_ext"  # ASCII, JIS X 0201, 0208 and 0212 by escape sequences
_UNLABELLED = "ascii"

# Table 0211 and the labels seen beside it (D.4), without case and punctuation.
_CODECS: dict[str, str] = {
    **dict.fromkeys(("", "ASCII", "USASCII", "ISOIR6", "ISO2022IR6"), _UNLABELLED),
    **{f"{prefix}8859{part}": f"iso8859_{part}" for part in _LATIN for prefix in ("", "ISO")},
    **{f"ISO{kind}{ir}": f"iso8859_{part}" for ir, part in _ISO_IR.items() for kind in ("IR", "2022IR")},
    "LATIN1": "iso8859_1",
    # Bytes alone tell UTF-16 apart; a label that could be read as ASCII does not stand in UTF-16 (D-04).
    **dict.fromkeys(("UNICODE", "UNICODEUTF8", "UTF8", "ISOIR192"), _UNICODE),
    **dict.fromkeys(("UNICODEUTF16", "UTF16", "UNICODEUTF32", "UTF32"), _UNICODE),
    **{f"{prefix}125{n}": f"cp125{n}" for n in range(9) for prefix in ("CP", "WINDOWS", "WIN")},
    **dict.fromkeys(("ISOIR14", "ISOIR13", "ISO2022IR13"), "cp932"),
    **dict.fromkeys(("SHIFTJIS", "SJIS", "CP932", "WINDOWS31J"), "cp932"),
    **dict.fromkeys(("ISOIR87", "ISO2022IR87", "ISOIR159", "ISO2022IR159"), _JAPANESE),
    **dict.fromkeys(("JAS2020", "JISX0202", "JISX0208", "ISO2022JP"), _JAPANESE),
    "EUCJP": "euc_jp",
    **dict.fromkeys(("GB180302000", "GB18030", "GBK", "GB2312", "CP936"), "gb18030"),
    **dict.fromkeys(("KSX1001", "KSC5601", "EUCKR", "CP949", "ISO2022IR149"), "cp949"),
    **dict.fromkeys(("BIG5", "CP950"), "cp950"),
    "BIG5HKSCS": "big5hkscs",
    **dict.fromkeys(("ISOIR166", "TIS620"), "tis_620"),
    **{f"KOI8{letter}": f"koi8_{letter.lower()}" for letter in "RU"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decoded:
    """A message as text, and how it was read.

    With an error among the findings *text* is the bytes one by one: enough to read MSH and to echo
    its fields in a refusal, and nothing else.
    """

    text: str
    codec: str
    label: str  # MSH-18, its first repetition, as written
    findings: tuple[Finding, ...] = ()

    @property
    def readable(self) -> bool:
        """Tell whether *text* is what the sender wrote."""
        return not any(finding.severity is Severity.ERROR for finding in self.findings)


def codec_of(label: str, aliases: Mapping[str, str] | None = None) -> str | None:
    """Return Python's name for a character set, or None for one that is not known.

    *aliases* maps labels of a system to labels that are known; HL7's, DICOM's and common names are.
    """
    for written, meant in (aliases or {}).items():
        if _plain(written) == _plain(label):
            return _CODECS.get(_plain(meant))
    return _CODECS.get(_plain(label))


def decode(
    raw: bytes,
    default: str = "UNICODE UTF-8",
    *,
    aliases: Mapping[str, str] | None = None,
    trust_label: bool = False,
) -> Decoded:
    """Decode a message by its MSH-18.

    *default* is the label for a message without one that is neither ASCII nor UTF-8.  With
    *trust_label* UTF-8 under a label of a single-byte set is read as labelled.
    """
    raw = raw.removeprefix(_BOM)
    label, codec = _labelled(raw, aliases)
    if codec is None:
        finding = Finding(_MSH_18, 103, f"character set {label[:40]!r} is not known")
        return Decoded(raw.decode("latin-1"), "latin-1", label, (finding,))
    for candidate in _candidates(raw, codec, codec_of(default, aliases), trust_label=trust_label):
        try:
            text = raw.decode(candidate)
        except UnicodeDecodeError:
            continue
        return Decoded(text, candidate, label, _lie(label, codec, candidate))
    finding = Finding(_place(raw, codec), 102, f"text is not valid in character set {label or default!r}")
    return Decoded(raw.decode("latin-1"), "latin-1", label, (finding,))


_MSH_18 = Location("MSH", 1, 18)


def _plain(label: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", label.upper())


def _candidates(raw: bytes, codec: str, default: str | None, *, trust_label: bool) -> Iterator[str]:
    """Yield the codecs to try, the likeliest first; the same one twice does no harm."""
    if codec == _UNLABELLED:  # table D.4: ASCII, then UTF-8, then what the site is used to
        yield from filter(None, (_UNLABELLED, _UNICODE, default))
        return
    if _single_byte(codec) and not trust_label and not raw.isascii():
        yield _UNICODE
    if codec == "iso8859_1" and re.search(rb"[\x80-\x9f]", raw):
        yield "cp1252"  # controls are never meant; what stands there in cp1252 is
    yield codec
    if not trust_label:
        yield _UNICODE


def _single_byte(codec: str) -> bool:
    return codec.startswith(("iso8859", "cp125", "koi8", "tis"))


def _lie(label: str, labelled: str, used: str) -> tuple[Finding, ...]:
    """Report a message that was not read as its label says; an absent label says nothing."""
    if used in (labelled, _UNLABELLED) or not label:
        return ()
    text = f"labelled {label!r} but read as {used}"
    return (Finding(_MSH_18, 102, text, Severity.WARNING),)


def _labelled(raw: bytes, aliases: Mapping[str, str] | None) -> tuple[str, str | None]:
    """Return MSH-18 and its codec, from the bytes of MSH.

    A facility written in Big5 or GBK can hold a byte that looks like the field separator and so
    shift the count: a later field is taken for MSH-18 where, decoded by it, it is the 18th.
    """
    line = re.split(rb"[\r\n]", raw.lstrip(b"\r\n \t"), maxsplit=1)[0]
    if not line.startswith(b"MSH") or len(line) < 4:
        return "", _UNLABELLED
    separator = line[3:4]
    fields = line.split(separator, 24)
    for index in range(17, min(len(fields), 22)):
        label, codec = _read_label(fields[index], fields[1], aliases)
        if label and codec and _eighteenth(line, separator, codec) == fields[index]:
            return label, codec
    return _read_label(fields[17] if len(fields) > 17 else b"", fields[1], aliases)


def _read_label(field: bytes, encoding: bytes, aliases: Mapping[str, str] | None) -> tuple[str, str | None]:
    """Return the first repetition of MSH-18 and its codec (D-41).

    An empty or ASCII first repetition with a Japanese set after it means escape sequences, and
    these the Japanese codec reads.
    """
    component, repetition = (encoding[:1] or b"^"), (encoding[1:2] or b"~")
    labels = [
        each.split(component, 1)[0].decode("latin-1").strip() for each in field.split(repetition, 4)
    ]  # fmt: skip
    codecs = [codec_of(label, aliases) for label in labels]
    if codecs[0] == _UNLABELLED and _JAPANESE in codecs:
        return labels[0] or labels[codecs.index(_JAPANESE)], _JAPANESE
    return labels[0], codecs[0]


def _eighteenth(line: bytes, separator: bytes, codec: str) -> bytes | None:
    fields = line.decode(codec, "replace").split(separator.decode("latin-1"), 18)
    return fields[17].encode("latin-1", "replace") if len(fields) > 17 else None


def _place(raw: bytes, codec: str) -> Location:
    """Return the segment and field of the first byte that *codec* cannot read."""
    try:
        raw.decode(_UNICODE if codec == _UNLABELLED else codec)
    except UnicodeDecodeError as error:
        before = re.split(rb"[\r\n]+", raw[: error.start].lstrip(b"\r\n \t"))
        name, separator = before[-1][:3], raw.lstrip(b"\r\n \t")[3:4]
        if re.fullmatch(rb"[A-Z][A-Z0-9]{2}", name) and separator:
            occurrence = sum(line[:3] == name for line in before)
            field = before[-1].count(separator) + (name == b"MSH")
            return Location(name.decode("ascii"), occurrence, field)
    return _MSH_18
