"""Passwords: as a configuration holds them, and whether what somebody says is one.

In the clear they are for variables and files that nobody else reads; a hash may stand in the
configuration itself.  It is scrypt's, in the notation of the password hashing competition::

    $scrypt$ln=14,r=8,p=1$bGl0dGxlIHNhbHQ$jm6HS9...
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field

_FORM = re.compile(
    r"\$scrypt\$ln=(?P<cost>\d{1,2}),r=(?P<block>\d{1,2}),p=(?P<lanes>\d{1,2})"
    r"\$(?P<salt>[A-Za-z0-9+/]{11,86})\$(?P<digest>[A-Za-z0-9+/]{22,86})"
)
_COST, _BLOCK, _LANES = 14, 8, 1  # 16 MiB and 40 ms: what RFC 7914 gives for interactive use
_MOST_WORK = 64 << 20  # bytes, all lanes together
_SALT, _DIGEST = 16, 32  # bytes
_MADE = 16  # bytes of chance in a new password


@dataclass(frozen=True, slots=True)
class PlainPassword:
    """A password in the clear."""

    password: bytes = field(repr=False)

    slow = False

    def matches(self, passcode: bytes) -> bool:
        """Tell whether *passcode* is the password, in a time that tells nothing else."""
        return hmac.compare_digest(self.password, passcode)


@dataclass(frozen=True, slots=True)
class HashedPassword:
    """What scrypt made of a password; *cost* is the logarithm of its N."""

    cost: int
    block: int
    lanes: int
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    slow = True

    @classmethod
    def parse(cls, text: object) -> HashedPassword:
        """Read a hash as it is written; raise `ValueError`, without a word of it, for anything else."""
        if isinstance(text, cls):
            return text
        match = _FORM.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None:
            raise ValueError("not a hash of a password: take what 'mwl users password' prints")
        cost, block, lanes = (int(match[name]) for name in ("cost", "block", "lanes"))
        if not (cost and block and lanes) or (128 * block * lanes << cost) > _MOST_WORK:
            raise ValueError("a hash of a password with such parameters takes too long to check")
        return cls(cost, block, lanes, _decoded(match["salt"]), _decoded(match["digest"]))

    def __str__(self) -> str:
        parameters = f"ln={self.cost},r={self.block},p={self.lanes}"
        return f"$scrypt${parameters}${_encoded(self.salt)}${_encoded(self.digest)}"

    def matches(self, passcode: bytes) -> bool:
        """Tell whether *passcode* is the password, in a time that tells nothing else."""
        made = _scrypt(passcode, self.salt, self.cost, self.block, self.lanes, len(self.digest))
        return hmac.compare_digest(self.digest, made)


def hashed(password: str) -> HashedPassword:
    """Return the hash of a password, with a new salt."""
    salt = secrets.token_bytes(_SALT)
    digest = _scrypt(password.encode(), salt, _COST, _BLOCK, _LANES, _DIGEST)
    return HashedPassword(_COST, _BLOCK, _LANES, salt, digest)


def new_password() -> str:
    """Return a password nobody can guess, of letters and digits that any console can type."""
    return base64.b32encode(secrets.token_bytes(_MADE)).decode().rstrip("=").lower()


def _scrypt(passcode: bytes, salt: bytes, cost: int, block: int, lanes: int, size: int) -> bytes:
    return hashlib.scrypt(
        passcode, salt=salt, n=1 << cost, r=block, p=lanes, dklen=size, maxmem=2 * _MOST_WORK
    )


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise ValueError("not a hash of a password: some of it is missing") from None
