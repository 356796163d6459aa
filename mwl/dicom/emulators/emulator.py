"""Playing a device: it asks, judges what it gets as its console does, and reports what it performed.

Theory of operation
-------------------
An `Emulator` is a `Device` at an address, under an AE title, with a clock.  `run` makes one query in an
association of its own and returns what the console would show, what it would not and why; it raises only
where nobody listens.  `begin` and `end` send N-CREATE and N-SET, each in an association of its own, as
an exam has minutes or hours between them.  Everything is bounded: the answers kept, the time for them,
the number of polls.  A target that is not this machine must be asked for by name.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from mwl.dicom import status
from mwl.dicom.emulators import catalogue
from mwl.dicom.emulators.association import Association, Broken, Response, associated
from mwl.dicom.emulators.console import settle, take
from mwl.dicom.emulators.description import PERFORMED, WORKLIST, Device, OnBad, Performing, Unplayable
from mwl.dicom.emulators.keys import data_set, encoded
from mwl.dicom.emulators.outcome import Exam, Report, Seen
from mwl.dicom.encoding import Undecodable, decode_dataset
from mwl.dicom.performed_rules import PERFORMED_SERIES, SCHEDULED_STEP_ATTRIBUTES
from mwl.dicom.uids import new_uid
from mwl.mapping.elements import texts
from mwl.model import Document, Element

MOST_ITEMS = 10_000  # of one answer: what a played device keeps is bounded
MOST_POLLS = 1000

Address = tuple[str, int]

_WALK_IN = data_set(("PatientName=WALK^IN", "PatientID=WALKIN1", "SPS.Modality=OT"), {})
"""Whom an unscheduled exam is of, where nobody is named."""


def _now() -> dt.datetime:
    return dt.datetime.now()  # noqa: DTZ005  a device has the time of its own clock


class Emulator:
    """A device that is played."""

    def __init__(
        self, device: Device | str, at: Address, *, ae: str = "", called: str = "", performing_ae: str = "",
        today: dt.date | None = None, timeout: float | None = None, on_bad: OnBad | str | None = None,
        clock: Callable[[], dt.datetime] = _now, beyond_loopback: bool = False,
    ) -> None:  # fmt: skip
        """Make *device* (its description or its name) ask the application at the address *at*.

        *ae*, *called*, *timeout* (seconds) and *on_bad* take the place of the description's; so does
        *performing_ae*, which is *ae* where that alone is given.  *today* is the date on the device's
        clock.  An address that is not loopback is refused with `Unplayable` unless *beyond_loopback*.
        """
        if not beyond_loopback and not is_loopback(at[0]):
            raise Unplayable(f"{at[0]} is not this machine")
        self.device = catalogue.device(device)
        self.at, self._clock = at, clock
        self.ae = ae or self.device.ae
        self.called = called or self.device.called or "MWL"
        self.performing_ae = performing_ae or ae or self.device.performing_ae or self.device.ae
        self.today = today or clock().date()
        self.timeout = self.device.timeout if timeout is None else timeout
        self.on_bad = self.device.judge.on_bad if on_bad is None else OnBad(on_bad)

    def run(self, query: str = "", *, typed: str = "", days: int = 1, cancel_after: int = 0) -> Seen:
        """Make the query named *query*, the device's first one by default.

        *typed* is what the operator types, *days* how far "before" and "after" reach; after
        *cancel_after* matches the device cancels (0: never).  Raises `Unplayable` for a query the device
        does not have, `Unavailable` where nobody listens.
        """
        identifier = self.device.query(query, self.today, ae=self.ae, typed=typed, days=days)
        name = query or next(iter(self.device.queries))
        return self.ask(identifier, name, codec=self.device.asking(query).codec, cancel_after=cancel_after)

    def ask(self, identifier: Document, name: str = "", *, codec: str = "", cancel_after: int = 0) -> Seen:
        """Make any query as this device would; see `run` and `keys.encoded`."""
        seen = Seen(self.device.name, name, identifier)
        try:
            with associated(self.device, self.at, self.ae, self.called) as association:
                context, syntax = self._worklist(association, seen)
                association.within(self.timeout)
                association.find(context, encoded(identifier, syntax, codec))
                self._collect(association, context, syntax, seen, cancel_after)
        except Broken as broken:
            seen.error = str(broken)
        settle(self.device.judge, seen)
        return seen

    def poll(
        self, times: int, every: float, query: str = "", *, wait: Callable[[float], object] = time.sleep,
        **asking: Any,
    ) -> Iterator[Seen]:  # fmt: skip
        """Make one query, as `run`, *times* times (at most `MOST_POLLS`), *every* seconds apart."""
        for number in range(min(times, MOST_POLLS)):
            if number:
                wait(every)
            yield self.run(query, **asking)

    def perform(self, *items: Document, variant: str = "") -> list[Report]:
        """Report what *variant* says the device does with *items* of a worklist, from first to last.

        Raises `Unplayable` for a variant the device does not have, or too few items.
        """
        reports: list[Report] = []
        began = f"{self._clock():%H%M%S}"
        for step in range(len(self.device.reporting(variant))):
            exam = self.begin(*items, variant=variant, step=step, began=began)
            reports += (exam.report, self.end(exam))
        return reports

    def begin(self, *items: Document, variant: str = "", step: int = 0, began: str = "") -> Exam:
        """Begin the performed step number *step* of *variant* (N-CREATE); *began* is HHMMSS, else now."""
        performing = self.device.reporting(variant)[step]
        if len(items) < performing.items:
            raise Unplayable(f"nothing to perform: {performing.items} worklist items are needed")
        performed = items[: performing.items] or items[:1] or (_WALK_IN,)
        uid = new_uid()
        facts = {
            "ae": self.ae, "today": f"{self.today:%Y%m%d}", "began": began or f"{self._clock():%H%M%S}",
            "series": new_uid(), "study": new_uid(),
        }  # fmt: skip
        created = data_set(performing.create, facts, performed[0])
        scheduled = [data_set(performing.scheduled, facts, item) for item in performed]
        created[SCHEDULED_STEP_ATTRIBUTES] = {"vr": "SQ", "Value": scheduled}
        if performing.series_at_once:
            created[PERFORMED_SERIES] = _series(performing, facts, performed)
        return Exam(uid, performing, performed, facts, self.create(uid, created))

    def end(self, exam: Exam) -> Report:
        """End the performed step (N-SET)."""
        facts = {**exam.facts, "ended": f"{self._clock():%H%M%S}"}
        final = data_set(exam.performing.final, facts, exam.items[0])
        final[PERFORMED_SERIES] = _series(exam.performing, facts, exam.items)
        return self.set(exam.uid, final)

    def create(self, uid: str, attributes: Document) -> Report:
        """Send any N-CREATE; "" as *uid* leaves the instance's UID to the peer."""
        return self._report("N-CREATE", uid, attributes)

    def set(self, uid: str, modifications: Document) -> Report:
        """Send any N-SET."""
        return self._report("N-SET", uid, modifications)

    def _report(self, operation: str, uid: str, attributes: Document) -> Report:
        (state, *_) = texts(attributes.get("00400252")) or [""]
        report = Report(operation, state, self.performing_ae, uid, attributes)
        syntaxes = next(syntaxes for sop_class, syntaxes in self.device.proposes if sop_class == WORKLIST)
        reporter = replace(self.device, proposes=((PERFORMED, syntaxes),))
        try:
            with associated(reporter, self.at, self.performing_ae, self.called) as association:
                context, syntax = association.context(PERFORMED)
                association.within(self.timeout)
                send = association.create if operation == "N-CREATE" else association.set
                send(context, uid, encoded(attributes, syntax))
                response = association.response()
        except Broken as broken:
            return replace(report, error=str(broken))
        return replace(report, status=response.status, comment=response.comment)

    def _worklist(self, association: Association, seen: Seen) -> tuple[int, str]:
        for number, (sop_class, _) in enumerate(self.device.proposes):
            if 2 * number + 1 not in association.contexts:
                seen.log.append(f"presentation context {2 * number + 1} ({sop_class}) was refused")
        return association.context(WORKLIST)

    def _collect(
        self, association: Association, context: int, syntax: str, seen: Seen, cancel_after: int
    ) -> None:
        cancelled = False
        while True:
            response = association.response()
            seen.statuses.append(response.status)
            if not status.is_pending(response.status):
                break
            refused = self._take(response, syntax, seen)
            if refused and self.on_bad is OnBad.ABORT:
                self._give_up(association, context, seen)
            if len(seen.raw) == MOST_ITEMS:
                raise Broken(f"more than {MOST_ITEMS} matches")
            if len(seen.raw) == cancel_after:
                association.cancel(context)
                seen.log.append(f"C-CANCEL was sent after {cancel_after} matches")
                cancelled = True
        if response.status != status.SUCCESS and not (cancelled and response.status == status.CANCEL):
            comment = f": {response.comment}" if response.comment else ""
            seen.error = f"{self.device.judge.failed} ({response.status:04X}{comment})"

    def _take(self, response: Response, syntax: str, seen: Seen) -> bool:
        """Judge one match; return whether it is refused."""
        seen.raw.append(response.data or b"")
        if not response.data:
            return take(self.device.judge, {}, seen, unreadable="a match without a data set")
        try:
            item = decode_dataset(response.data, syntax)
        except Undecodable as error:
            return take(self.device.judge, {}, seen, unreadable=f"it cannot be read: {error}")
        return take(self.device.judge, item, seen)

    def _give_up(self, association: Association, context: int, seen: Seen) -> None:
        """Cancel, wait for one more response while there is time, and let the association be aborted."""
        association.cancel(context)
        seen.log.append(f"C-CANCEL was sent after {len(seen.raw)} matches")
        with suppress(Broken):
            seen.statuses.append(association.response().status)
        raise Broken(self.device.judge.aborted)


def is_loopback(host: str) -> bool:
    """Tell whether *host* is this machine's own loopback."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _series(performing: Performing, facts: Mapping[str, str], items: tuple[Document, ...]) -> Element:
    return {"vr": "SQ", "Value": [data_set(performing.series, facts, items[0])]}


def emulate(
    device: Device | str, query: str = "", *, at: Address, typed: str = "", days: int = 1,
    cancel_after: int = 0, **how: Any,
) -> Seen:  # fmt: skip
    """Play one query: ``emulate("sim-ge-ct", "this scanner/today", at=address)``.

    *how* are the options of `Emulator`.
    """
    return Emulator(device, at, **how).run(query, typed=typed, days=days, cancel_after=cancel_after)
