"""Acknowledgements: which ones a sender wants, and how they are written (D-10 to D-21).

Three rules are here and nowhere else: the table of acknowledgement modes, the messages that answer
an order, and the two forms of an error (HL7 up to 2.4 names its place in ERR-1, from 2.5 on in
ERR-2).  An answer speaks the sender's dialect: its delimiters, version, character set, and its own
control ID back without a change.

An accept acknowledgement (CA) says that the message is on record for good.  Here that is so once it
is applied, for both are one transaction (design 4.1): CA leaves right after the commit, and the
application's acknowledgement behind it, as a message of its own on the same connection.
"""

from __future__ import annotations

import datetime as dt
import random
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final

from mwl.errors import Finding, Location, Severity
from mwl.hl7.escapes import escape
from mwl.hl7.header import Header

ACCEPTED: Final = "AA"
ERROR: Final = "AE"  # the content is wrong: sending it again changes nothing
REJECTED: Final = "AR"  # not this kind of message, or not now (D-14)

ACCEPT_CODES: Final = {ACCEPTED: "CA", ERROR: "CE", REJECTED: "CR"}

CONDITIONS: Final[dict[int, str]] = {  # HL7 table 0357 (D-19)
    0: "Message accepted",
    100: "Segment sequence error",
    101: "Required field missing",
    102: "Data type error",
    103: "Table value not found",
    200: "Unsupported message type",
    201: "Unsupported event code",
    202: "Unsupported processing id",
    203: "Unsupported version id",
    204: "Unknown key identifier",
    205: "Duplicate key identifier",
    206: "Application record locked",
    207: "Application internal error",
}

_MOST_FINDINGS = 20  # a sender that reads more than these fixes them one message at a time
_MOST_TEXT = 200  # characters of one finding
_SENDER = "MWL"  # MSH-3 of an answer to a message that named no receiver
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


def new_control_id() -> str:
    """Return an MSH-10 of our own: unique, and within the 20 characters HL7 2.3.1 allows."""
    # It must differ and is no secret: to ask the system for it would cost an order a change of threads.
    return f"{random.getrandbits(80):020x}"


RESPONSES: Final = {"ORM": ("ORR", "O02"), "OMG": ("ORG", "O20"), "OMI": ("ORI", "O24")}
"""What HL7 answers an order's message with where the general ACK is not enough (C-07)."""


def codes(header: Header, code: str, mode: str = "auto") -> tuple[str, ...]:
    """Return what MSA-1 the sender is to get for the outcome *code*, in order; () is silence (D-11).

    ========  ===========  =========================================
    MSH-15    MSH-16       answer
    ========  ===========  =========================================
    blank     blank        AA, AE or AR (original mode, the default)
    wanted    wanted       CA, and the application's as a message of its own; after CR nothing
    wanted    not          CA, CE or CR
    not       wanted       AA, AE or AR
    not       not          none
    ========  ===========  =========================================

    ER wants an answer to what went wrong, SU one to success, NE and blank none; AL, and what table 0155
    does not know, wants one always.

    *mode* "original" answers AA, AE or AR whatever the fields say; "enhanced" takes a blank MSH-15 for
    AL, for senders that wait for CA and do not say so.
    """
    accept, application = header.accept_ack, header.application_ack
    if mode == "enhanced":
        accept = accept or "AL"
    if mode == "original" or not (accept or application):
        return (code,)
    good = code == ACCEPTED
    if application in _NEVER:
        return (ACCEPT_CODES[code],) if _wanted(accept, good=good) else ()
    if accept in _NEVER:
        return (code,) if _wanted(application, good=good) else ()
    # A message with wrong content is on record all the same: CA, then AE (D-12).
    kept = code != REJECTED
    first = ("CA" if kept else "CR",) if _wanted(accept, good=kept) else ()
    return (*first, code) if kept and _wanted(application, good=good) else first


_NEVER: Final = ("", "NE")


def _wanted(condition: str, *, good: bool) -> bool:
    return condition not in (*_NEVER, "ER" if good else "SU")


def acknowledge(
    header: Header,
    code: str,
    findings: Sequence[Finding] = (),
    *,
    now: dt.datetime,
    new_id: Callable[[], str] = new_control_id,
    replies: Collection[str] = (),
) -> str:
    """Return the acknowledgement *code* to the message with *header*, every segment ended by CR.

    Of *findings* the errors are told, the warnings are not: senders take any ERR for a refusal.
    *now* is aware.  A message whose header could not be read gets the usual delimiters (D-17).
    *replies* are the `RESPONSES` this sender gets; whatever has none of them is answered with ACK.
    """
    errors = [each for each in findings if each.severity is Severity.ERROR][:_MOST_FINDINGS]
    modern = header.version >= (2, 5)
    kind = _kind(header, replies if code in ACCEPT_CODES else ())
    segments = [_msh(header, kind, now, new_id()), _msa(header, code, errors)]
    if errors:
        segments += _err_by_place(header, errors) if modern else [_err_by_code(header, errors)]
    return "".join(f"{segment}\r" for segment in segments)


def _kind(header: Header, replies: Collection[str]) -> str:
    """Return MSH-9; its third component is of 2.4 and later (D-15)."""
    response, event = RESPONSES.get(header.message_type, ("", ""))
    if response in replies:
        kind, structure = [response, event], f"{response}_{event}"
    else:
        kind, structure = ["ACK", *filter(None, [_echo(header, 9, 2)])], "ACK"
    return header.delimiters.component.join([*kind, structure] if header.version >= (2, 4) else kind)


def _msh(header: Header, kind: str, now: dt.datetime, control_id: str) -> str:
    d = header.delimiters
    fields = {
        2: d.declared,
        3: _echo(header, 5) or _SENDER,
        4: _echo(header, 6),
        5: _echo(header, 3),
        6: _echo(header, 4),
        7: now.strftime("%Y%m%d%H%M%S%z"),
        9: kind,
        10: control_id,
        11: _echo(header, 11) or "P",
        12: _echo(header, 12) or "2.3.1",
        18: _echo(header, 18),
    }
    last = max(number for number, value in fields.items() if value)
    return d.field.join(["MSH", *(fields.get(number, "") for number in range(2, last + 1))])


def _echo(header: Header, number: int, component: int = 0) -> str:
    """Return a field, or a component of it, as it was written; only control characters are left out."""
    written = _CONTROLS.sub("", header.raw(number))
    if not component:
        return written
    parts = written.split(header.delimiters.component)
    return parts[component - 1] if component <= len(parts) else ""


def _msa(header: Header, code: str, errors: Sequence[Finding]) -> str:
    fields = ["MSA", code, _echo(header, 10)]
    if errors:
        fields.append(_text(header, errors[0]))
        if header.version < (2, 5):  # MSA-6 is withdrawn where ERR says more
            fields += ["", "", _condition(header, errors[0])]
    return header.delimiters.field.join(fields)


def _err_by_code(header: Header, errors: Sequence[Finding]) -> str:
    """Write ERR as HL7 2.3.1 has it: one segment, a repetition for each error (D-18)."""
    d = header.delimiters

    def told(finding: Finding) -> str:
        what = d.subcomponent.join((str(finding.code), escape(_name(finding.code), d), "HL70357"))
        place = finding.location
        return d.component.join((place.segment, str(place.occurrence), str(place.field or ""), what))

    return d.field.join(("ERR", d.repetition.join(told(each) for each in errors)))


def _err_by_place(header: Header, errors: Sequence[Finding]) -> Iterator[str]:
    """Write ERR as HL7 2.5 has it: a segment for each error; ERR-8 is what a user reads (D-18)."""
    d = header.delimiters
    for finding in errors:
        place = d.component.join(_place(finding.location))
        told = ["ERR", "", place, _condition(header, finding), "E", "", "", "", _text(header, finding)]
        yield d.field.join(told)


def _place(location: Location) -> list[str]:
    field, component = location.field, location.component
    numbers = [location.occurrence, field, (location.repetition or 1) if field else 0, component]
    parts = [location.segment, *(str(number or "") for number in (*numbers, location.subcomponent))]
    while not parts[-1]:
        parts.pop()
    return parts


def _condition(header: Header, finding: Finding) -> str:
    d = header.delimiters
    return d.component.join((str(finding.code), escape(_name(finding.code), d), "HL70357"))


def _name(code: int) -> str:
    return CONDITIONS.get(code, CONDITIONS[207])


def _text(header: Header, finding: Finding) -> str:
    """Return a finding in words, with its place: MSA-3 may be all that the sender's log shows."""
    words = f"{finding.location}: {finding.text}"[:_MOST_TEXT]
    return escape(words, header.delimiters)
