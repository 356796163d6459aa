"""UIDs (PS3.5 chapter 9)."""

from __future__ import annotations

import re
import uuid

from pydicom import config
from pydicom.uid import UID

_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+", re.ASCII)


def is_uid(text: str) -> bool:
    """Tell whether *text* has the form of a UID (PS3.5 9.1): no leading zeros, 64 characters."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def new_uid() -> str:
    """Return a new UID derived from a random UUID (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid4().int}"


def named(uid: str) -> str:
    """Return a UID with the name that the standard gives it; alone where it gives none."""
    name = UID(uid, validation_mode=config.IGNORE).name
    return uid if name == uid else f"{name} ({uid})"
