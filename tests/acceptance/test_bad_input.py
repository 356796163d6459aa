"""What a peer does wrong is answered in its own protocol, and the others notice nothing."""

from __future__ import annotations

import json
import socket
import sqlite3
import struct
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

ORDER = (
    "MSH|^~\\&|RIS|HOSP|MWL|HOSP|20260701120000||ORM^O01|C1|P|2.3.1||||||UNICODE UTF-8\n"
    "PID|1||PID001^^^HOSP||DOE^JANE||19700101|F\n"
    "ORC|NW|PL1^RIS|FI1^RIS||||1^once^^20260705093000^^S|||||||||||CT1\n"
    "OBR|1|PL1^RIS|FI1^RIS|CT01^CT head^L||||||||||||||ACC1|RP1|SPS1||||CT|||1^once^^20260705093000^^S\n"
)


@pytest.fixture
def echoscu(foreign: Callable[[str], str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Verify with DCMTK's echoscu."""

    def run(broker: Any, *options: str) -> subprocess.CompletedProcess[str]:
        host, port = broker.addresses["dicom"]
        command = [foreign("echoscu"), "-v", *options, host, str(port)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    return run


def test_f_a01_an_unknown_caller_is_rejected_logged_once_and_listed(broker: Any, echoscu: Any) -> None:
    """The rejection says why; the engineer finds the caller with `mwl devices list`."""
    refused = [echoscu(broker, "-aet", "STRANGER", "-aec", "MWL") for _ in range(3)]
    listed = json.loads(broker.run("devices", "list", "--json").stdout)["refused"]

    assert all(run.returncode != 0 for run in refused)
    assert all("Calling AE Title Not Recognized" in run.stderr + run.stdout for run in refused)
    logged = [
        event for event in broker.events if "STRANGER" in json.dumps(event) and event["level"] == "warning"
    ]
    assert len(logged) == 1
    assert [(caller["calling_ae"], caller["count"]) for caller in listed] == [("STRANGER", 3)]


def test_f_a02_a_wrong_called_ae_is_rejected(broker: Any, echoscu: Any) -> None:
    """A device that calls another application is told so."""
    refused = echoscu(broker, "-aet", "CT1", "-aec", "OTHER")

    assert refused.returncode != 0
    assert "Called AE Title Not Recognized" in refused.stderr + refused.stdout


@pytest.mark.parametrize(
    "wrong",
    [
        struct.pack(">BBI", 0x42, 0, 4) + b"abcd",  # no such PDU
        struct.pack(">BBI", 1, 0, 0xFFFFFFFF),  # a length that lies
        struct.pack(">BBI", 1, 0, 68) + b"\xff" * 68,  # an A-ASSOCIATE-RQ of rubbish
        struct.pack(">BBI", 4, 0, 6) + b"\x00\x00\x00\x02\x01\x03",  # data before an association
    ],
)
def test_a_broken_pdu_ends_only_its_own_association(
    start_broker: Callable[..., Any], echoscu: Any, wrong: bytes
) -> None:
    """The peer that sends it gets A-ABORT or a closed connection; the next one is served."""
    dicom = {"ae_title": "MWL", "listen": "127.0.0.1:0", "limits": {"artim": 1}}
    broker = start_broker(dicom=dicom)
    with socket.create_connection(broker.addresses["dicom"], timeout=60) as connection:
        connection.sendall(wrong)
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk

    assert answer == b"" or answer[0] == 7
    assert echoscu(broker, "-aet", "CT1", "-aec", "MWL").returncode == 0


@pytest.mark.parametrize("wrong", [b"no header at all", b"MSH|^~\\&|RIS", b"PID|1||X"])
def test_a_frame_that_is_no_message_is_rejected_and_the_next_is_taken(
    broker: Any, mllp_send: Any, wrong: bytes
) -> None:
    """D-17: AR, or AE where the header can be read; a message on a new connection is applied."""
    answer = mllp_send(broker, wrong)
    accepted = mllp_send(broker, ORDER)

    assert "MSA|AR" in answer or "MSA|AE" in answer
    assert "MSA|AA|C1" in accepted


def test_a_frame_that_is_cut_off_harms_nobody(broker: Any, mllp_send: Any) -> None:
    """A sender that dies in the middle of a frame has sent nothing."""
    with socket.create_connection(broker.addresses["hl7"], timeout=30) as connection:
        connection.sendall(b"\x0b" + ORDER.encode()[:100])

    assert "MSA|AA|C1" in mllp_send(broker, ORDER)
    assert len(json.loads(broker.run("steps", "list", "--json").stdout)) == 1


def test_wrong_content_is_refused_with_its_place_and_kept(broker: Any, mllp_send: Any) -> None:
    """F-H32: an accession of 17 characters gets AE naming segment and field; nothing of it is applied."""
    answer = mllp_send(broker, ORDER.replace("|ACC1|", "|ACC12345678901234|"))
    kept = sqlite3.connect(broker.folder / "mwl.db").execute("SELECT outcome, raw FROM messages").fetchall()

    assert "MSA|AE|C1" in answer
    assert "ERR|OBR^1^18" in answer
    assert json.loads(broker.run("steps", "list", "--json").stdout) == []
    assert [outcome for outcome, _ in kept] == ["AE"]
    assert b"ACC12345678901234" in kept[0][1]


def test_f_c41_a_locked_database_is_a_failure_and_never_an_empty_list(
    start_broker: Callable[..., Any], mllp_send: Any, foreign: Callable[[str], str]
) -> None:
    """While another process holds the database an order is not accepted; afterwards it is, once."""
    broker = start_broker()
    with sqlite3.connect(broker.folder / "mwl.db", isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        refused = mllp_send(broker, ORDER)
        other.execute("ROLLBACK")
    other.close()
    accepted = mllp_send(broker, ORDER)

    assert "MSA|AR|C1" in refused or "MSA|AE|C1" in refused
    assert "MSA|AA|C1" in accepted
    assert len(json.loads(broker.run("steps", "list", "--json").stdout)) == 1


def test_f_c41_a_database_that_is_gone_fails_the_query(broker: Any, mllp_send: Any, foreign: Any) -> None:
    """With the tables gone a query ends with a failure status."""
    mllp_send(broker, ORDER)
    with sqlite3.connect(broker.folder / "mwl.db", isolation_level=None) as other:
        other.execute("PRAGMA foreign_keys=OFF")
        other.execute("ALTER TABLE steps RENAME TO gone")
    other.close()
    host, port = broker.addresses["dicom"]

    done = subprocess.run(
        [foreign("findscu"), "-v", "-W", "-aet", "CT1", "-aec", "MWL", "-k", "PatientName", host, str(port)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    output = done.stdout + done.stderr
    assert "Final Find Response (Success)" not in output
    assert "Failed" in output or "Refused" in output or "Error" in output
    assert "DOE" not in output


def test_a_wrong_configuration_is_refused_with_every_mistake(broker: Any) -> None:
    """Exit code 78, and each mistake at its line and column with a suggestion."""
    (broker.folder / "wrong.yaml").write_text(
        "dicom:\n  listn: 127.0.0.1:0\n  ae_title: THIS_IS_MUCH_TOO_LONG\nweb: {limit: 3}\nsystems: {RIS: {status: {to: nowhere}}}\n",
        "utf-8",
    )

    done = broker.run("serve", "--config", "wrong.yaml")

    assert done.returncode == 78
    assert "wrong.yaml:2:3" in done.stderr
    assert "did you mean 'listen'" in done.stderr
    assert "wrong.yaml:3:13" in done.stderr
    assert "wrong.yaml:4:7" in done.stderr
    assert "wrong.yaml:5:30" in done.stderr
