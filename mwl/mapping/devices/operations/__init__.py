"""The operations a device profile is made of, P4 to P36; importing this enters every one of them."""

from __future__ import annotations

from mwl.mapping.devices.operations import (
    accept,
    alias,
    code,
    codec,
    copies,
    dedupe,
    edits,
    encode,
    forms,
    keys,
    map,  # noqa: A004 - the word is the reference's
    merge,
    order,
    performed,
    pn,
    require,
    select,
    session,
    shape,
    sources,
    split,
    sugar,
    template,
    text,
    truncate,
    uid,
    wildcard,
    window,
)
from mwl.mapping.devices.operations.operation import OPERATIONS

__all__ = [
    "OPERATIONS", "accept", "alias", "code", "codec", "copies", "dedupe", "edits", "encode", "forms", "keys",
    "map", "merge", "order", "performed", "pn", "require", "select", "session", "shape", "sources", "split",
    "sugar", "template", "text", "truncate", "uid", "wildcard", "window",
]  # fmt: skip
