r"""Japanese text with escape sequences (ISO-2022-JP), as systems in Japan write it.

ASCII and half-width katakana stand in one byte, JIS X 0208 and 0212 in two, and ESC sequences lead
from one to the other; each line begins in the one-byte sets.  Two habits are read that CPython's own
codecs refuse: katakana in 8 bits beside kanji (``ISO IR14~ISO IR87``), and the characters that NEC and
IBM put into unused rows of JIS X 0208, among them 髙 and 﨑, which half of Japan knows a bearer of.
The byte 5C is the escape character of HL7 whatever its shape on paper.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

# An ESC that announces no character set is for a printer, and passes; one that announces another is an error.
_TOKENS = re.compile(rb"\x1b(?:\([BIJ]|\)I|\$\(?[@BD])|[\r\n]+|(?:[^\x1b\r\n]|\x1b(?![$()*+,./-]))+|\x1b")
_PAIRS = re.compile(rb"(?:[\x21-\x7e]{2})+|[\x00-\x20]+")
_TO_G1 = bytes(byte | 0x80 for byte in range(256))


def read(raw: bytes) -> str:
    """Return *raw* as text; raise `UnicodeDecodeError` at the first byte that is none."""
    text = []
    run = _RUNS[_ASCII]
    for token in _TOKENS.finditer(raw):
        found = token[0]
        if found in _RUNS:
            run = _RUNS[found]
            continue
        if found[:1] in b"\r\n":
            run = _RUNS[_ASCII]
        try:
            text.append(run(found) if found != b"\x1b" else _unknown(found))
        except UnicodeDecodeError as error:
            start = token.start() + error.start
            raise UnicodeDecodeError("iso2022_jp", raw, start, start + 1, error.reason) from None
    return "".join(text)


def _unknown(run: bytes) -> str:
    raise UnicodeDecodeError("iso2022_jp", run, 0, 1, "no character set of Japan")


def _one_byte(run: bytes) -> str:
    for at, byte in enumerate(run if not run.isascii() else b""):
        if 0x80 <= byte <= 0xA0 or byte >= 0xE0:
            raise UnicodeDecodeError("iso2022_jp", run, at, at + 1, "no character of JIS X 0201")
    return run.decode("cp932")


def _katakana(run: bytes) -> str:
    return _one_byte(bytes(byte | 0x80 if 0x21 <= byte <= 0x5F else byte for byte in run))


def _kanji(run: bytes) -> str:
    return _two_bytes(run, _kanji_pair)


def _supplement(run: bytes) -> str:
    return _two_bytes(run, _supplement_pair)


def _two_bytes(run: bytes, one: Callable[[bytes], str]) -> str:
    text, at = [], 0
    while at < len(run):
        found = _PAIRS.match(run, at)
        if found is None:
            raise UnicodeDecodeError("iso2022_jp", run, at, at + 1, "half a character")
        part = found[0]
        if part[0] <= 0x20:
            text.append(part.decode("ascii"))
        else:
            for pair in range(0, len(part), 2):
                try:
                    text.append(one(part[pair : pair + 2]))
                except UnicodeDecodeError as error:
                    raise UnicodeDecodeError(
                        "iso2022_jp", run, at + pair, at + pair + 2, error.reason
                    ) from None
        at = found.end()
    return "".join(text)


def _kanji_pair(pair: bytes) -> str:
    try:
        return pair.translate(_TO_G1).decode("euc_jp")
    except UnicodeDecodeError:
        return _shifted(pair).decode("cp932")  # which has NEC's and IBM's rows


def _shifted(pair: bytes) -> bytes:
    """Return a pair of JIS X 0208 in the place that Shift-JIS gives it."""
    row, cell = pair
    first = (row - 0x21 >> 1) + 0x81
    second = cell + 0x7E if row % 2 == 0 else cell + 0x1F + (cell >= 0x60)
    return bytes((first + (0x40 if first > 0x9F else 0), second))


def _supplement_pair(pair: bytes) -> str:
    return (b"\x8f" + pair.translate(_TO_G1)).decode("euc_jp")


_ASCII: Final = b"\x1b(B"
_RUNS: Final[dict[bytes, Callable[[bytes], str]]] = {
    _ASCII: _one_byte, b"\x1b(J": _one_byte, b"\x1b(I": _katakana, b"\x1b)I": _one_byte,
    b"\x1b$B": _kanji, b"\x1b$@": _kanji, b"\x1b$(B": _kanji, b"\x1b$(@": _kanji, b"\x1b$(D": _supplement,
}  # fmt: skip
