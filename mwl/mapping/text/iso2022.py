r"""Text under ISO 2022 code extensions, the way DICOM uses them (PS3.5 6.1.2.5).

Theory of operation
-------------------
A *code element* is one set of characters: ASCII, the upper half of Latin-2, JIS X 0208.  Two of
them are active at a time: G0 gives the bytes below 80H their meaning, G1 those above.  An escape
sequence *designates* another element into G0 or G1; SI, SO, G2 and G3 are not used (A-53).

The element pair of the first declared set is the initial state.  It holds again after each
delimiter, and a writer has to be back in it before the delimiter (PS3.5 6.1.2.5.3): end of line,
end of page, tab, the backslash between values, ``^`` and ``=`` in a person name, the end of the
value.  Where the first set leaves G1 empty (ISO 646) there is nothing to go back to in G1, so the
next component simply designates it anew.

A byte counts as a delimiter only where G0 is single-byte: ``\``, ``^`` and ``=`` are also halves
of kanji (A-54).  What is written is strict.  What is read may be less so: a known escape sequence
is honoured though its set was not declared, and 8-bit bytes without a designation are read in the
first declared set that has a G1.  Nothing here raises on any bytes.

CPython's own ISO 2022 codecs are not used: they know no reset points and no G1 for IR 58 and 149.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

UNDECODABLE = "\N{REPLACEMENT CHARACTER}"
LINE_DELIMITERS = b"\r\n\f\t"
NAME_DELIMITERS = b"^="

_TO_G0 = bytes(b & 0x7F for b in range(256))
_TO_G1 = bytes(b | 0x80 for b in range(256))
_HALF_WIDTH_KANA = 0xFF61 - 0xA1  # JIS X 0201 katakana stand in Unicode in the same order


@dataclass(frozen=True, slots=True, eq=False)  # each is one object: compared and hashed as such
class CodeElement:
    """One designatable set; *lead* is what its bytes need before them to be *codec*'s."""

    name: str
    escape: bytes
    codec: str
    high: bool  # designated into G1
    wide: bool = False  # two bytes a character
    lead: bytes = b""

    def read(self, run: bytes) -> str:
        """Decode *run*, whose bytes are all of this element's half; a wide run has even length."""
        if self.codec == "kana":
            return "".join(chr(b + _HALF_WIDTH_KANA) if 0xA1 <= b <= 0xDF else UNDECODABLE for b in run)
        if not self.wide:
            return run.decode(self.codec, "replace")
        run = run.translate(_TO_G1)
        if self.lead:
            run = b"".join(self.lead + run[at : at + 2] for at in range(0, len(run), 2))
        try:
            return run.decode(self.codec)
        except UnicodeDecodeError:
            step = 2 + len(self.lead)
            pairs = (run[at : at + step] for at in range(0, len(run), step))
            return "".join(_one(pair, self.codec) for pair in pairs)


def _one(code: bytes, codec: str) -> str:
    """Decode one character; an unassigned code is one replacement character, however wide."""
    try:
        return code.decode(codec)
    except UnicodeDecodeError:
        return UNDECODABLE


def _high(name: str, final: bytes, codec: str) -> CodeElement:
    return CodeElement(name, b"\x1b-" + final, codec, high=True)


ASCII = CodeElement("ISO 646", b"\x1b(B", "ascii", high=False)
# Its 5CH and 7EH are yen and overline on paper.  They are read and written as "\" and "~": 5CH
# delimits values whatever its shape, and an ID with "~" must come back from a device unchanged.
ROMAJI = CodeElement("JIS X 0201 romaji", b"\x1b(J", "ascii", high=False)
KANA = CodeElement("JIS X 0201 katakana", b"\x1b)I", "kana", high=True)
KANJI = CodeElement("JIS X 0208", b"\x1b$B", "euc_jp", high=False, wide=True)
KANJI_1978 = CodeElement("JIS C 6226", b"\x1b$@", "euc_jp", high=False, wide=True)  # only ever read
KANJI_SUPPLEMENT = CodeElement("JIS X 0212", b"\x1b$(D", "euc_jp", high=False, wide=True, lead=b"\x8f")
HANGUL = CodeElement("KS X 1001", b"\x1b$)C", "euc_kr", high=True, wide=True)
HANZI = CodeElement("GB 2312", b"\x1b$)A", "gb2312", high=True, wide=True)

REGISTERED: dict[int, tuple[CodeElement | None, CodeElement | None]] = {
    6: (ASCII, None),
    13: (ROMAJI, KANA),
    58: (None, HANZI),
    87: (KANJI, None),
    100: (ASCII, _high("Latin-1", b"A", "iso8859_1")),
    101: (ASCII, _high("Latin-2", b"B", "iso8859_2")),
    109: (ASCII, _high("Latin-3", b"C", "iso8859_3")),
    110: (ASCII, _high("Latin-4", b"D", "iso8859_4")),
    126: (ASCII, _high("Greek", b"F", "iso8859_7")),
    127: (ASCII, _high("Arabic", b"G", "iso8859_6")),
    138: (ASCII, _high("Hebrew", b"H", "iso8859_8")),
    144: (ASCII, _high("Cyrillic", b"L", "iso8859_5")),
    148: (ASCII, _high("Latin-5", b"M", "iso8859_9")),
    149: (None, HANGUL),
    159: (KANJI_SUPPLEMENT, None),
    166: (ASCII, _high("Thai", b"T", "tis_620")),
    203: (ASCII, _high("Latin-9", b"b", "iso8859_15")),  # unknown to pydicom
}
"""Number in the ISO registry → what it puts into G0 and G1 (table A.5)."""

_BY_ESCAPE = {e.escape: e for pair in REGISTERED.values() for e in pair if e} | {b"\x1b$@": KANJI_1978}
_ESCAPE = re.compile(b"|".join(re.escape(escape) for escape in _BY_ESCAPE))
_HALVES = re.compile(rb"[\x00-\x7f]+|[\x80-\xff]+")
_PAIRS = re.compile(rb"(?:[\x21-\x7e]{2})*+")
_G0_PAIRS = re.compile(rb"(?:[\x21-\x7e]{2})+|.", re.DOTALL)
_G1_PAIRS = re.compile(rb"(?:[\xa1-\xfe]{2})+|.", re.DOTALL)
_FILLER = "\N{HANGUL FILLER}"  # KS X 1001 spells rare syllables with it: alone it does not read back


@lru_cache(maxsize=1 << 15)
def _code(element: CodeElement, char: str) -> bytes | None:
    """Return the bytes of *char*, None where the set lacks it.  What is written reads back.

    The shape of the code is checked because CPython's encoders add to the sets: a syllable that
    KS X 1001 does not hold, for one, becomes eight bytes of jamo.
    """
    if char == _FILLER:
        return None
    if element is KANA:
        code = bytes([at]) if 0xA1 <= (at := ord(char) - _HALF_WIDTH_KANA) <= 0xDF else b""
    else:
        try:
            code = char.encode(element.codec)
        except UnicodeEncodeError:
            return None
    if element.wide:
        pair = code.removeprefix(element.lead)
        if len(pair) != 2 or pair[0] < 0xA1 or len(pair) + len(element.lead) != len(code):
            return None
        code = pair if element.high else pair.translate(_TO_G0)
    return code if code and element.read(code) == char else None


class CodeExtension:
    """The coding that a list of registered sets declares; the first number is the initial state."""

    def __init__(self, numbers: Iterable[int]) -> None:
        declared = [REGISTERED[number] for number in numbers]
        self._elements = tuple(e for pair in declared for e in pair if e and e not in (ASCII, ROMAJI))
        self._g0 = declared[0][0] or ASCII
        self._g1 = declared[0][1]
        # Korean and Chinese devices leave the designation out; any reading beats none.
        self._read_g1 = self._g1 or next((e for e in self._elements if e.high), None)

    def encode(self, text: str, *, name: bool) -> bytes | None:
        """Return *text* with its escape sequences, or None when a character is in no declared set."""
        delimiters = (LINE_DELIMITERS + b"\\" + (NAME_DELIMITERS if name else b"")).decode()
        out = bytearray()
        g0, g1 = self._g0, self._g1
        for char in text:
            if char.isascii():
                if g0 is not self._g0:
                    g0 = self._g0
                    out += g0.escape
                if char in delimiters:
                    out += self._home(g1)
                    g1 = self._g1
                out += char.encode("ascii")
                continue
            element, code = self._holder(char, g0, g1)
            if code is None:
                return None
            if element is not (g1 if element.high else g0):
                out += element.escape
                g0, g1 = (g0, element) if element.high else (element, g1)
            out += code
        if g0 is not self._g0:
            out += self._g0.escape
        return bytes(out + self._home(g1))

    def _holder(self, char: str, g0: CodeElement, g1: CodeElement | None) -> tuple[CodeElement, bytes | None]:
        """Return the element to write *char* with: an active one saves an escape, else as declared."""
        for element in (g1, g0, *self._elements):
            if element is not None and (code := _code(element, char)) is not None:
                return element, code
        return g0, None

    def _home(self, g1: CodeElement | None) -> bytes:
        return b"" if self._g1 is None or g1 is self._g1 else self._g1.escape

    def decode(self, raw: bytes, *, name: bool) -> str:
        """Return one value as text; what cannot be read becomes U+FFFD."""
        if b"\x1b" not in raw:
            return self._run(raw, self._g0, self._read_g1)
        delimiters = LINE_DELIMITERS + (NAME_DELIMITERS if name else b"")
        return "".join(self._segment(segment) for segment in _segments(raw, delimiters))

    def split(self, raw: bytes) -> list[bytes]:
        """Return the values between backslashes that are characters of their own (A-54)."""
        if b"\x1b" not in raw:
            return raw.split(b"\\")
        pieces = list(_segments(raw, b"\\"))
        return [*(piece[:-1] for piece in pieces[:-1]), pieces[-1]]

    def _segment(self, segment: bytes) -> str:
        """Decode up to the next reset point: runs between escape sequences."""
        g0, g1 = self._g0, self._read_g1
        text, at = [], 0
        for found in _ESCAPE.finditer(segment):
            text.append(self._run(segment[at : found.start()], g0, g1))
            element = _BY_ESCAPE[found.group()]
            g0, g1 = (g0, element) if element.high else (element, g1)
            at = found.end()
        text.append(self._run(segment[at:], g0, g1))
        return "".join(text)

    @staticmethod
    def _run(run: bytes, g0: CodeElement, g1: CodeElement | None) -> str:
        return "".join(_half(half, g0 if half[0] < 0x80 else g1) for half in _HALVES.findall(run))


def _half(run: bytes, element: CodeElement | None) -> str:
    if element is None:
        return UNDECODABLE * len(run)
    if not element.wide:
        return element.read(run)
    pairs = (_G1_PAIRS if element.high else _G0_PAIRS).findall(run)
    return "".join(element.read(p) if len(p) > 1 else _stray(p) for p in pairs)


def _stray(byte: bytes) -> str:
    """Return the reading of one byte where a pair was due: controls, space and delimiters stand."""
    return byte.decode("ascii") if byte <= b" " or byte in b"^=\\" else UNDECODABLE


def _segments(raw: bytes, delimiters: bytes) -> Iterator[bytes]:
    """Cut *raw* after each byte of *delimiters* that is a character, not half of one (A-54)."""
    start = at = 0
    wide = False
    for escape in (*_ESCAPE.finditer(raw), None):
        stop = escape.start() if escape else len(raw)
        while at < stop:
            if wide and (pairs := _PAIRS.match(raw, at, stop)):
                at = pairs.end()
            at += 1
            if at <= stop and raw[at - 1] in delimiters:
                yield raw[start:at]
                start, wide = at, False
        if escape:
            at = escape.end()
            element = _BY_ESCAPE[escape.group()]
            wide = wide if element.high else element.wide
    yield raw[start:]
