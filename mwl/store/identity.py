"""Which stored requested procedure an order message means.

A stored procedure is what one order asks for.  Orders that state one requested procedure ID are stored
each for itself, under its own numbers, and share the study (C-05): so each is changed and cancelled alone,
and its system is told under the numbers it sent (C-32).

The ladder: what was found by any number is the procedure meant, if its requested procedure ID is not
another one, and if the first of these that can be told says so.

1. Accession number and requested procedure ID agree, and it has a step that the message names: yes, it
   is what devices show and return.  IHE sends an order for each protocol code of a step (C-06).
2. The filler order number: the same, yes; another, no.
3. The placer order number: another, no; the same, yes.  Some systems give one placer number to several
   procedures: so under another accession number it takes the same requested procedure ID as well.
4. The accession number: the same, yes; another, no.
5. The Study Instance UID, of the same patient: with the same requested procedure ID, or for a message
   that has no number of the order at all.  A requested procedure ID that is all a message has, of the
   same patient.  The UID alone never finds an order that has numbers, and another UID never hides
   one: systems change it and leave it out.

A number is unique among the numbers of its issuer.  Without issuers it is unique in the system that
sent it; between systems it counts when the patient is the same.  Several procedures may remain; those
that agree in most, from the first rung on, are meant.

A number that is the same for another patient finds nothing and is reported: that is a mistake of
somebody's, or a merge not yet heard of, and joining the two would give one patient's exam to another.
So is an accession number with its requested procedure ID, whatever the order's own numbers are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

from sqlalchemy import and_, bindparam, or_, select

from mwl.store.prepared import Prepared
from mwl.store.tables import procedures, steps
from mwl.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class OrderNumbers:
    """What identifies a requested procedure; "" is unknown."""

    system: str
    patient_key: int
    placer: str = ""
    placer_issuer: str = ""
    filler: str = ""
    filler_issuer: str = ""
    accession: str = ""
    accession_issuer: str = ""
    requested_procedure_id: str = ""
    study_instance_uid: str = ""
    booked: str = ""  # of one that an appointment made: tags of the numbers that are made up
    step_ids: frozenset[str] = frozenset()  # those a message names; of a stored one, which of them it has

    @property
    def stated(self) -> OrderNumbers:
        """The numbers without those that are made up: these tell nothing about which order it is."""
        made_up: dict[str, Any] = {
            name: "" for tag, names in _MADE_UP.items() if tag in self.booked.split() for name in names
        }
        return replace(self, **made_up) if made_up else self

    @property
    def numbers(self) -> tuple[str, ...]:
        """The numbers of the order, each with its issuer."""
        return (
            self.placer, self.placer_issuer, self.filler, self.filler_issuer,
            self.accession, self.accession_issuer, self.requested_procedure_id,
        )  # fmt: skip

    @property
    def any(self) -> bool:
        """Whether there is a number of the order at all."""
        return self.of_the_order or bool(self.requested_procedure_id)

    @property
    def of_the_order(self) -> bool:
        """Whether there is a number besides the requested procedure ID, which may be as little as "1"."""
        return bool(self.placer or self.filler or self.accession)


_STEP_IDS = "step_ids"
_FIELDS = tuple(field.name for field in fields(OrderNumbers) if field.name != _STEP_IDS)  # columns, too
_MADE_UP = {"00080050": ("accession", "accession_issuer"), "00401001": ("requested_procedure_id",)}
_NUMBERS = ("filler", "placer", "accession", "study_instance_uid")
_PROCEDURE_ID, _PATIENT = "requested_procedure_id", "patient_key"


@dataclass(frozen=True, slots=True)
class Found:
    """The procedures an order means (several when its numbers do not tell them apart), and who else's."""

    keys: tuple[int, ...] = ()
    other_patient: bool = False  # the numbers are another patient's
    study_of_other_patient: bool = False  # the Study Instance UID is
    booked: tuple[int, ...] = ()  # those of the keys that an appointment made
    shared_study: str = ""  # the Study Instance UID of the requested procedure, as another order has it


def find(tx: Transaction, sent: OrderNumbers) -> Found:
    """Return the stored procedures that *sent* means."""
    shared = tuple(name for name in _NUMBERS if getattr(sent, name))
    if not sent.of_the_order and sent.requested_procedure_id:
        shared += (_PROCEDURE_ID,)
    if not shared:
        return Found()
    rows = _sharing(shared).all(tx.connection, {name: getattr(sent, name) for name in (*shared, _PATIENT)})
    if not rows:
        return Found()
    has = _having(tx, sent.step_ids, [row[0] for row in rows])
    known = [(row[0], replace(OrderNumbers(*row[1:]), step_ids=has[row[0]])) for row in rows]
    return pick(sent, [(key, stored.stated) for key, stored in known])


def _having(tx: Transaction, step_ids: frozenset[str], keys: Sequence[int]) -> dict[int, frozenset[str]]:
    """Return which of the *step_ids* each of these procedures has."""
    has: dict[int, frozenset[str]] = dict.fromkeys(keys, frozenset())
    if step_ids and keys:
        for row in tx.connection.execute(_NAMED, {"procedures": keys, "step_ids": sorted(step_ids)}):
            has[row.procedure_key] |= {row.step_id}
    return has


def pick(sent: OrderNumbers, known: Sequence[tuple[int, OrderNumbers]]) -> Found:
    """Return which of the *known* procedures, by key, *sent* means."""
    meant = [(key, stored) for key, stored in known if means(sent, stored)]
    own = [(key, stored) for key, stored in meant if stored.patient_key == sent.patient_key]
    best = max((_agreement(sent, stored) for _, stored in own), default=())
    nearest = [(key, stored) for key, stored in own if _agreement(sent, stored) == best]
    return Found(
        keys=tuple(key for key, _ in nearest),
        booked=tuple(key for key, stored in nearest if stored.booked),
        other_patient=bool(meant) and not own,
        study_of_other_patient=any(
            stored.study_instance_uid == sent.study_instance_uid != ""
            and stored.patient_key != sent.patient_key
            for _, stored in known
        ),
        shared_study=next((each.study_instance_uid for _, each in known if _of_one(sent, each)), ""),
    )


@lru_cache
def _sharing(names: tuple[str, ...]) -> Prepared:
    """Select the procedures that share one of these numbers, which are bound by name."""
    columns = procedures.c
    shared = []
    for name in names:
        same = columns[name] == bindparam(name)
        if name == _PROCEDURE_ID:
            same = and_(same, columns[_PATIENT] == bindparam(_PATIENT))
        shared.append(same)
    found = select(columns.key, *(columns[name] for name in _FIELDS)).where(or_(*shared))
    return Prepared(found.order_by(columns.key))


_NAMED = select(steps.c.procedure_key, steps.c.step_id).where(
    steps.c.procedure_key.in_(bindparam("procedures", expanding=True)),
    steps.c.step_id.in_(bindparam("step_ids", expanding=True)),
)


def means(sent: OrderNumbers, stored: OrderNumbers) -> bool:
    """Tell whether *sent* means the procedure *stored*, whoever its patient is: the ladder above."""
    procedure = _procedure(sent, stored)
    filler, placer, accession = _filler(sent, stored), _placer(sent, stored), _accession(sent, stored)
    if procedure is False:
        return False
    same_patient = sent.patient_key == stored.patient_key
    if accession and procedure and (not same_patient or sent.step_ids & stored.step_ids):
        return True
    if filler is not None:
        return filler
    if placer is not None:
        return placer and (accession is not False or procedure is True)
    if accession is not None:
        return accession
    return same_patient and _by_study(sent, stored)


def _of_one(sent: OrderNumbers, stored: OrderNumbers) -> bool:
    """Tell whether both belong to one requested procedure, be they one order or two."""
    same_patient = sent.patient_key == stored.patient_key
    return same_patient and bool(_accession(sent, stored) and _procedure(sent, stored))


def _by_study(sent: OrderNumbers, stored: OrderNumbers) -> bool:
    same = sent.study_instance_uid == stored.study_instance_uid != ""
    if _procedure(sent, stored):
        return same or not (sent.of_the_order or sent.study_instance_uid)
    return same and not sent.any


def _procedure(sent: OrderNumbers, stored: OrderNumbers) -> bool | None:
    if not sent.requested_procedure_id or not stored.requested_procedure_id:
        return None
    return sent.requested_procedure_id == stored.requested_procedure_id


def _filler(sent: OrderNumbers, stored: OrderNumbers) -> bool | None:
    return _same(sent, stored, (sent.filler, sent.filler_issuer), (stored.filler, stored.filler_issuer))


def _placer(sent: OrderNumbers, stored: OrderNumbers) -> bool | None:
    return _same(sent, stored, (sent.placer, sent.placer_issuer), (stored.placer, stored.placer_issuer))


def _accession(sent: OrderNumbers, stored: OrderNumbers) -> bool | None:
    return _same(
        sent, stored, (sent.accession, sent.accession_issuer), (stored.accession, stored.accession_issuer)
    )


def _same(
    sent: OrderNumbers, stored: OrderNumbers, one: tuple[str, str], other: tuple[str, str]
) -> bool | None:
    """Tell whether two numbers with their issuers are the same; None when that cannot be told."""
    if not one[0] or not other[0]:
        return None
    if one[1] and other[1]:
        return one[0] == other[0] if one[1] == other[1] else None
    if sent.system == stored.system:
        return one[0] == other[0]
    return True if one[0] == other[0] and sent.patient_key == stored.patient_key else None


def _agreement(sent: OrderNumbers, stored: OrderNumbers) -> tuple[bool, ...]:
    accession, procedure = _accession(sent, stored) is True, _procedure(sent, stored) is True
    named = bool(sent.step_ids & stored.step_ids)
    return (
        accession and procedure and named,
        _filler(sent, stored) is True,
        _placer(sent, stored) is True,
        accession,
        procedure,
        named,
        sent.study_instance_uid == stored.study_instance_uid,
    )
