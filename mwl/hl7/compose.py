"""Outgoing messages: from the fields a system profile names to the bytes of ER7.

A field stands where the profile says, whatever the version knows of it.  (hl7apy loses empty
components behind those a version defines, puts fields of 2.7 and later in the wrong place, and takes
no field that a version does not have; in the tests it judges what is written here.)  Control
characters become spaces: what is told to a RIS is single lines (numbers, codes, instants, names).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import groupby

from mwl.hl7.escapes import USUAL, escape
from mwl.hl7.labels import codec_of
from mwl.mapping.systems.status_template import OutgoingMessage, Value
from mwl.mapping.text.romanise import transliterate

_CONTROLS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")
_CHARACTER_SET = 18  # of MSH
_UTF_8 = "utf-8"


def compose(message: OutgoingMessage) -> bytes:
    r"""Return *message* as ER7, segments ended by CR; the delimiters are ``|^~\&``.

    It is written in the character set its MSH-18 names, in UTF-8 where that names none that is known;
    letters that set lacks are transliterated.
    """
    codec = _codec(message)
    segments = (_segment(name, fields, codec) for name, fields in message.segments)
    return "".join(f"{segment}\r" for segment in segments).encode(codec)


def _codec(message: OutgoingMessage) -> str:
    header = next((fields for name, fields in message.segments if name == "MSH"), {})
    label = _field(header.get(_CHARACTER_SET, ""), _UTF_8).partition(USUAL.repetition)[0]
    return (codec_of(label) if label else None) or _UTF_8


def _segment(name: str, fields: Mapping[int, Value], codec: str) -> str:
    written = {number: _field(value, codec) for number, value in fields.items()}
    if name == "MSH":  # MSH-1 is the separator itself (D-22)
        written |= {1: "", 2: USUAL.declared}
    last = max((number for number, text in written.items() if text), default=0)
    parts = [name, *(written.get(number, "") for number in range(1, last + 1))]
    if name == "MSH":
        del parts[1]
    return USUAL.field.join(parts)


def _field(value: Value, codec: str) -> str:
    """Return a field without the empty parts at the end of it and of its components."""
    if isinstance(value, str):
        return _text(value, codec)
    d = USUAL
    repetitions = [
        d.component.join(
            d.subcomponent.join(_text(part, codec) for part in component).rstrip(d.subcomponent)
            for component in repetition
        ).rstrip(d.component)
        for repetition in value
    ]
    return d.repetition.join(repetitions) if any(repetitions) else ""


def _text(text: str, codec: str) -> str:
    return escape(_fitted(_CONTROLS.sub(" ", text), codec))


def _fitted(text: str, codec: str) -> str:
    if _holds(text, codec):
        return text
    runs = groupby(text, key=lambda char: _holds(char, codec))
    return "".join("".join(run) if held else transliterate("".join(run)) for held, run in runs)


def _holds(text: str, codec: str) -> bool:
    try:
        text.encode(codec)
    except UnicodeEncodeError:
        return False
    return True
