"""What a lint says, and the attributes that plain operations must leave alone (7.8).

An identity that is changed on the way out comes back in MPPS and in images, so only reversible codecs
touch it (R2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mwl.mapping import paths
from mwl.model import STEP_SEQUENCE

IDENTITY = frozenset(
    paths.tag(name)
    for name in (
        "PatientID",
        "AccessionNumber",
        "RequestedProcedureID",
        "ScheduledProcedureStepID",
        "ScheduledStationAETitle",
        "StudyInstanceUID",
    )
)

SHORT_IDENTITY = frozenset(
    paths.tag(name) for name in ("AccessionNumber", "RequestedProcedureID", "ScheduledProcedureStepID")
)
"""The identities of VR SH, which holds 16 characters."""

NEVER_INVENTED = frozenset(paths.tag(name) for name in ("PatientName", "PatientBirthDate", "PatientSex"))
"""Absent stays absent: a constant here misinforms whoever reads it (12.3 b)."""

CLINICAL = frozenset(
    paths.tag(name)
    for name in (
        "PatientAge",
        "PatientSize",
        "PatientWeight",
        "PregnancyStatus",
        "MedicalAlerts",
        "Allergies",
    )
)
"""Doses and contrast agents are decided by these: a constant here is a finding nobody made."""

_STATION = paths.tag("ScheduledStationAETitle")
_NEVER_WITHHELD = (IDENTITY - {_STATION}) | {
    STEP_SEQUENCE,
    *(paths.tag(name) for name in ("PatientName", "PatientBirthDate", "IssuerOfPatientID")),
}


@dataclass(frozen=True, slots=True)
class Lint:
    """Something about a written operation that a schema cannot say, by the reference's number."""

    code: str
    message: str
    keys: tuple[str | int, ...] = ()  # from the operation's own place
    warning: bool = False


def identity_lint(text: str, keys: tuple[str | int, ...]) -> Iterator[Lint]:
    """Refuse an edit of an identity, which would come back in MPPS and images (R2), and of the step's
    sequence, which holds two of them.
    """
    tag = paths.parse_path(text)[-1]
    if tag == STEP_SEQUENCE:
        yield Lint("L2", f"{text} holds the identities of the step: change what is in it, line by line", keys)
    elif tag in IDENTITY:
        message = f"{text} is an identity, which comes back in MPPS and images: only a codec may change it"
        yield Lint("L2", message, keys)


def invention_lint(text: str, keys: tuple[str | int, ...]) -> Iterator[Lint]:
    """Refuse a name, birth date or sex that the order does not say (12.3 b)."""
    if paths.parse_path(text)[-1] in NEVER_INVENTED:
        yield Lint("unsafe", f"{text} would be made up: add 'unsafe: true' if that is meant", keys)


def constant_lint(text: str, keys: tuple[str | int, ...]) -> Iterator[Lint]:
    """Refuse to say the same of every patient where it is a finding about one (12.3 b)."""
    yield from invention_lint(text, keys)
    if paths.parse_path(text)[-1] in CLINICAL:
        message = f"{text} would be the same for every patient: add 'unsafe: true' if that is meant"
        yield Lint("unsafe", message, keys)


def withholding_lint(text: str, keys: tuple[str | int, ...]) -> Iterator[Lint]:
    """Refuse to send an item without what tells it apart (R2); its station is no such thing."""
    if paths.parse_path(text)[-1] in _NEVER_WITHHELD:
        message = f"without {text} an item cannot be told apart: add 'unsafe: true' if that is meant"
        yield Lint("L2", message, keys)
