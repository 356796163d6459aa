r"""What the labels in (0008,0005) mean, as the standard defines them and as devices write them.

The answer is always in defined terms (PS3.3 C.12.1.1.2), so that whatever a device called its
character set, the broker calls it by its right name when it answers.  Case, spaces, underscores
and hyphens never matter: no two labels differ in them alone (F45).

Rules where labels contradict the standard:

* A term of a multi-byte set that stands alone, ``ISO_IR 149`` or ``ISO 2022 IR 87``, is read as
  ``\ISO 2022 IR ...``: ASCII is what such devices have in G0.
* UTF-8, GB18030 and GBK allow no further term (A-52).  As the first term, or behind an empty one,
  they are the whole declaration; behind another set they are ignored.
* Repeated terms, and ISO 646 behind another set, declare nothing new and are left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mwl.errors import MwlError
from mwl.mapping.text.iso2022 import REGISTERED

ALONE = {"ISO_IR 192": "utf_8", "GB18030": "gb18030", "GBK": "gbk"}
"""Terms without code extensions → codec."""

_MULTI_BYTE = (58, 87, 149, 159)
_DEFAULT = 6
_NOISE = re.compile(r"[\s_-]+")
_MAX_TERMS = 32  # there are 20 defined terms

_IN_THE_WILD: dict[str, int | str] = {
    "": _DEFAULT,
    "ASCII": _DEFAULT,
    "USASCII": _DEFAULT,
    "UTF8": "ISO_IR 192",
    "UNICODEUTF8": "ISO_IR 192",
    "ISO10646": "ISO_IR 192",
    "ISOIR192": "ISO_IR 192",
    "ISO2022IR192": "ISO_IR 192",
    "GB18030": "GB18030",
    "GB180302000": "GB18030",
    "ISOIRGB18030": "GB18030",
    "ISO2022GB18030": "GB18030",
    "GBK": "GBK",
    "ISOIRGBK": "GBK",
    "ISO2022GBK": "GBK",  # F45: a habit of one vendor in China
    "GB2312": "GBK",  # without escape sequences, hence the superset and not IR 58
    "EUCKR": 149,
    "KSC5601": 149,
    "TIS620": 166,
    "LATIN1": 100,
    "ISO88591": 100,
    "ISO88592": 101,
    "ISO88593": 109,
    "ISO88594": 110,
    "ISO88595": 144,
    "ISO88596": 127,
    "ISO88597": 126,
    "ISO88598": 138,
    "ISO88599": 148,
    "ISO885915": 203,
}
for _number in REGISTERED:
    _IN_THE_WILD |= dict.fromkeys((f"ISOIR{_number}", f"ISO2022IR{_number}", f"ISO2022{_number}"), _number)


class UnknownCharacterSet(MwlError, ValueError):
    """A label in (0008,0005) that names no character set the broker knows (A-50)."""


def defined_terms(label: Sequence[str | None]) -> tuple[str, ...]:
    r"""Return *label*, the values of (0008,0005), in defined terms; () is the default repertoire.

    Raises `UnknownCharacterSet`.
    """
    if len(label) > _MAX_TERMS:
        raise UnknownCharacterSet("too many terms in (0008,0005)", terms=len(label))
    meant = list(dict.fromkeys(_meaning(term or "") for term in label)) or [_DEFAULT]
    alone = next((m for m in meant if isinstance(m, str)), None)
    if alone and meant[0] in (_DEFAULT, alone):
        return (alone,)
    numbers = [m for at, m in enumerate(meant) if isinstance(m, int) and (m != _DEFAULT or at == 0)]
    if numbers[0] in _MULTI_BYTE:
        numbers.insert(0, _DEFAULT)
    if len(numbers) == 1:
        return () if numbers[0] == _DEFAULT else (f"ISO_IR {numbers[0]}",)
    return tuple("" if n == _DEFAULT else f"ISO 2022 IR {n}" for n in numbers)


def numbers_of(terms: Sequence[str]) -> list[int]:
    """Return the registry numbers of defined *terms*; none at all is ISO 646, UTF-8 and GBK have none."""
    return [int(term.split()[-1]) if term else _DEFAULT for term in terms or ("",) if term not in ALONE]


def _meaning(term: str) -> int | str:
    try:
        return _IN_THE_WILD[_NOISE.sub("", term.upper())]
    except KeyError:
        raise UnknownCharacterSet("unknown character set in (0008,0005)", term=term) from None
