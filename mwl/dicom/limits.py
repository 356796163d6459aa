"""Which limits of the acceptor can strike a peer, and which setting moves each of them.

How much each one allows stands where it is enforced; here is what a person sees when it strikes: the
figure in `/metrics`, and the fields `limit` and `setting` in the event that tells of it.
"""

from __future__ import annotations

from enum import StrEnum

from mwl import metrics


class Limit(StrEnum):
    """One limit, by the name it has in figures and events."""

    ASSOCIATIONS = "associations"
    PER_ADDRESS = "per address"
    CONNECTIONS = "connections"
    ARTIM = "artim"
    HANDSHAKE = "handshake"
    IDLE = "idle"
    MESSAGE = "message"  # from a message's first octet to its last
    WRITE = "write"  # without the peer reading anything
    PDU = "pdu"
    COMMAND_SET = "command set"
    IDENTIFIER = "identifier"
    DATA_SET = "dataset"
    QUERIES = "queries"


SETTINGS = {
    Limit.ASSOCIATIONS: "dicom.limits.associations",
    Limit.PER_ADDRESS: "dicom.limits.per_address",
    Limit.CONNECTIONS: "dicom.limits.associations",  # twice as many
    Limit.ARTIM: "dicom.limits.artim",
    Limit.HANDSHAKE: "dicom.limits.handshake",
    Limit.IDLE: "dicom.limits.idle",
    Limit.MESSAGE: "dicom.limits.message",
    Limit.WRITE: "dicom.limits.write",
    Limit.IDENTIFIER: "dicom.limits.identifier",
    Limit.DATA_SET: "dicom.limits.dataset",
    Limit.QUERIES: "dicom.limits.queries",
}
"""The setting that moves a limit; the others are fixed, far above what a device does."""

ANSWERS = {
    Limit.ASSOCIATIONS: "A-ASSOCIATE-RJ: transient, local limit exceeded (2, 3, 2)",
    Limit.PER_ADDRESS: "the same; of twice as many connections a further one is closed",
    Limit.CONNECTIONS: "a further connection is closed",
    Limit.ARTIM: "closed",
    Limit.HANDSHAKE: "closed",
    Limit.IDLE: "A-ABORT",
    Limit.MESSAGE: "A-ABORT",
    Limit.WRITE: "A-ABORT, closed",
    Limit.PDU: "A-ABORT: invalid PDU parameter value",
    Limit.COMMAND_SET: "A-ABORT: invalid PDU parameter value",
    Limit.IDENTIFIER: "A700",
    Limit.DATA_SET: "0213",
    Limit.QUERIES: "A700, a second later",
}
"""What a peer hears of a limit that strikes it."""


def struck(limit: Limit) -> dict[str, str]:
    """Count that *limit* struck; return the fields that say so in the log."""
    metrics.limits_struck.labels(limit.value).inc()
    return told(limit)


def told(limit: Limit) -> dict[str, str]:
    """Return the fields that name *limit* in the log."""
    fields = {"limit": limit.value}
    if limit in SETTINGS:
        fields["setting"] = SETTINGS[limit]
    return fields
