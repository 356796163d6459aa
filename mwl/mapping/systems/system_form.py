"""What may stand in a system profile: one class a section, one sentence a key.

The sentence under a key is its description in the JSON Schema and in the manual.  Shorthand is written
out before anything is checked, so that one mistake gives one line.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from mwl.model import StatusEvent

SCHEMA_FILE = "system.schema.json"
"""Name of the JSON Schema in the mappings folder; the first line of a profile points to it."""


class Form(BaseModel):
    """Common to all sections: an unknown key is an error, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def _as_text(value: Any) -> Any:
    """Take a number or a truth value for the text it was written as: tables are full of them."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, (int, float)) else value


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) or value is None else [value]


def _short_rule(value: Any) -> Any:
    return {"from": value} if isinstance(value, (str, list)) else value


def _short_condition(value: Any) -> Any:
    return value if isinstance(value, dict) else {"in": value}


def _short_tables(value: Any) -> Any:
    return [_short_table(each) for each in _listed(value) or ()]


def _short_table(value: Any) -> Any:
    return {"rows": value} if isinstance(value, dict) else {"file": value}


Text = Annotated[str, BeforeValidator(_as_text, json_schema_input_type=str | int | float | bool)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_listed, json_schema_input_type=str | list[str])]
Rows: TypeAlias = dict[str, Text]


class TableForm(Form):
    """A table: the name of a CSV file, or rows written in place."""

    file: str | None = None
    """Name of a file in the folder tables, without its ending."""
    rows: Rows = {}
    """What is looked up, and what stands for it."""


TableForms = Annotated[
    tuple[TableForm, ...],
    BeforeValidator(_short_tables, json_schema_input_type=str | Rows | list[str | Rows]),
]


class ConditionForm(Form):
    """What must hold of an HL7 path, or of a DICOM attribute read before; several keys must all hold."""

    in_: Texts | None = Field(default=None, alias="in")
    """Texts one of which stands there; ``*`` stands for any text. Shorthand: the text or list alone."""
    present: bool | None = None
    """Whether anything stands there."""
    regex: str | None = None
    """Regular expression that is found in it."""


Conditions: TypeAlias = dict[
    str,
    Annotated[
        ConditionForm,
        BeforeValidator(_short_condition, json_schema_input_type=str | list[str] | ConditionForm),
    ],
]


class RuleForm(Form):
    """How one DICOM attribute is read. Shorthand: a path, or a list of paths, alone."""

    from_: Texts = Field(default=(), alias="from")
    """HL7 paths, ``catalogue.COLUMN`` or ``stations``; the first that has a value gives it."""
    else_: Texts = Field(default=(), alias="else")
    """HL7 paths, or DICOM attributes read before, that fill a gap: never over a stored value."""
    as_: str | None = Field(default=None, alias="as")
    """Function that reads the value; without one the attribute's VR decides."""
    vr: Annotated[str, Field(pattern="[A-Z]{2}")] | None = None
    """Value representation of a private attribute."""
    table: TableForms = ()
    """Table the value is looked up in: a CSV file's name, a mapping, or a list of them (the first counts)."""
    miss: Literal["keep", "drop", "empty", "error"] = "drop"
    """What becomes of a value no table holds: kept as it is, taken as not sent, emptied, or refused."""
    ignore: Texts = ()
    """Values that say nothing and are taken as not sent."""
    template: str | None = None
    """Text with ``{paths}``; a part in brackets is left out where no path in it has a value."""
    default: Text | None = None
    """Text that stands where nothing else gave a value."""
    when: Conditions = {}
    """Conditions on HL7 paths; unless all hold, the attribute counts as not sent."""
    required: bool = False
    """Refuse a message without a value (procedure and step: of a new order); in items: make no item."""
    max: Annotated[int, Field(ge=1)] | None = None
    """Characters at most, where that is less than the VR allows; of an identifier of VR SH up to 64: devices
    get a longer one than 16 by a codec alone."""
    cut: bool = True
    """Whether a text too long is cut, which is reported; otherwise it is left out."""
    join: str | None = None
    """Text put between the values of several places, to make one value of them."""
    unit: str | None = None
    """HL7 path of the unit, read in the segment where the value was found."""
    units: Rows = {}
    """Unit to the number the value is multiplied by; a value in any other unit is left out."""
    scheme: Text = ""
    """Coding scheme of codes that are sent without one."""
    each: str | None = None
    """HL7 path that gives the sequence one item for each place found."""
    items: RuleForms = {}
    """With ``each``: attributes of the item; paths begin with the dot."""


RuleForms: TypeAlias = dict[
    str,
    Annotated[RuleForm, BeforeValidator(_short_rule, json_schema_input_type=str | list[str] | RuleForm)],
]


Kind: TypeAlias = Literal["order", "patient", "arrival", "merge", "schedule", "ignore"]
"""What a message that is taken is: see the sections order, adt and schedule."""

Handling: TypeAlias = Literal["order", "patient", "arrival", "merge", "schedule", "ignore", "refuse"]
"""What is done with a message."""


class CharsetForm(Form):
    """How messages are decoded that do not say it in words of HL7 table 0211."""

    default: str = ""
    """Character set of messages without MSH-18; empty: ASCII, UTF-8 or the site's, as the bytes allow."""
    aliases: Rows = {}
    """What a sender writes in MSH-18, and the character set it means by it."""
    trust_label: bool = False
    """Whether MSH-18 (or the default, without one) counts where the bytes say UTF-8; that is reported."""
    utf_16: bool = False
    """Whether UTF-16 and UTF-32 are taken: MLLP cannot carry a character with a byte 0B or 1C 0D in it."""


class AcceptForm(Form):
    """Which messages are taken, and how they are decoded."""

    messages: dict[str, Handling] = {}
    """Message type (``ORM^O01``, ``SIU^*``) to what is done with it; what is not named is refused."""
    charset: CharsetForm = CharsetForm()
    """Character sets."""
    processing: Texts = ("P",)
    """Processing IDs (MSH-11) that are taken: P is production, T training, D debugging."""


class AcknowledgeForm(Form):
    """How messages are answered."""

    mode: Literal["auto", "original", "enhanced"] = "auto"
    """Auto: what MSH-15 and MSH-16 ask for; original: AA, AE, AR; enhanced: also CA where MSH-15 is blank."""
    type: Annotated[
        tuple[Literal["ACK", "ORR", "ORG", "ORI"], ...],
        BeforeValidator(_listed, json_schema_input_type=str | list[str]),
    ] = ("ACK",)
    """Answers to orders: ORR to ORM, ORG to OMG, ORI to OMI; whatever has none of these gets ACK."""


class ExactlyOneForm(Form):
    """Segments there must be one of: no more, no fewer."""

    message: Texts = ()
    """In the message."""
    group: Texts = ()
    """In each group that asks for something."""


class ControlForm(Form):
    """What an order's control code, with its status, asks for."""

    code: str
    """HL7 path of the control code."""
    status: str | None = None
    """HL7 path of the status that may stand beside it."""
    actions: dict[
        str,
        Literal[
            "create",
            "update",
            "cancel",
            "replace",
            "discontinue",
            "hold",
            "release",
            "arrive",
            "ready",
            "complete",
            "nothing",
            "refuse",
        ],
    ] = {}
    """``CODE`` or ``CODE_STATUS``, ``*`` for any, to the action; the row that says most counts."""


class SameForm(Form):
    """When several groups speak of one thing, and what is made of what they say."""

    by: Texts
    """Attributes that are the same."""
    agree: Texts = ()
    """Attributes that may not differ then."""
    union: Texts = ()
    """Sequences whose items add up; of anything else the first value counts."""


class CatalogueForm(Form):
    """The procedure catalogue: what a procedure's code means that orders do not say."""

    file: Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$")] | None = None
    """Name of a file in the folder tables, CSV or YAML, without its ending; without one there is none."""
    code: Texts = ()
    """HL7 paths of the code; the first at which one of the file's codes stands counts."""
    miss: Literal["keep", "error"] = "keep"
    """What becomes of an order whose code the file lacks: read without it, which is reported, or refused."""


class StationForm(Form):
    """Where orders go that name no station: the first rule whose conditions hold."""

    when: Conditions = {}
    """Conditions on HL7 paths, or on DICOM attributes read before; all must hold."""
    to: Texts
    """AE titles of the stations."""
    priority: int = 0
    """Rules with a higher number are asked first, equal ones in the order they are written."""


class PoliciesForm(Form):
    """What becomes of orders where systems differ.  None of it takes back an exam that has begun."""

    new_again: Literal["update", "refuse"] = "update"
    """A new order with the numbers of a known one that says something else: changes it, or AE 205."""
    change_of_unknown: Literal["create", "refuse"] = "create"
    """A change of an order nobody knows: is taken for the order, or AE 204."""
    cancel_of_unknown: Literal["refuse", "accept"] = "refuse"
    """A cancellation (or the like) of an order nobody knows: AE 204, or accepted and reported."""
    late: Literal["fill", "apply"] = "fill"
    """A message older than what was applied last: fills gaps and replaces nothing, or counts as any does."""
    change_of_begun: Literal["update", "keep", "refuse"] = "update"
    """A change of a step whose exam has begun: changes its attributes, leaves them (reported), or AE 206."""
    cancel_of_begun: Literal["keep", "discontinue", "refuse"] = "keep"
    """A cancellation of such a step: it runs on (reported), is discontinued, or AE 206."""
    other_study: Literal["take", "keep", "refuse"] = "take"
    """Another Study Instance UID for a known order: counts until an exam has begun, never, or AE 205."""
    other_spelling: Literal["take", "refuse"] = "take"
    """A new order whose patient ID or accession number differs from a known one in capitals alone: is
    another's, or AE 205; needed where a device shows them in capitals."""


class OrderForm(Form):
    """How an order message is taken apart."""

    groups: Texts = ()
    """Segments that begin an order."""
    steps: Texts = ()
    """Segments that begin a step within an order; an order without any is one step."""
    exactly_one: ExactlyOneForm = ExactlyOneForm()
    """Segments there must be one of."""
    offset: str | None = None
    """HL7 path of a time stamp whose offset speaks for all stamps of the message without one."""
    effective: str | None = None
    """HL7 path of when what an order says came to be: tells, beside MSH-7, which of two messages is late."""
    policies: PoliciesForm = PoliciesForm()
    """What becomes of orders where systems differ."""
    pick: dict[str, Texts] = {}
    """Repeating field to the repetition meant where a path names none: a number, or ``component=text``."""
    compare: tuple[tuple[str, ...], ...] = ()
    """Pairs of paths that should hold the same; a difference is reported."""
    same_procedure: SameForm | None = None
    """When several groups are one requested procedure."""
    same_step: SameForm | None = None
    """When several groups are one scheduled step."""
    control: ControlForm | None = None
    """Order control."""


class ArrivalForm(Form):
    """Which open steps the patient has come for; never those of another visit."""

    day: Texts = ()
    """HL7 paths of a time stamp: the steps of that day. Without any: of all days."""
    same_visit: bool = False
    """Only steps of the very visit; otherwise also those of which no visit is known."""


class AdtForm(Form):
    """What messages on patients do: update, arrival, merge."""

    groups: Texts = ()
    """Segments that begin a patient."""
    unknown: Literal["ignore", "store"] = "ignore"
    """What becomes of a patient nobody has ordered anything for."""
    visit: Texts = ()
    """Attributes of section procedure that speak of the visit: they reach the open orders of the visit."""
    arrival: ArrivalForm = ArrivalForm()
    """Which steps an arrival concerns."""
    prior: RuleForm | None = None
    """Who was merged: a line with ``each`` and ``items``, which say patient ID and issuer."""


class ScheduleForm(Form):
    """What appointments do, and where in them everything stands."""

    exactly_one: Texts = ()
    """Segments there must be one of; the first is where a mistake is reported."""
    services: Texts = ()
    """Segments that begin a service; an appointment without any is one service."""
    withdrawn: Conditions = {}
    """Conditions on a service that has been taken out of the appointment."""
    when: Conditions = {}
    """Conditions on appointments that are for the worklist; others are taken and change nothing."""
    control: ControlForm | None = None
    """What an appointment asks for: the event stands for the control code."""
    order: tuple[RuleForms, ...] = ()
    """What the order is known by, procedure attributes; the first entry that finds one order decides."""
    moves: Texts = ()
    """Attributes of a known step that an appointment changes; the others serve for a new one."""
    procedure: RuleForms = {}
    """Attributes of the requested procedure of a new order."""
    step: RuleForms = {}
    """Attributes of the scheduled step, a step for each service."""


def _short_value(value: Any) -> Any:
    return value if isinstance(value, dict) else {"text": value}


_Events = Annotated[
    tuple[StatusEvent, ...], BeforeValidator(_listed, json_schema_input_type=StatusEvent | list[StatusEvent])
]


class FieldForm(Form):
    """What a field says. Shorthand: its text alone."""

    text: Text | None = None
    """Text with HL7 delimiters; ``{patient.PatientID}`` is filled in, ``{a|b}`` with the first known."""
    from_: Texts = Field(default=(), alias="from")
    """Attributes or facts a function reads."""
    as_: str | None = Field(default=None, alias="as")
    """Function that makes the field of them."""
    table: TableForms = ()
    """Table the text is looked up in; a text no row fits leaves the field out."""
    default: Text | None = None
    """Text that stands where nothing else gave a value."""
    on: _Events = ()
    """Events the field is told at; without any: all."""


class SegmentForm(Form):
    """A segment: field number to what it says, and what the segment is repeated for."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    __pydantic_extra__: dict[
        str,
        Annotated[
            FieldForm,
            BeforeValidator(_short_value, json_schema_input_type=str | int | float | FieldForm),
        ],
    ]

    each: str | None = None
    """What there is one segment for each of: ``steps``, or a sequence such as
    ``performed.PerformedSeriesSequence``; ``{.ProtocolName}`` is an attribute of the item, ``{item}`` its
    number."""
    on: _Events = ()
    """Events the segment is told at; without any: all."""

    @property
    def fields(self) -> dict[str, FieldForm]:
        """Field number to what it says."""
        return self.__pydantic_extra__


class StatusForm(Form):
    """What a system is told of a step, in one kind of message."""

    version: Text
    """HL7 version."""
    segments: dict[str, SegmentForm]
    """Segments in their order; of several of one name each has a word behind it: ``OBX study``."""


class SystemForm(Form):
    """A system profile: how one information system's messages are read, and what it is told."""

    profile: str
    """Name of the profile."""
    extends: Texts | None = None
    """Profiles this one rests on; without the key: generic."""
    notes: Texts | None = None
    """Remarks for people."""
    vars: dict[str, Text | None] = {}
    """Variables and their defaults: ``$var.name`` in a value."""
    accept: AcceptForm = AcceptForm()
    """Which messages are taken."""
    acknowledge: AcknowledgeForm = AcknowledgeForm()
    """How messages are answered."""
    order: OrderForm = OrderForm()
    """How an order message is taken apart."""
    catalogue: CatalogueForm = CatalogueForm()
    """The procedure catalogue."""
    stations: dict[str, StationForm] = {}
    """Station rules, each with a name."""
    patient: RuleForms = {}
    """Attributes of the patient and the visit."""
    procedure: RuleForms = {}
    """Attributes of the requested procedure and its imaging service request."""
    step: RuleForms = {}
    """Attributes of the scheduled step."""
    adt: AdtForm = AdtForm()
    """What messages on patients do."""
    schedule: ScheduleForm = ScheduleForm()
    """What appointments do."""
    status: dict[str, StatusForm] = {}
    """Kind of message (``ORM^O01``) to what it says."""


def schema_text() -> str:
    """Return the JSON Schema of a system profile as it stands in the mappings folder."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **SystemForm.model_json_schema()}
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
