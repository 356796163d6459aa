"""What devices will likely not be sent, or may refuse, of steps that are on record: found before they ask.

A doubt is about one step, one device and one attribute.  What is found anew takes the place of what was
found before; so a doubt goes as soon as its cause is mended.  A step that is done, and with it what was
doubtful, is of no interest to anybody: such doubts are neither shown nor kept.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, bindparam, delete, insert, or_, select

from mwl.lifecycle import CLOSED
from mwl.store.promoted import storable
from mwl.store.tables import doubts, message_links, messages, procedures, steps
from mwl.store.transaction import Transaction

PER_STEP = 50
"""Doubts kept of one step: what comes above that says nothing new."""

SLICE = 500
"""Steps that one statement looks for."""

_OPEN = steps.c.state.notin_([state.value for state in CLOSED])


@dataclass(frozen=True, slots=True)
class Found:
    """Something a device would take amiss; holds no patient data."""

    calling_ae: str  # the device's entry in the configuration: "*" for anyone
    path: str  # of the attribute
    message: str
    withheld: bool  # the step is not sent to the device; otherwise it is sent, and may be refused
    origin: str = ""  # file:line of the profile


@dataclass(frozen=True, slots=True)
class Doubt:
    """A doubt on record; *at* is UTC, as the tables hold instants."""

    step_key: int
    calling_ae: str
    path: str
    message: str
    withheld: bool
    origin: str
    message_key: int | None  # the HL7 message after which it was found
    at: str

    @property
    def found(self) -> Found:
        """What it says, whenever it was found."""
        return Found(self.calling_ae, self.path, self.message, self.withheld, self.origin)


def of_steps(tx: Transaction, keys: Collection[int]) -> dict[int, list[Doubt]]:
    """Return the doubts about open steps, by their keys; a step without any is left out."""
    return _by_step(tx, _READ.where(doubts.c.step_key.in_(list(keys))))


def of_message(tx: Transaction, message_key: int) -> dict[int, list[Doubt]]:
    """Return the doubts about the open steps that an HL7 message touched, by their keys."""
    touched = select(message_links.c.step_key).where(message_links.c.message_key == message_key)
    return _by_step(tx, _READ.where(doubts.c.step_key.in_(touched)))


def messages_concerned() -> Select[Any]:
    """Return a statement for the keys of messages that touched open steps which are in doubt."""
    about = doubts.join(steps, doubts.c.step_key == steps.c.key)
    touched = about.join(message_links, message_links.c.step_key == steps.c.key)
    return select(message_links.c.message_key).select_from(touched).where(_OPEN)


def replace(
    tx: Transaction, found: Mapping[int, Sequence[Found]], message_keys: Mapping[int, int | None]
) -> None:
    """Let *found*, by step, be all that is doubtful about these steps.

    What was known stays as it is, with the message it was found after; *message_keys* names it, by step,
    for what is new.  A step that is gone is passed over, a message that is gone is not named.
    """
    on_record = set(tx.connection.scalars(_MESSAGES, {"keys": [key for key in message_keys.values() if key]}))
    there = set(tx.connection.scalars(_THERE, {"keys": list(found)}))
    known: dict[int, dict[tuple[Any, ...], int]] = {key: {} for key in there}
    for row in tx.connection.execute(_KNOWN, {"keys": list(found)}):
        known[row.step_key][row.calling_ae, row.path, row.message, row.withheld, row.origin] = row.key
    gone: list[int] = []
    new: list[dict[str, Any]] = []
    for step in there:
        wanted = {_columns(each): each for each in _distinct(found[step])[:PER_STEP]}
        gone += [key for columns, key in known[step].items() if columns not in wanted]
        new += [
            _row(step, each, key if (key := message_keys.get(step)) in on_record else None, tx.stamp)
            for columns, each in wanted.items()
            if columns not in known[step]
        ]
    if gone:
        tx.connection.execute(delete(doubts).where(doubts.c.key.in_(gone)))
    if new:
        tx.connection.execute(insert(doubts), new)


def doubtful(tx: Transaction, *, after: int = 0, limit: int = SLICE) -> list[int]:
    """Return the keys of steps about which there are doubts, the first of those behind *after*."""
    about = select(doubts.c.step_key).where(doubts.c.step_key > after).distinct()
    return list(tx.connection.scalars(about.order_by(doubts.c.step_key).limit(limit)))


def concerned(
    tx: Transaction,
    *,
    patients: Collection[int] = (),
    procedures: Collection[int] = (),
    steps: Collection[int] = (),
    limit: int = SLICE,
) -> list[int]:
    """Return the keys of the open steps that a change of these, by their keys, may have changed.

    A patient's attributes are in each of the patient's steps, whichever order changed them.
    """
    named = {"procedures": list(procedures), "steps": list(steps)}
    whose = {*patients, *(tx.connection.scalars(_PATIENTS, named) if any(named.values()) else ())}
    found = tx.connection.scalars(_OF_PATIENTS, {"patients": sorted(whose), "most": limit}) if whose else ()
    return sorted(found)


def forget_closed(tx: Transaction, *, most: int = SLICE) -> int:
    """Delete doubts about steps that are done; return how many, *most* at most."""
    done = select(doubts.c.key).join(steps).where(~_OPEN).limit(most)
    keys = tx.connection.scalars(done).all()
    if keys:
        tx.connection.execute(delete(doubts).where(doubts.c.key.in_(keys)))
    return len(keys)


def _by_step(tx: Transaction, statement: Any) -> dict[int, list[Doubt]]:
    found: dict[int, list[Doubt]] = {}
    for row in tx.connection.execute(statement):
        found.setdefault(row.step_key, []).append(Doubt(*row))
    return found


def _columns(found: Found) -> tuple[Any, ...]:
    return (
        storable(found.calling_ae),
        storable(found.path),
        storable(found.message),
        found.withheld,
        storable(found.origin),
    )


def _row(step: int, found: Found, message_key: int | None, at: str) -> dict[str, Any]:
    names = ("calling_ae", "path", "message", "withheld", "origin")
    values = dict(zip(names, _columns(found), strict=True))
    return {"step_key": step, "message_key": message_key, "at": at, **values}


def _distinct(found: Sequence[Found]) -> list[Found]:
    """Keep one of those that say the same of the same: two lines of a profile may ask for one thing."""
    return list({_columns(each)[:3]: each for each in found}.values())


_THERE = select(steps.c.key).where(steps.c.key.in_(bindparam("keys", expanding=True)))
_MESSAGES = select(messages.c.key).where(messages.c.key.in_(bindparam("keys", expanding=True)))
_KNOWN = select(
    doubts.c.key,
    doubts.c.step_key,
    doubts.c.calling_ae,
    doubts.c.path,
    doubts.c.message,
    doubts.c.withheld,
    doubts.c.origin,
).where(doubts.c.step_key.in_(bindparam("keys", expanding=True)))
_READ = (
    select(
        doubts.c.step_key,
        doubts.c.calling_ae,
        doubts.c.path,
        doubts.c.message,
        doubts.c.withheld,
        doubts.c.origin,
        doubts.c.message_key,
        doubts.c.at,
    )
    .join(steps)
    .where(_OPEN)
    .order_by(doubts.c.step_key, doubts.c.calling_ae, doubts.c.key)
)
_PATIENTS = select(procedures.c.patient_key).where(
    or_(
        procedures.c.key.in_(bindparam("procedures", expanding=True)),
        procedures.c.key.in_(
            select(steps.c.procedure_key).where(steps.c.key.in_(bindparam("steps", expanding=True)))
        ),
    )
)
_OF_PATIENTS = (
    select(steps.c.key)
    .join(procedures)
    .where(_OPEN, procedures.c.patient_key.in_(bindparam("patients", expanding=True)))
    .limit(bindparam("most"))  # in no order: one would have SQLite walk through all steps
)
