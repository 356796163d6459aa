"""A broker that is killed tells the RIS everything, in order, and nothing twice under two numbers (F-M28, F-M29)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from acceptance.status_exam import Exam, order, outbox, states, told
from foreign.hl7.receivers import field, free_port, listening

RIS = "simple-hl7-server.cjs"


def test_f_m28_killed_between_the_commit_and_the_message(start_broker: Callable[..., Any]) -> None:
    """The device got 0000, so the row is on disk: it leaves after the restart, once, under its own number."""
    port = free_port()
    broker = start_broker(systems=told(port))
    order(broker, 1)
    exam = Exam(broker, 1)
    exam.begin()
    (waiting,) = outbox(broker)
    broker.kill()
    with listening(RIS, port=port) as ris:
        broker.start()
        begun = ris.next()
        exam.end()
        ended = ris.next()
        broker.stop()
        more = ris.heard_more()

    assert waiting["state"] == "pending"
    assert (field(begun, "MSH", 10), field(begun, "ORC", 5)) == (waiting["control_id"], "IP")
    assert field(ended, "ORC", 5) == "CM"
    assert not more
    assert states(broker) == ["delivered", "delivered"]


def test_f_m28_killed_between_the_message_and_its_answer(start_broker: Callable[..., Any]) -> None:
    """Nobody knows whether it arrived: the same message comes again, to the byte, and then the next one."""
    with listening(RIS, answers=("none", "AA")) as ris:
        broker = start_broker(systems=told(ris.port))
        order(broker, 1)
        exam = Exam(broker, 1)
        exam.begin()
        unanswered = ris.next()
        exam.end()
        broker.kill()
        broker.start()
        again, ended = ris.next(), ris.next()
        broker.stop()
        more = ris.heard_more()

    rows = outbox(broker)
    assert again == unanswered
    assert [field(each, "MSH", 10) for each in (again, ended)] == [row["control_id"] for row in rows]
    assert [field(each, "ORC", 5) for each in (again, ended)] == ["IP", "CM"]
    assert not more
    assert [(row["state"], row["attempts"]) for row in rows] == [("delivered", 2), ("delivered", 1)]


def test_f_m29_killed_while_the_ris_is_down(start_broker: Callable[..., Any]) -> None:
    """Devices are answered all the while; IP, CM of each order leave in their order, each once."""
    port = free_port()
    broker = start_broker(systems=told(port))
    for n in (1, 2):
        order(broker, n)
        exam = Exam(broker, n)
        exam.begin()
        exam.end()
    before = outbox(broker)
    broker.kill()
    broker.start()
    broker.kill()
    with listening(RIS, port=port) as ris:
        broker.start()
        heard = [ris.next() for _ in range(4)]
        broker.stop()
        more = ris.heard_more()

    assert [row["state"] for row in before] == ["pending"] * 4
    assert sorted(field(each, "MSH", 10) for each in heard) == [row["control_id"] for row in before]
    for accession in ("ACC1", "ACC2"):
        of_one = [field(each, "ORC", 5) for each in heard if field(each, "OBR", 18) == accession]
        assert of_one == ["IP", "CM"]
    assert not more
    assert states(broker) == ["delivered"] * 4
