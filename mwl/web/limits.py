"""Which limits of the HTTP side can strike a client, and which setting moves each of them."""

from __future__ import annotations

from enum import StrEnum

from mwl import metrics


class Limit(StrEnum):
    """One limit, by the name it has in figures and events."""

    CONNECTIONS = "connections"
    PER_ADDRESS = "per address"
    HANDSHAKE = "handshake"
    REQUEST = "request"  # from its connection, or its first octet, to its last
    WRITE = "write"  # without the client reading its answer
    HEAD = "head"  # of a request


SETTINGS = {
    Limit.CONNECTIONS: "web.limits.connections",
    Limit.PER_ADDRESS: "web.limits.per_address",
    Limit.HANDSHAKE: "web.limits.handshake",
    Limit.REQUEST: "web.limits.request",
    Limit.WRITE: "web.limits.request",
}
"""The setting that moves a limit; the other is fixed, far above what a client sends."""

ANSWERS = {
    Limit.CONNECTIONS: "503; under TLS closed",
    Limit.PER_ADDRESS: "503; under TLS closed",
    Limit.HANDSHAKE: "closed",
    Limit.REQUEST: "408",
    Limit.WRITE: "closed",
    Limit.HEAD: "400",
}
"""What a client hears of a limit that strikes it."""


def struck(limit: Limit) -> dict[str, str]:
    """Count that *limit* struck; return the fields that say so in the log."""
    metrics.web_limits_struck.labels(limit.value).inc()
    return {"limit": limit.value, **({"setting": SETTINGS[limit]} if limit in SETTINGS else {})}
