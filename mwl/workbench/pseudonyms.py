"""Other words in the place of words, the same for the same: what leaves the site names nobody.

Theory of operation
-------------------
A word is a run of letters and digits, whatever it stands in: a name, a number, a note.  It becomes a word of
the same length and the same classes of characters (digits, Latin letters, kanji, ...), in the same case; so
leading zeros, lengths and scripts, over which devices stumble, can still be seen.  Within the words of its
form it is a permutation chosen by the key (a Feistel network over HMAC-SHA-256, with cycle walking): the
same patient has the same pseudonym everywhere, two patients never share one, and who has the key, and nobody
else, can go back.  Dates move by a number of weeks chosen by the key, so that weekdays and intervals stay.
Whoever knows when one of them was can tell by how much: days of birth, by which people are found, change
places within a year besides.

Nothing here knows a message or a data set: `mwl.workbench.deidentified` does.
"""

from __future__ import annotations

import datetime as dt
import hmac
import re
import secrets
from functools import lru_cache
from typing import Final

from mwl.errors import BadDocument, Problem

KEY: Final = 32
"""Octets of a key."""

WORD: Final = re.compile(r"[^\W_]{1,32}")
"""What is replaced as one; what is longer is replaced in parts."""

UID: Final = re.compile(r"(?<![\w.])[0-2](?:\.(?:0|[1-9][0-9]*)){4,}(?![\w.])")
_ARCS = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*)){3,}")
_OF_THE_STANDARD = "1.2.840.10008."
_KEPT_ARCS = 3  # who has issued it: a country, an organisation

_DATE = re.compile(r"(?<!\d)(\d{4})([-./]?)(\d{2})\2(\d{2})(?=\D|\d{2}|$)")
_LIKE_A_DATE = re.compile(r"[0-9+\-./:TZ, ]*")
_PARTIAL = re.compile(r"((?:18|19|20)\d\d)(0[1-9]|1[0-2])?")
_ROUNDS = 10  # eight are proven to suffice where the halves are long
_WEEKS = (52, 1040)  # back, by a year at least and by twenty at most
_YEAR = 365  # days, counted from the year 1

_KANJI = "".join(
    bytes((row + 0xA0, cell + 0xA0)).decode("euc_jp", "ignore")
    for row in range(16, 85)
    for cell in range(1, 95)
)
_IN_JIS = frozenset(_KANJI)
_WHOLE = (  # alphabets that are wider, or narrower, than a block of Unicode
    "0123456789",
    "abcdefghijklmnopqrstuvwxyz",
    _KANJI,  # JIS X 0208: what replaces a kanji must be one that a Japanese character set has
    "".join(c for c in map(chr, range(0x4E00, 0xA000)) if c not in _IN_JIS),
    "".join(map(chr, range(0xAC00, 0xD7A4))),  # Hangul
    "".join(map(chr, range(0x3041, 0x3094))),  # hiragana
    "".join(map(chr, range(0x30A1, 0x30F7))),  # katakana
    "".join(map(chr, range(0xFF66, 0xFFA0))),  # katakana of half width
)


def new_key() -> str:
    """Return a key, as its file holds it."""
    return secrets.token_hex(KEY) + "\n"


def read_key(text: str, name: str) -> bytes:
    """Return the key that the text of a file holds; raises `BadDocument`, naming the file."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY:
        raise BadDocument([Problem(name, 1, 1, "not a key: mwl support key makes one")])
    return key


class Pseudonyms:
    """What stands for what, under one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        first, last = _WEEKS
        self.shift: Final = dt.timedelta(weeks=first + self._number(b"weeks", 32) % (last - first))
        """How far dates move back."""
        self.word = lru_cache(maxsize=100_000)(self._word)

    def text(self, text: str) -> str:
        """Return *text* with every word and every UID replaced; what stands between them stays."""
        return self._replaced(text, back=False)

    def original(self, text: str) -> str:
        """Return what `text` made *text* of."""
        return self._replaced(text, back=True)

    def uid(self, uid: str, *, back: bool = False) -> str:
        """Return a UID of the same form; one that the standard defines stays."""
        if uid.startswith(_OF_THE_STANDARD):
            return uid
        arcs = uid.split(".")
        open_ = ".".join(arcs[_KEPT_ARCS:])
        # No arc begins with 0 but 0 itself (PS3.5 9.1).
        alphabets = [_digits(open_, at) for at in range(len(open_))]
        return ".".join([*arcs[:_KEPT_ARCS], self._permuted(open_, alphabets, back=back)])

    def uid_or_text(self, value: str) -> str:
        """Return what stands where a UID should: a UID, or words."""
        return self.uid(value) if _ARCS.fullmatch(value) else self.text(value)

    def dates(self, text: str, *, back: bool = False) -> str:
        """Return *text* with the dates in it moved: YYYYMMDD, with a time behind it or not, YYYY-MM-DD, YYYY.

        What holds none, or anything else, is words.
        """
        return self._dated(text, back=back, mixed=False)

    def births(self, text: str) -> str:
        """Do as `dates`, for the days on which people were born."""
        return self._dated(text, back=False, mixed=True)

    def day(self, text: str, *, birth: bool = False) -> str:
        """Return the day that `dates`, or `births`, made *text* of, YYYY-MM-DD; "" for what is none."""
        try:
            found = _DATE.match(text)
            moved = None if found is None else _read(found) + self.shift
        except (ValueError, OverflowError):
            return ""
        return "" if moved is None else str(self._mixed(moved, back=True) if birth else moved)

    def _dated(self, text: str, *, back: bool, mixed: bool) -> str:
        if not _LIKE_A_DATE.fullmatch(text):
            return self._replaced(text, back=back)
        if partial := _PARTIAL.fullmatch(text):
            middle = dt.date(int(partial[1]), int(partial[2] or 7), 15)
            moved = middle + self.shift if back else middle - self.shift
            return f"{moved:%Y%m%d}"[: len(text)]
        found, count = _DATE.subn(lambda each: self._moved(each, back=back, mixed=mixed), text)
        return found if count else self._replaced(text, back=back)

    def _mixed(self, day: dt.date, *, back: bool) -> dt.date:
        """Return another day of the same `_YEAR`."""
        year, number = divmod(day.toordinal(), _YEAR)
        return dt.date.fromordinal(year * _YEAR + self._permute(number, _YEAR, b"birth", back=back))

    def instant(self, at: dt.datetime) -> dt.datetime:
        """Return an instant, moved."""
        return at - self.shift

    def _word(self, word: str, *, back: bool = False) -> str:
        small = [_small(char) for char in word]
        other = self._permuted("".join(small), [_alphabet(char) for char in small], back=back)
        return "".join(
            new.upper() if old != char else new for new, old, char in zip(other, small, word, strict=True)
        )

    def _replaced(self, text: str, *, back: bool) -> str:
        parts, end = [], 0
        for found in UID.finditer(text):
            parts += [self._words(text[end : found.start()], back=back), self.uid(found[0], back=back)]
            end = found.end()
        return "".join([*parts, self._words(text[end:], back=back)])

    def _words(self, text: str, *, back: bool) -> str:
        return WORD.sub(lambda found: self._word(found[0], back=True) if back else self.word(found[0]), text)

    def _moved(self, found: re.Match[str], *, back: bool, mixed: bool = False) -> str:
        try:
            date = self._mixed(_read(found), back=False) if mixed else _read(found)
            moved = date + self.shift if back else date - self.shift
        except (ValueError, OverflowError):  # no date
            return self._replaced(found[0], back=back)
        return f"{moved.year:04}{found[2]}{moved.month:02}{found[2]}{moved.day:02}"

    def _permuted(self, text: str, alphabets: list[str], *, back: bool) -> str:
        """Return another text of the same alphabets, or the one that this was made of."""
        number, size = 0, 1
        for char, alphabet in zip(text, alphabets, strict=True):
            number, size = number * len(alphabet) + alphabet.index(char), size * len(alphabet)
        form = "".join(f"{alphabet[0]}{len(alphabet)}," for alphabet in alphabets).encode()
        number = self._permute(number, size, form, back=back)
        chars = []
        for alphabet in reversed(alphabets):
            number, at = divmod(number, len(alphabet))
            chars.append(alphabet[at])
        return "".join(reversed(chars))

    def _permute(self, number: int, size: int, form: bytes, *, back: bool) -> int:
        half = ((size - 1).bit_length() + 1) // 2
        if not half:
            return number
        while True:
            high, low = divmod(number, 1 << half)
            for turn in range(_ROUNDS):
                if back:
                    high, low = low ^ self._turn(_ROUNDS - 1 - turn, high, half, form), high
                else:
                    high, low = low, high ^ self._turn(turn, low, half, form)
            number = high << half | low
            if number < size:
                return number

    def _turn(self, turn: int, value: int, bits: int, form: bytes) -> int:
        return self._number(b"%d:%d:%s" % (turn, value, form), bits)

    def _number(self, of: bytes, bits: int) -> int:
        digest = hmac.digest(self._key, of, "sha512")  # 512 bits: half of 32 kanji have 231
        return int.from_bytes(digest, "big") & ((1 << bits) - 1)


def _read(found: re.Match[str]) -> dt.date:
    return dt.date(int(found[1]), int(found[3]), int(found[4]))


def _small(char: str) -> str:
    """Return a letter in the lower case, where that has a way back."""
    small = char.lower()
    return small if len(small) == 1 and small.upper() == char else char


def _alphabet(char: str) -> str:
    """Return what *char* may become: its like."""
    return _block(char) if (whole := _WHOLE_OF.get(char)) is None else whole


_WHOLE_OF = {char: alphabet for alphabet in _WHOLE for char in alphabet}


@lru_cache(maxsize=1000)
def _block(char: str) -> str:
    """Return the letters of a character's block of 128 that have an upper case like it, or none like it."""
    start = ord(char) & ~0x7F
    block = (c for c in map(chr, range(start, start + 128)) if c not in _WHOLE_OF and c.isalpha())
    like = "".join(c for c in block if _cased(c) is _cased(char) is not None)
    return like if char in like else char


def _cased(char: str) -> bool | None:
    """Tell whether a letter is the lower one of two; None where its upper case has no way back."""
    upper = char.upper()
    if upper == char:
        return False if char.lower() == char else None
    return True if upper.lower() == char else None


def _digits(text: str, at: int) -> str:
    if text[at] == ".":
        return "."
    begins = at == 0 or text[at - 1] == "."
    alone = begins and text[at + 1 : at + 2] in ("", ".")
    return "123456789" if begins and not alone else "0123456789"
