"""The Verification SCP: C-ECHO (PS3.4 Annex A)."""

from __future__ import annotations

from mwl.dicom import status
from mwl.dicom.service import C_ECHO_RQ, Reply, Request

VERIFICATION = "1.2.840.10008.1.1"


class VerificationService:
    """Says that the broker is there."""

    sop_classes = (VERIFICATION,)
    operations = frozenset({C_ECHO_RQ})

    async def handle(self, request: Request, reply: Reply) -> None:  # noqa: ARG002 - part of the protocol
        """Answer one C-ECHO-RQ."""
        await reply.send(status.SUCCESS)
