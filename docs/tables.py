"""The tables of the manuals that are made from the program itself.

A page holds each table between two marks, ``<!-- table: settings -->`` and ``<!-- end -->``.
``python docs/tables.py`` writes all of them anew; ``tests/test_docs.py`` fails while one is out of date.
"""

# ruff: noqa: E501, INP001  rows are long; a script, not a package

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import click
from prometheus_client.metrics import MetricWrapperBase
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydicom.uid import UID

from mwl import metrics
from mwl.cli import cli, exits
from mwl.conduct import LADDER, Conduct
from mwl.config import model, shipped
from mwl.dicom import limits as dicom_limits
from mwl.dicom.emulators import DEVICES
from mwl.dicom.emulators import Device as EmulatedDevice
from mwl.dicom.keys import MATCHING
from mwl.dicom.negotiation import TRANSFER_SYNTAXES
from mwl.discontinuation import REASONS
from mwl.hl7 import limits as hl7_limits
from mwl.hl7.ack import CONDITIONS
from mwl.mapping import paths
from mwl.mapping.devices.device import load_devices
from mwl.mapping.devices.examples import Example, ExampleFacts, ExampleQuery, ExampleStep, Expected
from mwl.mapping.devices.operations import OPERATIONS
from mwl.mapping.devices.operations.code import FromText
from mwl.mapping.devices.operations.match import Match, Pattern
from mwl.mapping.devices.operations.operation import Options
from mwl.mapping.devices.operations.order import SortKey
from mwl.mapping.devices.operations.relabel import CharsetForm as CharsetLabelForm
from mwl.mapping.devices.operations.shape import SequenceForm
from mwl.mapping.devices.operations.truncate import Cut
from mwl.mapping.devices.operations.uid import Form as UidForm
from mwl.mapping.devices.operations.when import Test
from mwl.mapping.devices.operations.wildcard import Form as WildcardForm
from mwl.mapping.devices.operations.window import WhenKey
from mwl.mapping.devices.profile import Header
from mwl.mapping.loader import load_folder, resolve
from mwl.mapping.systems.system_form import (
    AcceptForm,
    AcknowledgeForm,
    AdtForm,
    ArrivalForm,
    CatalogueForm,
    CharsetForm,
    ConditionForm,
    ControlForm,
    FieldForm,
    OrderForm,
    PoliciesForm,
    RuleForm,
    SameForm,
    ScheduleForm,
    SegmentForm,
    StationForm,
    SystemForm,
)
from mwl.mapping.text.charset_labels import ALONE
from mwl.mapping.text.iso2022 import REGISTERED
from mwl.web import limits as web_limits

DOCS = Path(__file__).parent
MARKED = re.compile(r"<!-- table: (?P<name>[a-z0-9 _-]+) -->\n.*?<!-- end -->", re.DOTALL)

Row = Sequence[str]


def table(headers: Row, rows: Iterable[Row]) -> str:
    """Return a Markdown table."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def sentence(text: str | None) -> str:
    """Return what the program says of a key, without the numbers of the developers' references."""
    return _REFERENCE.sub("", " ".join((text or "").split())).replace("``", "`")


_REFERENCE = re.compile(r" \((?:(?:[A-Z]-?[A-Z]?\d+|\d+\.\d+ [a-z])(?:, |(?=\))))+\)")


def code(text: object) -> str:
    """Return *text* as code, or nothing for nothing."""
    return f"`{text}`" if str(text) else ""


def codes(texts: Iterable[object]) -> str:
    """Return several texts as code."""
    return ", ".join(map(code, texts))


# ── the operator's guide ──


def settings() -> str:
    """Every key of the configuration."""
    return table(["key", "default", "meaning"], _settings(model.Settings, ""))


def limits() -> str:
    """Every limit that can strike a peer: what moves it, and what the peer hears."""
    defaults = {row[0].strip("`"): row[1] for row in _settings(model.Settings, "")}
    sides = {"DICOM": dicom_limits, "HL7": hl7_limits, "HTTP": web_limits}
    rows = (
        (
            name,
            code(limit),
            code(setting) if setting else "fixed",
            defaults.get(setting, ""),
            side.ANSWERS[limit],
        )
        for name, side in sides.items()
        for limit in side.Limit
        for setting in [side.SETTINGS.get(limit, "")]
    )
    return table(["side", "limit", "setting", "default", "what the peer gets"], rows)


def _settings(section: type[BaseModel], under: str) -> Iterator[Row]:
    defaults = section.model_construct().model_dump(mode="json", warnings=False)
    for name, field in section.model_fields.items():
        key = f"{under}{name}"
        inner, below = _inside(field)
        yield code(key), _default(key, field, defaults.get(name)), sentence(field.description)
        if inner:
            yield from _settings(inner, f"{key}{below}.")


def _inside(field: FieldInfo) -> tuple[type[BaseModel] | None, str]:
    """Return the section a key holds, and what stands between the key and that section's keys."""
    found = re.findall(r"(\w+)(?=[\],|>' ]|$)", str(field.annotation))
    kinds = [getattr(model, name, None) for name in found]
    inner = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, model.Section)), None)
    named = {
        "devices": ".<AE title>", "systems": ".<name>", "users": ".<name>", "subscribers": ".<name>",
        "destinations": ".<name>",
    }  # fmt: skip
    many = "Mapping" in str(field.annotation)
    below = next((text for name, text in named.items() if many and inner and name == _plural(inner)), "")
    return inner, below


def _plural(kind: type[BaseModel]) -> str:
    return f"{kind.__name__.lower()}s"


def _default(key: str, field: FieldInfo, value: Any) -> str:
    """Return a default as it would be written in the file."""
    if key == "site.timezone":
        return "the host's"  # differs from host to host
    if field.is_required():
        return "must be given"
    if isinstance(field.get_default(call_default_factory=True), BaseModel) or value in (None, "", {}):
        return ""
    if isinstance(value, Mapping):
        return codes(f"{name}: {{profile: generic}}" for name in value)
    if isinstance(value, bool):
        return code(str(value).lower())
    return code(f"{value:g}" if isinstance(value, float) else value)


def commands() -> str:
    """Every command with its arguments and options."""
    return table(["command", "options", "what it does"], _commands(cli, "mwl"))


def _commands(group: click.Group, name: str) -> Iterator[Row]:
    context = click.Context(group)
    for each in group.list_commands(context):
        command = group.get_command(context, each)
        if isinstance(command, click.Group):
            yield from _commands(command, f"{name} {each}")
        elif command:
            yield code(f"{name} {each}{_arguments(command)}"), _options(command), _first(command.help or "")


def _arguments(command: click.Command) -> str:
    arguments = (each for each in command.params if isinstance(each, click.Argument))
    return "".join(f" {each.make_metavar(click.Context(command))}" for each in arguments)


def _options(command: click.Command) -> str:
    found = [each for each in command.params if isinstance(each, click.Option)]
    return codes(each.opts[0] if each.is_flag else f"{each.opts[0]} {_metavar(each)}" for each in found)


def _metavar(option: click.Option) -> str:
    kind = option.type
    return option.metavar or ("STATE" if isinstance(kind, click.Choice) else kind.name.split()[0].upper())


def _first(text: str) -> str:
    return re.split(r"\n\n|\x08", text)[0]


def metric_table() -> str:
    """Every metric of the broker's own."""
    return table(["metric", "kind", "labels", "meaning"], _metrics())


def _metrics() -> Iterator[Row]:
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            (described,) = metric.describe()
            name = f"{described.name}_total" if described.type == "counter" else described.name
            yield code(name), described.type, codes(metric._labelnames), described.documentation  # noqa: SLF001


def audit_messages() -> str:
    """An example of each audit message."""
    written: str = _script("audited").examples()
    return written


def exit_codes() -> str:
    """Every exit code."""
    meaning = {
        exits.DONE: "done",
        exits.FINDINGS: "findings, or a refused operation; `mwl serve`: a second signal ended it at once",
        exits.USAGE: "the command line is wrong",
        exits.UNAVAILABLE: "a peer, the database or an address to listen on is unavailable",
        exits.TRY_AGAIN: "the peer cannot do it now: try again",
        exits.BAD_CONFIGURATION: "the configuration or a profile is wrong, or the database is of a later version",
    }
    return table(["code", "meaning"], ((code(number), text) for number, text in meaning.items()))


# ── the integration analyst's guide ──


def _generic() -> SystemForm:
    written = load_folder([shipped("mappings")], "systems")
    return SystemForm.model_validate(resolve("generic", written).data)


def messages() -> str:
    """What is done with each kind of message."""
    done = {
        "order": "read as orders",
        "schedule": "read as an appointment",
        "patient": "what it says of the patient and the visit is stored",
        "arrival": "the same, and the patient's open steps become ARRIVED",
        "merge": "two patients become one",
        "ignore": "AA, put on record, nothing is done",
        "refuse": "AR",
    }
    by_action: dict[str, list[str]] = {}
    for kind, action in _generic().accept.messages.items():
        by_action.setdefault(action, []).append(kind)
    rows = ((codes(kinds), code(action), done.get(action, "")) for action, kinds in by_action.items())
    return table(["MSH-9", "action", "what is done"], rows)


def order_control() -> str:
    """What each order control code asks for."""
    control = _generic().order.control
    assert control is not None  # noqa: S101  generic has one
    by_action: dict[str, list[str]] = {}
    for key, action in control.actions.items():
        by_action.setdefault(action, []).append(key)
    done = {
        "create": "makes the order, or updates it where it is known; a cancelled step is scheduled again",
        "update": "updates the order, or makes it where it is unknown",
        "cancel": "the steps become CANCELED",
        "replace": "the same, for another order of the message takes their place",
        "discontinue": "the steps become DISCONTINUED",
        "complete": "the steps become COMPLETED",
        "arrive": "the steps become ARRIVED",
        "ready": "the steps become READY: the exam can begin",
        "hold": "steps of which nothing was done yet leave the worklist",
        "release": "steps that were held are back",
        "nothing": "accepted; nothing is done",
        "refuse": "AR 200",
    }
    return table(
        ["ORC-1, or ORC-1_ORC-5", "action", "effect"],
        ((codes(found), code(action), done.get(action, "")) for action, found in by_action.items()),
    )


def fields(*section: str) -> str:
    """Where each attribute of a section of the generic profile is read."""
    rules: Any = _generic()
    for name in section:
        rules = getattr(rules, name)
    return table(["attribute", "from", "how"], (_field(name, rule) for name, rule in rules.items()))


def _field(name: str, rule: RuleForm) -> Row:
    return _attribute(name), _sources(rule), "; ".join(_how(rule))


def _attribute(name: str) -> str:
    tags = paths.parse_path(name)
    return f"{name.replace('.', ' . ')} {' . '.join(f'({tag[:4]},{tag[4:]})' for tag in tags)}"


def _sources(rule: RuleForm) -> str:
    if rule.each:
        return code(rule.each)
    found = codes(rule.from_) or (code(rule.template) if rule.template else "")
    return f"{found}; else {codes(rule.else_)}" if rule.else_ else found


def _how(rule: RuleForm) -> Iterator[str]:
    if rule.items:
        items = (f"{name} {_sources(item) or code(item.default or '')}" for name, item in rule.items.items())
        yield f"one item each: {', '.join(items)}"
    if rule.as_:
        yield code(rule.as_)
    for form in rule.table:
        yield f"table {code(form.file)}" if form.file else f"table {codes(form.rows)}"
    if rule.table:
        yield f"not in the table: {rule.miss}"
    if rule.ignore:
        yield f"not {codes(rule.ignore)}"
    if rule.units:
        yield f"in {codes(rule.units)} by {code(rule.unit)}"
    if rule.join is not None:
        yield "one text of several lines"
    if rule.scheme:
        yield f"scheme {code(rule.scheme)} where none is sent"
    if not rule.cut:
        yield "left out where it is too long"
    if rule.required:
        yield "required"


def status_message() -> str:
    """What the generic profile's ORM^O01 says, field by field."""
    return table(["field", "what it says", "at"], _status_rows("ORM^O01"))


def status_kinds() -> str:
    """The kinds of message the generic profile has words for."""
    rows = (
        (code(kind), each.version, " ".join(dict.fromkeys(name[:3] for name in each.segments)))
        for kind, each in _generic().status.items()
    )
    return table(["message", "HL7", "segments"], rows)


def status_more() -> str:
    """The fields of the other kinds that ORM^O01 has not."""
    known, generic = set(_status_rows("ORM^O01")), _generic()
    rows = {row: None for kind in generic.status for row in _status_rows(kind) if row not in known}
    return table(["field", "what it says", "at"], [row for row in rows if not row[0].startswith("MSH")])


def _status_rows(kind: str) -> Iterator[Row]:
    for name, segment in _generic().status[kind].segments.items():
        if name.startswith("OBX"):
            yield _observation(name, segment)
            continue
        each = f", one each: {code(segment.each)}" if segment.each else ""
        for number, field in segment.fields.items():
            yield f"{name}-{number}", _said(field) + each, " ".join(field.on or segment.on)


def _observation(name: str, segment: SegmentForm) -> Row:
    """Return an observation as one line: its code, its value, its unit."""
    kind, meant, value = (segment.fields[number] for number in ("2", "3", "5"))
    unit = segment.fields.get("6")
    each = f", one each: {code(segment.each)}" if segment.each else ""
    of_unit = f" {code(unit.text)}" if unit else ""
    said = f"{code(meant.text)} ({kind.text}): {_said(value)}{of_unit}{each}"
    return name.replace(" ", " (", 1) + ")", said, " ".join(segment.on)


def _said(field: FieldForm) -> str:
    said = code(field.text) if field.text else f"{codes(field.from_)} as {code(field.as_)}"
    rows = {key: value for form in field.table for key, value in form.rows.items()}
    table_ = f", by {', '.join(f'{key} {value}' for key, value in rows.items())}" if rows else ""
    return said + table_ + (f", else {code(field.default)}" if field.default else "")


def conditions() -> str:
    """The error codes an acknowledgement may carry."""
    return table(["code", "HL7 table 0357"], ((code(number), text) for number, text in CONDITIONS.items()))


def form(kind: type[BaseModel]) -> str:
    """Every key of a written form, with its sentence."""
    return table(["key", "meaning"], _form(kind))


def _form(kind: type[BaseModel]) -> Iterator[Row]:
    for name, field in kind.model_fields.items():
        yield code(field.alias or name.rstrip("_")), sentence(field.description)


# ── the field engineer's guide ──


def devices() -> str:
    """The device profiles that ship, with what their heads say of them."""
    heads = {name: head for path in sorted(_DEVICES.glob("*.yaml")) for name, head in _heads(path)}
    profiles = load_devices([shipped("mappings")])
    rows = (
        (code(name), profiles.get(name).data["status"], *heads[name], codes(profiles.written[name].parents))
        for name in profiles.names
    )
    return table(["profile", "status", "devices", "what it rests on", "extends"], rows)


_DEVICES = shipped("mappings") / "devices"
_SOURCE = re.compile(r"^# \[\d+\] (.+?) \(([A-C/]+)\)$", re.MULTILINE)


def _heads(path: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield each profile of a file with the devices it is for, and its sources after their grades."""
    for document in path.read_text("utf-8").split("\n---\n"):
        head, _, rest = document.replace("\n#     ", " ").partition("\nprofile: ")
        devices = re.search(r"^# For: (.+)$", head, re.MULTILINE)
        sources = (f"{grade}: {source}" for source, grade in _SOURCE.findall(head))
        yield rest.split()[0], (devices[1] if devices else "", "; ".join(sources))


def file(name: str) -> str:
    """Return a shipped device profile as it stands in its file."""
    path = f"devices/{name}.yaml"
    lines = (shipped("mappings") / path).read_text("utf-8").splitlines()
    kept = [line for line in lines if not line.startswith("# yaml-language-server") and line != "#"]
    return "\n".join(["```yaml", f"# mappings/{path}", *kept, "```", ""])


def ladder() -> str:
    """What links a performed step where the device's profile says nothing."""
    rows = (
        (str(n), rung.name, "it proposes a step, and links none" if rung.proposes else "")
        for n, rung in enumerate(LADDER, 1)
    )
    return table(["", "what must be equal", ""], rows)


def discontinuation() -> str:
    """Every reason of the standard for a discontinuation, and what it does without a word in the profile."""
    conduct = Conduct()
    rows = ((code(each), text, code(conduct.discontinuation([each]))) for each, text in REASONS.items())
    return table(["code of DCM", "meaning", "the scheduled step becomes"], rows)


def system_profiles() -> str:
    """Return the system profiles that ship."""
    written = load_folder([shipped("mappings")], "systems")
    rows = (
        (code(name), codes(written[name].parents), _notes(written[name].data)) for name in sorted(written)
    )
    return table(["profile", "extends", "what it is for"], rows)


def _notes(data: Mapping[str, Any]) -> str:
    return " ".join([data["notes"]] if isinstance(data.get("notes"), str) else data.get("notes") or ())


def operation(key: str) -> str:
    """What one operation takes."""
    kind = OPERATIONS[key]
    rows: list[Row] = []
    if issubclass(kind, Options):
        rows = [*_option_rows(kind, "")]
    head = f"Stage `{kind.stage}`, P{kind.number}.\n{_lines(kind)}\n"
    return head + (f"\n{table(['option', 'values', 'default', 'meaning'], rows)}" if rows else "")


def _lines(kind: type[Any]) -> str:
    text = sentence(kind.__doc__)
    return text if text.endswith(".") else f"{text}."


def _option_rows(kind: type[BaseModel], under: str) -> Iterator[Row]:
    schema = kind.model_json_schema(by_alias=True)
    forms = [schema, *schema.get("anyOf", ())]  # one that has a shorthand has several
    properties = next(each["properties"] for each in forms if "properties" in each)
    for name, field in kind.model_fields.items():
        key = field.alias or name.rstrip("_")
        written = properties[key]
        inner = _model_of(field)
        if inner is not None:
            yield from _option_rows(inner, f"{under}{key}.")
        else:
            yield code(f"{under}{key}"), _values(written), _option_default(field), sentence(field.description)


def _model_of(field: FieldInfo) -> type[BaseModel] | None:
    value = field.get_default(call_default_factory=True) if not field.is_required() else None
    return type(value) if isinstance(value, BaseModel) else None


def _values(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return codes(schema["enum"])
    if "const" in schema:
        return code(schema["const"])
    if "anyOf" in schema:
        found = (_values(each) for each in schema["anyOf"] if each.get("type") != "null")
        return " or ".join(dict.fromkeys(filter(None, found)))
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    return _type(schema)


def _type(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type", "")
    if kind == "array":
        inner = _values(schema.get("items", {}))
        return f"list of {inner}" if inner else "list"
    words = {
        "string": "text",
        "integer": "whole number",
        "boolean": "`true`, `false`",
        "object": "mapping",
    }
    return words.get(kind, "value") if isinstance(kind, str) else "value"


def _option_default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, bool):
        return code(str(value).lower())
    if isinstance(value, tuple):
        return codes(value)
    return code(value) if value not in (None, {}) else ""


# ── the conformance statement ──


def keys() -> str:
    """Every attribute that may carry a matching key."""
    rows = (
        (_attribute_of(path), f"({path[-1][:4]},{path[-1][4:]})", paths.vr(path[-1])) for path in _ordered()
    )
    return table(["attribute", "tag", "VR"], rows)


def _ordered() -> list[tuple[str, ...]]:
    return sorted(path for path in MATCHING if paths.vr(path[-1]) != "SQ")


def _attribute_of(path: tuple[str, ...]) -> str:
    return paths.show(path)


def transfer_syntaxes() -> str:
    """Every transfer syntax that is accepted."""
    rows = ((re.sub(r"[:(].*", "", UID(uid).name).strip(), uid) for uid in TRANSFER_SYNTAXES)
    return table(["transfer syntax", "UID"], rows)


def charsets() -> str:
    """Every character set that is read and written."""
    rows = [(codes([f"ISO_IR {n}", f"ISO 2022 IR {n}"]), _set_name(n)) for n in sorted(REGISTERED)]
    rows += [(code(term), "without code extensions") for term in ALONE]
    return table(["defined term", "what it holds"], rows)


def _set_name(number: int) -> str:
    return " and ".join(element.name for element in REGISTERED[number] if element)


def emulators() -> str:
    """Every device that can be played, what it is known for, and what is known of it."""
    rows = [
        (code(each.name), each.plays, each.known_for, _rests(each), codes(_shortened(each.queries)),
         codes(each.performing))
        for each in DEVICES.values()
    ]  # fmt: skip
    return table(["device", "plays", "known for", "rests on", "queries", "MPPS"], rows)


def _rests(device: EmulatedDevice) -> str:
    """Return the evidence with its grades, and what is assumed beside it."""
    known = "; ".join(f"{each.grade}: {each.says}" for each in device.evidence)
    return f"{known}. Assumed: {', '.join(device.assumed)}" if device.assumed else known


def _shortened(queries: Iterable[str]) -> list[str]:
    """Return the names of queries; a matrix of selections and days is one."""
    return list(dict.fromkeys("selection/days" if "/" in name else name for name in queries))


def _explained() -> Mapping[str, Callable[[], str]]:
    """Return the examples of `mwl mapping explain`, by name."""
    found: Mapping[str, Callable[[], str]] = _script("explained").TABLES
    return found


def _script(name: str) -> ModuleType:
    """Return another script of this folder as a module."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None  # noqa: S101  the file is there
    assert spec.loader is not None  # noqa: S101  the same
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TABLES: dict[str, Callable[[], str]] = {
    "settings": settings,
    "commands": commands,
    "metrics": metric_table,
    "limits": limits,
    "exit codes": exit_codes,
    "audit messages": audit_messages,
    "messages": messages,
    "order control": order_control,
    "patient": lambda: fields("patient"),
    "procedure": lambda: fields("procedure"),
    "step": lambda: fields("step"),
    "schedule procedure": lambda: fields("schedule", "procedure"),
    "schedule step": lambda: fields("schedule", "step"),
    "adt": lambda: form(AdtForm),
    "arrival": lambda: form(ArrivalForm),
    "schedule": lambda: form(ScheduleForm),
    "status message": status_message,
    "status kinds": status_kinds,
    "status more": status_more,
    "conditions": conditions,
    "rule": lambda: form(RuleForm),
    "condition": lambda: form(ConditionForm),
    "systems": system_profiles,
    "accept": lambda: form(AcceptForm),
    "accept charset": lambda: form(CharsetForm),
    "acknowledge": lambda: form(AcknowledgeForm),
    "policies": lambda: form(PoliciesForm),
    "catalogue": lambda: form(CatalogueForm),
    "station": lambda: form(StationForm),
    "order": lambda: form(OrderForm),
    "control": lambda: form(ControlForm),
    "same": lambda: form(SameForm),
    "status field": lambda: form(FieldForm),
    "status segment": lambda: form(SegmentForm),
    "devices": devices,
    "header": lambda: form(Header),
    "match": lambda: form(Match),
    "match pattern": lambda: form(Pattern),
    "charset form": lambda: form(CharsetLabelForm),
    "wildcard form": lambda: form(WildcardForm),
    "when key": lambda: form(WhenKey),
    "uid form": lambda: form(UidForm),
    "guard": lambda: form(Test),
    "cut": lambda: form(Cut),
    "sort key": lambda: form(SortKey),
    "example": lambda: form(Example),
    "example query": lambda: form(ExampleQuery),
    "example step": lambda: form(ExampleStep),
    "example facts": lambda: form(ExampleFacts),
    "expected": lambda: form(Expected),
    "sequence form": lambda: form(SequenceForm),
    "from text": lambda: form(FromText),
    "file ge-ct-connectpro": lambda: file("ge-ct-connectpro"),
    "ladder": ladder,
    "discontinuation": discontinuation,
    "keys": keys,
    "emulators": emulators,
    "transfer syntaxes": transfer_syntaxes,
    "charsets": charsets,
    **_explained(),
    **{f"operation {key}": (lambda key=key: operation(key)) for key in OPERATIONS},  # type: ignore[misc]
}
"""Every table by the name its mark has."""


def filled(page: str) -> str:
    """Return the text of a page with all of its tables as they are today."""
    return MARKED.sub(
        lambda mark: f"<!-- table: {mark['name']} -->\n{TABLES[mark['name']]()}<!-- end -->", page
    )


def main() -> None:
    """Write every page's tables anew."""
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text("utf-8")
        if (new := filled(text)) != text:
            page.write_text(new, "utf-8")
            print(f"{page.relative_to(DOCS)} written")


if __name__ == "__main__":
    main()
