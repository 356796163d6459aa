"""The requestor against an application that is not ours: pynetdicom's AE as the provider."""

from __future__ import annotations

import gc
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (
    ModalityPerformedProcedureStep,
    ModalityWorklistInformationFind,
    Verification,
)

from mwl.dicom import requestor
from mwl.dicom.requestor import Failed, Peer
from mwl.errors import MwlError, Unavailable
from mwl.model import Document, items, text

IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
CLASSES = (Verification, ModalityWorklistInformationFind, ModalityPerformedProcedureStep)
KEYS: Document = {
    "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "", "Ideographic": "王*"}]},
    "00400100": {"vr": "SQ", "Value": [{
        "00400002": {"vr": "DA", "Value": ["20260705-20260706"]},
        "00080060": {"vr": "CS", "Value": ["C*"]},
    }]},
}  # fmt: skip


class Provider:
    """A foreign provider; *handlers* answer, *released* and *aborted* count how associations ended."""

    def __init__(self) -> None:
        self.entity = AE(ae_title="SCP")
        self.released, self.aborted = threading.Semaphore(0), threading.Semaphore(0)
        self.server: Any = None

    def start(self, *handlers: Any, classes: tuple[str, ...] = CLASSES, syntax: str = EXPLICIT) -> Peer:
        for sop_class in classes:
            self.entity.add_supported_context(sop_class, syntax)
        ends = [
            (evt.EVT_RELEASED, lambda _: self.released.release()),
            (evt.EVT_ABORTED, lambda _: self.aborted.release()),
        ]
        self.server = self.entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[*handlers, *ends])
        return Peer("127.0.0.1", self.server.server_address[1], "SCP", "CT1", transfer_syntaxes=(syntax,))


@pytest.fixture(autouse=True)
def _swept() -> Iterator[None]:
    """Collect the sockets that pynetdicom forgets to close when it fails, and say nothing of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        for thread in threading.enumerate():
            if isinstance(thread, Association):
                thread.join(30)
        gc.collect()


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A provider to be started."""
    made = Provider()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pydicom, about ranges and wildcards in a provider's hands
        yield made
    if made.server is not None:
        made.server.shutdown()


def item(name: str, patient_id: str) -> Dataset:
    """Return a worklist item as a provider makes it."""
    step = Dataset()
    step.Modality, step.ScheduledProcedureStepID = "CT", f"S{patient_id}"
    found = Dataset()
    found.SpecificCharacterSet = "ISO_IR 192"
    found.PatientName, found.PatientID = name, patient_id
    found.ScheduledProcedureStepSequence = [step]
    return found


def test_an_echo_is_answered_and_the_association_released(provider: Provider) -> None:
    """C-ECHO, then A-RELEASE."""
    callers: list[str] = []
    peer = provider.start((evt.EVT_C_ECHO, lambda event: callers.append(event.assoc.requestor.ae_title) or 0))

    requestor.echo(peer)

    assert callers == ["CT1"]
    assert provider.released.acquire(timeout=30)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG_ENDIAN])
def test_what_matches_comes_back_as_documents(provider: Provider, syntax: str) -> None:
    """Whatever the transfer syntax; FF00 and FF01 are matches, the final response is none."""
    asked: list[Dataset] = []

    def answer(event: Any) -> Iterator[Any]:
        asked.append(event.identifier)
        yield 0xFF00, item("Wang^XiaoDong=王^小东", "1")
        yield 0xFF01, item("Müller^Jürgen", "2")

    found = requestor.find(provider.start((evt.EVT_C_FIND, answer), syntax=syntax), KEYS)

    (identifier,) = asked
    assert str(identifier.PatientName) == "=王*"
    assert identifier.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate == "20260705-20260706"
    assert identifier.ScheduledProcedureStepSequence[0].Modality == "C*"
    assert [text(each, "00100010") for each in found] == ["Wang^XiaoDong=王^小东", "Müller^Jürgen"]
    assert [text(next(items(each, "00400100")), "00400009") for each in found] == ["S1", "S2"]


def test_no_match_is_no_failure(provider: Provider) -> None:
    """0000 alone."""
    peer = provider.start((evt.EVT_C_FIND, lambda event: iter(())))

    assert requestor.find(peer, KEYS) == []


def test_a_failed_query_is_no_empty_list(provider: Provider) -> None:
    """A-14: matches before it do not hide it; the status and the comment are told, the association released."""

    def fail(event: Any) -> Iterator[Any]:
        yield 0xFF00, item("DOE^JANE", "1")
        status = Dataset()
        status.Status, status.ErrorComment = 0xA700, "too many"
        yield status, None

    with pytest.raises(Failed, match=r"^C-FIND was answered with A700: too many$") as failed:
        requestor.find(provider.start((evt.EVT_C_FIND, fail)), KEYS)

    assert failed.value.status == 0xA700
    assert provider.released.acquire(timeout=30)


def test_an_unreadable_match_is_not_passed_over(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """An item that cannot be decoded is a patient nobody would see."""
    peer = provider.start((evt.EVT_C_FIND, lambda event: iter([(0xFF00, item("DOE^JANE", "1"))])))
    monkeypatch.setattr("pynetdicom.association.decode", lambda *_: (_ for _ in ()).throw(ValueError))

    with pytest.raises(MwlError, match="cannot be read"):
        requestor.find(peer, KEYS)


def test_a_performed_step_is_created_and_set(provider: Provider) -> None:
    """N-CREATE with its UID, N-SET on it."""
    seen: list[tuple[str, str, str]] = []

    def created(event: Any) -> Any:
        data = event.attribute_list
        seen.append(("create", event.request.AffectedSOPInstanceUID, str(data.PerformedProcedureStepStatus)))
        return 0x0000, data

    def changed(event: Any) -> Any:
        data = event.modification_list
        seen.append(("set", event.request.RequestedSOPInstanceUID, str(data.PerformedProcedureStepStatus)))
        return 0x0000, data

    peer = provider.start((evt.EVT_N_CREATE, created), (evt.EVT_N_SET, changed))

    requestor.create_performed(peer, "1.2.3", {"00400252": {"vr": "CS", "Value": ["IN PROGRESS"]}})
    requestor.set_performed(peer, "1.2.3", {"00400252": {"vr": "CS", "Value": ["COMPLETED"]}})

    assert seen == [("create", "1.2.3", "IN PROGRESS"), ("set", "1.2.3", "COMPLETED")]


@pytest.mark.parametrize(
    ("status", "fails"), [(0x0000, False), (0x0107, False), (0x0111, True), (0x0110, True)]
)
def test_a_warning_says_that_it_was_done(provider: Provider, status: int, fails: bool) -> None:
    """PS3.7 Annex C: 0107 was performed; a failure tells its status."""
    peer = provider.start((evt.EVT_N_CREATE, lambda event: (status, None)))
    attributes: Document = {"00400252": {"vr": "CS", "Value": ["IN PROGRESS"]}}

    if not fails:
        requestor.create_performed(peer, "1.2.3", attributes)
        return
    with pytest.raises(Failed) as failed:
        requestor.create_performed(peer, "1.2.3", attributes)

    assert failed.value.status == status
    assert not failed.value.temporary


# --- who cannot be asked -------------------------------------------------------------------------


def test_a_rejected_association_says_why(provider: Provider) -> None:
    """The reason of A-ASSOCIATE-RJ."""
    provider.entity.require_calling_aet = ["MR1"]
    peer = provider.start()

    with pytest.raises(
        Unavailable, match=r"^SCP at .* rejected the association of CT1: Calling AE title not"
    ):
        requestor.echo(peer)


def test_a_peer_that_offers_something_else_is_told_from_one_that_is_not_there(provider: Provider) -> None:
    """It accepted the association and no presentation context."""
    peer = provider.start(classes=(Verification,))

    with pytest.raises(Unavailable, match="accepted no presentation context"):
        requestor.find(peer, KEYS)


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("host", ["127.0.0.1", "nobody.invalid"])
def test_a_peer_that_is_not_there_cannot_be_reached(host: str) -> None:
    """Nobody listens, or nobody has that name."""
    with pytest.raises(Unavailable, match=rf"^SCP at {host}:\d+ cannot be reached"):
        requestor.echo(Peer(host, free_port(), "SCP", timeout=10))


@pytest.fixture
def raw() -> Iterator[Callable[[Callable[[socket.socket], None]], Peer]]:
    """Start a server of one connection that does what it is told."""
    server = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def start(behave: Callable[[socket.socket], None]) -> Peer:
        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                behave(connection)

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return Peer("127.0.0.1", server.getsockname()[1], "SCP", timeout=1)

    yield start
    for thread in threads:
        thread.join(30)
    server.close()


def drain(connection: socket.socket) -> None:
    """Read until the peer gives up."""
    while connection.recv(65536):
        pass


@pytest.mark.parametrize("behave", [drain, lambda connection: connection.recv(10)], ids=["silent", "closing"])
def test_a_peer_that_does_not_negotiate_is_given_up(raw: Any, behave: Any) -> None:
    """It connected, and said nothing in time or closed the connection."""
    with pytest.raises(Unavailable, match="did not answer the request for an association"):
        requestor.echo(raw(behave))


def test_a_peer_that_aborts_after_the_request_did_not_answer(provider: Provider) -> None:
    """No status came."""
    peer = provider.start((evt.EVT_C_ECHO, lambda event: event.assoc.abort()))

    with pytest.raises(Unavailable, match="C-ECHO was not answered"):
        requestor.echo(peer)


def test_an_association_that_ended_before_the_request_is_no_defect(provider: Provider) -> None:
    """pynetdicom refuses to send on it; the caller hears that the peer is not available."""
    peer = provider.start()

    def late() -> None:
        with requestor.associated(peer, Verification) as association:
            association.abort()
            association.send_c_echo()

    with pytest.raises(Unavailable, match="ended the association"):
        late()


def test_a_defect_aborts_the_association(provider: Provider) -> None:
    """And is not dressed up as the peer's fault."""
    peer = provider.start()

    with pytest.raises(RuntimeError), requestor.associated(peer, Verification):
        raise RuntimeError

    assert provider.aborted.acquire(timeout=30)
