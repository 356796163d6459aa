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
    CONNECTIONS = "connections"
    ARTIM = "artim"
    HANDSHAKE = "handshake"
    IDLE = "idle"
    MESSAGE = "message"  # from a message's first octet to its last
    WRITE = "write"  # without the peer reading anything
    PDU = "pdu"
    COMMAND_SET = "command set"
    DATA_SET = "dataset"


SETTINGS = {
    Limit.ASSOCIATIONS: "dicom.limits.associations",
    Limit.CONNECTIONS: "dicom.limits.associations",  # twice as many
    Limit.ARTIM: "dicom.limits.artim",
    Limit.IDLE: "dicom.limits.idle",
    Limit.DATA_SET: "dicom.limits.dataset",
}
"""The setting that moves a limit; the others are fixed, far above what a device does."""


def struck(limit: Limit) -> dict[str, str]:
    """Count that *limit* struck; return the fields that say so in the log."""
    metrics.limits_struck.labels(limit.value).inc()
    fields = {"limit": limit.value}
    if limit in SETTINGS:
        fields["setting"] = SETTINGS[limit]
    return fields
