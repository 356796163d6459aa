"""P13 `merge`: several steps as one line, for a device that shows one line a study (F29).

Theory of operation.  Steps with equal values at `by` become one entry that says what the leading step
says, but for the attributes that a combine rule names.  Step ID, accession number, requested procedure
and study are those of the leading step, as they are stored: what comes back in MPPS and images names a
real step.  Whoever takes the MPPS finds the others by the same rule that merged them
(`DeviceProfile.together`), among the steps that share the study, the accession number or the requested
procedure; that is why `by` has to hold one of these.

Steps of different studies stay apart unless `study_uid: first` says that the leading step's study is
meant to hold the images of all (L6).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from mwl.mapping import paths
from mwl.mapping.devices.operations.grouping import grouped, joined, union_of_codes
from mwl.mapping.devices.operations.lint import Lint, identity_lint
from mwl.mapping.devices.operations.notation import Paths, PathText
from mwl.mapping.devices.operations.operation import Binding, Entry, ListStep, Options, Predicate, Run, Stage
from mwl.mapping.devices.operations.sources import Precedence, precedence
from mwl.mapping.devices.operations.when import When
from mwl.mapping.elements import has_value, make, texts
from mwl.model import Document, Element
from mwl.query import START_DATE, START_TIME, Path, normal_time

STUDY = paths.parse_path("StudyInstanceUID")
_ORDER = frozenset({STUDY, *map(paths.parse_path, ("AccessionNumber", "RequestedProcedureID"))})
_START = frozenset({START_DATE, START_TIME})

Combine: TypeAlias = Callable[[Sequence[Document]], list[tuple[Path, Element]]]
"""What one rule makes of the documents of a group."""


class Merge(Options):
    """Several steps as one line (P13)."""

    key = "merge"
    stage = Stage.SELECT
    number = 13

    by: Annotated[Paths, Field(min_length=1)]
    """Steps of one patient whose values here are equal become one line; one of them must be the Study
    Instance UID, the accession number or the Requested Procedure ID."""
    study_uid: Literal["same", "first"] = "same"
    """Steps of different studies stay apart, or become one line in the study of the step that leads."""
    join: dict[PathText, str] = Field(default_factory=dict)
    """Texts of all steps, each once, with this between them."""
    union_codes: Paths = ()
    """Code sequences with the codes of all steps, each once."""
    earliest: Paths = ()
    """Dates and times: the earliest; start date and start time are those of the step that starts first."""
    min: Paths = ()
    """The least value, numbers as numbers."""
    first: Paths = ()
    """The first value there is."""
    when: When | None = None
    """Only steps for which this holds are merged."""

    def arrange(self, binding: Binding) -> Iterator[ListStep]:
        """Yield the one step."""
        rules, by, guard, trust = self._rules(), self.keys, self._guard(binding), precedence(binding)

        def apply(entries: list[Entry], run: Run) -> list[Entry]:
            return [_merged(group, rules, trust) for group in grouped(entries, by, guard, run)]

        yield binding.list_step(apply)

    @property
    def keys(self) -> tuple[Path, ...]:
        """What steps of one line have in common."""
        by = tuple(paths.parse_path(text) for text in self.by)
        return by if self.study_uid == "first" or STUDY in by else (*by, STUDY)

    def lint(self) -> Iterator[Lint]:
        """Refuse lines that nothing could be told of later, and changed identities."""
        stated = {paths.parse_path(text) for text in self.by}
        if not stated & _ORDER:
            message = "needs StudyInstanceUID, AccessionNumber or RequestedProcedureID: exams report by it"
            yield Lint("L6", message, ("by",))
        elif STUDY not in stated and "study_uid" not in self.model_fields_set:
            message = (
                "steps of different studies stay apart: add StudyInstanceUID, or say study_uid: same or first"
            )
            yield Lint("L6", message, ("by",), warning=True)
        for key in ("join", "union_codes", "earliest", "min", "first"):
            for index, text in enumerate(getattr(self, key)):
                yield from identity_lint(text, (key, text if key == "join" else index))

    def _guard(self, binding: Binding) -> Predicate:
        return self.when.compile(binding, "when") if self.when else lambda _document, _run: True

    def _rules(self) -> list[Combine]:
        rules = [_joining(paths.parse_path(text), between) for text, between in self.join.items()]
        rules += [_uniting(paths.parse_path(text)) for text in self.union_codes]
        earliest = [paths.parse_path(text) for text in self.earliest]
        if _START & set(earliest):
            rules.append(_first_start)
        rules += [_least(path) for path in earliest if path not in _START]
        rules += [_least(paths.parse_path(text)) for text in self.min]
        return rules + [_first(paths.parse_path(text)) for text in self.first]


def _merged(group: list[Entry], rules: Sequence[Combine], trust: Precedence) -> Entry:
    if len(group) == 1:
        return group[0]
    members = trust.ranked(group)
    documents = [member.item.merged() for member in members]
    merged = documents[0]
    for rule in rules:
        for path, element in rule(documents):
            merged = paths.put(merged, path, element)
    return joined(members[0], trust.believed(merged, members), members)


def _joining(path: Path, between: str) -> Combine:
    def rule(documents: Sequence[Document]) -> list[tuple[Path, Element]]:
        found = dict.fromkeys(text for document in documents for text in texts(paths.get(document, path)))
        element = make(paths.vr(path[-1]), [between.join(found)])
        return [(path, element)] if element is not None and found else []

    return rule


def _uniting(path: Path) -> Combine:
    def rule(documents: Sequence[Document]) -> list[tuple[Path, Element]]:
        element = union_of_codes(documents, path)
        return [] if element is None else [(path, element)]

    return rule


def _first(path: Path) -> Combine:
    def rule(documents: Sequence[Document]) -> list[tuple[Path, Element]]:
        found = (paths.get(document, path) for document in documents)
        return [(path, element) for element in found if element is not None and has_value(element)][:1]

    return rule


def _least(path: Path) -> Combine:
    def rule(documents: Sequence[Document]) -> list[tuple[Path, Element]]:
        found = [element for document in documents if texts(element := paths.get(document, path))]
        return [(path, element) for element in sorted(filter(None, found), key=_size)[:1]]

    return rule


def _size(element: Element) -> tuple[int, float, str]:
    """Return what values are compared by: numbers before words, each among its own."""
    text = texts(element)[0]
    try:
        return (0, float(text), "")
    except ValueError:
        return (1, 0.0, text)


def _first_start(documents: Sequence[Document]) -> list[tuple[Path, Element]]:
    dated = [document for document in documents if texts(paths.get(document, START_DATE))]
    if not dated:
        return []
    first = min(dated, key=start)
    return [(path, element) for path in (START_DATE, START_TIME) if (element := paths.get(first, path))]


def start(document: Document) -> str:
    """Return date and time of a step as text that sorts; "" for one without a date."""
    date, time = texts(paths.get(document, START_DATE)), texts(paths.get(document, START_TIME))
    return date[0] + (normal_time(time[0]) if time else "") if date else ""
