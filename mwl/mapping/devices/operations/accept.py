"""P4 `accept`: what is tolerated in an identifier that is not as PS3.4 K would have it.

The result is an identifier any strict reader understands.  Values that must not be matched are taken
out while their keys stay: what was asked for is still returned.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, PlainValidator, WithJsonSchema

from mwl.mapping import paths
from mwl.mapping.devices.operations.notation import Flag
from mwl.mapping.devices.operations.operation import Apply, Binding, Options, Run, Stage, Step
from mwl.mapping.devices.operations.relabel import CharsetForm, Relabelling
from mwl.mapping.devices.operations.request import WHOLE, either, in_each_step, item_of
from mwl.mapping.elements import edit_matching, has_value, texts
from mwl.model import STEP_SEQUENCE, Document, Element

_QUERY_RETRIEVE_LEVEL = paths.tag("QueryRetrieveLevel")

STEP_KEYS = tuple(
    paths.tag(name)
    for name in (
        "ScheduledStationAETitle",
        "ScheduledProcedureStepStartDate",
        "ScheduledProcedureStepStartTime",
        "Modality",
        "ScheduledPerformingPhysicianName",
        "ScheduledProcedureStepDescription",
        "ScheduledStationName",
        "ScheduledProcedureStepLocation",
        "ScheduledProtocolCodeSequence",
        "PreMedication",
        "ScheduledProcedureStepID",
        "RequestedContrastAgent",
        "ScheduledProcedureStepStatus",
    )
)
"""The step's attributes of the worklist's table with return type 1, 1C, 2 or 2C, and its status (A.3)."""

_LIFTED = frozenset(STEP_KEYS) | {
    paths.tag(name)
    for name in (
        "ScheduledProcedureStepEndDate",
        "ScheduledProcedureStepEndTime",
        "CommentsOnTheScheduledProcedureStep",
    )
}

_HOUR = re.compile(r"(?<!\d)(\d)(?!\d)")


REJECT = "reject"


def _message_id(value: Any) -> Any:
    if value == REJECT or (type(value) is int and 0 <= value <= 0xFFFF):
        return value
    raise ValueError(f"a Message ID is a number from 0 to 65535; {REJECT!r} refuses the command")


MessageId: TypeAlias = Annotated[
    int | str,
    PlainValidator(_message_id),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0, "maximum": 0xFFFF}, {"const": REJECT}]}),
]


class BadValues(BaseModel):
    """Key values of the wrong form that still say what is meant, by VR."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    DA: Literal["star_is_universal"] | None = None
    """A date of `*` asks for every date (F16)."""
    TM: Literal["hours_ok"] | None = None
    """A time may be a single digit, `8-12`, and `*` asks for every time (F17)."""
    US: Literal["zero_is_universal"] | None = None
    """A binary 0 asks for every value: no key of a worklist has it, and dcmjs writes it for an empty one."""


class Accept(Options):
    """What is tolerated in an identifier (P4)."""

    key = "accept"
    stage = Stage.ACCEPT
    number = 4

    root_sps_keys: Literal["lift", "as_sent"] = "as_sent"
    """Keys of the step that stand at the root: lift them into the step's item (F06)."""
    extra_sps_items: Literal["first", "or", "reject"] = "reject"
    """More than one item in the step's sequence: use the first (F07), find what any of them asks for, or let
    the query fail (A-43)."""
    empty_sps: Literal["expand", "as_sent"] = "as_sent"
    """A step's sequence without an item: ask for the worklist's own table of it as well (F08)."""
    unknown_keys: Literal["ignore", "as_sent"] = "as_sent"
    """Keys that the data dictionary does not hold: do not match them."""
    private: Literal["ignore", "as_sent"] = "as_sent"
    """Private keys: do not match them."""
    qr_level: Literal["ignore", "as_sent"] = "as_sent"
    """A Query/Retrieve Level, which a worklist does not have (A-02): take it out."""
    charset_label: CharsetForm | None = None
    """A label of the character set that is not believed (F43)."""
    missing_message_id: MessageId = REJECT
    """A command without Message ID: answer it under this one (F52), or refuse it."""
    bad_values: BadValues = BadValues()
    """Key values of the wrong form that still say what is meant."""
    lenient: Flag = False
    """Any other value of the wrong form matches nothing, instead of failing the query with A900 (A-13)."""

    def relabelling(self, binding: Binding) -> Relabelling | None:
        """Return when a label is not believed, before anything is read."""
        if self.charset_label is None:
            return None
        return Relabelling(self.charset_label, binding.origin("charset_label"))

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield a step for each tolerance, in the order in which they build on one another."""
        if self.qr_level == "ignore":
            yield binding.step(_without_level, "qr_level")
        if self.extra_sps_items == "first":
            yield binding.step(_one_item, "extra_sps_items")
        if self.empty_sps == "expand":
            yield binding.step(_in_each_item(_expanded), "empty_sps")
        if self.root_sps_keys == "lift":
            yield binding.step(_in_each_item(_lifted), "root_sps_keys")
        if self.extra_sps_items == "or":
            yield binding.step(_alternatives, "extra_sps_items")
        if self.private == "ignore":
            yield binding.step(_emptying(paths.is_private), "private")
        if self.unknown_keys == "ignore":
            yield binding.step(_emptying(_unknown), "unknown_keys")
        if self.bad_values.DA:
            yield binding.step(_editing("DA", _star), "bad_values", "DA")
        if self.bad_values.TM:
            yield binding.step(_editing("TM", _hours), "bad_values", "TM")
        if self.bad_values.US:
            yield binding.step(_editing("US", _zero), "bad_values", "US")


def _without_level(keys: Document, _run: Run) -> Document:
    return paths.drop(keys, (_QUERY_RETRIEVE_LEVEL,))


def _one_item(keys: Document, _run: Run) -> Document:
    key = keys.get(STEP_SEQUENCE)
    if key is None or _is_no_sequence(key) or len(key.get("Value", ())) < 2:
        return keys
    return {**keys, STEP_SEQUENCE: {"vr": "SQ", "Value": key["Value"][:1]}}


def _in_each_item(apply: Apply) -> Apply:
    return lambda keys, run: in_each_step(keys, lambda each: apply(each, run))


def _alternatives(keys: Document, _run: Run) -> Document:
    """Let each item be an alternative; all of them ask for the attributes of each (A-44)."""
    key = keys.get(STEP_SEQUENCE)
    if key is None or _is_no_sequence(key) or len(key.get("Value", ())) < 2:
        return keys
    wanted = {tag: {"vr": inner["vr"]} for item in key["Value"] for tag, inner in item.items()}
    items = [{**wanted, **item} for item in key["Value"]]
    return {**keys, STEP_SEQUENCE: either({"vr": "SQ", "Value": items})}


def _expanded(keys: Document, _run: Run) -> Document:
    key = keys.get(STEP_SEQUENCE)
    if key is None or _is_no_sequence(key) or WHOLE not in item_of(key):
        return keys
    item = {**item_of(key), **{tag: {"vr": paths.vr(tag)} for tag in STEP_KEYS}}
    return {**keys, STEP_SEQUENCE: {"vr": "SQ", "Value": [item]}}


def _lifted(keys: Document, _run: Run) -> Document:
    stray = {tag: key for tag, key in keys.items() if tag in _LIFTED}
    if not stray or (STEP_SEQUENCE in keys and _is_no_sequence(keys[STEP_SEQUENCE])):
        return keys
    item = item_of(keys[STEP_SEQUENCE]) if STEP_SEQUENCE in keys else {}
    # A key that the item states itself is left alone, and its double at the root says nothing.
    added = {tag: key for tag, key in stray.items() if not has_value(item.get(tag))}
    rest = {tag: key for tag, key in keys.items() if tag not in stray}
    return {**rest, STEP_SEQUENCE: {"vr": "SQ", "Value": [{**item, **added}]}}


def _is_no_sequence(key: Element) -> bool:
    """Tell whether a key asks for something that is no item: that is left to be refused (A900)."""
    return key["vr"] != "SQ" and ("InlineBinary" in key or has_value(key))


def _unknown(tag: str) -> bool:
    return not paths.known(tag) and not paths.is_private(tag)


def _emptying(chosen: Callable[[str], bool]) -> Callable[[Document, Run], Document]:
    """Make chosen keys universal: they match everything, and are still asked for (A-20)."""

    def apply(keys: Document, _run: Run) -> Document:
        tags = {tag for tag in _all_tags(keys) if chosen(tag)}
        return edit_matching(keys, tags, _emptied) if tags else keys

    return apply


def _emptied(key: Element) -> Element:
    return {"vr": key["vr"]} if key.get("Value") else key


def _all_tags(keys: Document) -> Iterator[str]:
    for tag, key in keys.items():
        yield tag
        if key["vr"] == "SQ":
            for item in key.get("Value", ()):
                yield from _all_tags(item)


def _editing(vr: str, edit: Callable[[Element], Element]) -> Callable[[Document, Run], Document]:
    def apply(keys: Document, _run: Run) -> Document:
        tags = {tag for tag in _all_tags(keys) if paths.vr(tag) == vr}
        return edit_matching(keys, tags, edit)

    return apply


def _star(key: Element) -> Element:
    return {"vr": key["vr"]} if texts(key) == ["*"] else key


def _zero(key: Element) -> Element:
    return {"vr": key["vr"]} if key.get("Value") == [0] else key


def _hours(key: Element) -> Element:
    values = texts(key)
    padded = [_HOUR.sub(r"0\1", value) for value in values]
    if values == ["*"]:
        return {"vr": key["vr"]}
    return key if padded == values else {"vr": key["vr"], "Value": padded}
