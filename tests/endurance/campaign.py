"""Exams side by side on a broker that is interrupted at moments nobody chose, and what is left of them.

A moment is a point in the clients' own doings: a request leaves, a success comes back, the RIS has heard
something and not yet answered.  An interruption comes a given number of moments after the last one, and a
little later still, so that it falls into whatever the broker does about it.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from endurance.clients import Device, Refused, Sender
from endurance.exams import Exam, Life
from endurance.ledger import Findings, judge, waiting
from endurance.ris import Ris
from endurance.serving import Address, Serving

WORKERS = 6
STUCK = 90.0  # seconds without a moment, or until workers end: then something hangs
LEASE = 180.0  # seconds: those of a broker that was killed run out after 120 (`mwl.hl7.courier`)

ASKED, ANSWERED, TOLD = "asked", "answered", "told"
DOUBTED, PUT_OFF = "without an answer", "told to try again"
_KINDS = {ASKED: 5, ANSWERED: 3, TOLD: 3}
_WHILE_STARTING = 0.1  # of kills
_LATER = {ASKED: 0.012, ANSWERED: 0.03, TOLD: 0.003}  # seconds at most


class Moments:
    """Counts what happens, and lets one thread wait for a moment."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.patient: threading.Event | None = None
        """What clients wait for when they are told to try again; None: they must not be told so."""
        self._changed = threading.Condition()

    def reached(self, kind: str) -> None:
        """Let a moment come."""
        with self._changed:
            self.counts[kind] += 1
            self._changed.notify_all()

    def wait(self, kind: str, count: int, *, since: int | None = None) -> None:
        """Return when so many more moments of a kind have come, from now on or above a count."""
        with self._changed:
            wanted = count + (self.counts[kind] if since is None else since)
            if not self._changed.wait_for(lambda: self.counts[kind] >= wanted, STUCK):
                raise TimeoutError(f"nothing was {kind} for {STUCK:g} s")

    def any(self, chosen: random.Random) -> None:
        """Return at a moment that is up to chance."""
        kind = chosen.choices([*_KINDS], weights=[*_KINDS.values()])[0]
        self.wait(kind, chosen.randint(1, 20 if kind != TOLD else 4))
        time.sleep(chosen.uniform(0, _LATER[kind]))  # how far the broker has come then is chance

    def asked(self) -> None:
        """See `Watcher`."""
        self.reached(ASKED)

    def answered(self) -> None:
        """See `Watcher`."""
        self.reached(ANSWERED)

    def doubted(self) -> None:
        """See `Watcher`."""
        self.reached(DOUBTED)

    def put_off(self) -> bool:
        """See `Watcher`."""
        self.reached(PUT_OFF)
        return self.patient is not None and self.patient.wait(STUCK)

    def told(self) -> None:
        """Let the RIS say that it was told something."""
        self.reached(TOLD)


@dataclass
class Report:
    """What a campaign came to."""

    interruptions: int
    exams: int
    counts: Counter[str]
    findings: Findings
    refused: list[str] = field(default_factory=list)
    """What a client was told that it should not have been."""
    errors: list[str] = field(default_factory=list)
    """What a broker logged as an error."""

    @property
    def wrong(self) -> list[str]:
        """Whatever must not be."""
        return [*self.refused, *self.errors, *self.findings.all()]

    def __str__(self) -> str:
        found = self.findings
        lines = {
            "interruptions": self.interruptions,
            "exams": self.exams,
            "requests": self.counts[ASKED],
            "acknowledged changes": self.counts[ANSWERED],
            **{kind: self.counts[kind] for kind in (DOUBTED, PUT_OFF)},
            "lost": len(found.lost),
            "doubled": len(found.doubled),
            "half done": len(found.half_done),
            "wrongly refused": len(self.refused),
            "errors in the log": len(self.errors),
            "statuses told": found.told,
            "  told again": found.repeated,
            "  in disorder": len(found.disordered),
        }
        return "\n".join(f"{name:24}{value}" for name, value in lines.items())


class Campaign:
    """Workers that live exams, each with a sender and a device of its own.

    As a context it begins at once, and ends when every exam has come to its end and been told of.
    """

    def __init__(
        self,
        seed: int,
        address: Callable[[str], Address],
        moments: Moments,
        ris: Ris,
        database: str,
        *,
        before_the_end: Callable[[], None] = lambda: None,
    ) -> None:
        """*before_the_end* is called when the last exam is over, and the RIS not yet told everything."""
        self.exams: list[Exam] = []
        self.refused: list[str] = []
        self.clients: list[tuple[Sender, Device]] = []
        self.moments, self.ris, self._database = moments, ris, database
        self._seed, self._address, self._before_the_end = seed, address, before_the_end
        self._numbers, self._closing = itertools.count(1), threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(WORKERS)]

    def __enter__(self) -> Campaign:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        self._closing.set()
        if failed:
            return
        for thread in self._threads:
            thread.join(STUCK)
            if thread.is_alive():
                raise TimeoutError("an exam does not end")
        self._before_the_end()
        self.ris.until(lambda: not waiting(self._database), LEASE)

    @property
    def finished(self) -> list[Exam]:
        """Exams of which all was acknowledged."""
        return [exam for exam in self.exams if exam.finished]

    def report(self, interruptions: int, brokers: Iterable[Serving]) -> Report:
        """Judge what is left, once the brokers have ended."""
        errors = [str(error) for each in brokers for error in each.errors]
        found = judge(self._database, self.exams, self.ris.receipts)
        return Report(interruptions, len(self.exams), self.moments.counts, found, self.refused, errors)

    def _work(self) -> None:
        sender = Sender(lambda: self._address("hl7"))
        device = Device("CT1", lambda: self._address("dicom"))
        self.clients.append((sender, device))
        while not self._closing.is_set():
            exam = Exam.of(next(self._numbers), self._seed)
            self.exams.append(exam)
            try:
                Life(exam, sender, device, self.moments).live()
            except Refused as refused:
                self.refused.append(f"{exam.accession}: {refused}")
            except Exception as error:  # it must not end unseen in a thread
                self.refused.append(f"{exam.accession}: {error!r}")
                break
        sender.close()
        device.close()


def kill(serving: Serving, moments: Moments, chosen: random.Random) -> None:
    """Kill a broker at a moment that is up to chance, some times while it starts, and start it again."""
    if chosen.random() < _WHILE_STARTING:
        serving.kill()
        serving.begin()
        time.sleep(chosen.uniform(0, 2))  # nothing of ours happens there that could be waited for
    else:
        moments.any(chosen)
    serving.kill()
    serving.start()


def kill_often(
    serving: Serving,
    campaign: Campaign,
    *,
    kills: int,
    seed: int,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Kill a broker so many times, and judge what is left."""
    chosen = random.Random(seed)
    serving.start()
    with campaign:
        for number in range(1, kills + 1):
            kill(serving, campaign.moments, chosen)
            progress(number)
    serving.stop()
    return campaign.report(kills, [serving])
