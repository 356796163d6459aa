"""What an accepted MPPS request changes, in one transaction (PS3.4 F.7.2, B-18).

The stored step and the scheduled steps it moves, the status that the RIS must get, the request as it
came, and the rows for whoever gets performed steps or hears of them: all of it is committed together,
or nothing.  0x0000 leaves after that.

An instance that is unknown or final answers so whatever is wrong with the request besides (B-03, B-05).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from mwl.conduct import STANDARD, Conducts
from mwl.dicom import zones
from mwl.dicom.devices import Device, Devices
from mwl.dicom.performed_rules import (
    ENDINGS,
    NO_CHANGE,
    NOT_IN_SET,
    PERFORMED_SERIES,
    STATUS,
    Fault,
    Objection,
    objections_to_create,
    objections_to_set,
    settable,
    state_of,
)
from mwl.dicom.performed_tolerance import Tolerated, objections_to_time, said, tolerated
from mwl.dicom.service import N_SET_RQ, Request
from mwl.errors import Refusal, Refused
from mwl.handles import UNKNOWN
from mwl.lifecycle import PerformedState
from mwl.logs import event
from mwl.mapping.devices.device import Report
from mwl.mapping.devices.operations.performed import PerformedTolerance
from mwl.model import Document
from mwl.query import Path
from mwl.store import Transaction, handles, onward, performed, requests
from mwl.store.linking import Remark
from mwl.store.onward import CREATE, NOBODY, SET, Copy, Notice, Onward
from mwl.store.performed import Outcome, PerformedStep
from mwl.store.telling import Told

logger = logging.getLogger(__name__)

_END = ("00400250", "00400251", PERFORMED_SERIES)
_IN_PROGRESS = {"vr": "CS", "Value": [PerformedState.IN_PROGRESS.value]}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it is understood."""

    request: Request
    uid: str
    sent: Document = field(repr=False)  # as it came
    document: Document = field(repr=False)  # with code strings put right
    cleaned: tuple[Path, ...]  # where they were not
    values: tuple[Objection, ...]  # what its values have against them
    device: Device
    apart: bool = False  # not in the association that created the step

    @property
    def tolerance(self) -> PerformedTolerance:
        """What the device's profile tolerates."""
        return self.device.profile.mpps.accept

    @property
    def operation(self) -> str:
        """N-CREATE or N-SET."""
        return SET if self.sets else CREATE

    @property
    def sets(self) -> bool:
        """Whether it is an N-SET."""
        return self.request.command.field == N_SET_RQ

    @property
    def sends_canonical(self) -> bool:
        """Whether it is sent on in the broker's words and not in the device's."""
        forward = self.device.profile.mpps.forward
        return forward is not None and forward.values == "canonical"

    @property
    def title(self) -> str:
        """The AE title the device is known by: worklist and MPPS may call with two (M11)."""
        return self.device.title(self.request.association)


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a request: what is to be reported, and the attributes that were left out of it."""

    findings: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """Carries requests out, under one configuration."""

    devices: Devices
    told: Told
    conducts: Conducts = STANDARD
    onward: Onward = NOBODY
    on_changed: Callable[[Transaction, Request, PerformedStep], None] | None = None
    """Told of each request that was carried out, in its transaction; it may write into it."""

    def create(self, tx: Transaction, asked: Asked) -> Done:
        """Store a new performed step (N-CREATE); raises `Objected` and `Refused`."""
        over = asked.tolerance.ncreate_final == "synthesise" and state_of(asked.document) in ENDINGS
        objections = (*objections_to_create(asked.document, over=over), *asked.values)
        taken = tolerated((*_strange(asked, asked.title), *objections), asked.tolerance)
        canonical = self._in_time(asked, _without(self._canonical(tx, asked), taken.left_out))
        if over:
            return self._begun_and_ended(tx, asked, canonical, taken, "it was over when it was created")
        return self._begun(tx, asked, canonical, taken)

    def set(self, tx: Transaction, asked: Asked) -> Done:
        """Change a performed step (N-SET); raises `Objected` and `Refused`."""
        stored = performed.get(tx, asked.uid)
        if stored is None and asked.tolerance.nset_unknown == "reject":
            raise Refused(Refusal.UNKNOWN, "no such performed step")
        if stored is not None and stored.state is not PerformedState.IN_PROGRESS:
            raise Refused(Refusal.FINAL, "the performed step may no longer be updated")
        objections = [*_strange(asked, stored.calling_ae if stored else asked.title)]
        if asked.request.data is None:
            objections.append(NO_CHANGE)
        objections += objections_to_set(asked.document, stored.document if stored else None)
        objections += asked.values
        taken = tolerated(objections, asked.tolerance)
        canonical = self._canonical(tx, asked)
        if stored is None:
            return self._made(tx, asked, self._in_time(asked, canonical), taken)
        self._in_time(asked, {**stored.document, **canonical})
        return self._changed(tx, asked, canonical, stored, taken)

    def acknowledge(self, tx: Transaction, asked: Asked) -> None:
        """Keep what came for a final step and changes nothing (M04)."""
        stored = performed.get(tx, asked.uid)
        if stored is not None:
            self._kept(tx, asked, stored)

    def canonical(self, tx: Transaction, asked: Asked) -> Document:
        """Return what the device says in its own words as it is stored (R1, M16); nothing is reported."""
        return self._canonical(tx, asked, report=False)

    def _begun(self, tx: Transaction, asked: Asked, canonical: Document, taken: Tolerated) -> Done:
        outcome = self._created(tx, asked, canonical, serious=taken.serious)
        copy = self._copy(asked, canonical, self._carried_out(tx, asked, outcome.step))
        self._send_first(tx, asked, outcome.step, canonical, [copy])
        onward.notify(tx, outcome.step, [Notice.IN_PROGRESS], self.onward)
        return _done(asked, taken, *outcome.findings)

    def _changed(
        self, tx: Transaction, asked: Asked, canonical: Document, stored: PerformedStep, taken: Tolerated
    ) -> Done:
        # What the device repeats as it was is left out and nobody's concern; what differs it must hear of.
        moved = [tag for tag in canonical if tag in NOT_IN_SET and canonical[tag] != stored.document.get(tag)]
        left_out = tuple(dict.fromkeys((*taken.left_out, *moved)))
        change = _without(settable(canonical), left_out)
        outcome = performed.update(
            tx, asked.uid, change, calling_ae=asked.title, told=self.told, conducts=self.conducts
        )
        if taken.serious or moved:
            performed.remark(tx, outcome.step, {Remark.IRREGULAR})
        copy = self._copy(asked, change, self._carried_out(tx, asked, outcome.step))
        onward.send_next(tx, outcome.step, [copy], self.onward)
        onward.notify(tx, outcome.step, _notices(stored, outcome.step), self.onward)
        return replace(_done(asked, taken, *outcome.findings), left_out=left_out)

    def _made(self, tx: Transaction, asked: Asked, canonical: Document, taken: Tolerated) -> Done:
        """Make a performed step that nobody has created of what is set (M05)."""
        why, taken = "nobody had created it", replace(taken, serious=True)
        if state_of(canonical) in ENDINGS:
            return self._begun_and_ended(tx, asked, canonical, taken, why)
        done = self._begun(tx, asked, {**canonical, STATUS: _IN_PROGRESS}, taken)
        return replace(done, findings=(why, *done.findings))

    def _begun_and_ended(
        self, tx: Transaction, asked: Asked, canonical: Document, taken: Tolerated, why: str
    ) -> Done:
        """Store a step whose begin nobody reported: it begins and ends, in this order (M02)."""
        begun = self._created(tx, asked, {**canonical, STATUS: _IN_PROGRESS}, serious=taken.serious)
        end = {STATUS: canonical[STATUS]}
        ended = performed.update(
            tx, asked.uid, end, calling_ae=asked.title, told=self.told, conducts=self.conducts
        )
        key = self._carried_out(tx, asked, ended.step)
        copies = [self._copy(asked, canonical, key)] if asked.sets else _both(asked, canonical)
        self._send_first(tx, asked, ended.step, canonical, copies)
        onward.notify(tx, ended.step, [Notice.IN_PROGRESS, onward.ENDED[ended.step.state]], self.onward)
        return _done(asked, taken, why, *begun.findings, *ended.findings)

    def _created(self, tx: Transaction, asked: Asked, document: Document, *, serious: bool) -> Outcome:
        return performed.create(
            tx, asked.uid, document, calling_ae=asked.title, told=self.told, conducts=self.conducts,
            remarks={Remark.IRREGULAR} if serious else (),
        )  # fmt: skip

    def _carried_out(self, tx: Transaction, asked: Asked, step: PerformedStep) -> int:
        """Keep the request as it came, now that it is done; return its key."""
        if self.on_changed is not None:
            self.on_changed(tx, asked.request, step)
        return self._kept(tx, asked, step)

    def _kept(self, tx: Transaction, asked: Asked, step: PerformedStep) -> int:
        request = asked.request
        return requests.keep(
            tx, step.key, operation=asked.operation, calling_ae=request.association.calling_ae,
            address=request.association.address, transfer_syntax=request.context.transfer_syntax,
            data=request.data,
        )  # fmt: skip

    def _copy(self, asked: Asked, document: Document, key: int) -> Copy:
        ends = state_of(document) in ENDINGS
        if asked.sends_canonical:
            return Copy(asked.operation, document=document, ends=ends)
        return Copy(asked.operation, request=key, ends=ends)

    def _send_first(
        self, tx: Transaction, asked: Asked, step: PerformedStep, document: Document, copies: Sequence[Copy]
    ) -> None:
        if asked.device.profile.sends_on(document, self.devices.facts(asked.request.association)):
            onward.send_first(tx, step, copies, self.onward)

    def _in_time(self, asked: Asked, document: Document) -> Document:
        now = self.devices.facts(asked.request.association).now
        tolerated(objections_to_time(document, now), asked.tolerance)
        return document

    def _canonical(self, tx: Transaction, asked: Asked, *, report: bool = True) -> Document:
        """Return what the device says in its own words as it is stored (R1, M16)."""
        profile, association = asked.device.profile, asked.request.association
        lookups = profile.lookups(asked.document)
        known = handles.known(tx, lookups) if lookups else UNKNOWN
        reports: list[Report] = []
        canonical = profile.canonical(asked.document, self.devices.facts(association), known, reports=reports)
        for each in reports if report else ():
            event(logger, logging.WARNING, "performed step reported", device=association.calling_ae,
                  performed=asked.uid, finding=f"{each.operation}: {each.message}",
                  line=each.origin)  # fmt: skip
        if profile.zone is None:
            return canonical
        return zones.performed_in_site_time(canonical, profile.zone, self.devices.zone)


def _strange(asked: Asked, creator: str) -> Iterator[Objection]:
    """Yield what is unusual about who asks, and where; *creator* is the device that created the step."""
    if len({asked.request.association.calling_ae, asked.title, creator}) > 1:
        yield Objection(Fault.STRANGER)
    if asked.apart:
        yield Objection(Fault.APART)


def _done(asked: Asked, taken: Tolerated, *findings: str) -> Done:
    cleaned = [said("a code string was put right", asked.cleaned)] if asked.cleaned else []
    return Done((*cleaned, *taken.findings, *findings), taken.left_out)


def _without(document: Document, tags: Collection[str]) -> Document:
    return {tag: element for tag, element in document.items() if tag not in tags} if tags else document


def _notices(before: PerformedStep, after: PerformedStep) -> list[Notice]:
    if after.state is not before.state:
        return [onward.ENDED[after.state]]
    return [Notice.UPDATED] if after.revision != before.revision else []


def _both(asked: Asked, canonical: Document) -> list[Copy]:
    """Return a step that was over when it was created as other SCPs take it: as begun, then as ended."""
    document = canonical if asked.sends_canonical else asked.sent
    end = {tag: document[tag] for tag in _END if tag in document}
    return [
        Copy(CREATE, document={**document, STATUS: _IN_PROGRESS}),
        Copy(SET, document={STATUS: canonical[STATUS], **end}, ends=True),
    ]
