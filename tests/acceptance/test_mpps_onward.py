"""Performed steps on a broker of its own process: sent on to foreign SCPs, told to subscribers, in any weather."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from acceptance.conftest import CONFIGURATION
from acceptance.mpps_vectors import created, ended, series
from foreign.dicom.performing import PynetdicomReporter, Request, Response
from foreign.dicom.presence import program
from foreign.dicom.receiver import Receiver, receiving, status

UID = "1.2.276.0.99.7.1"


@pytest.fixture
def archive() -> Iterator[Receiver]:
    """Another SCP of performed steps."""
    with receiving() as made:
        yield made


@pytest.fixture
def dose() -> Iterator[Receiver]:
    """One more."""
    with receiving(ae_title="DOSE") as made:
        yield made


@pytest.fixture
def viewer() -> Iterator[Receiver]:
    """A subscriber."""
    with receiving(ae_title="VIEWER") as made:
        yield made


def to(receiver: Receiver, ae_title: str = "ARCHIVE", **more: Any) -> dict[str, Any]:
    """Return how a peer is configured."""
    return {"ae_title": ae_title, "to": f"127.0.0.1:{receiver.port}", "answer_within": 5, **more}


def say(broker: Any, operation: str, attributes: Any, *, uid: str = UID, calling: str = "US1") -> Response:
    """Send one request, its numbers filled in."""
    filled = json.loads(json.dumps(attributes).replace("{n}", "1"))
    (response,) = PynetdicomReporter().report(
        broker.addresses["dicom"], [Request(operation, uid, filled, calling=calling)]
    )
    return response


def begin(broker: Any, **more: Any) -> None:
    """Report that an exam begins."""
    assert say(broker, "N-CREATE", created(), **more).status == 0


def end(broker: Any, **more: Any) -> None:
    """Report that it is over."""
    assert say(broker, "N-SET", ended(), **more).status == 0


def rows(broker: Any, destination: str) -> list[dict[str, Any]]:
    """Return what was or is to be sent to a peer, oldest first."""
    done = broker.run("outbox", "list", "--to", destination, "--json")
    assert done.returncode == 0, done.stderr
    return list(reversed(json.loads(done.stdout)))


def test_f_m05_of_many_at_once_one_creates_the_step(
    start_broker: Callable[..., Any], archive: Receiver
) -> None:
    """Eight associations, the same N-CREATE: one 0000, seven 0111; it is sent on once."""
    broker = start_broker(forward={"PACS": to(archive)})
    ready, found = threading.Barrier(8), []

    def create() -> None:
        ready.wait(30)
        found.append(say(broker, "N-CREATE", created()).status)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    archive.until(1)

    assert sorted(found) == [0x0000, *[0x0111] * 7]
    assert len(rows(broker, "PACS")) == 1


def test_performed_steps_are_sent_on_to_every_peer(
    start_broker: Callable[..., Any], archive: Receiver, dose: Receiver
) -> None:
    """To all their own devices' alone, N-CREATE before N-SET, with what the device sent."""
    forward = {"PACS": to(archive, calling_ae="MWL_FWD"), "DOSE": to(dose, "DOSE", devices=["CT1"])}
    broker = start_broker(forward=forward)
    begin(broker)
    end(broker)
    begin(broker, uid=f"{UID}.2", calling="CT1")

    came = archive.until(3)
    (other,) = dose.until(1)

    assert sorted((each.operation, each.uid) for each in came[:2]) == [("N-CREATE", UID), ("N-SET", UID)]
    assert [each.operation for each in came if each.uid == UID] == ["N-CREATE", "N-SET"]
    assert {each.calling_ae for each in came} == {"MWL_FWD"}
    assert str(came[0].attributes.ScheduledStepAttributesSequence[0].AccessionNumber) == "ACC1"
    (change,) = [each for each in came if each.operation == "N-SET"]
    assert len(change.attributes.PerformedSeriesSequence[0].ReferencedImageSequence) == 2
    assert (other.uid, other.calling_ae) == (f"{UID}.2", "MWL")


def test_f_m27_a_subscriber_hears_by_n_event_report(
    start_broker: Callable[..., Any], viewer: Receiver
) -> None:
    """1 when it begins, 4 when anything but the state is set, 2 when it is completed; in this order."""
    broker = start_broker(dicom={"ae_title": "MWL", "listen": "127.0.0.1:0",
                                 "subscribers": {"VIEW": to(viewer, "VIEWER")}})  # fmt: skip
    begin(broker)
    assert say(broker, "N-SET", {"PerformedSeriesSequence": series("1")}).status == 0
    end(broker)

    heard = viewer.until(3)

    assert [(each.event_type, each.uid) for each in heard] == [(1, UID), (4, UID), (2, UID)]
    assert {(each.sop_class, each.roles) for each in heard} == {("1.2.840.10008.3.1.2.3.5", (False, True))}


def test_a_peer_that_is_away_holds_up_nobody(
    start_broker: Callable[..., Any], archive: Receiver, dose: Receiver
) -> None:
    """Devices and other peers go on; when it is back it gets everything, in order."""
    archive.deaf()
    broker = start_broker(forward={"PACS": to(archive), "DOSE": to(dose, "DOSE")})
    begin(broker)
    end(broker)
    dose.until(2)
    warned = broker.until("performed steps cannot be sent on")
    archive.listen()

    came = archive.until(2)

    assert warned["destination"] == "PACS"
    assert [each.operation for each in came] == ["N-CREATE", "N-SET"]


def test_killed_while_it_sends_on_it_sends_the_rest_after_the_restart(
    start_broker: Callable[..., Any], archive: Receiver
) -> None:
    """The answer to the N-CREATE was lost with the process: 0111 says that it had arrived; the N-SET follows."""
    heard, killed = threading.Event(), threading.Event()

    def reply(told: Any) -> Any:
        if told.operation == "N-CREATE" and not killed.is_set():
            heard.set()
            killed.wait(60)
            return None
        return 0x0111 if told.operation == "N-CREATE" else 0x0000

    archive.reply = reply
    broker = start_broker(forward={"PACS": to(archive, answer_within=60)})
    begin(broker)
    assert heard.wait(60)
    end(broker)
    broker.kill()
    killed.set()
    since = len(broker.events)
    broker.start()

    came = archive.until(3)
    for _ in range(2):
        since = broker.events.index(broker.until("performed step sent on", since)) + 1

    assert [each.operation for each in came] == ["N-CREATE", "N-CREATE", "N-SET"]
    assert [(row["state"], row["attempts"]) for row in rows(broker, "PACS")] == [
        ("delivered", 2),
        ("delivered", 1),
    ]


def test_what_a_peer_refuses_waits_for_a_person(start_broker: Callable[..., Any], archive: Receiver) -> None:
    """Parked with its answer, shown with the request; sent again by hand, and delivered."""
    archive.reply = lambda told: status(0x0110, comment="disk full")
    broker = start_broker(forward={"PACS": to(archive)})
    begin(broker)
    broker.until("performed step not taken")
    (parked,) = rows(broker, "PACS")
    shown = broker.run("outbox", "show", str(parked["key"])).stdout
    plain = json.loads(broker.run("outbox", "show", str(parked["key"]), "--json").stdout)
    archive.reply = lambda told: 0x0000

    done = broker.run("outbox", "retry", str(parked["key"]))
    came = archive.until(2)
    broker.until("performed step sent on")

    assert (parked["state"], parked["last_error"]) == ("parked", "answered 0110: disk full")
    assert f"PACS, ARCHIVE at 127.0.0.1:{archive.port}" in shown
    assert "N-CREATE" in shown
    assert "PerformedStationAETitle" in shown
    assert plain["document"]["00400252"]["Value"] == ["IN PROGRESS"]
    assert done.returncode == 0
    assert [each.operation for each in came] == ["N-CREATE"] * 2
    assert [row["state"] for row in rows(broker, "PACS")] == ["delivered"]


def test_a_reload_changes_who_gets_performed_steps(
    start_broker: Callable[..., Any], archive: Receiver, dose: Receiver
) -> None:
    """From the next step on: one that has begun is ended where it was sent, and not in the middle elsewhere."""
    broker = start_broker(forward={"PACS": to(archive)})
    begin(broker)
    archive.until(1)
    broker.configure({**CONFIGURATION, "forward": {"PACS": to(archive), "DOSE": to(dose, "DOSE")}})
    broker.reload()
    end(broker)
    begin(broker, uid=f"{UID}.2")

    came = archive.until(3)
    (other,) = dose.until(1)

    assert {(each.operation, each.uid) for each in came} == {
        ("N-CREATE", UID), ("N-SET", UID), ("N-CREATE", f"{UID}.2"),
    }  # fmt: skip
    assert (other.operation, other.uid) == ("N-CREATE", f"{UID}.2")


def test_a_step_that_a_person_ends_is_ended_everywhere(
    start_broker: Callable[..., Any], archive: Receiver, viewer: Receiver
) -> None:
    """B-08: the peers that hold it in progress, and whoever listens, learn of it."""
    dicom = {"ae_title": "MWL", "listen": "127.0.0.1:0", "subscribers": {"VIEW": to(viewer, "VIEWER")}}
    broker = start_broker(forward={"PACS": to(archive)}, dicom=dicom)
    begin(broker)
    archive.until(1)
    (exam,) = json.loads(broker.run("performed", "list", "--json").stdout)

    done = broker.run("performed", "close", str(exam["key"]), "--discontinued", "--reason", "power cut")
    assert done.returncode == 0, done.stderr
    _, last = archive.until(2)
    heard = viewer.until(2)

    assert str(last.attributes.PerformedProcedureStepStatus) == "DISCONTINUED"
    assert [each.event_type for each in heard] == [1, 3]


def test_performed_steps_leave_under_tls(start_broker: Callable[..., Any], tmp_path: Path) -> None:
    """To the peer whose certificate comes from the authority that is trusted."""
    chain, key = _certificate(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain, key)
    with receiving(tls=server) as archive:
        tls = {"authorities": str(chain), "name": "archive.example"}
        broker = start_broker(forward={"PACS": to(archive, tls=tls)})
        checked = broker.run("check")
        begin(broker)

        (came,) = archive.until(1)

    assert came.operation == "N-CREATE"
    assert "forward.PACS.tls" in checked.stdout


def _certificate(folder: Path) -> tuple[Path, Path]:
    key, chain = folder / "key.pem", folder / "certificate.pem"
    command = [program("openssl", "Debian: openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
               "-subj", "/CN=archive.example", "-addext", "subjectAltName=DNS:archive.example",
               "-keyout", str(key), "-out", str(chain)]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return chain, key


def test_the_metrics_name_every_peer(start_broker: Callable[..., Any], archive: Receiver) -> None:
    """Before anything was sent, and after."""
    broker = start_broker(forward={"PACS": to(archive)})

    def page() -> str:
        host, port = broker.addresses["web"]
        with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=30) as answer:
            return str(answer.read().decode())

    assert 'mwl_outbox_waiting{destination="PACS"} 0.0' in page()
    begin(broker)
    archive.until(1)
    broker.until("performed step sent on")

    assert 'mwl_outbox_sent_total{destination="PACS",outcome="delivered"} 1.0' in page()
