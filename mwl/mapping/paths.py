"""Where in a worklist item an attribute stands, as engineers write it, and reading and writing there.

A path is a keyword, ``(gggg,eeee)`` or eight hexadecimal digits; dots lead into the first item of a
sequence, and ``SPS.`` is short for the step's sequence.  A document is never changed: `put` and `drop`
return a new one that shares every part they did not touch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydicom.datadict import (
    dictionary_has_tag,
    dictionary_keyword,
    dictionary_VR,
    keyword_dict,
    tag_for_keyword,
)

from mwl.model import STEP_SEQUENCE, Document, Element
from mwl.query import Path
from mwl.yamldoc import suggestion

_STEP = "SPS"
_TAG = re.compile(r"\(?([0-9A-Fa-f]{4}),?([0-9A-Fa-f]{4})\)?")
_NOTHING: Element = {}
_MAX_DEPTH = 8  # the deepest path of the worklist's own table has four levels (A.3)


def keyword(tag: str) -> str:
    """Return the keyword of *tag*, or ``(gggg,eeee)`` where the dictionary has none."""
    try:
        return dictionary_keyword(int(tag, 16)) or _plain(tag)
    except KeyError:
        return _plain(tag)


@lru_cache(maxsize=4096)
def vr(tag: str) -> str:
    """Return the value representation of *tag*; "UN" where the dictionary does not know it.

    Where the dictionary leaves a choice ("US or SS") the first is taken.
    """
    try:
        return dictionary_VR(int(tag, 16)).split(" ")[0]
    except KeyError:
        return "UN"


@lru_cache(maxsize=4096)
def known(tag: str) -> bool:
    """Tell whether the data dictionary holds *tag*."""
    return dictionary_has_tag(int(tag, 16))


def is_private(tag: str) -> bool:
    """Tell whether *tag* belongs to a private group (an odd one)."""
    return int(tag[:4], 16) % 2 == 1


def tag(keyword: str) -> str:
    """Return the tag of *keyword*; raise `KeyError` for one the dictionary does not hold."""
    found = tag_for_keyword(keyword) if keyword else None  # retired tags have "" for a keyword
    if found is None:
        raise KeyError(keyword)
    return f"{found:08X}"


def suggest_keyword(name: str) -> str:
    """Return ": did you mean 'PatientName'?" for a keyword close to *name*, else ""."""
    return suggestion(name, keyword_dict)


@lru_cache(maxsize=4096)
def parse_path(text: str) -> Path:
    """Return the tags that *text* names, from the root; raise `ValueError` where it names none."""
    parts = text.split(".")
    if len(parts) > _MAX_DEPTH:
        raise ValueError(f"the path {text!r} is nested too deeply")
    path = tuple(_part(part, text) for part in parts)
    for sequence in path[:-1]:
        if vr(sequence) not in ("SQ", "UN"):
            raise ValueError(f"{keyword(sequence)} in {text!r} is no sequence: nothing stands inside it")
    return path


def _part(part: str, text: str) -> str:
    if part == _STEP:
        return STEP_SEQUENCE
    if match := _TAG.fullmatch(part):
        return (match[1] + match[2]).upper()
    try:
        return tag(part)
    except KeyError:
        where = "" if part == text else f" in {text!r}"
        if not part.strip():
            raise ValueError(f"the name of an attribute is missing{where}") from None
        raise ValueError(f"unknown attribute {part!r}{where}{suggest_keyword(part)}") from None


def show(path: Path) -> str:
    """Return *path* as engineers write it: ``SPS.Modality``."""
    names = [keyword(each) for each in path]
    if len(path) > 1 and path[0] == STEP_SEQUENCE:
        names[0] = _STEP
    return ".".join(names)


def _plain(tag: str) -> str:
    return f"({tag[:4]},{tag[4:]})".lower()


def get(document: Mapping[str, Element], path: Path) -> Element | None:
    """Return the element at *path*, looking into the first item of each sequence on the way."""
    for sequence in path[:-1]:
        items = document.get(sequence, _NOTHING).get("Value")
        if not items or not isinstance(items[0], dict):
            return None
        document = items[0]
    return document.get(path[-1])


def put(document: Document, path: Path, element: Element) -> Document:
    """Return *document* with *element* at *path*; a sequence on the way that has no item gets one."""
    head, *rest = path
    if not rest:
        return {**document, head: element}
    items: list[Any] = document.get(head, _NOTHING).get("Value") or [{}]
    first = items[0] if isinstance(items[0], dict) else {}
    inner = put(first, tuple(rest), element)
    return {**document, head: {"vr": "SQ", "Value": [inner, *items[1:]]}}


def drop(document: Document, path: Path) -> Document:
    """Return *document* without the element at *path*; the same document where there is none."""
    if get(document, path) is None:
        return document
    head, *rest = path
    if not rest:
        return {each: element for each, element in document.items() if each != head}
    items = document[head]["Value"]
    inner = drop(items[0], tuple(rest))
    return {**document, head: {"vr": "SQ", "Value": [inner, *items[1:]]}}
