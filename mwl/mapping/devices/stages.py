"""A device profile at work: what a device asks for and gets, stage by stage.

Theory of operation.  A `DeviceProfile` is frozen: tuples of steps, one for each written line, made by
`mwl.mapping.devices.binding`.  A query passes the stages in a fixed order (R3):

1. `accept` makes the identifier one that a strict reader understands.  Its result is what was asked
   for: the shape of every answer.
2. `rewrite` changes what is matched, never what is returned.
3. `filters` are the profile's own criteria, for the store.  Where the profile `arranges` the list,
   `arranged` makes its lines of the steps that were found; `limit` then cuts it.
4. `respond` changes values on a copy of the item (respond), cuts it to what was asked for (P29) and
   sees to what the device requires (conform).  `Withheld` leaves one item out.
5. `choose_charset` decides the letters it is written in.

Every stage is a function of its arguments: no clock, no database, and no document is ever changed.
A step of `respond` that fails on a value nobody thought of leaves the item as it was, and is reported;
one of the conform stage costs its item, because nothing dubious is sent (R5, R7).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from mwl.handles import UNKNOWN, Known, Lookups
from mwl.mapping import paths
from mwl.mapping.devices.operations import uid
from mwl.mapping.devices.operations.checks import Check, Unique
from mwl.mapping.devices.operations.choosing import Chooser
from mwl.mapping.devices.operations.codec import Chain
from mwl.mapping.devices.operations.criteria import Selection
from mwl.mapping.devices.operations.encode import Charset, Wire
from mwl.mapping.devices.operations.match import Recognition
from mwl.mapping.devices.operations.operation import (
    Entry,
    Excluded,
    ListStep,
    Predicate,
    Report,
    Run,
    Stage,
    Step,
    Withheld,
)
from mwl.mapping.devices.operations.order import Limit
from mwl.mapping.devices.operations.performed import Mpps
from mwl.mapping.devices.operations.relabel import Relabelling
from mwl.mapping.devices.operations.request import in_each_step, meant
from mwl.mapping.devices.operations.session import Session
from mwl.mapping.devices.operations.shape import Return
from mwl.mapping.devices.operations.values import seen
from mwl.mapping.elements import is_document, texts
from mwl.mapping.facts import Facts
from mwl.mapping.text.charset import CharacterSet
from mwl.mapping.trace import Trace, changes
from mwl.mapping.written import Effective
from mwl.model import Document, WorklistItem
from mwl.query import Criterion

__all__ = ["DeviceProfile", "Entry", "Excluded", "Report", "Shortfall", "Withheld"]


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Something a device may refuse in an answer that is sent all the same; holds no patient data."""

    index: int  # of the answer
    path: str
    message: str
    origin: str


@dataclass(frozen=True, slots=True)
class DeviceProfile:
    """One profile, bound to the variables of a device and to its site."""

    name: str
    status: str
    digest: str
    """Equal where every answer would be equal, but for the facts in `reads`."""
    written: Effective = field(repr=False)
    reads: frozenset[str]
    """The facts that answers depend on: calling_ae, called_ae, ip, impl_uid, impl_version, today, now."""
    limit: Limit
    session: Session
    """How a query is answered, beside its content (P33)."""
    lenient: bool
    """Whether a key value of the wrong form matches nothing, instead of failing the query."""
    missing_message_id: int | None
    """What a command without Message ID is answered under; None: it is refused."""
    wire: Wire
    """In which bytes an answer leaves (P32)."""
    mpps: Mpps
    """How performed steps are taken (P34 to P36)."""
    zone: dt.tzinfo | None
    """Of the device's clock; None: the site's."""
    relabelling: Relabelling | None
    """When the label of a device's character set is not believed."""
    local_filter: bool
    """Whether the device may filter the list itself after the download."""
    notes: tuple[str, ...]
    """What the engineer before the device should know."""
    recognition: Recognition | None = field(repr=False)
    """By what its devices are recognised (P1); None: by nothing."""
    _steps: dict[Stage, tuple[Step, ...]] = field(repr=False)
    _list_steps: tuple[ListStep, ...] = field(repr=False)
    _selections: tuple[Selection, ...] = field(repr=False)
    _checks: tuple[Check, ...] = field(repr=False)
    _uniques: tuple[Unique, ...] = field(repr=False)
    _chooser: Chooser = field(repr=False)
    _chains: tuple[Chain, ...] = field(repr=False)
    _step_studies: bool = field(repr=False)
    _sends_on: Predicate = field(repr=False)
    own_system: str = ""
    """The one system whose steps are shown, those on hold too; "" for every device there is, to which none
    that is on hold is shown.  The broker itself has one."""

    @property
    def pending_status(self) -> str:
        """FF00, FF01 or auto."""
        return self.session.pending

    @property
    def fuzzy_names(self) -> bool:
        """Whether person names are matched by sound though the device did not ask for it."""
        return self.session.fuzzy_names

    @property
    def transfer_syntaxes(self) -> tuple[str, ...]:
        """UIDs in order of preference; () takes what the device proposes first."""
        return self.wire.transfer_syntaxes

    def accept(self, keys: Document, trace: Trace | None = None) -> Document:
        """Return the identifier as one that a strict reader takes, as far as the profile tolerates it."""
        return self._run(Stage.ACCEPT, keys, Run(_NOBODY, keys, trace=trace))

    def rewrite(self, keys: Document, facts: Facts, trace: Trace | None = None) -> Document:
        """Return the keys to match, of those that `accept` returned."""
        # Several items of the step's sequence are alternatives, each rewritten by itself (P4).
        return in_each_step(keys, lambda each: self._run(Stage.QUERY, each, Run(facts, each, trace=trace)))

    def filters(
        self, keys: Document, facts: Facts, requested: Document | None = None
    ) -> tuple[Criterion, ...]:
        """Return the profile's criteria for the keys that `rewrite` returned.

        *requested* is the identifier that `accept` returned; without it nothing else was asked for.
        """
        run = Run(facts, keys if requested is None else requested)
        stated = (selection.criterion(keys, run) for selection in self._selections)
        return (*meant(keys), *(criterion for criterion in stated if criterion is not None))

    def seen(self, facts: Facts) -> tuple[str, ...] | None:
        """Return what of *facts* answers depend on; None where no two answers need be the same."""
        return seen(self.reads, facts)

    @property
    def arranges(self) -> bool:
        """Whether the list is more than its steps in the order of their start: `arranged` must be asked."""
        return bool(self._list_steps)

    def arranged(
        self,
        items: Sequence[WorklistItem],
        facts: Facts,
        trace: Trace | None = None,
        reports: list[Report] | None = None,
    ) -> list[Entry]:
        """Return the lines that *items* make, in the order of the list (P11 to P15).

        What could not be done to the list is added to *reports*.
        """
        run = Run(facts, {}, trace=trace, reports=[] if reports is None else reports)
        entries = [Entry.of(item) for item in items]
        for step in self._list_steps:
            run.step = step
            after = _applied(step, entries, run)
            if trace is not None:
                _trace_list(step, entries, after, trace)
            entries = after
        return entries

    def together(self, item: WorklistItem, among: Sequence[WorklistItem], facts: Facts) -> list[WorklistItem]:
        """Return those of *among* that this device is shown as one line with *item*, *item* first (P13, P14).

        What is performed of the one is performed of all of them.  *among* are steps in the order of their
        start; those that share the study, the accession number or the requested procedure will do.
        """
        entries = self.arranged(among, facts) if self.arranges else []
        keys = {ref.key for entry in entries if item.ref in entry.refs for ref in entry.refs}
        return [item, *(each for each in among if each.ref.key in keys and each.ref != item.ref)]

    def respond(
        self,
        item: WorklistItem,
        requested: Document,
        facts: Facts,
        trace: Trace | None = None,
        reports: list[Report] | None = None,
    ) -> Document:
        """Return the data set to send for *item*, in Unicode and without (0008,0005).

        *requested* is the identifier that `accept` returned.  What could not be done to it, and what the
        device may refuse in it, is added to *reports*.  Raises `Withheld` when the item must not be sent,
        `Excluded` when the profile leaves it out on purpose.
        """
        run = Run(facts, requested, trace=trace, source=item.system, stored=item)
        run.item = self._run(Stage.RESPOND, item.merged(), run)
        answer = self._run(Stage.CONFORM, run.item, run)
        if reports is not None:
            # What is not sent is nobody's concern.
            reports += dict.fromkeys(each for each in run.reports if _is_in(answer, each.path))
            reports += self.shortfalls(answer, run)
        return answer

    def leads_back_like(self, other: DeviceProfile) -> bool:
        """Tell whether the identities of performed steps are led back in the same words (R2)."""
        return self._identities() == other._identities()

    def _identities(self) -> dict[str, object]:
        operations = {step.operation for step in self._steps[Stage.MPPS]}
        written = self.written.data
        # An alias may stand in the list of its stage; a codec and a UID stand at the top of a profile alone.
        listed = [each for each in written.get(Stage.QUERY.value) or () if operations.intersection(each)]
        return {Stage.QUERY.value: listed, **{key: written.get(key) for key in operations}}

    @property
    def shows_capitals(self) -> bool:
        """Whether numbers that differ in capitals alone are shown as one (F50): intake must see to it."""
        return any(chain.capitals for chain in self._chains)

    def lookups(self, performed: Document) -> Lookups:
        """Return what of a performed step only the store can lead back to what is stored."""
        studies = frozenset(uid.lookups(performed)) if self._step_studies else frozenset()
        return Lookups(
            frozenset(each for chain in self._chains for each in chain.lookups(performed)), studies
        )

    def canonical(
        self,
        performed: Document,
        facts: Facts,
        known: Known = UNKNOWN,
        trace: Trace | None = None,
        reports: list[Report] | None = None,
    ) -> Document:
        """Return a performed step as it is stored: what the device knows in other words, led back (R1, R2).

        *known* is what the store found for `lookups`; what it does not know stays as the device says it.
        """
        run = Run(facts, performed, trace=trace, known=known, reports=[] if reports is None else reports)
        return self._run(Stage.MPPS, performed, run)

    def sends_on(self, performed: Document, facts: Facts) -> bool:
        """Tell whether a performed step, as it is stored, is sent on to those configured for it (P36)."""
        return self._sends_on(performed, Run(facts, performed))

    def choose_charset(
        self, answer: Document, requested_terms: Sequence[str], trace: Trace | None = None
    ) -> tuple[CharacterSet, Document, tuple[str, ...]]:
        """Return a character set, *answer* in a form that it holds with its (0008,0005), and what was done.

        *requested_terms* are the values of the identifier's own (0008,0005).  Raises `Withheld`.
        """
        try:
            choice = self._chooser.choose(answer, requested_terms)
        except Withheld:
            raise
        except Exception as error:  # as in `_run`: nothing dubious is sent
            raise Withheld(f"defect: {type(error).__name__}") from error
        if trace is not None:
            for path, before, after in changes(answer, choice.document):
                text = "; ".join(choice.notes)
                trace.note(Stage.ENCODE, choice.origin, path, before, after, text, Charset.key)
        return choice.charset, choice.document, choice.notes

    def shortfalls(self, answer: Document, run: Run | None = None) -> Iterator[Report]:
        """Yield what the device may refuse in *answer*, which is sent all the same (P30)."""
        for check in self._checks:
            try:
                found = list(check.failures(answer, run))
            except Exception as error:  # noqa: BLE001 - R7: a check that fails costs no item, and is told
                found = [replace(check.report, message=f"defect: {type(error).__name__}")]
            yield from found

    def marks(self, answer: Document) -> tuple[tuple[str, ...], ...]:
        """Return the values that no other answer of the list should have, an attribute each (P30 unique)."""
        return tuple(tuple(texts(paths.get(answer, unique.path))) for unique in self._uniques)

    def doubles(self, marks: Sequence[tuple[tuple[str, ...], ...]]) -> Iterator[tuple[int, Report]]:
        """Yield each answer of a list that has a value which one before it has, by its `marks`."""
        for number, unique in enumerate(self._uniques):
            had: set[str] = set()
            for index, mark in enumerate(marks):
                own = mark[number] if number < len(mark) else ()
                if had.intersection(own):
                    yield index, unique.report
                had.update(own)

    def review(self, answers: Sequence[Document]) -> Iterator[Shortfall]:
        """Yield what the device may refuse in the answers of one list (section 5, question 11)."""
        for index, answer in enumerate(answers):
            for found in self.shortfalls(answer):
                yield Shortfall(index, found.path, found.message, found.origin)
        for index, found in self.doubles([self.marks(answer) for answer in answers]):
            yield Shortfall(index, found.path, found.message, found.origin)

    def _run(self, stage: Stage, document: Document, run: Run) -> Document:
        for step in self._steps[stage]:
            run.step = step
            try:
                document = step.apply(document, run) if run.trace is None else _traced(step, document, run)
            except Withheld:
                raise
            except Exception as error:
                # R7: on a value nobody thought of.  Where, and not what: the value may name the patient.
                defect = f"defect: {type(error).__name__}"
                if stage in (Stage.RESPOND, Stage.MPPS):
                    run.report("", defect)
                elif stage is Stage.CONFORM:
                    raise Withheld(defect, "", step.origin) from error
                else:
                    raise
        return document


_NOBODY = Facts("")  # no tolerance depends on who asks


def _traced(step: Step, before: Document, run: Run) -> Document:
    trace, told = run.trace, len(run.reports)
    if trace is None:
        return step.apply(before, run)
    try:
        after = step.apply(before, run)
    except Withheld as withheld:
        trace.note(step.stage, step.origin, withheld.path, None, None, withheld.reason, step.operation)
        raise
    for path, old, new in changes(before, after):
        text = "not asked for" if new is None and step.operation == Return.key else ""
        trace.note(step.stage, step.origin, path, old, new, text, step.operation)
    for report in run.reports[told:]:
        trace.note(step.stage, step.origin, report.path, None, None, report.message, step.operation)
    return after


def _applied(step: ListStep, entries: list[Entry], run: Run) -> list[Entry]:
    """Return what *step* makes of a list; what is no document in it does not keep it from the others (R5)."""
    try:
        return step.apply(entries, run)
    except Exception as error:  # noqa: BLE001 - R7: a list that is not arranged beats none
        judged = [(is_document(entry.item.merged()), entry) for entry in entries]
        rest = [entry for sound, entry in judged if not sound]
        if rest:
            return [*_applied(step, [entry for sound, entry in judged if sound], run), *rest]
        run.report("", f"defect: {type(error).__name__}")
        return entries


def _trace_list(step: ListStep, before: Sequence[Entry], after: Sequence[Entry], trace: Trace) -> None:
    known = {(entry.refs, entry.part) for entry in before}
    for entry in after:
        if (entry.refs, entry.part) in known:
            continue
        named = ", ".join(str(ref.key) for ref in entry.refs)
        text = f"steps {named} are one line" if len(entry.refs) > 1 else f"part {entry.part} of step {named}"
        trace.note(Stage.SELECT, step.origin, "", None, None, text, step.operation)


def _is_in(answer: Document, path: str) -> bool:
    """Tell whether what a report is about is sent; the whole item always is."""
    try:
        return not path or paths.get(answer, paths.parse_path(path)) is not None
    except ValueError:
        return True
