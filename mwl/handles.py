"""What stands for an identity that a device cannot hold, or must not share: made of it, and of nothing else.

An identity longer than `LONGEST` characters has a handle of exactly that many (F48); one with small letters
has its capitals, for devices that know no others (F50); a step has a Study Instance UID of its own, for
devices that keep one entry a study (F28).  Each is the same every time, on every broker and after a restore,
so what is sent depends on no table.  Back to the identity leads the store: `mwl.store.handles` keeps the
first two, and the third holds the key of its step.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

LONGEST = 16
"""Characters of a handle, and of SH, which the numbers of an order are (PS3.5 6.2)."""

_LETTER = "H"
_FORM = re.compile(r"H[A-Z2-7]{15}")
_SMALL = re.compile("[a-z]")

_STEP_STUDIES = b"study of a step"
_CHECKED = 80  # bits of a UUID below the first six octets, version and variant among them
_NOT_FREE, _VERSION_8 = 0xF << 76 | 0b11 << 62, 8 << 76 | 0b10 << 62  # RFC 9562 5.8
_DIGITS = 39  # of the longest UUID as a decimal
_LONGEST_UID = 64  # characters (PS3.5 9.1)
_WITHOUT_ROOT = "2.25"  # PS3.5 B.2


def shortened(value: str) -> str:
    """Return the handle of *value*: 16 capitals and digits, which a barcode of any kind can hold."""
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).digest()
    return _LETTER + base64.b32encode(digest).decode()[: LONGEST - 1]


def stands_for(value: str) -> str:
    """Return what a device may have got for the stored *value*; "" where that is the value alone."""
    if len(value) > LONGEST:
        return shortened(value)
    return value.upper() if _SMALL.search(value) and value.isascii() else ""


def may_be_shortened(text: str) -> bool:
    """Tell whether *text* has the form of a handle."""
    return _FORM.fullmatch(text) is not None


def step_study(study: str, step_id: str, key: int, root: str | None) -> str:
    """Return the Study Instance UID of a step alone: of the *study* it belongs to, its ID and its *key*.

    It stands under *root*, where that leaves room, or under 2.25 (PS3.5 B.2).
    """
    # Keys begin anew in another database; there, the digest tells the steps apart.
    number = key << _CHECKED | _check(study, step_id)
    if root and len(root) + 1 + _DIGITS <= _LONGEST_UID:
        return f"{root}.{number}"
    return f"{_WITHOUT_ROOT}.{number}"


def step_key(uid: str) -> int | None:
    """Return the key of the step that *uid* may have been made for; None where it has not that form."""
    _, _, last = uid.rpartition(".")
    if not (last.isascii() and last.isdecimal()) or len(last) > _DIGITS:
        return None
    number = int(last)
    return number >> _CHECKED if number & _NOT_FREE == _VERSION_8 and number < 1 << 128 else None


def is_step_study(uid: str, study: str, step_id: str, key: int) -> bool:
    """Tell whether *uid* was made for this step, under whatever root."""
    root, _, _ = uid.rpartition(".")
    return step_key(uid) == key and uid == step_study(study, step_id, key, root)


def _check(study: str, step_id: str) -> int:
    # The lengths keep ("A", "BC") and ("AB", "C") apart.
    name = f"{len(study)}:{study}{len(step_id)}:{step_id}".encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(name, digest_size=10, person=_STEP_STUDIES).digest()
    return int.from_bytes(digest, "big") & ~_NOT_FREE | _VERSION_8


@dataclass(frozen=True, slots=True)
class Lookups:
    """What of a data set only the store can lead back: handles by tag, and Study Instance UIDs of steps."""

    handles: frozenset[tuple[str, str]] = frozenset()
    studies: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.handles or self.studies)


@dataclass(frozen=True, slots=True)
class Known:
    """What the store knows of such: the identity a handle stands for, the study and ID of a UID's step."""

    values: Mapping[tuple[str, str], str] = field(default_factory=dict)
    steps: Mapping[str, tuple[str, str]] = field(default_factory=dict)


UNKNOWN = Known()
"""Nothing was looked up."""
