"""The analyst's day: a message is refused, she finds it, mends the profile and replays it, while the broker runs."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from acceptance.manual import Reader

ORDER = (
    "MSH|^~\\&|RIS|HOSP|MWL|HOSP|{sent}||ORM^O01|C{n}{control}|P|2.3.1||||||UNICODE UTF-8\n"
    "PID|1||PID{n:03}^^^HOSP||DOE^JANE||19700101|F\n"
    "ORC|{control}|PL{n}^RIS|FI{n}^RIS||||1^once^^{start}^^S|||||||||||CT1\n"
    "OBR|1|PL{n}^RIS|FI{n}^RIS|{code}^Knee^L||||||||||||||ACC{n}|RP{n}|SPS{n}\n"
)
KEYS = (
    "PatientID", "AccessionNumber",
    "ScheduledProcedureStepSequence[0].Modality",
    "ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate",
)  # fmt: skip


def order(n: int = 1, code: str = "MRKNEE", control: str = "NW", start: str = "20260705093000") -> str:
    sent = {"NW": "20260704120000", "XO": "20260704130000"}[control]
    return ORDER.format(n=n, code=code, control=control, start=start, sent=sent)


def values(lines: list[str], tag: str) -> list[str]:
    """Return the values that findscu printed of *tag*."""
    begin = next((i for i, line in enumerate(lines) if "Find Response" in line), len(lines))
    return [
        line.partition("[")[2].rpartition("]")[0].strip()
        for line in lines[begin:]
        if tag in line and "[" in line
    ]


class Site:
    """A broker with a profile of the site's own, which knows some codes and refuses all others."""

    def __init__(self, start_broker: Callable[..., Any], folder: Path) -> None:
        self.profile = folder / "mappings" / "systems" / "our-ris.yaml"
        self.profile.parent.mkdir(parents=True)
        self.knows("CTHEAD: CT")
        self.broker = start_broker(
            mappings=str(folder / "mappings"),
            devices={"CT1": {"profile": "generic"}},
            systems={"RIS": {"application": "RIS", "profile": "our-ris"}},
            retention={"unknown": 2048},
        )

    def knows(self, codes: str) -> None:
        line = f"Modality: {{from: OBR-4.1, table: {{{codes}}}, miss: error}}"
        self.profile.write_text(f"profile: our-ris\nstep:\n  {line}\n")

    def run(self, *words: str) -> Any:
        return json.loads(self.broker.run("hl7", *words, "--json").stdout)


@pytest.fixture
def site(start_broker: Callable[..., Any], tmp_path: Path) -> Site:
    return Site(start_broker, tmp_path)


def test_a_refused_order_is_found_mended_and_replayed(site: Site, findscu: Any, mllp_send: Any) -> None:
    """AE for a code nobody knew; the code is written down, SIGHUP, replay, and the device sees the step."""
    refusal = mllp_send(site.broker, order())
    before = findscu(site.broker, "CT1", *KEYS)
    (listed,) = site.run("list", "--accession", "ACC1")
    (message,) = site.run("check", str(written(site, order())))

    site.knows("CTHEAD: CT, MRKNEE: MR")
    site.broker.reload()
    rehearsed = site.run("replay", "--outcome", "AE", "--dry-run")
    between = findscu(site.broker, "CT1", *KEYS)
    replayed = site.broker.run("hl7", "replay", "--outcome", "AE")
    after = findscu(site.broker, "CT1", *KEYS)

    assert "MSA|AE|C1NW" in refusal
    assert "ERR|OBR^1^4^103" in refusal
    assert (listed["outcome"], listed["control_id"]) == ("AE", "C1NW")
    assert message["findings"][0]["origin"].endswith("our-ris.yaml:3")
    assert [each["now"] for each in rehearsed] == ["AA"]
    assert values(before, "(0010,0020)") == values(between, "(0010,0020)") == []
    assert (replayed.returncode, replayed.stderr) == (0, "1 replayed: 1 AA\n")
    assert values(after, "(0008,0050)") == ["ACC1"]
    assert values(after, "(0008,0060)") == ["MR"]
    assert "MSA|AA|C2NW" in mllp_send(site.broker, order(2))


def written(site: Site, text: str) -> Path:
    """Return a file that holds a message."""
    path = Path(site.broker.folder) / "order.hl7"
    path.write_text(text)
    return path


def test_a_sender_that_repeats_for_ever_is_one_message(site: Site, mllp_send: Any, findscu: Any) -> None:
    """Refused and repeated it is counted; after the replay it is told AA, and nothing is done twice."""
    for _ in range(5):
        assert "MSA|AE" in mllp_send(site.broker, order())
    site.knows("MRKNEE: MR")
    site.broker.reload()
    site.broker.run("hl7", "replay", "C1NW")

    answer = mllp_send(site.broker, order())

    (message,) = site.run("list")
    assert (message["receipts"], message["outcome"]) == (6, "AA")
    assert "MSA|AA|C1NW" in answer
    assert values(findscu(site.broker, "CT1", *KEYS), "(0008,0050)") == ["ACC1"]


def test_a_replay_beside_a_busy_broker_loses_and_doubles_nothing(
    site: Site, mllp_send: Any, findscu: Any
) -> None:
    """Refused orders are replayed while their changes and other orders arrive; the later message wins."""
    for n in range(1, 21):
        assert "MSA|AE" in mllp_send(site.broker, order(n))
    site.knows("MRKNEE: MR")
    site.broker.reload()
    answers: list[str] = []

    def send() -> None:
        for n in range(1, 41):
            control = "XO" if n <= 20 else "NW"
            answers.append(mllp_send(site.broker, order(n, control=control, start="20260706110000")))

    sender = threading.Thread(target=send)
    sender.start()
    replayed = site.broker.run("hl7", "replay", "--outcome", "AE")
    sender.join(60)

    assert (replayed.returncode, replayed.stderr) == (0, "20 replayed: 20 AA\n")
    assert len(answers) == 40
    assert all("MSA|AA" in answer for answer in answers)
    steps = json.loads(site.broker.run("steps", "list", "--json").stdout)
    days = sorted(
        (step["procedure"]["00080050"]["Value"][0], step["step"]["00400002"]["Value"][0]) for step in steps
    )
    assert days == sorted((f"ACC{n}", "20260706") for n in range(1, 41))


def test_rubbish_is_answered_and_bounded(site: Site, mllp_send: Any) -> None:
    """Hundreds of different pieces: each gets its AR, what is kept stays below the bound."""
    with socket.create_connection(site.broker.addresses["hl7"], timeout=30) as connection:
        answers = b""
        connection.sendall(b"".join(b"\x0brubbish %d\x1c\r" % n for n in range(500)))
        while answers.count(b"\x1c\r") < 500:
            answers += connection.recv(65536)

    assert answers.count(b"MSA|AR|") == 500
    listed = site.broker.run("hl7", "list", "--limit", "1000", "--json")
    octets = sum(message["octets"] for message in json.loads(listed.stdout))
    assert 0 < octets <= 2048
    assert "refused messages were answered and not kept" in listed.stderr
    assert "MSA|AA" in mllp_send(site.broker, order(code="CTHEAD"))


def test_old_messages_go_while_the_broker_runs(site: Site, mllp_send: Any) -> None:
    """The steps they made stay; a reload with a shorter time takes effect at once."""
    mllp_send(site.broker, order(1, code="CTHEAD"))
    mllp_send(site.broker, order(2, code="CTHEAD"))
    with sqlite3.connect(site.broker.folder / "mwl.db", isolation_level=None) as other:
        other.execute("UPDATE messages SET last_at = '2020-01-01T00:00:00.000000+00:00' WHERE key = 1")
    other.close()
    since = len(site.broker.events)
    configuration = site.broker.folder / "mwl.yaml"
    configuration.write_text(configuration.read_text().replace("unknown: 2048", "messages: 30d"))

    site.broker.reload()

    assert site.broker.until("old messages deleted", since)["messages"] == 1
    assert [message["control_id"] for message in site.run("list")] == ["C2NW"]
    assert len(json.loads(site.broker.run("steps", "list", "--json").stdout)) == 2


def test_no_patient_stands_in_a_log_line(site: Site, mllp_send: Any) -> None:
    """Searching and replaying print patients on stdout, and none on stderr."""
    mllp_send(site.broker, order())
    site.knows("MRKNEE: MR")
    runs = [
        site.broker.run("hl7", *words)
        for words in (["list"], ["show", "1", "--values"], ["replay", "1"], ["replay", "1", "--again"])
    ]

    assert all(done.returncode == 0 for done in runs)
    assert "DOE" in "".join(done.stdout for done in runs)
    told = "".join([*(done.stderr for done in runs), *site.broker.raw_log])
    assert "DOE" not in told
    assert "PID001" not in told


# ── the manual's own example ──


def test_the_manuals_example_comes_out_as_it_is_printed_there(start_broker: Callable[..., Any]) -> None:
    """Every line of "When a message was refused", from the refusal to the step."""
    reader = Reader(start_broker, unnamed="knee.hl7")

    reader.read_section("integration-analyst.md", "When a message was refused")

    assert reader.seen == reader.said
    assert any("AA replayed" in line for line in reader.seen)
