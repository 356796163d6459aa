"""What the acceptor makes of a proposal: the A-ASSOCIATE-AC (PS3.8 9.3.3, PS3.7 Annex D.3.3).

pynetdicom negotiates each presentation context and encodes the answer.  An association is accepted
even when none of its contexts is (F-A04): the peer sees which, and why.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import TypeAlias

from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    AsynchronousOperationsWindowNegotiation,
    ImplementationVersionNameNotification,
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassExtendedNegotiation,
)
from pynetdicom.presentation import PresentationContext, negotiate_as_acceptor

from mwl import __version__
from mwl.dicom.proposal import APPLICATION_CONTEXT, CALLED, ITEMS, Proposal
from mwl.dicom.service import Context

IMPLEMENTATION_UID = "2.25.217892909205245635658611291034650827598"
IMPLEMENTATION_VERSION = f"MWL_{__version__.replace('.', '_')}"[:16]

TRANSFER_SYNTAXES = (
    "1.2.840.10008.1.2",  # implicit VR little endian
    "1.2.840.10008.1.2.1",  # explicit VR little endian
    "1.2.840.10008.1.2.2",  # explicit VR big endian, for old scanners
)
"""Accepted for every service: what `mwl.dicom.encoding` reads and writes."""

EXTENDED_NEGOTIATION = {
    # no fuzzy matching, no timezone adjustment; the first two sub-fields are always 1.
    "1.2.840.10008.5.1.4.31": b"\x01\x01\x00",
}
"""By SOP class, the answer to an offer at least as long; for any other class there is none (B-01)."""

_ABSTRACT_SYNTAX_UNKNOWN, _TRANSFER_SYNTAXES_UNKNOWN = 3, 4  # PS3.8 Table 9-18

_Role: TypeAlias = SCP_SCU_RoleSelectionNegotiation
_Roles: TypeAlias = dict[UID, tuple[bool | None, bool | None]]


@dataclass(frozen=True, slots=True)
class Answer:
    """An A-ASSOCIATE-AC and the contexts it accepts, by ID."""

    octets: bytes
    contexts: Mapping[int, Context]


def answer(
    proposal: Proposal, abstract_syntaxes: Collection[str], prefer: Sequence[str] | None, max_pdu: int
) -> Answer:
    """Return the A-ASSOCIATE-AC to *proposal*.

    A context is accepted with the first transfer syntax of *prefer* that it proposes, or without
    preference with the first it proposes that is supported.  *max_pdu* (bytes) is announced.
    """
    terms = (frozenset(abstract_syntaxes), prefer and tuple(prefer), max_pdu)
    if terms not in proposal.answers:
        proposal.answers[terms] = _answer(proposal, abstract_syntaxes, prefer, max_pdu)
    found: Answer = proposal.answers[terms]
    return found


def _answer(
    proposal: Proposal, abstract_syntaxes: Collection[str], prefer: Sequence[str] | None, max_pdu: int
) -> Answer:
    results: list[PresentationContext] = []
    granted: dict[str, _Role] = {}
    asked: _Roles = {
        UID(uid): roles for uid, roles in proposal.user.roles.items() if uid in abstract_syntaxes
    }
    for proposed in proposal.contexts:
        syntaxes = _supported(proposed.transfer_syntaxes)
        if proposed.abstract_syntax not in abstract_syntaxes:
            results.append(_refused(proposed.id, _ABSTRACT_SYNTAX_UNKNOWN))
        elif not syntaxes:
            results.append(_refused(proposed.id, _TRANSFER_SYNTAXES_UNKNOWN))
        else:
            requested = _primitive(proposed.abstract_syntax, syntaxes)
            requested.context_id = proposed.id
            offered = _primitive(proposed.abstract_syntax, syntaxes if prefer is None else _supported(prefer))
            offered.scu_role, offered.scp_role = True, False  # the peer is the SCU, never the SCP
            contexts, roles = negotiate_as_acceptor([requested], [offered], asked)
            results += contexts
            granted.update((str(role.sop_class_uid), role) for role in roles)
    octets = _encode(proposal, results, list(granted.values()), max_pdu)
    return Answer(octets, {context.id: context for context in _accepted(results)})


def _supported(transfer_syntaxes: Sequence[str]) -> list[str]:
    """Return those in `TRANSFER_SYNTAXES`, each once, in the order given."""
    return [uid for uid in dict.fromkeys(transfer_syntaxes) if uid in TRANSFER_SYNTAXES]


def _refused(number: int, reason: int) -> PresentationContext:
    """Return the result of a context that need not be negotiated.

    It has a transfer syntax because it must have one; it means nothing (PS3.8 Table 9-18).
    """
    context = copy(_REFUSED)
    context.context_id, context.result = number, reason
    return context


def _primitive(abstract_syntax: str, transfer_syntaxes: Sequence[str]) -> PresentationContext:
    context = PresentationContext()
    context.abstract_syntax = UID(abstract_syntax)
    context.transfer_syntax = list(transfer_syntaxes)
    return context


_REFUSED = _primitive("1.2.840.10008.1.1", TRANSFER_SYNTAXES[:1])


def _accepted(results: list[PresentationContext]) -> Iterator[Context]:
    for result in results:
        if result.result == 0 and result.context_id is not None:
            yield Context(result.context_id, str(result.abstract_syntax), str(result.transfer_syntax[0]))


def _encode(
    proposal: Proposal, results: list[PresentationContext], roles: list[_Role], max_pdu: int
) -> bytes:
    associate = A_ASSOCIATE()
    associate.calling_ae_title = associate.called_ae_title = "PLACEHOLDER"
    associate.application_context_name = UID(APPLICATION_CONTEXT)
    associate.presentation_context_definition_results_list = results
    associate.maximum_length_received = max_pdu
    associate.implementation_class_uid = UID(IMPLEMENTATION_UID)
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION
    associate.user_information += [version, *roles, *_extended(proposal), *_window(proposal)]
    octets = A_ASSOCIATE_AC(associate).encode()
    # PS3.8 Table 9-17: titles and reserved octets go back as they came.
    return octets[:CALLED] + proposal.octets[CALLED:ITEMS] + octets[ITEMS:]


def _extended(proposal: Proposal) -> Iterator[SOPClassExtendedNegotiation]:
    for sop_class, offered in proposal.user.extended.items():
        information = EXTENDED_NEGOTIATION.get(sop_class)
        if information and len(offered) >= len(information):
            item = SOPClassExtendedNegotiation()
            item.sop_class_uid = UID(sop_class)
            item.service_class_application_information = information
            yield item


def _window(proposal: Proposal) -> Iterator[AsynchronousOperationsWindowNegotiation]:
    if proposal.user.async_window:  # PS3.7 D.3.3.3: one operation at a time, each way
        item = AsynchronousOperationsWindowNegotiation()
        item.maximum_number_operations_invoked = item.maximum_number_operations_performed = 1
        yield item
