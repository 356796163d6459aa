"""Outgoing messages: from the fields a system profile names to ER7, by hl7apy.

hl7apy takes text whose separators are escaped already and gives other escapes back escaped once
more, so a line break becomes a space here: what is told to a RIS is single lines (numbers, codes,
instants, names).
"""

from __future__ import annotations

from mwl.hl7.message import escape
from mwl.mapping.status_template import OutgoingMessage, Value


def compose(message: OutgoingMessage) -> str:
    """Return *message* as ER7, segments ended by CR; the delimiters are ``|^~\\&``."""
    # Importing hl7apy costs 60 ms and 16 MB: only a broker that has something to tell pays it.
    from hl7apy.consts import VALIDATION_LEVEL
    from hl7apy.core import Message, Segment

    tolerant = VALIDATION_LEVEL.TOLERANT
    structure = message.structure
    composed = Message(structure, version=message.version, validation_level=tolerant)
    for name, fields in message.segments:
        if name == "MSH":
            segment = composed.msh
        else:
            segment = Segment(name, version=message.version, validation_level=tolerant)
        for number, value in sorted(fields.items()):
            field = f"{name.lower()}_{number}"
            for index, text in enumerate(_repetitions(value)):
                # The first replaces hl7apy's default.  Given together, what stands between them is escaped.
                if index == 0:
                    setattr(segment, field, text)
                else:
                    segment.add_field(field).value = text
        if name != "MSH":
            composed.add(segment)
    return str(composed.to_er7()) + "\r"


def _repetitions(value: Value) -> list[str]:
    """Return the repetitions of one field, each as components of sub-components; none of an empty field."""
    if isinstance(value, str):
        return [_escaped(value)] if value else []
    components = [["&".join(map(_escaped, part)).rstrip("&") for part in repetition] for repetition in value]
    texts = ["^".join(parts).rstrip("^") for parts in components]
    return texts if any(texts) else []


def _escaped(text: str) -> str:
    return escape(" ".join(text.splitlines()))
