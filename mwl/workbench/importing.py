"""Worklist items in files, as orders: data sets that another worklist server served, or its dumps.

What stands at the root of a data set is the patient's or the requested procedure's, what stands in an item
of the scheduled step's sequence is a step's.  Nothing is made up: a data set without what identifies a step
is told as such.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from mwl.dicom.elements import Undecodable
from mwl.dicom.encoding import decode_dataset
from mwl.errors import BadDocument, MwlError, Refusal, Refused
from mwl.model import STEP_SEQUENCE, Document, OrderAction, OrderMessage, ProcedureChange, text
from mwl.workbench.query_file import read_identifier

LONGEST: Final = 4 << 20
"""Octets of a file that is read: as much as a device may send."""

_PATIENT_GROUP = "0010"
_PATIENTS = frozenset(
    {"00380050", "00380500", "00403001"}
)  # PS3.4 Table K.6-1: needs, state, confidentiality
_OF_THE_FILE = frozenset({"00080005", "00080016", "00080018"})
_STATE, _STEP_ID, _PATIENT_ID = "00400020", "00400009", "00100020"
_START_DATE = "00400002"
_NEEDED = (("00080050", "00401001"), "neither an accession number nor a requested procedure ID")
_WAITING = frozenset({"", "SCHEDULED", "ARRIVED", "READY"})


def order(raw: bytes, name: str, system: str) -> OrderMessage:
    """Return the steps in a file as an order of *system*; raise `MwlError` with the reason why it is none.

    *raw* is a DICOM file, as wlmscpfs serves them and dump2dcm makes them, a bare data set, a dump, or JSON.
    """
    if len(raw) > LONGEST:
        raise _refusal(f"longer than {LONGEST >> 20} MiB")
    return _order(_data_set(raw, name), system)


def _data_set(raw: bytes, name: str) -> Document:
    try:
        read = read_identifier(raw, name)
        if isinstance(read.keys, bytes):
            return decode_dataset(read.keys, read.transfer_syntax)
    except BadDocument as error:
        raise _refusal(error.problems[0].message) from None
    except Undecodable as error:
        raise _refusal(f"no data set: {error}") from None
    return read.keys


def _order(data: Document, system: str) -> OrderMessage:
    steps = tuple(data.get(STEP_SEQUENCE, {}).get("Value") or ())
    root = {tag: each for tag, each in data.items() if tag not in _OF_THE_FILE and tag != STEP_SEQUENCE}
    patient = {tag: each for tag, each in root.items() if tag[:4] == _PATIENT_GROUP or tag in _PATIENTS}
    procedure = {tag: each for tag, each in root.items() if tag not in patient}
    if not text(patient, _PATIENT_ID):
        raise _refusal("no patient ID")
    tags, objection = _NEEDED
    if not any(text(procedure, tag) for tag in tags):
        raise _refusal(objection)
    if not steps:
        raise _refusal("no scheduled step")
    change = ProcedureChange(OrderAction.CREATE, procedure, tuple(map(_step, steps)))
    return OrderMessage(system, patient, (change,))


def _step(item: Document) -> Document:
    if not text(item, _STEP_ID):
        raise _refusal("a scheduled step without an ID")
    if (state := text(item, _STATE)) not in _WAITING:
        raise _refusal(f"a scheduled step that is {state}, and waits for nothing")
    if (day := text(item, _START_DATE)) and not _is_date(day):
        raise _refusal("a scheduled step whose start date is no YYYYMMDD")
    return {tag: each for tag, each in item.items() if tag != _STATE}


def _is_date(day: str) -> bool:
    try:
        return dt.datetime.strptime(day, "%Y%m%d").strftime("%Y%m%d") == day  # noqa: DTZ007  a day
    except ValueError:
        return False


def _refusal(reason: str) -> MwlError:
    return Refused(Refusal.NOT_TAKEN, reason)
