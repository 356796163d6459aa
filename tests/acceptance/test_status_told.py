"""What a RIS is told of its orders, by receivers that are not ours: kinds, events, refusals, bad manners (C.6).

One broker with a system for each test, which a receiver plays while the test runs.
"""

from __future__ import annotations

import socketserver
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydicom.dataset import Dataset

from acceptance.status_exam import Exam, arrive, order, outbox, states, told
from foreign.hl7.receivers import Receiver, field, free_port, listening, segments

SIMPLE, NODE = "simple-hl7-server.cjs", "node-hl7-server.cjs"
KINDS = [(kind, script) for kind in ("ORM^O01", "OMG^O19", "OMI^O23", "ORU^R01") for script in (SIMPLE, NODE)]
PORTS = {name: free_port() for name in ("REASONS", "GROUP", "ENDS", "ARRIVALS", "REFUSES", "BY_HAND", "TLS")}
PORTS |= {f"{kind[:3]} {script[:4]}": free_port() for kind, script in KINDS}
WRONG_ENTRY = ("110514", "Incorrect worklist entry selected")
HALF = b"\x0bMSH|^~\\&|RIS||MWL||20260705||ACK|1|P|2.3.1\rMSA|A"


class Rude(socketserver.ThreadingTCPServer):
    """A receiver on bare sockets: what it writes to each message, before it hangs up; then it is polite."""

    def __init__(self, *writes: bytes) -> None:
        super().__init__(("127.0.0.1", 0), RudeAnswer)
        self.heard: list[bytes] = []
        self.writes = list(writes)
        self.port: int = self.server_address[1]
        self._serving = threading.Thread(target=self.serve_forever)
        self._serving.start()

    def close(self) -> None:
        """Stop listening; whoever is connected has gone."""
        self.shutdown()
        self._serving.join(30)
        self.server_close()


class RudeAnswer(socketserver.StreamRequestHandler):
    """One connection to it."""

    server: Rude

    def handle(self) -> None:
        """Answer until one of the two hangs up."""
        while message := self._message():
            self.server.heard.append(message)
            if self.server.writes:
                self.wfile.write(self.server.writes.pop(0))
                return
            ack = b"MSH|^~\\&|RIS||MWL||20260705||ACK|1|P|2.3.1\rMSA|AA|" + message.split(b"|")[9] + b"\r"
            self.wfile.write(b"\x0b" + ack + b"\x1c\x0d")

    def _message(self) -> bytes:
        """Return the next message, nothing at the end of the connection."""
        data = b""
        while not data.endswith(b"\x1c\x0d"):
            if not (chunk := self.request.recv(65536)):
                return b""
            data += chunk
        return data[1:-2]


@pytest.fixture(scope="module")
def rude() -> Iterator[Mapping[str, Rude]]:
    """Receivers of bad manners."""
    nonsense = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    made = {"HANGS_UP": Rude(b"", HALF[:20], HALF), "NONSENSE": Rude(*[nonsense] * 3)}
    yield made
    for each in made.values():
        each.close()


@pytest.fixture(scope="module")
def broker(
    tmp_path_factory: pytest.TempPathFactory,
    serving: Callable[..., Any],
    rude: Mapping[str, Rude],
    certificate: tuple[Path, Path],
) -> Iterator[Any]:
    """The broker."""
    settings: dict[str, dict[str, Any]] = {
        "ENDS": {"on": "CM"},
        "ARRIVALS": {"on": ["ARRIVED"]},
        "TLS": {"tls": {"authorities": str(certificate[0]), "name": "localhost"}},
        **{f"{kind[:3]} {script[:4]}": {"message": kind} for kind, script in KINDS},
    }
    systems: dict[str, Any] = {"HIS": {"application": "HIS"}}
    for name, port in PORTS.items():
        systems |= told(port, name, **settings.get(name, {}))
    for name, each in rude.items():
        systems |= told(each.port, name, nonsense="park", nonsense_limit=3)
    with serving(tmp_path_factory.mktemp("told"), systems=systems) as running:
        yield running


def heard(receiver: Receiver, number: int) -> list[str]:
    """Return the next messages, each once: node-hl7-server hands them over again with each later one."""
    found: dict[str, str] = {}
    while len(found) < number:
        message = receiver.next()
        found.setdefault(field(message, "MSH", 10), message)
    return list(found.values())


def observed(message: str) -> dict[str, str]:
    """Return the observations of a message: OBX-5 by the code of OBX-3."""
    return {fields[3].partition("^")[0]: fields[5] for fields in segments(message).get("OBX", [])}


def figures(broker: Any) -> dict[str, float]:
    """Return the metrics."""
    host, port = broker.addresses["web"]
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=30) as page:
        lines = page.read().decode().splitlines()
    return {
        name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")
    }


def figure(broker: Any, name: str, system: str) -> float:
    """Return a metric of a system."""
    return figures(broker)[f'mwl_outbox_{name}{{destination="{system}"}}']


def exposure() -> Dataset:
    item = Dataset()
    item.KVP, item.ExposureTime = "120", "250"
    return item


@pytest.mark.parametrize(("kind", "script"), KINDS)
def test_c_30_every_kind_is_read_by_a_foreign_receiver(broker: Any, kind: str, script: str) -> None:
    """IP with the start, CM with end, operator, images and dose; numbers as they came (C-32)."""
    system, n = f"{kind[:3]} {script[:4]}", 10 + KINDS.index((kind, script))
    with listening(script, port=PORTS[system]) as receiver:
        order(broker, n, system)
        exam = Exam(broker, n)
        exam.begin()
        exam.end(
            TotalNumberOfExposures=2,
            ImageAndFluoroscopyAreaDoseProduct="12.5",
            ExposureDoseSequence=[exposure()],
            CommentsOnThePerformedProcedureStep="moved",
        )
        begun, ended = heard(receiver, 2)

    numbers = [f"PL{n}^RIS^1.2.3^ISO", f"FI{n}^RIS"]
    for message, event, result in ((begun, "IP", "I"), (ended, "CM", "R")):
        assert field(message, "MSH", 9).startswith(kind)
        assert [field(message, "ORC", at) for at in (1, 2, 3, 5)] == ["SC", *numbers, event]
        assert [field(message, "OBR", at) for at in (2, 3, 18, 19, 20, 25)] == [
            *numbers, f"ACC{n}", f"RP{n}", f"SPS{n}", result]  # fmt: skip
        assert field(message, "OBR", 7) == "20260705093100"
        assert observed(message)["113014"] == f"1.2.276.0.99.{n}"
    assert field(begun, "OBR", 8) == ""
    assert (field(ended, "OBR", 8), field(ended, "OBR", 34)) == ("20260705094500", "&TECH&TINA")
    assert observed(ended) == {
        "113014": f"1.2.276.0.99.{n}", "110119": "CT1", "121013": "ROOM1", "121114": "^HOUSE^GREG",
        "125203": "HEAD", "SERIES": "1", "IMAGES": "3", "EXPOSURES": "2", "113722": "12.5", "113733": "120",
        "113824": "250",
    }  # fmt: skip
    assert field(ended, "NTE", 3) == "moved"


def test_discontinued_and_withdrawn_exams_are_told_with_their_reasons(broker: Any) -> None:
    """F-M15: DC; F-M17: the wrong entry is SC, and the step is on the worklist again."""
    with listening(SIMPLE, port=PORTS["REASONS"]) as ris:
        order(broker, 30, "REASONS")
        wrong, given_up = Exam(broker, 30), Exam(broker, 30)
        wrong.begin()
        wrong.end("DISCONTINUED", WRONG_ENTRY)
        given_up.begin()
        given_up.end("DISCONTINUED", ("110501", "Equipment failure"), PerformedSeriesSequence=None)
        messages = heard(ris, 4)

    assert [field(each, "ORC", 5) for each in messages] == ["IP", "SC", "IP", "DC"]
    assert [field(each, "OBR", 25) for each in messages] == ["I", "S", "I", "X"]
    assert field(messages[1], "ORC", 16) == "110514^Incorrect worklist entry selected^DCM"
    assert field(messages[1], "OBR", 7) == ""
    assert field(messages[3], "ORC", 16) == "110501^Equipment failure^DCM"


def test_f_m21_each_order_of_a_group_is_told_under_its_own_numbers(broker: Any) -> None:
    """One exam for two orders: two messages when it begins, and two when it ends (C-32)."""
    with listening(SIMPLE, port=PORTS["GROUP"]) as ris:
        for n in (40, 41):
            order(broker, n, "GROUP", patient=40)
        exam = Exam(broker, 40, 41)
        exam.begin()
        exam.end()
        messages = heard(ris, 4)

    said = sorted((field(each, "ORC", 2), field(each, "OBR", 18), field(each, "ORC", 5)) for each in messages)
    expected = [(f"PL{n}^RIS^1.2.3^ISO", f"ACC{n}", event) for n in (40, 41) for event in ("CM", "IP")]
    assert said == expected


def test_a_system_hears_of_what_it_asks_for_alone(broker: Any) -> None:
    """`status.on`."""
    with listening(SIMPLE, port=PORTS["ENDS"]) as ris:
        order(broker, 50, "ENDS")
        exam = Exam(broker, 50)
        exam.begin()
        exam.end()
        message = ris.next()

    assert field(message, "ORC", 5) == "CM"
    assert [row["facts"]["event"] for row in outbox(broker, "--to", "ENDS")] == ["CM"]


def test_c_34_nobody_is_told_what_its_own_message_has_said(broker: Any) -> None:
    """One patient has come as the system itself says, the other as the HIS says."""
    with listening(SIMPLE, port=PORTS["ARRIVALS"]) as ris:
        for n in (60, 61):
            order(broker, n, "ARRIVALS")
        arrive(broker, 60, "ARRIVALS")
        arrive(broker, 61, "HIS")
        message = ris.next()

    assert [field(message, *place) for place in (("ORC", 5), ("ORC", 25), ("OBR", 18))] == [
        "SC", "ARRIVED", "ACC61"]  # fmt: skip
    assert len(outbox(broker, "--to", "ARRIVALS")) == 1


def test_what_is_refused_is_parked_and_sent_again_by_hand(broker: Any) -> None:
    """AE and AR are final until a person decides; what has been overtaken is not sent any more (C-33)."""
    chosen = ("--all", "--destination", "REFUSES", "--state", "parked")
    with listening(SIMPLE, port=PORTS["REFUSES"], answers=("AE", "AA", "AR", "AA")) as ris:
        order(broker, 70, "REFUSES")
        order(broker, 71, "REFUSES")
        exam, since = Exam(broker, 70), len(broker.events)
        exam.begin()
        broker.until("status parked", since)
        exam.end()
        broker.until("status delivered", since)
        since = len(broker.events)
        Exam(broker, 71).begin()
        broker.until("status parked", since)
        overtaken, left = outbox(broker, "--to", "REFUSES", "--state", "parked")
        page = broker.run("outbox", "show", str(overtaken["key"])).stdout
        since = len(broker.events)
        retried = broker.run("outbox", "retry", *chosen)
        broker.until("status delivered", since)
        messages = [ris.next() for _ in range(4)]
        discarded = broker.run("outbox", "discard", *chosen)

    assert (retried.returncode, retried.stdout) == (1, f"{left['key']} is due again\n")
    assert f"row {overtaken['key']} (IP) was overtaken" in retried.stderr
    assert "last error  AE" in page
    assert "PL70^RIS^1.2.3^ISO" in page
    assert [field(each, "ORC", 5) for each in messages] == ["IP", "CM", "IP", "IP"]
    assert messages[3] == messages[2]
    assert (discarded.returncode, discarded.stdout) == (0, f"{overtaken['key']} is discarded\n")
    assert states(broker, "--to", "REFUSES") == ["discarded", "delivered", "delivered"]


def test_what_a_person_does_to_a_step_is_told(broker: Any) -> None:
    """CA, and SC when it is put back, with the reason: the RIS cannot know."""
    with listening(SIMPLE, port=PORTS["BY_HAND"]) as ris:
        order(broker, 80, "BY_HAND")
        (step,) = yaml.safe_load(broker.run("steps", "list", "--accession", "ACC80", "--json").stdout)
        for command in ("cancel", "reopen"):
            done = broker.run("steps", command, str(step["key"]), "--reason", f"we {command} it")
            assert done.returncode == 0, done.stderr
        messages = heard(ris, 2)

    assert [field(each, "ORC", 5) for each in messages] == ["CA", "SC"]
    assert [field(each, "OBR", 25) for each in messages] == ["X", "S"]
    assert [field(each, "ORC", 16) for each in messages] == ["^we cancel it", "^we reopen it"]


def test_status_goes_over_tls(broker: Any, certificate: tuple[Path, Path]) -> None:
    """To a foreign server whose certificate comes from the authority that is trusted."""
    with listening(NODE, port=PORTS["TLS"], cert=certificate[0], key=certificate[1]) as ris:
        order(broker, 90, "TLS")
        since = len(broker.events)
        Exam(broker, 90).begin()
        message = ris.next()
        broker.until("status delivered", since)

    assert field(message, "ORC", 5) == "IP"


# --- receivers of bad manners --------------------------------------------------------------------


def test_a_peer_that_hangs_up_in_the_middle_of_its_answer_gets_the_message_again(
    broker: Any, rude: Mapping[str, Rude]
) -> None:
    """With the same control ID, to the byte, until it has answered to the end: that is no nonsense."""
    order(broker, 100, "HANGS_UP")
    since = len(broker.events)
    Exam(broker, 100).begin()
    delivered = broker.until("status delivered", since)

    assert delivered["attempts"] == 4
    assert len(rude["HANGS_UP"].heard) == 4
    assert len(set(rude["HANGS_UP"].heard)) == 1


def test_a_ris_that_answers_nonsense_parks_what_it_was_told(broker: Any) -> None:
    """After as many times as the configuration says; every time is logged, and shown to whoever asks."""
    order(broker, 110, "NONSENSE", name="SECRETNAME^JANE")
    exam, since = Exam(broker, 110), len(broker.events)
    exam.begin()
    parked = broker.until("status parked", since)
    exam.end()
    broker.until("status delivered", since)

    rows = outbox(broker, "--to", "NONSENSE")
    assert parked["attempts"] == 3
    assert [row["state"] for row in rows] == ["parked", "delivered"]
    assert "closed before the answer" in rows[0]["last_error"]
    assert figure(broker, "parked", "NONSENSE") == 1
    logged = [each for each in broker.events if each["event"] == "status answer not understood"]
    assert [each["answers"] for each in logged] == [1, 2, 3]
    assert "SECRETNAME" not in "".join(broker.raw_log)


# --- a configuration that changes ----------------------------------------------------------------


def test_a_reload_finds_the_ris_at_its_new_address(
    start_broker: Callable[..., Any], certificate: tuple[Path, Path]
) -> None:
    """What waits for the old one goes to the new one, which is trusted only once the reload says so."""
    broker = start_broker(systems=told(free_port(), tls={}))
    order(broker, 1)
    Exam(broker, 1).begin()
    broker.until("status cannot be delivered")
    waiting = [figure(broker, name, "RIS") for name in ("waiting", "parked")]
    age = figure(broker, "oldest_seconds", "RIS")
    written = yaml.safe_load((broker.folder / "mwl.yaml").read_text("utf-8"))
    with listening(NODE, cert=certificate[0], key=certificate[1]) as ris:
        broker.configure({**written, "systems": told(ris.port, tls={})})
        since = len(broker.events)
        broker.reload()
        refused = broker.until("status cannot be delivered", since)
        trusting = {"authorities": str(certificate[0]), "name": "localhost"}
        broker.configure({**written, "systems": told(ris.port, tls=trusting)})
        broker.reload()
        message = ris.next()
        broker.until("status delivered")
        delivered = [figure(broker, name, "RIS") for name in ("waiting", "oldest_seconds", "parked")]

    assert (waiting, age > 0) == ([1, 0], True)
    assert "CERTIFICATE_VERIFY_FAILED" in refused["reason"]
    assert field(message, "ORC", 5) == "IP"
    assert delivered == [0, 0, 0]
