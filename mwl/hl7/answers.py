"""What a receiver answers to a message of ours: an acknowledgement, or nothing that can be used."""

from __future__ import annotations

from dataclasses import dataclass

from mwl.errors import NotUnderstood
from mwl.hl7.message import Message, parse
from mwl.hl7.sender import Nonsense

ACCEPTED = frozenset({"AA", "CA"})
REFUSED = frozenset({"AE", "AR", "CE", "CR"})
_SAID = 200  # octets that are kept of an answer that is none


@dataclass(frozen=True, slots=True)
class Answer:
    """An acknowledgement."""

    code: str  # MSA-1
    control_id: str  # MSA-2: of the message it answers; "" where the receiver leaves it out
    text: str  # why, where it refuses: it may quote the patient

    @property
    def accepted(self) -> bool:
        """Whether the receiver has the message, and will not have it again."""
        return self.code in ACCEPTED

    @property
    def reason(self) -> str:
        """Code and text, for a person."""
        return f"{self.code} {self.text}".strip()


def read_answer(payload: bytes) -> Answer:
    """Return the acknowledgement that *payload* is; raise `Nonsense` for anything else."""
    try:
        message = parse(payload.decode("utf-8", "replace"))
    except NotUnderstood:
        raise Nonsense("the answer is not an HL7 message", said=payload[:_SAID]) from None
    code, answered, text = (_first(message, "MSA", field).strip() for field in (1, 2, 3))
    if code not in ACCEPTED | REFUSED:
        raise Nonsense("the answer is not an acknowledgement", said=payload[:_SAID])
    # From 2.5 on the reason stands in ERR: what a user reads, else the condition.
    return Answer(code, answered, text or _first(message, "ERR", 8) or _first(message, "ERR", 3, 2))


def answer_to(control_id: str, payload: bytes) -> Answer:
    """Return the acknowledgement of the message *control_id*; raise `Nonsense` for anything else."""
    answer = read_answer(payload)
    if answer.control_id not in ("", control_id):  # some leave it out: one message is under way at a time
        raise Nonsense("the answer is to another message", said=payload[:_SAID])
    return answer


def _first(message: Message, segment: str, field: int, component: int = 1) -> str:
    repetitions = message.field(segment, 1, field)
    components = repetitions[0] if repetitions else ()
    return components[component - 1][0] if len(components) >= component else ""
