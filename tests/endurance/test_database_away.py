"""The database goes away under the broker: whoever asks is told so, and what was acknowledged is there again."""

from __future__ import annotations

import random
import signal
import threading
import urllib.error
import urllib.request

import pytest

from endurance.campaign import ANSWERED, DOUBTED, PUT_OFF
from endurance.clients import Device, Sender, Status, TryAgain
from endurance.exams import SUCCESS, Exam, begun, ended, keys

OUTAGES = 2


def order(n: int) -> Exam:
    """Return an exam to order; nothing else happens to it."""
    return Exam.of(n, seed=1)


def answered(url: str) -> int:
    """Return the HTTP status."""
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.fixture
def serving(postgres_stage):
    """A broker on PostgreSQL."""
    broker = postgres_stage.broker()
    broker.start()
    return broker


@pytest.fixture
def away(postgres):
    """Stop the server, by a signal; it is started again behind the test, if the test has not done so."""
    stopped = threading.Event()

    def stop(how: signal.Signals = signal.SIGINT) -> None:
        postgres.stop(how)
        stopped.set()

    def start() -> None:
        stopped.clear()
        postgres.start()

    yield stop, start
    if stopped.is_set():
        start()


def test_nobody_is_lied_to_while_the_database_is_away(serving, away):
    """A-14: C001 and never an empty list, AR and never AA, 0110 and never 0000; then all goes on by itself."""
    stop, start = away
    sender = Sender(lambda: serving.address("hl7"))
    device = Device("CT1", lambda: serving.address("dicom"))
    known, new = order(1), order(2)
    host, port = serving.address("web")
    assert sender.send(known.order("NW")) == "AA"
    assert device.create(known.uid, begun(known)) == Status(SUCCESS)

    stop()
    with pytest.raises(TryAgain, match="C-FIND C001"):
        device.find(keys(known.accession))
    with pytest.raises(TryAgain, match="AR 207"):
        sender.send(new.order("NW"))
    with pytest.raises(TryAgain, match="MPPS 0110"):
        device.create(new.uid, begun(new))
    with pytest.raises(TryAgain, match="MPPS 0110"):
        device.set(known.uid, ended("COMPLETED"))
    during = answered(f"http://{host}:{port}/readyz"), answered(f"http://{host}:{port}/healthz")
    start()

    assert during == (503, 200)
    assert [item.AccessionNumber for item in device.find(keys(known.accession))] == [known.accession]
    assert device.find(keys(new.accession)) == []
    assert sender.send(new.order("NW")) == "AA"
    assert device.create(new.uid, begun(new)) == Status(SUCCESS)
    assert device.set(known.uid, ended("COMPLETED")) == Status(SUCCESS)
    assert answered(f"http://{host}:{port}/readyz") == 200
    assert (sender.broken, device.broken) == ([], [])
    sender.close()
    device.close()


def test_a_broker_that_comes_while_the_database_is_away_says_so(postgres_stage, away):
    """It ends with 69, and its service manager tries again."""
    stop, _ = away
    broker = postgres_stage.broker()
    stop()

    broker.begin()

    assert broker.process.wait(60) == 69
    broker.kill()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
def test_an_outage_under_load_costs_nothing_that_was_acknowledged(
    postgres_stage, serving, away, campaign, how
):
    """Commits whose answer was lost included; the broker is not started again."""
    stop, start = away
    moments, chosen = postgres_stage.moments, random.Random(3)
    moments.patient = back = threading.Event()
    back.set()

    with campaign(postgres_stage, serving.address) as exams:
        for _ in range(OUTAGES):
            moments.any(chosen)
            back.clear()
            before = moments.counts[PUT_OFF]
            stop(how)
            moments.wait(PUT_OFF, 1, since=before)
            start()
            back.set()
    assert serving.stop() == 0
    report = exams.report(OUTAGES, [serving])

    assert report.wrong == []
    assert report.counts[ANSWERED] > OUTAGES
    assert report.counts[DOUBTED] == 0  # no client lost a connection
    assert report.findings.repeated == 0
