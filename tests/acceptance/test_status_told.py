"""What a RIS is told of its orders, by receivers that are not ours: kinds, events, refusals, bad manners (C.6)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from acceptance.status_exam import Exam, arrive, order, outbox, states, told
from foreign.hl7.receivers import Receiver, field, free_port, listening, segments

SIMPLE, NODE = "simple-hl7-server.cjs", "node-hl7-server.cjs"
WRONG_ENTRY = ("110514", "Incorrect worklist entry selected")


@pytest.fixture(scope="module")
def ris() -> Iterator[Receiver]:
    """A RIS that accepts everything."""
    with listening(SIMPLE) as receiver:
        yield receiver


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


def exposure() -> Dataset:
    item = Dataset()
    item.KVP, item.ExposureTime = "120", "250"
    return item


@pytest.mark.parametrize("script", [SIMPLE, NODE])
@pytest.mark.parametrize("kind", ["ORM^O01", "OMG^O19", "OMI^O23", "ORU^R01"])
def test_c_30_every_kind_is_read_by_a_foreign_receiver(
    start_broker: Callable[..., Any], kind: str, script: str
) -> None:
    """IP with the start, CM with end, operator, images and dose; numbers as they came (C-32)."""
    with listening(script) as receiver:
        broker = start_broker(systems=told(receiver.port, message=kind))
        order(broker, 1)
        exam = Exam(broker, 1)
        exam.begin()
        exam.end(
            TotalNumberOfExposures=2,
            ImageAndFluoroscopyAreaDoseProduct="12.5",
            ExposureDoseSequence=[exposure()],
            CommentsOnThePerformedProcedureStep="moved",
        )
        begun, ended = heard(receiver, 2)
        broker.stop()

    for message, event, result in ((begun, "IP", "I"), (ended, "CM", "R")):
        assert field(message, "MSH", 9).startswith(kind)
        assert [field(message, "ORC", n) for n in (1, 2, 3, 5)] == [
            "SC",
            "PL1^RIS^1.2.3^ISO",
            "FI1^RIS",
            event,
        ]
        assert [field(message, "OBR", n) for n in (2, 3, 18, 19, 20, 25)] == [
            "PL1^RIS^1.2.3^ISO", "FI1^RIS", "ACC1", "RP1", "SPS1", result]  # fmt: skip
        assert field(message, "OBR", 7) == "20260705093100"
        assert observed(message)["113014"] == "1.2.276.0.99.1"
    assert field(begun, "OBR", 8) == ""
    assert (field(ended, "OBR", 8), field(ended, "OBR", 34)) == ("20260705094500", "&TECH&TINA")
    assert observed(ended) == {
        "113014": "1.2.276.0.99.1", "110119": "CT1", "121013": "ROOM1", "121114": "^HOUSE^GREG", "125203": "HEAD",
        "SERIES": "1", "IMAGES": "3", "EXPOSURES": "2", "113722": "12.5", "113733": "120", "113824": "250",
    }  # fmt: skip
    assert field(ended, "NTE", 3) == "moved"
    assert states(broker) == ["delivered", "delivered"]


def test_discontinued_and_withdrawn_exams_are_told_with_their_reasons(
    start_broker: Callable[..., Any], ris: Receiver
) -> None:
    """F-M15: DC; F-M17: the wrong entry is SC, and the step is on the worklist again."""
    broker = start_broker(systems=told(ris.port))
    order(broker, 1)
    wrong, given_up = Exam(broker, 1), Exam(broker, 1)
    wrong.begin()
    wrong.end("DISCONTINUED", WRONG_ENTRY)
    given_up.begin()
    given_up.end("DISCONTINUED", ("110501", "Equipment failure"), PerformedSeriesSequence=None)
    messages = heard(ris, 4)
    broker.stop()

    assert [field(each, "ORC", 5) for each in messages] == ["IP", "SC", "IP", "DC"]
    assert [field(each, "OBR", 25) for each in messages] == ["I", "S", "I", "X"]
    assert field(messages[1], "ORC", 16) == "110514^Incorrect worklist entry selected^DCM"
    assert field(messages[1], "OBR", 7) == ""
    assert field(messages[3], "ORC", 16) == "110501^Equipment failure^DCM"


def test_f_m21_each_order_of_a_group_is_told_under_its_own_numbers(
    start_broker: Callable[..., Any], ris: Receiver
) -> None:
    """One exam for two orders: two messages when it begins, and two when it ends (C-32)."""
    broker = start_broker(systems=told(ris.port))
    for n in (1, 2):
        order(broker, n, patient=1)
    exam = Exam(broker, 1, 2)
    exam.begin()
    exam.end()
    messages = heard(ris, 4)
    broker.stop()

    said = sorted((field(each, "ORC", 2), field(each, "OBR", 18), field(each, "ORC", 5)) for each in messages)
    assert said == [
        (f"PL{n}^RIS^1.2.3^ISO", f"ACC{n}", event) for n in (1, 2) for event in ("CM", "IP")
    ]  # fmt: skip


def test_a_system_hears_of_what_it_asks_for_alone(start_broker: Callable[..., Any], ris: Receiver) -> None:
    """`status.on`."""
    broker = start_broker(systems=told(ris.port, on="CM"))
    order(broker, 1)
    exam = Exam(broker, 1)
    exam.begin()
    exam.end()
    (message,) = heard(ris, 1)
    broker.stop()

    assert field(message, "ORC", 5) == "CM"
    assert [row["facts"]["event"] for row in outbox(broker)] == ["CM"]


def test_c_34_nobody_is_told_what_its_own_message_has_said(
    start_broker: Callable[..., Any], ris: Receiver
) -> None:
    """The RIS says itself that the patient of the first order has come, the HIS that of the second."""
    systems = {**told(ris.port, on=["ARRIVED"]), "HIS": {"application": "HIS"}}
    broker = start_broker(systems=systems)
    for n in (1, 2):
        order(broker, n)
    arrive(broker, 1, "RIS")
    arrive(broker, 2, "HIS")
    (message,) = heard(ris, 1)
    broker.stop()

    assert [field(message, *place) for place in (("ORC", 5), ("ORC", 25), ("OBR", 18))] == [
        "SC",
        "ARRIVED",
        "ACC2",
    ]
    assert len(outbox(broker)) == 1


def test_what_is_refused_is_parked_and_sent_again_by_hand(start_broker: Callable[..., Any]) -> None:
    """AE and AR are final until a person decides; what has been overtaken is not sent any more (C-33)."""
    with listening(SIMPLE, answers=("AE", "AA", "AR", "AA")) as receiver:
        broker = start_broker(systems=told(receiver.port))
        order(broker, 1)
        exam = Exam(broker, 1)
        exam.begin()
        broker.until("status parked")
        exam.end()
        broker.until("status delivered")
        order(broker, 2)
        second = Exam(broker, 2)
        since = len(broker.events)
        second.begin()
        broker.until("status parked", since)
        overtaken, sent_again = (row for row in outbox(broker) if row["state"] == "parked")
        page = broker.run("outbox", "show", str(overtaken["key"])).stdout
        since = len(broker.events)
        retried = broker.run("outbox", "retry", "--all", "--destination", "RIS", "--state", "parked")
        broker.until("status delivered", since)
        messages = heard(receiver, 3)
        again = receiver.next()
        discarded = broker.run("outbox", "discard", "--all")
        broker.stop()

    assert (retried.returncode, retried.stdout) == (1, f"{sent_again['key']} is due again\n")
    assert f"row {overtaken['key']} (IP) was overtaken" in retried.stderr
    assert "last error  AE" in page
    assert "PL1^RIS^1.2.3^ISO" in page
    assert [field(each, "ORC", 5) for each in messages] == ["IP", "CM", "IP"]
    assert again == messages[2]
    assert (discarded.returncode, discarded.stdout) == (0, f"{overtaken['key']} is discarded\n")
    assert states(broker) == ["discarded", "delivered", "delivered"]


def test_a_reload_finds_the_ris_at_its_new_address(start_broker: Callable[..., Any]) -> None:
    """What waits for the old one goes to the new one."""
    broker = start_broker(systems=told(free_port()))
    order(broker, 1)
    Exam(broker, 1).begin()
    broker.until("status cannot be delivered")
    waiting = figures(broker)
    with listening(SIMPLE) as receiver:
        configuration = {**broker_configuration(broker), "systems": told(receiver.port)}
        broker.configure(configuration)
        broker.reload()
        message = receiver.next()
        broker.until("status delivered")
        delivered = figures(broker)
        broker.stop()

    assert field(message, "ORC", 5) == "IP"
    assert waiting['mwl_outbox_waiting{destination="RIS"}'] == 1
    assert waiting['mwl_outbox_oldest_seconds{destination="RIS"}'] > 0
    assert waiting['mwl_outbox_parked{destination="RIS"}'] == 0
    assert delivered['mwl_outbox_waiting{destination="RIS"}'] == 0
    assert delivered['mwl_outbox_oldest_seconds{destination="RIS"}'] == 0


def broker_configuration(broker: Any) -> dict[str, Any]:
    """Return the configuration that a broker was started with."""
    import yaml

    found: dict[str, Any] = yaml.safe_load((broker.folder / "mwl.yaml").read_text("utf-8"))
    return found


def figures(broker: Any) -> dict[str, float]:
    """Return the metrics."""
    host, port = broker.addresses["web"]
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=30) as page:
        lines = page.read().decode().splitlines()
    return {
        name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")
    }


# --- receivers of bad manners --------------------------------------------------------------------


class Rude:
    """A receiver on bare sockets: what it writes to each message, before it hangs up; then it is polite."""

    def __init__(self, *writes: bytes | None) -> None:
        self.heard: list[bytes] = []
        self._writes = list(writes)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self.port = 0
        threading.Thread(target=self._run, daemon=True).start()
        assert self._ready.wait(30)

    def _run(self) -> None:
        self._loop.run_until_complete(self._listen())
        self._loop.run_forever()

    async def _listen(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                message = (await reader.readuntil(b"\x1c\x0d"))[1:-2]
                self.heard.append(message)
                control_id = message.split(b"|")[9]
                if self._writes:
                    writer.write(self._writes.pop(0) or b"")
                    return
                ack = b"MSH|^~\\&|RIS||MWL||20260705||ACK|1|P|2.3.1\rMSA|AA|" + control_id + b"\r"
                writer.write(b"\x0b" + ack + b"\x1c\x0d")

    def close(self) -> None:
        """Stop listening."""
        self._loop.call_soon_threadsafe(self._loop.stop)


def test_a_peer_that_hangs_up_in_the_middle_of_its_answer_gets_the_message_again(
    start_broker: Callable[..., Any],
) -> None:
    """With the same control ID, to the byte, until it has answered to the end."""
    rude = Rude(
        b"",
        b"\x0bMSH|^~\\&|RIS||MWL||20260705||AC",
        b"\x0bMSH|^~\\&|RIS||MWL||20260705||ACK|1|P|2.3.1\rMSA|A",
    )
    broker = start_broker(systems=told(rude.port, nonsense="park", nonsense_limit=1))
    order(broker, 1)
    Exam(broker, 1).begin()
    delivered = broker.until("status delivered")
    broker.stop()
    rude.close()

    assert len(rude.heard) == 4
    assert len(set(rude.heard)) == 1
    assert delivered["attempts"] == 4


def test_a_ris_that_answers_nonsense_parks_what_it_was_told(start_broker: Callable[..., Any]) -> None:
    """After as many times as the configuration says; every time is logged, and shown to whoever asks."""
    rude = Rude(*[b"HTTP/1.1 400 Bad Request\r\n\r\n"] * 3)
    broker = start_broker(systems=told(rude.port, nonsense="park", nonsense_limit=3))
    order(broker, 1, name="SECRETNAME^JANE")
    exam = Exam(broker, 1)
    exam.begin()
    parked = broker.until("status parked")
    exam.end()
    broker.until("status delivered")
    parked_figure = figures(broker)['mwl_outbox_parked{destination="RIS"}']
    rows = outbox(broker)
    broker.stop()
    rude.close()

    assert parked["attempts"] == 3
    assert [row["state"] for row in rows] == ["parked", "delivered"]
    assert "closed before the answer" in rows[0]["last_error"]
    assert parked_figure == 1
    logged = [each for each in broker.events if each["event"] == "status answer not understood"]
    assert [each["answers"] for each in logged] == [1, 2, 3]
    assert "SECRETNAME" not in "".join(broker.raw_log)


# --- TLS -----------------------------------------------------------------------------------------


def test_status_goes_over_tls_to_whom_the_configuration_trusts(
    start_broker: Callable[..., Any], certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    """A foreign server's certificate: accepted from its authority, refused by anybody else's."""
    cert, key = certificate
    with listening(NODE, cert=cert, key=key) as receiver:
        trusting = {"authorities": str(cert), "name": "localhost"}
        broker = start_broker(systems=told(receiver.port, tls={}))
        order(broker, 1)
        Exam(broker, 1).begin()
        refused = broker.until("status cannot be delivered")
        broker.configure({**broker_configuration(broker), "systems": told(receiver.port, tls=trusting)})
        broker.reload()
        (message,) = heard(receiver, 1)
        broker.until("status delivered")
        broker.stop()

    assert "CERTIFICATE_VERIFY_FAILED" in refused["reason"]
    assert field(message, "ORC", 5) == "IP"
    assert json.loads(broker.run("outbox", "list", "--json").stdout)[0]["state"] == "delivered"
