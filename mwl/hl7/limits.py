"""Which limits of the MLLP listener can strike a sender, and which setting moves each of them.

A connection too many is closed and not answered: AR would be an answer to a message, and there are
senders that take it for the last word; one that finds the connection closed keeps its message.
"""

from __future__ import annotations

from enum import StrEnum

from mwl import metrics


class Limit(StrEnum):
    """One limit, by the name it has in figures and events."""

    CONNECTIONS = "connections"
    PER_ADDRESS = "per address"
    HANDSHAKE = "handshake"
    IDLE = "idle"
    SILENCE = "silence"  # inside a message
    MESSAGE = "message"  # from a message's first octet to its last
    WRITE = "write"  # without the sender reading its answer
    FRAME = "frame"


SETTINGS = {
    Limit.CONNECTIONS: "hl7.limits.connections",
    Limit.PER_ADDRESS: "hl7.limits.per_address",
    Limit.HANDSHAKE: "hl7.limits.handshake",
    Limit.IDLE: "hl7.limits.idle",
    Limit.SILENCE: "hl7.limits.silence",
    Limit.MESSAGE: "hl7.limits.message",
    Limit.WRITE: "hl7.limits.silence",
    Limit.FRAME: "hl7.limits.frame",
}
"""The setting that moves a limit."""

ANSWERS = {
    **dict.fromkeys(Limit, "closed"),
    Limit.CONNECTIONS: "a further connection is closed",
    Limit.PER_ADDRESS: "a further connection is closed",
    Limit.FRAME: "AR, condition 207; the rest is skipped",
}
"""What a sender hears of a limit that strikes it."""


def struck(limit: Limit) -> dict[str, str]:
    """Count that *limit* struck; return the fields that say so in the log."""
    metrics.hl7_limits_struck.labels(limit.value).inc()
    return {"limit": limit.value, "setting": SETTINGS[limit]}
