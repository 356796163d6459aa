"""N-EVENT-REPORT of the MPPS Notification SOP class: what happened to a performed step (PS3.4 F.9).

The broker is the SCP, and calls: notifications outlive the association in which anything happened, so
who hears of them is configured (B-21).  The one who calls is an SCU unless both agree otherwise, hence
the role selection.  A notification has no event information; who wants to know more asks by N-GET.
"""

from __future__ import annotations

from pydicom.uid import UID
from pynetdicom import build_role
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.presentation import build_context

from mwl.dicom.carrier import Answer, Carrier
from mwl.dicom.requestor import Peer, at
from mwl.errors import Unavailable
from mwl.store.onward import Notice

NOTIFICATION = "1.2.840.10008.3.1.2.3.5"
OPERATION = "N-EVENT-REPORT"


class Notifying:
    """Tells one peer."""

    def __init__(self, peer: Peer) -> None:
        self._carrier = Carrier(peer, [build_role(NOTIFICATION, scp_role=True)])

    def send(self, uid: str, notice: Notice) -> Answer:
        """Report one event and return the answer; raise `Unavailable`, `Unanswered` once it has left."""
        syntaxes = list(self._carrier.peer.transfer_syntaxes)
        accepted = self._carrier.contexts([build_context(NOTIFICATION, syntaxes)])
        context = next((each for each in accepted if each.as_scp), None)
        if context is None:
            self.close()
            raise Unavailable(
                f"{at(self._carrier.peer)} does not accept the broker as provider of notifications"
            )
        report = N_EVENT_REPORT()
        report.AffectedSOPClassUID, report.AffectedSOPInstanceUID = UID(NOTIFICATION), UID(uid)
        report.EventTypeID = notice.value
        return self._carrier.ask(context, report)

    def close(self) -> None:
        """End the association, if there is one."""
        self._carrier.close()

    def hang_up(self) -> None:
        """Give up what is under way, for good, from any thread."""
        self._carrier.hang_up()
