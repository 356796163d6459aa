"""The coded words of audit messages: DICOM's (PS3.16 CID 400 to 404), IHE's, and RFC 3881's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Code:
    """A coded value: a code, whose it is, and what it means in words."""

    value: str
    system: str
    meaning: str


def _dicom(value: str, meaning: str) -> Code:
    return Code(value, "DCM", meaning)


def _ihe(value: str, meaning: str) -> Code:
    return Code(value, "IHE Transactions", meaning)


# CID 400: what kind of event it is.
APPLICATION_ACTIVITY: Final = _dicom("110100", "Application Activity")
ORDER_RECORD: Final = _dicom("110109", "Order Record")
PATIENT_RECORD: Final = _dicom("110110", "Patient Record")
PROCEDURE_RECORD: Final = _dicom("110111", "Procedure Record")
QUERY: Final = _dicom("110112", "Query")
SECURITY_ALERT: Final = _dicom("110113", "Security Alert")
USER_AUTHENTICATION: Final = _dicom("110114", "User Authentication")

# CID 401 and 403: which of its kind.
APPLICATION_START: Final = _dicom("110120", "Application Start")
APPLICATION_STOP: Final = _dicom("110121", "Application Stop")
LOGIN: Final = _dicom("110122", "Login")
NODE_AUTHENTICATION: Final = _dicom("110126", "Node Authentication")
USE_OF_RESTRICTED_FUNCTION: Final = _dicom("110132", "Use of Restricted Function")

# IHE's transactions stand beside, where there is no doubt which one it was.
QUERY_WORKLIST: Final = _ihe("RAD-5", "Query Modality Worklist")
STEP_IN_PROGRESS: Final = _ihe("RAD-6", "Modality Procedure Step In Progress")
STEP_ENDED: Final = _ihe("RAD-7", "Modality Procedure Step Completed/Discontinued")
PATIENT_UPDATE: Final = _ihe("RAD-12", "Patient Update")

# CID 402: what part somebody had in it.
APPLICATION: Final = _dicom("110150", "Application")
APPLICATION_LAUNCHER: Final = _dicom("110151", "Application Launcher")
DESTINATION: Final = _dicom("110152", "Destination Role ID")
SOURCE: Final = _dicom("110153", "Source Role ID")

# CID 404 and RFC 3881: what an object is known by.
STUDY_INSTANCE_UID: Final = _dicom("110180", "Study Instance UID")
SOP_CLASS_UID: Final = _dicom("110181", "SOP Class UID")
NODE_ID: Final = _dicom("110182", "Node ID")
PATIENT_NUMBER: Final = Code("2", "RFC-3881", "Patient Number")
