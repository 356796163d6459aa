"""What the acceptor makes of a proposal: the A-ASSOCIATE-AC (PS3.8 9.3.3, PS3.7 Annex D.3.3).

What is agreed to is decided here, pynetdicom encodes it.  (Its own negotiation makes a validated
object of every syntax of every context, and holds the loop for 7 ms when there are 128 of them.)
An association is accepted even when none of its contexts is (F-A04): the peer sees which, and why.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    AsynchronousOperationsWindowNegotiation,
    ImplementationVersionNameNotification,
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.presentation import PresentationContext

from mwl import __version__
from mwl.dicom.proposal import APPLICATION_CONTEXT, CALLED, ITEMS, Proposal
from mwl.dicom.service import EVERYTHING, NOTHING, Context, Extensions, ProposedContext

IMPLEMENTATION_UID = "2.25.217892909205245635658611291034650827598"
IMPLEMENTATION_VERSION = f"MWL_{__version__.replace('.', '_')}"[:16]

TRANSFER_SYNTAXES = (
    "1.2.840.10008.1.2",  # implicit VR little endian
    "1.2.840.10008.1.2.1",  # explicit VR little endian
    "1.2.840.10008.1.2.2",  # explicit VR big endian, for old scanners
    "1.2.840.10008.1.2.1.99",  # deflated explicit VR little endian
)
"""Accepted for every service: what `mwl.dicom.encoding` reads and writes."""

EXTENDED = "1.2.840.10008.5.1.4.31"
"""The one SOP class with an extended negotiation (A-05); MPPS shall have none (B-01)."""
_LEAST_OFFERED = 3  # bytes: two that are always 1, fuzzy matching, and perhaps timezone adjustment

# PS3.8 Table 9-18
ACCEPTED = 0
NO_ROLE = 1  # user rejection: of the roles the peer would take none is granted
NO_ABSTRACT_SYNTAX = 3
NO_TRANSFER_SYNTAX = 4


@dataclass(frozen=True, slots=True)
class Terms:
    """What the acceptor agrees to with one device.

    *services* are the SOP classes there is a service for; *prefer* the transfer syntaxes to choose
    before the device's own order; *max_pdu* (bytes) is announced; *identified* says that the user
    the device stated was checked and accepted.
    """

    services: frozenset[str]
    max_pdu: int
    prefer: tuple[str, ...] = ()
    extensions: Extensions = EVERYTHING
    identified: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """An A-ASSOCIATE-AC, and what it says: *refused* is abstract syntax and result, each pair once."""

    octets: bytes
    contexts: Mapping[int, Context]
    refused: tuple[tuple[str, int], ...]
    extensions: Extensions


def answer(proposal: Proposal, terms: Terms) -> Answer:
    """Return the A-ASSOCIATE-AC to *proposal*."""
    if terms not in proposal.answers:
        proposal.answers[terms] = _answer(proposal, terms)
    found: Answer = proposal.answers[terms]
    return found


def _answer(proposal: Proposal, terms: Terms) -> Answer:
    results: list[PresentationContext] = []
    contexts: dict[int, Context] = {}
    refused: dict[tuple[str, int], None] = {}
    for proposed in proposal.contexts:
        result, syntax = _judge(proposed, proposal, terms)
        results.append(_result(proposed.id, result, syntax))
        if result == ACCEPTED:
            contexts[proposed.id] = Context(proposed.id, proposed.abstract_syntax, syntax)
        else:
            refused[proposed.abstract_syntax, result] = None
    agreed = {context.abstract_syntax for context in contexts.values()}
    information, granted = _extended(proposal, terms) if EXTENDED in agreed else (b"", NOTHING)
    items = [
        *_roles(proposal, agreed),
        *_window(proposal),
        *_extension(information),
        *_identity(proposal, terms),
    ]
    return Answer(_encode(proposal, results, items, terms.max_pdu), contexts, tuple(refused), granted)


def _judge(proposed: ProposedContext, proposal: Proposal, terms: Terms) -> tuple[int, str]:
    """Return result and transfer syntax of one context; refused, the latter means nothing."""
    if proposed.abstract_syntax not in terms.services:
        return NO_ABSTRACT_SYNTAX, TRANSFER_SYNTAXES[0]
    supported = [uid for uid in proposed.transfer_syntaxes if uid in TRANSFER_SYNTAXES]
    if not supported:
        return NO_TRANSFER_SYNTAX, TRANSFER_SYNTAXES[0]
    if not proposal.user.roles.get(proposed.abstract_syntax, (True, False))[0]:
        return NO_ROLE, TRANSFER_SYNTAXES[0]
    return ACCEPTED, next((uid for uid in terms.prefer if uid in supported), supported[0])


def _result(number: int, result: int, transfer_syntax: str) -> PresentationContext:
    context = copy(_prototype(transfer_syntax))
    context.context_id, context.result = number, result
    return context


@lru_cache(maxsize=len(TRANSFER_SYNTAXES))
def _prototype(transfer_syntax: str) -> PresentationContext:
    context = PresentationContext()
    context.transfer_syntax = [UID(transfer_syntax)]
    return context


def _roles(proposal: Proposal, agreed: set[str]) -> Iterator[SCP_SCU_RoleSelectionNegotiation]:
    """Answer the roles of what was accepted (PS3.7 D.3.3.4): the peer is the SCU, never the SCP (A-04)."""
    for sop_class in proposal.user.roles:
        if sop_class in agreed:
            item = SCP_SCU_RoleSelectionNegotiation()
            item.sop_class_uid = UID(sop_class)
            item.scu_role, item.scp_role = True, False
            yield item


def _extended(proposal: Proposal, terms: Terms) -> tuple[bytes, Extensions]:
    """Return the application information to answer, as long as the offer, and what it grants."""
    offered = proposal.user.extended.get(EXTENDED, b"")
    if len(offered) < _LEAST_OFFERED:
        return b"", NOTHING
    granted = Extensions(
        fuzzy=terms.extensions.fuzzy and offered[2:3] == b"\1",
        timezone=terms.extensions.timezone and offered[3:4] == b"\1",
    )
    return bytes((1, 1, granted.fuzzy, granted.timezone))[: len(offered)], granted


def _extension(information: bytes) -> Iterator[SOPClassExtendedNegotiation]:
    if information:
        item = SOPClassExtendedNegotiation()
        item.sop_class_uid = UID(EXTENDED)
        item.service_class_application_information = information
        yield item


def _window(proposal: Proposal) -> Iterator[AsynchronousOperationsWindowNegotiation]:
    if proposal.user.async_window:  # PS3.7 D.3.3.3: one operation at a time, each way
        item = AsynchronousOperationsWindowNegotiation()
        item.maximum_number_operations_invoked = item.maximum_number_operations_performed = 1
        yield item


def _identity(proposal: Proposal, terms: Terms) -> Iterator[UserIdentityNegotiation]:
    stated = proposal.user.identity
    if terms.identified and stated and stated.answer_wanted:
        item = UserIdentityNegotiation()
        item.server_response = b""  # PS3.7 D.3.3.7.2: of length zero for a name, with a passcode or without
        yield item


def _encode(
    proposal: Proposal, results: list[PresentationContext], items: Iterable[Any], max_pdu: int
) -> bytes:
    associate = A_ASSOCIATE()
    associate.calling_ae_title = associate.called_ae_title = "PLACEHOLDER"
    associate.application_context_name = UID(APPLICATION_CONTEXT)
    associate.presentation_context_definition_results_list = results
    associate.maximum_length_received = max_pdu
    associate.implementation_class_uid = UID(IMPLEMENTATION_UID)
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION
    associate.user_information += [version, *items]
    octets = A_ASSOCIATE_AC(associate).encode()
    # PS3.8 Table 9-17: titles and reserved octets go back as they came.
    return octets[:CALLED] + proposal.octets[CALLED:ITEMS] + octets[ITEMS:]
