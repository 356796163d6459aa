"""Senders that are not ours: python-hl7's command, simple-hl7 and node-hl7-client from npm.

simple-hl7 and node-hl7-client leave out the CR of the last segment; node-hl7-client opens its
connection before it has anything to say.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hl7.client import MLLPClient

from acceptance.hl7_wire import ORDER, changed, connected, text, told
from foreign.hl7.clients import Answers, by_node, mllp_send


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, serving: Callable[..., Any]) -> Iterator[Any]:
    """A broker without TLS."""
    with serving(tmp_path_factory.mktemp("clients"), systems={"any": {}}) as running:
        yield running


@pytest.fixture(scope="module")
def secured(
    tmp_path_factory: pytest.TempPathFactory, serving: Callable[..., Any], certificate: tuple[Path, Path]
) -> Iterator[Any]:
    """A broker that speaks TLS alone."""
    made, key = map(str, certificate)
    hl7 = {"listen": "127.0.0.1:0", "tls": {"certificate": made, "key": key}}
    with serving(tmp_path_factory.mktemp("secured"), systems={"any": {}}, hl7=hl7) as running:
        yield running


def order(n: int, *changes: str) -> str:
    """Return an order without the last CR."""
    return text(changed(ORDER, *changes), n, f"C{n}").rstrip("\r")


def codes(answers: Answers) -> list[list[str]]:
    """Return MSA-1 and MSA-2 of each acknowledgement a client gave out."""
    return [line.split("|")[1:3] for answer in answers for line in answer if line.startswith("MSA")]


def accessions(broker: Any) -> set[str]:
    """Return the accession numbers of all steps."""
    listed = json.loads(broker.run("steps", "list", "--json", "--limit", "1000").stdout)
    return {item["procedure"]["00080050"]["Value"][0] for item in listed}


def test_python_hl7s_command_delivers_a_file_of_messages(broker: Any, tmp_path: Path) -> None:
    """`mllp_send --loose` sends each message of the file and prints its acknowledgement."""
    file = tmp_path / "orders.hl7"
    file.write_text("\n".join(order(n).replace("\r", "\n") for n in (100, 101, 102)) + "\n", "utf-8")

    done = mllp_send(broker.addresses["hl7"], file, "--loose")

    assert (done.returncode, done.stderr) == (0, "")
    assert [f"MSA|AA|C{n}" in done.stdout for n in (100, 101, 102)] == [True] * 3
    assert {"ACC100", "ACC101", "ACC102"} <= accessions(broker)


def test_python_hl7_keeps_its_connection_for_many_messages(broker: Any) -> None:
    """Each is answered before the next is sent."""
    with MLLPClient(*broker.addresses["hl7"]) as client:
        client.socket.settimeout(60)
        answers = [client.send_message(order(n)) for n in range(200, 220)]

    assert [told(answer.strip(b"\x0b\x1c\r")) for answer in answers] == [
        ("AA", f"C{n}") for n in range(200, 220)
    ]


def test_simple_hl7_sends_orders_and_reads_what_is_wrong(broker: Any, findscu: Any) -> None:
    """On one connection; it tells the segments of the answers apart, and findscu gets what it ordered."""
    answers = by_node(
        "simple-hl7.cjs",
        broker.addresses["hl7"],
        [order(300), order(301, "ORC-1=ZZ"), order(302, "PID-5=MÜLLER^Jörg")],
    )

    assert codes(answers) == [["AA", "C300"], ["AE", "C301"], ["AA", "C302"]]
    assert answers[1][2].startswith("ERR|ORC^1^1^103&")
    assert {"ACC300", "ACC302"} <= accessions(broker)
    assert "ACC301" not in accessions(broker)
    keys = ("PatientName", "SpecificCharacterSet=ISO_IR 192", "AccessionNumber")
    assert "[MÜLLER^Jörg" in "\n".join(findscu(broker, "US1", *keys, "PatientID=P302"))
    assert "(Pending)" not in "\n".join(findscu(broker, "US1", *keys, "PatientID=P301"))


def test_node_hl7_client_sends_orders_and_batches(broker: Any) -> None:
    """It gives its user one acknowledgement for each message of a batch: from one block, as it waits for one."""
    answers = by_node(
        "node-hl7-client.cjs",
        broker.addresses["hl7"],
        [
            order(400),
            {"batch": [order(401), order(402, "ORC-1=ZZ"), order(403)]},
            {"batch": [order(404), order(405)], "file": True},
            order(406),
        ],
    )

    assert codes(answers) == [
        ["AA", "C400"], ["AA", "C401"], ["AE", "C402"], ["AA", "C403"], ["AA", "C404"], ["AA", "C405"], ["AA", "C406"],
    ]  # fmt: skip
    assert {"ACC400", "ACC401", "ACC403", "ACC404", "ACC405", "ACC406"} <= accessions(broker)


def test_node_hl7_client_reads_both_acknowledgements(broker: Any) -> None:
    """AL and AL: it gives out CA and AA."""
    answers = by_node("node-hl7-client.cjs", broker.addresses["hl7"], [order(450, "MSH-15=AL", "MSH-16=AL")])

    assert ["CA", "C450"] in codes(answers)


def test_a_silent_connection_delays_no_client(broker: Any) -> None:
    """Some open connections long before they use them; others are served meanwhile, and then they are."""
    with connected(broker) as silent, connected(broker) as another:
        answers = by_node("simple-hl7.cjs", broker.addresses["hl7"], [order(500)])

        assert codes(answers) == [["AA", "C500"]]
        assert told(another.ask(order(501))) == ("AA", "C501")
        assert told(silent.ask(order(502))) == ("AA", "C502")


def test_node_hl7_client_speaks_tls(secured: Any, certificate: tuple[Path, Path]) -> None:
    """It trusts the certificate it is given, and nothing else was configured."""
    answers = by_node(
        "node-hl7-client.cjs", secured.addresses["hl7"], [order(600), order(601)], ca=str(certificate[0])
    )

    assert codes(answers) == [["AA", "C600"], ["AA", "C601"]]
    assert accessions(secured) >= {"ACC600", "ACC601"}


def test_python_hl7_speaks_tls(secured: Any, certificate: tuple[Path, Path]) -> None:
    """Its client on a connection that Python's ssl secures."""
    trusting = ssl.create_default_context(cafile=certificate[0])
    with MLLPClient(*secured.addresses["hl7"]) as client:
        client.socket.settimeout(60)
        client.socket = trusting.wrap_socket(client.socket, server_hostname="localhost")
        answer = client.send_message(order(610))

    assert told(answer.strip(b"\x0b\x1c\r")) == ("AA", "C610")
