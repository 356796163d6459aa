"""The steps a device is shown as one line with another: what is performed of one is performed of all (F29).

Which belong together is the device's profile's to say; it is asked about those that may, and no others:
open steps of the same patient that share the study, the accession number or the requested procedure, and
the modality and the station, since a device is shown no others on one line.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_, bindparam, false, or_, select

from mwl.conduct import Together
from mwl.lifecycle import CLOSED
from mwl.model import StepRef
from mwl.store import steps as stored
from mwl.store.tables import procedures, step_stations, steps
from mwl.store.transaction import Transaction


def companions(tx: Transaction, step_key: int, together: Together) -> list[int]:
    """Return the other steps that are one line with this one, by key."""
    keys = _at_its_station(tx, step_key, tx.connection.scalars(_RELATED, {"step": step_key}).all())
    if len(keys) < 2:
        return []
    among = stored.load(tx, [StepRef(key, 0, 0, 0) for key in keys])
    item = next(each for each in among if each.ref.key == step_key)
    return [each.ref.key for each in together(item, among, tx.now) if each.ref.key != step_key]


def _at_its_station(tx: Transaction, step_key: int, keys: Sequence[int]) -> list[int]:
    """Return those of *keys* that may be shown where the step is; one without a station may be anywhere."""
    stations: dict[int, set[str]] = {key: set() for key in keys}
    for row in tx.connection.execute(_STATIONS, {"steps": list(keys)}):
        stations[row.step_key].add(row.ae_title)
    own = stations[step_key]
    return [key for key, theirs in stations.items() if not own or not theirs or own & theirs]


_OWN_STEP, _OWN = steps.alias("own_step"), procedures.alias("own")
_SHARED = or_(
    procedures.c.study_instance_uid == _OWN.c.study_instance_uid,
    and_(_OWN.c.accession != "", procedures.c.accession == _OWN.c.accession),
    and_(
        _OWN.c.requested_procedure_id != "",
        procedures.c.requested_procedure_id == _OWN.c.requested_procedure_id,
    ),
)
_OPEN = and_(
    steps.c.modality == _OWN_STEP.c.modality, steps.c.held == false(), steps.c.state.not_in(sorted(CLOSED))
)
_RELATED = (
    select(steps.c.key)
    .select_from(_OWN_STEP)
    .join(_OWN, _OWN.c.key == _OWN_STEP.c.procedure_key)
    .join(procedures, procedures.c.patient_key == _OWN.c.patient_key)
    .join(steps, steps.c.procedure_key == procedures.c.key)
    .where(_OWN_STEP.c.key == bindparam("step"))
    .where(or_(steps.c.key == _OWN_STEP.c.key, and_(_SHARED, _OPEN)))
    .order_by(steps.c.start, steps.c.key)
)
_STATIONS = select(step_stations.c.step_key, step_stations.c.ae_title).where(
    step_stations.c.step_key.in_(bindparam("steps", expanding=True))
)
