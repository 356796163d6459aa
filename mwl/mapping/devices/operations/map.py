"""P19 `map`: values looked up in a table, and what the device gets for them (F32, F33).

Theory of operation.  *key* names what is looked up; with ``[*]`` each item of the sequence is looked up
by itself.  A row of the table has a text for each output: parts of the code item the key stands in
(``code``, ``scheme``, ``meaning``), or attributes of the worklist item.  A table stands in the profile,
or in a CSV file under ``tables`` of the site's folder or the shipped one: its first column is what is
looked up, the others are named by `out`.  An empty cell leaves its output as it is.  What is looked up
in is in the profile's digest, so a changed table is a changed profile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema, model_validator

from mwl.errors import BadDocument
from mwl.mapping import paths
from mwl.mapping.devices.operations.legal import is_legal
from mwl.mapping.devices.operations.lint import Lint, constant_lint, identity_lint, invention_lint
from mwl.mapping.devices.operations.notation import SCALAR, Flag, Scalar, as_text, checked_path
from mwl.mapping.devices.operations.operation import (
    Apply,
    Binding,
    Excluded,
    Options,
    Run,
    Stage,
    Step,
    Withheld,
)
from mwl.mapping.devices.operations.reach import Reach, ReachText, parse_reach
from mwl.mapping.devices.operations.when import When
from mwl.mapping.elements import make, texts
from mwl.mapping.tables import Columns, Lookup
from mwl.model import STEP_SEQUENCE, Document, Element
from mwl.query import Path
from mwl.yamldoc import suggestion

PARTS = {"code": "00080100", "scheme": "00080102", "meaning": "00080104"}
"""The parts of a code item, by the names outputs have."""

_VALUE = "value"  # the one column of a table that is written as key: value
_CODE_VALUE = PARTS["code"]


def _table(written: Any) -> str | dict[str, dict[str, str]]:
    """Take a file's name, or a mapping of keys to texts or to columns; by hand, for one message a mistake."""
    if isinstance(written, str) and written:
        return written
    if not isinstance(written, dict) or not written:
        raise ValueError("the name of a CSV file, or a mapping of what is looked up to what stands for it")
    rows: dict[str, dict[str, str]] = {}
    for key, value in written.items():
        columns = value if isinstance(value, dict) else {_VALUE: value}
        cells = {str(name): as_text(cell) for name, cell in columns.items()}
        if not all(isinstance(cell, str) for cell in cells.values()):
            raise ValueError(f"{key!r} stands for a text, or for columns with a text each")
        rows[str(key)] = cells
    return rows


TableText: TypeAlias = Annotated[
    str | dict[str, dict[str, str]],
    PlainValidator(_table),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "additionalProperties": {
                        "anyOf": [SCALAR, {"type": "object", "additionalProperties": SCALAR}]
                    },
                },
            ]
        }
    ),
]


def _checked_output(text: str) -> str:
    return text if text in PARTS else checked_path(text)


Outputs: TypeAlias = dict[Annotated[str, AfterValidator(_checked_output)], Scalar]


def _default(written: Any) -> str | dict[str, str] | None:
    if isinstance(written, dict):
        return {name: str(as_text(value)) for name, value in written.items()}
    return None if written is None else str(as_text(written))


DefaultTexts: TypeAlias = Annotated[
    str | dict[str, str] | None,
    PlainValidator(_default),
    WithJsonSchema({"anyOf": [SCALAR, {"type": "object", "additionalProperties": SCALAR}, {"type": "null"}]}),
]


class Map(Options):
    """Values looked up in a table, written here or in a CSV file, and what the device gets for them (P19)."""

    key = "map"
    stage = Stage.RESPOND
    number = 19
    repeats = True

    table: TableText
    """A CSV file under `tables`, `exams.csv`; or the table itself, keys with what stands for each."""
    lookup: ReachText = Field(alias="key")
    """What is looked up: an attribute; in a sequence of the first item, `[1]`, `[last]`, or each, `[*]`."""
    out: Outputs = Field(default_factory=dict)
    """What a row fills: `code`, `scheme` and `meaning` of the key's item, or attributes, each from a
    column; `scheme` may be a text instead.  Without it the second column takes the key's place."""
    miss: Literal["keep", "default", "drop_item", "drop_code", "error"] = "keep"
    """What is not in the table: stays; gets `default`; its worklist item is not for this device; its code
    item is left out, and reported; or the worklist item is withheld as wrong."""
    default: DefaultTexts = None
    """What an output gets then: a text, or one for each output."""
    unsafe: Flag = False
    """It may be an identity that is changed, which comes back in MPPS and images (L2), or a name, birth
    date or sex that the order does not say."""
    when: When | None = None
    """Only where this holds."""

    @model_validator(mode="after")
    def _consistent(self) -> Map:
        if (self.miss == "default") != (self.default is not None):
            raise ValueError("'miss: default' and 'default' go together")
        if isinstance(self.default, dict) and (extra := set(self.default) - set(self.out)):
            raise ValueError(f"there is no output {min(extra)!r} for 'default'")
        # The step's own item is no code: without it nothing is left of the step.
        inside = parse_reach(self.lookup).path[:-1] not in ((), (STEP_SEQUENCE,))
        if self.miss == "drop_code" and not inside:
            raise ValueError("drop_code needs a key in an item of a code sequence")
        if not inside and set(self.out) & set(PARTS):
            raise ValueError("code, scheme and meaning need a key in an item of a code sequence")
        return self

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield the one step."""
        columns = self._columns(binding)
        if columns is None:
            return
        outputs = self._outputs(columns, binding)
        first = columns.names[0]
        rows = Lookup((row[first], row) for row in columns.rows)
        yield binding.step(_Mapping(self, rows, outputs).apply, "key")

    def fills(self) -> Iterator[str]:
        """Yield the attributes among the outputs."""
        yield from (name for name in self.out if name not in PARTS)

    def lint(self) -> Iterator[Lint]:
        """Refuse identities, and what a table makes up, unless the same profile says `unsafe`."""
        if self.unsafe:
            return
        made_up = invention_lint if self.default is None else constant_lint
        if not self.out:
            shown = paths.show(parse_reach(self.lookup).path)
            yield from identity_lint(shown, ("key",))
            yield from made_up(shown, ("key",))
        for text in self.out:
            if text not in PARTS:
                yield from identity_lint(text, ("out", text))
                yield from made_up(text, ("out", text))

    def _columns(self, binding: Binding) -> Columns | None:
        if not isinstance(self.table, str):
            names = dict.fromkeys(name for row in self.table.values() for name in row)
            key = "" if "" not in names else "\0"  # a name that no column has
            rows = [{key: found, **dict.fromkeys(names, ""), **row} for found, row in self.table.items()]
            return Columns((key, *names), tuple(rows), "")
        try:
            columns = binding.tables.get(self.table)
        except KeyError as error:
            binding.problem(str(error.args[0]), "table")
            return None
        except BadDocument as error:
            binding.problems += error.problems
            return None
        binding.tables_read[self.table] = columns.digest
        return columns

    def _outputs(self, columns: Columns, binding: Binding) -> list[_Output]:
        if not self.out:
            reach = parse_reach(self.lookup)
            return [_Output("", reach.path[-1], None, columns.names[1], "")]
        found = (self._output(name, column, columns, binding) for name, column in self.out.items())
        return [output for output in found if output is not None]

    def _output(self, name: str, column: str, columns: Columns, binding: Binding) -> _Output | None:
        known = columns.names[1:]
        constant = ""
        if column not in known:
            if name != "scheme":
                binding.problem(f"the table has no column {column!r}{suggestion(column, known)}", "out", name)
                return None
            column, constant = "", column
        path = None if name in PARTS else paths.parse_path(name)
        tag = PARTS.get(name) or (path or ("",))[-1]
        return _Output(name, tag, path, column, constant)


@dataclass(frozen=True, slots=True)
class _Output:
    """One thing a row fills."""

    name: str
    tag: str
    path: Path | None  # from the root; None: in what holds the key
    column: str
    constant: str

    def text(self, row: Mapping[str, str]) -> str:
        """Return what *row* fills in, "" where it says nothing."""
        return self.constant or row.get(self.column, "")


class _Mapping:
    """`Map`, worked out."""

    def __init__(self, written: Map, rows: Lookup[Mapping[str, str]], outputs: list[_Output]) -> None:
        self._rows, self._outputs, self._miss = rows, outputs, written.miss
        self._reach: Reach = parse_reach(written.lookup)
        default = written.default
        names = (output.name for output in outputs)
        each = default if isinstance(default, dict) else dict.fromkeys(names, default or "")
        self._default = [each.get(output.name) or output.constant for output in outputs]

    @property
    def apply(self) -> Apply:
        """The step."""

        def apply(document: Document, run: Run) -> Document:
            filled: list[tuple[Path, Element]] = []
            after = self._reach.edited(document, lambda holder: self._mapped(holder, run, filled))
            for path, element in filled:
                after = paths.put(after, path, element)
            return after

        return apply

    def _mapped(self, holder: Document, run: Run, filled: list[tuple[Path, Element]]) -> Document | None:
        found = texts(holder.get(self._reach.path[-1]))
        if not found:
            return holder
        row = self._rows.get(found[0])
        if row is None:
            if self._miss != "default":
                return self._missed(found[0], holder, run)
            filling = self._default
        else:
            filling = [output.text(row) for output in self._outputs]
        for output, text in zip(self._outputs, filling, strict=True):
            element = make(paths.vr(output.tag), [text]) if text else None
            if element is None or not is_legal(element):
                if text:
                    run.report(
                        self._reach.shown, f"the table's text is no value of VR {paths.vr(output.tag)}"
                    )
                continue
            if output.path is None:
                holder = {**holder, output.tag: element}
            else:
                filled.append((output.path, element))
        return holder

    def _missed(self, value: str, holder: Document, run: Run) -> Document | None:
        # A code is no patient data, and the engineer needs it (F32); any other value may be.
        named = f"the code {value[:64]}" if self._reach.path[-1] == _CODE_VALUE else "a value"
        message, origin = f"{named} is not in the table", run.step.origin if run.step else ""
        match self._miss:
            case "drop_item":
                raise Excluded(message, self._reach.shown, origin)
            case "error":
                raise Withheld(message, self._reach.shown, origin)
            case "drop_code":
                run.report(paths.show(self._reach.path[:-1]), f"{message}, and left out")
                return None
        return holder
