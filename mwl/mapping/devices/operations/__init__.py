"""The operations a device profile is made of, P4 to P34; importing this enters every one of them."""

from __future__ import annotations

from mwl.mapping.devices.operations import (
    accept,
    alias,
    code,
    copies,
    edits,
    encode,
    forms,
    keys,
    require,
    select,
    session,
    shape,
    template,
    text,
    truncate,
)
from mwl.mapping.devices.operations.operation import OPERATIONS

__all__ = [
    "OPERATIONS", "accept", "alias", "code", "copies", "edits", "encode", "forms", "keys", "require",
    "select", "session", "shape", "template", "text", "truncate",
]  # fmt: skip
