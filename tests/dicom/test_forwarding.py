"""Sending performed steps on to a foreign SCP: what arrives, and what its answers mean."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dicom.performing import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, STATUS, U1, element, encoded

from foreign.dicom.presence import program
from foreign.dicom.provider import Scripted
from foreign.dicom.receiver import Receiver, receiving, status
from mwl.dicom.carrier import Answer, Unanswered
from mwl.dicom.encoding import decode_dataset
from mwl.dicom.forwarding import Forwarding, Parcel, Unsendable, Verdict, verdict
from mwl.dicom.negotiation import IMPLEMENTATION_UID
from mwl.dicom.performed_notify import Notifying
from mwl.dicom.requestor import Peer
from mwl.errors import Unavailable
from mwl.model import Document, name_value
from mwl.store.onward import Notice

STEP: Document = {STATUS: element("CS", "IN PROGRESS"), "00400253": element("SH", "PPS1")}
ODD: Document = {**STEP, "00080060": element("CS", "ct-x"), "00281052": element("DS", "not a number")}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A foreign SCP that takes both little endian syntaxes."""
    with receiving() as made:
        yield made


def peer(receiver: Receiver, **more: Any) -> Peer:
    """Return where the receiver is."""
    return Peer("127.0.0.1", receiver.port, "ARCHIVE", "BROKER", timeout=10, **more)


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for archive.example, and its key."""
    key, chain = folder / "key.pem", folder / "certificate.pem"
    command = [program("openssl", "Debian: openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
               "-subj", "/CN=archive.example", "-addext", "subjectAltName=DNS:archive.example",
               "-keyout", str(key), "-out", str(chain)]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return chain, key


@pytest.fixture
def forwarding(receiver: Receiver) -> Iterator[Forwarding]:
    """The way to it."""
    made = Forwarding(peer(receiver))
    yield made
    made.close()


def test_a_burst_shares_an_association(receiver: Receiver, forwarding: Forwarding) -> None:
    """N-CREATE and N-SET, under the broker's title and implementation; after a close there is a new one."""
    answers = [
        forwarding.send(Parcel("N-CREATE", U1, encoded(STEP), EXPLICIT)),
        forwarding.send(Parcel("N-SET", U1, encoded({STATUS: element("CS", "COMPLETED")}), EXPLICIT)),
    ]
    forwarding.close()
    forwarding.send(Parcel("N-SET", U1, None))

    assert [str(answer) for answer in answers] == ["0000", "0000"]
    assert [(each.operation, each.uid, each.calling_ae) for each in receiver.told] == [
        ("N-CREATE", U1, "BROKER"), ("N-SET", U1, "BROKER"), ("N-SET", U1, "BROKER"),
    ]  # fmt: skip
    assert receiver.associations == 2


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_what_a_device_sent_arrives_to_the_byte(
    receiver: Receiver, forwarding: Forwarding, syntax: str
) -> None:
    """Values that are none of their VR, text under a label that lies, whatever length: in the device's syntax."""
    raw = encoded({**ODD, "00100010": element("PN", name_value("MÜLLER"))}, syntax, "ISO_IR 100")
    raw = raw.replace(b"ISO_IR 100", b"ISO_IR 192")

    forwarding.send(Parcel("N-CREATE", U1, raw, syntax))

    (told,) = receiver.told
    assert (told.raw, told.transfer_syntax) == (raw, syntax)


@pytest.mark.parametrize("syntax", [BIG_ENDIAN, DEFLATED])
def test_a_syntax_the_peer_does_not_take_is_written_in_another(
    receiver: Receiver, forwarding: Forwarding, syntax: str
) -> None:
    """Nothing but the layout differs: numbers are swapped, text is not read."""
    latin = {**ODD, "00100010": element("PN", name_value("MÜLLER")), "00280010": element("US", 258)}

    forwarding.send(Parcel("N-CREATE", U1, encoded(latin, syntax, "ISO_IR 100"), syntax))

    (told,) = receiver.told
    assert (told.transfer_syntax, told.raw) == (EXPLICIT, encoded(latin, EXPLICIT, "ISO_IR 100"))


def test_an_association_serves_requests_of_any_syntax(receiver: Receiver, forwarding: Forwarding) -> None:
    """The second device's syntax was not proposed for the first: it is written in one that was."""
    for syntax in (IMPLICIT, BIG_ENDIAN):
        forwarding.send(Parcel("N-CREATE", U1, encoded(STEP, syntax), syntax))

    assert [each.transfer_syntax for each in receiver.told] == [IMPLICIT, EXPLICIT]
    assert receiver.associations == 1


def test_canonical_values_are_sent_in_unicode(receiver: Receiver, forwarding: Forwarding) -> None:
    """With the label for it."""
    forwarding.send(Parcel("N-CREATE", U1, {**STEP, "00100010": element("PN", name_value("王^小东"))}))

    (told,) = receiver.told
    assert decode_dataset(told.raw, told.transfer_syntax) == {
        "00080005": element("CS", "ISO_IR 192"), "00100010": element("PN", name_value("王^小东")), **STEP,
    }  # fmt: skip


def test_a_data_set_that_cannot_be_written_is_not_sent(receiver: Receiver, forwarding: Forwarding) -> None:
    """The row has to be parked: it would fail again."""
    with pytest.raises(Unsendable):
        forwarding.send(Parcel("N-CREATE", U1, b"\x08\x00\x05\x00CS\xff\xff", BIG_ENDIAN))
    with pytest.raises(Unsendable):
        forwarding.send(Parcel("N-CREATE", U1, {"00280010": element("US", "x")}))

    assert receiver.told == []


def test_a_refusal_is_told_with_its_details(receiver: Receiver, forwarding: Forwarding) -> None:
    """Status, Error ID, comment; the association goes on."""
    receiver.reply = lambda told: status(0x0110, 0xA710, "no longer") if told.operation == "N-SET" else 0x0111

    created = forwarding.send(Parcel("N-CREATE", U1, encoded(STEP)))
    changed = forwarding.send(Parcel("N-SET", U1, encoded(STEP)))

    assert (created, str(changed)) == (Answer(0x0111), "0110, Error ID A710: no longer")
    assert receiver.associations == 1


def test_a_lost_answer_is_told_from_a_request_that_never_left(
    receiver: Receiver, forwarding: Forwarding
) -> None:
    """What was sent and not answered may have been done; the next request opens an association of its own."""
    receiver.reply = lambda told: None
    with pytest.raises(Unanswered):
        forwarding.send(Parcel("N-CREATE", U1, encoded(STEP)))
    receiver.reply = lambda told: 0x0000
    assert forwarding.send(Parcel("N-CREATE", U1, encoded(STEP))) == Answer(0)

    forwarding.close()
    receiver.deaf()
    with pytest.raises(Unavailable) as caught:
        forwarding.send(Parcel("N-CREATE", U1, encoded(STEP)))

    assert type(caught.value) is Unavailable
    assert "cannot be reached" in str(caught.value)


def test_an_association_that_the_peer_has_ended_is_opened_anew(receiver: Receiver) -> None:
    """Between two requests; nothing waits for ever."""
    made = Forwarding(peer(receiver))
    made.send(Parcel("N-CREATE", U1, encoded(STEP)))
    receiver.deaf()
    for thread in threading.enumerate():
        if type(thread).__name__ == "Association" and thread.is_acceptor:
            thread.abort()
            thread.join(10)
    receiver.listen()

    answer = made.send(Parcel("N-SET", U1, encoded(STEP)))
    made.close()

    assert (answer, receiver.associations) == (Answer(0), 2)


def test_a_peer_that_says_nothing_is_left_after_its_time() -> None:
    """Accepted and then silent: sent, unanswered."""
    silent = Scripted()
    made = Forwarding(Peer(*silent.at, "ARCHIVE", timeout=0.5))

    with pytest.raises(Unanswered):
        made.send(Parcel("N-CREATE", U1, encoded(STEP)))
    silent.close()


def test_a_peer_of_another_kind_is_unavailable() -> None:
    """It has to be configured: that may take as long as it likes."""
    with receiving(syntaxes=[BIG_ENDIAN]) as receiver:
        with pytest.raises(Unavailable, match="accepted no presentation context"):
            Forwarding(peer(receiver)).send(Parcel("N-CREATE", U1, encoded(STEP)))
        with pytest.raises(Unavailable, match="rejected the association of BROKER"):
            Forwarding(Peer("127.0.0.1", receiver.port, "OTHER", "BROKER")).send(Parcel("N-SET", U1, None))


def test_tls_is_spoken_to_whom_the_certificate_names(tmp_path: Path) -> None:
    """And to nobody else: another name, or a peer without TLS, gets no performed step."""
    chain, key = certificate(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain, key)
    client = ssl.create_default_context(cafile=str(chain))
    with receiving(tls=server) as receiver, receiving() as plain:
        made = Forwarding(peer(receiver, tls=client, certificate_name="archive.example"))
        answer = made.send(Parcel("N-CREATE", U1, encoded(STEP)))
        made.close()
        others = (
            peer(receiver, tls=client, certificate_name="other.example"),
            peer(plain, tls=client),
            peer(receiver),
        )
        for wrong in (replace(each, timeout=1) for each in others):
            with pytest.raises(Unavailable):
                Forwarding(wrong).send(Parcel("N-CREATE", U1, encoded(STEP)))

    assert (answer, len(receiver.told), plain.told) == (Answer(0), 1, [])


@pytest.mark.parametrize("notice", list(Notice))
def test_f_m27_a_subscriber_hears_of_every_event(receiver: Receiver, notice: Notice) -> None:
    """Types 1 to 5 of the class …3.5, from the provider of the association it did not ask for (B-21)."""
    notifying = Notifying(peer(receiver))

    answer = notifying.send(U1, notice)
    notifying.close()

    (told,) = receiver.told
    assert answer == Answer(0)
    assert (told.operation, told.uid, told.event_type) == ("N-EVENT-REPORT", U1, notice.value)
    assert (told.sop_class, told.roles) == ("1.2.840.10008.3.1.2.3.5", (False, True))


def test_a_subscriber_that_grants_no_role_is_unavailable() -> None:
    """Without the role the broker must not send (PS3.7 D.3.3.4)."""
    with receiving(scp=False) as receiver, pytest.raises(Unavailable, match="does not accept the broker"):
        Notifying(peer(receiver)).send(U1, Notice.COMPLETED)


def test_the_broker_says_who_it_is(receiver: Receiver, forwarding: Forwarding) -> None:
    """Its own implementation class UID, not the library's."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        heard: list[bytes] = []

        def hear() -> None:
            connection, _ = listening.accept()
            with connection:
                heard.append(connection.recv(65536))

        thread = threading.Thread(target=hear)
        thread.start()
        with pytest.raises(Unavailable):
            Forwarding(Peer(*listening.getsockname(), "ARCHIVE", timeout=5)).send(Parcel("N-SET", U1, None))
        thread.join(10)

    assert IMPLEMENTATION_UID.encode() in heard[0]


@pytest.mark.parametrize(
    ("operation", "code", "error_id", "resent", "ends", "expected"),
    [
        ("N-CREATE", 0x0000, None, False, False, Verdict.DELIVERED),
        ("N-CREATE", 0x0107, None, False, False, Verdict.DELIVERED),
        ("N-SET", 0x0116, None, False, True, Verdict.DELIVERED),
        ("N-CREATE", 0x0111, None, False, False, Verdict.REFUSED),
        ("N-CREATE", 0x0111, None, True, False, Verdict.DELIVERED),
        ("N-SET", 0x0111, None, True, True, Verdict.REFUSED),
        ("N-SET", 0x0110, 0xA710, False, True, Verdict.REFUSED),
        ("N-SET", 0x0110, 0xA710, True, True, Verdict.DELIVERED),
        ("N-SET", 0x0110, 0xA710, True, False, Verdict.REFUSED),
        ("N-SET", 0x0110, None, True, True, Verdict.REFUSED),
        ("N-SET", 0x0112, None, False, False, Verdict.REFUSED),
        ("N-CREATE", 0x0120, None, True, False, Verdict.REFUSED),
        ("N-CREATE", 0x0213, None, False, False, Verdict.AGAIN),
        ("N-EVENT-REPORT", 0x0113, None, False, False, Verdict.REFUSED),
        ("N-CREATE", 0xC999, None, False, False, Verdict.REFUSED),
    ],
)
def test_what_an_answer_means(
    operation: str, code: int, error_id: int | None, resent: bool, ends: bool, expected: Verdict
) -> None:
    """A refusal is for good, unless it says that the lost request had been heard."""
    assert verdict(operation, Answer(code, error_id), resent=resent, ends=ends) is expected
