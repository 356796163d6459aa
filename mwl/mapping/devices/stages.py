"""A device profile at work: what a device asks for and gets, stage by stage.

Theory of operation.  A `DeviceProfile` is frozen: tuples of steps, one for each written line, made by
`mwl.mapping.devices.binding`.  A query passes the stages in a fixed order (R3):

1. `accept` makes the identifier one that a strict reader understands.  Its result is what was asked
   for: the shape of every answer.
2. `rewrite` changes what is matched, never what is returned.
3. `filters` are the profile's own criteria, for the store; `limit` and `ordered` go with them.
4. `respond` changes values on a copy of the item (respond), cuts it to what was asked for (P29) and
   sees to what the device requires (conform).  `Withheld` leaves one item out.
5. `choose_charset` decides the letters it is written in.

Every stage is a function of its arguments: no clock, no database, and no document is ever changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mwl.mapping import paths
from mwl.mapping.devices.operations.choosing import Chooser
from mwl.mapping.devices.operations.encode import Charset
from mwl.mapping.devices.operations.operation import Run, Stage, Step, Withheld
from mwl.mapping.devices.operations.request import meant
from mwl.mapping.devices.operations.require import Check
from mwl.mapping.devices.operations.select import Limit, Selection, Sort
from mwl.mapping.devices.operations.session import Mpps
from mwl.mapping.devices.operations.shape import Return
from mwl.mapping.devices.operations.values import seen
from mwl.mapping.elements import texts
from mwl.mapping.facts import Facts
from mwl.mapping.text.charset import CharacterSet
from mwl.mapping.trace import Trace, changes
from mwl.mapping.written import Effective
from mwl.model import Document, WorklistItem
from mwl.query import Criterion, Path


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
    pending_status: str
    """FF00, FF01 or auto."""
    fuzzy_names: bool
    """Whether person names are matched by sound though the device did not ask for it."""
    lenient: bool
    """Whether a key value of the wrong form matches nothing, instead of failing the query."""
    missing_message_id: int | None
    """What a command without Message ID is answered under; None: it is refused."""
    transfer_syntaxes: tuple[str, ...]
    """UIDs in order of preference; () takes what the device proposes first."""
    mpps: Mpps
    _steps: dict[Stage, tuple[Step, ...]] = field(repr=False)
    _selections: tuple[Selection, ...] = field(repr=False)
    _sort: Sort = field(repr=False)
    _checks: tuple[Check, ...] = field(repr=False)
    _uniques: tuple[tuple[Path, str], ...] = field(repr=False)
    _chooser: Chooser = field(repr=False)

    def accept(self, keys: Document, trace: Trace | None = None) -> Document:
        """Return the identifier as one that a strict reader takes, as far as the profile tolerates it."""
        return self._run(Stage.ACCEPT, keys, Run(_NOBODY, keys, trace=trace))

    def rewrite(self, keys: Document, facts: Facts, trace: Trace | None = None) -> Document:
        """Return the keys to match, of those that `accept` returned."""
        return self._run(Stage.QUERY, keys, Run(facts, keys, trace=trace))

    def filters(self, keys: Document, facts: Facts) -> tuple[Criterion, ...]:
        """Return the profile's criteria for the keys that `rewrite` returned."""
        stated = (selection.criterion(keys, facts) for selection in self._selections)
        return (*meant(keys), *(criterion for criterion in stated if criterion is not None))

    def seen(self, facts: Facts) -> tuple[str, ...] | None:
        """Return what of *facts* answers depend on; None where no two answers need be the same."""
        return seen(self.reads, facts)

    @property
    def sorts(self) -> bool:
        """Whether the profile has an order of its own (P15)."""
        return bool(self._sort.root)

    def ordered(self, items: Sequence[WorklistItem]) -> list[WorklistItem]:
        """Return *items* in the profile's order (P15)."""
        return self._sort.ordered(items)

    def respond(
        self, item: WorklistItem, requested: Document, facts: Facts, trace: Trace | None = None
    ) -> Document:
        """Return the data set to send for *item*, in Unicode and without (0008,0005).

        *requested* is the identifier that `accept` returned.  Raises `Withheld` when the item must
        not be sent, `Excluded` when the profile's filter leaves it out.
        """
        run = Run(facts, requested, trace=trace)
        whole = self._run(Stage.SELECT, item.merged(), run)
        run.item = self._run(Stage.RESPOND, whole, run)
        return self._run(Stage.CONFORM, run.item, run)

    def choose_charset(
        self, answer: Document, requested_terms: Sequence[str], trace: Trace | None = None
    ) -> tuple[CharacterSet, Document, tuple[str, ...]]:
        """Return a character set, *answer* in a form that it holds with its (0008,0005), and what was done.

        *requested_terms* are the values of the identifier's own (0008,0005).  Raises `Withheld`.
        """
        choice = self._chooser.choose(answer, requested_terms)
        if trace is not None:
            for path, before, after in changes(answer, choice.document):
                text = "; ".join(choice.notes)
                trace.note(Stage.ENCODE, choice.origin, path, before, after, text, Charset.key)
        return choice.charset, choice.document, choice.notes

    def review(self, answers: Sequence[Document]) -> Iterator[Shortfall]:
        """Yield what the device may refuse in the answers of one list (section 5, question 11)."""
        for index, answer in enumerate(answers):
            for check in self._checks:
                if check.failed(answer):
                    yield Shortfall(index, paths.show(check.path), check.message, check.origin)
        for path, origin in self._uniques:
            seen: set[str] = set()
            for index, answer in enumerate(answers):
                for value in texts(paths.get(answer, path)):
                    if value in seen:
                        message = "another item of the list has the same value"
                        yield Shortfall(index, paths.show(path), message, origin)
                    seen.add(value)

    def _run(self, stage: Stage, document: Document, run: Run) -> Document:
        if run.trace is None:
            for step in self._steps[stage]:
                document = step.apply(document, run)
            return document
        for step in self._steps[stage]:
            document = _traced(step, document, run, run.trace)
        return document


_NOBODY = Facts("")  # no tolerance depends on who asks


def _traced(step: Step, before: Document, run: Run, trace: Trace) -> Document:
    try:
        after = step.apply(before, run)
    except Withheld as withheld:
        trace.note(step.stage, step.origin, withheld.path, None, None, withheld.reason, step.operation)
        raise
    for path, old, new in changes(before, after):
        text = "not asked for" if new is None and step.operation == Return.key else ""
        trace.note(step.stage, step.origin, path, old, new, text, step.operation)
    return after
