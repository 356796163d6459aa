"""What the database holds and the RIS was told, held against what was acknowledged.

The tables are read by plain SQL, not through the broker's own store.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import NullPool, create_engine, text

from endurance.exams import Exam
from endurance.ris import Receipt

_STEPS = """
SELECT procedures.filler, steps.state, substr(steps.start_time, 1, 6)
FROM steps JOIN procedures ON procedures.key = steps.procedure_key
"""
_HISTORY = """
SELECT procedures.filler, step_history.after
FROM step_history JOIN steps ON steps.key = step_history.step_key
JOIN procedures ON procedures.key = steps.procedure_key ORDER BY step_history.key
"""
_PERFORMED = """
SELECT performed.sop_instance_uid, performed.state, count(performed_links.key)
FROM performed LEFT JOIN performed_links ON performed_links.performed_key = performed.key
GROUP BY performed.key, performed.sop_instance_uid, performed.state
"""
_PERFORMED_STATE = {"STARTED": "IN PROGRESS"}


@dataclass
class Findings:
    """What is wrong; nothing, if all is well."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    half_done: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    """Status that came out of order, or not as it was sent the first time."""
    repeated: int = 0
    """Status messages that the RIS got more than once: it may have been that the answer was lost."""
    told: int = 0
    """Status messages, each counted once."""

    def all(self) -> list[str]:
        """Return whatever must not be."""
        return [*self.lost, *self.doubled, *self.half_done, *self.disordered]


def waiting(database: str) -> bool:
    """Tell whether there is a status message that was not delivered, or of which nobody knows whether it was."""
    engine = create_engine(database, poolclass=NullPool)
    with engine.connect() as connection:
        found = connection.execute(text("SELECT key FROM outbox WHERE state = 'pending' LIMIT 1")).all()
    engine.dispose()
    return bool(found)


def judge(database: str, exams: Sequence[Exam], receipts: Sequence[Receipt]) -> Findings:
    """Hold everything against exams; of those that did not come to their end nothing is expected."""
    findings = Findings()
    _judge_database(database, exams, findings)
    _judge_receipts(exams, receipts, findings)
    return findings


def _judge_database(database: str, exams: Sequence[Exam], findings: Findings) -> None:
    engine = create_engine(database, poolclass=NullPool)
    with engine.connect() as connection:

        def rows(sql: str) -> list[tuple[object, ...]]:
            return [tuple(row) for row in connection.execute(text(sql))]

        steps = _by_first(rows(_STEPS))
        history = _by_first(rows(_HISTORY))
        performed = _by_first(rows(_PERFORMED))
        messages = _by_first(rows("SELECT control_id, outcome FROM messages"))
        patients = _by_first(rows("SELECT patient_id, issuer FROM patients"))
        pending = rows("SELECT control_id, state FROM outbox WHERE state <> 'delivered'")
    engine.dispose()
    for exam in (each for each in exams if each.finished):
        want = {
            f"step of {exam.accession}": (steps[f"FI{exam.n}"], [(exam.fate.states[-1], exam.start)]),
            f"patient of {exam.accession}": (patients[f"PID{exam.patient}"], [("HOSP",)]),
            **{f"message {each}": (messages[each], [("AA",)]) for each in exam.messages},
        }
        if "STARTED" in exam.fate.states:
            last = exam.fate.states[-1]
            want[f"performed {exam.uid}"] = (performed[exam.uid], [(_PERFORMED_STATE.get(last, last), 1)])
        for name, (found, wanted) in want.items():
            _compare(name, found, wanted, findings)
        passed = [state for (state,) in history[f"FI{exam.n}"]]
        if passed != list(exam.fate.states):
            findings.half_done.append(f"{exam.accession} went through {passed}, not {exam.fate.states}")
    findings.half_done += [f"status {control_id} is {state}" for control_id, state in pending]
    orders, uids = {f"FI{exam.n}" for exam in exams}, {exam.uid for exam in exams}
    findings.doubled += [f"{each} out of nowhere" for each in {*steps} - orders | {*performed} - uids]


def _compare(name: str, found: list[tuple[object, ...]], wanted: object, findings: Findings) -> None:
    if not found:
        findings.lost.append(f"{name} is not there")
    elif len(found) > 1:
        findings.doubled.append(f"{name} is there {len(found)} times")
    elif found != wanted:
        findings.lost.append(f"{name} is {found}, not {wanted}")


def _judge_receipts(exams: Sequence[Exam], receipts: Sequence[Receipt], findings: Findings) -> None:
    first: dict[str, Receipt] = {}
    told: dict[str, list[str]] = defaultdict(list)
    on_connection = Counter((receipt.connection, receipt.control_id) for receipt in receipts)
    for receipt in receipts:
        known = first.setdefault(receipt.control_id, receipt)
        if known is receipt:
            told[receipt.order].append(receipt.status)
        else:
            findings.repeated += 1
            if known.raw != receipt.raw:
                findings.disordered.append(f"{receipt.control_id} came again with other bytes")
    # The RIS answers everything and closes nothing: only a broker that ended may say a thing again.
    findings.doubled += [
        f"status {name} {count} times on one connection"
        for (_, name), count in on_connection.items()
        if count > 1
    ]
    findings.told = len(first)
    for exam in exams:
        heard = told.pop(f"FI{exam.n}", [])
        if not exam.finished:
            continue
        for status in exam.fate.told:
            if status not in heard:
                findings.lost.append(f"{status} of {exam.accession} was not told")
        if len(heard) > len(set(heard)):
            findings.doubled.append(f"{exam.accession} was told as {heard}")
        if heard != sorted(heard, key=lambda each: each != "IP") or set(heard) - set(exam.fate.told):
            findings.disordered.append(f"{exam.accession} was told as {heard}, not {exam.fate.told}")
    findings.doubled += [f"status of {order} out of nowhere" for order in told]


def _by_first(rows: Sequence[tuple[object, ...]]) -> dict[object, list[tuple[object, ...]]]:
    grouped: dict[object, list[tuple[object, ...]]] = defaultdict(list)
    for first, *others in rows:
        grouped[first].append(tuple(others))
    return grouped
