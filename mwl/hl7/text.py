r"""The character set of a message: from MSH-18, or from what the bytes say.

The label is read from the raw bytes, the whole message is decoded, and only then is it split:
in Big5, GBK and Shift-JIS a second byte may be ``|``, ``^`` or ``\``, and in ISO-2022-JP any byte
of a kanji may (D-40).  Text that cannot be decoded is a finding, never a question mark in a name
(D-42).

A label can lie.  Most often a UTF-8 message is labelled ``8859/1``, or not at all: valid multibyte
UTF-8 is practically never meant as Latin text, so it is read as UTF-8 and reported.  A profile may
insist on the label (``trust_label``); that the bytes contradict it is reported all the same.

UTF-16 and UTF-32 are known by their bytes, for no label could be read before.  They are refused
unless a profile takes them: the octets that frame a block stand inside their characters, and such a
message is cut or ended early by any receiver (D-04).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mwl.errors import Finding, Location, Severity
from mwl.hl7 import japanese
from mwl.hl7.labels import JAPANESE, UNICODE, UNLABELLED, codec_of, labelled

_BOM = b"\xef\xbb\xbf"
_CP1252 = "cp1252"
# What Korean and Chinese senders put before double-byte text says nothing that the label does not.
_DESIGNATIONS = re.compile(rb"\x1b(?:\$\)[AC]|\([BJ])")
_WIDE = {
    f"{mark}{name}".encode(codec): codec
    for codec in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")  # the longer begin like the shorter
    for mark in ("\ufeff", "")
    for name in ("MSH", "BHS", "FHS")
}


@dataclass(frozen=True, slots=True)
class Decoded:
    """A message as text, and how it was read.

    With an error among the findings *text* is the bytes one by one: enough to read MSH and to echo
    its fields in a refusal, and nothing else.
    """

    text: str
    codec: str
    label: str  # MSH-18 as written: its repetitions, joined by "~"
    findings: tuple[Finding, ...] = ()

    @property
    def readable(self) -> bool:
        """Tell whether *text* is what the sender wrote."""
        return not any(finding.severity is Severity.ERROR for finding in self.findings)


def decode(
    raw: bytes,
    default: str = "UNICODE UTF-8",
    *,
    aliases: Mapping[str, str] | None = None,
    trust_label: bool = False,
    utf_16: bool = False,
) -> Decoded:
    """Decode a message by its MSH-18.

    *default* is the label for a message without one that is neither ASCII nor UTF-8.  With
    *trust_label* what the label (without one: the default) says counts, whatever the bytes look like.
    Without *utf_16* a message in UTF-16 or UTF-32 is an error, its text good for the answer alone.
    """
    raw = raw.removeprefix(_BOM)
    if wide := wide_codec(raw):
        return _decode_wide(raw, wide, taken=utf_16)
    label, codecs = labelled(raw, aliases)
    if codecs is None:
        finding = Finding(_MSH_18, 103, f"character set {label[:40]!r} is not known")
        return Decoded(raw.decode("latin-1"), "latin-1", label, (finding,))
    fallback = codec_of(default, aliases) if default else None
    trusted = (codecs if label else (fallback,) if fallback else ()) if trust_label else ()
    for candidate in _meant(raw, trusted) if trusted else _likely(raw, codecs, fallback):
        try:
            text = _read(raw, candidate)
        except UnicodeDecodeError:
            continue
        return Decoded(text, candidate, label, _lie(raw, label, codecs, candidate))
    expected = trusted[0] if trusted else UNICODE if codecs[0] == UNLABELLED else codecs[0]
    finding = Finding(_place(raw, expected), 102, _unreadable(label, default))
    return Decoded(raw.decode("latin-1"), "latin-1", label, (finding,))


def _unreadable(label: str, default: str | None) -> str:
    if label:
        return f"the text is not valid in the character set of MSH-18, {label[:40]!r}"
    if default:
        return f"MSH-18 is empty, and the text is not valid in the character set set for it, {default!r}"
    return (
        "MSH-18 is empty, and the text is neither ASCII nor UTF-8: accept.charset.default of the "
        "system's profile, or site.charset, can name its character set"
    )


def wide_codec(raw: bytes) -> str:
    """Return the codec of a message in UTF-16 or UTF-32, known by its first segment's name, or ""."""
    if not raw.startswith(_WIDE_NAMES):
        return ""
    return next(codec for begin, codec in _WIDE.items() if raw.startswith(begin))


_WIDE_NAMES = tuple(_WIDE)


def _decode_wide(raw: bytes, codec: str, *, taken: bool) -> Decoded:
    text = raw.decode(codec, "replace")
    if not taken:
        finding = Finding(_MSH_18, 103, f"{codec[:6].upper()} is not taken, send UTF-8")
        return Decoded(text, codec, "", (finding,))
    if "\ufffd" in text:
        return Decoded(text, codec, "", (Finding(_MSH_18, 102, f"text is not valid {codec[:6].upper()}"),))
    return Decoded(text.removeprefix("\ufeff"), codec, "")


def _read(raw: bytes, codec: str) -> str:
    """Return *raw* in *codec*; raise `UnicodeDecodeError`, also where escape sequences announce another set.

    Without that a kanji between its escapes is good ASCII: ``$B;3ED(B`` would be somebody's name.
    """
    if codec == JAPANESE:
        return japanese.read(raw)
    if codec in _EXTENDED:
        raw = _DESIGNATIONS.sub(b"", raw)
    if found := _ANNOUNCES.search(raw):
        raise UnicodeDecodeError(codec, raw, found.start(), found.end(), "another character set is announced")
    return raw.decode(codec)


_EXTENDED = frozenset({"cp949", "gb18030"})
_ANNOUNCES = re.compile(rb"\x1b[$()*+,./-]")  # ISO 2022; what follows any other ESC is for a printer

_MSH_18 = Location("MSH", 1, 18)


def _likely(raw: bytes, codecs: Sequence[str], default: str | None) -> Iterator[str]:
    """Yield the codecs to try, the likeliest first; the same one twice does no harm.

    *codecs* are those of the label's repetitions.  The first is the message's; text in another belongs
    behind escapes, and without them is better read by it than not at all (D-41).
    """
    first, *further = codecs
    if first == UNLABELLED:  # table D.4: ASCII, then UTF-8, then what the site is used to
        yield from (UNLABELLED, UNICODE, *further)
        yield from filter(None, (default,))
    else:
        if not raw.isascii() and _looks_unicode(raw, first):
            yield UNICODE
        yield from _meant(raw, (first,))
        yield from (UNICODE, *further)
    if _ANNOUNCES.search(raw):
        yield JAPANESE  # no other text has its escapes


# The national standard below what is read under its label, which leaves few bytes without a meaning.
_STRICT = {
    "gb18030": "gb2312", "cp949": "euc_kr", "cp950": "big5", "big5hkscs": "big5", "cp932": "shift_jis"
}  # fmt: skip
_THREE_BYTES = re.compile(rb"[\xe0-\xef][\x80-\xbf]{2}")


def _looks_unicode(raw: bytes, labelled: str) -> bool:
    """Tell whether text that is valid UTF-8 is more likely that than what its label says.

    Of a single-byte set it always is.  Under a double-byte set two bytes may be either; but such text
    has no character of three bytes, nor, mostly, any that the standard itself does not have.
    """
    strict = _STRICT.get(labelled)
    if strict is None:
        return _single_byte(labelled)
    return _THREE_BYTES.search(raw) is not None or not _decodes(raw, strict)


def _meant(raw: bytes, codecs: Sequence[str]) -> Iterator[str]:
    for codec in codecs:
        if codec == "iso8859_1" and re.search(rb"[\x80-\x9f]", raw):
            yield _CP1252  # controls are never meant; what stands there in cp1252 is
        yield codec


def _single_byte(codec: str) -> bool:
    return codec.startswith(("iso8859", "cp125", "koi8", "tis"))


def _lie(raw: bytes, label: str, codecs: Sequence[str], used: str) -> tuple[Finding, ...]:
    """Report bytes that contradict their label, however they were read; an absent label says nothing."""
    if not label or used == UNLABELLED:
        return ()
    if used not in codecs:
        text = f"labelled {label[:40]!r} but read as {used}"
    elif used != UNICODE and not raw.isascii() and _decodes(raw, UNICODE):
        text = f"labelled {label[:40]!r} and read so, but valid UTF-8"
    else:
        return ()
    return (Finding(_MSH_18, 102, text, Severity.WARNING),)


def _decodes(raw: bytes, codec: str) -> bool:
    try:
        raw.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _place(raw: bytes, codec: str) -> Location:
    """Return the segment and field of the first byte that *codec* cannot read."""
    try:
        _read(raw, codec)
    except UnicodeDecodeError as error:
        before = re.split(rb"[\r\n]+", raw[: error.start].lstrip(b"\r\n \t"))
        name, separator = before[-1][:3], raw.lstrip(b"\r\n \t")[3:4]
        if re.fullmatch(rb"[A-Z][A-Z0-9]{2}", name) and separator:
            occurrence = sum(line[:3] == name for line in before)
            field = before[-1].count(separator) + (name == b"MSH")
            return Location(name.decode("ascii"), occurrence, field)
    return _MSH_18
