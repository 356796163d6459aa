"""Plays vectors of performed steps against a running broker, with clients that are not ours."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import count
from typing import Any

from hl7.client import MLLPClient
from pydicom.dataset import Dataset

from acceptance.hl7_wire import ORDER, changed, text
from acceptance.mpps_vectors import INEXPRESSIBLE, VECTORS, Says, Sees, Vector
from foreign.dicom.clients import associated, find
from foreign.dicom.identifier import identifier
from foreign.dicom.performing import Reporter, Request, Response

STATES = "SCHEDULED\\ARRIVED\\READY\\STARTED\\COMPLETED\\DISCONTINUED\\CANCELED"
DEVICES: Mapping[str, Any] = {
    **{
        name: {"profile": f"{name.lower()}-performed"}
        for name in ("STRICT", "LEGACY", "INSISTING", "ATTACHING", "REOPENING", "STATION", "CODED")
    },
    "NX_WL": {"profile": "generic", "also": ["NX_MPPS"]},
    "WS": {"profile": "generic"},
}
"""The devices that vectors speak as."""

_NUMBERS = count(1)


def play(broker: Any, client: Reporter) -> dict[str, list[str]]:
    """Return what went wrong in each vector that a client can say."""
    unsaid = INEXPRESSIBLE.get(client.name, {})
    plays = [_Play(vector, next(_NUMBERS)) for vector in VECTORS if vector.id not in unsaid]
    _order(broker, plays)
    with ExitStack() as stack:
        asked = stack.enter_context(associated(broker.addresses["dicom"], calling="WS"))
        for each in plays:
            each.run(broker, client, asked)
    _look_back(broker, plays)
    return {each.vector.id: each.wrong for each in plays}


class _Play:
    """One vector with its numbers."""

    def __init__(self, vector: Vector, number: int) -> None:
        self.vector, self.n = vector, str(10_000 + number)
        self.uid = f"1.2.276.0.99.7.{self.n}"
        self.uids: list[str] = []
        self.wrong: list[str] = []

    @property
    def numbers(self) -> list[str]:
        """Those of its orders."""
        return [self.n, f"{self.n}1"] if "{n}1" in str(self.vector.steps) else [self.n]

    def filled(self, value: Any) -> Any:
        """Return *value* with the vector's numbers in their places."""
        if isinstance(value, str):
            return value.replace("{n}", self.n).replace("{u}", self.uid)
        if isinstance(value, list):
            return [self.filled(each) for each in value]
        if isinstance(value, Mapping):
            return {keyword: self.filled(each) for keyword, each in value.items()}
        return value

    def run(self, broker: Any, client: Reporter, asked: Any) -> None:
        """Say and see; what differs is kept."""
        steps = list(self.vector.steps)
        while steps:
            run = []
            while steps and isinstance(steps[0], Says):
                run.append(steps.pop(0))
            if run:
                self._say(
                    client.report(broker.addresses["dicom"], [self._request(each) for each in run]), run
                )
            if steps:
                self._see(asked, steps.pop(0))

    def _request(self, says: Says) -> Request:
        return Request(
            says.operation, self.filled(says.uid), self.filled(says.attributes), says.asks,
            says.calling or self.vector.device, says.together,
        )  # fmt: skip

    def _say(self, responses: Sequence[Response], run: Sequence[Says]) -> None:
        for says, response in zip(run, responses, strict=True):
            self.uids.append(response.uid)
            for what, due, found in _compared(says, response, self):
                if due != found:
                    self.wrong.append(f"{says.operation}: {what} is {found!r}, not {due!r}")

    def _see(self, asked: Any, sees: Sees) -> None:
        number = self.filled(sees.n)
        with_state = find(asked, identifier(f"step=SPS{number}", f"state={STATES}", "PatientID"))
        listed = find(asked, identifier(f"step=SPS{number}"))
        found = [
            str(item.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStatus) for item in with_state
        ]
        if (found, bool(len(listed))) != ([sees.state], sees.listed):
            self.wrong.append(f"{number} is {found}, on the worklist: {bool(len(listed))}")


def _compared(says: Says, response: Response, play: _Play) -> Iterator[tuple[str, Any, Any]]:
    yield "status", f"{says.status:04X}", f"{response.status:04X}"
    if says.uid and says.status != 0x0211:
        yield "SOP Instance UID", play.filled(says.uid), response.uid
    elif says.status == 0:
        yield "SOP Instance UID", True, bool(response.uid)
    yield "Error ID", says.error_id, response.error_id
    if says.comment:
        yield "comment", says.comment, response.comment
    if says.tags:
        yield "tags", says.tags, response.tags
    for path, due in says.has.items():
        yield path, play.filled(due), _values(response.attributes, path)


def _values(attributes: Dataset, path: str) -> str | None:
    """Return all values at a path, whatever the number of items; None where there is no such attribute."""
    head, _, rest = path.partition(".")
    if head not in attributes:
        return None
    found = attributes[head].value
    if rest:
        return " ".join(value for item in found or () if (value := _values(item, rest)) is not None)
    return str(found) if found else ""


def _order(broker: Any, plays: Sequence[_Play]) -> None:
    with MLLPClient(*broker.addresses["hl7"]) as client:
        client.socket.settimeout(60)
        for each in plays:
            for at, number in enumerate(each.numbers):
                own = [change for change in each.vector.order if "=" in change]
                patient = each.n if "same patient" in each.vector.order else number
                lines = changed(ORDER, f"PID-3=P{patient}^^^HOSP_A", *own)
                _send(client, text(lines, number, f"V{number}"))
                if each.vector.then and at == 0:
                    lines = changed(ORDER, *each.vector.then)
                    _send(client, text(lines, number, f"W{number}"))


def _send(client: MLLPClient, message: str) -> None:
    answer = client.send(b"\x0b" + message.encode() + b"\x1c\x0d").decode()
    assert "MSA|AA" in answer, answer


def _look_back(broker: Any, plays: Sequence[_Play]) -> None:
    """Hold what the RIS is told, and what a person is shown, against the vectors."""
    rows = _json(broker, "outbox", "list", "--json", "--limit", "100000")
    exams = {each["uid"]: each for each in _json(broker, "performed", "list", "--json", "--limit", "100000")}
    told: dict[str, list[str]] = {}
    for row in reversed(rows):
        number = row["facts"]["procedure"]["00080050"]["Value"][0].removeprefix("ACC")
        told.setdefault(number, []).append(row["facts"]["event"])
    for play in plays:
        for number in play.numbers:
            if tuple(told.get(number, ())) != play.vector.told:
                play.wrong.append(f"the RIS is told {told.get(number)} of {number}, not {play.vector.told}")
        remarks = {remark for uid in play.uids if uid in exams for remark in exams[uid]["remarks"]}
        if missing := set(play.vector.remarks) - remarks:
            play.wrong.append(f"nobody is told that {missing}: {remarks}")


def _json(broker: Any, *command: str) -> Any:
    done = broker.run(*command)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
