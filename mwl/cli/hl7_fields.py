"""A message field by field: place, content and the standard's name, or where each value goes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mwl.cli.hl7_view import short, shown, target
from mwl.cli.output import heading, print_table

if TYPE_CHECKING:
    from mwl.hl7.explain import Explanation, Value
    from mwl.hl7.message import Message, Segment
    from mwl.mapping.systems.source import Repetition

_NOT_READ = "-"


@dataclass(frozen=True, slots=True)
class FieldRow:
    """A field, one of its repetitions, or a component of it."""

    place: str  # "OBR[2]-4.1"
    name: str  # as the standard has it, for a whole field
    text: str
    segment: str
    occurrence: int
    field: int
    repetition: int
    component: int  # 0: the whole repetition


def field_rows(message: Message) -> Iterator[FieldRow]:
    """Yield the fields of a message that hold anything, in order, each with its components below it."""
    from mwl.hl7.structure import field_names

    for segment in message.segments:
        names = field_names(message.header.version, segment.name)
        for number in range(1, segment.text.count(message.header.delimiters.field) + 2):
            yield from _rows(segment, number, names.get(number, ""))


def _rows(segment: Segment, number: int, name: str) -> Iterator[FieldRow]:
    at = segment.name if segment.occurrence == 1 else f"{segment.name}[{segment.occurrence}]"
    repetitions = segment.field(number)
    for index, repetition in enumerate(repetitions, 1):
        place = f"{at}-{number}" + (f"[{index}]" if index > 1 else "")
        here = (segment.name, segment.occurrence, number, index)
        text = segment.raw(number) if len(repetitions) == 1 else _joined(repetition)
        yield FieldRow(place, name if index == 1 else "", text, *here, 0)
        if len(repetition) > 1:
            for component, parts in enumerate(repetition, 1):
                if inner := "&".join(parts).rstrip("&"):
                    yield FieldRow(f"{place}.{component}", "", inner, *here, component)


def _joined(repetition: Repetition) -> str:
    return "^".join("&".join(component) for component in repetition).rstrip("^")


def went(row: FieldRow, explanation: Explanation) -> list[Value]:
    """Return what stands at exactly this row: of a field without components, all of it."""
    found = []
    for value in explanation.at(row.segment, row.occurrence, row.field):
        for place in value.places:
            of_field = (place.segment, place.occurrence, place.field) == (
                row.segment, row.occurrence, row.field,
            )  # fmt: skip
            alone = row.component == 0 and _has_no_components(row, explanation)
            exact = place.component == row.component or alone
            if of_field and (place.repetition or 1) == row.repetition and exact and value not in found:
                found.append(value)
    return found


def _has_no_components(row: FieldRow, explanation: Explanation) -> bool:
    message = explanation.message
    repetitions = message.field(row.segment, row.occurrence, row.field) if message else ()
    return row.repetition <= len(repetitions) and len(repetitions[row.repetition - 1]) <= 1


def print_fields(message: Message, explanation: Explanation | None = None) -> None:
    """Print a message field by field; with an *explanation*, where each value went."""
    rows = list(field_rows(message))
    if explanation is None:
        print_table(["FIELD", "VALUE", "NAME"], [(row.place, row.text, row.name) for row in rows])
        return
    table: list[tuple[str, ...]] = []
    for row in rows:
        found = went(row, explanation)
        if not found:
            table.append((row.place, row.text, _unread(row, explanation), "", ""))
        for index, value in enumerate(found):
            first = (row.place, row.text) if index == 0 else ("", "")
            table.append((*first, target(value), shown(value.element), short(value.origin)))
    print_table(["FIELD", "VALUE", "GOES TO", "AS", "BY THE LINE"], table)
    if added := [each for each in explanation.values if each.element is not None and not each.places]:
        heading("put there by the profile")
        print_table(
            ["GOES TO", "AS", "BECAUSE OF", "BY THE LINE"],
            [(target(each), shown(each.element), each.source, short(each.origin)) for each in added],
        )


def _unread(row: FieldRow, explanation: Explanation) -> str:
    """Say of a field that gave no attribute what else it is for; of a component nothing is said."""
    if row.component or explanation.at(row.segment, row.occurrence, row.field):
        return ""
    use = explanation.use(row.segment, row.field)
    return f"({use})" if use else _NOT_READ
