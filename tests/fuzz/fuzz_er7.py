"""HL7 messages: character set, header, segments, the system's profile, and the answer, ours and a receiver's.

python tests/fuzz/fuzz_er7.py -max_total_time=60
"""

from __future__ import annotations

import datetime as dt
from contextlib import suppress

from harness import ROOT, hunt, watched

with watched():
    from mwl.errors import NotUnderstood, Unacceptable
    from mwl.hl7.ack import acknowledge
    from mwl.hl7.answers import read_answer
    from mwl.hl7.batch import Batch
    from mwl.hl7.envelope import Envelope, System
    from mwl.hl7.sender import Nonsense
    from mwl.mapping.facts import SiteFacts
    from mwl.mapping.systems.system import load_systems

SITE = SiteFacts("HOSP")
SYSTEMS = [System("RIS", load_systems([ROOT / "mappings"]).bind("generic"))]
NOW = dt.datetime(2026, 7, 5, 9, tzinfo=dt.UTC)


def one_input(data: bytes) -> None:
    """Take one block in: it asks for something, or is refused with an answer that can be framed."""
    with suppress(Nonsense):
        read_answer(data)
    try:
        batch = Batch.open(data)
    except NotUnderstood:
        return
    if batch is None:
        take(data)
    else:
        for part in batch.parts:
            for message in part.messages:
                take(message)


def take(raw: bytes) -> None:
    envelope = Envelope.open(raw, "127.0.0.1", SYSTEMS, SITE)
    envelope.acknowledges  # noqa: B018 - it looks at the whole message
    code, findings = "AA", ()
    try:
        envelope.understand()
    except NotUnderstood as refusal:
        code, findings = "AR", refusal.findings
    except Unacceptable as refusal:
        code, findings = "AE", refusal.findings
    said = acknowledge(envelope.header, code, findings, now=NOW)
    assert not {"\v", "\x1c", "\n"} & set(said)
    assert [line[:3] for line in said.split("\r")[:2]] == ["MSH", "MSA"]


if __name__ == "__main__":
    hunt(__file__, one_input)
