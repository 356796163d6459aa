"""Whom a peer says it acts for, and whether that is so (PS3.7 D.3.3.7, E-06).

Where no users are configured, and none is required, what a peer says of its user is passed over and
not answered, as the standard allows.  Else a name (type 1) or a name with a passcode (type 2) is
checked: a user who has a password must give it.  What cannot be checked here (Kerberos, SAML, JSON
web tokens) counts as nothing said: it is passed over, or refused where a user is required.

A scrypt hash takes some 40 ms and 16 MiB on purpose.  That is work for a thread, for one at a time,
and for once: a passcode that was right is remembered as a keyed digest until the next reload.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from mwl.dicom.service import Rejection, UserIdentity

USER_NOT_ACCEPTED = Rejection(1, 2, 1)  # PS3.7 D.3.3.7.3: permanent; by ACSE; no reason given (E-04, F-A08)

_NAME, _NAME_AND_PASSCODE = 1, 2
_MOST_REMEMBERED = 256  # users of a large site, each with a device or two


class Password(Protocol):
    """What a configuration holds of a password."""

    @property
    def slow(self) -> bool:
        """Whether `matches` takes so long that the event loop must not wait for it."""

    def matches(self, passcode: bytes) -> bool:
        """Tell whether *passcode* is the password, in a time that tells nothing else."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a peer may go on, and as whom; *user* is empty where nobody was checked."""

    accepted: bool
    user: str = ""


_ANYONE, _REFUSED = Verdict(accepted=True), Verdict(accepted=False)


class Users:
    """The users of one configuration."""

    def __init__(
        self, passwords: Mapping[str, Password | None] | None = None, *, required: bool = False
    ) -> None:
        """*passwords* is by user name, None for one whose name is enough."""
        self._passwords = {name.encode(): (name, password) for name, password in (passwords or {}).items()}
        self._required = required
        self._secret = secrets.token_bytes(32)
        self._right: dict[bytes, None] = {}
        self._turn = asyncio.Semaphore(1)

    def judge(self, identity: UserIdentity | None) -> Verdict | None:
        """Return the verdict on what a peer states, None where it takes `check` to know."""
        if identity is None or identity.type not in (_NAME, _NAME_AND_PASSCODE) or not self._passwords:
            return _REFUSED if self._required else _ANYONE
        known = self._passwords.get(_stated(identity))
        if known is None:
            return _REFUSED
        name, password = known
        if password is None:
            return Verdict(accepted=True, user=name)
        if identity.type != _NAME_AND_PASSCODE:
            return _REFUSED
        if password.slow and self._digest(identity) not in self._right:
            return None
        right = password.slow or password.matches(identity.secondary)
        return Verdict(accepted=True, user=name) if right else _REFUSED

    async def check(self, identity: UserIdentity) -> Verdict:
        """Return the verdict that `judge` left open."""
        name, password = self._passwords[_stated(identity)]
        async with self._turn:
            if verdict := self.judge(identity):  # another association of this user was first
                return verdict
            if password is None or not await asyncio.to_thread(password.matches, identity.secondary):
                return _REFUSED
            self._remember(identity)
        return Verdict(accepted=True, user=name)

    def _remember(self, identity: UserIdentity) -> None:
        if len(self._right) >= _MOST_REMEMBERED:
            del self._right[next(iter(self._right))]
        self._right[self._digest(identity)] = None

    def _digest(self, identity: UserIdentity) -> bytes:
        stated = len(identity.primary).to_bytes(4, "big") + identity.primary + identity.secondary
        return hmac.digest(self._secret, stated, hashlib.sha256)


def _stated(identity: UserIdentity) -> bytes:
    return identity.primary.rstrip(b"\0 ")  # padded by some
